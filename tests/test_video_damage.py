"""Videos that are damaged or cut short: what decodes is read, what does not is named; `strict` refuses them."""

import base64
import io
import json
import logging
import re
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from modeling_holmes_vau import cli
from modeling_holmes_vau.frame_rule_holmes_vau import FrameRule
from modeling_holmes_vau.pipeline_holmes_vau import analyze_video
from modeling_holmes_vau.session_holmes_vau import VideoSession
from modeling_holmes_vau.video_packets_holmes_vau import is_cut_short
from modeling_holmes_vau.video_processing_holmes_vau import FrameStream, read_what_is_there
from modeling_holmes_vau.video_reader_holmes_vau import VideoReader, VideoReadError, open_video
from tests.numbered_videos import BACKENDS, number_of, numbers_of, streams_running, write


VIDEOS = Path(__file__).parent / "fixtures" / "videos"  # ffmpeg's test pattern, 150 frames at 25 a second
TAIL = "damaged: frames are missing in 5.60 to 6.00 s"
MIDDLE = "damaged: frames are missing in 2.44 to 2.80 s"
VP9 = {"codec": "libvpx-vp9", "deadline": "realtime", "cpu-used": 8}
FASTSTART = {"container_options": {"movflags": "faststart"}}
CONTAINERS = {
    "faststart.mp4": FASTSTART,
    "plain.mp4": {},
    "fragmented.mp4": {"container_options": {"movflags": "frag_keyframe+empty_moov"}, "g": 12},
    "a.mov": FASTSTART,
    "a.mkv": {},
    "a.webm": VP9,
    "live.mkv": {"container_options": {"live": "1"}},
    "a.avi": {"codec": "mpeg4"},
    "a.ts": {},
}


def test_the_last_packets_overwritten():
    """ffprobe decodes 140 frames."""
    video = VideoReader(VIDEOS / "tail_zero.mp4", strict=False)
    assert (video.num_frames, video.fps, video.duration_s) == (140, pytest.approx(25), pytest.approx(6))
    assert video.damaged_s == [(pytest.approx(5.6), pytest.approx(6.0))] and video.warning == TAIL
    assert video.timestamps_s == pytest.approx(np.arange(140) / 25)


@pytest.mark.parametrize("segment_s", [(5.7, 6.0), (5.7, None), (5.6, 5.8)])
def test_a_segment_that_is_missing(segment_s):
    video = VideoReader(VIDEOS / "tail_zero.mp4", strict=False)
    with pytest.raises(
        ValueError, match="tail_zero.mp4: frames are missing in 5.60 to 6.00 s, which is all of the seg"
    ):
        FrameRule(2, 4).plan(video, segment_s)
    assert FrameRule(2, 4).plan(video, (5.5, 6.0)).frame_indices == [138]


@pytest.mark.parametrize("backend", BACKENDS)
def test_random_bytes_in_the_middle(backend):
    """ffprobe decodes 145 frames, some of them concealed."""
    video = VideoReader(VIDEOS / "mid_garbage.mp4", backend, strict=False)
    lost = [61, 63, 65, 68, 69]
    assert (video.num_frames, video.fps, video.warning) == (145, pytest.approx(25), MIDDLE)
    assert video.timestamps_s * 25 == pytest.approx(np.setdiff1d(np.arange(150), lost))
    spans = [(61, 62), (63, 64), (65, 66), (68, 70)]
    assert np.array(video.damaged_s) * 25 == pytest.approx(np.array(spans))
    every = video.read(range(145))
    for indices in (range(0, 145, 16), [144, 3], [60, 63], [110, 112]):  # also from keyframes in between
        assert np.array_equal(video.read(indices), every[indices])
    plain = VideoReader(VIDEOS / "hflip.mp4").read([0, 57, 120])[:, :, ::-1]  # the same film, mirrored
    assert np.array_equal(every[[0, 57, 115]], plain)


@pytest.mark.parametrize("name", ["tail_zero.mp4", "mid_garbage.mp4"])
def test_strict_refuses_in_one_line(name):
    path = VIDEOS / name
    for refuse in (VideoReader, open_video):
        with pytest.raises(VideoReadError, match="frames are missing in") as error:
            refuse(path)
        assert str(error.value).startswith(f"{path}: damaged") and "\n" not in str(error.value)
    with pytest.raises(VideoReadError, match="frames are missing in"):
        open_video(open_video(path, strict=False))


OPTIONS = [{}, {"frame_stride": 1, "sampler": "uniform"}, {"segment_s": (0.0, 1.0)}, {"sampler": "top_k"}]


@pytest.mark.parametrize("options", OPTIONS)
def test_one_warning_whatever_is_looked_at(model56, processor56, options):
    analysis = analyze_video(VIDEOS / "mid_garbage.mp4", model56, processor56, max_new_tokens=1, **options)
    assert analysis["warning"] == MIDDLE and len(analysis["damaged_s"]) == 4


