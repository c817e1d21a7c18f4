"""What the formats of other tools have in common.

Such a file says of a span when it is and of which class. The rest of an annotation is kept beside that, in the fields
of the clean form (`records.annotation_to_dict`), so that it comes back whole; what a person changed in the tool counts
before what was kept.
"""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modeling_holmes_vau.spans_holmes_vau import is_past_end_s, span_at_rate
from modeling_holmes_vau.video_reader_holmes_vau import open_video

from ...fields import Record
from ...labels import parse_judgement
from ...records import annotation_from_dict, annotation_to_dict
from ...schema import AnnotationError, Event, VideoAnnotation
from ...spans import find_video
from ...videos import VideoFolder


KEPT = "holmes_vau"  # the field of ours in files of other tools
NORMAL = "Normal"
NORMALS = {"normal", "normal event", "normal events", "normal video", "normal videos"}
NO_DESCRIPTION = "no description"  # of a video of which nobody wrote anything
PARTS = ("judgement", "description", "analysis")


# ---------------------------------------------------------------------------------------------------------------------
# Classes and spans.


def is_normal(label: str) -> bool:
    """Whether a label says that nothing is wrong: `Normal`, `normal_video`, however written."""
    return " ".join(label.lower().replace("_", " ").replace("-", " ").split()) in NORMALS


def class_of(event: Event, labels: Sequence[str]) -> str:
    """The one class under which a tool shows an event.

    Args:
        event (`Event`): The event.
        labels (`Sequence[str]`): The classes of its video.

    Returns:
        `str`: Of these classes the one that its summary is or that its judgement names, else the first; "Normal" if
        there are none.
    """
    if not labels or event.summary in labels:
        return event.summary if labels else NORMAL
    named = parse_judgement(event.parts.judgement if event.parts else event.summary)
    return next((label for label in labels if label in (*named.spellings, *named.classes)), labels[0])


def classes_of(annotations: Iterable[VideoAnnotation]) -> list[str]:
    """The classes of all events and videos as tools show them, each once, "Normal" last."""
    found = dict.fromkeys(label for entry in annotations for label in entry.labels)
    return [*found, NORMAL]


def frames_of(span_s: tuple[float, float], fps: float, n_frames: int) -> tuple[int, int]:
    """First and last frame of a span, counted from 1 as Label Studio and FiftyOne do, within the video."""
    first, stop = span_at_rate(*span_s, fps)
    return min(first + 1, n_frames), min(stop, n_frames)


def seconds_of(
    frames: tuple[int, int], fps: float, kept: tuple[tuple[float, float], tuple[int, int]] | None
) -> tuple[float, float]:
    """The span of a first and a last frame, counted from 1.

    Args:
        frames (`tuple[int, int]`): As the file has them; frame 0 is taken for frame 1.
        fps (`float`): Frames per second.
        kept (`tuple`, *optional*): The seconds that were kept beside the frames, and their frames. A border that is
            still on its frame keeps its seconds.

    Returns:
        `tuple[float, float]`: Start and end in seconds.
    """
    start_s, end_s = (max(frames[0], 1) - 1) / fps, frames[1] / fps
    if kept is None:
        return start_s, end_s
    (kept_start_s, kept_end_s), (first, last) = kept
    mixed = kept_start_s if frames[0] == first else start_s, kept_end_s if frames[1] == last else end_s
    return mixed if mixed[0] < mixed[1] else (start_s, end_s)


# ---------------------------------------------------------------------------------------------------------------------
# Out: what is kept beside what the tool shows.


def video_fields(annotation: VideoAnnotation) -> dict[str, Any]:
    """The clean form without the events, and the classes under which they are shown."""
    fields = annotation_to_dict(annotation)
    del fields["events"]
    classes = dict.fromkeys(class_of(event, annotation.labels) for event in annotation.events)
    return {**fields, "event_labels": list(classes)}


def shown_events(annotation: VideoAnnotation) -> list[tuple[str, dict[str, Any]]]:
    """The class under which each event is shown, and its clean form without what is null; a summary that is the class
    goes without saying."""
    shown = []
    for event, fields in zip(annotation.events, annotation_to_dict(annotation)["events"]):
        label = class_of(event, annotation.labels)
        fields = {name: value for name, value in fields.items() if value is not None}
        if event.summary == label:
            del fields["summary"]
        shown.append((label, fields))
    return shown


# ---------------------------------------------------------------------------------------------------------------------
# In.


@dataclass(frozen=True)
class Base:
    """What is known of a video beside its events.

    Args:
        fields (`dict[str, Any]`): The clean form without the events.
        event_labels (`list[str]`): The classes under which its events were shown when it was written.
        n_frames (`int`): Number of frames.
        fps (`float`): Frames per second.
        duration_s (`float`): When it ends.
    """

    fields: dict[str, Any]
    event_labels: list[str]
    n_frames: int
    fps: float
    duration_s: float


@dataclass(frozen=True)
class Mark:
    """An event as a file of another tool has it.

    Args:
        record (`Record`), place (`str`): Where it stands.
        span_s (`tuple[float, float]`): Start and end in seconds.
        labels (`tuple[str, ...]`): Its classes.
        fields (`dict[str, Any]`): What is known of it beside that, in the fields of the clean form.
        is_kept (`bool`): Whether its span is as it was written by us.
    """

    record: Record
    place: str
    span_s: tuple[float, float]
    labels: tuple[str, ...]
    fields: dict[str, Any]
    is_kept: bool


