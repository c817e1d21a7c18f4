"""Scores and truth of a test set, frame by frame, as they are counted."""

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from eval.frames.scores import VideoScores, read_scores
from eval.frames.truth import AnnotatedVideo
from hivau70k_dataset.ground_truth import (
    at_frame_rate,
    check_spans,
    frame_labels,
    hivau_frame_annotations,
    on_clock,
)
from hivau70k_dataset.labels import canonical_class
from hivau70k_dataset.videos import VideoFolder
from modeling_holmes_vau.base.commands import first_line
from modeling_holmes_vau.spans_holmes_vau import end_tolerance


@dataclass(frozen=True)
class CountedVideo:
    """One video as it is counted.

    Args:
        name (`str`): Name without folder and extension.
        classes (`tuple[str, ...]`): Its classes; empty when normal, or when the annotation names none.
        abnormal (`bool`): Whether it is annotated as abnormal.
        labels (`np.ndarray`), scores (`np.ndarray`): Of each counted frame, both of shape `(counted,)`.
        n_frames (`int`), annotated_frames (`int`, *optional*): Of the video, and what the annotation says.
        stride (`int`): How many frames a score stands for.
        fps (`float`, *optional*): Frames per second.
        spans (`list[tuple[int, int]]`): Annotated events, first frame and the frame after the last.
        events (`list[list[float]]`, *optional*): Predicted events, `[start_s, end_s, peak_score]`.
        event_rule (`tuple[float, ...]`, *optional*): Thresholds and least length of `find_events` that made them.
        times_s (`np.ndarray` of shape `(n_frames,)`, *optional*): Time of each frame in seconds, where `fps` does not
            tell it.
        event_classes (`list[str]`, *optional*): The class of each predicted event, spelt as `classes`.
    """

    name: str
    classes: tuple[str, ...]
    abnormal: bool
    labels: np.ndarray
    scores: np.ndarray
    n_frames: int
    annotated_frames: int | None
    stride: int
    fps: float | None
    spans: list[tuple[int, int]]
    events: list[list[float]] | None
    event_rule: tuple[float, ...] | None
    times_s: np.ndarray | None = None
    event_classes: list[str] | None = None


def count_frames(n_frames: int, stride: int, length: str) -> int:
    """How many frames of a video are counted: whole snippets, or all; a video below one snippet counts whole."""
    return n_frames // stride * stride or n_frames if length == "snippets" else n_frames


