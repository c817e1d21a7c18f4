"""Every form reads into one schema; what is broken gives one clear error."""

import copy
import json

import pytest

from hivau70k_dataset.reading import read_annotation_file, read_annotation_files
from hivau70k_dataset.records import (
    annotation_from_dict,
    annotation_to_dict,
    instruction_from_dict,
    instruction_to_dict,
)
from hivau70k_dataset.schema import AnnotationError, Clip, SummaryParts
from tests.annotations import SPLIT_ABNORMAL, raw_annotations, released_row, write_json, write_lines, write_release


ARSON = "Arson101_x264"


def test_the_released_form_reads_as_it_stands(tmp_path):
    files = read_annotation_files(write_release(tmp_path))
    arson, normal = files.annotations
    assert (arson.video, arson.source, arson.split, arson.labels) == (ARSON, "ucf-crime", "test", ("Arson",))
    assert arson.duration_s == 30.0
    assert arson.events[0].clips == (Clip(2.0, 4.0, "A man walks to a bin."), Clip(4.5, 9.0, "The bin burns."))
    assert arson.events[1].parts == arson.parts == SummaryParts(**SPLIT_ABNORMAL)
    assert normal.labels == () and normal.parts.analysis is None
    assert arson.path("clip", 1, 0) == "ucf-crime/clips/test/Arson101_x264_E1C0.mp4"
    row = files.instructions[-1]
    assert (row.id, row.level, row.task, row.name) == ("16", "clip", "caption", "Normal_Videos_101_x264")
    assert (row.event, row.clip, row.source, row.split) == (0, 0, "ucf-crime", "test")
    assert files.splits == ("test",)


def test_the_clean_form_says_the_same(tmp_path):
    files = read_annotation_files(write_release(tmp_path))
    for entry in files.annotations:
        assert annotation_from_dict(json.loads(json.dumps(annotation_to_dict(entry)))) == entry
    for entry in files.instructions:
        assert instruction_from_dict(json.loads(json.dumps(instruction_to_dict(entry)))) == entry


def test_figure_a(tmp_path):
    figure = {
        "video": "v=abcdefghijk__#1_label_G-0-0",
        "n_frames": 1940,
        "fps": 24.0,
        "label": ["Explosion"],
        "clips": [[[5.583, 11.903], [11.903, 18.222]], [[36.167, 43.48]]],
        "clip_captions": [["A tank drives past.", "Nothing moves."], ["Smoke rises."]],
        "events": [[5.583, 24.542], [36.167, 50.792]],
        "event_summary": [
            "The anomaly exists, specifically an Explosion anomaly.",
            "The anomaly exists. Smoke rises.",
        ],
        "video_summary": "The anomaly exists, specifically named Explosion. Smoke rises.",
    }
    (entry,) = read_annotation_file(write_json(tmp_path / "xd_database_train.json", figure))
    assert (entry.video, entry.source, entry.split) == (figure["video"], "xd-violence", "train")
    assert [len(event.clips) for event in entry.events] == [2, 1]
    assert entry.events[1].summary == "The anomaly exists. Smoke rises." and entry.parts is None
    listed = read_annotation_file(write_json(tmp_path / "list_train.json", [figure]), source="xd-violence")
    lines = read_annotation_file(write_lines(tmp_path / "xd_train.jsonl", [figure]))
    assert listed == lines == [entry]


def conversation(level: str, name: str, *texts: str) -> dict:
    turns = [{"from": ("human", "gpt")[i % 2], "value": text} for i, text in enumerate(texts)]
    return {"id": name, "type": level, "video": f"ucf-crime/{level}s/train/{name}.mp4", "conversations": turns}


def test_figures_b_to_d(tmp_path):
    rows = [
        conversation("clip", "Abuse101_x264_E0C2", "Describe the key events in the video.", "A man is pushed."),
        conversation(
            "event", "Abuse101_x264_E0", "Any?", "An anomaly exists.", "What?", "A push.", "Why?", "It hurts."
        ),
        conversation("video", "Normal_Videos_7_x264", "Any?", "No anomaly exists.", "What?", "People walk."),
    ]
    entries = read_annotation_file(write_lines(tmp_path / "merge_instruction_train_final.jsonl", rows))
    assert [(entry.id, entry.task, entry.turn) for entry in entries] == [
        ("Abuse101_x264_E0C2", "caption", 0),
        ("Abuse101_x264_E0", "judgement", 0),
        ("Abuse101_x264_E0", "description", 1),
        ("Abuse101_x264_E0", "analysis", 2),
        ("Normal_Videos_7_x264", "judgement", 0),
        ("Normal_Videos_7_x264", "description", 1),
    ]
    assert (entries[0].event, entries[0].clip) == (0, 2)
    assert (entries[3].question, entries[3].answer) == ("Why?", "It hurts.")


