"""The convolutional vision tower: its tokens, its frozen statistics, and that a checkpoint with it loads."""

import copy

import pytest
import torch
from transformers import AutoModel, ResNetModel

from modeling_holmes_vau.vision_tower_holmes_vau import ResNetVisionTower
from training import pretrain_vision as pretraining


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    model, _ = pretraining.build_model("a man walks")
    return model.eval()


def test_tokens_are_the_feature_map_after_its_maximum(model):
    tower = model.model.vision_tower
    assert isinstance(tower, ResNetVisionTower)
    plain = ResNetModel(tower.config).eval()
    plain.load_state_dict(tower.state_dict())
    pixels = torch.randn(2, 3, 128, 128)
    tokens, maps = tower(pixels).last_hidden_state, plain(pixels).last_hidden_state
    assert tokens.shape == (2, 65, 192)
    assert torch.equal(tokens[:, 1:].mT.reshape(2, 192, 8, 8), maps)
    assert torch.equal(tokens[:, 0], maps.amax((2, 3)))


def test_training_the_model_leaves_its_statistics(model):
    trained = copy.deepcopy(model).train()
    before = {name: value.clone() for name, value in trained.model.vision_tower.named_buffers()}
    assert before
    trained.encode_frames(torch.randint(0, 256, (2, 3, 128, 128), dtype=torch.uint8))
    after = dict(trained.model.vision_tower.named_buffers())
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_saved_and_loaded(model, tmp_path):
    model.save_pretrained(tmp_path)
    loaded = AutoModel.from_pretrained(tmp_path, trust_remote_code=True)
    assert type(loaded.model.vision_tower).__module__.startswith("transformers_modules")
    frames = torch.randint(0, 256, (3, 3, 128, 128), dtype=torch.uint8)
    assert torch.equal(loaded.encode_frames(frames), model.encode_frames(frames))
    tokens = model.encode_frames(frames)[:, 1:]
    assert model.project_frames(tokens).shape == (3, 16, model.config.text_config.hidden_size)
