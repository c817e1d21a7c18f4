"""`holmes-vau export`: what engines load that know nothing of a scorer, and the eyes beside it."""

import json
import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer, InternVLForConditionalGeneration

from modeling_holmes_vau import HolmesVAUForConditionalGeneration, cli
from modeling_holmes_vau.answering import load_answerer
from modeling_holmes_vau.checkpoint.convert import convert
from modeling_holmes_vau.checkpoint.export import export
from modeling_holmes_vau.checkpoint.known import default_checkpoint
from modeling_holmes_vau.checkpoint.load import load_checkpoint, load_eyes
from tests.original import write_qwen2_checkpoint
from tests.videos import write_video


@pytest.fixture(scope="module")
def qwen2(tmp_path_factory):
    """A checkpoint with a Qwen2 language model."""
    folder = tmp_path_factory.mktemp("qwen2")
    original, _ = write_qwen2_checkpoint(folder / "original")
    return convert(original, original / "anomaly_scorer.pth", folder / "converted")


@pytest.fixture(scope="module")
def exported(checkpoint56, tmp_path_factory):
    return export(checkpoint56, tmp_path_factory.mktemp("served") / "exported")


def copy_of(checkpoint, folder):
    return shutil.copytree(checkpoint, folder)


def change(path, **fields):
    """Change fields of a JSON file; those with dots lie within others."""
    settings = json.loads(path.read_text())
    for name, value in fields.items():
        *parents, last = name.split("__")
        place = settings
        for parent in parents:
            place = place[parent]
        place[last] = value
    path.write_text(json.dumps(settings))


def as_messages(frames, question, as_video):
    """A question about frames in the form of chat templates: one video, or pictures with their labels."""
    pictures = [Image.fromarray(frame) for frame in frames]
    shown = [{"type": "video", "video": pictures}]
    if not as_video:
        labelled = zip([f"Frame{number}: " for number in range(1, len(frames) + 1)], pictures)
        shown = [
            part
            for label, image in labelled
            for part in ({"type": "text", "text": label}, dict(type="image", image=image))
        ]
    return [{"role": "user", "content": [*shown, {"type": "text", "text": question}]}]


@pytest.mark.parametrize("kind", ["llama", "qwen2"])
def test_native_internvl_says_the_same(kind, request, checkpoint56, tmp_path):
    checkpoint = checkpoint56 if kind == "llama" else request.getfixturevalue("qwen2")
    folder = export(checkpoint, tmp_path / "exported")
    native, loading = InternVLForConditionalGeneration.from_pretrained(folder, output_loading_info=True)
    assert not any(loading.values())
    # of transformers' own processor, what torchvision is needed for is done by PIL
    processor = load_answerer(str(folder), device="cpu", frames_as="video").processor
    model, ours = load_checkpoint(checkpoint)
    said = set()
    for num_frames, question in ((8, "What happens here?"), (12, "Why do you judge this event to be anomalous?")):
        frames = np.random.default_rng(num_frames).integers(0, 256, (num_frames, 56, 56, 3), np.uint8)
        encoded = model.encode_video(torch.from_numpy(frames).permute(0, 3, 1, 2), selected=list(range(num_frames)))
        inputs = ours.conversation_inputs([[(question, None)]], num_frames)
        expected = model.generate(**inputs, encoded_videos=[encoded], max_new_tokens=12)
        for as_video in (True, False):
            given = processor.apply_chat_template(
                as_messages(frames, question, as_video),
                add_generation_prompt=True,
                tokenize=True,
                return_dict=True,
                return_tensors="pt",
                processor_kwargs={"do_sample_frames": False} if as_video else {},
            )
            assert torch.equal(given["input_ids"], inputs["input_ids"])
            assert torch.equal(native.generate(**given, max_new_tokens=12), expected)
        said.add(tuple(expected[0, -12:].tolist()))
    assert len(said) == 2