def spread(scores: np.ndarray, n_frames: int, stride: int, length: str) -> np.ndarray:
    """One score a counted frame.

    Args:
        scores (`np.ndarray` of shape `(num_scores,)`): One a frame, or one a snippet with or without the last partial
            one.
        n_frames (`int`), stride (`int`): Frames of the video and of a snippet.
        length (`str`): As `--length`.

    Returns:
        `np.ndarray` of shape `(counted,)`

    Example:

    >>> import numpy as np
    >>> spread(np.array([0.1, 0.9, 0.2]), n_frames=5, stride=2, length="snippets").tolist()
    [0.1, 0.1, 0.9, 0.9]
    """
    counted = count_frames(n_frames, stride, length)
    if len(scores) == n_frames:
        return scores[:counted]
    if len(scores) not in (max(1, n_frames // stride), -(-n_frames // stride)):
        raise ValueError(
            f"got {len(scores)} scores for {n_frames} frames, expected {n_frames} (one a frame) or "
            f"{-(-n_frames // stride)} (one every {stride} frames)"
        )
    if len(scores) * stride < counted:
        raise ValueError(
            f"got {len(scores)} scores of {stride} frames, which leave the last of {n_frames} frames without: count "
            "--length snippets"
        )
    return np.repeat(scores, stride)[:counted]


def read_videos(
    tests: dict[str, AnnotatedVideo],
    folder: Path,
    problems: dict[str, str],
    interval_end: str = "exclusive",
    length: str = "snippets",
    videos: str | None = None,
) -> list[CountedVideo]:
    """
    The videos that have scores and fit their annotation, as the report counts them.

    Args:
        tests (`dict[str, AnnotatedVideo]`): The test set.
        folder (`Path`): Of the scores.
        problems (`dict[str, str]`): Why videos are left out, by name; more are added.
        interval_end (`str`, *optional*), length (`str`, *optional*): As `--interval-end` and `--length`.
        videos (`str`, *optional*): Folder of the videos, for their length where nothing else tells it.
    """
    source, counted = VideoFolder(videos) if videos else None, []
    for name, test in tests.items():
        path = folder / f"{name}.npz"
        if name in problems:
            continue
        if not path.is_file():
            problems[name] = f"missing: {path}"
            continue
        try:
            scores = read_scores(path)
            n_frames = scores.n_frames or test.truth.n_frames or _frames_of_file(source, test)
            counted.append(count_video(test, scores, n_frames, interval_end, length))
        except (ValueError, OSError) as error:
            said = first_line(error)
            problems[name] = said if str(path) in said else f"{path}: {said}"
    return counted


def _frames_of_file(source: VideoFolder | None, test: AnnotatedVideo) -> int:
    from modeling_holmes_vau.video_reader_holmes_vau import open_video

    found = source and source.find(test.entry)
    if not found:
        raise ValueError(
            "neither the annotation nor the scores tell the number of frames; pass --videos, or an array `n_frames`"
        )
    with open_video(found.path) as reader:
        return reader.num_frames


def count_video(
    test: AnnotatedVideo, scores: VideoScores, n_frames: int, interval_end: str, length: str
) -> CountedVideo:
    """A video of `n_frames` with its scores and its truth on the frames that count."""
    frames = spread(scores.scores, n_frames, scores.stride, length)
    truth = test.truth
    if test.fps and scores.times_s is not None:  # spans in seconds
        truth = on_clock(test.entry, scores.times_s, scores.fps or test.fps)
    elif test.fps and scores.fps:
        (truth,) = hivau_frame_annotations([at_frame_rate(test.entry, scores.fps)]).values()
    if scores.times_s is None:
        check_spans(truth, n_frames, test.fps and (scores.fps or test.fps))
    after = interval_end == "inclusive"
    spans = [(first, min(last + after, n_frames)) for first, last in truth.spans]
    return CountedVideo(
        name=test.truth.video,
        classes=tuple(dict.fromkeys(_spelt(test.truth.labels))),
        abnormal=bool(test.truth.labels or test.truth.spans),
        labels=frame_labels(truth, n_frames, interval_end)[: len(frames)],
        scores=frames,
        n_frames=n_frames,
        annotated_frames=test.truth.n_frames,
        stride=scores.stride,
        fps=scores.fps or test.fps,
        spans=[(first, last) for first, last in spans if first < last],
        events=scores.events,
        event_rule=scores.event_rule,
        times_s=scores.times_s,
        event_classes=None if scores.event_classes is None else _spelt(scores.event_classes),
    )


def _spelt(labels: Iterable[str]) -> list[str]:
    """Classes as the benchmarks spell them; those they don't know as they are."""
    return [canonical_class(label) or label for label in labels]


def warn_of_lengths(tests: dict[str, AnnotatedVideo], videos: list[CountedVideo]) -> None:
    """Name the videos that are longer or shorter than annotated; where spans are in seconds, a rate may differ."""
    for video in videos:
        test, annotated = tests[video.name], video.annotated_frames
        rates = (1.0, video.fps / test.fps) if test.fps else (1.0,)
        if annotated and all(abs(rate * annotated - video.n_frames) > end_tolerance(test.fps) for rate in rates):
            said = f"has {video.n_frames} frames, annotated are {annotated}: in another copy spans may lie elsewhere"
            print(f"warning: {video.name}: {said}", file=sys.stderr)
