"""The small vision tower's pretraining: what is learned from which frame, and the checkpoint it writes."""

import json

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score
from transformers import AutoModel, AutoProcessor

from hivau70k_dataset.miniature import render_miniature
from hivau70k_dataset.videos import VideoFolder
from modeling_holmes_vau import pretrain_vision_holmes_vau as pretraining


def test_words_of_a_caption():
    assert pretraining.words_of("A man in Red walks to the shop, a man runs.") == {
        "man",
        "red",
        "walks",
        "shop",
        "runs",
    }


@pytest.fixture(scope="module")
def mini(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mini")
    return folder, render_miniature(folder, videos=4, size=112, workers=1, progress=False)


def test_targets_and_frames(mini, monkeypatch):
    monkeypatch.setattr(pretraining, "MIN_CLIPS", 2)
    folder, videos = mini
    vocabulary, targets, is_abnormal = pretraining.build_targets(videos)
    captions = [clip.caption for video in videos for event in video.events for clip in event.clips]
    assert targets.shape == (len(captions), len(vocabulary)) and vocabulary == sorted(vocabulary)
    for row, caption in zip(targets, captions):
        assert {vocabulary[i] for i in row.nonzero()[0]} == pretraining.words_of(caption) & set(vocabulary)
    assert 0 < is_abnormal.sum() < len(vocabulary)

    frames = pretraining.read_frames(videos, VideoFolder(folder / "videos"), 4, 16, held_out_every=4)
    assert frames.pixels.shape == (len(frames.clips), 3, 128, 128)
    assert set(frames.clips.tolist()) == set(range(-1, len(captions)))
    assert frames.held_out.any() and not frames.held_out.all()


def test_average_precision_is_that_of_scikit_learn():
    rng = np.random.default_rng(0)
    scores, labels = rng.random((50, 4)), rng.integers(0, 2, (50, 4))
    labels[:, 2] = 0  # a word that no frame has does not count
    expected = np.mean([average_precision_score(labels[:, i], scores[:, i]) for i in (0, 1, 3)])
    assert pretraining.average_precision(scores, labels) == pytest.approx(expected)


def test_augmentation_keeps_size_and_range():
    generator = torch.Generator().manual_seed(0)
    frames = torch.rand(6, 3, 112, 112, generator=generator)
    changed = pretraining.augment(frames, generator)
    assert changed.shape == frames.shape and 0 <= changed.min() and changed.max() <= 1
    assert len({frame.mean().item() for frame in changed}) == 6


def test_it_learns_and_the_checkpoint_loads(mini, tmp_path, monkeypatch):
    monkeypatch.setattr(pretraining, "MIN_CLIPS", 2)
    monkeypatch.setattr(pretraining, "VISION", {**pretraining.VISION, "depths": [1, 1, 1]})
    folder, _ = mini
    argv = ["--annotations", folder, "--videos", folder / "videos", "--output", tmp_path / "vision"]
    pretraining.main([*map(str, argv), "--epochs", "3", "--batch_size", "16", "--clip_stride", "16"])
    log = [json.loads(line) for line in (tmp_path / "vision" / "pretraining.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in log] == [1, 2, 3] and log[-1]["loss"] < log[0]["loss"]
    model = AutoModel.from_pretrained(tmp_path / "vision", trust_remote_code=True)
    processor = AutoProcessor.from_pretrained(tmp_path / "vision", trust_remote_code=True)
    assert (processor.image_size, model.config.vision_config.hidden_size) == (128, 192)
    assert "untrained anomaly scorer and language model" in model.config.warning
    assert [path.name for path in tmp_path.iterdir()] == ["vision"]
