import json
import os
import struct
import subprocess
import sys
from fractions import Fraction
from itertools import islice
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from PIL import Image

from modeling_holmes_vau import video_reader_holmes_vau
from modeling_holmes_vau.video_processing_holmes_vau import (
    FrameStream,
    resize_frames,
)
from modeling_holmes_vau.video_reader_holmes_vau import ArrayVideo, VideoReader, VideoReadError, open_video
from tests.numbered_videos import (
    BACKENDS,
    KINDS,
    MEAN,
    ORIENTATIONS,
    REFERENCE,
    STD,
    as_shown,
    mux_silence,
    numbers_of,
    orient,
    shift_start,
    silence,
    write,
)


@pytest.mark.parametrize("name", KINDS)
def test_frame_i_is_the_ith_shown(tmp_path, name):
    path = write(tmp_path / name, **KINDS[name])
    every = VideoReader(path).read(range(60))
    assert numbers_of(every) == list(range(60))
    for backend in BACKENDS:
        with VideoReader(path, backend) as video:
            assert video.num_frames == 60
            for indices in ([59, 0, 31, 31], list(range(0, 60, 16)), list(range(5, 60, 7)), [58], []):
                assert np.array_equal(video.read(indices), every[indices]), (backend, indices)


def test_frames_far_apart_are_sought(tmp_path):
    path = write(tmp_path / "a.mp4", num_frames=250, g=10, bf=2)
    for backend in BACKENDS:
        video = VideoReader(path, backend)
        assert numbers_of(video.read([3, 120, 121, 249])) == [3, 120, 121, 249]
        assert numbers_of(video.frames([7, 7, 200, 200])) == [7, 7, 200, 200]


@pytest.mark.skipif("decord" not in BACKENDS, reason="decord is not installed")
@pytest.mark.parametrize(
    ("kind", "used"),
    [
        ({}, "decord"),
        ({"colors": (1, 1)}, "decord"),  # BT.709
        ({"colors": (1, 2)}, "decord"),  # BT.709, full range
        ({"pix_fmt": "yuvj420p"}, "decord"),
        ({"size": (98, 54)}, "decord"),
        ({"codec": "libx265", "x265-params": "log-level=none"}, "decord"),
        ({"pix_fmt": "yuv444p", "size": (71, 53)}, "pyav"),
        ({"pix_fmt": "yuv420p10le"}, "pyav"),
        ({"codec": "mpeg4", "size": (71, 53)}, "pyav"),
        ({"x264-params": "open-gop=1:keyint=12:bframes=3"}, "pyav"),
        ({"x264-params": "intra-refresh=1:keyint=12"}, "pyav"),
    ],
)
def test_decoders_give_the_same_bytes(tmp_path, kind, used):
    path = write(tmp_path / "a.mp4", num_frames=30, **kind)
    first, second = VideoReader(path, "pyav"), VideoReader(path, "decord")
    assert (first.backend, second.backend) == ("pyav", used)
    assert np.array_equal(first.read(range(30)), second.read(range(30)))
    assert np.array_equal(first.timestamps_s, second.timestamps_s)


@pytest.mark.skipif("decord" not in BACKENDS, reason="decord is not installed")
def test_pyav_takes_over_where_decord_fails(tmp_path, caplog):
    video = VideoReader(write(tmp_path / "a.mp4", num_frames=9, size=(16, 16)), "decord")  # too small for decord
    expected = VideoReader(video.path).read(range(9))
    assert np.array_equal(video.read(range(9)), expected)
    assert video.backend == "pyav"
    assert "decord failed, PyAV takes over" in caplog.text


