"""ActivityNet's JSON, which most code for temporal action localization reads.

    {"version": ..., "taxonomy": [...], "database": {name: {"duration": 61.2, "subset": "training", "resolution": ...,
     "url": ..., "annotations": [{"segment": [start, end], "label": ...}, ...]}}}

Times are in seconds. What else an annotation has stands in a field of ours, of the video and of each segment. Source:
activity-net.org/download.html, "How to read the annotation files?".
"""

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from modeling_holmes_vau.base.files import write_whole

from ...fields import Record
from ...schema import VideoAnnotation
from ...tables import video_pieces
from .common import (
    KEPT,
    Base,
    Mark,
    Videos,
    assemble,
    classes_of,
    kept_base,
    objects,
    record_of,
    shown_events,
    video_fields,
    within_video,
)


logger = logging.getLogger(__name__)

VERSION = "VERSION 1.3"  # of the format
SUBSETS = {"training": "train", "validation": "validation", "testing": "test"}
OTHER_SUBSETS = {"train": "train", "val": "validation", "test": "test"}  # as others write them in this format
SUBSET_OF = {split: subset for subset, split in SUBSETS.items()}
PREFIX = "v_"  # of the files of ActivityNet, whose annotations leave it out
_SPAN = ("start_s", "end_s")


def write(annotations: Sequence[VideoAnnotation], output: Path) -> None:
    """Write a file of all splits; every segment is an event, the classes are the taxonomy."""
    root = {"nodeId": 0, "nodeName": "Root", "parentId": None, "parentName": None}
    classes = enumerate(classes_of(annotations), start=1)
    taxonomy = [{"nodeId": i, "nodeName": name, "parentId": 0, "parentName": "Root"} for i, name in classes]
    database = {entry.video: _entry(entry) for entry in annotations}
    whole = {"version": VERSION, "taxonomy": [root, *taxonomy], "database": database}
    write_whole(output, json.dumps(whole, ensure_ascii=False, indent=1) + "\n")


def _entry(annotation: VideoAnnotation) -> dict[str, Any]:
    segments = []
    for label, fields in shown_events(annotation):
        segment = [fields.pop(name) for name in _SPAN]
        segments.append({"segment": segment, "label": label, KEPT: fields})
    return {
        "duration": annotation.duration_s,
        "subset": SUBSET_OF[annotation.split],
        "resolution": "",  # nothing here knows it
        "url": "",
        "annotations": segments,
        KEPT: video_fields(annotation),
    }


def read(whole: Any, path: Path, videos: Videos) -> list[VideoAnnotation]:
    """Read a file, as it was written here or anywhere.

    A video without segments is a normal one; but where no video of `testing` has any, they are withheld there, as
    ActivityNet does, and these videos are left out.

    Args:
        whole (`dict`): What the file holds.
        path (`Path`): The file, for messages.
        videos (`Videos`): Where to look for videos of which the file tells no frames, with or without `v_` in front.

    Raises:
        `AnnotationError`: If a segment is broken, naming file, video and field.
        `VideoReadError`: If a video can't be read.
    """
    database = record_of(whole, path, "the file").within("database", whole.get("database"))
    database.check_repeated()
    entries = [(name, record_of(entry, path, f"video {name!r}")) for name, entry in database.fields.items()]
    foreign = [record for _, record in entries if KEPT not in record.fields]
    testing = [record for record in foreign if _split(record) == "test"]
    withheld = len(testing) < len(foreign) and not any(record.fields.get("annotations") for record in testing)
    if withheld and testing:
        logger.warning(f"{path}: no segments in all {len(testing)} videos of `testing`: withheld, left out")
    found = []
    for name, record in entries:
        if not (withheld and KEPT not in record.fields and _split(record) == "test"):
            found.append(_read_video(name, record, videos))
    return found


def _read_video(name: str, record: Record, videos: Videos) -> VideoAnnotation:
    if KEPT in record.fields:
        base = kept_base(record, record.fields[KEPT])
    else:
        pieces = video_pieces(name) or (name,)
        other = pieces[-1].removeprefix(PREFIX) if pieces[-1].startswith(PREFIX) else f"{PREFIX}{pieces[-1]}"
        base = videos.base(record, pieces, _split(record), other)
    entries = objects(record, "annotations", record.fields.get("annotations") or [])
    return assemble(record, base, [_mark(entry, base) for entry in entries])


def _split(record: Record) -> str | None:
    """The split that the subset of a video is; `None` where there is none."""
    if (subset := record.fields.get("subset")) is None:
        return None
    known = {**SUBSETS, **OTHER_SUBSETS}
    return known[record.one_of("subset", subset.lower() if isinstance(subset, str) else subset, known)]


def _mark(record: Record, base: Base) -> Mark:
    label = record.text("label", record.fields.get("label"))
    span_s = record.pair("segment", record.fields.get("segment"))
    if KEPT in record.fields:
        kept = record.within(KEPT, record.fields[KEPT])
        fields = {name: value for name, value in kept.fields.items() if name not in _SPAN}
        return Mark(record, "segment", span_s, (label,), fields, True)
    return Mark(record, "segment", within_video(record, "segment", span_s, base), (label,), {}, False)
