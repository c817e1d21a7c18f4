import re
import subprocess
import sys

import av
import numpy as np
import pytest

from hivau70k_dataset import render_demo_video
from hivau70k_dataset.demo import Event, SceneTruth, StreetScene, main


SMALL = {"duration_s": 6.0, "fps": 10.0, "width": 320, "height": 180}


def read_frames(path) -> np.ndarray:
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


@pytest.fixture(scope="module")
def demo(tmp_path_factory) -> tuple[np.ndarray, SceneTruth]:
    path = tmp_path_factory.mktemp("demo") / "demo.mp4"
    truth = render_demo_video(path, seed=0, **SMALL)
    return read_frames(path), truth


@pytest.fixture(scope="module")
def ordinary(tmp_path_factory) -> tuple[np.ndarray, SceneTruth]:
    path = tmp_path_factory.mktemp("ordinary") / "ordinary.mp4"
    truth = render_demo_video(path, seed=0, explosion=False, **SMALL)
    return read_frames(path), truth


def test_same_seed_same_frames_and_other_seed_other_frames(tmp_path, demo):
    frames, truth = demo
    assert render_demo_video(tmp_path / "again.mp4", seed=0, **SMALL) == truth
    np.testing.assert_array_equal(read_frames(tmp_path / "again.mp4"), frames)
    render_demo_video(tmp_path / "other.mp4", seed=1, **SMALL)
    assert np.abs(read_frames(tmp_path / "other.mp4")[0].astype(int) - frames[0]).mean() > 10


def test_event_lies_inside_the_video(demo):
    _, truth = demo
    (event,) = truth.events
    assert event.label == "Explosion"
    assert event.start_s == pytest.approx(0.40 * 6, abs=0.1) and event.end_s == pytest.approx(0.65 * 6, abs=0.1)
    assert f"{event.start_s:g} s" in truth.caption and "explodes" in truth.caption


def test_flash_comes_with_the_event_and_smoke_stays_after_it(demo):
    frames, truth = demo
    (event,) = truth.events
    first = int(np.ceil(event.start_s * truth.fps))
    red = frames[..., 0].mean(axis=(1, 2))
    assert event.start_s <= np.argmax(red) / truth.fps <= event.end_s
    assert np.argmax(np.diff(red)) + 1 == first  # the first frame of the event is the jump
    assert red[first] - red[first - 1] > 30
    middle = frames[:, 40:110, 110:230].astype(float).mean(axis=(1, 2, 3))  # where the column of smoke stands
    assert middle[-1] < middle[:first].min() - 5


def test_ordinary_day_has_no_event_and_no_flash(ordinary):
    frames, truth = ordinary
    assert truth.events == () and "Nothing unusual" in truth.caption
    red = frames[..., 0].mean(axis=(1, 2))
    assert np.abs(np.diff(red)).max() < 3 and np.ptp(red) < 10


def test_people_and_cars_move_on_a_fixed_street(ordinary):
    frames, _ = ordinary
    change = np.abs(np.diff(frames.astype(int), axis=0)).mean(axis=3)
    assert (change.max(axis=0) > 40).mean() > 0.05  # what passes
    assert np.median(change) < 4  # the street itself, but for noise and shaking


def test_people_run_away_and_cars_stop_short_of_the_explosion():
    scene = StreetScene(128, 72, 40.0, Event("Explosion", 16.0, 26.0), np.random.default_rng(3))
    centre = scene.explosion.centre
    at_start, later = (np.array([actor.place(time_s) for actor in scene.actors]) for time_s in (16.0, 26.0))
    people = np.array([type(actor).__name__ == "Person" for actor in scene.actors])
    assert people.sum() > 20
    gain = np.abs(later - centre)[people, 0] - np.abs(at_start - centre)[people, 0]
    assert gain.min() > 20  # metres in ten seconds: they run
    assert np.linalg.norm((at_start - centre)[people], axis=1).min() > 4
    stopping = [actor for actor in scene.actors if getattr(actor, "brake_s", np.inf) < 30]
    assert len(stopping) > 4
    for actor in stopping:
        halted = actor.place(39.0)
        np.testing.assert_array_equal(halted, actor.place(40.0))
        assert (centre - halted)[0] * np.sign(actor.velocity_mps) >= 8.9


