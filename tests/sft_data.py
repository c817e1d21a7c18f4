"""Annotations and videos for the tests of instruction tuning."""

import copy
from pathlib import Path

from tests.annotations import raw_annotations, write_json
from tests.videos import moving_square, write_video


LEVELS, TASKS = ("clip", "event", "video"), ("caption", "judgement", "description", "analysis")


def write_data(folder: Path) -> Path:
    """Two abnormal and two normal videos of 120 frames; the events of the normal ones are short."""
    records, base = {}, raw_annotations()
    (folder / "videos").mkdir()
    for i in range(2):
        write_video(folder / "videos" / f"Normal_Videos_{i}_x264.mp4", frames=moving_square(120, seed=i))
        normal = {**copy.deepcopy(base["Normal_Videos_101_x264"]), "n_frames": 120, "events": [[1.0, 2.0]]}
        records[f"Normal_Videos_{i}_x264"] = {**normal, "clips": [[[1.0, 2.0]]]}
        write_video(folder / "videos" / f"Arson{i}_x264.mp4", frames=moving_square(120, seed=10 + i))
        arson = {**copy.deepcopy(base["Arson101_x264"]), "n_frames": 120, "fps": 25.0, "events": [[2.0, 4.0]]}
        arson.update(clips=[[[2.0, 4.0]]], clips_caption=[["It burns."]], events_summary=arson["events_summary"][:1])
        arson["events_summary_split"] = arson["events_summary_split"][:1]
        records[f"Arson{i}_x264"] = arson
    write_json(folder / "annotations" / "raw_annotations" / "ucf_database_train.json", records)
    return folder
