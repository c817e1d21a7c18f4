"""What the four files of the release hold beyond the two at hand: further fields, forms and whole counts."""

import json
from dataclasses import replace

import pytest

from hivau70k_dataset.clean import clean
from hivau70k_dataset.cli import main
from hivau70k_dataset.reading import AnnotationFiles, read_annotation_file, read_annotation_files
from hivau70k_dataset.records import annotation_from_dict, annotation_to_dict
from hivau70k_dataset.release import RELEASED, compare_with_release
from hivau70k_dataset.schema import AnnotationError, Clip, Event, Instruction, SplitError, VideoAnnotation
from hivau70k_dataset.validate import validate
from tests.annotations import raw_annotations, released_row, write_json, write_lines, write_release
from training.sft_data import read_conversations


ARSON = "Arson101_x264"
XD = "v_abcdefghijk_label_G-0-0"


def xd_record(**changes) -> dict:
    """One video as XD-Violence's files of the release have it, frames beside the seconds."""
    record = {
        "n_frames": 3100,
        "fps": 24.0,
        "label": ["Explosion"],
        "events": [[0.0, 63.208], [82.083, 126.583]],
        "events(frame)": [[0, 1517], [1970, 3038]],
        "clips": [[[0.0, 30.0], [30.0, 63.208]], [[82.083, 126.583]]],
        "clips_caption": [["A tank drives past.", "Nothing moves."], ["Smoke rises."]],
        "events_summary": ["An Explosion anomaly exists. Smoke.", "An Explosion anomaly exists. More smoke."],
        "video_summary": "An Explosion anomaly exists. Smoke rises twice.",
    }
    return {**record, **changes}


def write_xd(folder, split: str = "train", **changes):
    return write_json(folder / f"xd_database_{split}.json", {XD: xd_record(**changes)})


# ---- frames beside the seconds --------------------------------------------------------------------------------------


def test_frames_of_events_are_read_and_kept(tmp_path):
    (entry,) = read_annotation_file(write_xd(tmp_path))
    assert entry.event_frames == ((0, 1517), (1970, 3038)) and entry.events[1].end_s == 126.583
    assert annotation_from_dict(json.loads(json.dumps(annotation_to_dict(entry)))) == entry
    assert validate(tmp_path).findings == []
    del (without := xd_record())["events(frame)"]
    (plain,) = read_annotation_file(write_json(tmp_path / "xd_train.json", {XD: without}))
    assert plain == replace(entry, event_frames=None)


@pytest.mark.parametrize(
    ("frames", "group"),
    [
        ([[0, 1517]], "count"),
        ([[0, 1517], [1970, 3040]], "times"),
        ([[0, 1264], [1642, 2532]], "times"),  # at another frame rate
        ([[0, 1517], [3038, 1970]], "`events(frame)`"),
        ([[0, "1517"], [1970, 3038]], "`events(frame)`"),
        ("0-1517", "`events(frame)`"),
        ([[0, 1517, 3]], "`events(frame)`"),
        ([[0.5, 1517], [1970, 3038]], "`events(frame)`"),
        ([[0, True], [1970, 3038]], "`events(frame)`"),
        ([[0, float("nan")], [1970, 3038]], "`events(frame)`"),
        ([[0, float("inf")], [1970, 3038]], "`events(frame)`"),
    ],
)
def test_frames_that_are_not_those_of_the_seconds_are_a_finding(tmp_path, frames, group):
    path = write_xd(tmp_path, **{"events(frame)": frames})
    (entry,) = read_annotation_file(path)
    assert entry.events[0].end_s == 63.208  # the seconds stay
    assert {(found.code, found.group) for found in validate(tmp_path).findings} == {("event_frames", group)}


def test_the_finding_shows_what_is_there(tmp_path):
    write_xd(tmp_path, **{"events(frame)": "0-1517"})
    (found,) = validate(tmp_path).findings
    assert "got 0-1517, expected pairs" in found.message


def test_frames_may_be_rounded_either_way(tmp_path):
    write_xd(tmp_path, **{"events(frame)": [[0.0, 1516.0], [1971, 3037]]})
    assert validate(tmp_path).findings == []


def test_a_cleaned_copy_keeps_the_frames(tmp_path):
    write_xd(tmp_path, n_frames=3000, fps=24.0)
    files, changes = clean(read_annotation_files(tmp_path))
    assert files.annotations[0].event_frames == ((0, 1517), (1970, 3000))
    assert {change.code for change in changes} == {"event_past_end", "clip_past_end"}
    write_json(tmp_path / "again" / "xd_train.json", {XD: annotation_to_dict(files.annotations[0])})
    assert {found.code for found in validate(tmp_path / "again").findings} == set()


