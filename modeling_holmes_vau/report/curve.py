"""The score curve of a page: lines that stretch with the page, and words that do not."""

import html
from typing import Any

import numpy as np

from ..base.clock import clock
from .events import ShownEvent
from .layout import envelope, shown_range, split_at_gaps, ticks
from .words import choose_decimals, count, threshold_of


WIDTH, HEIGHT = 1000, 100  # of the picture's own scale, which is stretched to the page
MAX_TICKS = 4  # as many as a phone has room for
LABEL_GAP = 0.07  # of the width: between numbers of events, of two digits on a phone
MIN_EVENT_WIDTH = 3


def build_curve(analysis: dict[str, Any], events: list[ShownEvent]) -> str:
    """The scores over time with the events shaded and the chosen frames marked, as HTML.

    The element carries each point, `time,score`, for the script that shows them. Without scores there is none.
    """
    if not analysis["scores"]:
        return '<p class="note">Nothing was scored: there is no curve, and events were not looked for.</p>'
    start_s, end_s = shown_range(analysis)
    length_s = end_s - start_s
    times_s = np.asarray(analysis["dense_times_s"], dtype=np.float64)
    times_s, scores = envelope(times_s, np.asarray(analysis["scores"], dtype=np.float64))
    pieces = split_at_gaps(times_s, scores, analysis.get("gaps_s", ()))

    def to_x(time_s):
        return (np.asarray(time_s) - start_s) / length_s * WIDTH

    lines = [*_shades(events, to_x), *_grid(start_s, end_s, threshold_of(analysis), to_x)]
    for piece_s, piece in pieces:
        lines += _line(to_x(piece_s), HEIGHT * (1 - piece))
    lines += _marks(analysis, events, to_x)
    points = " ".join(f"{time_s:.2f},{score:.3g}" for time_s, score in zip(times_s, scores, strict=True))
    data = f'data-start="{round(start_s, 3)}" data-end="{round(end_s, 3)}" data-decimals="{choose_decimals(analysis)}"'
    title = f"Anomaly score from {clock(start_s)} to {clock(end_s)}, highest {max(analysis['scores']):.2f}"
    drawn = "\n".join(lines)
    return f"""<figure class="curve">
<figcaption><strong>Anomaly score</strong> {_legend(analysis, events)}</figcaption>
<div class="labels">{"".join(_labels(events, to_x))}</div>
<div class="plot" {data} data-points="{points}">
{_scale(threshold_of(analysis))}
<svg viewBox="0 0 {WIDTH} {HEIGHT}" preserveAspectRatio="none" role="img" aria-label="{html.escape(title)}">
{drawn}
</svg>
<i class="cursor" hidden></i><i class="playhead" hidden></i><output class="tip" hidden></output>
</div>
<div class="axis">{"".join(_ticks(start_s, end_s, to_x))}</div>
</figure>"""


def _percent(x: float) -> str:
    return f"{float(x) / WIDTH:.3%}"


def _legend(analysis: dict[str, Any], events: list[ShownEvent]) -> str:
    entries = [f'<span class="key chosen">{count(len(analysis["sampled_times_s"]), "chosen frame")}</span>']
    entries.append('<span class="key shaded">abnormal event</span>' if events else "<span>no abnormal event</span>")
    entries.append(f'<span class="key threshold">threshold {threshold_of(analysis):.3g}</span>')
    return " ".join(entries)


def _shades(events: list[ShownEvent], to_x) -> list[str]:
    shades = []
    for event in events:
        left, right = float(to_x(event.start_s)), float(to_x(event.end_s))
        spare = max(0.0, MIN_EVENT_WIDTH - (right - left)) / 2  # seconds of hours stay visible
        width = right - left + 2 * spare
        shades.append(f'<rect class="shade" x="{left - spare:.2f}" y="0" width="{width:.2f}" height="{HEIGHT}"/>')
    return shades


def _grid(start_s: float, end_s: float, threshold: float, to_x) -> list[str]:
    upright = "".join(f"M{float(to_x(time_s)):.2f} 0V{HEIGHT}" for time_s, _ in ticks(start_s, end_s, MAX_TICKS))
    level = HEIGHT * (1 - threshold)
    return [
        f'<path class="grid" d="{upright}M0 0H{WIDTH}M0 {HEIGHT}H{WIDTH}"/>',
        f'<path class="threshold" d="M0 {level:g}H{WIDTH}"/>',
    ]


def _line(xs: np.ndarray, ys: np.ndarray) -> list[str]:
    points = "L".join(f"{x:.2f} {y:.2f}" for x, y in zip(xs, ys, strict=True))
    area = f'<path class="area" d="M{xs[0]:.2f} {HEIGHT}L{points}L{xs[-1]:.2f} {HEIGHT}Z"/>'
    # A line without length has round ends: a single score shows as a dot.
    return [area, f'<path class="line" d="M{points}{"" if len(xs) > 1 else "h0"}"/>']


def _marks(analysis: dict[str, Any], events: list[ShownEvent], to_x) -> list[str]:
    """The chosen frames, as round ends of lines without length: circles would be stretched."""
    marks = []
    times_s = np.asarray(analysis["sampled_times_s"], dtype=np.float64)
    scores = np.interp(times_s, analysis["dense_times_s"], analysis["scores"])
    for time_s, x, score in zip(times_s, to_x(times_s), scores, strict=True):
        inside = any(event.start_s <= time_s < event.end_s for event in events)
        kind = "mark in-event" if inside else "mark"
        marks.append(f'<path class="{kind}" d="M{x:.2f} {HEIGHT * (1 - score):.2f}h0"/>')
    return marks


def _labels(events: list[ShownEvent], to_x) -> list[str]:
    """A button above each event that has room for one, the highest peaks first."""
    gap = LABEL_GAP * max(1, len(str(len(events))) / 2) * WIDTH
    placed: list[tuple[float, ShownEvent]] = []
    for event in sorted(events, key=lambda event: -event.peak_score):
        x = float(to_x((event.start_s + event.end_s) / 2))
        if all(abs(x - other) >= gap for other, _ in placed):
            placed.append((x, event))
    return [
        f'<button type="button" class="seek" data-s="{round(event.start_s, 3)}" '
        f'style="left:clamp(0px, {_percent(x)}, 100% - 12px)" title="{html.escape(event.title)}" '
        f"disabled>{event.number}</button>"
        for x, event in sorted(placed, key=lambda pair: pair[1].number)
    ]


def _scale(threshold: float) -> str:
    """The scores 0 and 1, and the threshold where it is not too near them to be read."""
    levels = [0.0, 1.0] + ([threshold] if 0.12 < threshold < 0.88 else [])
    return "".join(f'<span class="level" style="bottom:{level:.1%}">{level:.3g}</span>' for level in levels)


def _ticks(start_s: float, end_s: float, to_x) -> list[str]:
    labels = []
    for time_s, label in ticks(start_s, end_s, MAX_TICKS):
        end = ' class="end"' if to_x(time_s) > 0.95 * WIDTH else ""  # which stays within the page
        labels.append(f'<span{end} style="left:{_percent(to_x(time_s))}">{label}</span>')
    return labels
