"""Checkpoint folders as people have them: of older code, broken, half there, with marks and pointers in them."""

import builtins
import json
import shlex
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer, InternVLConfig, InternVLForConditionalGeneration

import train_scorer
import train_sft
from modeling_holmes_vau import cli
from modeling_holmes_vau.answering import load_answerer
from modeling_holmes_vau.checkpoint.build import UNTRAINED_SCORER_WARNING
from modeling_holmes_vau.checkpoint.merge import write_adapter_notes
from modeling_holmes_vau.checkpoint.weights import language_digest
from tests.adapters import write_adapter
from tests.annotations import write_json
from tests.sft_data import write_data
from tests.videos import write_video


FIXTURES = Path(__file__).parent / "fixtures" / "checkpoints"
BOM = b"\xef\xbb\xbf"


def copy_of(folder: Path, target: Path) -> Path:
    """The files of a checkpoint folder, small ones to be changed, the weights by a link."""
    target.mkdir(parents=True)
    for path in folder.iterdir():
        if path.suffix in (".safetensors", ".pth"):
            (target / path.name).symlink_to(path)
        elif path.is_file():
            shutil.copy(path, target / path.name)
    return target


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return write_video(tmp_path_factory.mktemp("clip") / "clip.mp4", num_frames=40)


@pytest.fixture(scope="module")
def native(model56, processor56, tmp_path_factory) -> Path:
    """The same model in transformers' own format."""
    folder, config = tmp_path_factory.mktemp("native"), model56.config.to_dict()
    kept = {k: config[k] for k in ("vision_config", "text_config", "image_token_id", "image_seq_length")}
    InternVLForConditionalGeneration(InternVLConfig(**kept, tie_word_embeddings=False)).save_pretrained(folder)
    processor56.tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def adapter(model56, checkpoint56, processor56, tmp_path_factory) -> Path:
    model = type(model56).from_pretrained(checkpoint56)
    folder = write_adapter(model, checkpoint56, tmp_path_factory.mktemp("adapter"))
    processor56.save_pretrained(folder)
    write_adapter_notes(folder, str(checkpoint56), {"sampler": "ats", "num_frames": 5})
    return folder


@pytest.fixture
def source(original56, native, adapter, checkpoint56):
    return {"convert": original56, "init": native, "merge": adapter, "analyze": checkpoint56}


def command(name: str, folder: Path, clip: Path, output: Path) -> list[str]:
    """The words of a command about a folder."""
    words = {
        "convert": ["convert", "--checkpoint", folder, "--output", output],
        "init": ["init", "--base", folder, "--output", output],
        "merge": ["merge", "--adapter", folder, "--output", output],
        "analyze": ["analyze", clip, "--model", folder, "--max-new-tokens", "2", "--device", "cpu"],
    }
    return [str(word) for word in words[name]]


def error_of(capsys, words: list[str]) -> str:
    """The one line with which a command fails."""
    assert cli.main(words) == 1
    said = capsys.readouterr().err.replace("\r", "\n")
    lines = [line for line in said.splitlines() if line.strip() and "it/s]" not in line and "B/s" not in line]
    assert len(lines) == 1 and lines[0].startswith("error: "), said
    return lines[0]


# ---- the code of a checkpoint ---------------------------------------------------------------------------------------


def small_training(folder: Path, data: Path, **changes) -> list[str]:
    """Arguments that both trainings share, of one step."""
    options = {"model": folder, "annotations": data / "annotations", "videos": data / "videos", "max_steps": 1}
    options |= {"use_cpu": True, "report_to": "none", "disable_tqdm": True, "dataloader_num_workers": 0, **changes}
    return [f"--{name}={value}" for name, value in options.items()]


def train_both(folder: Path, data: Path, output: Path, **for_sft) -> tuple[Path, Path]:
    """One step of the scorer in a checkpoint, then of an adapter on the result: both results."""
    changes = {"per_device_train_batch_size": 2, "eval_steps": 1, "save_steps": 1, "patience": 0}
    train_scorer.main(small_training(folder, data, output_dir=output / "scorer", validation_share=0.5, **changes))
    scored = output / "scorer" / "checkpoint"
    changes = {
        "global_batch_size": 4,
        "num_frames": 2,
        "sample_steps": 0,
        "levels": "video",
        "gradient_checkpointing": False,
        **for_sft,
    }
    train_sft.main(small_training(scored, data, output_dir=output / "sft", **changes))
    return scored, output / "sft" / "adapter"


