"""`benchmarks/sampler_study.py`: how a video is made longer, and what is counted."""

import json

import numpy as np
import pytest

from benchmarks import sampler_study
from benchmarks.sampler_study import MODELS, LongVideo, StudiedVideo, lengthen, look, separate


# Names, lengths and spans in the form of UCF-Crime's test annotation.
ANNOTATION = """Arson/Arson001_x264.mp4 3200 Arson 1600 1760 -1 -1
Abuse/Abuse002_x264.mp4 1600 Abuse 160 320 800 880
Testing_Normal_Videos_Anomaly/Normal_Videos_003_x264.mp4 800 Normal -1 -1 -1 -1
"""


@pytest.fixture
def annotations(tmp_path) -> str:
    path = tmp_path / "annotation.txt"
    path.write_text(ANNOTATION)
    return str(path)


def test_a_longer_video_has_the_events_it_had():
    video = StudiedVideo(100, [(10, 20), (60, 70)], None)
    assert lengthen(video, 1, 5).events.tolist() == [[10, 20], [60, 70]]
    # three times as long: 80 frames of background become 280, 3.5 times as many, 35 and 140 and 105
    longer = lengthen(video, 3, 5)
    assert longer.n_frames == 300 and longer.events.tolist() == [[35, 45], [185, 195]]
    frames = np.arange(0, 300, 5)
    assert longer.in_event.tolist() == [35 <= f < 45 or 185 <= f < 195 for f in frames]
    sources = dict(zip(frames.tolist(), longer.sources.tolist()))
    # the first stretch, of 10 frames, is there forth, back, forth and half back; an event as it was
    assert [sources[f] for f in (0, 5, 10, 15, 20, 25, 30)] == [0, 5, 9, 4, 0, 5, 9]
    assert [sources[f] for f in (35, 40, 45, 85, 185, 190, 195)] == [10, 15, 20, 59, 60, 65, 70]
    assert lengthen(StudiedVideo(40, [(0, 40)], None), 4, 5).n_frames == 40  # there is nothing to grow


def test_spans_that_touch_are_one_event():
    assert separate([(50, 60), (0, 10), (10, 20), (15, 18), (90, 120), (130, 140)], 100) == [
        (0, 20),
        (50, 60),
        (90, 100),
    ]


def test_what_is_counted():
    video = LongVideo(100, np.array([[10, 20], [60, 70], [80, 90]]), np.array([]), np.array([]))
    hits, share, distinct, gap = look([5, 10, 19, 19, 60, 70], video)
    assert hits.tolist() == [True, True, False] and share == pytest.approx(4 / 6) and distinct == 5
    assert gap == pytest.approx(0.41)  # from 19 to 60
    assert look([99, 99], video)[3] == 1.0 and look([0, 0], video)[3] == 1.0  # nothing before, nothing behind


def test_models_of_scores():
    in_event = np.arange(20_000) % 100 < 20
    for name, model in MODELS.items():
        scores = model.draw(in_event, np.random.default_rng(0))
        assert scores.min() >= 0 and scores.max() <= 1 and scores.shape == in_event.shape
        assert scores[~in_event].mean() == pytest.approx(model.background, abs=0.03), name
        assert scores[in_event].mean() == pytest.approx(model.event, abs=0.03), name
    flat = (
        MODELS["smooth noise"]._replace(background=0.5, event=0.5, noise=0.1).draw(in_event, np.random.default_rng(0))
    )
    assert flat.std() == pytest.approx(0.1, rel=0.05)
    assert np.corrcoef(flat[:-1], flat[1:])[0, 1] == pytest.approx(0.8, abs=0.05)  # four of five are the same
    alarms = MODELS["false alarms"].draw(np.zeros(20_000, bool), np.random.default_rng(0)) > 0.45
    assert 150 < (np.diff(alarms.astype(int)) == 1).sum() < 250  # one in a hundred scores


