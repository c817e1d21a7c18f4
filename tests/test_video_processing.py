import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from modeling_holmes_vau.frame_rule_holmes_vau import dense_frame_indices, middle_frame_indices
from modeling_holmes_vau.spans_holmes_vau import segment_frame_range
from modeling_holmes_vau.video_processing_holmes_vau import FrameStream, resize_frames
from modeling_holmes_vau.video_reader_holmes_vau import VideoReader
from tests.numbered_videos import (
    BACKENDS,
    REFERENCE,
    streams_running,
    write,
)


def test_middle_frames_equal_the_reference():
    for expected in json.loads((REFERENCE / "preprocess.json").read_text()).values():
        for num_segments in (8, 12, 16):
            assert middle_frame_indices(expected["num_frames"], num_segments) == expected[f"uniform_{num_segments}"]
    assert middle_frame_indices(3, 8, first=10) == [10, 10, 10, 11, 11, 11, 12, 12]
    assert middle_frame_indices(1, 2) == [0, 0]


def test_dense_frames():
    assert dense_frame_indices(33) == [0, 16, 32]
    assert dense_frame_indices(32, 16, first=5) == [5, 21]
    assert dense_frame_indices(1, 4) == [0]
    for arguments in ((0, 16), (5, 0)):
        with pytest.raises(ValueError, match="at least 1"):
            dense_frame_indices(*arguments)


@pytest.mark.parametrize(
    ("start_s", "end_s", "expected"),
    [
        (0, None, (0, 10)),
        (0.3, 0.6, (3, 3)),  # up to, and without, the frame at 0.6
        (0.25, 0.55, (3, 3)),
        (0.5, 99, (5, 5)),
        (0.41, 0.44, (4, 1)),  # shorter than a frame
        (0.46, 0.49, (5, 1)),
        (0.95, None, (9, 1)),
    ],
)
def test_segments(start_s, end_s, expected):
    assert segment_frame_range([i / 10 for i in range(10)], start_s, end_s) == expected


def test_adjoining_segments_share_no_frame():
    times_s = np.arange(300) * 1001 / 30000
    borders = [0.0, 1001 / 3000, 99 * 1001 / 30000, 200 * 1001 / 30000, None]
    ranges = [segment_frame_range(times_s, *span) for span in zip(borders, borders[1:], strict=False)]
    assert ranges == [(0, 10), (10, 89), (99, 101), (200, 100)]


@pytest.mark.parametrize(
    ("start_s", "end_s"), [(-0.1, 1), (0.5, 0.5), (0.5, 0.2), (1.0, None), (7, 8), (float("nan"), 1)]
)
def test_segments_outside_the_video(start_s, end_s):
    with pytest.raises(ValueError, match="got"):
        segment_frame_range([i / 10 for i in range(10)], start_s, end_s)


@pytest.mark.parametrize("size", [(480, 852), (53, 71), (448, 448)])
@pytest.mark.parametrize("image_size", [448, 56])
def test_resizing_equals_pil(size, image_size):
    rng = np.random.default_rng(0)
    coarse = Image.fromarray(rng.integers(0, 256, (30, 40, 3), dtype=np.uint8)).resize(size[::-1])
    frames = np.stack([np.asarray(coarse), rng.integers(0, 256, (*size, 3), dtype=np.uint8)])
    ours = resize_frames(frames, image_size)
    assert (ours.shape, ours.dtype) == ((2, 3, image_size, image_size), torch.uint8)
    for frame, resized in zip(frames, ours.permute(0, 2, 3, 1).numpy(), strict=True):
        expected = np.asarray(Image.fromarray(frame).resize((image_size, image_size), Image.Resampling.BICUBIC))
        difference = np.abs(expected.astype(int) - resized)
        assert difference.max() <= 2
        assert (difference == 2).mean() < 1e-4
        assert (difference > 0).mean() < 0.01


def test_resizing_refuses_other_arrays():
    for frames in (
        np.zeros((1, 4, 4, 3), np.float32),
        np.zeros((4, 4, 3), np.uint8),
        np.zeros((1, 3, 4, 4), np.uint8),
    ):
        with pytest.raises(ValueError, match="uint8"):
            resize_frames(frames, 8)


@pytest.mark.parametrize("backend", BACKENDS)
def test_stream_gives_all_frames_in_chunks(tmp_path, backend):
    video = VideoReader(write(tmp_path / "a.mp4"), backend)
    indices = [0, 0, *range(3, 60, 4), 59, 59]  # repeats, as in middle frames of a short video
    stream = FrameStream(video, indices, 28, chunk_size=4)
    for _ in range(2):  # and again
        chunks = list(stream)
        assert [len(chunk) for chunk in chunks] == [4, 4, 4, 4, 3] and len(stream) == 5
        assert torch.equal(torch.cat([chunk.frames for chunk in chunks]), resize_frames(video.read(indices), 28))
        assert torch.equal(torch.cat([chunk.indices for chunk in chunks]), torch.tensor(indices))
        times_s = torch.cat([chunk.times_s for chunk in chunks])
        assert times_s.tolist() == video.timestamps_s[indices].tolist()
        assert all(chunk.is_dense.all() for chunk in chunks)
        assert 0 < stream.decode_s < 5
    assert list(FrameStream(video, [], 28)) == []
    assert streams_running() == 0


class CountingVideo:
    """A video that knows how many of its frames were asked for."""

    num_frames, fps = 1000, None
    asked = 0

    def frames(self, frame_indices):
        for _ in frame_indices:
            self.asked += 1
            yield np.zeros((8, 8, 3), np.uint8)


def test_stream_runs_ahead_by_prefetch_only():
    video = CountingVideo()
    chunks = iter(FrameStream(video, list(range(1000)), 8, chunk_size=10, prefetch=2))
    for taken in range(1, 4):
        next(chunks)
        until = time.monotonic() + 5
        while video.asked < 10 * (taken + 2) and time.monotonic() < until:
            time.sleep(0.01)
        time.sleep(0.05)
        assert video.asked == 10 * (taken + 2)
    chunks.close()
    assert streams_running() == 0


def test_stream_ends_with_the_loop():
    for prefetch in (1, 5):
        for _ in FrameStream(CountingVideo(), list(range(1000)), 8, chunk_size=10, prefetch=prefetch):
            break
        assert streams_running() == 0
        with pytest.raises(KeyError):
            for _ in FrameStream(CountingVideo(), list(range(1000)), 8, chunk_size=10, prefetch=prefetch):
                raise KeyError
        assert streams_running() == 0


def test_stream_refuses_wrong_arguments():
    for arguments in (([3, 1], 8), ([1000], 8), ([0], 8, 0), ([0], 8, 16, 0)):
        with pytest.raises(ValueError):
            FrameStream(CountingVideo(), *arguments)


def test_process_ends_well_in_the_middle_of_streams(tmp_path):
    path = write(tmp_path / "a.mp4")
    code = (
        "import sys\n"
        "from modeling_holmes_vau.video_processing_holmes_vau import FrameStream\n"
        "from modeling_holmes_vau.video_reader_holmes_vau import VideoReader\n"
        "videos = [VideoReader(sys.argv[1], backend) for backend in sys.argv[2:]]\n"
        "streams = [iter(FrameStream(video, list(range(60)), 28, chunk_size=2)) for video in videos]\n"
        "print(*(len(next(stream)) for stream in streams))\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, str(path), *BACKENDS],
        cwd=Path(__file__).resolve().parents[1],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (run.returncode, run.stdout.split(), run.stderr) == (0, ["2"] * len(BACKENDS), "")
