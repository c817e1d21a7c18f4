"""FiftyOne: its dataset type `FiftyOneTemporalDetectionDataset`.

    folder/
        data/<name>.mp4 ...
        labels.json     {"classes": [...], "labels": {name: [{"label": 0, "support": [first, last]}, ...]}}

A label is a class or its place among the classes. Frames are counted from 1, both of them in the span; instead of
`support`, `timestamps` may give seconds. A name may be a path, without its ending. A video whose list is null has no
labels yet; an empty list is that of a video in which there is nothing.

The texts of an event are attributes of its detection, where FiftyOne shows them and keeps them when it exports. What
is of the whole video stands in a field of ours beside `labels`, which FiftyOne does not read: a file that it exports
is without it. Source: docs.voxel51.com/user_guide/export_datasets and /import_datasets, "FiftyOneTemporalDetection",
and `FiftyOneTemporalDetectionSampleParser`.
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
    PARTS,
    Base,
    Mark,
    Videos,
    assemble,
    classes_of,
    first_and_last,
    frames_of,
    kept_base,
    objects,
    record_of,
    seconds_of,
    shown_events,
    video_fields,
)


logger = logging.getLogger(__name__)

ATTRIBUTES = ("start_s", "end_s", "clips")  # that every detection of ours has


def write(annotations: Sequence[VideoAnnotation], output: Path) -> None:
    """Write `labels.json`; the videos belong into `data/` beside it."""
    classes = classes_of(annotations)
    labels = {entry.video: _detections(entry, classes) for entry in annotations}
    whole = {"classes": classes, "labels": labels, KEPT: {entry.video: video_fields(entry) for entry in annotations}}
    write_whole(output, json.dumps(whole, ensure_ascii=False, indent=1) + "\n")


def _detections(annotation: VideoAnnotation, classes: list[str]) -> list[dict[str, Any]]:
    detections = []
    for label, fields in shown_events(annotation):
        support = list(frames_of((fields["start_s"], fields["end_s"]), annotation.fps, annotation.n_frames))
        detections.append({"label": classes.index(label), "support": support, "attributes": fields})
    return detections


def read(whole: Any, path: Path, videos: Videos) -> list[VideoAnnotation]:
    """Read `labels.json`, as it was written here or as FiftyOne exports it.

    A span whose frames are still those of the seconds that were kept has these seconds.

    Args:
        whole (`dict`): What the file holds.
        path (`Path`): The file, for messages.
        videos (`Videos`): Where to look for videos of which the file tells no frames.

    Raises:
        `AnnotationError`: If a detection is broken, naming file, video and field.
        `VideoReadError`: If a video can't be read.
    """
    record = record_of(whole, path, "the file")
    classes = record.texts("classes", whole.get("classes") or [])
    labels = record.within("labels", whole.get("labels"))
    labels.check_repeated()
    kept = record.within(KEPT, whole.get(KEPT, {}))
    found, left_out = [], 0
    for name, entries in labels.fields.items():
        video = Record({}, str(path), f"video {name!r}")
        if entries is None:
            left_out += 1
            continue
        base = kept_base(video, kept.fields[name]) if name in kept.fields else None
        if base is None:
            base = videos.base(video, video_pieces(name) or (name,))
        marks = [_mark(entry, classes, base) for entry in objects(video, "labels", entries)]
        found.append(assemble(video, base, marks))
    if left_out:
        logger.warning(f"{path}: {left_out} videos that nobody has labelled, left out")
    return found


def _mark(record: Record, classes: list[str], base: Base) -> Mark:
    label = record.fields.get("label")
    if type(label) is int and 0 <= label < len(classes):
        label = classes[label]
    elif not isinstance(label, str) or not label.strip():
        raise record.fail("label", label, f"a class, or its place among the {len(classes)} `classes`")
    attributes = record.fields.get("attributes")
    attributes = attributes if isinstance(attributes, dict) else {}
    attributes = {name: value for name, value in attributes.items() if value is not None}
    if not attributes.keys() >= set(ATTRIBUTES):
        span_s, place = _span(record, base, None)
        return Mark(record, place, span_s, (label,), {}, False)
    ours = record.within("attributes", attributes)
    kept_s = ours.span("start_s, end_s", attributes["start_s"], attributes["end_s"])
    kept = kept_s, frames_of(kept_s, base.fps, base.n_frames)
    span_s, place = _span(record, base, kept)
    fields = {name: attributes[name] for name in ("summary", *PARTS, "clips") if name in attributes}
    return Mark(record, place, span_s, (label,), fields, span_s == kept_s)


def _span(
    record: Record, base: Base, kept: tuple[tuple[float, float], tuple[int, int]] | None
) -> tuple[tuple[float, float], str]:
    """Start and end of a detection in seconds, and the field that tells."""
    if (frames := record.fields.get("support")) is not None:
        frames = first_and_last(record, "support", *_pair(record, "support", frames))
        return seconds_of(frames, base.fps, kept), "support"
    if (times := record.fields.get("timestamps")) is None:
        raise record.fail("support", None, "a first and a last frame, or `timestamps` in seconds")
    span_s = record.span("timestamps", *_pair(record, "timestamps", times))
    if kept is not None and tuple(_frame(time_s, base) for time_s in span_s) == kept[1]:
        return kept[0], "timestamps"
    return span_s, "timestamps"


def _pair(record: Record, field: str, value: Any) -> list:
    if len(record.list_of(field, value)) != 2:
        raise record.fail(field, value, "a pair")
    return value


def _frame(time_s: float, base: Base) -> int:
    """The frame of a time that FiftyOne wrote: to it the first frame is at 0 and the last at the end of the video."""
    return 1 + round(time_s / base.duration_s * (base.n_frames - 1))
