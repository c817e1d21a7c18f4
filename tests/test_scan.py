"""One search of a folder for everybody: what counts as a video opens, what does not is counted."""

import os
import socket
from pathlib import Path

import av
import numpy as np
import pytest

from modeling_holmes_vau.base.scan import VIDEO_SUFFIXES, scan_folder
from modeling_holmes_vau.video_reader_holmes_vau import open_video
from tests.folders import refuse


# Format and codec of a file of each suffix.
KINDS = {
    ("mp4", "libx264"): ".mp4 .m4v",
    ("mov", "libx264"): ".mov .qt",
    ("f4v", "libx264"): ".f4v",
    ("3gp", "libx264"): ".3gp",
    ("3g2", "libx264"): ".3g2",
    ("matroska", "libx264"): ".mkv .mk3d",
    ("webm", "libvpx-vp9"): ".webm",
    ("avi", "mpeg4"): ".avi .divx .xvid",
    ("flv", "flv"): ".flv",
    ("mpeg", "mpeg2video"): ".mpg .mpeg .mpe",
    ("vob", "mpeg2video"): ".vob",
    ("mpeg1video", "mpeg1video"): ".m1v",
    ("mpeg2video", "mpeg2video"): ".m2v .mpv",
    ("mpegts", "libx264"): ".ts .m2ts .mts .m2t .trp .tod",
    ("asf", "wmv2"): ".wmv .asf .dvr-ms",
    ("wtv", "mpeg2video"): ".wtv",
    ("ogg", "libvpx"): ".ogv .ogm",
    ("rm", "rv10"): ".rm .rmvb",
    ("mxf", "mpeg2video"): ".mxf",
    ("dv", "dvvideo"): ".dv",
    ("gif", "gif"): ".gif",
    ("mjpeg", "mjpeg"): ".mjpg .mjpeg",
    ("yuv4mpegpipe", "rawvideo"): ".y4m",
    ("nut", "mpeg4"): ".nut",
    ("ivf", "libvpx"): ".ivf",
    ("obu", "libsvtav1"): ".av1 .obu",
    ("h264", "libx264"): ".h264 .264",
    ("hevc", "libx265"): ".hevc .h265 .265",
}
PIXELS = {"gif": "rgb8", "mjpeg": "yuvj420p"}


def write_kind(path: Path, kind: str, codec: str, num_frames: int = 6) -> None:
    width, height = (720, 576) if kind == "dv" else (176, 144)
    with av.open(str(path), "w", format=kind) as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = width, height, PIXELS.get(kind, "yuv420p")
        if codec == "libx265":
            stream.options = {"x265-params": "log-level=none"}
        for i in range(num_frames):
            pixels = np.full((height, width, 3), 30 * (i + 1), np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())


@pytest.fixture(scope="module")
def one_of_each(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("kinds")
    for (kind, codec), suffixes in KINDS.items():
        first, *others = suffixes.split()
        write_kind(folder / f"video{first}", kind, codec)
        for suffix in others:
            (folder / f"video{suffix}").write_bytes((folder / f"video{first}").read_bytes())
    return folder


@pytest.mark.parametrize("suffix", sorted(VIDEO_SUFFIXES))
def test_a_file_of_each_suffix_opens(one_of_each, suffix):
    with open_video(one_of_each / f"video{suffix}") as video:
        assert video.num_frames >= 5
        frames = video.read([0, video.num_frames - 1]).astype(int)
    assert abs(frames[0].mean() - 30) < 6 and frames[1].mean() > 120


def test_files_of_each_suffix_are_found(one_of_each, tmp_path):
    assert len(scan_folder(one_of_each).files) == len(VIDEO_SUFFIXES)
    (tmp_path / "a.Mp4").touch()
    assert list(scan_folder(tmp_path).files) == [str(tmp_path / "a.Mp4")]


def touch(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path


def test_what_is_left_out_is_counted(tmp_path):
    kept = [touch(tmp_path / name) for name in ("a.mp4", "b/__macosx.mp4", "b/a.MKV")]
    for name in ("._a.mp4", ".b.mp4", "b/.DS_Store", "c.txt", "d.TXT", "e.srt", "mp4", "f.", "g.mp4 (copy 1)"):
        touch(tmp_path / name)
    for name in ("__MACOSX/._a.mp4", "@eaDir/a.mp4/thumb.mp4", ".trash/a.mp4", ".git/b.mp4"):
        touch(tmp_path / name)
    (tmp_path / "gone.mp4").symlink_to(tmp_path / "nowhere.mp4")
    (tmp_path / "self.mp4").symlink_to(tmp_path / "self.mp4")
    os.mkfifo(tmp_path / "pipe.mp4")
    scan = scan_folder(tmp_path)
    assert list(scan.files) == sorted(map(str, kept)) and scan.problems == {}
    assert scan.summary() == (
        "12 files left out: 3 hidden, 2 .txt, 2 broken link, 2 without suffix, 1 .srt, 1 no regular file, "
        "1 of an odd suffix; 4 folders not searched: 2 hidden, 2 of the system"
    )
    assert scan_folder(touch(tmp_path / "h" / "i.mp4").parent).summary() == ""


def test_a_socket_is_no_video(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("a.mp4")
        assert scan_folder(tmp_path).summary() == "1 file left out: 1 no regular file"
        assert list(scan_folder(".").files) == []


def test_a_hidden_folder_that_is_named_is_searched(tmp_path, monkeypatch):
    video = touch(tmp_path / ".cache" / "a.mp4")
    assert list(scan_folder(video.parent).files) == [str(video)]
    monkeypatch.chdir(video.parent)
    assert list(scan_folder(".").files) == ["a.mp4"]


def test_links_are_followed_and_loops_noticed(tmp_path):
    root, elsewhere = tmp_path / "root", touch(tmp_path / "elsewhere" / "a.mp4").parent
    inside = touch(root / "z" / "c.mp4")
    touch(tmp_path / "beside.mp4")
    (root / "away").symlink_to(elsewhere)
    (root / "away-again").symlink_to(elsewhere)
    (root / "b").symlink_to(root / "z")  # comes before what it leads to
    (elsewhere / "loop").symlink_to(root)
    (root / "up").symlink_to(tmp_path)
    (root / "one.mp4").symlink_to(elsewhere / "a.mp4")
    scan = scan_folder(root)
    assert scan.files == {
        str(root / "away" / "a.mp4"): str(elsewhere / "a.mp4"),
        str(root / "one.mp4"): str(elsewhere / "a.mp4"),
        str(inside): str(inside),
    }
    assert scan.summary() == "2 folders not searched: 2 above the one searched"


def test_folders_that_cannot_be_searched_are_named(tmp_path, monkeypatch):
    kept, locked = touch(tmp_path / "a" / "a.mp4"), touch(tmp_path / "b" / "b.mp4").parent
    refuse(monkeypatch, locked)
    scan = scan_folder(tmp_path)
    assert list(scan.files) == [str(kept)]
    assert scan.problems == {str(locked): "cannot be searched: Permission denied"}


def test_other_suffixes(tmp_path):
    touch(tmp_path / "a.mp4")
    scores = touch(tmp_path / "a.npz")
    assert list(scan_folder(tmp_path, (".npz",)).files) == [str(scores)]
