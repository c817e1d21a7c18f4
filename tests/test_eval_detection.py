"""Frame-level detection from videos or scores to the report: values by hand, resuming, what a mistake says."""

import doctest
import io
import json
import os
import shutil
import subprocess
import sys
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from eval import detection
from eval.frames import count as counting
from eval.frames import report as detection_report
from eval.frames import truth
from eval.frames.scores import read_scores
from hivau70k_dataset.ground_truth import FrameAnnotation, read_ucf_annotation
from modeling_holmes_vau import find_events
from modeling_holmes_vau.base.runs import sole_run
from modeling_holmes_vau.video_processing_holmes_vau import resize_frames
from modeling_holmes_vau.video_reader_holmes_vau import open_video
from tests.annotations import write_json
from tests.numbered_videos import write
from tests.videos import write_video


UCF = (
    "Arson/Arson101_x264.mp4 64 Arson 16 32 -1 -1",
    "Testing_Normal_Videos_Anomaly/Normal_1_x264.mp4 40 Normal -1 -1 -1 -1",
)
ARSON, NORMAL = [0.1, 0.45, 0.4, 0.2], [0.3, 0.5, 0.7]  # the last stands for 8 frames


PAST_END = Path(__file__).parent / "fixtures" / "tables" / "spans_past_the_end.txt"


@pytest.fixture(autouse=True)
def no_pictures(request, monkeypatch):
    """Drawing takes half of the time; only the tests of the pictures draw."""
    if "pictures" not in request.node.name:
        from eval.frames import report as detection_report

        monkeypatch.setattr(detection_report, "draw_curves", lambda videos, report: (b"", b""))
        monkeypatch.setattr(detection_report, "draw_classes", lambda report: b"")