@pytest.mark.parametrize("name", ["robbery", "earthquake", "car_accident"])
@pytest.mark.parametrize("backend", BACKENDS)
def test_real_videos_equal_the_reference(real_videos, name, backend):
    expected = json.loads((REFERENCE / "preprocess.json").read_text())[name]
    samples = np.load(REFERENCE / "preprocess_samples.npz")[name]
    with VideoReader(real_videos / f"{name}.mp4", backend) as video:
        assert video.num_frames == expected["num_frames"]
        assert video.fps == pytest.approx(expected["fps"], abs=1e-3)
        frames = video.read(expected["frame_indices"])
        assert frames.shape[1:] == (video.height, video.width, 3)
    pixels = (resize_frames(frames, 448).numpy() / 255 - MEAN[:, None, None]) / STD[:, None, None]
    assert np.allclose(pixels[:, :, 5::32, 7::32], samples, atol=0.04)
    assert np.allclose(pixels.mean((1, 2, 3)), expected["mean"], atol=1e-3)
    assert np.allclose(pixels.std((1, 2, 3)), expected["std"], atol=1e-3)


def test_skipping_changes_no_frame_of_a_real_video(real_videos):
    video = VideoReader(real_videos / "robbery.mp4")  # HEVC; half its frames are referred to by none
    every = video.frames(range(360))
    strided = video.frames(range(3, 360, 16))
    for frame in islice(every, 3, None, 16):
        assert np.array_equal(frame, next(strided))


def test_times_of_constant_rate(tmp_path):
    video = VideoReader(write(tmp_path / "a.mp4", rate=Fraction(30000, 1001), audio=True))
    assert video.timestamps_s == pytest.approx(np.arange(60) * 1001 / 30000, abs=1e-12)
    assert video.fps == pytest.approx(30000 / 1001)
    assert video.duration_s == pytest.approx(60 * 1001 / 30000)


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
@pytest.mark.parametrize("start", [0, 50])
def test_times_of_variable_rate(tmp_path, suffix, start):
    ticks = np.cumsum(np.random.default_rng(0).integers(1, 4, 60))
    path = write(tmp_path / f"a.{suffix}", ticks=(ticks + start).tolist(), bf=3)
    for backend in BACKENDS:
        video = VideoReader(path, backend)
        # Matroska counts milliseconds.
        assert video.timestamps_s == pytest.approx((ticks - ticks[0]) / 90, abs=1e-3 if suffix == "mkv" else 1e-4)
        assert video.timestamps_s[-1] < video.duration_s < video.timestamps_s[-1] + 0.1
        assert video.fps == pytest.approx(60 / video.duration_s, rel=0.02)
        assert numbers_of(video.read(range(0, 60, 9))) == list(range(0, 60, 9))


def test_an_edit_list_hides_frames(tmp_path):
    source = write(tmp_path / "a.mp4")
    late = VideoReader(shift_start(source, tmp_path / "late.mp4", -25))
    assert (late.num_frames, late.timestamps_s[0], late.timestamps_s[1]) == (60, 0, pytest.approx(0.04))
    cut = shift_start(source, tmp_path / "cut.mp4", 10)
    for backend in BACKENDS:
        video = VideoReader(cut, backend)
        assert (video.num_frames, video.fps, video.duration_s) == (50, pytest.approx(25), pytest.approx(2))
        assert numbers_of(video.read([0, 16, 49])) == [10, 26, 59]


@pytest.mark.parametrize("num_frames", [1, 3])
def test_very_short_videos(tmp_path, num_frames):
    path = write(tmp_path / "a.mp4", num_frames=num_frames)
    for backend in BACKENDS:
        video = VideoReader(path, backend)
        assert numbers_of(video.read(range(num_frames))) == list(range(num_frames))
        assert video.duration_s == pytest.approx(num_frames / 25)


@pytest.mark.parametrize("name", ORIENTATIONS)
def test_pictures_are_shown_as_meant(tmp_path, name):
    source = write(tmp_path / "a.mp4", num_frames=20)
    shown = as_shown(VideoReader(source).read([0, 19]), name)
    path = orient(source, tmp_path / "b.mp4", name)
    for backend in BACKENDS:
        video = VideoReader(path, backend)
        assert (video.height, video.width) == shown.shape[1:3]
        assert np.array_equal(video.read([0, 19]), shown), backend


