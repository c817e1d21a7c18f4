"""`holmes-vau merge`: an adapter and its base become one checkpoint that answers as both do together."""

import json
import shutil

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from transformers import AutoModel, AutoProcessor, InternVLConfig, InternVLForConditionalGeneration

from modeling_holmes_vau import HolmesVAUForConditionalGeneration, cli
from modeling_holmes_vau.checkpoint.build import (
    SYNTHETIC_LANGUAGE_WARNING,
    SYNTHETIC_SCORER_WARNING,
    SYNTHETIC_WARNING,
    UNTRAINED_LANGUAGE_WARNING,
)
from modeling_holmes_vau.checkpoint.merge import copy_companions, store_half, write_adapter_notes
from modeling_holmes_vau.checkpoint.weights import language_digest
from tests.adapters import write_adapter


@pytest.fixture(scope="module")
def adapter(checkpoint56, processor56, tmp_path_factory):
    """An adapter on the converted checkpoint, trained with 5 frames and the uniform sampler."""
    model = HolmesVAUForConditionalGeneration.from_pretrained(checkpoint56)
    folder = write_adapter(model, checkpoint56, tmp_path_factory.mktemp("adapter"))
    number, processor56.num_frames = processor56.num_frames, 5
    processor56.save_pretrained(folder)
    processor56.num_frames = number
    settings = {"sampler": "uniform", "num_frames": 5, "base_digest": language_digest(checkpoint56)}
    write_adapter_notes(folder, str(checkpoint56), settings)
    return folder


def inputs_for(model) -> dict:
    token = model.config.image_token_id
    ids = torch.tensor([[5, *[token] * 8, 11, 12, 13, 14]])
    return {"input_ids": ids, "pixel_values": torch.randn(2, 3, 56, 56, generator=torch.Generator().manual_seed(0))}


@torch.no_grad()
def test_merged_equals_adapter_and_base(adapter, checkpoint56, tmp_path, capsys):
    assert cli.main(["merge", "--adapter", str(adapter), "--output", str(tmp_path / "merged")]) == 0
    assert capsys.readouterr().out == f"wrote {tmp_path / 'merged'}\n"
    base = AutoModel.from_pretrained(checkpoint56, trust_remote_code=True).eval()
    inputs = inputs_for(base)
    untuned = base(**inputs).logits
    both = PeftModel.from_pretrained(base, adapter).eval()
    merged = AutoModel.from_pretrained(tmp_path / "merged", trust_remote_code=True).eval()
    assert type(merged).__module__.startswith("transformers_modules.")
    torch.testing.assert_close(merged(**inputs).logits, both(**inputs).logits, atol=1e-4, rtol=1e-4)
    assert (merged(**inputs).logits - untuned).abs().max() > 0.01
    scorer = both.base_model.model.anomaly_scorer.state_dict()
    assert all(torch.equal(scorer[name], weight) for name, weight in merged.anomaly_scorer.state_dict().items())
    processor = AutoProcessor.from_pretrained(tmp_path / "merged", trust_remote_code=True)
    assert processor.num_frames == 5 and merged.config.sampler == "uniform"
    assert (tmp_path / "merged" / "modeling_holmes_vau.py").is_file() and (tmp_path / "merged" / "README.md").is_file()


@torch.no_grad()
def test_half_the_file_computes_in_full_precision(adapter, tmp_path, capsys):
    for name, options in (("whole", []), ("half", ["--half"])):
        assert cli.main(["merge", "--adapter", str(adapter), "--output", str(tmp_path / name), *options]) == 0
    whole, half = (AutoModel.from_pretrained(tmp_path / name, trust_remote_code=True) for name in ("whole", "half"))
    assert half.dtype == torch.float32
    inputs = inputs_for(whole)
    torch.testing.assert_close(half(**inputs).logits, whole(**inputs).logits, atol=0.02, rtol=0.02)
    sizes = [(tmp_path / name / "model.safetensors").stat().st_size for name in ("whole", "half")]
    assert sizes[1] < 0.52 * sizes[0]


