"""What is wrong is found, named and counted; on the released files with the counts that are known."""

import pytest

from hivau70k_dataset.findings import MEANING
from hivau70k_dataset.ground_truth import FrameAnnotation, read_ucf_annotation
from hivau70k_dataset.validate import prompts_in, validate
from tests.annotations import raw_annotations, released_row, write_json, write_lines, write_release
from tests.folders import refuse
from tests.videos import write_video


def test_a_clean_set_has_no_findings(tmp_path):
    report = validate(write_release(tmp_path))
    assert report.findings == [] and (report.videos, report.rows) == (2, 17)
    assert report.to_text().splitlines()[0] == "2 annotated videos and 17 instruction rows, 0 findings"


def found(report) -> set[tuple[str, str]]:
    return {(finding.kind, finding.code) for finding in report.findings}


GLUED = "What happened in this video?Describe the video briefly."


@pytest.mark.parametrize(
    ("changes", "code", "where"),
    [
        ({"anwser": "No anomaly exists."}, "contradiction", "id 0"),
        ({"anwser": "A dog crosses the street."}, "unclear_judgement", "id 0"),
        ({"anwser": "An anomaly exists, specifically a Jaywalking anomaly."}, "no_known_class", "id 0"),
        ({"anwser": "An anomaly exists, specifically Vandalism."}, "other_class", "id 0"),
        ({"anwser": "An anomaly exists, specifically an arson attack."}, "label_spelling", "id 0"),
        ({"anwser": "An Arson anomaly exists.\nIt burns."}, "white_space", "id 0 answer"),
        ({"anwser": "An Arson anomaly exists, dérogé."}, "non_ascii", "id 0 answer"),
        ({"prompt": "Any of the subjects\u2019 anomalies?"}, "curly_quotes", "id 0 question"),
        ({"prompt": GLUED}, "glued_prompts", "id 0"),
        ({"video": "ucf-crime/events/test/Arson101_x264_E2.mp4"}, "unknown_segment", "id 0"),
        ({"video": "ucf-crime/events/test/Arson109_x264_E0.mp4"}, "unknown_segment", "id 0"),
    ],
)
def test_rows(tmp_path, changes, code, where):
    write_release(tmp_path)
    write_lines(tmp_path / "instruction" / "merge_instruction_test_final.jsonl", [released_row(**changes)])
    findings = [finding for finding in validate(tmp_path).findings if finding.kind == "instructions"]
    assert [(finding.code, finding.where) for finding in findings] == [(code, where)]


def test_repeated_rows_and_ids(tmp_path):
    rows = [
        released_row(id="0"),
        released_row(id="1"),
        released_row(id="0", prompt="Are there anomalies observed in the video clip?"),
    ]
    report = validate(write_lines(tmp_path / "rows.jsonl", rows))
    assert found(report) == {("instructions", "duplicate_row"), ("instructions", "duplicate_id")}
    assert [finding.message for finding in report.findings][0] == "as id 0"


@pytest.mark.parametrize(
    ("change", "code", "where"),
    [
        ({"events": [[2.0, 9.0], [12.0, 30.1]]}, "event_past_end", "event 1"),
        ({"events": [[2.0, 12.5], [12.0, 20.5]]}, "event_overlap", "event 1"),
        ({"clips": [[[2.0, 4.0], [4.5, 9.5]], [[12.0, 20.5]]]}, "clip_outside_event", "event 0 clip 1"),
        ({"clips": [[[2.0, 4.0], [3.0, 9.0]], [[12.0, 20.5]]]}, "clip_overlap", "event 0 clip 1"),
        ({"clips": [[[4.5, 9.0], [2.0, 4.0]], [[12.0, 20.5]]]}, "clip_order", "event 0 clip 1"),
        ({"label": ["arson"]}, "label_spelling", "labels"),
        ({"video_summary": " spaced "}, "white_space", "video summary"),
    ],
)
def test_annotations(tmp_path, change, code, where):
    records = raw_annotations()
    records["Arson101_x264"].update(change)
    report = validate(write_json(tmp_path / "ucf_test.json", records))
    assert [(finding.code, finding.where) for finding in report.findings] == [(code, where)]


