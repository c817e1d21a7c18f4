"""Draws what was found in one video: the scores over time, the events, and the chosen frames."""

import io
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

from ..base.clock import clock as format_clock
from .fonts import drawable
from .layout import (
    BADGE_GAP,
    BADGE_RADIUS,
    CAPTION_HEIGHT,
    CELL_GAP,
    DPI,
    LEFT,
    PLOT_HEIGHT,
    PLOT_LEFT,
    RIGHT,
    SCALE_GAP,
    WIDTH,
    envelope,
    grid,
    place_labels,
    shown_range,
    split_at_gaps,
    spread,
    ticks,
)
from .words import choose_decimals, count, format_span, list_facts, list_warnings, name_file, threshold_of


MAX_DOTTED_POINTS = 60  # below this each scored frame is shown as a dot
MAX_TICKS = 11

INK, MUTED, RULE = "#1f2933", "#6b7785", "#d9dee4"
CURVE, EVENT, WARNING, TRUTH = "#2f5d8a", "#c4472f", "#8a5a00", "#2e7d4f"
WARNING_GROUND = "#fff3d6"
TRUTH_TOP, TRUTH_HEIGHT = 6, 12  # pixels: the band of annotated spans below the plot


def draw_timeline(
    analysis: dict[str, Any], frames: np.ndarray, truth_s: Sequence[tuple[float, float]] | None = None
) -> bytes:
    """Draw the scores over time, the events, and the chosen frames as a numbered contact sheet.

    Args:
        analysis (`dict[str, Any]`): As for `write_report`.
        frames (`np.ndarray` of shape `(num_sampled, height, width, 3)` and dtype `uint8`): The chosen frames in RGB.
        truth_s (`Sequence[tuple[float, float]]`, *optional*): Start and end in seconds of the annotated events, none
            of a normal video: a band of their own below the scores, with their borders through the plot.

    Returns:
        `bytes`: A PNG file, `WIDTH` pixels wide; the height depends on the number and shape of the frames.

    Raises:
        ImportError: If matplotlib is missing.
    """
    canvas = _Canvas()
    in_event = [
        any(event["start_s"] <= time_s < event["end_s"] for event in analysis["events"])
        for time_s in analysis["sampled_times_s"]
    ]
    bottom = _draw_header(canvas, analysis)
    if analysis["scores"]:
        bottom = _draw_plot(canvas, analysis, in_event, truth_s, bottom)
    bottom = _draw_sheet(canvas, analysis, frames, in_event, bottom)
    return canvas.to_png(bottom + 36)


class _Canvas:
    """A white picture in pixels, origin at the top left, whose height is fixed when it is saved.

    Every property that a user's matplotlib settings could change is given, and none of those settings is touched.
    """

    def __init__(self):
        try:
            from matplotlib.backends.backend_agg import FigureCanvasAgg
            from matplotlib.figure import Figure
        except ImportError as error:
            raise ImportError(
                'Drawing the timeline needs matplotlib, which is missing. Run: pip install "holmes-vau[demo]"'
            ) from error
        self.figure = Figure(figsize=(WIDTH / DPI, 1), dpi=DPI, facecolor="white", edgecolor="none", layout="none")
        self.agg = FigureCanvasAgg(self.figure)
        self.axes = self.figure.add_axes((0, 0, 1, 1))
        self.axes.set_axis_off()
        self.axes.set_autoscale_on(False)
        self.axes.set_xlim(0, WIDTH)
        self.images: list[tuple[np.ndarray, int, int]] = []

    def text(self, x: float, y: float, string: str, size: float, color: str = INK, **kwargs):
        """Write one line of `size` pixels at (x, y); `ha`, `va` and `weight` are matplotlib's."""
        settings = {"ha": "left", "va": "baseline", "weight": "normal"} | kwargs
        string, families, settings["weight"] = drawable(string, settings["weight"])
        return self.axes.text(
            x,
            y,
            string,
            color=color,
            family=list(families),
            fontsize=size * 72 / DPI,
            style="normal",
            parse_math=False,
            usetex=False,
            zorder=5,
            **settings,
        )

    def text_width(self, string: str, size: float, weight: str = "normal") -> float:
        artist = self.text(0, 0, string, size, weight=weight)
        width = artist.get_window_extent(self.agg.get_renderer()).width
        artist.remove()
        return width

    def line(self, xs, ys, color: str, width: float, alpha: float = 1.0, zorder: float = 2) -> None:
        self.axes.plot(xs, ys, color=color, lw=width * 72 / DPI, alpha=alpha, ls="-", marker="", zorder=zorder)

    def dots(self, xs, ys, color: str, radius: float, edge: float = 0, zorder: float = 4) -> None:
        self.axes.plot(
            xs,
            ys,
            color=color,
            ls="",
            marker="o",
            ms=2 * radius * 72 / DPI,
            mec="white",
            mew=edge * 72 / DPI,
            zorder=zorder,
        )

    def area(self, xs, ys, color: str, alpha: float) -> None:
        self.axes.fill(xs, ys, facecolor=color, edgecolor="none", lw=0, alpha=alpha, zorder=1, hatch=None)

    def box(self, left: float, top: float, right: float, bottom: float, color: str, alpha: float = 1.0) -> None:
        self.area((left, right, right, left), (top, top, bottom, bottom), color, alpha)

    def badge(self, x: float, y: float, number: int, color: str, radius: float) -> None:
        self.dots([x], [y], color, radius, edge=1.5)
        size = 1.2 * radius if number < 100 else 0.9 * radius
        self.text(x, y + 0.37 * size, str(number), size, "white", ha="center", weight="bold")

    def image(self, pixels: np.ndarray, left: int, top: int) -> None:
        self.images.append((pixels, left, top))

    def to_png(self, height: float) -> bytes:
        height = math.ceil(height)
        self.figure.set_size_inches(WIDTH / DPI, height / DPI)
        self.axes.set_ylim(height, 0)
        for pixels, left, top in self.images:
            self.figure.figimage(pixels, left, height - top - pixels.shape[0], origin="upper", zorder=-1)
        self.agg.draw()
        buffer = io.BytesIO()
        Image.fromarray(np.asarray(self.agg.buffer_rgba())[..., :3]).save(buffer, format="PNG")
        return buffer.getvalue()


