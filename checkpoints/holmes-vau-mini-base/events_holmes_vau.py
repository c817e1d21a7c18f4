"""Scores in time order -> abnormal events. No model is needed, and no video: a live stream is followed as it comes."""

import bisect
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypedDict

import numpy as np


class Event(TypedDict):
    """One abnormal event: its start and end in seconds, and its highest score, a probability in [0, 1]."""

    start_s: float
    end_s: float
    peak_score: float


class EventChange(NamedTuple):
    """What a score has changed.

    Args:
        kind (`str`): `"opened"` when an event is certain to be one, `"closed"` when it is over.
        event (`Event`): The event as it is known by then; an open one lasts to the latest score at least.
    """

    kind: str
    event: Event


@dataclass(frozen=True)
class EventRule:
    """
    What makes an event: a contiguous run of scores with hysteresis and a minimum length. (The paper reports no events:
    rule and numbers are ours.)

    Args:
        threshold (`float`, *optional*, defaults to 0.5): Score that makes an event.
        low_threshold (`float`, *optional*, defaults to 0.3): Score that keeps an event going.
        min_length_s (`float`, *optional*, defaults to 1.0): Shorter events are dropped.

    Raises:
        `ValueError`: unless 0 <= `low_threshold` <= `threshold` <= 1 and `min_length_s` >= 0.
    """

    threshold: float = 0.5
    low_threshold: float = 0.3
    min_length_s: float = 1.0

    def __post_init__(self):
        if not 0 <= self.threshold <= 1:
            raise ValueError(f"`event_threshold` must be a score in [0, 1], got {self.threshold}.")
        if not 0 <= self.low_threshold <= self.threshold:
            raise ValueError(
                f"`low_threshold` must lie between 0 and `threshold` ({self.threshold}), got {self.low_threshold}."
            )
        if not self.min_length_s >= 0:
            raise ValueError(f"`min_length_s` must be 0 seconds or more, got {self.min_length_s}.")

    @classmethod
    def of(cls, config, threshold: float | None = None) -> "EventRule":
        """The rule of a configuration; with another `threshold`, the score that keeps an event going is scaled with
        it."""
        low_threshold = config.event_low_threshold
        if threshold is None:
            threshold = config.event_threshold
        else:
            low_threshold *= threshold / (config.event_threshold or 1.0)
        return cls(threshold, low_threshold, config.event_min_length_s)


class EventTracker:
    """
    Events of scores that come one after another. Each score stands for the time from its frame to the next.

    Args:
        rule ([`EventRule`]): What makes an event.

    Example:

    ```python
    >>> tracker = EventTracker(EventRule(threshold=0.5, low_threshold=0.3, min_length_s=1.0))
    >>> for time_s, score in enumerate([0.1, 0.4, 0.9, 0.4, 0.1]):
    ...     for change in tracker.update(float(time_s), score):
    ...         print(time_s, change.kind, change.event)
    2 opened {'start_s': 1.0, 'end_s': 2.0, 'peak_score': 0.9}
    4 closed {'start_s': 1.0, 'end_s': 4.0, 'peak_score': 0.9}

    ```
    """

    def __init__(self, rule: EventRule):
        self.rule = rule
        self._run: Event | None = None  # of scores at or above the low threshold
        self._is_open, self._last_s = False, -math.inf

    def update(self, time_s: float, score: float, until_s: float | None = None) -> list[EventChange]:
        """
        Take the next score.

        Args:
            time_s (`float`): Time of its frame in seconds, later than those before.
            score (`float`): Anomaly probability in [0, 1].
            until_s (`float`, *optional*, defaults to `time_s`): When the time of the score before was over, where
                that was earlier: a gap of the recording began there, through which no event lasts.

        Returns:
            `list[EventChange]`: Empty, as a rule; an event that is closed was opened before, here or earlier.
        """
        if not time_s > self._last_s:
            raise ValueError(f"`time_s` must be later than the {self._last_s} s of the score before, got {time_s}.")
        over_s = time_s if until_s is None else min(until_s, time_s)
        is_low = score < self.rule.low_threshold
        changes = self.finish(over_s) if is_low or over_s < time_s else self._extend(over_s)
        self._last_s = time_s
        if not is_low:
            if self._run is None:
                self._run = Event(start_s=time_s, end_s=time_s, peak_score=score)
            self._run["peak_score"] = max(self._run["peak_score"], score)
            changes += self._extend(time_s)
        return changes

    def finish(self, end_s: float) -> list[EventChange]:
        """The recording, or a part of it, ends at `end_s` seconds, and the event that is open with it."""
        changes = self._extend(end_s)
        if self._is_open:
            changes.append(EventChange("closed", self._run))
        self._run, self._is_open = None, False
        return changes

    def _extend(self, until_s: float) -> list[EventChange]:
        """The run lasts until then: it may have become an event."""
        if self._run is None:
            return []
        self._run = Event(**{**self._run, "end_s": until_s})
        length_s, rule = until_s - self._run["start_s"], self.rule
        if self._is_open or self._run["peak_score"] < rule.threshold or length_s < rule.min_length_s:
            return []
        self._is_open = True
        return [EventChange("opened", self._run)]


