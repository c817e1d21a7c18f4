"""The small vision tower's pretraining: what is learned from which frame, and the checkpoint it writes."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from sklearn.metrics import average_precision_score
from transformers import AutoModel, AutoProcessor

from hivau70k_dataset.miniature.render import render_miniature
from hivau70k_dataset.videos import VideoFolder
from training import pretrain_vision as pretraining


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
    # Of each video: every fourth frame of its clips, in seconds from its start, and every sixteenth elsewhere.
    clips, start = [], 0
    for video in videos:
        spans = [clip for event in video.events for clip in event.clips]
        for frame in range(video.n_frames):
            time_s = frame / video.fps + 0.5e-3  # times are told to the millisecond
            inside = [i for i, s in enumerate(spans) if s.start_s <= time_s < s.end_s]
            if frame % (4 if inside else 16) == 0:
                clips.append(start + inside[-1] if inside else -1)
        start += len(spans)
    assert frames.clips.tolist() == clips
    last = sum(
        len(event.clips) for video in videos[:3] for event in video.events
    )  # the first clip of the fourth video
    assert (frames.held_out[frames.clips >= 0] == (frames.clips[frames.clips >= 0] >= last)).all()


def test_clips_past_the_end_are_refused(mini):
    folder, videos = mini
    late = replace(videos[0].events[0], clips=(replace(videos[0].events[0].clips[0], end_s=4000.0),))
    with pytest.raises(ValueError, match="to 4000.0 s is past the end of the video"):
        pretraining.read_frames([replace(videos[0], events=(late,)), *videos[1:]], VideoFolder(folder), 4, 16)


def test_loss_by_hand():
    """Two words, the second an abnormal one; a frame of a clip with the first, and a frame outside of clips."""

    def model(pixels):
        assert pixels.shape == (2, 3, 4, 4) and 0 < pixels.max() <= 1
        return torch.tensor([[1.0, -2.0], [3.0, 0.5]]), torch.tensor([[0.0, 0.0], [9.0, -1.0]])

    frames = pretraining.Frames(np.full((2, 3, 4, 4), 255, np.uint8), np.array([0, -1]), np.array([False, False]))
    targets, is_abnormal, weight = np.array([[1, 0]], np.uint8), np.array([False, True]), torch.tensor([2.0, 1.0])
    loss = pretraining.word_loss(model, frames, np.arange(2), targets, is_abnormal, weight, torch.Generator())

    def absent(logit: float) -> float:
        return math.log(1 + math.exp(logit))

    # Of the frame outside, the first word is not known to be absent; present words count twice as much here.
    known = [2 * absent(-1.0), absent(-2.0), absent(0.5), 2 * absent(0.0), absent(0.0), absent(-1.0)]
    assert loss.item() == pytest.approx(sum(known) / 3)


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


@pytest.fixture
def pretrain(mini, tmp_path, monkeypatch):
    """Pretrains a smaller tower, into a folder of that name."""
    monkeypatch.setattr(pretraining, "MIN_CLIPS", 2)
    monkeypatch.setattr(pretraining, "VISION", {**pretraining.VISION, "depths": [1, 1, 1]})

    def run(name: str, epochs: int) -> None:
        argv = ["--annotations", mini[0], "--videos", mini[0] / "videos", "--output", tmp_path / name]
        argv += ["--epochs", epochs, "--batch_size", 16, "--clip_stride", 16]
        pretraining.main([str(word) for word in argv])

    return run


def test_a_killed_run_goes_on_to_the_same_end(pretrain, tmp_path, monkeypatch):
    pretrain("whole", 2)
    measured = pretraining.held_out_precision
    calls = iter([True, False])

    class Killed(Exception):
        pass

    def die(*args):
        if not next(calls):
            raise Killed
        return measured(*args)

    monkeypatch.setattr(pretraining, "held_out_precision", die)
    with pytest.raises(Killed):
        pretrain("killed", 2)
    with pytest.raises(
        ValueError, match="killed.pretraining: holds a run made with epochs 2, now asked for with epochs 3"
    ):
        pretrain("killed", 3)
    monkeypatch.setattr(pretraining, "held_out_precision", measured)
    pretrain("killed", 2)
    whole, killed = (load_file(tmp_path / name / "model.safetensors") for name in ("whole", "killed"))
    assert all(torch.equal(whole[name], killed[name]) for name in whole)
    losses = [
        [json.loads(line)["loss"] for line in (tmp_path / name / "pretraining.jsonl").read_text().splitlines()]
        for name in ("whole", "killed")
    ]
    assert losses[0] == losses[1] and len(losses[0]) == 2


def test_it_learns_and_the_checkpoint_loads(pretrain, tmp_path):
    pretrain("vision", 3)
    log = [json.loads(line) for line in (tmp_path / "vision" / "pretraining.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in log] == [1, 2, 3] and log[-1]["loss"] < log[0]["loss"]
    model = AutoModel.from_pretrained(tmp_path / "vision", trust_remote_code=True)
    processor = AutoProcessor.from_pretrained(tmp_path / "vision", trust_remote_code=True)
    assert (processor.image_size, model.config.vision_config.hidden_size) == (128, 192)
    assert "untrained anomaly scorer and language model" in model.config.warning
    assert [path.name for path in tmp_path.iterdir()] == ["vision"]
