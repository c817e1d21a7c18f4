"""Spans of time: random stretches of normal videos, clips of an event, and what belongs together (paper, section 3.2
and appendix A.1). Pure functions of numbers and a seed."""

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from modeling_holmes_vau.levels_holmes_vau import cut_evenly

from .work import WorkClip


Span = tuple[float, float]

DIVISIONS = ("given", "uniform", "random")
# Clips of the paper's Figure A are 6.3 and 7.3 s long: an event of 19.0 s in three, one of 14.6 s in two.
CLIP_S = 6.5
# The paper divides at random and gives no range; clips of the released test split are mostly between these.
CLIP_RANGE_S = (2.0, 12.0)
# Of normal videos the paper crops "segments of varying lengths", and gives none; these are ours.
NORMAL_RANGE_S = (5.0, 60.0)
NORMAL_EVENTS = (1, 3)
SHORTEST_S = 0.5  # of a clip that is left when an event cuts it off; shorter is no clip


@dataclass(frozen=True)
class Division:
    """How events are divided into clips, and normal videos into events.

    Args:
        how (`str`): `"uniform"`, `"random"`, or `"given"` (by clips that are given; uniform where there are none).
        clip_s (`float`): About how long a clip of a uniform division is, in seconds.
        clip_range_s (`tuple[float, float]`): Shortest and longest clip of a random one.
        normal_range_s (`tuple[float, float]`): Shortest and longest event of a normal video.
        normal_events (`tuple[int, int]`): Fewest and most events of one.
        seed (`int`): Of all that is random; each video has random numbers of its own.

    Raises:
        `ValueError`: if a range is none.
    """

    how: str = "given"
    clip_s: float = CLIP_S
    clip_range_s: tuple[float, float] = CLIP_RANGE_S
    normal_range_s: tuple[float, float] = NORMAL_RANGE_S
    normal_events: tuple[int, int] = NORMAL_EVENTS
    seed: int = 0

    def __post_init__(self):
        if self.how not in DIVISIONS:
            raise ValueError(f"--clips-by {self.how}: expected one of {', '.join(DIVISIONS)}.")
        if not self.clip_s > 0:
            raise ValueError(f"--clip-seconds {self.clip_s:g}: expected more than 0.")
        for option, (low, high), least in (
            ("--clip-range", self.clip_range_s, SHORTEST_S),
            ("--normal-range", self.normal_range_s, SHORTEST_S),
            ("--normal-events", self.normal_events, 1),
        ):
            if not least <= low <= high:
                raise ValueError(f"{option} {low:g} {high:g}: expected {least:g} <= shortest <= longest.")

    def clips(self, video: str, span_s: Span, given: Sequence[WorkClip] = ()) -> tuple[WorkClip, ...]:
        """The clips of an event.

        Args:
            video (`str`): Of this video; decides the random numbers with the seed and the span.
            span_s (`tuple[float, float]`): The event.
            given (`Sequence[WorkClip]`, *optional*): Clips of the video; those that lie in the event for the most part
                are its clips, cut at its ends.
        """
        if self.how == "given" and (inside := clips_inside(span_s, given)):
            return inside
        if self.how == "random":
            rng = random.Random(f"{self.seed} {video} {span_s[0]:.3f} {span_s[1]:.3f}")
            return tuple(WorkClip(*span) for span in divide_at_random(*span_s, *self.clip_range_s, rng))
        return tuple(WorkClip(*rounded(span)) for span in cut_evenly(*span_s, self.clip_s))

    def normal_spans(self, video: str, duration_s: float) -> list[Span]:
        """Events of a normal video: random stretches that do not overlap, in the order of time."""
        rng = random.Random(f"{self.seed} {video}")
        return random_stretches(duration_s, self.normal_events, self.normal_range_s, rng)


def rounded(span_s: Span) -> Span:
    """A span to the millisecond, as annotations are written."""
    return round(span_s[0], 3), round(span_s[1], 3)


def divide_at_random(start_s: float, end_s: float, low_s: float, high_s: float, rng: random.Random) -> list[Span]:
    """Consecutive spans of random lengths that make up a span; the last takes the rest where that is too short to
    stand alone.

    Example:

    >>> divide_at_random(0.0, 10.0, 2.0, 6.0, random.Random(0))
    [(0.0, 5.378), (5.378, 10.0)]
    """
    borders = [start_s]
    while end_s - borders[-1] > high_s:
        length_s = rng.uniform(low_s, high_s)
        borders.append(borders[-1] + length_s)
    if len(borders) > 1 and end_s - borders[-1] < low_s:
        borders.pop()
    borders.append(end_s)
    return [rounded(span) for span in zip(borders, borders[1:])]


def random_stretches(duration_s: float, counts: tuple[int, int], lengths_s: Span, rng: random.Random) -> list[Span]:
    """Between `counts[0]` and `counts[1]` spans of random lengths that do not overlap, as many of them as fit; one
    at least, which is the whole of a video that is shorter than the shortest.

    Example:

    >>> random_stretches(40.0, (2, 2), (5.0, 10.0), random.Random(1))
    [(1.46, 9.306), (10.575, 19.586)]
    """
    count = rng.randint(*counts)
    lengths = []
    for _ in range(count):
        longest = min(lengths_s[1], duration_s - sum(lengths))
        if longest < lengths_s[0]:
            break
        lengths.append(rng.uniform(lengths_s[0], longest))
    if not lengths:
        return [rounded((0.0, duration_s))]
    free = duration_s - sum(lengths)
    gaps = sorted(rng.uniform(0.0, free) for _ in lengths)  # where each begins if those before it took no time
    spans, before = [], 0.0
    for gap, length in zip(gaps, lengths):
        spans.append(rounded((gap + before, gap + before + length)))
        before += length
    return spans


def clips_inside(span_s: Span, given: Iterable[WorkClip]) -> tuple[WorkClip, ...]:
    """Clips that lie in a span for the most part, cut at its ends.

    Example:

    >>> clips_inside((2.0, 8.0), [WorkClip(0.0, 3.0, "a"), WorkClip(3.0, 7.0, "b"), WorkClip(7.0, 8.5, "c")])
    (WorkClip(start_s=3.0, end_s=7.0, caption='b'), WorkClip(start_s=7.0, end_s=8.0, caption='c'))
    """
    found = []
    for clip in given:
        start_s, end_s = max(clip.start_s, span_s[0]), min(clip.end_s, span_s[1])
        if end_s - start_s >= SHORTEST_S and end_s - start_s > (clip.end_s - clip.start_s) / 2:
            found.append(WorkClip(start_s, end_s, clip.caption))
    return tuple(sorted(found, key=lambda clip: (clip.start_s, clip.end_s)))


def merge_touching(spans: Iterable[Span], gap_s: float) -> list[Span]:
    """Spans in the order of time, those that overlap or are at most `gap_s` apart as one: abnormal states that are not
    continuous are separate events (paper, section 3.2), and what is continuous is one.

    Example:

    >>> merge_touching([(5.0, 8.0), (1.0, 2.0), (2.0, 3.0)], gap_s=0.04)
    [(1.0, 3.0), (5.0, 8.0)]
    """
    merged: list[Span] = []
    for start_s, end_s in sorted(spans):
        if merged and start_s - merged[-1][1] <= gap_s:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end_s))
        else:
            merged.append((start_s, end_s))
    return merged