def test_matrices_that_are_not_quite_right(tmp_path):
    source = write(tmp_path / "a.mp4", num_frames=2)
    plain = VideoReader(source).read([0])
    for matrix, name in (((0.9, 0.4, -0.4, 0.9), "plain"), ((-0.5, 0.5, 0.4, 0.5), "mirrored"), ((0,) * 4, "plain")):
        path = orient(source, tmp_path / "b.mp4", name, matrix)
        assert np.array_equal(VideoReader(path).read([0]), as_shown(plain, name)), matrix


@pytest.mark.parametrize("name", ["a#b.mp4", "a=b.mp4", "a b.mp4", "视频.mp4", "a%03d.mp4", "-a.mp4", "pipe:0.mp4"])
@pytest.mark.skipif(os.name == "nt", reason="no such names on Windows")
def test_odd_file_names(tmp_path, monkeypatch, name):
    path = write(tmp_path / "plain.mp4", num_frames=5).rename(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    for backend in BACKENDS:
        assert numbers_of(VideoReader(path, backend).read(range(5))) == list(range(5))
        assert VideoReader(name, backend).path == name


def unreadable(folder: Path, kind: str) -> Path:
    path = folder / f"{kind}.mp4"
    if kind == "folder":
        path.mkdir()
    elif kind == "empty":
        path.touch()
    elif kind == "text":
        path.write_text("no video\n" * 500)
    elif kind == "audio":
        with av.open(str(path), "w") as container:
            mux_silence(container, silence(container))
    elif kind == "no index":
        path.write_bytes(write(folder / "whole.mp4").read_bytes()[:-1500])
    elif kind == "unknown codec":
        path.write_bytes(write(folder / "whole.mp4").read_bytes().replace(b"avc1", b"zzzz"))
    return path


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("missing", "no such file"),
        ("folder", "a folder"),
        ("empty", "not a video, or empty"),
        ("text", "not a video"),
        ("audio", "audio only"),
        ("no index", r"an MP4 without its index \(`moov`\).*Copy or download it again"),
        ("unknown codec", "no decoder"),
    ],
)
@pytest.mark.parametrize("backend", BACKENDS)
def test_unreadable_files(tmp_path, capfd, kind, message, backend):
    path = unreadable(tmp_path, kind)
    capfd.readouterr()
    with pytest.raises(VideoReadError, match=message) as error:
        VideoReader(path, backend)
    assert str(error.value).startswith(f"{path}: ")
    assert "\n" not in str(error.value)
    assert capfd.readouterr() == ("", "")


def test_missing_decoders_are_named(tmp_path, monkeypatch):
    path = write(tmp_path / "a.mp4", num_frames=2)
    monkeypatch.setitem(sys.modules, "decord", None)
    with pytest.raises(ImportError, match="pip install decord"):
        VideoReader(path, "decord")
    assert VideoReader(path).backend == "pyav"
    monkeypatch.setattr(video_reader_holmes_vau, "av", None)
    with pytest.raises(ImportError, match="pip install av"):
        VideoReader(path)


def test_wrong_requests(tmp_path):
    path = write(tmp_path / "a.mp4", num_frames=5)
    video = VideoReader(path)
    for indices in ([5], [-1], [0, 99]):
        with pytest.raises(ValueError, match=r"0\.\.4"):
            video.read(indices)
    with pytest.raises(TypeError):
        video.read([0.5])
    with pytest.raises(ValueError, match="'cuda'"):
        VideoReader(path, backend="cuda")


def test_open_video_takes_paths_arrays_and_opened_videos(tmp_path):
    path = write(tmp_path / "a.mp4", num_frames=5)
    assert open_video(str(path)).num_frames == open_video(path).num_frames == 5
    array = open_video(np.zeros((5, 4, 6, 3), np.uint8), fps=10)
    assert isinstance(array, ArrayVideo) and open_video(array) is array
    timeless = open_video([np.zeros((4, 6, 3), np.uint8)])
    assert timeless.fps is None and len(timeless.read([0])) == 1
    with pytest.raises(ValueError, match="pass `fps`, their frames per second"):
        _ = timeless.timestamps_s
    with pytest.raises(ValueError, match="Download"):
        open_video("https://example.org/a.mp4")
    with pytest.raises(ValueError, match="fps=5"):
        open_video(path, fps=5)
    with pytest.raises(TypeError, match="bytes"):
        open_video(path.read_bytes())


