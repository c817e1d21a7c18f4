"""Frame-level ground truth: the test annotations of UCF-Crime and XD-Violence, and the events of HIVAU-70k.

Each is read into spans of frames as the file gives them; `frame_labels` turns spans into one label a frame. The files
do not say whether the last frame of a span belongs to it. Published evaluations differ: VadCLIP's and UR-DMU's label
arrays leave it out (`labels[start:end] = 1`), so that is the default here; the other reading is `end="inclusive"`.
"""

import logging
import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from modeling_holmes_vau.spans_holmes_vau import check_segment, is_past_end, segment_frame_range, span_at_rate

from .labels import classes_of_name
from .schema import AnnotationError, VideoAnnotation
from .tables import read_text, video_pieces


logger = logging.getLogger(__name__)

SAME_FPS = 0.01  # by how much frame rates of one video may differ without a word: 29.97 is written 30


@dataclass(frozen=True)
class FrameAnnotation:
    """The abnormal spans of one video, in frames from 0.

    Args:
        video (`str`): Name without folder and extension.
        spans (`tuple[tuple[int, int], ...]`): First and last frame of each span, as in the file; empty when normal.
        labels (`tuple[str, ...]`): The classes of the video; empty when normal.
        n_frames (`int`, *optional*): Number of frames, where the file tells.
    """

    video: str
    spans: tuple[tuple[int, int], ...]
    labels: tuple[str, ...] = ()
    n_frames: int | None = None


def read_ucf_annotation(path: str | os.PathLike) -> dict[str, FrameAnnotation]:
    """Read a UCF-Crime test annotation, in either form that is passed around.

    `name class start end [start end]` (the official file; -1 for none), or with folder and frame count in front
    `Folder/name.mp4 n_frames class start end [start end]` (UR-DMU's list). Folders, of Windows too, and the ending of
    a video file may be there or not.

    Returns:
        `dict[str, FrameAnnotation]`: By video name, normal videos included.

    Raises:
        `AnnotationError`: If a line is of neither form, a span runs backwards, or a video stands there twice.
    """
    annotations = {}
    for place, fields in _lines(path):
        n_frames = None
        name = _video_name(fields[0], place)
        if len(fields) > 1 and fields[1].isdigit():
            n_frames = int(fields.pop(1))
        if len(fields) < 4 or len(fields) % 2 or fields[1].lstrip("-").isdigit():
            raise AnnotationError(
                f"{place}: got {len(fields)} fields, expected `name [n_frames] class start end ...`."
            )
        spans = _spans(fields[2:], place, name)
        labels = () if fields[1] == "Normal" else (fields[1],)
        if bool(labels) != bool(spans):
            raise AnnotationError(f"{place}: video {name!r}: class {fields[1]!r} with {len(spans)} spans.")
        _add(annotations, FrameAnnotation(name, spans, labels, n_frames), place)
    return annotations


def read_xd_annotation(path: str | os.PathLike) -> dict[str, FrameAnnotation]:
    """Read XD-Violence's test annotation, `name start end [start end ...]` a line.

    Only abnormal videos stand in it: a test video without a line is normal.

    Returns:
        `dict[str, FrameAnnotation]`: By video name; the classes are those the name states.

    Raises:
        `AnnotationError`: If a line is of another form, a span runs backwards, or a video stands there twice.
    """
    annotations = {}
    for place, fields in _lines(path):
        name = _video_name(fields[0], place)
        if len(fields) < 3 or len(fields) % 2 == 0:
            raise AnnotationError(f"{place}: got {len(fields)} fields, expected `name start end [start end ...]`.")
        annotation = FrameAnnotation(name, _spans(fields[1:], place, name), classes_of_name(name) or ())
        _add(annotations, annotation, place)
    return annotations


def hivau_frame_annotations(annotations: Iterable[VideoAnnotation]) -> dict[str, FrameAnnotation]:
    """The events of HIVAU-70k in frames at the annotated rate, see `span_at_rate`; those of normal videos are ordinary
    stretches and give no span."""
    found = {}
    for entry in annotations:
        events = entry.events if entry.labels else ()
        spans = tuple(span_at_rate(event.start_s, event.end_s, entry.fps) for event in events)
        found[entry.video] = FrameAnnotation(entry.video, spans, entry.labels, entry.n_frames)
    return found


def check_spans(annotation: FrameAnnotation, n_frames: int, fps: float | None = None) -> None:
    """Check that spans lie within a video, see [`is_past_end`].

    Raises:
        `ValueError`: One line, if one does not.
    """
    for span in annotation.spans:
        if is_past_end(span, n_frames, fps):
            said = f"{span[0]} to {span[1]}" if fps is None else f"{span[0] / fps:.1f} to {span[1] / fps:.1f} s"
            length = f"{n_frames} frames" if fps is None else f"{n_frames / fps:.1f} s, {n_frames} frames"
            known = "" if annotation.n_frames is None else f"; annotated are {annotation.n_frames}"
            raise ValueError(
                f"the span {said} is past the end of the video ({length}{known}): another copy than the annotated "
                "one, or another video"
            )


