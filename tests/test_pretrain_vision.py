"""The small vision tower's pretraining: what is learned from which frame, and the checkpoint it writes."""

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from sklearn.metrics import average_precision_score
from transformers import AutoModel, AutoProcessor

from hivau70k_dataset.miniature.render import render_miniature
from hivau70k_dataset.videos import VideoFolder
from training.pretrain_vision import KINDS, VISION, pretrain
from training.runs import JsonLinesLog, read_options
from training.word_frames import (
    EpochOrder,
    Frames,
    WordFrames,
    augment,
    build_targets,
    draw_changes,
    read_frames,
    words_of,
)
from training.word_trainer import average_precision, cosine, word_loss, word_weights


def test_words_of_a_caption():
    assert words_of("A man in Red walks to the shop, a man runs.") == {
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


def test_targets_and_frames(mini):
    folder, videos = mini
    vocabulary, targets, is_abnormal = build_targets(videos, min_clips=2)
    captions = [clip.caption for video in videos for event in video.events for clip in event.clips]
    assert targets.shape == (len(captions), len(vocabulary)) and vocabulary == sorted(vocabulary)
    for row, caption in zip(targets, captions):
        assert {vocabulary[i] for i in row.nonzero()[0]} == words_of(caption) & set(vocabulary)
    assert 0 < is_abnormal.sum() < len(vocabulary)

    frames = read_frames(videos, VideoFolder(folder / "videos"), 4, 16, 128, held_out_every=4)
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
        read_frames([replace(videos[0], events=(late,)), *videos[1:]], VideoFolder(folder), 4, 16, 128)


# ---- batches and loss -----------------------------------------------------------------------------------------------


def numbered(count: int) -> Frames:
    """Frames of which every other one is of a clip of its own, and each fifth held out."""
    pixels = np.full((count, 3, 8, 8), 100, np.uint8)
    clips = np.where(np.arange(count) % 2, -1, np.arange(count) // 2)
    return Frames(pixels, clips, np.arange(count) % 5 == 4)


def test_loss_by_hand():
    """Two words, the second an abnormal one; a frame of a clip with the first, and a frame outside of clips."""
    frames = Frames(np.full((3, 3, 4, 4), 255, np.uint8), np.array([0, -1, 0]), np.array([False, False, True]))
    targets, is_abnormal = np.array([[1, 0]], np.uint8), np.array([False, True])
    batch = WordFrames(frames, targets, is_abnormal, batch_size=2, seed=0).__getitems__([0, 1])
    assert batch["pixels"].shape == (2, 3, 4, 4) and batch["pixels"].max() == 255
    logits = torch.tensor([[1.0, -2.0], [3.0, 0.5]]), torch.tensor([[0.0, 0.0], [9.0, -1.0]])
    loss = word_loss(logits, batch["labels"], batch["known"], torch.tensor([2.0, 1.0]))

    def absent(logit: float) -> float:
        return math.log(1 + math.exp(logit))

    # Of the frame outside, the first word is not known to be absent; present words count twice as much here.
    known = [2 * absent(-1.0), absent(-2.0), absent(0.5), 2 * absent(0.0), absent(0.0), absent(-1.0)]
    assert loss.item() == pytest.approx(sum(known) / 3)


def test_an_epoch_shows_each_frame_once_and_depends_on_seed_and_number_alone():
    frames = numbered(29)
    targets, is_abnormal = np.eye(15, dtype=np.uint8), np.zeros(15, bool)
    given = [WordFrames(frames, targets, is_abnormal, batch_size=4, seed=3) for _ in range(2)]
    assert len(given[0]) == 24 == len(given[0].rows)
    order = EpochOrder(given[0])
    assert list(order) == [*range(24)]
    order.set_epoch(2)
    assert list(order) == [*range(48, 72)] and len(order) == 24
    batches = [given[0].__getitems__(list(range(start, start + 4))) for start in range(0, 72, 4)]
    for start in (48, 8, 52):  # as a run that goes on asks, or one of several processes
        again = given[1].__getitems__(list(range(start, start + 4)))
        assert all(torch.equal(again[name], batches[start // 4][name]) for name in again)
    assert not torch.equal(batches[0]["changes"], batches[6]["changes"])
    seen = [torch.cat([batch["labels"] for batch in batches[i : i + 6]]).sum(0) for i in (0, 6, 12)]
    kept = [clip for clip, held in zip(frames.clips, frames.held_out) if clip >= 0 and not held]
    assert all(set(counts.nonzero()[:, 0].tolist()) == set(kept) and counts.max() == 1 for counts in seen)
    pixels, labels = given[0].held_out()
    assert len(pixels) == len(labels) == 3 and labels.argmax(1).tolist() == [2, 7, 12]
    with pytest.raises(ValueError, match="There are 24 frames to train on, fewer than a step takes: 25"):
        WordFrames(frames, targets, is_abnormal, batch_size=25, seed=3)


def test_rare_words_count_more():
    targets = np.zeros((100, 3), np.uint8)
    targets[:50, 0] = targets[:10, 1] = targets[:1, 2] = 1
    assert word_weights(targets).tolist() == pytest.approx([1.0, 3.0, 4.0])


def test_the_rate_rises_and_falls():
    rates = [cosine(step, 100, 5) for step in range(101)]
    assert rates[0] == pytest.approx(0.2) and max(rates) == rates[4] > 0.99 and rates[100] == 0
    assert rates[50] == pytest.approx(0.5) and cosine(0, 10, 0) == 1


def test_average_precision_is_that_of_scikit_learn():
    rng = np.random.default_rng(0)
    scores, labels = rng.random((50, 4)), rng.integers(0, 2, (50, 4))
    labels[:, 2] = 0  # a word that no frame has does not count
    expected = np.mean([average_precision_score(labels[:, i], scores[:, i]) for i in (0, 1, 3)])
    assert average_precision(scores, labels) == pytest.approx(expected)


def test_augmentation_keeps_size_and_range():
    generator = torch.Generator().manual_seed(0)
    frames = torch.rand(6, 3, 112, 112, generator=generator)
    changed = augment(frames, draw_changes(len(frames), generator))
    assert changed.shape == frames.shape and 0 <= changed.min() and changed.max() <= 1
    assert len({frame.mean().item() for frame in changed}) == 6


# ---- runs -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def run(mini, tmp_path):
    """Pretrains a smaller tower, into a folder of that name."""

    def start(name: str, epochs: int, **changes) -> dict[str, float]:
        options = {"annotations": mini[0], "videos": mini[0] / "videos", "output-dir": tmp_path / name}
        options |= {"num-train-epochs": epochs, "per-device-train-batch-size": 16, "clip-stride": 16}
        options |= {"logging-steps": 1, "use-cpu": True, "report-to": "none", "disable-tqdm": True, **changes}
        argv = [f"--{option}={value}" for option, value in options.items()]
        return pretrain(*read_options(KINDS, argv), vision={**VISION, "depths": [1, 1, 1]}, min_clips=2)

    return start


def logged(folder: Path, name: str) -> list[float]:
    lines = map(json.loads, (folder / "log.jsonl").read_text().splitlines())
    return [line[name] for line in lines if name in line]


@pytest.mark.parametrize("saved", [{}, {"save-strategy": "steps", "save-steps": 2}])
def test_a_killed_run_goes_on_to_the_same_end(run, tmp_path, monkeypatch, saved):
    result = run("whole", 2)
    losses = logged(tmp_path / "whole", "loss")
    per_epoch = len(losses) // 2
    assert per_epoch > 3 and len(logged(tmp_path / "whole", "eval_ap")) == 2

    class Killed(Exception):
        pass

    def die(self, args, state, control, logs=None, **kwargs):
        original(self, args, state, control, logs, **kwargs)
        if state.global_step == per_epoch + 2:
            raise Killed

    original = JsonLinesLog.on_log
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(JsonLinesLog, "on_log", die)
        run("killed", 2, **saved)
    with pytest.raises(ValueError, match="made with num_train_epochs 2.0, now asked for with num_train_epochs 3.0"):
        run("killed", 3, **saved)
    assert run("killed", 2, **saved) == result
    assert logged(tmp_path / "killed", "loss") == losses
    whole, killed = (load_file(tmp_path / name / "checkpoint" / "model.safetensors") for name in ("whole", "killed"))
    assert all(torch.equal(whole[name], killed[name]) for name in whole)


def test_it_learns_and_the_checkpoint_loads(run, tmp_path):
    result = run("vision", 3)
    losses, measured = logged(tmp_path / "vision", "loss"), logged(tmp_path / "vision", "eval_ap")
    assert np.mean(losses[-4:]) < np.mean(losses[:4]) and len(measured) == 3 and measured[-1] == result["ap"]
    folder = tmp_path / "vision" / "checkpoint"
    model = AutoModel.from_pretrained(folder, trust_remote_code=True)
    processor = AutoProcessor.from_pretrained(folder, trust_remote_code=True)
    assert (processor.image_size, model.config.vision_config.hidden_size) == (128, 192)
    assert "untrained anomaly scorer and language model" in model.config.warning
    # The tower that is saved is the one that was trained, whatever the trainer's own checkpoints hold beside it.
    last = max((tmp_path / "vision").glob("checkpoint-*"), key=lambda path: int(path.name.split("-")[1]))
    trained = load_file(last / "model.safetensors")
    tower = {name.removeprefix("tower."): value for name, value in trained.items() if name.startswith("tower.")}
    assert all(torch.equal(value, tower[name]) for name, value in model.model.vision_tower.state_dict().items())


def test_too_few_captions(mini, tmp_path):
    argv = ["--annotations", mini[0], "--videos", mini[0], "--output-dir", tmp_path / "out", "--use-cpu"]
    with pytest.raises(ValueError, match="No word is in 1000 captions of .*: there is nothing to learn"):
        pretrain(*read_options(KINDS, [str(word) for word in argv]), min_clips=1000)