def _shorten(canvas: _Canvas, string: str, width: float, size: float) -> str:
    """Cut the middle out of bold `string` until it fits; the end of a file name tells as much as its start."""
    kept = len(string)
    shortened = string
    while kept > 8 and (excess := canvas.text_width(shortened, size, "bold") / width) > 1:
        kept = max(8, min(kept - 1, int(kept / excess)))
        shortened = f"{string[: kept - kept // 3]}\u2026{string[len(string) - kept // 3 :]}"
    return shortened


def _wrap(canvas: _Canvas, string: str, width: float, size: float) -> list[str]:
    """Break bold `string` into lines that fit."""
    lines = [""]
    for word in string.split():
        longer = f"{lines[-1]} {word}".strip()
        if canvas.text_width(longer, size, "bold") <= width:
            lines[-1] = longer
        else:
            lines.append(_shorten(canvas, word, width, size))
    return [line for line in lines if line]


def _draw_header(canvas: _Canvas, analysis: dict[str, Any]) -> float:
    """Draw file name, facts and warning; returns the y of their lower edge."""
    title = _shorten(canvas, name_file(analysis), RIGHT - LEFT, 32)
    canvas.text(LEFT, 66, title, 32, weight="bold")
    canvas.text(LEFT, 98, "   \u00b7   ".join(list_facts(analysis)), 18, MUTED)
    bottom = 118
    if warnings := list_warnings(analysis):
        lines = [line for warning in warnings for line in _wrap(canvas, warning, RIGHT - LEFT - 48, 19)]
        height = 26 * len(lines) + 22
        canvas.box(LEFT, bottom + 4, RIGHT, bottom + 4 + height, WARNING_GROUND)
        canvas.box(LEFT, bottom + 4, LEFT + 6, bottom + 4 + height, WARNING)
        for row, line in enumerate(lines):
            canvas.text(LEFT + 24, bottom + 34 + 26 * row, line, 19, WARNING, weight="bold")
        bottom += height + 8
    return bottom