@pytest.mark.parametrize("size", [(320, 180), (180, 240)])
def test_frame_count_rate_size_and_codec(tmp_path, size):
    path = tmp_path / "clip.mp4"
    truth = render_demo_video(str(path), duration_s=4.0, fps=29.97, width=size[0], height=size[1])
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert (stream.width, stream.height, stream.codec_context.name, stream.pix_fmt) == (*size, "h264", "yuv420p")
        assert float(stream.average_rate) == pytest.approx(29.97, abs=1e-3)
    assert truth.num_frames == len(read_frames(path)) == 120


def test_a_failure_leaves_no_partial_file_and_keeps_the_old_one(tmp_path, monkeypatch):
    def fail_late(self, index, time_s):
        if index == 5:
            raise RuntimeError("camera lost")
        return np.zeros((72, 128, 3), np.uint8)

    path = tmp_path / "clip.mp4"
    path.write_bytes(b"old")
    monkeypatch.setattr(StreetScene, "frame", fail_late)
    with pytest.raises(RuntimeError, match="camera lost"):
        render_demo_video(path, duration_s=4.0, fps=5.0, width=128, height=72)
    assert [file.name for file in tmp_path.iterdir()] == ["clip.mp4"]
    assert path.read_bytes() == b"old"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"width": 321}, "`width` must be an even number of pixels.*got 321"),
        ({"height": 2}, "`height` must be an even number of pixels.*got 2"),
        ({"duration_s": 1.0}, "`duration_s` must be at least 4 seconds, got 1.0"),
        ({"duration_s": float("nan")}, "`duration_s` must be at least"),
        ({"fps": 0.0}, "`fps` must be at least 1 frame per second, got 0.0"),
        ({"fps": -25.0}, "`fps` must be at least"),
        ({"fps": float("inf")}, "`fps` must be at least"),
        ({"seed": -1}, "`seed` must be 0 or more, got -1"),
    ],
)
def test_bad_arguments_are_explained(tmp_path, arguments, message):
    with pytest.raises(ValueError, match=message):
        render_demo_video(tmp_path / "clip.mp4", **arguments)
    assert not list(tmp_path.iterdir())


def test_bad_paths_are_explained(tmp_path):
    with pytest.raises(ValueError, match="must name an .mp4 file"):
        render_demo_video(tmp_path / "clip.avi")
    with pytest.raises(ValueError, match="does not exist.*Create it first"):
        render_demo_video(tmp_path / "nowhere" / "clip.mp4")


def test_command_line_names_the_file_and_the_truth(tmp_path, capsys, monkeypatch):
    path = tmp_path / "clip.mp4"
    main(["--output", str(path), "--seed", "3", "--duration_s", "4"])
    out, err = capsys.readouterr()
    assert re.fullmatch(rf"{re.escape(str(path))}: 100 frames at 25 fps; Explosion from 1\.\d+ s to 2\.\d+ s\n", out)
    assert "100/100" in err  # the progress bar
    assert read_frames(path).shape == (100, 360, 640, 3)
    monkeypatch.setattr(StreetScene, "frame", lambda self, index, time_s: np.zeros((360, 640, 3), np.uint8))
    main(["--output", str(path), "--duration_s", "4", "--normal"])
    assert capsys.readouterr().out == f"{path}: 100 frames at 25 fps; no abnormal event\n"


def test_command_line_reports_bad_input_in_one_line():
    command = [
        sys.executable,
        "-W",
        "error::RuntimeWarning",
        "-m",
        "hivau70k_dataset.demo",
        "--output",
        "clip.avi",
    ]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 2
    assert "must name an .mp4 file" in result.stderr and "Traceback" not in result.stderr
