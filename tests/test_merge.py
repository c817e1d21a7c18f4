"""`holmes-vau merge`: an adapter and its base become one checkpoint that answers as both do together."""

import json

import pytest
import torch
from peft import PeftModel, get_peft_model
from safetensors.torch import save_file
from transformers import AutoModel, AutoProcessor, InternVLConfig, InternVLForConditionalGeneration

from modeling_holmes_vau import HolmesVAUForConditionalGeneration, cli, merge_holmes_vau
from modeling_holmes_vau.checkpoint_holmes_vau import UNTRAINED_LANGUAGE_WARNING
from modeling_holmes_vau.merge_holmes_vau import _store_half, write_adapter_notes
from modeling_holmes_vau.sft_holmes_vau import lora_config


def write_adapter(model, base, folder):
    """An adapter with random weights, as training leaves it."""
    model.name_or_path = str(base)
    tuned = get_peft_model(model, lora_config(r=4))
    torch.manual_seed(0)
    for name, parameter in tuned.named_parameters():
        if "lora_" in name:
            torch.nn.init.normal_(parameter, std=0.1)
    tuned.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def adapter(checkpoint56, processor56, tmp_path_factory):
    """An adapter on the converted checkpoint, trained with 5 frames and the uniform sampler."""
    model = HolmesVAUForConditionalGeneration.from_pretrained(checkpoint56)
    folder = write_adapter(model, checkpoint56, tmp_path_factory.mktemp("adapter"))
    number, processor56.num_frames = processor56.num_frames, 5
    processor56.save_pretrained(folder)
    processor56.num_frames = number
    write_adapter_notes(folder, str(checkpoint56), {"sampler": "uniform", "num_frames": 5})
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
    assert processor.num_frames == merged.config.num_frames == 5 and merged.config.sampler == "uniform"
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


def test_values_beyond_16_bits_are_not_halved(tmp_path):
    save_file({"a.weight": torch.tensor([1e5])}, tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match="a.weight holds values beyond 65504.*without --half"):
        _store_half(tmp_path)


def test_the_language_model_is_trained_then(adapter, checkpoint56, tmp_path):
    base = tmp_path / "base"
    base.mkdir()
    for path in checkpoint56.iterdir():
        if path.is_file():
            (base / path.name).symlink_to(path)
    config = json.loads((base / "config.json").read_text())
    (base / "config.json").unlink()
    (base / "config.json").write_text(json.dumps({**config, "warning": UNTRAINED_LANGUAGE_WARNING}))
    output = tmp_path / "merged"
    assert cli.main(["merge", "--adapter", str(adapter), "--base", str(base), "--output", str(output)]) == 0
    assert json.loads((output / "config.json").read_text()).get("warning") is None


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


def test_the_processor_of_a_hub_base_is_fetched(tmp_path, monkeypatch):
    def snapshot_download(name, allow_patterns):
        assert name == "their/model" and "*.json" in allow_patterns and not any("safe" in p for p in allow_patterns)
        (tmp_path / "hub").mkdir()
        for file in ("preprocessor_config.json", "config.json", "model.safetensors.index.json"):
            (tmp_path / "hub" / file).write_text(file)
        return str(tmp_path / "hub")

    monkeypatch.setattr(merge_holmes_vau, "snapshot_download", snapshot_download)
    folder = tmp_path / "merged"
    folder.mkdir()
    (folder / "config.json").write_text("of the merged model")
    merge_holmes_vau.copy_companions("their/model", folder)
    assert {path.name for path in folder.iterdir()} == {"preprocessor_config.json", "config.json"}
    assert (folder / "config.json").read_text() == "of the merged model"


def test_what_is_no_adapter_is_refused(checkpoint56, tmp_path, capsys):
    assert cli.main(["merge", "--adapter", str(checkpoint56), "--output", str(tmp_path / "out")]) == 1
    assert "no adapter_config.json" in capsys.readouterr().err and not (tmp_path / "out").exists()