def write_lines(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n")
    return path


def write_scores(folder: Path, **arrays) -> Path:
    """One file a video: scores, or a dict of arrays."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, scores in arrays.items():
        np.savez(folder / f"{name}.npz", **(scores if isinstance(scores, dict) else {"scores": scores}))
    return folder


def evaluate_scores(tmp_path: Path, *options: str, scores: Path, annotations: Path, protocol="ucf-crime", status=0):
    """Run on scores; the report."""
    output = tmp_path / f"report{len(list(tmp_path.iterdir()))}"
    argv = ["--scores", scores, "--annotations", annotations, "--protocol", protocol, "--output", output, *options]
    assert detection.main([str(arg) for arg in argv]) == status
    return json.loads((output / "report.json").read_text())


@pytest.fixture
def ucf(tmp_path) -> dict[str, Path]:
    scores = write_scores(tmp_path / "scores", Arson101_x264=ARSON, Normal_1_x264=NORMAL)
    return {"scores": scores, "annotations": write_lines(tmp_path / "ucf.txt", *UCF)}


def test_values_by_hand(tmp_path, ucf):
    report = evaluate_scores(tmp_path, **ucf)
    row = report["rows"]["scores"]
    assert report["frames"] == {"counted": 64 + 32, "abnormal": 16}
    assert report["videos"] == {"counted": 2, "abnormal": 1, "normal": 1, "missing": 0}
    assert row["auc"] == pytest.approx(4 / 5)  # 0.45 against 0.1, 0.4, 0.2, 0.3 and 0.5
    assert row["ap_step"] == pytest.approx(1 / 2)  # 16 right among the 32 best
    assert row["ap"] == pytest.approx(1 / 4)  # a line from precision 0 at recall 0
    assert row["auc_abnormal"] == row["auc_within"] == 1.0
    assert row["events"] is None and report["rows"]["centre"]["events"] is None  # nothing tells the fps
    arson = report["classes"]["Arson"]
    assert (arson["videos"], arson["abnormal_frames"], arson["auc"]) == (1, 16, pytest.approx(4 / 5))
    assert arson["auc_within"] == 1.0 and arson["auc_video_labels"] == pytest.approx(1 - 48 / 80 / 2)


def test_all_frames_and_inclusive_spans(tmp_path, ucf):
    report = evaluate_scores(tmp_path, "--length", "frames", **ucf)
    assert report["rows"]["scores"]["auc"] == pytest.approx(16 * 4 / (16 * 5 + 8))
    report = evaluate_scores(tmp_path, "--interval-end", "inclusive", **ucf)
    # 16 frames at 0.45 beat 63 of 79; the 17th, at 0.4, beats 48 and ties with 15
    assert report["rows"]["scores"]["auc"] == pytest.approx((16 * 63 + 48 + 7.5) / (17 * 79))


def test_a_score_a_frame_is_the_same(tmp_path, ucf):
    snippets = evaluate_scores(tmp_path, **ucf)["rows"]
    frames = {"Arson101_x264": np.repeat(ARSON, 16), "Normal_1_x264": np.repeat(NORMAL, 16)[:40]}
    scores = write_scores(tmp_path / "frames", **frames)
    assert evaluate_scores(tmp_path, scores=scores, annotations=ucf["annotations"])["rows"] == snippets


@pytest.mark.parametrize(
    ("count", "n_frames", "length", "expected"),
    [
        (3, 40, "snippets", 32),
        (2, 40, "snippets", 32),
        (3, 40, "frames", 40),
        (40, 40, "snippets", 32),
        (40, 40, "frames", 40),
        (2, 32, "frames", 32),
        (1, 10, "snippets", 10),
        (2, 40, "frames", "leave the last of 40 frames without"),
        (4, 40, "snippets", r"got 4 scores for 40 frames, expected 40 \(one a frame\) or 3"),
    ],
)
def test_spread(count, n_frames, length, expected):
    assert doctest.testmod(counting) == (0, 2)
    scores = np.arange(count, dtype=float)
    if isinstance(expected, str):
        with pytest.raises(ValueError, match=expected):
            counting.spread(scores, n_frames, 16, length)
        return
    spread = counting.spread(scores, n_frames, 16, length)
    wanted = np.arange(expected) if count == n_frames else np.arange(expected) // 16
    assert spread.tolist() == wanted.tolist()


def hivau(**videos) -> dict:
    """Annotations of a dict keyed by video: n_frames, fps, classes, events in seconds."""
    return {
        name: {
            "n_frames": n_frames,
            "fps": fps,
            "label": labels,
            "events": events,
            "clips": [[event] for event in events],
            "clips_caption": [["A street."] for _ in events],
            "events_summary": ["A street." for _ in events],
            "video_summary": "A street.",
        }
        for name, (n_frames, fps, labels, events) in videos.items()
    }


def count_pairs(scores: np.ndarray, labels: np.ndarray) -> float:
    """AUC as the share of (abnormal, normal) pairs in the right order, ties counting half."""
    pairs = list(product(scores[labels == 1], scores[labels == 0]))
    return sum((a > n) + 0.5 * (a == n) for a, n in pairs) / len(pairs)


def test_baselines_equal_brute_force(tmp_path):
    annotations = hivau(
        a=(90, 10.0, ["Car Accident", "Theft"], [[2.0, 4.0], [6.0, 7.5]]),
        b=(48, 10.0, ["Theft"], [[0.0, 1.6]]),
        c=(130, 10.0, [], [[1.0, 2.0]]),
    )
    path = write_json(tmp_path / "ucf_database_test.json", annotations)
    scores = write_scores(tmp_path / "scores", a=np.linspace(0, 1, 6), b=[0.2, 0.9, 0.4], c=np.full(9, 0.1))
    report = evaluate_scores(tmp_path, scores=scores, annotations=path, protocol="hivau")
    lengths = (80, 48, 128)
    labels = [np.zeros(length, int) for length in lengths]
    labels[0][20:40] = labels[0][60:75] = labels[1][:16] = 1
    rows, truth = report["rows"], np.concatenate(labels)
    for name, baseline in {
        "chance": [np.full(length, 0.5) for length in lengths],
        "video length": [np.full(length, 1 / length) for length in lengths],
        "centre": [np.array([1 - abs(2 * t / length - 1) for t in range(length)]) for length in lengths],
        "video labels": [np.full(length, float(video < 2)) for video, length in enumerate(lengths)],
        "ground truth": labels,
    }.items():
        assert rows[name]["auc"] == pytest.approx(count_pairs(np.concatenate(baseline), truth)), name
        assert rows[name]["auc_abnormal"] == pytest.approx(
            count_pairs(np.concatenate(baseline[:2]), np.concatenate(labels[:2]))
        )
        within = np.mean([count_pairs(baseline[video], labels[video]) for video in (0, 1)])
        assert rows[name]["auc_within"] == pytest.approx(within)
        if name == "centre":
            assert report["classes"]["RoadAccidents"]["auc_within_centre"] == pytest.approx(
                count_pairs(baseline[0], labels[0])
            )
    assert report["classes"].keys() == {"RoadAccidents", "Stealing"}  # spelt as the benchmarks do
    assert [report["classes"][name]["videos"] for name in ("RoadAccidents", "Stealing")] == [1, 2]
    assert rows["ground truth"]["events"]["f1@0.7"] == 1.0 and rows["ground truth"]["events"]["num_events"] == 3
    whole = rows["video labels"]["events"]  # 16 of the 48 frames of b; 20 of the 80 of a
    assert (whole["num_predictions"], whole["recall@0.3"], whole["recall@0.5"]) == (2, 1 / 3, 0.0)
    assert rows["chance"]["events"]["num_predictions"] == 3 and rows["video length"]["events"]["num_predictions"] == 0
    # a: at least 0.3 from frame 32 on; b: its last two snippets
    assert rows["scores"]["events"]["num_predictions"] == 2
    assert rows["scores"]["events"]["recall@0.3"] == pytest.approx(1 / 3)  # 60-75 of 32-80: 15 / 48


RANKED = {  # events of two classes, a video of both, a normal one; a score a frame
    "a": (100, 10.0, ["Theft"], [[2.0, 4.0], [6.0, 8.0]]),
    "b": (100, 10.0, ["Arson"], [[0.0, 5.0]]),
    "c": (100, 10.0, [], []),
    "d": (100, 10.0, ["Arson", "Theft"], [[0.0, 5.0]]),
}
FOUND = {
    "a": ([[2.0, 4.0, 0.9], [6.0, 7.0, 0.4]], ["Stealing", "Arson"]),
    "b": ([[0.0, 5.0, 0.7]], ["arson"]),
    "c": ([[1.0, 3.0, 0.8]], ["Theft"]),
    "d": ([[0.0, 5.0, 0.6]], ["Riot"]),
}


def ranked_events(tmp_path, folder: str, found: dict) -> dict:
    """A report on the events of `found`, by video with their classes or `None`; on none of the videos that lack."""
    path = write_json(tmp_path / "ucf_database_test.json", hivau(**RANKED))
    arrays = {}
    for name in RANKED:
        arrays[name] = {"scores": np.linspace(0, 1, 100), "fps": 10.0}
        if name in found:
            events, classes = found[name]
            arrays[name]["events"] = np.array(events, dtype=float).reshape(-1, 3)
            arrays[name] |= {} if classes is None else {"event_classes": np.array(classes)}
    return evaluate_scores(
        tmp_path, scores=write_scores(tmp_path / folder, **arrays), annotations=path, protocol="hivau"
    )


def test_event_map_by_hand(tmp_path):
    report = ranked_events(tmp_path, "scores", FOUND)
    found = report["rows"]["scores"]["event_map"]
    # By score: right, the normal video, right, right, and of the second event of a the half: 4 events.
    half = 1 / 4 * (1 + 2 / 3 + 3 / 4 + 4 / 5)
    assert [found[f"ap@{iou}"] for iou in (0.1, 0.3, 0.5)] == [pytest.approx(half)] * 3
    assert found["ap"] == pytest.approx(half) and (found["num_predictions"], found["num_events"]) == (5, 4)
    classes = found["per_class"]
    assert report["no_classes"] is None and classes["videos_left_out"] == 1  # d: which of its classes is its event?
    # Stealing: right, wrong in c, of two events. Arson: right in b, then the one in a, where there is none.
    assert {name: entry["ap"] for name, entry in classes["classes"].items()} == {"Stealing": 0.5, "Arson": 1.0}
    assert classes["map"] == classes["map@0.4"] == pytest.approx(0.75)
    truth = report["rows"]["ground truth"]["event_map"]
    assert truth["ap"] == truth["per_class"]["map"] == 1.0
    # Chance: a whole video each, of every class: at IoU 0.5 the event of b and d, at 0.2 one of a too.
    chance = report["rows"]["chance"]["event_map"]
    assert chance["ap@0.5"] == pytest.approx(2 / 4 * 2 / 4) and chance["ap@0.2"] == pytest.approx(3 / 4 * 3 / 4)
    entries = chance["per_class"]["classes"]
    assert (entries["Arson"]["ap@0.5"], entries["Stealing"]["ap@0.5"]) == (pytest.approx(1 / 3), 0.0)
    assert entries["Arson"]["num_predictions"] == entries["Stealing"]["num_predictions"] == 3
    marked = report["rows"]["video labels"]["event_map"]
    assert marked["ap@0.5"] == pytest.approx(2 / 4 * 2 / 3)  # it knows that c is normal
    assert marked["per_class"]["classes"]["Arson"]["ap@0.5"] == 1.0
    said = markdown_of(tmp_path)
    assert "| mAP of classes at IoU | 0.1 | 0.2 | 0.3 | 0.4 | 0.5 | mean |" in said and "1 videos of several" in said
    assert f"| **scores** | {' | '.join([f'{half:.4f}'] * 6)} |" in said
    assert "| scores, Arson | 1.0000 |" in said


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({name: (events, None) for name, (events, _) in FOUND.items()}, "the scores name no classes of events"),
        ({"b": (FOUND["b"][0], None)}, "1 of 4 videos have no `events` with `event_classes`"),
        ({"b": None}, "1 of 4 videos have no `events` with `event_classes`"),
        ({"b": ([], None), "a": ([], [])}, None),  # nothing predicted needs no class
        ({name: ([], []) for name in FOUND}, None),
    ],
)
def test_where_there_is_no_map_of_classes(tmp_path, changes, reason):
    found = {name: entry for name, entry in {**FOUND, **changes}.items() if entry}
    report = ranked_events(tmp_path, "scores", found)
    assert (report["no_classes"] or "").startswith(reason or "") and (report["no_classes"] is None) == (reason is None)
    for row in report["rows"].values():
        assert (row["event_map"]["per_class"] is None) == bool(reason) and row["event_map"]["ap"] is not None
    if reason:
        assert f"comparable with no published mAP: {reason}" in markdown_of(tmp_path)
    else:
        assert report["rows"]["scores"]["event_map"]["per_class"]["map"] == 0.0


def test_events_without_an_annotated_one_have_no_map(tmp_path):
    """All events are in the video whose class nothing tells."""
    path = write_json(tmp_path / "ucf_database_test.json", hivau(c=RANKED["c"], d=RANKED["d"]))
    arrays = {
        name: {"scores": np.linspace(0, 1, 100), "events": FOUND[name][0], "event_classes": FOUND[name][1]}
        for name in "cd"
    }
    scores = write_scores(tmp_path / "scores", **arrays)
    report = evaluate_scores(tmp_path, scores=scores, annotations=path, protocol="hivau")
    classes = report["rows"]["scores"]["event_map"]["per_class"]
    assert classes == {**dict.fromkeys([f"map@0.{i}" for i in range(1, 6)]), "map": None, "classes": {}} | {
        "videos_left_out": 1
    }
    assert "| **scores** | – | – | – | – | – | – |" in markdown_of(tmp_path)


def test_the_report_says_what_its_columns_are(tmp_path, ucf):
    report = evaluate_scores(tmp_path, **ucf)
    row, columns = report["rows"]["scores"], report["columns"]
    assert columns.keys() - {"event_map.per_class"} == row.keys() and row["event_map"] is None
    assert "abnormal videos alone" in columns["auc_abnormal"] and "macro AUC" in columns["auc_within"]
    said = markdown_of(tmp_path)
    assert "| AUC, abnormal videos | macro AUC, within a video |" in said and "mAP" not in said


def test_perfect_video_labels_on_ucf_crime(tmp_path, ground_truth):
    annotations = ground_truth / "ucf_annotation_with_frames.txt"
    scores = {
        name: np.full(-(-truth.n_frames // 16), float(bool(truth.labels)))
        for name, truth in read_ucf_annotation(annotations).items()
    }
    report = evaluate_scores(tmp_path, scores=write_scores(tmp_path / "s", **scores), annotations=annotations)
    row = report["rows"]["scores"]
    assert row["auc"] == pytest.approx(0.816, abs=5e-4) and row["ap_step"] == pytest.approx(0.182, abs=5e-4)
    assert row == report["rows"]["video labels"] and row["auc_within"] == 0.5
    assert len(report["classes"]) == 13 and report["videos"]["counted"] == 290


def test_xd_takes_videos_without_a_line_as_normal(tmp_path, capsys):
    videos = tmp_path / "videos"
    for folder in ("train", "test"):
        (videos / folder).mkdir(parents=True)
    riot, calm, other = "v=a__#1_label_B4-0-0", "v=b.2__#1_label_A", "v=c__#1_label_A"
    write_video(videos / "test" / f"{riot}.mp4", 50)
    write_video(videos / "test" / f"{calm}.mp4", 40)
    write_video(videos / "train" / f"{other}.mp4", 16)
    for name in ("._d_label_A.mp4", "__MACOSX/d_label_A.mp4", ".trash/d_label_A.mp4", "d_label_A.txt"):
        (videos / "test" / name).parent.mkdir(exist_ok=True)
        (videos / "test" / name).touch()
    (videos / "test" / "gone_label_A.mp4").symlink_to(tmp_path / "nowhere.mp4")
    (videos / "again").symlink_to(videos / "test")
    path = write_lines(tmp_path / "annotations.txt", f"{riot} 16 32")
    scores = write_scores(tmp_path / "scores", **{riot: [0.2, 0.3, 0.1, 0.9], calm: [0.1, 0.4, 0.0]})
    report = evaluate_scores(
        tmp_path, "--videos", str(videos), scores=scores, annotations=path, protocol="xd-violence"
    )
    assert report["videos"] == {"counted": 2, "abnormal": 1, "normal": 1, "missing": 0}
    assert report["frames"] == {"counted": 48 + 32, "abnormal": 16} and list(report["classes"]) == ["Riot"]
    assert report["rows"]["scores"]["auc"] == pytest.approx(3 / 4)  # 0.3 against 0.2, 0.1, 0.1 and 0.4
    assert "1 videos whose names end in label_A are taken as normal, the test set has 300" in capsys.readouterr().err
    shutil.rmtree(videos / "test")  # then nothing tells the number of frames
    report = tmp_path / "none"
    argv = ["--scores", scores, "--annotations", path, "--protocol", "xd-violence", "--output", report]
    assert detection.main([str(arg) for arg in argv]) == 1
    assert "pass --videos, or an array `n_frames`" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["../../film", "/tmp/film", "a/film"])
def test_a_name_does_not_lead_out_of_the_folder_of_scores(tmp_path, capsys, name):
    """Whether it is refused or taken without its folders."""
    (tmp_path / "videos").mkdir()
    write_video(tmp_path / "videos" / "film.mp4", 40)
    path = write_lines(tmp_path / "annotations.txt", f"{name} 16 32")
    argv = ["--model", tmp_path / "model", "--annotations", path, "--protocol", "xd-violence"]
    argv += ["--videos", tmp_path / "videos", "--output", tmp_path / "a" / "b"]
    assert detection.main([str(arg) for arg in argv]) == 1
    assert sum(line.startswith("error: ") for line in capsys.readouterr().err.splitlines()) == 1
    with pytest.raises(ValueError, match="is no name of a video"):
        truth.check_names({name: None}, "annotations.txt")


@pytest.fixture
def filmed(tmp_path) -> dict[str, Path]:
    """Two videos and their annotations in the release's layout."""
    videos = tmp_path / "videos" / "ucf-crime" / "videos" / "test"
    videos.mkdir(parents=True)
    write_video(videos / "Arson1_x264.mp4", 100)
    write_video(videos / "Normal_1_x264.mp4", 40)
    annotations = hivau(Arson1_x264=(100, 25.0, ["Arson"], [[1.0, 2.0]]), Normal_1_x264=(41, 25.0, [], []))
    path = write_json(tmp_path / "annotations" / "raw_annotations" / "ucf_database_test.json", annotations)
    return {"videos": tmp_path / "videos", "annotations": path.parents[1], "output": tmp_path / "out"}


def run_model(model: Path, filmed: dict[str, Path], *options: str) -> int:
    pairs = [(f"--{name}", str(value)) for name, value in {"model": model, "device": "cpu", **filmed}.items()]
    return detection.main([*(arg for pair in pairs for arg in pair), *options])


def test_events_of_a_recording_with_a_gap_are_on_its_clock(filmed, checkpoint56):
    """100 frames, the second half an hour after the first, the event in it."""
    path = filmed["videos"] / "ucf-crime" / "videos" / "test" / "Arson1_x264.mp4"
    write(path, 100, ticks=[*range(0, 200, 4), *range(324_000, 324_200, 4)])
    annotations = hivau(Arson1_x264=(100, 22.5, ["Arson"], [[3600.0, 3601.0]]), Normal_1_x264=(40, 25.0, [], []))
    write_json(filmed["annotations"] / "raw_annotations" / "ucf_database_test.json", annotations)
    assert run_model(checkpoint56, filmed) == 0
    tests = truth.read_hivau(str(filmed["annotations"]), "test")
    scores = read_scores(filmed["output"] / "scores" / "Arson1_x264.npz")
    assert scores.times_s[49:51].tolist() == pytest.approx([196 / 90, 3600.0])
    video = counting.count_video(tests["Arson1_x264"], scores, 100, "exclusive", "frames")
    assert np.flatnonzero(video.labels).tolist() == [*range(50, 73)] and video.spans == [(50, 73)]
    (span_s,) = detection_report.spans_s(video)
    assert span_s == pytest.approx([3600.0, 3601.0], abs=0.03)
    events = detection_report.events_of_frames(video, np.ones(100))
    assert [event[:2] for event in events] == [
        [0.0, pytest.approx(200 / 90, abs=0.01)],
        [pytest.approx(3600), pytest.approx(3600 + 200 / 90, abs=0.01)],
    ]


def test_scores_of_a_model(filmed, checkpoint56, model56, processor56, capsys):
    (filmed["videos"] / "._Arson1_x264.mp4").touch()
    (filmed["videos"] / "notes.txt").touch()
    assert run_model(checkpoint56, filmed) == 0
    out, err = capsys.readouterr()
    assert "| **scores** |" in out and f"note: {filmed['videos']}: 2 files left out: 1 .txt, 1 hidden" in err
    path = filmed["videos"] / "ucf-crime" / "videos" / "test" / "Arson1_x264.mp4"
    with open_video(path) as reader:
        frames = resize_frames(reader.read(range(0, 100, 16)), processor56.image_size)
    expected = model56.score_frames(frames)
    with np.load(filmed["output"] / "scores" / "Arson1_x264.npz") as file:
        np.testing.assert_allclose(file["scores"], expected.numpy(), atol=1e-5)
        assert file["frame_indices"].tolist() == list(range(0, 100, 16))
        assert (int(file["n_frames"]), float(file["fps"]), int(file["frame_stride"])) == (100, 25.0, 16)
        config = model56.config
        rule = (config.event_threshold, config.event_low_threshold, config.event_min_length_s)
        events = find_events(expected, [i / 25 for i in range(0, 100, 16)], 4.0, *rule)
        assert file["events"][:, :2].tolist() == [[event["start_s"], event["end_s"]] for event in events]
    report = json.loads((filmed["output"] / "report.json").read_text())
    labels = np.zeros(96 + 32)
    labels[25:50] = 1
    calm = np.load(filmed["output"] / "scores" / "Normal_1_x264.npz")["scores"]
    scores = np.concatenate([np.repeat(expected.numpy(), 16)[:96], np.repeat(calm, 16)[:32]])
    assert report["rows"]["scores"]["auc"] == pytest.approx(count_pairs(scores, labels), abs=1e-6)
    assert report["rows"]["scores"]["events"]["num_events"] == 1
    assert report["other_length"] == {"Normal_1_x264": [41, 40]}


def test_spans_lie_where_their_seconds_are(filmed, checkpoint56, tmp_path, caplog, capsys):
    """A file of another frame rate than annotated: 25 instead of 50."""
    assert run_model(checkpoint56, filmed) == 0
    doubled = hivau(Arson1_x264=(200, 50.0, ["Arson"], [[1.0, 2.0]]), Normal_1_x264=(80, 50.0, [], []))
    path = write_json(tmp_path / "doubled" / "raw_annotations" / "ucf_database_test.json", doubled)
    other = {**filmed, "annotations": path.parents[1], "output": tmp_path / "other"}
    assert run_model(checkpoint56, other) == 0
    rows = [json.loads((run["output"] / "report.json").read_text())["rows"] for run in (filmed, other)]
    assert rows[0] == rows[1]
    assert "Arson1_x264: has 25 frames per second, annotated are 50" in caplog.text
    assert "warning: " not in capsys.readouterr().err  # it is as long as annotated


def test_resumes_and_refuses_other_settings(filmed, checkpoint56, tmp_path, monkeypatch, capsys):
    from modeling_holmes_vau.checkpoint import load as loading

    loads, load = [], loading.load_on_device
    monkeypatch.setattr(loading, "load_on_device", lambda *args: loads.append(args) or load(*args))
    assert run_model(checkpoint56, filmed) == 0
    folder = filmed["output"] / "scores"
    first = (filmed["output"] / "report.json").read_text()
    times = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    (folder / "Normal_1_x264.npz").unlink()
    assert run_model(checkpoint56, filmed) == 0
    after = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert after.keys() == times.keys() and after["Arson1_x264.npz"] == times["Arson1_x264.npz"]
    assert len(loads) == 2 and (filmed["output"] / "report.json").read_text() == first
    assert run_model(checkpoint56, filmed, "--interval-end", "inclusive") == 0
    assert len(loads) == 2  # a new report needs no model
    moved = shutil.copytree(checkpoint56, tmp_path / "moved")
    assert run_model(moved, filmed) == 0 and len(loads) == 2
    capsys.readouterr()
    assert run_model(moved, filmed, "--dtype", "bfloat16") == 1
    said = capsys.readouterr().err
    assert "made with dtype auto, now asked for with dtype bfloat16; choose another" in said and said.count("\n") == 1
    config = json.loads((moved / "config.json").read_text())
    write_json(moved / "config.json", {**config, "event_threshold": 0.9})
    assert run_model(moved, filmed) == 1 and "holds scores made with digest" in capsys.readouterr().err
    (filmed["output"] / "settings.json").unlink()
    assert (
        run_model(checkpoint56, filmed) == 1 and "there is no settings.json: nothing tells" in capsys.readouterr().err
    )
    assert after == {path.name: path.stat().st_mtime_ns for path in folder.iterdir()} and len(loads) == 2


def test_missing_and_broken_videos_are_counted(filmed, checkpoint56, capsys):
    annotations = filmed["annotations"] / "raw_annotations" / "ucf_database_test.json"
    entries = json.loads(annotations.read_text())
    entries |= hivau(Arson2_x264=(80, 25.0, ["Arson"], [[0.0, 1.0]]), Arson3_x264=(80, 25.0, ["Arson"], [[0.0, 1.0]]))
    write_json(annotations, entries)
    (filmed["videos"] / "Arson3_x264.mp4").write_bytes(b"no video")
    assert run_model(checkpoint56, filmed) == 1
    report = json.loads((filmed["output"] / "report.json").read_text())
    assert report["videos"] == {"counted": 2, "abnormal": 1, "normal": 1, "missing": 2}
    assert report["problems"]["Arson2_x264"].startswith("missing: no file of that name")
    assert "Arson3_x264.mp4: not a video" in report["problems"]["Arson3_x264"]
    assert "missing: 2 videos are not counted" in (filmed["output"] / "report.md").read_text()
    said = capsys.readouterr().err
    assert "error: Arson2_x264: missing" in said and "Traceback" not in said


def test_spans_past_the_end_are_named_and_left_out(tmp_path, capsys):
    frames = {"Abuse028_x264": 1412, "Assault006_x264": 8096, "Normal_Videos_003_x264": 500}
    scores = {name: {"scores": np.linspace(0, 1, -(-n // 16)), "n_frames": n} for name, n in frames.items()}
    given = {"scores": write_scores(tmp_path / "scores", **scores), "annotations": PAST_END}
    report = evaluate_scores(tmp_path, **given, status=1)
    assert report["videos"] == {"counted": 2, "abnormal": 1, "normal": 1, "missing": 1}
    assert report["frames"]["abnormal"] == 4096 and list(report["problems"]) == ["Abuse028_x264"]
    said = "the span 5000 to 6000 is past the end of the video (1412 frames)"
    assert said in report["problems"]["Abuse028_x264"]
    assert f"- Abuse028_x264: {report['problems']['Abuse028_x264']}" in markdown_of(tmp_path)
    error = capsys.readouterr().err
    assert error.startswith("error: Abuse028_x264: ") and said in error and error.count("\n") == 1


def markdown_of(tmp_path: Path) -> str:
    return max(tmp_path.glob("report*/report.md"), key=os.path.getmtime).read_text()


@pytest.mark.parametrize("protocol", ["ucf-crime", "xd-violence", "hivau"])
@pytest.mark.parametrize("n_frames", [62, 48, 30])  # the span is 32 to 64
def test_ends_a_few_frames_late_are_counted(tmp_path, protocol, n_frames, capsys):
    name, calm = "v=a__#1_label_B4-0-0", "v=b__#1_label_A"
    path = tmp_path / "ucf_database_test.json"
    if protocol == "hivau":
        write_json(path, hivau(**{name: (64, 8.0, ["Riot"], [[4.0, 8.0]]), calm: (40, 8.0, [], [])}))
    else:
        lines = {"ucf-crime": (f"{name} Riot 32 64", f"{calm} Normal -1 -1"), "xd-violence": (f"{name} 32 64",)}
        write_lines(path, *lines[protocol])
    counts = {name: n_frames, calm: 40}
    arrays = {key: {"scores": np.linspace(0, 1, -(-n // 16)), "n_frames": n} for key, n in counts.items()}
    scores = write_scores(tmp_path / "scores", **arrays)
    if n_frames == 62:
        report = evaluate_scores(tmp_path, scores=scores, annotations=path, protocol=protocol)
        assert report["problems"] == {} and report["frames"]["abnormal"] == 16
        return
    argv = ["--scores", scores, "--annotations", path, "--protocol", protocol, "--output", tmp_path / "out"]
    assert detection.main([str(arg) for arg in argv]) == 1
    said = capsys.readouterr().err
    assert f"error: {name}: " in said and "is past the end of the video" in said and f"{n_frames} frames" in said


def test_another_length_is_named(tmp_path, ucf, capsys):
    """A copy at half the rate: its spans lie elsewhere, though within it."""
    write_scores(ucf["scores"], Arson101_x264={"scores": ARSON[:3], "n_frames": 36})
    report = evaluate_scores(tmp_path, **ucf)
    assert report["other_length"] == {"Arson101_x264": [64, 36]} and report["videos"]["counted"] == 2
    assert "warning: Arson101_x264: has 36 frames, annotated are 64" in capsys.readouterr().err
    assert "- Arson101_x264: annotated 64 frames, there 36" in markdown_of(tmp_path)
    write_scores(ucf["scores"], Arson101_x264={"scores": ARSON, "n_frames": 62})
    evaluate_scores(tmp_path, **ucf)
    assert "warning" not in capsys.readouterr().err


def test_scores_that_do_not_fit_are_counted(tmp_path, ucf, capsys):
    lines = [f"Arson/Arson{i}_x264.mp4 64 Arson 16 32 -1 -1" for i in range(6)]
    write_lines(ucf["annotations"], *UCF, *lines)
    write_scores(ucf["scores"], Arson0_x264=[0.1] * 9, Arson1_x264=[[0.1] * 4], Arson2_x264={"other": [0.1] * 4})
    np.save(tmp_path / "array.npy", np.zeros(4))
    (tmp_path / "array.npy").rename(ucf["scores"] / "Arson3_x264.npz")
    (ucf["scores"] / "Arson4_x264.npz").write_bytes(b"PK no zip")
    report = evaluate_scores(tmp_path, **ucf, status=1)
    problems = report["problems"]
    assert report["videos"]["counted"] == 2 and report["videos"]["missing"] == len(problems) == 6
    assert "got 9 scores for 64 frames" in problems["Arson0_x264"]
    assert "expected finite numbers of shape (n,)" in problems["Arson1_x264"]
    assert "got the arrays other, expected one named `scores`" in problems["Arson2_x264"]
    assert "not an .npz" in problems["Arson3_x264"] and "not an .npz" in problems["Arson4_x264"]
    assert problems["Arson5_x264"].startswith("missing: ")
    assert report["rows"] == evaluate_scores(tmp_path, **ucf, status=1)["rows"]
    capsys.readouterr()


@pytest.mark.parametrize(
    ("array", "message"),
    [
        ({"frame_stride": 0.5}, "`frame_stride` is 0.5, expected one number, 1 or more"),
        ({"n_frames": np.inf}, "`n_frames` is inf"),
        ({"fps": 25 + 1j}, "`fps` is"),
        ({"event_rule": 0.5}, "`event_rule` is 0.5, expected three numbers"),
        ({"events": [[5.0, 1.0, 0.9]]}, "`events` are not all finite numbers with start_s before end_s"),
        ({"events": [[0.0, np.nan, 0.9]]}, "`events` are not all finite"),
        ({"event_classes": ["Arson"]}, "`event_classes` is <U5 of shape (1,) beside no `events`, expected the name"),
        ({"events": [[0.0, 1.0, 0.9]], "event_classes": ["Arson"] * 2}, "of shape (2,) beside 1 `events`"),
        ({"events": [[0.0, 1.0, 0.9]], "event_classes": [3]}, "`event_classes` is int64 of shape (1,)"),
        ({"events": [[0.0, 1.0, 0.9]], "event_classes": [" "]}, "expected the name of a class for each of `events`"),
    ],
)
def test_odd_arrays_are_counted_by_name(tmp_path, ucf, array, message, capsys):
    write_scores(ucf["scores"], Arson101_x264={"scores": ARSON, **array}, Arson1_x264=ARSON)
    write_lines(ucf["annotations"], *UCF, f"Arson/Arson1_x264.mp4 {16 * len(ARSON)} Arson 16 32 -1 -1")
    problems = evaluate_scores(tmp_path, **ucf, status=1)["problems"]
    assert list(problems) == ["Arson101_x264"] and message in problems["Arson101_x264"]
    capsys.readouterr()


def test_the_truth_finds_its_own_short_events(tmp_path):
    annotations = hivau(
        a=(250, 25.0, ["Theft"], [[2.0, 2.4], [6.0, 6.8]]),
        b=(200, 25.0, [], [[1.0, 2.0]]),
    )
    path = write_json(tmp_path / "ucf_database_test.json", annotations)
    scores = write_scores(tmp_path / "scores", a=np.linspace(0, 1, 16), b=np.full(13, 0.1))
    report = evaluate_scores(tmp_path, scores=scores, annotations=path, protocol="hivau")
    assert report["rows"]["ground truth"]["events"]["f1@0.7"] == 1.0


def test_one_run_a_folder(tmp_path, ucf, capsys):
    (tmp_path / "out").mkdir()
    argv = ["--scores", ucf["scores"], "--annotations", ucf["annotations"], "--protocol", "ucf-crime"]
    with sole_run(tmp_path / "out"):
        assert detection.main([*map(str, argv), "--output", str(tmp_path / "out")]) == 1
    assert "another run is writing it" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"scores": "nowhere"}, "--scores nowhere: no such folder"),
        ({"annotations": "nowhere.txt"}, "--annotations nowhere.txt: no such file"),
        ({"videos": "nowhere"}, "--videos nowhere: no such folder"),
        ({"protocol": "hivau", "annotations": "nowhere"}, "nowhere does not exist"),
        ({"output": "{file}"}, "is a file; pass a folder"),
        ({"scores": "{empty}"}, "none of the 2 test videos has scores"),
        ({"scores": None, "model": "nowhere/at/all"}, "--model scores videos: pass --videos"),
        ({"scores": None, "model": "{empty}", "videos": "{empty}"}, "a folder without config.json"),
    ],
)
def test_mistakes_are_one_line(tmp_path, ucf, changes, message, capsys):
    (tmp_path / "empty").mkdir()
    options = {**ucf, "protocol": "ucf-crime", "output": tmp_path / "out", **changes}
    options = {name: str(value) for name, value in options.items() if value is not None}
    options = {
        name: value.format(file=ucf["annotations"], empty=tmp_path / "empty") for name, value in options.items()
    }
    assert detection.main([arg for name, value in options.items() for arg in (f"--{name}", value)]) == 1
    said = capsys.readouterr().err
    assert message in said.splitlines()[-1] and "Traceback" not in said
    assert not (tmp_path / "out" / "report.json").exists()


def test_one_kind_of_frames_and_other_splits(tmp_path, ucf, capsys):
    write_lines(ucf["annotations"], UCF[1])
    argv = ["--scores", str(ucf["scores"]), "--output", str(tmp_path / "out"), "--annotations"]
    assert detection.main([*argv, str(ucf["annotations"]), "--protocol", "ucf-crime"]) == 1
    assert "Every frame has the same label" in capsys.readouterr().err
    path = write_json(tmp_path / "ucf_database_train.json", hivau(a=(90, 10.0, [], [])))
    assert detection.main([*argv, str(path)]) == 1
    assert "no videos of the split 'test'; it has train" in capsys.readouterr().err


def test_reads_truth_of_both_forms_of_ucf(tmp_path):
    path = write_lines(tmp_path / "official.txt", "Arson101_x264.mp4  Arson  16  32  -1  -1")
    video = truth.read_tests("ucf-crime", str(path))["Arson101_x264"]
    assert video.truth == FrameAnnotation("Arson101_x264", ((16, 32),), ("Arson",))
    assert video.entry.whole_path == "ucf-crime/videos/test/Arson101_x264.mp4"


@pytest.mark.parametrize("classes", [1, 0])
def test_pictures(tmp_path, ucf, classes):
    if classes:
        evaluate_scores(tmp_path, **ucf)
    else:  # a name that tells no class
        path = write_lines(tmp_path / "annotations.txt", "film 16 32")
        scores = write_scores(tmp_path / "xd", film={"scores": ARSON, "n_frames": 64})
        report = evaluate_scores(tmp_path, scores=scores, annotations=path, protocol="xd-violence")
        assert report["classes"] == {} and report["videos"]["abnormal"] == 1
    output = next(tmp_path.glob("report*"))
    for name in ("roc", "pr", "classes"):
        picture = np.asarray(Image.open(io.BytesIO((output / f"{name}.png").read_bytes())).convert("RGB"))
        assert min(picture.shape[:2]) > 250 and len(np.unique(picture.reshape(-1, 3), axis=0)) > 50
        evaluated = np.abs(picture.astype(int) - (0xB5, 0x48, 0x4F)).max(-1) < 8  # its colour
        assert evaluated.sum() >= 300 * (classes or name != "classes"), name


def test_help_needs_nothing_heavy(tmp_path):
    script = Path(detection.__file__)
    code = (
        "import runpy, sys\n"
        f"sys.argv = ['detection.py', '--help']\n"
        "try:\n"
        f"    runpy.run_path({str(script)!r}, run_name='__main__')\n"
        "except SystemExit as stop:\n"
        "    assert not stop.code\n"
        "print({'torch', 'transformers', 'evaluate', 'matplotlib'} & set(sys.modules))"
    )
    out = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert "--interval-end" in out and out.endswith("set()\n")