def test_from_the_papers_base_through_both_trainings_whatever_code_is_carried(
    original56, checkpoint56, clip, tmp_path, capsys
):
    base = tmp_path / "base"
    assert cli.main(command("convert", original56, clip, base)) == 0  # without a scorer, as InternVL2-2B comes
    for path in base.glob("*.py"):  # of another version: here, such that cannot even be imported
        path.write_text("raise RuntimeError('ran the code of the checkpoint')")
    capsys.readouterr()
    assert cli.main(command("analyze", base, clip, tmp_path)) == 0
    assert f"warning: {UNTRAINED_SCORER_WARNING}" in capsys.readouterr().err
    scored, tuned = train_both(base, write_data(tmp_path), tmp_path / "out")
    assert json.loads((tuned / "training.json").read_text())["base_digest"] == language_digest(scored)
    assert cli.main(["merge", "--adapter", str(tuned), "--output", str(tmp_path / "merged")]) == 0
    for folder in (scored, tmp_path / "merged"):  # what is saved carries the code of today
        names = {path.name for path in folder.glob("*.py")}
        assert names == {path.name for path in checkpoint56.glob("*.py")}
        assert all((folder / name).read_text() == (checkpoint56 / name).read_text() for name in names)
    capsys.readouterr()
    assert cli.main(command("analyze", tmp_path / "merged", clip, tmp_path)) == 0
    out, err = capsys.readouterr()
    assert "answer" in out and "warning" not in err
    assert type(load_answerer(str(base), device="cpu").model).__module__.startswith("modeling_holmes_vau.")


def test_code_is_not_asked_about_before_the_format_is_known(original56, native, clip, tmp_path, monkeypatch, capsys):
    asked = []
    monkeypatch.setattr(builtins, "input", lambda *words: asked.append(words) or "n")
    original, own = copy_of(original56, tmp_path / "original"), copy_of(native, tmp_path / "native")
    for folder in (original, own):
        config = json.loads((folder / "config.json").read_text())
        names = {"AutoConfig": "code.Config", "AutoModel": "code.Model", "AutoModelForImageTextToText": "code.Model"}
        write_json(folder / "config.json", {**config, "auto_map": names})
        settings = json.loads((folder / "tokenizer_config.json").read_text())
        names = {"AutoTokenizer": ["code.Tokenizer", None], "AutoProcessor": "code.Processor"}
        write_json(folder / "tokenizer_config.json", {**settings, "auto_map": names})
        (folder / "code.py").write_text("raise SystemExit('ran the code of the checkpoint')")
    assert "holmes-vau convert --checkpoint" in error_of(capsys, command("analyze", original, clip, tmp_path))
    strange = copy_of(own, tmp_path / "strange")
    write_json(strange / "config.json", {"model_type": "strange", "auto_map": {"AutoConfig": "code.Config"}})
    for folder, of_training, of_evaluation in (
        (original, "holmes-vau convert --checkpoint", "holmes-vau convert --checkpoint"),
        (own, "expected a checkpoint of type holmes_vau, got 'internvl'", "cannot be used"),
        (strange, "expected a checkpoint of type holmes_vau, got 'strange'", "--trust-remote-code runs it"),
    ):
        with pytest.raises(ValueError, match=of_training):
            train_scorer.main(small_training(folder, tmp_path, output_dir=tmp_path / "out"))
        with pytest.raises(ValueError, match=of_evaluation):
            load_answerer(str(folder), device="cpu")
    with pytest.raises(ValueError, match="holmes-vau convert"):
        train_sft.main(["--dry-run=true", f"--model={original}", "--use-cpu=true"])
    train_sft.main(["--dry-run=true", f"--model={own}", "--use-cpu=true"])
    assert cli.main(command("convert", original, clip, tmp_path / "converted")) == 0
    assert cli.main(command("init", own, clip, tmp_path / "mine")) == 0
    assert not asked