@torch.no_grad()
def test_a_part_of_an_adapter_lies_between_base_and_tuned(adapter, checkpoint56, tmp_path):
    for name, options in (("whole", []), ("part", ["--scale", "0.25"])):
        assert cli.main(["merge", "--adapter", str(adapter), "--output", str(tmp_path / name), *options]) == 0
    folders = (checkpoint56, tmp_path / "whole", tmp_path / "part")
    base, whole, part = (HolmesVAUForConditionalGeneration.from_pretrained(folder).state_dict() for folder in folders)
    changed = [key for key in base if not torch.equal(base[key], whole[key])]
    assert len(changed) > 5
    for key in base:
        torch.testing.assert_close(part[key], base[key] + 0.25 * (whole[key] - base[key]), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("scale", "whole", "said"),
    [
        ("0", None, "`scale` must be above 0 and at most 1, got 0"),
        ("1.5", None, "`scale` must be above 0 and at most 1, got 1.5"),
        ("0.5", ["lm_head"], "lm_head learned in full, and no scale of an adapter takes that back: merge it without"),
    ],
)
def test_a_scale_that_cannot_be_is_told(adapter, tmp_path, capsys, scale, whole, said):
    folder = shutil.copytree(adapter, tmp_path / "adapter")
    settings = json.loads((folder / "adapter_config.json").read_text())
    (folder / "adapter_config.json").write_text(json.dumps({**settings, "modules_to_save": whole}))
    words = ["merge", "--adapter", str(folder), "--output", str(tmp_path / "out"), "--scale", scale]
    assert cli.main(words) == 1 and said in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_values_beyond_16_bits_are_not_halved(tmp_path):
    save_file({"a.weight": torch.tensor([1e5])}, tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match="a.weight holds values beyond 65504.*without --half"):
        store_half(tmp_path)


@pytest.mark.parametrize(
    ("before", "on_synthetic", "after"),
    [
        (UNTRAINED_LANGUAGE_WARNING, False, None),
        (UNTRAINED_LANGUAGE_WARNING, True, SYNTHETIC_LANGUAGE_WARNING),
        (SYNTHETIC_WARNING, False, SYNTHETIC_SCORER_WARNING),
        (SYNTHETIC_WARNING, True, SYNTHETIC_WARNING),
        (None, True, None),
    ],
)
def test_the_language_model_is_trained_then(adapter, checkpoint56, tmp_path, before, on_synthetic, after):
    tuned = tmp_path / "adapter"
    shutil.copytree(adapter, tuned)
    notes = json.loads((tuned / "training.json").read_text())
    (tuned / "training.json").write_text(json.dumps({**notes, "synthetic": on_synthetic}))
    base = tmp_path / "base"
    base.mkdir()
    for path in checkpoint56.iterdir():
        if path.is_file():
            (base / path.name).symlink_to(path)
    config = json.loads((base / "config.json").read_text())
    (base / "config.json").unlink()
    (base / "config.json").write_text(json.dumps({**config, "warning": before}))
    output = tmp_path / "merged"
    assert cli.main(["merge", "--adapter", str(tuned), "--base", str(base), "--output", str(output)]) == 0
    assert json.loads((output / "config.json").read_text()).get("warning") == after
    assert (f"**Warning**: {after}." in (output / "README.md").read_text()) == (after is not None)


def test_a_native_base_stays_native(model56, processor56, tmp_path):
    config = model56.config.to_dict()
    kept = {k: config[k] for k in ("vision_config", "text_config", "image_token_id", "image_seq_length")}
    native = InternVLForConditionalGeneration(InternVLConfig(**kept, tie_word_embeddings=False)).eval()
    native.save_pretrained(tmp_path / "native")
    processor56.tokenizer.save_pretrained(tmp_path / "native")
    (tmp_path / "native" / "preprocessor_config.json").write_text("{}")
    adapter = write_adapter(native, tmp_path / "native", tmp_path / "adapter")
    processor56.tokenizer.save_pretrained(adapter)
    output = tmp_path / "merged"
    assert cli.main(["merge", "--adapter", str(adapter), "--output", str(output)]) == 0
    merged, native = InternVLForConditionalGeneration.from_pretrained(output).eval(), native.eval()
    inputs = inputs_for(merged)
    torch.testing.assert_close(merged(**inputs).logits, native(**inputs).logits, atol=1e-4, rtol=1e-4)
    assert (output / "preprocessor_config.json").is_file() and (output / "tokenizer.json").is_file()


def test_companions_are_what_the_merged_model_has_not(tmp_path):
    for name in ("base", "merged"):
        (tmp_path / name).mkdir()
    for file in ("preprocessor_config.json", "config.json", "model.safetensors.index.json", "code.py"):
        (tmp_path / "base" / file).write_text(file)
    folder = tmp_path / "merged"
    (folder / "config.json").write_text("of the merged model")
    copy_companions(tmp_path / "base", folder)
    assert {path.name for path in folder.iterdir()} == {"preprocessor_config.json", "config.json"}
    assert (folder / "config.json").read_text() == "of the merged model"