class Videos:
    """Where frames and rate of a video are found when the file does not tell them.

    Args:
        root (`str` or `os.PathLike`, *optional*): Folder of the videos.
        source (`str`), split (`str`): Of the videos of which the file does not tell them.

    Raises:
        `FileNotFoundError`: If there is no such folder.
    """

    def __init__(self, root: str | os.PathLike | None, source: str, split: str):
        self.folder = None if root is None else VideoFolder(root)
        self.source, self.split = source, split

    def base(self, record: Record, pieces: tuple[str, ...], split: str | None = None, other: str = "") -> Base:
        """Open a video.

        Args:
            record (`Record`): What stands of it in the file, for messages.
            pieces (`tuple[str, ...]`): Its folders and its name, see `video_pieces`.
            split (`str`, *optional*): Its split, where the file tells.
            other (`str`, *optional*): Another name it may have.

        Raises:
            `AnnotationError`: If it is not there, or several are meant.
            `VideoReadError`: If it can't be read.
        """
        place, split = f"{record.file}: {record.subject}", split or self.split
        if self.folder is None:
            raise AnnotationError(
                f"{place}: the file does not tell its frames and their rate. Pass the folder of the videos."
            )
        found = None
        for named in dict.fromkeys((pieces, pieces[-1:], (other,))):
            if found is None and any(named):
                found = find_video(place, named, self.folder, self.source, split)
        if found is None:
            raise AnnotationError(
                f"{place}: {'/'.join(pieces)} is not under {self.folder.root}. Put it there, or mend the name."
            )
        file, name = found
        with open_video(file) as reader:
            n_frames, fps, duration_s = reader.num_frames, reader.fps, reader.duration_s
        fields = {"video": name, "source": self.source, "split": split, "n_frames": n_frames, "fps": fps, "labels": []}
        fields |= {"summary": NO_DESCRIPTION, **dict.fromkeys(PARTS), "event_frames": None}
        return Base(fields, [], n_frames, fps, duration_s)


def kept_base(record: Record, value: Any) -> Base:
    """What was kept of a video when it was written, see `video_fields`."""
    inner = record.within(KEPT, value)
    inner.check_names(("n_frames", "fps", "labels", "event_labels"))
    n_frames, fps = inner.whole("n_frames", inner.fields["n_frames"], 1), inner.number("fps", inner.fields["fps"])
    if fps <= 0:
        raise inner.fail("fps", fps, "more than 0 frames per second")
    event_labels = inner.texts("event_labels", inner.fields["event_labels"])
    inner.texts("labels", inner.fields["labels"])
    fields = {name: field for name, field in inner.fields.items() if name != "event_labels"}
    return Base(fields, event_labels, n_frames, fps, n_frames / fps)


def within_video(record: Record, place: str, span_s: tuple[float, float], base: Base) -> tuple[float, float]:
    """A span, cut at the end of its video.

    Raises:
        `AnnotationError`: If it is backwards, or past that end by more than rounding explains.
    """
    start_s, end_s = record.span(place, *span_s)
    if is_past_end_s((start_s, end_s), base.duration_s, base.fps):
        raise record.fail(
            place,
            f"{start_s:.3f} to {end_s:.3f} s",
            f"a span within the video, which ends at {base.duration_s:.3f} s. Is it another copy, or are frames "
            "counted at another rate",
        )
    return start_s, min(end_s, base.duration_s)


def assemble(record: Record, base: Base, marks: list[Mark]) -> VideoAnnotation:
    """The annotation of a video.

    The classes are those that were kept, without those whose events are gone, and those of the events. Stretches of an
    abnormal video that are labelled normal are no events. Events stay in the order of the file if all are as they were
    written; else they are put in order of time, and frames beside the seconds go.

    Raises:
        `AnnotationError`: If a field is missing or of the wrong type.
    """
    fields = dict(base.fields)
    shown = {label for mark in marks for label in mark.labels if not is_normal(label)}
    labels = dict.fromkeys(label for label in fields["labels"] if label in shown or label not in base.event_labels)
    if labels or shown:
        marks = [mark for mark in marks if not all(map(is_normal, mark.labels))]
    if is_changed := not all(mark.is_kept for mark in marks):
        marks = sorted(marks, key=lambda mark: mark.span_s[0])
    labels |= dict.fromkeys(label for mark in marks for label in mark.labels if label in shown)
    frames = fields.get("event_frames")
    if is_changed or not isinstance(frames, list) or len(frames) != len(marks):
        fields["event_frames"] = None
    events = []
    for mark in marks:
        span_s = mark.span_s if mark.is_kept else within_video(mark.record, mark.place, mark.span_s, base)
        named = [label for label in mark.labels if not (labels and is_normal(label))]
        event = {"summary": ", ".join(named), **dict.fromkeys(PARTS), "clips": [], **mark.fields}
        events.append({**event, "start_s": span_s[0], "end_s": span_s[1]})
    return annotation_from_dict({**fields, "labels": list(labels), "events": events}, record.file)


def first_and_last(record: Record, field: str, first: Any, last: Any) -> tuple[int, int]:
    """First and last frame of a span; some programs count from 0, or write whole numbers as 5.0."""
    ends = [int(end) if isinstance(end, float) and end.is_integer() else end for end in (first, last)]
    start = record.whole(f"{field} start", ends[0], 0)
    return start, record.whole(f"{field} end", ends[1], max(start, 1))


def objects(record: Record, field: str, value: Any) -> list[Record]:
    """The entries of a list of objects, each a record."""
    return [record.within(f"{field}[{i}]", entry) for i, entry in enumerate(record.list_of(field, value))]


def record_of(value: Any, path: Path, subject: str) -> Record:
    """A JSON object of a file, none of whose names stands there twice.

    Raises:
        `AnnotationError`: If it is no object, or one does.
    """
    if not isinstance(value, dict):
        raise AnnotationError(f"{path}: {subject}: got {type(value).__name__}, expected an object.")
    record = Record(value, str(path), subject)
    record.check_repeated()
    return record
