import pytest
import torch
from safetensors.torch import load_file
from transformers import InternVLConfig, InternVLForConditionalGeneration, LlamaConfig

from modeling_holmes_vau import HolmesVAUForConditionalGeneration, HolmesVAUProcessor, cli
from modeling_holmes_vau.checkpoint_holmes_vau import init_from_base
from modeling_holmes_vau.small_holmes_vau import build_small_tokenizer, small_config


def test_init_keeps_the_base_and_adds_a_seeded_scorer(tmp_path):
    tokenizer = build_small_tokenizer()
    config = small_config(tokenizer, image_size=56, width=32).to_dict()
    kept = {k: config[k] for k in ("vision_config", "text_config", "image_token_id", "image_seq_length")}
    torch.manual_seed(3)
    native = InternVLForConditionalGeneration(InternVLConfig(**kept, tie_word_embeddings=False)).eval()
    native.save_pretrained(tmp_path / "base")
    tokenizer.save_pretrained(tmp_path / "base")
    arguments = ["init", "--base", str(tmp_path / "base"), "--seed", "5"]
    for name in ("one", "two"):
        assert cli.main([*arguments, "--output", str(tmp_path / name)]) == 0
    one, two = (load_file(tmp_path / name / "model.safetensors") for name in ("one", "two"))
    assert one.keys() == two.keys() and all(torch.equal(one[k], two[k]) for k in one)
    model = HolmesVAUForConditionalGeneration.from_pretrained(tmp_path / "one").eval()
    assert model.anomaly_scorer.normal_memory.prototypes.std() > 0.01
    ids, pixels = torch.full((1, 6), config["image_token_id"]), torch.randn(1, 3, 56, 56)
    ids[0, 4:] = 20
    expected = native(input_ids=ids, pixel_values=pixels).logits
    torch.testing.assert_close(model(input_ids=ids, pixel_values=pixels).logits, expected)
    assert HolmesVAUProcessor.from_pretrained(tmp_path / "one").image_size == 56


def test_other_bases_are_refused(tmp_path):
    LlamaConfig().save_pretrained(tmp_path / "llama")
    with pytest.raises(ValueError, match="expected model_type 'internvl'"):
        init_from_base(tmp_path / "llama", tmp_path / "out")
