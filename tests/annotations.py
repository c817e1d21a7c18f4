"""A small set of annotations in the form of the release, texts our own, for tests."""

import json
from pathlib import Path

from hivau70k_dataset.instructions import build_instructions
from hivau70k_dataset.reading import read_annotation_file


SPLIT_ABNORMAL = {
    "judgement": "An anomaly exists, specifically an Arson anomaly.",
    "description": "A man in a grey coat pours petrol on a bin and lights it",
    "analysis": "Setting fire to a bin endangers the street.",
}
SUMMARY_ABNORMAL = (
    'An anomaly exists, specifically an "Arson" anomaly. A man in a grey coat pours petrol on a bin and lights it. '
    "The basis for judging this anomaly is setting fire to a bin endangers the street."
)
SPLIT_NORMAL = {"judgement": "No anomaly exists in the video.", "description": "Two people wait for a bus."}


def raw_annotations() -> dict:
    """A dict keyed by video: one abnormal video of two events and three clips, one normal video."""
    return {
        "Arson101_x264": {
            "n_frames": 900,
            "fps": 30.0,
            "label": ["Arson"],
            "events": [[2.0, 9.0], [12.0, 20.5]],
            "clips": [[[2.0, 4.0], [4.5, 9.0]], [[12.0, 20.5]]],
            "clips_caption": [["A man walks to a bin.", "The bin burns."], ["People put the fire out."]],
            "events_summary": [SUMMARY_ABNORMAL, SUMMARY_ABNORMAL],
            "video_summary": SUMMARY_ABNORMAL,
            "events_summary_split": [dict(SPLIT_ABNORMAL), dict(SPLIT_ABNORMAL)],
            "video_summary_split": dict(SPLIT_ABNORMAL),
        },
        "Normal_Videos_101_x264": {
            "n_frames": 250,
            "fps": 25.0,
            "label": [],
            "events": [[1.0, 6.0]],
            "clips": [[[1.0, 6.0]]],
            "clips_caption": [["Two people wait for a bus."]],
            "events_summary": ["No anomaly exists in the video. Two people wait for a bus."],
            "video_summary": "No anomaly exists in the video. Two people wait for a bus.",
            "events_summary_split": [dict(SPLIT_NORMAL)],
            "video_summary_split": dict(SPLIT_NORMAL),
        },
    }


def released_row(**changes) -> dict:
    """One row of the released instruction file, with its misspelt key."""
    row = {
        "id": 0,
        "type": "event",
        "task": "judgement",
        "video": "ucf-crime/events/test/Arson101_x264_E0.mp4",
        "prompt": "Are there any anomaly events detected in the video?",
        "anwser": SPLIT_ABNORMAL["judgement"],
    }
    return {**row, **changes}


def write_json(path: Path, value: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value), encoding="utf-8")
    return path


def write_lines(path: Path, rows: list[dict]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


def write_release(folder: Path, split: str = "test") -> Path:
    """A folder in the layout and form of the release: the annotations above and a row for each of their tasks."""
    path = write_json(folder / "raw_annotations" / f"ucf_database_{split}.json", raw_annotations())
    rows = [
        {
            "id": i,
            "type": row.level,
            "task": row.task,
            "video": row.video,
            "prompt": row.question,
            "anwser": row.answer,
        }
        for i, row in enumerate(build_instructions(read_annotation_file(path)))
    ]
    write_lines(folder / "instruction" / f"merge_instruction_{split}_final.jsonl", rows)
    return folder
