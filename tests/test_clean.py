"""The cleaned copy: what has one right answer is mended, the rest stays, every change is listed."""

from dataclasses import replace

from hivau70k_dataset.clean import Change, clean
from hivau70k_dataset.instructions import prompt_pools
from hivau70k_dataset.reading import read_annotation_files
from hivau70k_dataset.validate import validate
from hivau70k_dataset.writing import write_annotation_files
from tests.annotations import raw_annotations, released_row, write_json, write_lines, write_release


def test_a_clean_set_stays_as_it_is(tmp_path):
    files = read_annotation_files(write_release(tmp_path))
    assert clean(files) == (files, [])


def test_rows(tmp_path):
    first, second = prompt_pools()["judgement"][:2]
    rows = [
        released_row(id=0, prompt=first + second),
        released_row(id=1, prompt=first),
        released_row(id=2, prompt="The subjects\u2019 anomalies?", anwser=" An Arson\nanomaly exists. "),
        released_row(id=3, anwser="No anomaly exists."),
    ]
    files, changes = clean(read_annotation_files(write_lines(tmp_path / "rows.jsonl", rows)))
    assert [(row.id, row.question, row.answer) for row in files.instructions] == [
        ("0", first, rows[0]["anwser"]),
        ("2", "The subjects' anomalies?", "An Arson anomaly exists."),
        ("3", rows[3]["prompt"], "No anomaly exists."),  # a contradiction is for a person
    ]
    video = rows[0]["video"]
    assert changes == [
        Change("glued_prompts", video, "id 0 question", first + second, first),
        Change("duplicate_row", video, "id 1", "as id 0", None),
        Change("curly_quotes", video, "id 2 question", "The subjects\u2019 anomalies?", "The subjects' anomalies?"),
        Change("white_space", video, "id 2 answer", " An Arson\nanomaly exists. ", "An Arson anomaly exists."),
    ]


def test_annotations(tmp_path):
    records = raw_annotations()
    arson = records["Arson101_x264"]
    arson.update(label=["arson attack"], events=[[2.0, 9.0], [12.0, 30.5]])
    arson["clips"] = [[[2.0, 4.0], [4.5, 9.0]], [[12.0, 31.0]]]
    arson["clips_caption"][0][1] = "The bin burns. "
    before = read_annotation_files(write_json(tmp_path / "ucf_test.json", records))
    files, changes = clean(before)
    entry = files.annotations[0]
    assert entry.labels == ("Arson",)
    assert (entry.events[1].end_s, entry.events[1].clips[0].end_s) == (30.0, 30.0)
    assert entry.events[0].clips[1].caption == "The bin burns."
    codes = ["label_spelling", "white_space", "clip_past_end", "event_past_end"]
    assert [change.code for change in changes] == codes
    assert files.annotations[1] == before.annotations[1]


def test_a_span_after_the_end_stays_so_that_the_others_keep_their_numbers(tmp_path):
    (entry, _) = read_annotation_files(write_release(tmp_path)).annotations
    beyond = replace(entry, n_frames=300)  # the second event starts at 12 s
    files, changes = clean(replace(read_annotation_files(tmp_path), annotations=(beyond,)))
    assert files.annotations[0].events[1].start_s == 12.0 and changes == []


def test_the_released_files(released, tmp_path):
    files, changes = clean(read_annotation_files(released))
    write_annotation_files(tmp_path, files)
    assert len(files.instructions) == 3339 - 99
    counts = validate(tmp_path).to_dict()["counts"]
    mended = {"duplicate_row", "glued_prompts", "curly_quotes", "white_space", "event_past_end", "clip_past_end"}
    assert not mended & (set(counts["instructions"]) | set(counts["annotations"]))
    assert counts["annotations"]["contradiction"] == 16 and counts["instructions"]["contradiction"] == 24
    assert {change.code for change in changes} == mended