def test_rows_that_are_missing(tmp_path):
    write_release(tmp_path)
    path = tmp_path / "instruction" / "merge_instruction_test_final.jsonl"
    path.write_text(
        "\n".join(line for line in path.read_text().splitlines() if "_E1C0" not in line and "Normal" not in line)
    )
    report = validate(tmp_path)
    assert [(finding.code, finding.video, finding.where) for finding in report.findings] == [
        ("missing_row", "Arson101_x264", "caption"),
        ("no_instructions", "Normal_Videos_101_x264", ""),
    ]


def test_what_cannot_be_read_is_a_finding(tmp_path):
    records = raw_annotations()
    del records["Arson101_x264"]["fps"]
    write_json(tmp_path / "ucf_test.json", records)
    write_lines(tmp_path / "rows.jsonl", [released_row(type="scene")])
    report = validate(tmp_path)
    messages = [finding.message for finding in report.findings if finding.code == "unreadable"]
    assert len(messages) == 2 and "`type`: got 'scene'" in messages[0] and "`fps` is missing" in messages[1]
    assert (report.videos, report.rows) == (1, 0)


def test_a_video_annotated_twice(tmp_path):
    for name in ("ucf_a_test.json", "ucf_b_test.json"):
        write_json(tmp_path / name, {"Arson101_x264": {**raw_annotations()["Arson101_x264"]}})
    records = {"Arson101_x264": raw_annotations()["Arson101_x264"]}
    other = tmp_path / "other"
    write_json(other / "ucf_database_test.json", records)
    write_json(other / "ucf_test.json", records)
    assert found(validate(other)) == {("annotations", "duplicate_video")}
    assert found(validate(tmp_path)) == set()  # of two benchmarks, "ucf_a" and "ucf_b"


def test_videos(tmp_path):
    write_release(tmp_path / "data")
    root = tmp_path / "videos"
    root.mkdir()
    (root / "Arson101_x264.mp4").write_bytes(b"no video")
    write_video(root / "Normal_Videos_101_x264.mp4", num_frames=10, rate=10)
    findings = validate(tmp_path / "data", videos=root).findings
    assert [(finding.code, finding.video) for finding in findings] == [
        ("unreadable_video", "ucf-crime/videos/test/Arson101_x264.mp4"),
        ("frame_count", "ucf-crime/videos/test/Normal_Videos_101_x264.mp4"),
        ("frame_rate", "ucf-crime/videos/test/Normal_Videos_101_x264.mp4"),
    ]
    assert findings[1].message == "the file has 10 frames, the annotation 250"
    write_video(root / "Normal_Videos_101_x264.mp4", num_frames=250, rate=25)
    (root / "Arson101_x264.mp4").unlink()
    assert [finding.code for finding in validate(tmp_path / "data", videos=root).findings] == ["missing_video"]


def test_what_lies_beside_the_videos(tmp_path, monkeypatch):
    write_release(tmp_path / "data")
    root = tmp_path / "videos"
    (root / "locked").mkdir(parents=True)
    for name in ("._Arson101_x264.mp4", "Arson101_x264.txt"):
        (root / name).touch()
    refuse(monkeypatch, root / "locked")
    report = validate(tmp_path / "data", videos=root)
    assert report.left_out == report.to_dict()["left_out"] == "2 files left out: 1 .txt, 1 hidden"
    assert "among the videos: 2 files left out" in report.to_text()
    assert [finding.message for finding in report.findings if finding.code == "unreadable_folder"] == [
        "cannot be searched: Permission denied"
    ]
    assert f"{root / 'locked'}: cannot be searched" in report.to_text()


def test_files_of_single_segments(tmp_path):
    write_release(tmp_path / "data")
    root = tmp_path / "videos"
    for name, frames, rate in (("Arson101_x264_E0C0", 60, 30), ("Arson101_x264_E0C1", 60, 30)):
        (root / "ucf-crime" / "clips" / "test").mkdir(parents=True, exist_ok=True)
        write_video(root / "ucf-crime" / "clips" / "test" / f"{name}.mp4", num_frames=frames, rate=rate)
    event = root / "ucf-crime" / "events" / "test" / "Arson101_x264_E0.mp4"
    event.parent.mkdir(parents=True)
    event.write_bytes(b"no video")
    findings = validate(tmp_path / "data", videos=root).findings
    assert [(finding.code, finding.video) for finding in findings if finding.code != "missing_video"] == [
        ("unreadable_video", "ucf-crime/events/test/Arson101_x264_E0.mp4"),
        ("segment_length", "ucf-crime/clips/test/Arson101_x264_E0C1.mp4"),
    ]
    assert findings[-1].message == "the file lasts 2.000 s, the annotated span 4.500 s"