def find_events(
    scores: Sequence[float],
    times_s: Sequence[float],
    end_s: float,
    threshold: float = 0.5,
    low_threshold: float = 0.3,
    min_length_s: float = 1.0,
    gaps_s: Sequence[tuple[float, float]] = (),
) -> list[Event]:
    """
    Abnormal events: contiguous runs of scores with hysteresis and a minimum length.

    A run lasts as long as scores are at or above `low_threshold` and counts if it reaches `threshold`. Each score
    stands for the time from its frame to the next dense frame. No event lasts through a gap of the recording: where
    one begins, the score before it ends, and the run with it.

    Args:
        scores (`list[float]` or `torch.Tensor`): Anomaly probability of each dense frame.
        times_s (`list[float]`): Time of each dense frame, in seconds, increasing.
        end_s (`float`): Time at which the last dense frame's share of the video ends, in seconds.
        threshold, low_threshold, min_length_s (`float`, *optional*): Those of [`EventRule`].
        gaps_s (`list[tuple[float, float]]`, *optional*): Start and end of each gap in seconds, in time order.

    Returns:
        `list[dict]`: `start_s`, `end_s`, `peak_score` of each event, in time order.

    Example:

    ```python
    >>> find_events([0.1, 0.4, 0.9, 0.4, 0.1], [0.0, 1.0, 2.0, 3.0, 4.0], end_s=5.0)
    [{'start_s': 1.0, 'end_s': 4.0, 'peak_score': 0.9}]

    ```
    """
    tracker = EventTracker(EventRule(threshold, low_threshold, min_length_s))
    return [change.event for change in _changes(tracker, scores, times_s, end_s, gaps_s) if change.kind == "closed"]


def _changes(tracker: EventTracker, scores, times_s, end_s, gaps_s) -> Iterator[EventChange]:
    numbers, until_s = np.asarray(scores, dtype=np.float64).tolist(), None
    for time_s, score, ends_s in zip(times_s, numbers, score_ends(times_s, end_s, gaps_s), strict=True):
        yield from tracker.update(time_s, score, until_s)
        until_s = ends_s
    yield from tracker.finish(end_s if until_s is None else until_s)


def score_ends(times_s: Sequence[float], end_s: float, gaps_s: Sequence[tuple[float, float]]) -> list[float]:
    """When the time that each dense frame stands for ends, in seconds: at the next one, or before a gap."""
    ends = [*times_s[1:], end_s]
    if gaps_s:
        starts = [start_s for start_s, _ in gaps_s]
        after = [bisect.bisect_right(starts, time_s) for time_s in times_s]
        ends = [min(end, starts[i]) if i < len(starts) else end for end, i in zip(ends, after)]
    return ends