def test_what_is_no_adapter_is_refused(checkpoint56, tmp_path, capsys):
    assert cli.main(["merge", "--adapter", str(checkpoint56), "--output", str(tmp_path / "out")]) == 1
    assert "no adapter_config.json" in capsys.readouterr().err and not (tmp_path / "out").exists()


def of_changed_weights(folder, target, change):
    """A copy of a checkpoint folder whose weights `change` took and gave back."""
    target.mkdir()
    for path in folder.iterdir():
        if path.is_file() and path.suffix != ".safetensors":
            (target / path.name).symlink_to(path)
    weights = change(load_file(folder / "model.safetensors"))
    save_file({name: weight.contiguous() for name, weight in weights.items()}, target / "model.safetensors")
    return target


def of_language(name: str) -> bool:
    return ".language_model." in name


@pytest.mark.parametrize(
    ("change", "is_same"),
    [
        (lambda weights: {k: v.double() if of_language(k) else v for k, v in weights.items()}, True),
        (
            lambda weights: {k.replace("model.language_model.", "language_model.model."): weights[k] for k in weights},
            True,
        ),
        (lambda weights: {k: v if of_language(k) else v + 1 for k, v in weights.items()}, True),  # another scorer
        (lambda weights: {k: v.half() if of_language(k) else v for k, v in weights.items()}, False),
        (
            lambda weights: {
                k: v * 1.001 if k.endswith("layers.1.mlp.up_proj.weight") else v for k, v in weights.items()
            },
            False,
        ),
    ],
)
def test_the_digest_is_of_the_values_that_lora_adapts(checkpoint56, tmp_path, change, is_same):
    other = of_changed_weights(checkpoint56, tmp_path / "other", change)
    assert (language_digest(other) == language_digest(checkpoint56)) == is_same


def test_a_base_in_16_bits_may_be_stored_in_32(checkpoint56, tmp_path):
    half = of_changed_weights(
        checkpoint56, tmp_path / "half", lambda weights: {k: v.bfloat16() for k, v in weights.items()}
    )
    whole = of_changed_weights(half, tmp_path / "whole", lambda weights: {k: v.float() for k, v in weights.items()})
    assert language_digest(half) == language_digest(whole) != language_digest(checkpoint56)


@pytest.mark.parametrize("options", [[], ["--half"]])
def test_an_adapter_is_merged_into_its_own_base_and_once(adapter, checkpoint56, tmp_path, capsys, options):
    def merge(base, output) -> str:
        words = ["merge", "--adapter", str(adapter), "--base", str(base), "--output", str(tmp_path / output), *options]
        status = cli.main(words)
        said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
        assert status == len(said) == (not (tmp_path / output).exists())
        return "".join(said)

    assert merge(checkpoint56, "merged") == ""
    refused = f"is not the one that {adapter} was trained on"
    assert f"--base {tmp_path / 'merged'}: its language model {refused}" in merge(tmp_path / "merged", "twice")
    other = of_changed_weights(
        checkpoint56, tmp_path / "other", lambda weights: {k: v + 0.01 for k, v in weights.items()}
    )
    assert refused in merge(other, "of another")


def test_an_adapter_that_does_not_tell_its_base_is_merged_with_a_warning(adapter, checkpoint56, tmp_path, caplog):
    """Adapters of earlier versions."""
    older = tmp_path / "older"
    shutil.copytree(adapter, older)
    (older / "training.json").write_text('{"sampler": "uniform", "num_frames": 5}')
    assert cli.main(["merge", "--adapter", str(older), "--output", str(tmp_path / "merged")]) == 0
    (said,) = [record.getMessage() for record in caplog.records if "could not be checked" in record.getMessage()]
    assert str(older) in said and str(checkpoint56) in said


def test_a_base_that_is_gone_is_one_line(adapter, tmp_path, capsys):
    moved = tmp_path / "moved"
    shutil.copytree(adapter, moved)
    config = json.loads((moved / "adapter_config.json").read_text())
    for base, said in (
        (str(tmp_path / "gone"), "gone: no such folder"),
        (None, "does not tell its base: pass the --base"),
    ):
        (moved / "adapter_config.json").write_text(json.dumps({**config, "base_model_name_or_path": base}))
        assert cli.main(["merge", "--adapter", str(moved), "--output", str(tmp_path / "out")]) == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert said in line
