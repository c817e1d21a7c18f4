"""The statistics as a picture, after the paper's Figure 3."""

import io
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .schema import LEVELS, TASKS


COLOURS = {"clip": "#4c78a8", "event": "#f2a541", "video": "#b5484f"}
TASK_COLOURS = dict(zip(TASKS, ("#4c78a8", "#72b7b2", "#f2a541", "#b5484f")))
BINS = 30


def draw_statistics(statistics: dict[str, Any]) -> bytes:
    """Draw one row of panels a split: durations, words, instruction rows per level and task, classes.

    Args:
        statistics (`dict`): As `compute_statistics` gives them.

    Returns:
        `bytes`: A PNG picture.
    """
    figure = Figure(figsize=(16, 3.8 * len(statistics)), layout="constrained")
    rows = figure.subplots(len(statistics), 4, squeeze=False, width_ratios=(1, 1, 0.8, 1))
    for (split, counts), axes in zip(statistics.items(), rows):
        _draw_distribution(axes[0], counts["durations_s"], "seconds", f"{split}: duration of segments")
        _draw_distribution(axes[1], counts["words"], "words", f"{split}: words of captions and summaries")
        _draw_rows(axes[2], counts["rows"], f"{split}: instruction rows")
        _draw_classes(axes[3], counts["classes"], f"{split}: annotated videos")
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=110)
    return picture.getvalue()


def _draw_distribution(axes: Axes, values: dict[str, list[float]], unit: str, title: str) -> None:
    everything = [value for level in LEVELS for value in values[level] if value > 0]
    axes.set(title=title, xlabel=f"{unit}, logarithmic", ylabel="share of the level")
    if not everything:
        _say_empty(axes)
        return
    bins = np.geomspace(min(everything), max(everything) * 1.001, BINS + 1)
    for level in LEVELS:
        if values[level]:
            weights = np.full(len(values[level]), 1 / len(values[level]))
            label = f"{level} (n = {len(values[level])})"
            axes.hist(values[level], bins, weights=weights, color=COLOURS[level], alpha=0.55, label=label)
    axes.set_xscale("log")
    axes.legend(frameon=False)


def _draw_rows(axes: Axes, rows: dict[str, dict[str, int]], title: str) -> None:
    axes.set(title=title, ylabel="rows")
    bottom = np.zeros(len(LEVELS))
    for task in TASKS:
        counts = np.array([rows[level].get(task, 0) for level in LEVELS])
        if counts.any():
            axes.bar(LEVELS, counts, bottom=bottom, color=TASK_COLOURS[task], label=task)
            bottom += counts
    if not bottom.any():
        _say_empty(axes)
        return
    for level, total in zip(LEVELS, bottom):
        axes.annotate(f"{int(total)}", (level, total), ha="center", va="bottom")
    axes.legend(frameon=False)
    axes.set_ylim(0, 1.12 * bottom.max())


def _draw_classes(axes: Axes, classes: dict[str, int], title: str) -> None:
    axes.set(title=title, xlabel="videos")
    if not classes:
        _say_empty(axes)
        return
    names = list(classes)[::-1]
    colours = ["#9a9a9a" if name == "Normal" else COLOURS["video"] for name in names]
    bars = axes.barh(names, [classes[name] for name in names], color=colours)
    axes.bar_label(bars, padding=3)
    axes.margins(x=0.12)


def _say_empty(axes: Axes) -> None:
    axes.text(0.5, 0.5, "none", ha="center", va="center", transform=axes.transAxes)
