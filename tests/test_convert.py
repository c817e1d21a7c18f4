import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer

from modeling_holmes_vau import HolmesVAUForConditionalGeneration, HolmesVAUProcessor, cli
from modeling_holmes_vau.checkpoint.convert import convert, convert_text_config, split_wqkv
from tests.original import REFERENCE, model_state, read_json, write_original_checkpoint, write_qwen2_checkpoint


def weights_of(folder):
    return {k: v for file in folder.glob("*.safetensors") for k, v in load_file(file).items()}


def test_split_wqkv_by_hand():
    # 2 key/value heads, 2 query heads each, head_dim 1: rows q q k v | q q k v
    rows = torch.arange(8.0)[:, None]
    query, key, value = split_wqkv(rows, num_kv_heads=2, head_dim=1)
    assert query.flatten().tolist() == [0, 1, 4, 5]
    assert key.flatten().tolist() == [2, 6] and value.flatten().tolist() == [3, 7]


@pytest.mark.parametrize("weights", ["sharded", "bin"])
def test_every_weight_format_gives_the_same_checkpoint(tmp_path, checkpoint56, weights):
    original = write_original_checkpoint(tmp_path / "original", weights=weights)
    output = convert(original, original / "anomaly_scorer.pth", tmp_path / "out", shard_bytes=300_000)
    assert len(list(output.glob("model-*-of-*.safetensors"))) > 1
    index = json.loads((output / "model.safetensors.index.json").read_text())
    got, expected = weights_of(output), weights_of(checkpoint56)
    assert got.keys() == expected.keys() == index["weight_map"].keys()
    assert all(torch.equal(got[name], expected[name]) for name in expected)
    HolmesVAUForConditionalGeneration.from_pretrained(output)


def test_scorer_from_safetensors_and_num_frames_by_the_command(tmp_path, original56, checkpoint56, capsys):
    save_file(torch.load(original56 / "anomaly_scorer.pth", weights_only=True), tmp_path / "scorer.safetensors")
    arguments = ["convert", "--checkpoint", str(original56), "--scorer", str(tmp_path / "scorer.safetensors")]
    assert cli.main([*arguments, "--output", str(tmp_path / "out"), "--num-frames", "8"]) == 0
    assert "wrote" in capsys.readouterr().out
    assert HolmesVAUProcessor.from_pretrained(tmp_path / "out").num_frames == 8
    before = weights_of(checkpoint56)
    assert all(torch.equal(value, before[name]) for name, value in weights_of(tmp_path / "out").items())


def test_qwen2_checkpoints_convert(tmp_path):
    """The layout of InternVL2-1B: a Qwen2 language model under its own names and a tokenizer.json."""
    folder, language = write_qwen2_checkpoint(tmp_path / "original")
    model = HolmesVAUForConditionalGeneration.from_pretrained(
        convert(folder, folder / "anomaly_scorer.pth", tmp_path / "out")
    )
    assert model.config.text_config.model_type == "qwen2"
    ids = torch.randint(10, 200, (1, 12))
    torch.testing.assert_close(model(input_ids=ids).logits, language(input_ids=ids).logits, atol=1e-5, rtol=1e-4)


def test_every_problem_is_listed_and_nothing_is_written(tmp_path, capsys):
    folder = write_original_checkpoint(tmp_path / "original")
    state = model_state(56)
    state["language_model.model.layers.7.attention.wo.weight"] = torch.zeros(96, 96)
    state["vision_model.rotary.table"] = torch.zeros(3)
    state["mlp1.1.weight"] = torch.zeros(96, 255)
    state["language_model.model.layers.0.attention.wqkv.weight"] = torch.zeros(190, 96)
    del state["vision_model.encoder.layers.2.norm2.bias"]
    save_file(state, folder / "model.safetensors")
    arguments = ["convert", "--checkpoint", str(folder), "--scorer", str(folder / "anomaly_scorer.pth")]
    assert cli.main([*arguments, "--output", str(tmp_path / "out")]) == 1
    said = capsys.readouterr().err
    for line in (
        "unmapped: language_model.model.layers.7.attention.wo.weight (96, 96)",
        "unmapped: vision_model.rotary.table (3,)",
        "misshapen: mlp1.1.weight gives model.multi_modal_projector.linear_1.weight (96, 255), expected (96, 256)",
        "misshapen: language_model.model.layers.0.attention.wqkv.weight (190, 96) cannot be split",
        "missing: model.vision_tower.encoder.layer.2.layernorm_after.bias (64,)",
    ):
        assert line in said
    assert sorted(p.name for p in tmp_path.iterdir()) == ["original"]


