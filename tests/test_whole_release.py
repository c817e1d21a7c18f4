"""A made-up release of all four files, with everything the real ones hold, through every command that reads it."""

import copy
import json
from pathlib import Path

import datasets
import pytest

import train_scorer
import train_sft
from eval import detection, reasoning
from hivau70k_dataset.cli import main
from hivau70k_dataset.instructions import build_instructions
from hivau70k_dataset.reading import read_annotation_file, read_annotation_files
from tests.annotations import raw_annotations, write_json, write_lines
from tests.rivals import write_holmes_vau
from tests.videos import moving_square, write_video


RATE, FRAMES = 24, 96  # as XD-Violence runs; four seconds
VIDEOS = {
    "ucf": ("ucf-crime", "{}{:03d}_x264", {"Arson": "Arson", "Normal_Videos_": None}),
    "xd": ("xd-violence", "v_{1}abc__1_label_{0}", {"G-0-0": "Explosion", "A": None}),
}
COUNTS = {"train": 2, "test": 1}  # of each kind


def record(label: str | None, with_frames: bool) -> dict:
    """One annotated video of two seconds of event, one clip each."""
    base = copy.deepcopy(raw_annotations()["Arson101_x264" if label else "Normal_Videos_101_x264"])
    lists = ("clips_caption", "events_summary", "events_summary_split")
    base |= {name: base[name][:1] for name in lists} | {"label": [label] if label else []}
    base |= {"n_frames": FRAMES, "fps": float(RATE), "events": [[1.0, 2.958]], "clips": [[[1.0, 2.958]]]}
    base["clips_caption"] = [base["clips_caption"][0][:1]]
    base = json.loads(json.dumps(base).replace("Arson", label or ""))
    return base | ({"events(frame)": [[24, 71]]} if with_frames else {})


def train_row(number: int, row) -> dict:
    """A row as the training file has it: both `task` and `conversations`."""
    turns = [{"from": "human", "value": f"<video>\n{row.question}"}, {"from": "gpt", "value": row.answer}]
    return {"id": number, "type": row.level, "task": row.task, "video": row.video, "conversations": turns}


def held_out_row(number: int, row) -> dict:
    fields = {"id": number, "type": row.level, "task": row.task, "video": row.video}
    return fields | {"prompt": row.question, "anwser": row.answer}


def write_whole_release(folder: Path) -> Path:
    """Four annotation files, two of rows, and the whole videos in the layout of the release."""
    rows = {"train": [], "test": []}
    for prefix, (source, pattern, kinds) in VIDEOS.items():
        for split, count in COUNTS.items():
            records = {}
            videos = folder / "videos" / source / "videos" / split
            videos.mkdir(parents=True)
            for kind, label in kinds.items():
                for number in range(count):
                    name = pattern.format(kind, number + 10 * (split == "test"))
                    records[name] = record(label, with_frames=prefix == "xd")
                    write_video(videos / f"{name}.mp4", rate=RATE, frames=moving_square(FRAMES, seed=number))
            path = write_json(folder / "raw_annotations" / f"{prefix}_database_{split}.json", records)
            rows[split] += build_instructions(read_annotation_file(path))
    for split, form in (("train", train_row), ("test", held_out_row)):
        lines = [form(number, row) for number, row in enumerate(rows[split])]
        write_lines(folder / "instruction" / f"merge_instruction_{split}_final.jsonl", lines)
    return folder


@pytest.fixture(scope="module")
def release(tmp_path_factory) -> Path:
    return write_whole_release(tmp_path_factory.mktemp("release"))


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> Path:
    return write_holmes_vau(tmp_path_factory.mktemp("checkpoint") / "tiny")


def test_validate(release, capsys):
    assert main(["validate", "--annotations", str(release), "--videos", str(release / "videos")]) == 0
    said = capsys.readouterr().out
    assert "12 annotated videos and 72 instruction rows, 0 findings" in said
    assert "xd-violence train: 4 of 3,950 videos, 4 of 8,236 events, 2 of 1,904 normal videos" in said


def test_stats_and_instructions(release, tmp_path, capsys):
    assert main(["stats", "--annotations", str(release), "--output", str(tmp_path / "stats")]) == 0
    assert "**train**: 8 annotated videos, 4 of them abnormal." in capsys.readouterr().out
    output = tmp_path / "rows.jsonl"
    assert main(["instructions", "--annotations", str(release), "--output", str(output)]) == 0
    made, given = read_annotation_file(output), read_annotation_files(release).instructions
    assert {(row.video, row.task, row.question, row.answer) for row in made} == {
        (row.video, row.task, row.question, row.answer) for row in given
    }


def test_export_and_load(release, tmp_path):
    assert main(["export", "--annotations", str(release), "--output", str(tmp_path / "hub")]) == 0
    cache = str(tmp_path / "cache")
    for name, counts in {"all": (48, 24), "event": (20, 10), "detection": (8, 4), "annotations": (8, 4)}.items():
        tables = datasets.load_dataset(str(tmp_path / "hub"), name, cache_dir=cache)
        assert (tables["train"].num_rows, tables["test"].num_rows) == counts
    frames = {row["source"]: row["event_frames"] for row in tables["train"]}
    assert frames == {"ucf-crime": None, "xd-violence": [[24, 71]]}


def test_both_trainings_and_both_evaluations(release, checkpoint, tmp_path):
    data = ["--annotations", str(release), "--videos", str(release / "videos")]
    options = ["--use-cpu", "true", "--report-to", "none", "--disable-tqdm", "true", "--max-steps", "2"]
    scorer, tuned = tmp_path / "scorer", tmp_path / "sft"
    steps = [
        "--per-device-train-batch-size",
        "1",
        "--eval-steps",
        "1",
        "--save-steps",
        "1",
        "--validation-share",
        "0.5",
    ]
    train_scorer.main(["--model", str(checkpoint), *data, "--output-dir", str(scorer), *options, *steps])
    sft = ["--model", str(scorer / "checkpoint"), *data, "--output-dir", str(tuned), "--num-frames", "2", *options]
    sft += ["--global-batch-size", "4", "--sample-steps", "0", "--dataloader-num-workers", "0", "--lora-r", "2"]
    assert train_sft.main(sft)["rows"] == 48
    folder = tmp_path / "report"
    argv = ["--model", str(scorer / "checkpoint"), *data, "--output", str(folder), "--device", "cpu"]
    assert detection.main(argv) == 0
    assert json.loads((folder / "report.json").read_text())["videos"]["counted"] == 4
    argv = ["predict", "--model", str(scorer / "checkpoint"), *data, "--output", str(tmp_path / "answers.jsonl")]
    assert reasoning.main([*argv, "--max-new-tokens", "4", "--num-frames", "2", "--device", "cpu"]) == 0
    argv = ["score", "--predictions", str(tmp_path / "answers.jsonl"), "--annotations", str(release)]
    argv += ["--output", str(tmp_path / "scores"), "--metrics", "bleu", "rouge", "--tokenizer", "whitespace"]
    assert reasoning.main([*argv, "--bootstrap", "0"]) == 0
    assert json.loads((tmp_path / "scores" / "report.json").read_text())
