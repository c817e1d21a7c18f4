"""Spans of time, and the frames of a video that are in them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


TIME_EPS_S = 1e-6  # absorbs the rounding of `frame / fps` against `ticks / ticks_per_s`
ONE_FRAME_S = 1 / 30  # how long the frame of a video of one frame is taken to last
USUAL = (0.45, 1.9)  # medians; longer intervals between frames are pauses, or a frame is missing
GAP_S, GAP_INTERVALS = 5.0, 10  # a recording has a gap where the next frame is further away than both
# By how much a span may end after its video: UCF-Crime's test annotation has spans that do by 1 and 2 frames, as have
# the events of HIVAU-70k that are made of them. Seconds that people write down are rounded to more than a frame.
END_TOLERANCE_FRAMES = 3
END_TOLERANCE_S = 1.0


@dataclass(frozen=True)
class Segment:
    """A stretch of a video file.

    Args:
        path (`str`): The file.
        span_s (`tuple[float, float]`, *optional*): Start and end in seconds; by default the whole file.
    """

    path: str
    span_s: tuple[float, float] | None = None


def usual_interval_s(timestamps_s: np.ndarray) -> float | None:
    """Seconds from one frame to the next where a video runs: the mean of those intervals that are near the median.
    `None` of a single frame."""
    intervals_s = np.diff(timestamps_s)
    if not len(intervals_s):
        return None
    ratio = intervals_s / np.median(intervals_s)
    return float(intervals_s[(ratio > USUAL[0]) & (ratio < USUAL[1])].mean())


def find_gaps(timestamps_s: Sequence[float] | np.ndarray, end_s: float) -> list[tuple[float, float]]:
    """
    Spans in which a recording stood still: the next frame is more than 5 seconds and more than 10 usual intervals
    away. A gap begins one usual interval after the frame before it. A time-lapse has none.

    Args:
        timestamps_s (`np.ndarray` of shape `(num_frames,)`): Time of each frame in seconds, increasing.
        end_s (`float`): When the last frame ends, in seconds.

    Returns:
        `list[tuple[float, float]]`: Start and end of each gap in seconds, in time order.

    Example:

    ```python
    >>> find_gaps([0.0, 0.5, 1.0, 3600.0, 3600.5], end_s=3601.0)
    [(1.5, 3600.0)]

    ```
    """
    times_s = np.append(np.asarray(timestamps_s, dtype=np.float64), end_s)
    interval_s = usual_interval_s(times_s[:-1])
    if interval_s is None:
        return []
    before = np.flatnonzero(np.diff(times_s) > max(GAP_S, GAP_INTERVALS * interval_s))
    return [(float(times_s[i] + interval_s), float(times_s[i + 1])) for i in before]


def segment_frame_range(
    timestamps_s: Sequence[float] | np.ndarray, start_s: float = 0.0, end_s: float | None = None
) -> tuple[int, int]:
    """First frame and number of frames shown in `start_s <= t < end_s`, all in seconds.

    The end (by default that of the video) is clipped to the video. A segment that falls between two frames gets the
    frame nearest to its middle; one in which the recording stood still (see `find_gaps`) is an error.

    Example:

    ```python
    >>> segment_frame_range([0.0, 0.5, 1.0, 1.5], start_s=0.5, end_s=1.5)
    (1, 2)

    ```
    """
    times_s = np.asarray(timestamps_s, dtype=np.float64)
    video_end_s = float(times_s[-1] + (usual_interval_s(times_s) or ONE_FRAME_S))
    if not 0 <= start_s < video_end_s - TIME_EPS_S:
        raise ValueError(f"`start_s` must lie within the video, 0 to {video_end_s:.3f} seconds, got {start_s}.")
    end_s = video_end_s if end_s is None or end_s > video_end_s else end_s
    if not end_s > start_s:
        raise ValueError(f"`end_s` must be greater than `start_s` ({start_s} seconds), got {end_s}.")
    first, stop = np.searchsorted(times_s, (start_s - TIME_EPS_S, end_s - TIME_EPS_S))
    if first == stop:
        for gap_start_s, gap_end_s in find_gaps(times_s, video_end_s):
            if gap_start_s <= start_s and end_s <= gap_end_s:
                raise ValueError(
                    f"{start_s:g} to {end_s:g} seconds: the recording stood still from {gap_start_s:.3f} to "
                    f"{gap_end_s:.3f} seconds, got no frame. Choose a span outside."
                )
        return int(np.abs(times_s - (start_s + end_s) / 2).argmin()), 1
    return int(first), int(stop - first)


def end_tolerance(fps: float | None = None) -> int:
    """By how many frames a span may end after its video: a few; a second where spans are in seconds, at `fps`."""
    return END_TOLERANCE_FRAMES if fps is None else max(END_TOLERANCE_FRAMES, round(END_TOLERANCE_S * fps))


def is_past_end(span: tuple[int, int], n_frames: int, fps: float | None = None) -> bool:
    """Whether a span, in frames, begins after a video or ends after it by more than rounding explains. Then it is of
    another copy, or of another video.

    Args:
        span (`tuple[int, int]`): First frame, and the last or the one after it.
        n_frames (`int`): Frames of the video.
        fps (`float`, *optional*): Frames per second, where the span was given in seconds.

    Example:

    >>> is_past_end((855, 1715), n_frames=1713), is_past_end((855, 1720), n_frames=1713)
    (False, True)
    """
    return span[0] >= n_frames or span[1] > n_frames + end_tolerance(fps)


def check_segment(span_s: tuple[float, float] | None, duration_s: float, fps: float) -> None:
    """Check that a span in seconds, if there is one, lies within a video, as [`check_spans`] does.

    Args:
        span_s (`tuple[float, float]`, *optional*): Start and end in seconds.
        duration_s (`float`): When the video ends, on its own clock.
        fps (`float`): Its frames per second.

    Raises:
        `ValueError`: One line, if it does not.
    """
    if span_s is None:
        return
    start_s, end_s = span_s
    if start_s >= duration_s or end_s > duration_s + end_tolerance(fps) / fps:
        raise ValueError(
            f"the span {start_s:.1f} to {end_s:.1f} s is past the end of the video ({duration_s:.1f} s): another copy "
            "than the annotated one, or another video"
        )