def test_the_warning_of_the_checkpoint_comes_first(model56, processor56, monkeypatch):
    monkeypatch.setattr(model56.config, "warning", "untrained")
    analysis = analyze_video(VIDEOS / "tail_zero.mp4", model56, processor56, max_new_tokens=1)
    assert analysis["warning"] == f"untrained | {TAIL}"


def test_strict_analyses_nothing(model56, processor56):
    for refuse in (analyze_video, VideoSession):
        with pytest.raises(VideoReadError, match=TAIL):
            refuse(VIDEOS / "tail_zero.mp4", model56, processor56, strict=True)


def test_the_processor_logs_it(model56, processor56, caplog):
    with caplog.at_level(logging.WARNING):
        inputs = processor56(videos=VIDEOS / "tail_zero.mp4", text="What?", return_tensors="pt")
    assert f"tail_zero.mp4: {TAIL}" in caplog.text
    assert model56.generate(**inputs, max_new_tokens=1).shape[0] == 1


def test_on_the_command_line(checkpoint56, capsys):
    common = ["analyze", str(VIDEOS), "--model", str(checkpoint56), "--max-new-tokens", "1", "--device", "cpu"]
    assert cli.main(common) == 0
    warnings = [line for line in capsys.readouterr().err.splitlines() if line.startswith("warning")]
    assert warnings == [
        f"warning: {VIDEOS}/mid_garbage.mp4: {MIDDLE}",
        f"warning: {VIDEOS}/tail_zero.mp4: {TAIL}",
    ]
    assert cli.main([*common, "--strict"]) == 1
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error")]
    assert len(errors) == 2 and all("frames are missing in" in line for line in errors)


# Damage that does not show before it is decoded


@pytest.fixture(scope="module")
def hidden_damage(tmp_path_factory):
    """Motion JPEG, whose headers nothing reads ahead, with zeros in place of these of its 150 frames."""
    folder = tmp_path_factory.mktemp("hidden")
    whole = write(folder / "whole.mp4", 150, "mjpeg", pix_fmt="yuvj420p")
    with av.open(str(whole)) as container:
        places = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]

    def overwrite(name: str, frames: range) -> Path:
        data = bytearray(whole.read_bytes())
        for start, size in places[frames.start : frames.stop]:
            data[start : start + size] = bytes(size)
        (folder / name).write_bytes(data)
        return folder / name

    return overwrite


def test_a_file_that_fails_later_is_surveyed(hidden_damage, model56, processor56):
    path = hidden_damage("tail.mp4", range(140, 150))
    video = VideoReader(path)  # looks sound
    assert video.num_frames == 150
    with pytest.raises(VideoReadError, match="damaged"):
        list(FrameStream(video, list(range(150)), 28))
    assert streams_running() == 0
    frames = read_what_is_there(video, lambda: video.read([0, video.num_frames - 1]), strict=False)
    assert video.warning == TAIL and numbers_of(frames) == [0, 139]
    analysis = analyze_video(path, model56, processor56, frame_stride=1, max_new_tokens=1)
    assert analysis["warning"] == TAIL and len(analysis["scores"]) == 140
    with pytest.raises(VideoReadError, match="damaged"):
        analyze_video(path, model56, processor56, frame_stride=1, strict=True)


def test_a_report_shows_the_frames_that_were_looked_at(hidden_damage, checkpoint56, tmp_path, capsys):
    """Frame numbers change with the survey, times do not."""
    path, common = hidden_damage("middle.mp4", range(61, 70)), ["--model", str(checkpoint56), "--device", "cpu"]
    arguments = ["--max-new-tokens", "1", "--stride", "1", "--sampler", "uniform", "--output", str(tmp_path)]
    assert cli.main(["analyze", str(path), *common, *arguments]) == 0
    assert MIDDLE in capsys.readouterr().err
    page = (tmp_path / "middle" / "report.html").read_text(encoding="utf-8")
    assert MIDDLE in page
    times_s = json.loads((tmp_path / "middle" / "analysis.json").read_text(encoding="utf-8"))["sampled_times_s"]
    jpegs = re.findall(r'src="data:image/jpeg;base64,([^"]+)"', page)
    shown = [number_of(np.asarray(Image.open(io.BytesIO(base64.b64decode(jpeg))))) for jpeg in jpegs]
    assert shown == [round(25 * time_s) for time_s in times_s] and (shown[0], shown[-1]) == (0, 149)


# Files that are cut short


@pytest.fixture(scope="module", params=CONTAINERS)
def whole(request, tmp_path_factory):
    return write(tmp_path_factory.mktemp("whole") / request.param, **CONTAINERS[request.param])