def test_wrong_inputs_are_refused_in_words(tmp_path, original56, checkpoint56):
    scorer = original56 / "anomaly_scorer.pth"
    with pytest.raises(ValueError, match="nowhere: no such folder"):
        convert(tmp_path / "nowhere", scorer, tmp_path / "out")
    with pytest.raises(ValueError, match="--scorer nowhere.pth: no such file"):
        convert(original56, "nowhere.pth", tmp_path / "out")
    with pytest.raises(ValueError, match="already exists"):
        convert(original56, scorer, checkpoint56)
    with pytest.raises(ValueError, match="expected a checkpoint of type internvl_chat, got 'holmes_vau'"):
        convert(checkpoint56, scorer, tmp_path / "out")
    (tmp_path / "config.json").write_text('{"model_type": "internvl_chat"}')
    shutil.copy(original56 / "tokenizer_config.json", tmp_path)
    shutil.copy(original56 / "tokenizer.model", tmp_path)
    shutil.copy(original56 / "added_tokens.json", tmp_path)
    shutil.copy(original56 / "model.safetensors", tmp_path)
    with pytest.raises(ValueError, match="config.json has no llm_config and no vision_config"):
        convert(tmp_path, scorer, tmp_path / "out")


def test_rope_scaling_is_read_in_both_of_its_forms(tmp_path, original56, checkpoint56):
    """transformers names the kind `rope_type` from 4.43 on."""
    folder = write_original_checkpoint(tmp_path / "original")
    shutil.copy(Path(__file__).parent / "fixtures" / "checkpoints" / "rope_type_config.json", folder / "config.json")
    output = convert(folder, folder / "anomaly_scorer.pth", tmp_path / "out")
    got, expected = (json.loads((path / "config.json").read_text())["text_config"] for path in (output, checkpoint56))
    assert got["rope_parameters"] == expected["rope_parameters"]
    assert got["rope_parameters"] == {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 1e6}


def test_no_rope_scaling_may_be_written_out():
    base = json.loads((REFERENCE / "internvl2_tiny56_config.json").read_text())["llm_config"]
    plain, written = (
        convert_text_config({**base, "rope_scaling": scaling}) for scaling in (None, {"rope_type": "default"})
    )
    assert plain.to_dict() == written.to_dict() and written.rope_parameters["rope_type"] == "default"


def test_a_scorer_of_our_own_training_is_taken(tmp_path, original56, checkpoint56):
    """`train_scorer.py` writes the scorer alone too, under our names."""
    weights = load_file(checkpoint56 / "model.safetensors")
    ours = {k.removeprefix("anomaly_scorer."): v for k, v in weights.items() if k.startswith("anomaly_scorer.")}
    save_file(ours, tmp_path / "anomaly_scorer.safetensors")
    output = convert(original56, tmp_path / "anomaly_scorer.safetensors", tmp_path / "out")
    assert all(torch.equal(value, weights[name]) for name, value in weights_of(output).items())


def test_special_tokens_may_be_objects(tmp_path, original56):
    folder = write_original_checkpoint(tmp_path / "original")
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    named = {k: {"content": v, "special": True} for k, v in settings.items() if k in ("bos_token", "eos_token")}
    (folder / "tokenizer_config.json").write_text(json.dumps({**settings, **named}))
    tokenizer = AutoTokenizer.from_pretrained(convert(folder, None, tmp_path / "out"))
    assert len(named) == 2 and (tokenizer.bos_token, tokenizer.eos_token) == ("<s>", "</s>")


def test_a_pickle_that_runs_code_is_refused(tmp_path, original56):
    class Harm:
        def __reduce__(self):
            return print, ("harm",)

    torch.save({"weight": Harm()}, tmp_path / "scorer.pth")
    with pytest.raises(ValueError, match="scorer.pth: refused, it holds more than tensors"):
        convert(original56, tmp_path / "scorer.pth", tmp_path / "out")


