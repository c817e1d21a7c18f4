"""`load_dataset` on a folder that is no exported one: it works, or says what to do."""

from pathlib import Path

import datasets
import pytest

import hivau70k_dataset
from hivau70k_dataset.card import write_card
from hivau70k_dataset.cli import main
from hivau70k_dataset.reading import read_annotation_files
from tests.annotations import raw_annotations, released_row, write_json, write_lines, write_release


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "datasets")


@pytest.mark.parametrize("name", [None, "event"])
def test_the_folder_of_the_code_says_where_data_comes_from(name):
    with pytest.raises(FileNotFoundError, match="no data here: .* `python -m hivau70k_dataset export`"):
        datasets.load_dataset(str(Path(hivau70k_dataset.__file__).parent), name)


def test_the_released_form_loads_with_a_card(tmp_path, capsys):
    folder = write_release(write_release(tmp_path / "HIVAU-70k"), "train")
    before = read_annotation_files(folder)
    with pytest.raises(datasets.exceptions.DatasetGenerationError):
        datasets.load_dataset(str(folder))
    assert main(["card", "--annotations", str(folder)]) == 0
    assert f"load_dataset({str(folder)!r}) gives 17 train, 17 test rows" in capsys.readouterr().out
    rows = datasets.load_dataset(str(folder))
    for split in ("train", "test"):
        shown = [(row["video"], row["prompt"], row["anwser"]) for row in rows[split]]
        assert shown == [(e.video, e.question, e.answer) for e in before.instructions if e.split == split]
    assert read_annotation_files(folder) == before
    assert main(["card", "--annotations", str(folder)]) == 1
    assert "README.md is there already" in capsys.readouterr().err


def test_the_released_files_load_with_a_card(released, tmp_path):
    for path in released.rglob("*.json*"):
        (tmp_path / path.parent.name).mkdir(exist_ok=True)
        (tmp_path / path.parent.name / path.name).write_bytes(path.read_bytes())
    assert write_card(tmp_path) == (tmp_path / "README.md", {"test": 3339})


def test_training_rows_are_conversations_and_test_rows_are_not(tmp_path):
    turns = [{"from": "human", "value": "<video>\nWhat?"}, {"from": "gpt", "value": "A fire."}]
    train = {key: value for key, value in TRAIN_ROW.items() if key not in ("prompt", "anwser")}
    for split, row in {"train": train | {"conversations": turns}, "test": released_row()}.items():
        write_lines(tmp_path / "instruction" / f"merge_instruction_{split}_final.jsonl", [row])
    assert write_card(tmp_path)[1] == {"train": 1, "test": 1}
    rows = datasets.load_dataset(str(tmp_path))
    assert (rows["train"][0]["conversations"], rows["train"][0]["prompt"]) == (turns, None)
    assert (rows["test"][0]["conversations"], rows["test"][0]["anwser"]) == (None, released_row()["anwser"])


TRAIN_ROW = released_row(video="ucf-crime/events/train/Arson101_x264_E0.mp4")
CLEAN_ROW = {"id": "0", "level": "event", "task": "judgement", "question": "?", "answer": ".", "turn": 0}


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([], "no instruction rows, only annotations"),
        ([released_row(), TRAIN_ROW], "rows of several splits, test, train"),
        ([{**CLEAN_ROW, "video": TRAIN_ROW["video"]}], "can't be read as rows"),  # two forms in two files
    ],
)
def test_what_cannot_be_rows_is_told(tmp_path, capsys, rows, said):
    folder = tmp_path / "data"
    write_json(folder / "raw_annotations" / "ucf_database_test.json", raw_annotations())
    if rows:
        write_lines(folder / "instruction" / "a.jsonl", rows)
    if "read as" in said:
        write_lines(folder / "instruction" / "b.jsonl", [TRAIN_ROW])
    assert main(["card", "--annotations", str(folder)]) == 1
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert said in line and "Use `export`" in line and not (folder / "README.md").exists()


def test_a_file_is_no_folder(tmp_path, capsys):
    path = write_lines(tmp_path / "rows.jsonl", [released_row()])
    assert main(["card", "--annotations", str(path)]) == 1
    assert "is no folder" in capsys.readouterr().err