def test_a_whole_file_is_sound(whole):
    assert VideoReader(whole).warning == "" and VideoReader(whole).num_frames == 60


def test_cut_anywhere(whole, tmp_path):
    data, path, analysed = whole.read_bytes(), tmp_path / whole.name, 0
    for tenth in range(10):
        end = len(data) * (10 * tenth + 7) // 100
        path.write_bytes(data[:end])
        if whole.name == "live.mkv" and not is_cut_short(str(path)):  # between two blocks, where it does not show
            path.write_bytes(data[: end - 1])
        try:
            video = VideoReader(path, strict=False)
        except VideoReadError as error:
            assert str(error).startswith(f"{path}: ") and "\n" not in str(error)
            continue
        analysed += 1
        frames = video.read(range(video.num_frames))
        assert numbers_of(frames)[:5] == [*range(min(5, len(frames)))]
        assert video.warning.startswith(f"cut short: the video ends at {video.duration_s:.2f} s")
        assert (" of 2.40 s" in video.warning) == (
            whole.name in ("faststart.mp4", "a.mov", "a.mkv", "a.webm", "a.avi") and video.duration_s < 2.39
        )
        with pytest.raises(VideoReadError, match="cut short"):
            VideoReader(path)
    assert whole.name == "plain.mp4" or analysed >= 3


OTHERS = {".flv": "flv", ".wmv": "wmv2", ".ogv": "libvpx", ".gif": "gif", ".mxf": "mpeg2video"}


def write_noise(path: Path, codec: str, num_frames: int) -> None:
    rng = np.random.default_rng(0)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = 176, 144, "rgb8" if codec == "gif" else "yuv420p"
        for _ in range(num_frames):
            pixels = rng.integers(0, 256, (144, 176, 3), dtype=np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())


@pytest.mark.parametrize("suffix", OTHERS)
def test_other_containers_cut_anywhere(tmp_path, suffix):
    whole, path = tmp_path / f"whole{suffix}", tmp_path / f"cut{suffix}"
    write_noise(whole, OTHERS[suffix], 60)
    assert VideoReader(whole).num_frames == 60
    data, analysed = whole.read_bytes(), 0
    for tenth in range(10):
        path.write_bytes(data[: len(data) * (10 * tenth + 7) // 100])
        try:
            video = VideoReader(path, strict=False)
        except VideoReadError as error:
            assert str(error).startswith(f"{path}: ") and "\n" not in str(error)
            continue
        analysed += 1
        assert len(video.read(range(video.num_frames))) == video.num_frames <= 60
        assert video.warning.startswith(f"cut short: the video ends at {video.duration_s:.2f} s")
        with pytest.raises(VideoReadError, match="cut short"):
            VideoReader(path)
    assert analysed >= 3


def test_cut_within_its_first_frame(tmp_path):
    data, path = write(tmp_path / "whole.mp4", **FASTSTART).read_bytes(), tmp_path / "a.mp4"
    path.write_bytes(data[: data.index(b"mdat") + 100])
    with pytest.raises(VideoReadError, match="cut short, no whole frame is there"):
        VideoReader(path, strict=False)


def test_damage_at_the_beginning_keeps_the_clock(tmp_path):
    path = write(tmp_path / "a.mp4", g=10, keyint_min=10, sc_threshold=0, bf=0)
    data = bytearray(path.read_bytes())
    start = data.index(b"mdat") + 4
    data[start : start + 900] = bytes(900)
    path.write_bytes(data)
    video = VideoReader(path, strict=False)
    first = numbers_of(video.read([0]))[0]
    assert first >= 1 and video.timestamps_s[0] == pytest.approx(first / 25)
    assert video.damaged_s[0] == (0.0, pytest.approx(first / 25)) and video.timestamps_s[-1] == pytest.approx(59 / 25)


def test_nothing_decodes(tmp_path):
    path = write(tmp_path / "a.mp4", num_frames=5)
    data = bytearray(path.read_bytes())
    start = data.index(b"mdat") + 4
    size = int.from_bytes(data[start - 8 : start - 4], "big") - 8
    data[start : start + size] = bytes(size)
    path.write_bytes(data)
    with pytest.raises(VideoReadError, match="no frame can be decoded"):
        VideoReader(path, strict=False)


def test_a_live_recording_cut_at_any_byte_shows_it_but_between_blocks(tmp_path):
    data = write(tmp_path / "whole.mkv", container_options={"live": "1"}).read_bytes()
    path, unseen = tmp_path / "live.mkv", []
    for end in range(4, len(data)):
        path.write_bytes(data[:end])
        if not is_cut_short(str(path)):
            unseen.append(end)
    assert 3 < len(unseen) < 30 and all(two - one > 3 for one, two in zip(unseen, unseen[1:]))  # none within a header
