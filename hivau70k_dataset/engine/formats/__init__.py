"""Annotations in the formats that people and their tools use: written, and read back as they were.

| name | what it is |
|---|---|
| `hivau` | the raw form of the release, or of its paper |
| `label-studio` | tasks of Label Studio, and the labelling setup that shows them |
| `fiftyone` | `labels.json` of FiftyOne's temporal detections |
| `activitynet` | ActivityNet's JSON |

Files that other tools made are read too: without texts, an event's summary is its label, as from a table of spans.
"""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ...reading import read_json
from ...records import annotation_from_dict, annotation_to_dict
from ...schema import SPLITS, AnnotationError, VideoAnnotation
from . import activitynet, fiftyone, hivau, label_studio
from .common import Videos, is_normal


FORMATS = ("hivau", "label-studio", "fiftyone", "activitynet")
_MODULES = {"label-studio": label_studio, "fiftyone": fiftyone, "activitynet": activitynet}
_OF_VIDEO = {"n_frames", "fps", "events", "video_summary", "summary"}  # fields of an annotation of the dataset


def write_format(annotations: Iterable[VideoAnnotation], name: str, output: str | os.PathLike) -> Path:
    """Write annotations in one of the formats; the file appears whole or not at all.

    Args:
        annotations (`Iterable[VideoAnnotation]`): In the order of the file, at least one.
        name (`str`): One of `FORMATS`.
        output (`str` or `os.PathLike`): The file, ending in `.json`. Of `hivau` its name has to tell source and split
            (`mine_database_train.json`), which the form does not; `label-studio` writes an `.xml` beside it; FiftyOne
            looks for the name `labels.json`, beside the folder `data` with the videos.

    Returns:
        `Path`: The file.

    Raises:
        `ValueError`: If there is no such format, or the file does not end in `.json`.
        `AnnotationError`: If there are no annotations, one could not be read back, or two are of one video, of which
            all formats but `label-studio` hold one a name.
        `OSError`: If it can't be written.
    """
    output, annotations = Path(output), list(annotations)
    _check_format(name)
    if output.suffix != ".json":
        raise ValueError(f"{output}: got the ending {output.suffix!r}, expected .json. Rename it.")
    if not annotations:
        raise AnnotationError(f"{output}: got no annotations, expected at least one.")
    for entry in annotations:
        annotation_from_dict(annotation_to_dict(entry), str(output))
        if any(map(is_normal, entry.labels)):
            raise AnnotationError(
                f"{output}: video {entry.video!r}: got the classes {', '.join(entry.labels)}, expected those of "
                "anomalies; of a normal video none."
            )
    _check_unique(annotations, output, by_name=name != "label-studio")
    output.parent.mkdir(parents=True, exist_ok=True)
    (hivau if name == "hivau" else _MODULES[name]).write(annotations, output)
    return output


def read_format(
    path: str | os.PathLike,
    name: str | None = None,
    videos: str | os.PathLike | None = None,
    source: str | None = None,
    split: str | None = None,
) -> list[VideoAnnotation]:
    """Read annotations in any of the formats.

    Args:
        path (`str` or `os.PathLike`): The file; of FiftyOne also the folder that holds `labels.json`.
        name (`str`, *optional*): One of `FORMATS`; by default it is told by what the file holds.
        videos (`str` or `os.PathLike`, *optional*): Folder of the videos: frames and rate of those of which the file
            does not tell them are read there. By default the folder `data` beside FiftyOne's `labels.json`.
        source (`str`, *optional*): What to call the collection, where the file does not tell: by default "mine", of
            the form `hivau` what the file's name tells.
        split (`str`, *optional*): "train", "validation" or "test", likewise: by default "train", of the form `hivau`
            what the file's name tells.

    Returns:
        `list[VideoAnnotation]`: In the order of the file.

    Raises:
        `ValueError`: If there is no such format or split.
        `AnnotationError`: If the file can't be read or is in none of the formats, or something in it is broken: one
            line that names file, place and field.
        `VideoReadError`: If a video can't be read.
        `FileNotFoundError`: If there is no such folder of videos.
    """
    path = Path(path)
    if name is not None:
        _check_format(name)
    if split is not None and split not in SPLITS:
        raise ValueError(f"got the split {split!r}, expected one of {', '.join(SPLITS)}.")
    if path.is_dir():
        path = path / "labels.json"
    if name == "hivau" or (name is None and path.suffix == ".jsonl"):
        found = hivau.read(path, source, split)
    else:
        whole = read_json(path)
        name = name or guess_format(whole, path)
        if videos is None and name == "fiftyone" and (path.parent / "data").is_dir():
            videos = path.parent / "data"
        if name == "hivau":
            found = hivau.read(path, source, split)
        else:
            found = _MODULES[name].read(whole, path, Videos(videos, source or "mine", split or "train"))
    if not found:
        raise AnnotationError(f"{path}: no annotations stand in it. Expected at least one video that is annotated.")
    _check_unique(found, path, by_name=False)
    return found


def guess_format(whole: Any, path: str | os.PathLike) -> str:
    """The format of what a file holds.

    Args:
        whole (`list` or `dict`): What `json.loads` makes of the file.
        path (`str` or `os.PathLike`): The file, for the message.

    Returns:
        `str`: One of `FORMATS`.

    Raises:
        `AnnotationError`: If it is none of them.
    """
    if isinstance(whole, dict) and isinstance(whole.get("database"), dict):
        return "activitynet"
    if isinstance(whole, dict) and isinstance(whole.get("labels"), dict):
        return "fiftyone"
    entries = whole if isinstance(whole, list) else [whole]
    entries = [entry for entry in entries if isinstance(entry, dict)]
    if any({"data", "annotations"} & entry.keys() or _is_minimal(entry) for entry in entries):
        return "label-studio"
    inner = list(whole.values()) if isinstance(whole, dict) else []
    if any(isinstance(entry, dict) and _OF_VIDEO & entry.keys() for entry in (*entries, *inner)):
        return "hivau"
    got = f"{type(whole).__name__} of {', '.join(map(repr, list(whole)[:3]))}" if whole else repr(whole)
    raise AnnotationError(
        f"{path}: got a {got}, expected one of the formats {', '.join(FORMATS)}. Name the format if it is one of them."
    )


def _is_minimal(entry: dict[str, Any]) -> bool:
    """Whether an object is a task of Label Studio's JSON-MIN, which has the spans beside the data."""
    spans = [value for value in entry.values() if isinstance(value, list)]
    return any(isinstance(span, dict) and "timelinelabels" in span for value in spans for span in value)


def _check_format(name: str) -> None:
    if name not in FORMATS:
        raise ValueError(f"got the format {name!r}, expected one of {', '.join(FORMATS)}.")


def _check_unique(annotations: list[VideoAnnotation], path: Path, by_name: bool) -> None:
    seen = set()
    for entry in annotations:
        key = entry.video if by_name else (entry.source, entry.split, entry.video)
        if key in seen:
            hint = "Write a file for each source and split." if by_name else "Keep one."
            raise AnnotationError(f"{path}: video {entry.video!r} stands there twice. {hint}")
        seen.add(key)