def test_the_study_prints_and_writes(annotations, tmp_path, capsys):
    out, picture = tmp_path / "study.json", tmp_path / "study.png"
    options = ["--factors", "1", "16", "--frames", "8", "16", "--seeds", "1", "--models", "clean", "noisy"]
    sampler_study.main(["--annotations", annotations, *options, "--json", str(out), "--picture", str(picture)])
    report, said = json.loads(out.read_text()), capsys.readouterr().out
    assert (report["videos"], report["events"], report["frame AUC"]["clean"]) == (2, 3, 1.0)
    assert picture.read_bytes().startswith(b"\x89PNG")
    rows = {(row["model"], row["factor"], row["N"], row["sampler"]): row for row in report["rows"]}
    assert len(rows) == 2 * 2 * 2 * 5
    ours, original = rows["clean", 16, 16, "ats_norm"], rows["clean", 16, 16, "ats"]
    # 10 of 16 frames are those of the first video's event; 14 of the second's are shared by two, of 10 and 5 frames
    assert ours["events hit"] == 1.0 and ours["frames in events"] == pytest.approx((10 + 14) / 32)
    assert ours["distinct frames"] == 16 and original["frames in events"] < 0.2
    line = f"| clean, 16 | {original['events hit']:.3f} / {original['frames in events']:.3f} | 1.000 / 0.750 |"
    assert line in said and "3 events of 2 videos" in said
    worst = {row["metric"]: row for row in report["worst of ats_norm less ats"]}
    differences = [
        rows[*place, "ats_norm"]["events hit"] - rows[*place, "ats"]["events hit"] for place in {k[:3] for k in rows}
    ]
    assert worst["events hit"]["difference"] == pytest.approx(min(differences))


def test_scores_of_files(annotations, tmp_path, capsys):
    folder = tmp_path / "scores"
    folder.mkdir()
    scores = np.zeros(200)
    scores[100:110] = 0.9
    np.savez(folder / "Arson001_x264.npz", scores=scores, n_frames=3200, frame_stride=16)
    sampler_study.main(
        ["--annotations", annotations, "--scores", str(folder), "--frames", "8", "--json", str(tmp_path / "a.json")]
    )
    said, rows = capsys.readouterr(), json.loads((tmp_path / "a.json").read_text())["rows"]
    assert "1 events of 1 videos" in said.out and "note: 1 abnormal videos have no scores" in said.err
    found = [row["frames in events"] for row in rows if row["sampler"] == "ats_norm"]
    assert found == [0.875] * 4  # seven of eight, however long
    np.savez(folder / "Arson001_x264.npz", scores=np.repeat(scores, 16))  # the same, one a frame
    sampler_study.main(
        ["--annotations", annotations, "--scores", str(folder), "--frames", "8", "--json", str(tmp_path / "b.json")]
    )
    assert json.loads((tmp_path / "b.json").read_text())["rows"] == rows


def test_nothing_to_study_is_a_line(annotations, tmp_path):
    with pytest.raises(SystemExit, match="no abnormal videos"):
        sampler_study.main(["--annotations", annotations, "--scores", str(tmp_path)])


def test_long_videos_of_ucf_crime_keep_their_events(ground_truth):
    path = str(ground_truth / "ucf_annotation_with_frames.txt")
    args = sampler_study.build_parser().parse_args(
        ["--annotations", path, "--seeds", "1", "--frames", "8", "16", "32"]
    )
    args.samplers = ["ats", "ats_norm"]
    videos = sampler_study.read_study(args)
    assert (len(videos), sum(len(video.events) for video in videos)) == (140, 156)
    rows = [row for model in MODELS for row in sampler_study.study(videos, model, 16, args)]
    for row in rows:
        if (row["model"], row["sampler"]) == ("clean", "ats_norm"):
            assert row["events hit"] >= 0.98 and row["frames in events"] >= 0.3
    rows += [row for model in MODELS for row in sampler_study.study(videos, model, 1, args)]
    for worst in sampler_study.worst_differences(rows):
        assert worst["difference"] >= -0.01