def test_arrays_of_every_kind_are_one_video():
    frames = np.random.default_rng(0).integers(0, 256, (7, 6, 10, 3), dtype=np.uint8)
    tensor = torch.from_numpy(frames)
    images = [Image.fromarray(frame) for frame in frames]
    for video in (frames, tensor, tensor.permute(0, 3, 1, 2), frames.transpose(0, 3, 1, 2), list(frames), images):
        with ArrayVideo(video, fps=3.5) as opened:
            assert (opened.num_frames, opened.width, opened.height, opened.path) == (7, 10, 6, "<array>")
            assert opened.duration_s == 2
            assert opened.timestamps_s == pytest.approx(np.arange(7) / 3.5)
            assert np.array_equal(opened.read([6, 0, 3, 3]), frames[[6, 0, 3, 3]])
            (chunk,) = FrameStream(opened, [1, 4], 8)
            assert torch.equal(chunk.frames, resize_frames(frames[[1, 4]], 8))


@pytest.mark.parametrize(
    ("video", "error", "message"),
    [
        (np.zeros((2, 4, 4, 3), np.float32), TypeError, "float32"),
        (torch.zeros(2, 4, 4, 3), TypeError, "float32"),
        ([np.zeros((4, 4, 3), np.uint8), np.zeros((4, 4, 3))], TypeError, "float64 in frame 1"),
        (np.zeros((2, 4, 4), np.uint8), ValueError, r"\(4, 4\)"),
        (np.zeros((2, 4, 4, 4), np.uint8), ValueError, r"\(4, 4, 4\)"),
        ([Image.new("L", (4, 4))], ValueError, r"\(4, 4\)"),
        ([np.zeros((4, 4, 3), np.uint8), np.zeros((4, 5, 3), np.uint8)], ValueError, r"\(4, 5, 3\) in frame 1"),
        (np.zeros((0, 4, 4, 3), np.uint8), ValueError, "no frames"),
        ([], ValueError, "no frames"),
    ],
)
def test_arrays_that_are_no_video(video, error, message):
    with pytest.raises(error, match=message):
        ArrayVideo(video)


def test_array_rate_must_be_positive():
    with pytest.raises(ValueError, match="fps"):
        ArrayVideo(np.zeros((1, 4, 4, 3), np.uint8), fps=0)


@pytest.mark.skipif("decord" not in BACKENDS, reason="decord is not installed")
def test_absurd_number_of_frames_does_not_reach_decord(tmp_path):
    data = bytearray(write(tmp_path / "a.mp4").read_bytes())
    count = data.index(b"stts") + 12  # of the first entry; decord would make room for so many frames and abort
    data[count : count + 4] = struct.pack(">I", 1 << 30)
    (tmp_path / "a.mp4").write_bytes(data)
    video = VideoReader(tmp_path / "a.mp4", "decord")
    assert video.backend == "pyav"
    assert numbers_of(video.read(range(60))) == list(range(60))


def test_frames_left_unread_at_exit_are_no_error(tmp_path):
    code = (
        "import sys\n"
        "from modeling_holmes_vau.video_reader_holmes_vau import VideoReader\n"
        "left = [VideoReader(sys.argv[1], backend).frames(range(60)) for backend in sys.argv[2:]]\n"
        "print(*(next(frames).shape[0] for frames in left))\n"
    )
    command = [sys.executable, "-c", code, str(write(tmp_path / "a.mp4")), *BACKENDS]
    root = Path(__file__).resolve().parents[1]
    run = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=60)
    assert (run.returncode, run.stdout.split(), run.stderr) == (0, ["48"] * len(BACKENDS), "")
