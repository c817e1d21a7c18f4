import warnings
from dataclasses import replace
from io import BytesIO

import pytest
from PIL import Image

from hivau70k_dataset.reading import read_annotation_files
from hivau70k_dataset.stats import compute_statistics, markdown_table, summarise
from hivau70k_dataset.stats_picture import draw_statistics
from tests.annotations import released_row, write_lines, write_release


def test_counts(tmp_path):
    statistics = compute_statistics(read_annotation_files(write_release(tmp_path)))
    test = statistics["test"]
    assert (test["videos"], test["abnormal_videos"]) == (2, 1)
    assert test["segments"] == {"clip": 4, "event": 3, "video": 2}
    assert test["rows"] == {
        "clip": {"caption": 4},
        "event": {"judgement": 3, "description": 3, "analysis": 2},
        "video": {"judgement": 2, "description": 2, "analysis": 1},
    }
    assert test["row_segments"] == {"clip": 4, "event": 3, "video": 2}
    assert test["classes"] == {"Arson": 1, "Normal": 1}
    assert test["durations_s"] == {"clip": [2.0, 4.5, 8.5, 5.0], "event": [7.0, 8.5, 5.0], "video": [30.0, 10.0]}
    assert test["words"]["clip"] == [6, 3, 5, 6]
    assert test["answer_words"]["video"]["judgement"] == [7, 6] and test["answer_words"]["clip"] == {
        "caption": [6, 3, 5, 6]
    }
    assert test["hierarchy"] == {
        "ucf-crime": {
            "normal": {"clip": 1, "event": 1, "video": 1},
            "abnormal": {"clip": 3, "event": 2, "video": 1},
        }
    }
    # "A man walks to a bin. The bin burns." and three summaries with "pours petrol on a bin", "fire to a bin"
    assert test["frequent_words"]["bin"] == {"clip": 2, "event": 4, "video": 2}
    assert not {"a", "the", "in", "video"} & test["frequent_words"].keys()
    expected = {"count": 4, "mean": 5.0, "median": 4.75, "min": 2.0, "max": 8.5}
    assert summarise(statistics)["test"]["durations_s"]["clip"] == expected
    assert summarise(statistics)["test"]["answer_words"]["clip"]["caption"]["max"] == 6


def test_a_sample_is_shown_of_every_level(tmp_path):
    files = read_annotation_files(write_release(tmp_path))
    sample = compute_statistics(files)["test"]["sample"]
    assert [(row["level"], row["task"]) for row in sample] == [
        ("clip", "caption"),
        *((level, task) for level in ("event", "video") for task in ("judgement", "description", "analysis")),
    ]
    assert sample[0]["segment"].endswith("Arson101_x264_E0C0.mp4") and sample[0]["answer"] == "A man walks to a bin."
    normal = compute_statistics(files, "Normal_Videos_101_x264")
    assert [row["task"] for row in normal["test"]["sample"]] == ["caption", *2 * ["judgement", "description"]]
    assert "- clip, caption: " in markdown_table(normal) and "*Two people wait for a bus.*" in markdown_table(normal)
    with pytest.raises(ValueError, match="no annotated video is called 'nobody'; there are Arson101_x264, Normal"):
        compute_statistics(files, "nobody")


def test_texts_with_signs_of_mathematics_are_drawn_as_they_are(tmp_path):
    files = read_annotation_files(write_release(tmp_path))
    first, *others = files.annotations
    event = replace(first.events[0], clips=(replace(first.events[0].clips[0], caption="A $5 bill and $10_{ a } go."),))
    odd = replace(files, annotations=(replace(first, events=(event,)), *others))
    assert draw_statistics(compute_statistics(odd)).startswith(b"\x89PNG")


def test_the_table_and_the_picture_of_one_split_or_of_rows_alone(tmp_path):
    full = compute_statistics(read_annotation_files(write_release(tmp_path / "a")))
    assert "| event | 3 | 8 (3 judgement, 3 description, 2 analysis) | 3 | 7, 8.5 | " in markdown_table(full)
    rows = compute_statistics(read_annotation_files(write_lines(tmp_path / "rows.jsonl", [released_row()])))
    assert "| clip | 0 | 0 | 0 | - | - |" in markdown_table(rows)
    write_release(tmp_path / "b")
    annotations = compute_statistics(read_annotation_files(tmp_path / "b" / "raw_annotations"))
    assert "| clip | 4 | 0 | 0 | 4.75, 8.5 | 5.5, 6 |" in markdown_table(annotations)
    assert "\n| ucf-crime | abnormal | 1 | 2 | 3 |\n" in markdown_table(annotations)
    assert "| source |" not in markdown_table(rows) and "A sample" not in markdown_table(rows)
    for statistics in (full, rows, annotations):
        picture = Image.open(BytesIO(draw_statistics(statistics)))
        assert picture.width > 1500 and len(set(picture.convert("L").resize((64, 16)).tobytes())) > 10


def test_two_splits_one_of_them_without_normal_videos_and_clips(tmp_path):
    files = read_annotation_files(write_release(tmp_path))
    bare = replace(files.annotations[0], split="train", video="Bare", events=())
    statistics = compute_statistics(replace(files, annotations=(bare, *files.annotations)))
    assert statistics["train"]["hierarchy"]["ucf-crime"]["normal"] == {"clip": 0, "event": 0, "video": 0}
    assert [row["level"] for row in statistics["train"]["sample"]] == ["video"] * 3
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        both = Image.open(BytesIO(draw_statistics(statistics)))
    one = Image.open(BytesIO(draw_statistics({"test": statistics["test"]})))
    assert both.width == one.width and both.height > 1.6 * one.height


def test_the_released_files(released):
    test = compute_statistics(read_annotation_files(released))["test"]
    assert test["segments"] == {"clip": 762, "event": 337, "video": 251}
    assert test["row_segments"] == {"clip": 943, "event": 276, "video": 150}
    assert test["hierarchy"]["ucf-crime"] == {
        "normal": {"clip": 445, "event": 193, "video": 123},
        "abnormal": {"clip": 317, "event": 144, "video": 128},
    }
    assert {level: sum(rows.values()) for level, rows in test["rows"].items()} == {
        "clip": 2207,
        "event": 734,
        "video": 398,
    }