def _draw_plot(
    canvas: _Canvas,
    analysis: dict[str, Any],
    in_event: list[bool],
    truth_s: Sequence[tuple[float, float]] | None,
    top: float,
) -> float:
    """Draw scores, events, annotated spans and the places of the chosen frames; returns the y of the lower edge."""
    dense_times_s = np.asarray(analysis["dense_times_s"], dtype=np.float64)
    sampled_times_s = np.asarray(analysis["sampled_times_s"], dtype=np.float64)
    start_s, end_s = shown_range(analysis)

    def to_x(time_s):
        return PLOT_LEFT + (np.asarray(time_s) - start_s) / (end_s - start_s) * (RIGHT - PLOT_LEFT)

    spans = [(float(to_x(event["start_s"])), float(to_x(event["end_s"]))) for event in analysis["events"]]
    labels = _event_labels(canvas, analysis, spans)
    entries = _legend_entries(len(spans), len(labels), in_event, truth_s)
    _draw_legend(canvas, entries, top + 36)
    plot_top = top + (98 if labels else 56)
    plot_bottom = plot_top + PLOT_HEIGHT
    badges_top = plot_bottom + (0 if truth_s is None else TRUTH_TOP + TRUTH_HEIGHT)
    axis_y = badges_top + 62  # below the badges
    _draw_scale(canvas, threshold_of(analysis), plot_bottom)
    _draw_grid(canvas, start_s, end_s, to_x, plot_top, plot_bottom, axis_y)
    _draw_events(canvas, spans, labels, plot_top, plot_bottom)
    if truth_s is not None:
        clipped = [(max(first_s, start_s), min(last_s, end_s)) for first_s, last_s in truth_s]
        _draw_truth(canvas, [(float(to_x(a)), float(to_x(b))) for a, b in clipped if a < b], plot_top, plot_bottom)

    curve_times_s, curve_scores = envelope(dense_times_s, np.asarray(analysis["scores"], dtype=np.float64))
    for times_s, scores in split_at_gaps(curve_times_s, curve_scores, analysis.get("gaps_s", ())):
        curve_x, curve_y = to_x(times_s), plot_bottom - PLOT_HEIGHT * scores
        canvas.area([curve_x[0], *curve_x, curve_x[-1]], [plot_bottom, *curve_y, plot_bottom], CURVE, 0.12)
        canvas.line(curve_x, curve_y, CURVE, 2.2, zorder=3)
    curve_x, curve_y = to_x(curve_times_s), plot_bottom - PLOT_HEIGHT * curve_scores
    if len(curve_x) <= MAX_DOTTED_POINTS:
        canvas.dots(curve_x, curve_y, CURVE, 5 if len(curve_x) == 1 else 3, zorder=3)

    frames_x = to_x(sampled_times_s)
    frames_y = plot_bottom - PLOT_HEIGHT * np.interp(sampled_times_s, dense_times_s, analysis["scores"])
    _draw_markers(canvas, frames_x, frames_y, in_event, badges_top)
    return axis_y + 30


def _legend_entries(
    events: int, labelled: int, in_event: list[bool], truth_s: Sequence[tuple[float, float]] | None
) -> list[tuple[str, str, float | None]]:
    """What the legend names, from the right: label, colour, and opacity of a box, 0 of none, `None` of a dot."""
    entries: list[tuple[str, str, float | None]] = []
    if not all(in_event):
        entries.append(("chosen frame", CURVE, None))
    if any(in_event):
        entries.append(("chosen frame in an event", EVENT, None))
    found = "abnormal event" if truth_s is None else "found event"
    note = f" ({labelled} of {events} labelled)" if labelled < events else ""
    entries.append((f"{found}{note}" if events else f"no {found}", EVENT, 0.2 if events else 0))
    if truth_s is not None:
        entries.append(("annotated event" if truth_s else "no annotated event", TRUTH, 1.0 if truth_s else 0))
    return entries


def _draw_legend(canvas: _Canvas, entries: list[tuple[str, str, float | None]], y: float) -> None:
    canvas.text(LEFT, y, "Anomaly score", 21, weight="bold")
    x = RIGHT
    for label, color, opacity in entries:
        x -= canvas.text_width(label, 17)
        canvas.text(x, y, label, 17, MUTED)
        if opacity is None:
            canvas.dots([x - 16], [y - 6], color, 7)
        elif opacity:
            canvas.box(x - 28, y - 14, x - 8, y + 2, color, opacity)
        x -= 56


def _event_labels(
    canvas: _Canvas, analysis: dict[str, Any], spans: list[tuple[float, float]]
) -> list[tuple[float, float, str]]:
    """For each event that gets a label: x of its middle, x of the label's, and the label."""
    events, centres = analysis["events"], [sum(span) / 2 for span in spans]

    def label(index: int) -> str:
        return format_span(events[index]["start_s"], events[index]["end_s"], choose_decimals(analysis))

    placed = place_labels(
        centres, [event["peak_score"] for event in events], lambda index: canvas.text_width(label(index), 17, "bold")
    )
    return [(centres[index], x, label(index)) for index, x in placed]


def _draw_scale(canvas: _Canvas, threshold: float, bottom: float) -> None:
    """Lines of the scores 0 and 1, and of the one that makes an event."""
    for score in {0.0, threshold, 1.0}:
        y = bottom - PLOT_HEIGHT * score
        canvas.line((PLOT_LEFT, RIGHT), (y, y), MUTED if score == 0 else RULE, 1.5, zorder=1.5)
        if score == threshold or abs(score - threshold) * PLOT_HEIGHT >= SCALE_GAP:
            canvas.text(PLOT_LEFT - 10, y + 6, f"{score:.3g}", 17, MUTED, ha="right")