# ---- fields that are not known --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("place", "name"),
    [
        ((), "note"),
        ((), "type"),
        ((), "task"),
        ((), "prompt"),
        ((), "summary"),
        ((), "labels"),
        ((), "source"),
        ((), "clip_caption"),
        (("events_summary_split", 0), "judgment"),
        (("video_summary_split",), "note"),
    ],
)
def test_a_field_that_is_not_known_is_a_finding_and_no_error(tmp_path, place, name, caplog):
    records = raw_annotations()
    inner = records[ARSON]
    for key in place:
        inner = inner[key]
    inner[name] = "x"
    path = write_json(tmp_path / "ucf_database_test.json", records)
    before = read_annotation_file(write_json(tmp_path / "old" / "ucf_database_test.json", raw_annotations()))
    assert read_annotation_file(path) == before
    assert f"`{name}` (1 entries): not a known field, left aside" in caplog.text
    (finding,) = validate(path).findings
    assert (finding.kind, finding.code, finding.where) == ("annotations", "unknown_field", f"`{name}`")
    assert ARSON in finding.video


@pytest.mark.parametrize("name", ["note", "level", "question", "turn", "answer", "labels", "fps", "n_frames"])
def test_so_it_is_in_rows(tmp_path, name):
    before = read_annotation_file(write_lines(tmp_path / "rows.jsonl", [released_row()]))
    path = write_lines(tmp_path / "odd" / "rows.jsonl", [released_row(**{name: "x"})])
    assert read_annotation_file(path) == before
    (finding,) = validate(path).findings
    assert (finding.kind, finding.code) == ("instructions", "unknown_field") and "line 1" in finding.video


def test_so_it_is_in_the_clean_form(tmp_path):
    (entry, _) = read_annotation_files(write_release(tmp_path / "release")).annotations
    record = annotation_to_dict(entry) | {"note": 1, "label": ["x"]}
    record["events"][0]["clips"][0]["note"] = 1
    path = write_lines(tmp_path / "own_test.jsonl", [record])
    assert read_annotation_file(path) == [entry]
    assert [found.where for found in validate(path).findings] == ["`label`", "`note`", "`note`"]


# ---- rows -----------------------------------------------------------------------------------------------------------


def conversation_row(*texts: str, **changes) -> dict:
    """A row as the training file of the release has it."""
    turns = [{"from": ("human", "gpt")[i % 2], "value": text} for i, text in enumerate(texts)]
    video = "ucf-crime/events/train/Abuse101_x264_E0.mp4"
    return {"id": 7, "type": "event", "task": "analysis", "video": video, "conversations": turns, **changes}


def test_the_task_beside_a_conversation_decides(tmp_path):
    rows = [
        conversation_row("<video>\nWhy?", "It hurts."),
        conversation_row("What?", "A push.", task="description", id=8),
        conversation_row("Any?", "Yes.", "What?", "A push.", task=None, id=9),
        conversation_row("Any?", "Yes.", "Sure?", "Yes, sure.", task="judgement", id=10),
    ]
    entries = read_annotation_file(write_lines(tmp_path / "merge_instruction_train_final.jsonl", rows))
    assert [(entry.id, entry.task, entry.turn) for entry in entries] == [
        ("7", "analysis", 0),
        ("8", "description", 0),
        ("9", "judgement", 0),
        ("9", "description", 1),
        ("10", "judgement", 0),
        ("10", "judgement", 1),
    ]
    assert entries[0].question == "Why?"
    with pytest.raises(AnnotationError, match="`task`: got 'caption', expected one of judgement"):
        read_annotation_file(write_lines(tmp_path / "rows.jsonl", [conversation_row("a", "b", task="caption")]))


@pytest.mark.parametrize(
    "question",
    [
        "<video>\nWhat is <this>?",
        "<image>\nWhat is <this>?",
        "<image>\n<image>\nWhat is <this>?",
        "Frame1: <image>\nFrame2: <image>\nWhat is <this>?",
        " <video> What is <this>?",
        "What is <this>?\n<video>",
    ],
)
def test_placeholders_of_pictures_go(tmp_path, question):
    rows = [conversation_row(question, "<video> stays"), released_row(prompt=question, id=3)]
    clean_row = {"level": "event", "task": "judgement", "question": question, "answer": "Yes.", "turn": 0}
    rows.append({"id": "4", "video": "ucf-crime/events/test/Arson101_x264_E0.mp4", **clean_row})
    entries = read_annotation_file(write_lines(tmp_path / "rows.jsonl", rows))
    assert [entry.question for entry in entries] == ["What is <this>?"] * 3
    assert entries[0].answer == "<video> stays"


def test_a_placeholder_alone_is_no_question(tmp_path):
    with pytest.raises(AnnotationError, match="line 1, id 7.*`value`: got '', expected a text"):
        read_annotation_file(write_lines(tmp_path / "rows.jsonl", [conversation_row("<video>\n", "Yes.")]))