def test_odd_but_right_files(tmp_path):
    row = released_row(video="xd-violence/events/test/v=a_E3x__#1_label_B2-0-0_E1.mp4", anwser="one\u2028line")
    path = write_lines(tmp_path / "rows.jsonl", [row])
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n") + b"\n\n")
    (entry,) = read_annotation_file(path)
    assert (entry.name, entry.event, entry.answer) == ("v=a_E3x__#1_label_B2-0-0", 1, "one\u2028line")
    row["answer"] = row.pop("anwser")
    assert read_annotation_file(write_lines(tmp_path / "corrected.jsonl", [row])) == [entry]


def change(path: str, value: object):
    """Set (or, with `...`, remove) a field of the first annotation by its dotted path."""

    def apply(record: dict) -> None:
        *parents, last = [int(key) if key.isdigit() else key for key in path.split(".")]
        for key in parents:
            record = record[key]
        if value is ...:
            del record[last]
        else:
            record[last] = value

    return apply


BROKEN_ANNOTATIONS = {
    "missing field": (change("fps", ...), "`fps` is missing"),
    "missing captions": (change("clips_caption", ...), "`clips_caption` is missing"),
    "two spellings": (change("clip_captions", []), "`clips_caption` and `clip_captions` are two spellings"),
    "frames as text": (change("n_frames", "900"), "`n_frames`: got '900', expected a whole number"),
    "no frames": (change("n_frames", 0), "`n_frames`: got 0"),
    "frames as truth": (change("n_frames", True), "`n_frames`: got True"),
    "rate as text": (change("fps", "30"), "`fps`: got '30', expected a finite number"),
    "rate zero": (change("fps", 0), "`fps`: got 0.0, expected more than 0"),
    "rate not a number": (change("fps", float("nan")), "`fps`: got nan"),
    "label as text": (change("label", "Arson"), "`label`: got 'Arson', expected a list"),
    "label of numbers": (change("label", [3]), "`label[0]`: got 3, expected a text"),
    "events as dict": (change("events", {}), "`events`: got {}, expected a list"),
    "event of three times": (change("events.0", [1, 2, 3]), "`events[0]`: got [1, 2, 3], expected a pair"),
    "event backwards": (change("events.1", [20.5, 12.0]), "`events[1]`: got [20.5, 12.0], expected 0 <= start < end"),
    "event without length": (change("events.1", [12.0, 12.0]), "`events[1]`: got [12.0, 12.0]"),
    "event before the start": (change("events.0", [-1.0, 9.0]), "`events[0]`: got [-1.0, 9.0]"),
    "time as text": (change("events.0", ["2.0", 9.0]), "`events[0] start`: got '2.0', expected a finite number"),
    "endless event": (change("events.0", [2.0, float("inf")]), "`events[0] end`: got inf"),
    "clip backwards": (change("clips.0.1", [9.0, 4.5]), "`clips[0][1]`: got [9.0, 4.5]"),
    "clips of one event": (change("clips", [[[2.0, 4.0]]]), "`clips`: got 1 entries, expected 2"),
    "a caption too few": (change("clips_caption.0", ["one"]), "`clips_caption[0]`: got 1 entries, expected 2"),
    "empty caption": (change("clips_caption.0.1", " "), "`clips_caption[0][1]`: got ' ', expected a text"),
    "a summary too few": (change("events_summary", ["one"]), "`events_summary`: got 1 entries, expected 2"),
    "summary missing": (change("video_summary", None), "`video_summary`: got None, expected a text"),
    "split as text": (change("video_summary_split", "x"), "`video_summary_split`: got 'x', expected an object"),
    "split without judgement": (change("video_summary_split.judgement", ...), "`judgement` is missing"),
    "splits of one event": (change("events_summary_split", []), "`events_summary_split`: got 0 entries, expected 2"),
    "huge rate": (change("fps", 10**400), "`fps`: got a huge number, expected a finite number"),
    "huge count": (change("n_frames", 10**30), "`n_frames`: got a huge number, expected a whole number"),
    "half a letter": (change("video_summary", "\ud800"), "`video_summary`: got '\\ud800', expected a text without"),
    "normal as a class": (change("label", ["Normal"]), "`label`: got ['Normal'], expected classes of anomalies"),
    "name with folders": (change("video", "../Arson101_x264"), "`video`: got '../Arson101_x264'"),
    "name as number": (change("video", 7), "`video`: got 7, expected the same"),
}