def test_the_original_layout_is_offered_a_command_that_runs(original56, clip, tmp_path, monkeypatch, capsys):
    folder = copy_of(original56, tmp_path / "my models" / "HolmesVAU-2B")
    line = error_of(capsys, command("analyze", folder, clip, tmp_path))
    monkeypatch.chdir(tmp_path)
    words = shlex.split(line[line.index("holmes-vau convert") :])
    assert words[:2] == ["holmes-vau", "convert"] and words[-1] == "HolmesVAU-2B-converted"
    assert cli.main(words[1:]) == 0
    assert json.loads((tmp_path / words[-1] / "config.json").read_text()).get("warning") is None  # it has the scorer


# ---- small files ----------------------------------------------------------------------------------------------------


JSONS = {
    "convert": ("config.json", "tokenizer_config.json", "added_tokens.json"),
    "init": ("config.json", "tokenizer_config.json", "tokenizer.json"),
    "merge": ("adapter_config.json", "training.json", "processor_config.json", "tokenizer_config.json"),
    "analyze": ("config.json", "processor_config.json", "tokenizer_config.json", "generation_config.json"),
}
BROKEN = {"cut": b'{"model_type": "hol', "empty": b"", "list": b"[1, 2]", "number": b"7", "binary": b"\xff\xfe{\x00"}


@pytest.mark.parametrize(("name", "file"), [(name, file) for name, files in JSONS.items() for file in files])
def test_broken_small_files_are_named_in_a_line(source, name, file, clip, tmp_path, capsys):
    folder = copy_of(source[name], tmp_path / "model")
    whole = (folder / file).read_bytes()
    for content in BROKEN.values():
        (folder / file).write_bytes(content)
        assert str(folder / file) in error_of(capsys, command(name, folder, clip, tmp_path / "out"))
    (folder / file).write_bytes((FIXTURES / "lfs_pointer_tokenizer.model").read_bytes())
    line = error_of(capsys, command(name, folder, clip, tmp_path / "out"))
    assert f"{folder / file}: a git-lfs pointer, not the file: run git lfs pull" in line
    (folder / file).write_bytes(whole)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", JSONS)
def test_small_files_with_a_byte_order_mark_are_read(source, name, clip, tmp_path):
    folder = copy_of(source[name], tmp_path / "model")
    for file in JSONS[name]:
        (folder / file).write_bytes(BOM + (folder / file).read_bytes())
    assert cli.main(command(name, folder, clip, tmp_path / "out")) == 0


@pytest.mark.parametrize(
    ("file", "changes", "said"),
    [
        ("config.json", {"llm_config": [1]}, "`llm_config` must be an object, got [1]"),
        ("config.json", {"vision_config": "big"}, '`vision_config` must be an object, got "big"'),
        ("config.json", {"llm_config": {"model_type": "internlm2", "rope_scaling": [2]}}, "must have a `type`"),
        ("config.json", {"llm_config": {"model_type": "internlm2", "hidden_size": "wide"}}, "hidden_size"),
        ("tokenizer_config.json", {"added_tokens_decoder": ["<s>"]}, "`added_tokens_decoder` must be an object"),
        ("tokenizer_config.json", {"added_tokens_decoder": {"one": {}}}, "numbers to tokens with `content`"),
        ("added_tokens.json", {"<img>": None}, "must map tokens to numbers"),
    ],
)
def test_small_files_of_another_form_are_one_line(original56, file, changes, said, clip, tmp_path, capsys):
    folder = copy_of(original56, tmp_path / "model")
    write_json(folder / file, {**json.loads((folder / file).read_text()), **changes})
    assert said in error_of(capsys, command("convert", folder, clip, tmp_path / "out"))