def test_every_field_that_engines_ask_for(exported, checkpoint56):
    config, processor = (
        json.loads((exported / f"{name}.json").read_text()) for name in ("config", "processor_config")
    )
    assert config["model_type"] == "internvl" and config["architectures"] == ["InternVLForConditionalGeneration"]
    assert config["tie_word_embeddings"] is False and config["text_config"]["tie_word_embeddings"] is False
    assert config["vision_config"]["image_size"] == [56, 56] and config["vision_config"]["patch_size"] == [14, 14]
    assert processor["processor_class"] == "InternVLProcessor" and processor["image_seq_length"] == 4
    for part in (processor["image_processor"], processor["video_processor"]):
        assert part["size"] == {"height": 56, "width": 56}
        assert part["image_mean"] == [0.485, 0.456, 0.406] and part["image_std"] == [0.229, 0.224, 0.225]
    assert processor["image_processor"]["crop_to_patches"] is False
    assert "auto_map" not in "".join(path.read_text() for path in exported.glob("*.json"))
    assert not [*exported.rglob("*.py")]
    weights = load_file(exported / "model.safetensors")
    assert not [name for name in weights if name.startswith("anomaly_scorer")] and "lm_head.weight" in weights
    tokenizer = AutoTokenizer.from_pretrained(exported)
    names = ("start_image_token", "end_image_token", "context_image_token", "video_token")
    assert [getattr(tokenizer, name) for name in names] == ["<img>", "</img>", "<IMG_CONTEXT>", "<video>"]
    rows = config["text_config"]["vocab_size"]
    assert tokenizer("<video>", add_special_tokens=False)["input_ids"] == [tokenizer.video_token_id]
    # the vocabulary of this checkpoint has no free row and no unused token: it grew by one
    assert tokenizer.video_token_id == 611 == rows - 1 == len(weights["lm_head.weight"]) - 1
    assert torch.equal(weights["lm_head.weight"][611], weights["lm_head.weight"][config["image_token_id"]])
    # an engine ends answers at the tokenizer's own end as well: it must be the one that ends ours
    assert tokenizer.eos_token == "<|im_end|>"
    assert tokenizer.eos_token_id == json.loads((exported / "generation_config.json").read_text())["eos_token_id"]
    template = (exported / "chat_template.jinja").read_text()
    assert "你是由上海人工智能实验室" in template and "<|im_end|>\\n" not in template
    assert template.startswith('{{- "<s>" -}}')  # which our tokenizer puts in front, and servers do not


def test_a_free_row_and_an_unused_token_are_taken_before_a_new_row(qwen2, checkpoint56, tmp_path):
    weights = load_file(qwen2 / "model.safetensors")
    rows = len(weights["lm_head.weight"])
    padded = copy_of(qwen2, tmp_path / "padded")
    for name in ("lm_head.weight", "model.language_model.embed_tokens.weight"):
        weights[name] = torch.cat((weights[name], torch.zeros(5, weights[name].shape[1])))
    save_file(weights, padded / "model.safetensors")
    change(padded / "config.json", text_config__vocab_size=rows + 5)
    folder = export(padded, tmp_path / "padded_exported")
    assert AutoTokenizer.from_pretrained(folder).video_token_id == rows
    assert len(load_file(folder / "model.safetensors")["lm_head.weight"]) == rows + 5

    spare = copy_of(checkpoint56, tmp_path / "spare")
    tokens = json.loads((spare / "tokenizer.json").read_text())
    words = tokens["model"]["vocab"]
    last = max((word for word in words if word not in str(tokens["model"]["merges"])), key=words.get)
    words["[UNUSED_TOKEN_1]"] = words.pop(last)
    tokens["added_tokens"] = [token for token in tokens["added_tokens"] if token["content"] != last]
    (spare / "tokenizer.json").write_text(json.dumps(tokens))
    before = AutoTokenizer.from_pretrained(spare).convert_tokens_to_ids("[UNUSED_TOKEN_1]")
    folder = export(spare, tmp_path / "spare_exported")
    assert AutoTokenizer.from_pretrained(folder).video_token_id == before < 611
    assert len(load_file(folder / "model.safetensors")["lm_head.weight"]) == 611


def test_tied_embeddings_stay_tied(qwen2, tmp_path):
    tied = copy_of(qwen2, tmp_path / "tied")
    weights = load_file(tied / "model.safetensors")
    del weights["lm_head.weight"]
    save_file(weights, tied / "model.safetensors")
    change(tied / "config.json", tie_word_embeddings=True, text_config__tie_word_embeddings=True)
    folder = export(tied, tmp_path / "out")
    assert "lm_head.weight" not in load_file(folder / "model.safetensors")
    native, loading = InternVLForConditionalGeneration.from_pretrained(folder, output_loading_info=True)
    assert not loading["unexpected_keys"] and not loading["missing_keys"]
    ours = HolmesVAUForConditionalGeneration.from_pretrained(tied)
    ids = torch.arange(10, 30)[None]
    rows = ours.config.text_config.vocab_size
    torch.testing.assert_close(native(input_ids=ids).logits[..., :rows], ours(input_ids=ids).logits)
    assert torch.equal(native.lm_head.weight, native.get_input_embeddings().weight)


