import pytest
import torch
from safetensors.torch import load_file
from transformers import InternVLConfig, InternVLForConditionalGeneration, LlamaConfig

from modeling_holmes_vau import AnomalyScorer, HolmesVAUForConditionalGeneration, HolmesVAUProcessor, cli
from modeling_holmes_vau.checkpoint.build import UNTRAINED_SCORER_WARNING
from modeling_holmes_vau.checkpoint.create import init_from_base
from modeling_holmes_vau.checkpoint.small import build_small_tokenizer, small_config


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


def test_init_takes_the_original_layout_too(original56, checkpoint56, tmp_path):
    """As the paper's own base comes, InternVL2-2B: what `convert` makes of it without a scorer."""
    words = ["--seed", "5", "--num-frames", "7", "--output"]
    assert cli.main(["init", "--base", str(original56), *words, str(tmp_path / "one")]) == 0
    assert cli.main(["convert", "--checkpoint", str(original56), *words, str(tmp_path / "two")]) == 0
    one, two = (load_file(tmp_path / name / "model.safetensors") for name in ("one", "two"))
    released = load_file(checkpoint56 / "model.safetensors")
    assert one.keys() == two.keys() == released.keys() and all(torch.equal(one[k], two[k]) for k in one)
    changed = {k for k in one if not torch.equal(one[k], released[k])}
    assert changed == {k for k in one if k.startswith("anomaly_scorer.")}
    model = HolmesVAUForConditionalGeneration.from_pretrained(tmp_path / "one")
    torch.manual_seed(5)
    fresh = AnomalyScorer(model.config.scorer_config).state_dict()
    assert all(torch.equal(fresh[name], weight) for name, weight in model.anomaly_scorer.state_dict().items())
    assert (
        model.config.warning == UNTRAINED_SCORER_WARNING
        and HolmesVAUProcessor.from_pretrained(tmp_path / "one").num_frames == 7
    )
    assert "untrained (seed 5)" in (tmp_path / "one" / "README.md").read_text()


def test_other_bases_are_refused(tmp_path):
    LlamaConfig().save_pretrained(tmp_path / "llama")
    with pytest.raises(ValueError, match="expected a checkpoint of type internvl or internvl_chat, got 'llama'"):
        init_from_base(tmp_path / "llama", tmp_path / "out")


def test_a_small_model_holds_the_frames_of_a_full_sized_one():
    config = small_config(build_small_tokenizer(), image_size=448)
    assert config.image_seq_length == 256 and config.text_config.max_position_embeddings > 16 * 256 + 1024
