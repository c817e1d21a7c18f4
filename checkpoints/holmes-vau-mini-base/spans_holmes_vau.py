"""Spans of time, and the one rule for which frames of a video are in them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


# Times are told to the millisecond: HIVAU-70k writes the frames 1000 to 1796 of a video of 30 frames per second as
# 33.333 to 59.867, and Matroska and FLV stamp frames so. A frame half a millisecond before a border begins at it.
TIME_EPS_S = 0.5e-3 + 1e-6
CLOCK_NOISE_S = 1e-7  # of computing `frame / fps` and `ticks / ticks_per_s`
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


def border_eps_s(interval_s: float) -> float:
    """How far before a border, in seconds, a frame is taken to be at it, where frames are `interval_s` apart."""
    return min(TIME_EPS_S, interval_s / 4)


def segment_frame_range(
    timestamps_s: Sequence[float] | np.ndarray,
    start_s: float = 0.0,
    end_s: float | None = None,
    duration_s: float | None = None,
) -> tuple[int, int]:
    """The frames of a span of a video: those that begin in `start_s <= t < end_s`, to the millisecond.

    This is the one rule: what is analysed, cut, trained on and labelled are these frames. Spans that adjoin share no
    frame and leave none out. The end is clipped to the video. A span that falls between two frames gets the one
    nearest to its middle; one in which the recording stood still (see [`find_gaps`]) is an error.

    Args:
        timestamps_s (`np.ndarray` of shape `(num_frames,)`): Time of each frame in seconds, increasing, as the file
            gives it.
        start_s (`float`, *optional*, defaults to 0): Start of the span in seconds.
        end_s (`float`, *optional*, defaults to the video's end): End of the span in seconds.
        duration_s (`float`, *optional*): When the last frame ends; by default one usual interval after it began.

    Returns:
        `tuple[int, int]`: First frame, and how many, at least one.

    Raises:
        `ValueError`: One line, if the span is negative, backwards, empty, not a number, wholly outside the video, or
            one in which the recording stood still.

    Example:

    ```python
    >>> segment_frame_range([0.0, 0.5, 1.0, 1.5], start_s=0.5, end_s=1.5)
    (1, 2)

    ```
    """
    times_s = np.asarray(timestamps_s, dtype=np.float64)
    interval_s = usual_interval_s(times_s) or ONE_FRAME_S
    eps_s = border_eps_s(interval_s)
    video_end_s = float(times_s[-1] + interval_s) if duration_s is None else duration_s
    if not 0 <= start_s < video_end_s - eps_s:  # NaN too
        raise ValueError(f"`start_s` must lie within the video, 0 to {video_end_s:.3f} seconds, got {start_s}.")
    end_s = video_end_s if end_s is None or end_s > video_end_s else end_s
    if not end_s > start_s:
        raise ValueError(f"`end_s` must be greater than `start_s` ({start_s} seconds), got {end_s}.")
    first, stop = np.searchsorted(times_s, (start_s - eps_s, end_s - eps_s))
    if first == stop:
        for gap_start_s, gap_end_s in find_gaps(times_s, video_end_s):
            if gap_start_s <= start_s and end_s <= gap_end_s:
                raise ValueError(
                    f"{start_s:g} to {end_s:g} seconds: the recording stood still from {gap_start_s:.3f} to "
                    f"{gap_end_s:.3f} seconds, got no frame. Choose a span outside."
                )
        return int(np.abs(times_s - (start_s + end_s) / 2).argmin()), 1
    return int(first), int(stop - first)


def span_at_rate(start_s: float, end_s: float, fps: float) -> tuple[int, int]:
    """[`segment_frame_range`] where no file is at hand: frame `i` is at `i / fps` seconds, and the video has no end.

    Args:
        start_s (`float`), end_s (`float`): The span in seconds, finite, start before end.
        fps (`float`): Frames per second.

    Returns:
        `tuple[int, int]`: First frame, and the one after the last, which is at least the next.

    Example:

    >>> span_at_rate(33.333, 59.867, fps=30.0)  # frames 1000 to 1796, as HIVAU-70k writes them
    (1000, 1796)
    """
    eps_s = border_eps_s(1 / fps)
    first, stop = (max(0, math.ceil((border_s - eps_s) * fps)) for border_s in (start_s, end_s))
    if first >= stop:
        first = max(0, math.ceil((start_s + end_s) / 2 * fps - 0.5))
    return first, max(stop, first + 1)


def is_even_clock(timestamps_s: Sequence[float] | np.ndarray, fps: float) -> bool:
    """Whether frame `i` is at `i / fps` seconds, so that the rate alone tells the time of every frame. In a file whose
    times are rounded, as to the milliseconds of Matroska, it does not: frames near a border would be other ones."""
    times_s = np.asarray(timestamps_s, dtype=np.float64)
    return bool(np.abs(times_s - np.arange(len(times_s)) / fps).max() < CLOCK_NOISE_S)


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


def is_past_end_s(span_s: tuple[float, float], duration_s: float, fps: float) -> bool:
    """[`is_past_end`] of a span in seconds, of a video that ends at `duration_s` and has `fps` frames per second."""
    return span_s[0] >= duration_s or span_s[1] > duration_s + end_tolerance(fps) / fps


def check_segment(span_s: tuple[float, float] | None, duration_s: float, fps: float) -> None:
    """Check that a span in seconds, if there is one, lies within a video, see [`is_past_end`].

    Args:
        span_s (`tuple[float, float]`, *optional*): Start and end in seconds.
        duration_s (`float`): When the video ends, on its own clock.
        fps (`float`): Its frames per second.

    Raises:
        `ValueError`: One line, if it does not.
    """
    if span_s is None:
        return
    if is_past_end_s(span_s, duration_s, fps):
        raise ValueError(
            f"the span {span_s[0]:.1f} to {span_s[1]:.1f} s is past the end of the video ({duration_s:.1f} s): "
            "another copy than the annotated one, or another video"
        )