def test_what_cannot_be_expressed_is_refused_before_anything_is_written(checkpoint56, tmp_path, capsys):
    def refused(checkpoint):
        arguments = ["export", "--for", "vllm", "--checkpoint", str(checkpoint), "--output", str(tmp_path / "out")]
        assert cli.main(arguments) == 1
        assert not (tmp_path / "out").exists() and not [*tmp_path.glob(".out*")]
        return capsys.readouterr().err

    said = refused(default_checkpoint())
    assert "its vision tower is a resnet" in said and "InternViT" in said and said.count("\n") == 1
    broken = copy_of(checkpoint56, tmp_path / "broken")
    change(broken / "processor_config.json", image_size=112, image_seq_length=16)
    said = refused(broken)
    assert "frames of 112 px" in said and "a frame has 4 tokens, but its processor counts 16" in said
    weights = load_file(checkpoint56 / "model.safetensors")
    weights["model.rotary.table"] = torch.zeros(3)
    del weights["model.multi_modal_projector.linear_1.bias"]
    broken = copy_of(checkpoint56, tmp_path / "weights")
    save_file(weights, broken / "model.safetensors")
    said = refused(broken)
    assert "unmapped: model.rotary.table (3,)" in said
    assert "missing: model.multi_modal_projector.linear_1.bias (96,)" in said
    assert "expected a checkpoint of type holmes_vau, got 'internvl'" in refused(
        export(checkpoint56, tmp_path / "once")
    )


def test_shards_hold_the_same_weights(checkpoint56, exported, tmp_path):
    folder = export(checkpoint56, tmp_path / "out", shard_bytes=300_000)
    assert len([*folder.glob("model-*-of-*.safetensors")]) > 1
    whole = load_file(exported / "model.safetensors")
    parts = {name: tensor for path in folder.glob("*.safetensors") for name, tensor in load_file(path).items()}
    assert parts.keys() == whole.keys() and all(torch.equal(parts[name], whole[name]) for name in whole)


def test_eyes_see_the_same_and_hold_nothing_else(checkpoint56, exported, model56):
    frames = torch.randint(0, 256, (30, 3, 56, 56), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    for folder in (exported / "eyes", checkpoint56):
        eyes, processor = load_eyes(folder)
        torch.testing.assert_close(eyes.score_frames(frames), model56.score_frames(frames), atol=1e-6, rtol=1e-5)
        parts = (model56.model.vision_tower, model56.anomaly_scorer)
        expected = sum(weight.numel() for part in parts for weight in part.parameters())
        held = [*eyes.parameters(), *eyes.buffers()]
        assert sum(weight.numel() for weight in held) == expected and not any(weight.is_meta for weight in held)
        assert processor.num_frames == 12 and processor.image_size == 56
        with pytest.raises(ValueError, match="without a language model: pass --endpoint URL"):
            eyes.generate(input_ids=torch.ones(1, 4, dtype=torch.long))


def test_eyes_of_the_model_in_the_box_know_what_is_familiar():
    eyes, _ = load_eyes(default_checkpoint())
    whole, _ = load_checkpoint(default_checkpoint())
    frames = torch.randint(0, 256, (5, 3, 128, 128), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(eyes.score_frames(frames), whole.score_frames(frames), atol=1e-6, rtol=1e-5)
    assert torch.equal(eyes.familiarity.mean, whole.familiarity.mean) and eyes.config.warning == whole.config.warning


def test_eyes_alone_say_no_words(exported, tmp_path, capsys):
    video = write_video(tmp_path / "clip.mp4", num_frames=40)
    assert cli.main(["analyze", str(video), "--model", str(exported / "eyes"), "--device", "cpu"]) == 1
    said = capsys.readouterr().err
    assert "without a language model" in said and "--endpoint URL" in said and said.count("\n") == 1