def on_clock(entry: VideoAnnotation, times_s: np.ndarray, fps: float) -> FrameAnnotation:
    """The events, in frames, of a video whose frame numbers are no clock: its rate varies, it stood still, or its file
    rounds times. See `segment_frame_range`.

    Args:
        entry (`VideoAnnotation`): Events in seconds.
        times_s (`np.ndarray` of shape `(n_frames,)`): Time of each frame in seconds.
        fps (`float`): Frames per second where it runs.

    Raises:
        `ValueError`: One line, if an event is past the end, see `check_segment`, or all of it in a gap.
    """
    spans = []
    for event in entry.events if entry.labels else ():
        check_segment((event.start_s, event.end_s), float(times_s[-1]) + 1 / fps, fps)
        first, count = segment_frame_range(times_s, event.start_s, event.end_s)
        spans.append((first, first + count))
    return FrameAnnotation(entry.video, tuple(spans), entry.labels, entry.n_frames)


def at_frame_rate(annotation: VideoAnnotation, fps: float) -> VideoAnnotation:
    """The annotation for a file of `fps` frames per second: where that is another rate than the annotated one, say of
    a copy encoded anew, its spans, which are in seconds, lie on other frames."""
    if abs(fps / annotation.fps - 1) > SAME_FPS:
        logger.warning(f"{annotation.video}: has {fps:g} frames per second, annotated are {annotation.fps:g}")
    return replace(annotation, fps=fps)


def frame_labels(
    annotation: FrameAnnotation, n_frames: int | None = None, end: Literal["exclusive", "inclusive"] = "exclusive"
) -> np.ndarray:
    """One label a frame.

    Args:
        annotation (`FrameAnnotation`): Spans past the end of the video are cut there.
        n_frames (`int`, *optional*): Length of the array, by default what the annotation tells.
        end (`str`, *optional*, defaults to `"exclusive"`): Whether the last frame of a span is normal ("exclusive") or
            abnormal ("inclusive").

    Returns:
        `np.ndarray` of shape `(n_frames,)`, uint8: 1 where abnormal.

    Example:

    >>> from hivau70k_dataset.ground_truth import FrameAnnotation, frame_labels
    >>> annotation = FrameAnnotation("street", spans=((1, 3),), labels=("Arson",), n_frames=5)
    >>> frame_labels(annotation).tolist(), frame_labels(annotation, end="inclusive").tolist()
    ([0, 1, 1, 0, 0], [0, 1, 1, 1, 0])
    """
    n_frames = annotation.n_frames if n_frames is None else n_frames
    if n_frames is None:
        raise ValueError(f"The number of frames of {annotation.video!r} is not in its annotation. Pass `n_frames`.")
    if end not in ("exclusive", "inclusive"):
        raise ValueError(f'`end` must be "exclusive" or "inclusive", got {end!r}.')
    labels = np.zeros(n_frames, np.uint8)
    for first, last in annotation.spans:
        labels[first : last + (end == "inclusive")] = 1
    return labels


def temporal_iou(left: np.ndarray, right: np.ndarray) -> float:
    """Intersection over union of the abnormal frames of two label arrays of one length; 1.0 when both have none."""
    if left.shape != right.shape:
        raise ValueError(f"The label arrays must have one length, got {left.shape} and {right.shape}.")
    union = np.logical_or(left, right).sum()
    return float(np.logical_and(left, right).sum() / union) if union else 1.0


def _lines(path: str | os.PathLike) -> Iterable[tuple[str, list[str]]]:
    lines = [line.split() for line in read_text(path).splitlines()]
    lines = [(f"{path}: line {number}", fields) for number, fields in enumerate(lines, start=1)]
    lines = [(place, fields) for place, fields in lines if fields]
    if not lines:
        raise AnnotationError(f"{path}: the file is empty. Expected one video a line.")
    return lines


def _video_name(written: str, place: str) -> str:
    if not (pieces := video_pieces(written)):
        raise AnnotationError(f"{place}: got {written!r}, expected the name of a video.")
    return pieces[-1]


def _spans(fields: list[str], place: str, name: str) -> tuple[tuple[int, int], ...]:
    try:
        numbers = [int(field) for field in fields]
    except ValueError:
        raise AnnotationError(
            f"{place}: video {name!r}: got {' '.join(fields)!r}, expected whole frame numbers."
        ) from None
    pairs = [pair for pair in zip(numbers[::2], numbers[1::2]) if pair != (-1, -1)]
    for first, last in pairs:
        if not 0 <= first < last:
            raise AnnotationError(f"{place}: video {name!r}: got the span {first} {last}, expected 0 <= start < end.")
    return tuple(pairs)


def _add(annotations: dict[str, FrameAnnotation], annotation: FrameAnnotation, place: str) -> None:
    if annotation.video in annotations:
        raise AnnotationError(f"{place}: video {annotation.video!r} stands there twice. Keep one line.")
    annotations[annotation.video] = annotation