def test_rows_whose_segments_are_there_need_no_whole_video(tmp_path):
    write_lines(tmp_path / "rows.jsonl", [released_row()])
    event = tmp_path / "videos" / "ucf-crime" / "events" / "test" / "Arson101_x264_E0.mp4"
    assert validate_codes(tmp_path, event.parents[3]) == ["missing_video"]
    event.parent.mkdir(parents=True)
    write_video(event, num_frames=5)
    assert validate_codes(tmp_path, event.parents[3]) == []


def validate_codes(folder, videos):
    videos.mkdir(exist_ok=True)
    return [finding.code for finding in validate(folder / "rows.jsonl", videos=videos).findings]


def test_ground_truth_of_another_class_or_length(tmp_path):
    truth = {
        "Arson101_x264": FrameAnnotation("Arson101_x264", ((0, 60), (360, 400)), ("Explosion",), 800),
        "Normal_Videos_101_x264": FrameAnnotation("Normal_Videos_101_x264", ((1, 2),), ("Arson",)),
    }
    findings = validate(write_release(tmp_path), ground_truth=truth).findings
    assert [(finding.code, finding.message) for finding in findings] == [
        ("truth_class", "Arson but Explosion in the ground truth"),
        ("truth_frames", "900 frames, 800 in the ground truth"),
        ("low_agreement", "temporal IoU 0.076"),
        ("truth_class", "normal but Arson in the ground truth"),
    ]


def test_ground_truth(tmp_path):
    truth = {"Arson101_x264": FrameAnnotation("Arson101_x264", ((60, 270), (360, 615), (700, 800)), ("Arson",), 900)}
    report = validate(write_release(tmp_path), ground_truth=truth)
    assert [finding.code for finding in report.findings] == ["lost_segment"]
    assert report.agreement == {"Arson101_x264": pytest.approx(465 / 565)}
    assert validate(tmp_path, ground_truth={}).findings[0].code == "no_ground_truth"


@pytest.mark.parametrize(
    ("question", "prompts"),
    [
        (GLUED, ["What happened in this video?", "Describe the video briefly."]),
        ("Describe the video briefly.", ["Describe the video briefly."]),
        ("What colour is it?", []),
        ("Describe the video briefly. What colour is it?", []),
    ],
)
def test_glued_prompts_are_told_apart(question, prompts):
    assert prompts_in(question) == prompts


def test_the_blemishes_of_the_released_files(released, ground_truth):
    report = validate(released, ground_truth=read_ucf_annotation(ground_truth / "ucf_annotation_with_frames.txt"))
    counts = report.to_dict()["counts"]
    assert counts["instructions"] == {
        "duplicate_row": 99,
        "contradiction": 24,
        "no_known_class": 2,
        "other_class": 1,
        "label_spelling": 93,
        "glued_prompts": 100,
        "curly_quotes": 204,
        "non_ascii": 10,
        "white_space": 6,
    }
    assert counts["annotations"] == {
        "contradiction": 16,
        "no_known_class": 2,
        "curly_quotes": 2,
        "white_space": 24,
        "event_past_end": 6,
        "clip_past_end": 1,
        "event_overlap": 6,
        "clip_outside_event": 80,
        "clip_overlap": 181,
        "clip_order": 18,
        "no_instructions": 191,
    }
    assert counts["videos"] == {"odd_name": 90}
    assert sum(finding.group == "wholly" for finding in report.findings) == 10
    lost = [finding.video for finding in report.findings if finding.code == "lost_segment"]
    assert lost == [
        "Arson011_x264",
        "Shooting047_x264",
        "Shoplifting027_x264",
        "Vandalism017_x264",
        "Vandalism028_x264",
        "Vandalism036_x264",
    ]
    assert len(report.agreement) == 128
    assert sum(report.agreement.values()) / 128 == pytest.approx(0.9761, abs=1e-4)
    assert len(report.spellings) == 36 and len({entry["class"] for entry in report.spellings}) == 14
    assert set(counts["instructions"]) | set(counts["annotations"]) <= set(MEANING)