@pytest.mark.parametrize("content", [b"", b"hallo", b"{}", b"Not Found", b"\x80\x02"])
def test_files_that_hold_no_weights_are_named(tmp_path, original56, content):
    for name in ("scorer.pth", "scorer.safetensors"):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ValueError, match=f"{name}: (not a whole|refused)"):
            convert(original56, tmp_path / name, tmp_path / "out")


@pytest.mark.parametrize("name", ["scorer.pth", "scorer.safetensors"])
def test_cut_files_are_named(tmp_path, original56, name):
    (tmp_path / name).write_bytes((original56 / "anomaly_scorer.pth").read_bytes()[:5000])
    with pytest.raises(ValueError, match=f"{name}: (not a whole|refused)"):
        convert(original56, tmp_path / name, tmp_path / "out")


@pytest.mark.parametrize("name", ["tokenizer", "tokenizer_dummy_prefix"])
def test_fast_tokenizer_equals_the_slow_one(tmp_path, name):
    original = write_original_checkpoint(tmp_path / "original", tokenizer=name)
    folder = convert(original, original / "anomaly_scorer.pth", tmp_path / "out")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    reference = read_json(f"{name}/encodings.json")
    assert len(tokenizer) == reference["vocab_size"]
    assert {k: tokenizer.convert_tokens_to_ids(k) for k in reference["added_tokens"]} == reference["added_tokens"]
    for row in reference["encodings"]:
        assert tokenizer(row["text"])["input_ids"] == row["input_ids"]
        assert tokenizer.decode(row["input_ids"], skip_special_tokens=True) == row["decoded"]


def test_chat_tokens_may_stand_on_ids_of_the_model(tmp_path):
    """InternLM2's own layout: `<|im_start|>` and `<|im_end|>` replace pieces; only tokenizer_config.json says so."""
    original = write_original_checkpoint(tmp_path / "original")
    added = json.loads((original / "added_tokens.json").read_text())
    settings = json.loads((original / "tokenizer_config.json").read_text())
    ids = {"<|im_start|>": 597, "<|im_end|>": 596}  # pieces nothing merges into
    rest = [token for token in sorted(added, key=added.get) if token not in ids]
    renumbered = {token: 600 + number for number, token in enumerate(rest)}
    (original / "added_tokens.json").write_text(json.dumps(renumbered))
    decoder = {str(index): {"content": token, "special": True} for token, index in (ids | renumbered).items()}
    special = {key: value for key, value in settings["added_tokens_decoder"].items() if int(key) < 3}
    settings["added_tokens_decoder"] = special | decoder
    (original / "tokenizer_config.json").write_text(json.dumps(settings))
    output = convert(original, original / "anomaly_scorer.pth", tmp_path / "out")
    processor = HolmesVAUProcessor.from_pretrained(output)
    assert {token: processor.tokenizer.convert_tokens_to_ids(token) for token in ids} == ids
    prompt = processor.tokenizer(processor.user_prompt("Why?"))["input_ids"]
    assert prompt.count(597) == 3 and prompt.count(596) == 2
    assert HolmesVAUForConditionalGeneration.from_pretrained(output).generation_config.eos_token_id == 596


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "original: no tokenizer.model and no tokenizer.json in it"),
        (b"", "tokenizer.model: holds no tokens"),
        (b"hallo, no model", "tokenizer.model: is no SentencePiece model"),
    ],
)
def test_a_tokenizer_that_is_none_is_refused(tmp_path, content, said):
    original = write_original_checkpoint(tmp_path / "original")
    (original / "tokenizer.model").unlink()
    if content is not None:
        (original / "tokenizer.model").write_bytes(content)
    with pytest.raises(ValueError, match=said):
        convert(original, None, tmp_path / "out")


def test_a_tokenizer_without_chat_tokens_is_refused(tmp_path):
    original = write_original_checkpoint(tmp_path / "original")
    (original / "added_tokens.json").write_text("{}")
    settings = json.loads((original / "tokenizer_config.json").read_text())
    settings["added_tokens_decoder"] = {}
    (original / "tokenizer_config.json").write_text(json.dumps(settings))
    with pytest.raises(ValueError, match="no token <|im_start|>"):
        convert(original, original / "anomaly_scorer.pth", tmp_path / "out")


def test_fixture_names_every_key_of_the_release():
    assert len(json.loads((REFERENCE / "scorer_state_dict_keys.json").read_text())["keys"]) == 34
