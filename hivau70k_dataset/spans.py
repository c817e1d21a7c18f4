"""Annotations of your own from a table of spans: enough to train the anomaly scorer and to measure it."""

import csv
import math
import os
from dataclasses import replace
from pathlib import Path

from tqdm import tqdm

from modeling_holmes_vau.base.scan import VIDEO_SUFFIXES
from modeling_holmes_vau.video_reader_holmes_vau import open_video

from .schema import AnnotationError, Event, VideoAnnotation
from .videos import VideoFolder


COLUMNS = ("video", "start_s", "end_s", "label")


def annotations_from_csv(
    path: str | os.PathLike,
    videos: str | os.PathLike,
    source: str = "mine",
    split: str = "train",
    progress: bool = False,
) -> list[VideoAnnotation]:
    """Read a table with the columns `video,start_s,end_s,label`, one abnormal span a row.

    A normal video has one row whose other fields are empty. A row with a label and no times is one span from start to
    end: it says what the video is and not where, for training with labels of whole videos. Frame counts and rates are
    read from the videos.

    Args:
        path (`str` or `os.PathLike`): The CSV file, with a header.
        videos (`str` or `os.PathLike`): Folder of the videos; `video` is the name of a file anywhere below it, with or
            without its ending.
        source (`str`, *optional*, defaults to `"mine"`): What to call the collection.
        split (`str`, *optional*, defaults to `"train"`): "train", "validation" or "test".
        progress (`bool`, *optional*, defaults to `False`): Show a progress bar while videos are opened.

    Returns:
        `list[VideoAnnotation]`: One a video, in the order of the table; spans in order of time.

    Raises:
        `AnnotationError`: If the table has other columns, a row is broken, or a video is missing.
        `VideoReadError`: If a video can't be read.
    """
    spans = _read_spans(Path(path))
    folder, annotations = VideoFolder(videos), []
    for name, events in tqdm(spans.items(), "videos", unit="video", disable=not progress):
        labels = tuple(dict.fromkeys(event.summary for event in events))
        entry = VideoAnnotation(name, source, split, 1, 1.0, labels, tuple(events), "no description")
        found = folder.find(entry)
        if found is None:
            raise AnnotationError(
                f"{path}: video {name!r} is not under {folder.root}. Put it there, or mend the name."
            )
        with open_video(found.path) as reader:
            n_frames, fps, duration_s = reader.num_frames, reader.fps, reader.duration_s
        events = [event if event.end_s < math.inf else replace(event, end_s=duration_s) for event in events]
        for event in events:
            if event.start_s >= duration_s:
                raise AnnotationError(
                    f"{path}: video {name!r}: the span {event.start_s:g} to {event.end_s:g} s is past its end, "
                    f"{duration_s:.3f} s. Mend the times."
                )
        annotations.append(
            VideoAnnotation(name, source, split, n_frames, fps, labels, tuple(events), "no description")
        )
    return annotations


def _read_spans(path: Path) -> dict[str, list[Event]]:
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file, skipinitialspace=True)
        if reader.fieldnames is None or tuple(reader.fieldnames) != COLUMNS:
            raise AnnotationError(f"{path}: got the columns {reader.fieldnames}, expected {','.join(COLUMNS)}.")
        rows = [(f"{path}: line {reader.line_num}", row) for row in reader]
    spans: dict[str, list[Event]] = {}
    normal = set()
    for place, row in rows:
        if None in row or None in row.values() or not row["video"].strip():
            raise AnnotationError(f"{place}: expected a video and three further fields, got {list(row.values())}.")
        name = Path(row["video"].strip())
        stem = name.stem if name.suffix.lower() in VIDEO_SUFFIXES else name.name
        events = spans.setdefault(stem, [])
        fields = [row[column].strip() for column in COLUMNS[1:]]
        if not any(fields):
            normal.add(stem)
        else:
            events.append(_event(place, *fields))
        if stem in normal and events:
            raise AnnotationError(f"{place}: video {stem!r} stands there as normal and with a span. Keep one.")
    if not spans:
        raise AnnotationError(f"{path}: no rows. Expected one a span, and one a normal video.")
    return {name: sorted(events, key=lambda event: event.start_s) for name, events in spans.items()}


def _event(place: str, start: str, end: str, label: str) -> Event:
    if label and not (start or end):
        return Event(0.0, math.inf, (), label)
    try:
        start_s, end_s = float(start), float(end)
    except ValueError:
        raise AnnotationError(f"{place}: got {start!r} and {end!r}, expected start and end in seconds.") from None
    if not 0 <= start_s < end_s < float("inf") or not label:
        raise AnnotationError(f"{place}: got {start}, {end}, {label!r}, expected 0 <= start < end and a label.")
    return Event(start_s, end_s, (), label)