def _draw_grid(canvas: _Canvas, start_s: float, end_s: float, to_x, top: float, bottom: float, axis_y: float) -> None:
    for time_s, label in ticks(start_s, end_s, MAX_TICKS):
        x = float(to_x(time_s))
        canvas.line((x, x), (top, bottom), RULE, 1, zorder=1.2)
        canvas.line((x, x), (axis_y - 14, axis_y - 6), MUTED, 1.2)
        half = canvas.text_width(label, 17) / 2
        canvas.text(min(x, RIGHT + 8 - half), axis_y + 14, label, 17, MUTED, ha="center")
    canvas.line((PLOT_LEFT, RIGHT), (axis_y - 14, axis_y - 14), RULE, 1.2)


def _draw_events(
    canvas: _Canvas,
    spans: list[tuple[float, float]],
    labels: list[tuple[float, float, str]],
    top: float,
    bottom: float,
) -> None:
    for left, right in spans:
        spare = max(0.0, 3 - (right - left)) / 2  # an event of seconds in a video of hours stays visible
        canvas.box(left - spare, top, right + spare, bottom, EVENT, 0.16)
    for stem, x, label in labels:
        canvas.line((stem, x), (top, top - 14), EVENT, 1.2, 0.6)
        canvas.text(x, top - 20, label, 17, EVENT, ha="center", weight="bold")


def _draw_truth(canvas: _Canvas, spans: list[tuple[float, float]], top: float, bottom: float) -> None:
    """The annotated spans, as a band below the plot, with their borders through it."""
    band = bottom + TRUTH_TOP
    canvas.box(PLOT_LEFT, band, RIGHT, band + TRUTH_HEIGHT, TRUTH, 0.1)
    for left, right in spans:
        spare = max(0.0, 3 - (right - left)) / 2
        canvas.box(left - spare, band, right + spare, band + TRUTH_HEIGHT, TRUTH)
        for x in (left, right):
            canvas.line((x, x), (top, band), TRUTH, 1.4, 0.8)


def _draw_markers(canvas: _Canvas, xs: np.ndarray, ys: np.ndarray, in_event: list[bool], bottom: float) -> None:
    """Mark the chosen frames on the curve, and number them below it with as little displacement as fits."""
    order = np.argsort(xs, kind="stable")
    gap = min(BADGE_GAP, (RIGHT - PLOT_LEFT) / len(xs))
    badges_x = np.empty_like(xs)
    badges_x[order] = spread(xs[order], np.full(len(xs), gap), PLOT_LEFT - gap / 2, RIGHT + gap / 2)
    badge_y, radius = bottom + 30, min(BADGE_RADIUS, gap / 2)
    for number, (x, y, badge_x, hit) in enumerate(zip(xs, ys, badges_x, in_event, strict=True), start=1):
        color = EVENT if hit else CURVE
        canvas.line((x, x), (y, bottom), color, 1.2, 0.55)
        canvas.line((x, badge_x), (bottom, badge_y - radius), color, 1.2, 0.55)
        canvas.dots([x], [y], color, 5, edge=1.2)
        if radius >= 7:
            canvas.badge(badge_x, badge_y, number, color, radius)
        else:
            canvas.dots([badge_x], [badge_y], color, radius)


def _draw_sheet(
    canvas: _Canvas, analysis: dict[str, Any], frames: np.ndarray, in_event: list[bool], top: float
) -> float:
    """Draw the chosen frames, numbered and with their times; returns the y of the lower edge."""
    heading = f"{count(len(frames), 'chosen frame')}   \u00b7   sampler: {analysis['sampler']}"
    canvas.text(LEFT, top + 36, _shorten(canvas, heading, RIGHT - LEFT, 21), 21, weight="bold")
    decimals = choose_decimals(analysis)
    columns, width, height = grid(len(frames), frames.shape[2] / frames.shape[1])
    pitch = min((RIGHT - LEFT + CELL_GAP) / columns, width + 1 + CELL_GAP)  # uneven by a pixel, flush at the right
    top = math.ceil(top) + 56
    for index, (frame, time_s, hit) in enumerate(zip(frames, analysis["sampled_times_s"], in_event, strict=True)):
        row, column = divmod(index, columns)
        x, y = LEFT + round(column * pitch), top + row * (height + CAPTION_HEIGHT)
        canvas.image(np.asarray(Image.fromarray(frame).resize((width, height), Image.Resampling.LANCZOS)), x, y)
        color = EVENT if hit else CURVE
        if hit:
            canvas.line((x, x + width, x + width, x, x), (y, y, y + height, y + height, y), EVENT, 3)
        canvas.badge(x + 8 + BADGE_RADIUS, y + 8 + BADGE_RADIUS, index + 1, color, BADGE_RADIUS + 1)
        canvas.text(x + 1, y + height + 21, format_clock(time_s, decimals), 17, EVENT if hit else INK)
    return top + math.ceil(len(frames) / columns) * (height + CAPTION_HEIGHT)