# ---- weights --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["convert", "init", "analyze"])
def test_it_must_be_clear_which_files_are_the_weights(source, name, clip, tmp_path, capsys):
    folder = copy_of(source[name], tmp_path / "model")
    weights, words = folder / "model.safetensors", command(name, folder, clip, tmp_path / "out")
    shards = [folder / f"model-0000{number}-of-00002.safetensors" for number in (1, 2)]
    state = load_file(weights)
    half = len(state) // 2
    for shard, names in zip(shards, (list(state)[:half], list(state)[half:])):
        save_file({key: state[key] for key in names}, shard, {"format": "pt"})
    line = error_of(capsys, words)
    assert "model.safetensors lies beside model-00001-of-00002.safetensors" in line
    weights.unlink()
    index = folder / "model.safetensors.index.json"
    write_json(index, {"weight_map": dict.fromkeys(state, shards[0].name)})
    assert f"{index}: does not name {shards[1].name}" in error_of(capsys, words)
    write_json(index, {"weight_map": dict.fromkeys(state, "model-00003-of-00003.safetensors")})
    assert f"{index}: names model-00003-of-00003.safetensors, which is not there" in error_of(capsys, words)
    for broken in ({}, {"weight_map": []}, {"weight_map": {"a": 1}}, {"weight_map": {}}):
        write_json(index, broken)
        assert str(index) in error_of(capsys, words)
    named = {key: shards[key not in list(state)[:half]].name for key in state}
    write_json(index, {"metadata": {}, "weight_map": named})
    torch.save({}, folder / "pytorch_model.bin")  # a copy in the older form is no matter
    assert cli.main(words) == 0
    if name == "convert":  # the release has no index, if by mistake
        index.unlink()
        shards[1].unlink()
        assert "shard 2 is missing, of model-00001-of-00002.safetensors" in error_of(
            capsys, command(name, folder, clip, tmp_path / "other")
        )


@pytest.mark.parametrize("name", ["convert", "init", "analyze"])
@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.int8])
def test_quantised_weights_without_scales_are_refused(source, name, dtype, clip, tmp_path, capsys):
    folder = copy_of(source[name], tmp_path / "model")
    weights = folder / "model.safetensors"
    state = load_file(weights)
    key = next(key for key in state if key.endswith(("wo.weight", "layers.0.self_attn.o_proj.weight")))
    state[key] = state[key].to(dtype)
    weights.unlink()
    save_file(state, weights, {"format": "pt"})
    line = error_of(capsys, command(name, folder, clip, tmp_path / "out"))
    assert f"{weights}: {key} is stored as {str(dtype)[6:]}, which is quantised" in line


@pytest.mark.parametrize("name", ["convert", "init", "merge", "analyze"])
def test_pointers_in_place_of_weights_are_named(source, name, clip, tmp_path, capsys):
    folder = copy_of(source[name], tmp_path / "model")
    weights = folder / ("adapter_model.safetensors" if name == "merge" else "model.safetensors")
    weights.unlink()
    shutil.copy(FIXTURES / "lfs_pointer_tokenizer.model", weights)
    line = error_of(capsys, command(name, folder, clip, tmp_path / "out"))
    assert f"{weights}: a git-lfs pointer, not the file: run git lfs pull" in line


@pytest.mark.parametrize("file", ["tokenizer.model", "anomaly_scorer.pth"])
def test_pointers_in_the_original_layout_are_named(original56, file, clip, tmp_path, capsys):
    folder = copy_of(original56, tmp_path / "model")
    (folder / file).unlink()
    shutil.copy(FIXTURES / "lfs_pointer_tokenizer.model", folder / file)
    words = command("convert", folder, clip, tmp_path / "out")
    words += ["--scorer", str(folder / "anomaly_scorer.pth")]
    assert f"{folder / file}: a git-lfs pointer, not the file: run git lfs pull" in error_of(capsys, words)


# ---- tokens without an embedding ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["init", "analyze"])
def test_a_tokenizer_larger_than_the_embeddings_is_refused(source, name, clip, tmp_path, capsys):
    folder = copy_of(source[name], tmp_path / "model")
    tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    tokenizer.add_tokens(["<one more>"])
    tokenizer.save_pretrained(folder)
    line = error_of(capsys, command(name, folder, clip, tmp_path / "out"))
    assert "the tokenizer has 612 tokens, such as '<one more>', but the model has embeddings of 611" in line


def test_a_tokenizer_larger_than_the_embeddings_is_not_converted(original56, clip, tmp_path, capsys):
    folder = copy_of(original56, tmp_path / "model")
    added = json.loads((folder / "added_tokens.json").read_text())
    write_json(folder / "added_tokens.json", {**added, "<one more>": max(added.values()) + 1})
    line = error_of(capsys, command("convert", folder, clip, tmp_path / "out"))
    assert "the tokenizer has 612 tokens, such as '<one more>', but the model has embeddings of 611" in line
