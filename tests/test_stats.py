from io import BytesIO

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
    expected = {"count": 4, "mean": 5.0, "median": 4.75, "min": 2.0, "max": 8.5}
    assert summarise(statistics)["test"]["durations_s"]["clip"] == expected


def test_the_table_and_the_picture_of_one_split_or_of_rows_alone(tmp_path):
    full = compute_statistics(read_annotation_files(write_release(tmp_path / "a")))
    assert "| event | 3 | 8 (3 judgement, 3 description, 2 analysis) | 3 | 7, 8.5 | " in markdown_table(full)
    rows = compute_statistics(read_annotation_files(write_lines(tmp_path / "rows.jsonl", [released_row()])))
    assert "| clip | 0 | 0 | 0 | - | - |" in markdown_table(rows)
    write_release(tmp_path / "b")
    annotations = compute_statistics(read_annotation_files(tmp_path / "b" / "raw_annotations"))
    assert "| clip | 4 | 0 | 0 | 4.75, 8.5 | 5.5, 6 |" in markdown_table(annotations)
    for statistics in (full, rows, annotations):
        picture = Image.open(BytesIO(draw_statistics(statistics)))
        assert picture.width > 1000 and len(set(picture.convert("L").resize((64, 16)).tobytes())) > 10


def test_the_released_files(released):
    test = compute_statistics(read_annotation_files(released))["test"]
    assert test["segments"] == {"clip": 762, "event": 337, "video": 251}
    assert test["row_segments"] == {"clip": 943, "event": 276, "video": 150}
    assert {level: sum(rows.values()) for level, rows in test["rows"].items()} == {
        "clip": 2207,
        "event": 734,
        "video": 398,
    }