@pytest.mark.parametrize("field", ["prompt", "anwser", "video", "id"])
def test_half_a_surrogate_pair_names_its_row(tmp_path, field, capsys):
    broken = released_row(**{field: f"{released_row()[field]}\ud83d"})
    path = tmp_path / "merge_instruction_test_final.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in (released_row(id=1), broken)))
    with pytest.raises(AnnotationError, match="line 2, id .*surrogate pairs") as error:
        read_annotation_file(path)
    str(error.value).encode("utf-8")  # can be printed
    assert main(["validate", "--annotations", str(path), "--output", str(tmp_path / "report")]) == 1
    assert "line 2, id" in capsys.readouterr().out
    assert "line 2, id" in (tmp_path / "report" / "report.txt").read_text(encoding="utf-8")


# ---- splits ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["mine_validation.jsonl", "mine_val.jsonl", "validation.jsonl", "val_of_mine.jsonl"])
def test_a_held_out_file_whose_paths_say_train_is_refused(tmp_path, name, capsys):
    write_release(tmp_path, split="train")
    rows = [json.loads(line) for line in (tmp_path / "instruction/merge_instruction_train_final.jsonl").open()]
    write_lines(tmp_path / "instruction" / name, rows[:2])
    with pytest.raises(SplitError, match="line 1, video .*is of the split 'train', the file's name says 'validation'"):
        read_annotation_files(tmp_path)
    (tmp_path / "videos").mkdir()
    with pytest.raises(ValueError, match="the file's name says 'validation'"):
        read_conversations(tmp_path, tmp_path / "videos", ["video"], ["judgement"])
    assert main(["stats", "--annotations", str(tmp_path)]) == 1
    assert "the file's name says" in capsys.readouterr().err
    report = validate(tmp_path)
    assert {finding.code for finding in report.findings} == {"split_mismatch"} and len(report.findings) == 2
    assert report.rows == len(rows)  # each counted once


def test_so_is_a_file_of_annotations(tmp_path):
    (entry, _) = read_annotation_files(write_release(tmp_path / "release")).annotations
    path = write_lines(tmp_path / "mine_validation.jsonl", [annotation_to_dict(entry)])
    with pytest.raises(SplitError, match=f"line 1, video '{ARSON}': is of the split 'test'"):
        read_annotation_file(path)
    assert read_annotation_file(path.rename(tmp_path / "mine.jsonl")) == [entry]


def test_a_video_of_two_splits_is_a_finding(tmp_path):
    write_release(tmp_path, split="train")
    write_release(tmp_path, split="validation")
    findings = validate(tmp_path).findings
    assert {(found.code, found.group) for found in findings} == {("two_splits", "train and validation")}
    assert len(findings) == 2


# ---- the whole release ----------------------------------------------------------------------------------------------


def whole_release() -> AnnotationFiles:
    """As many videos, events, clips and classes as the release has."""
    entries, clips_left = [], 55_806
    for (source, split), (videos, events) in RELEASED.items():
        normal = {"ucf-crime": 758, "xd-violence": 1904}[source]
        for number in range(videos):
            in_video = events // videos + (number < events % videos)
            last = source == "xd-violence" and split == "train" and number == videos - 1
            of_event = 5 if split == "train" else 1
            spans = []
            for index in range(in_video):
                count = clips_left if last and index == in_video - 1 else of_event
                clips_left -= count if split == "train" else 0
                spans.append(Event(index, index + 1, (Clip(index, index + 1, "A man."),) * count, "An event."))
            labels = () if number < normal else ("Riot",)
            entries.append(VideoAnnotation(f"v{number}", source, split, 900, 30.0, labels, tuple(spans), "A video."))
    rows = [
        Instruction("0", "video", "judgement", f"ucf-crime/videos/{split}/v0.mp4", "Any?", "No.")
        for split in ("train", "test")
    ]
    return AnnotationFiles(tuple(entries), tuple(rows))


def test_the_whole_release_is_told_from_a_part_of_it():
    files = whole_release()
    assert compare_with_release(files).to_text() == "the whole release of HIVAU-70k: every count is as published"
    assert compare_with_release(replace(files, instructions=files.instructions[:1])).without_rows == ("test",)
    fewer = compare_with_release(replace(files, annotations=files.annotations[1:]))
    assert not fewer.is_whole
    text = fewer.to_text()
    assert (
        "\n  ucf-crime train: 1,492 of 1,493 videos, 2,838 of 2,840 events, 757 of 758 normal videos, 735 of" in text
    )
    assert "\n  train: 5,442 of 5,443 videos, 11,074 of 11,076 events, 55,796 of 55,806 clips" in text
    assert "\n  xd-violence test: whole" in text
    other = replace(files.annotations[0], source="mine")
    assert compare_with_release(AnnotationFiles((other,), ())) is None


def test_validate_and_stats_say_it(tmp_path, released, capsys):
    main(["validate", "--annotations", str(released), "--output", str(tmp_path)])
    main(["stats", "--annotations", str(released), "--output", str(tmp_path)])
    assert capsys.readouterr().out.count("\n  ucf-crime test: whole\n  xd-violence test: 0 of 800 videos, ") == 2
    assert json.loads((tmp_path / "report.json").read_text())["release"]["is_whole"] is False
    assert "not the whole release of HIVAU-70k" in (tmp_path / "stats.md").read_text()