@pytest.mark.parametrize(("break_it", "message"), BROKEN_ANNOTATIONS.values(), ids=BROKEN_ANNOTATIONS)
def test_broken_annotations_name_file_video_and_field(tmp_path, break_it, message):
    records = raw_annotations()
    break_it(records[ARSON])
    path = write_json(tmp_path / "ucf_database_test.json", records)
    with pytest.raises(AnnotationError) as error:
        read_annotation_file(path)
    assert str(error.value).startswith(str(path)) and message in str(error.value)
    assert "\n" not in str(error.value) and len(str(error.value)) < 400
    if "name" not in message and "`video`:" not in message:
        assert ARSON in str(error.value)
    # A reader that goes on loses this video alone.
    errors = []
    assert [entry.video for entry in read_annotation_file(path, errors.append)] == ["Normal_Videos_101_x264"]
    assert [str(caught) for caught in errors] == [str(error.value)]


BROKEN_ROWS = {
    "missing answer": ({"anwser": ...}, "`anwser` is missing"),
    "id of a list": ({"id": []}, "`id`: got []"),
    "unknown level": ({"type": "scene"}, "`type`: got 'scene', expected one of clip, event, video"),
    "unknown task": ({"task": "caption"}, "`task`: got 'caption', expected one of judgement, description, analysis"),
    "prompt of null": ({"prompt": None}, "`prompt`: got None"),
    "empty answer": ({"anwser": ""}, "`anwser`: got ''"),
    "path out of the folder": ({"video": "ucf-crime/events/test/../../../x_E0.mp4"}, "a path inside the video folder"),
    "path up": ({"video": "../events/test/Arson101_x264_E0.mp4"}, "a path inside the video folder"),
    "absolute path": ({"video": "/ucf-crime/events/test/Arson101_x264_E0.mp4"}, "a path inside the video folder"),
    "path of another system": ({"video": "ucf-crime\\events\\test\\x_E0.mp4"}, "a path inside the video folder"),
    "path of another level": ({"video": "ucf-crime/clips/test/Arson101_x264_E0C0.mp4"}, "got 'ucf-crime/clips"),
    "path without the event": ({"video": "ucf-crime/events/test/Arson101_x264.mp4"}, "_E0.mp4"),
    "path without .mp4": ({"video": "ucf-crime/events/test/Arson101_x264_E0"}, "_E0.mp4"),
    "path of an unknown split": ({"video": "ucf-crime/events/dev/Arson101_x264_E0.mp4"}, "got 'ucf-crime/events/dev"),
}


@pytest.mark.parametrize(("changes", "message"), BROKEN_ROWS.values(), ids=BROKEN_ROWS)
def test_broken_rows_name_file_row_and_field(tmp_path, changes, message):
    row = {name: value for name, value in released_row(**changes).items() if value is not ...}
    path = write_lines(tmp_path / "merge_instruction_test_final.jsonl", [released_row(), row])
    with pytest.raises(AnnotationError) as error:
        read_annotation_file(path)
    assert str(error.value).startswith(f"{path}: line 2") and message in str(error.value)


BROKEN_CONVERSATIONS = {
    "no turn": ((), "`conversations`: got '0 turns'"),
    "question without answer": (("Any?",), "`conversations`: got '1 turns'"),
    "too many turns": (("a", "b") * 4, "`conversations`: got '8 turns'"),
    "empty turn": (("Any?", ""), "`value`: got ''"),
}


@pytest.mark.parametrize(("texts", "message"), BROKEN_CONVERSATIONS.values(), ids=BROKEN_CONVERSATIONS)
def test_broken_conversations(tmp_path, texts, message):
    path = write_lines(tmp_path / "rows.jsonl", [conversation("event", "Abuse101_x264_E0", *texts)])
    with pytest.raises(AnnotationError, match="Abuse101_x264_E0") as error:
        read_annotation_file(path)
    assert message in str(error.value)


def test_a_conversation_that_the_model_opens(tmp_path):
    row = conversation("event", "Abuse101_x264_E0", "Any?", "Yes.")
    row["conversations"].reverse()
    with pytest.raises(AnnotationError, match="`from`: got 'gpt', expected one of human"):
        read_annotation_file(write_lines(tmp_path / "rows.jsonl", [row]))


def test_the_clean_form_is_checked_too(tmp_path):
    (entry, _) = read_annotation_files(write_release(tmp_path)).annotations
    good = annotation_to_dict(entry)
    for path, value, message in (
        ("events.0.clips.1.end_s", 1.0, "expected 0 <= start < end"),
        ("events.0.clips.1.caption", ..., "`caption` is missing"),
        ("split", "dev", "`split`: got 'dev'"),
        ("judgement", None, "null where `judgement` is null"),
        ("source", "a/b", "a name without folders"),
    ):
        record = copy.deepcopy(good)
        change(path, value)(record)
        with pytest.raises(AnnotationError) as error:
            annotation_from_dict(record)
        assert message in str(error.value)
