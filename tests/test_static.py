"""Frames that show nothing new: the rule on made frames, and what an encoder does with it."""

import json

import numpy as np
import pytest
import torch

from modeling_holmes_vau import VideoEncoder, VideoSession, analyze_video, cli
from modeling_holmes_vau.static_holmes_vau import MOST_NOISE, StillFrames, block_differences
from modeling_holmes_vau.video_processing_holmes_vau import FrameChunk
from tests.videos import write_video


SIDE, COUNT = 112, 60


def scene(seed: int = 0) -> np.ndarray:
    """A textured picture, `(3, SIDE, SIDE)`."""
    coarse = np.random.default_rng(seed).uniform(60, 190, (3, 8, 8))
    return coarse.repeat(SIDE // 8, 1).repeat(SIDE // 8, 2)


def with_noise(frames: np.ndarray, level: float, seed: int = 1) -> torch.Tensor:
    """Frames `(n, 3, SIDE, SIDE)` as a camera of that noise records them."""
    noisy = frames + np.random.default_rng(seed).normal(0, level, frames.shape)
    return torch.from_numpy(noisy.round().clip(0, 255).astype(np.uint8))


def told(frames: torch.Tensor) -> list[bool]:
    still = StillFrames()
    return [still.is_new(frame) for frame in frames]


@pytest.mark.parametrize("level", [0.0, 0.5, 1.5])
def test_a_still_scene_is_encoded_once_whatever_its_noise(level):
    assert told(with_noise(np.stack([scene()] * COUNT), level))[2:] == [False] * (COUNT - 2)


@pytest.mark.parametrize("level", [0.0, 1.0])
def test_a_small_person_that_moves_is_seen_in_every_frame(level):
    frames = np.stack([scene()] * COUNT)
    for i in range(20, COUNT):  # 4 x 8 of 112 pixels, a few grey levels off the ground
        frames[i, :, 50:58, i : i + 4] += 30
    new = told(with_noise(frames, level))
    assert not any(new[2:20]) and all(new[20:])


def test_one_who_comes_and_stays_is_new_once():
    frames = np.stack([scene()] * COUNT)
    frames[30:, :, 40:60, 40:50] -= 40
    new = told(with_noise(frames, 1.0))
    assert new[30] and not any(new[2:30]) and not any(new[31:])


def test_a_slow_fade_is_followed():
    """No step differs from the one before by as much as a change takes, but from what was encoded."""
    frames = scene()[None] + np.arange(COUNT)[:, None, None, None] * 0.5
    new = np.flatnonzero(told(with_noise(frames, 0.0)))
    steps = np.diff(new)
    assert len(new) > 5 and steps.max() * 0.5 <= 5  # grey levels that what is shown may lag behind


def test_a_camera_that_moves_is_no_noise():
    wide = np.random.default_rng(2).uniform(0, 255, (3, SIDE, SIDE + 3 * COUNT))
    pan = np.stack([wide[:, :, 3 * i : 3 * i + SIDE] for i in range(COUNT)])
    still = StillFrames()
    assert all(still.is_new(frame) for frame in with_noise(pan, 0.0))
    assert still.noise == MOST_NOISE and (still.seen, still.still) == (COUNT, 0)


def test_blocks_of_small_frames():
    zeros = torch.zeros(3, 16, 20, dtype=torch.uint8)
    assert block_differences(zeros, zeros + 255).tolist() == [255.0] * (16 * 20)


# ---- in the encoder -------------------------------------------------------------------------------------------------


def chunks(frames: torch.Tensor, size: int, is_dense=None) -> list[FrameChunk]:
    dense = torch.ones(len(frames), dtype=torch.bool) if is_dense is None else torch.tensor(is_dense)
    numbers, times_s = torch.arange(len(frames)) * 16, torch.arange(len(frames)) * 0.64
    parts = zip(frames.split(size), numbers.split(size), times_s.split(size), dense.split(size))
    return [FrameChunk(*part) for part in parts]


def encoder_of(model, frames, size=7, is_dense=None, **options) -> VideoEncoder:
    encoder = VideoEncoder(model, **options)
    for chunk in chunks(frames, size, is_dense):
        encoder.push(chunk)
    return encoder


@pytest.fixture(scope="module")
def mixed() -> torch.Tensor:
    """40 frames of 56 pixels: still, another scene, still, all moves."""
    rng = np.random.default_rng(3)
    one, two = rng.integers(0, 256, (2, 3, 56, 56))
    return torch.from_numpy(
        np.stack([one] * 15 + [two] * 15 + [*rng.integers(0, 256, (10, 3, 56, 56))]).astype("uint8")
    )


@pytest.mark.parametrize("size", [1, 7, 40])
def test_still_frames_take_the_tokens_of_what_was_encoded(model56, mixed, size):
    plain, skipping = encoder_of(model56, mixed, size), encoder_of(model56, mixed, size, skip_static=True)
    # The frames are equal, so the tokens must be.
    torch.testing.assert_close(skipping.class_tokens, plain.class_tokens, atol=1e-4, rtol=0)
    torch.testing.assert_close(skipping.scores(), plain.scores(), atol=1e-5, rtol=0)
    assert skipping.skipped_share == 28 / 40 and plain.skipped_share is None
    assert skipping.dense_frame_indices == plain.dense_frame_indices
    frames = [0, 14 * 16, 20 * 16, 39 * 16]  # two of which were not encoded, and cannot be read again
    torch.testing.assert_close(skipping.features(frames), plain.features(frames), atol=1e-4, rtol=0)


def test_a_chosen_frame_is_encoded_from_itself_where_it_can_be_read(model56, mixed):
    read = []
    skipping = encoder_of(
        model56,
        mixed,
        read=lambda numbers: read.extend(numbers) or mixed[[n // 16 for n in numbers]],
        skip_static=True,
    )
    features = skipping.features([0, 14 * 16])
    assert read == [14 * 16]
    torch.testing.assert_close(features, encoder_of(model56, mixed).features([0, 14 * 16]), atol=1e-4, rtol=0)


def test_frames_that_are_shown_or_not_scored_are_encoded(model56, mixed):
    is_dense = [i != 5 for i in range(40)]
    encoder = encoder_of(model56, mixed, is_dense=is_dense, keep=[16, 5 * 16], skip_static=True)
    assert encoder.skipped_share == 26 / 40
    assert encoder.features([16, 5 * 16]).shape[0] == 2


def test_nothing_is_skipped_where_everything_moves(tmp_path, model56, processor56):
    video = write_video(tmp_path / "moving.mp4", num_frames=400)
    plain = VideoSession(video, model56, processor56, num_frames=4)
    skipping = VideoSession(video, model56, processor56, num_frames=4, skip_static=True)
    assert skipping.encoder.skipped_share == 0.0 and torch.equal(skipping.scores, plain.scores)


def test_an_analysis_says_how_many_were_skipped(tmp_path, checkpoint56, model56, processor56, capsys):
    frames = np.full((400, 56, 56, 3), 90, dtype=np.uint8)
    options = {"fps": 25.0, "num_frames": 4, "max_new_tokens": 1}
    analysis = analyze_video(frames, model56, processor56, skip_static=True, **options)
    assert analysis.skipped_share == 24 / 25
    assert analyze_video(frames, model56, processor56, **options).get("skipped_share") is None
    with pytest.raises(ValueError, match="`skip_static` needs scores"):
        analyze_video(frames, model56, processor56, skip_static=True, scored=False, **options)
    video = write_video(tmp_path / "street.mp4", num_frames=250)
    line = ["analyze", str(video), "--model", str(checkpoint56), "--device", "cpu", "--max-new-tokens", "1"]
    assert cli.main([*line, "--skip-static", "--granularity", "--output", str(tmp_path / "out")]) == 0
    assert "still, not encoded)" in capsys.readouterr().out
    folder = tmp_path / "out" / "street"
    assert json.loads((folder / "analysis.json").read_text())["options"]["skip_static"] is True
    assert "Still frames, not encoded" in (folder / "report.html").read_text()
    assert cli.main([*line, "--skip-static", "--no-scores"]) == 1
