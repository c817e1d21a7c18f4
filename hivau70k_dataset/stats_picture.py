"""The statistics as a picture, after the paper's Figure 3."""

import io
import textwrap
from pathlib import PurePosixPath
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure

from .schema import LEVELS, TASKS


COLOURS = {"clip": "#4c78a8", "event": "#f2a541", "video": "#b5484f"}
TASK_COLOURS = dict(zip(TASKS, ("#4c78a8", "#72b7b2", "#f2a541", "#b5484f")))
KIND_COLOURS = {"normal": "#9aa5b1", "abnormal": "#b5484f"}
BINS = 30
WIDTH_IN, PANELS_IN = 17, 7.6  # of the picture, and of the two rows of panels of a split
TEXT_SIZE, LINE_IN, LINE_CHARACTERS = 9, 0.17, 80  # of the sample: points, inches, and what a column is wide
LONGEST_TEXT = 460  # characters of a text of the sample


def draw_statistics(statistics: dict[str, Any]) -> bytes:
    """Draw, for each split, durations, hierarchy, words, instruction rows, classes, and a sample of annotations.

    Args:
        statistics (`dict`): As `compute_statistics` gives them.

    Returns:
        `bytes`: A PNG picture.
    """
    samples = {split: _sample_columns(counts["sample"]) for split, counts in statistics.items()}
    heights = {split: LINE_IN * max(map(len, columns), default=0) for split, columns in samples.items()}
    heights = {split: height + 0.7 if height else 0.01 for split, height in heights.items()}
    total = PANELS_IN * len(statistics) + sum(heights.values())
    figure = Figure(figsize=(WIDTH_IN, total), layout="constrained")
    ratios = [part for split in statistics for part in (PANELS_IN, heights[split])]
    parts = iter(figure.subfigures(len(ratios), 1, height_ratios=ratios))
    for split, counts in statistics.items():
        _draw_panels(next(parts), split, counts)
        _draw_sample(next(parts), split, samples[split])
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=110)
    return picture.getvalue()


def _draw_panels(figure: SubFigure, split: str, counts: dict[str, Any]) -> None:
    """The eight panels of a split."""
    axes = figure.subplots(2, 4, width_ratios=(1, 1, 1, 1)).ravel()
    _draw_distribution(axes[0], counts["durations_s"], "seconds", f"{split}: duration of segments")
    _draw_hierarchy(axes[1], counts["hierarchy"], f"{split}: hierarchy")
    _draw_distribution(axes[2], counts["words"], "words", f"{split}: words of captions and summaries")
    _draw_answers(axes[3], counts["answer_words"], f"{split}: words of the answers of rows")
    _draw_rows(axes[4], counts["rows"], f"{split}: instruction rows")
    _draw_classes(axes[5], counts["classes"], f"{split}: annotated videos")
    _draw_sources(axes[6], counts["hierarchy"], f"{split}: videos of each source")
    _draw_frequent(axes[7], counts["frequent_words"], f"{split}: most frequent words")


def _draw_hierarchy(axes: Axes, hierarchy: dict[str, dict[str, dict[str, int]]], title: str) -> None:
    """Videos, the events in them and the clips in those, of normal and of abnormal videos."""
    axes.set(title=title, xlabel="annotated, logarithmic")
    if not hierarchy:
        _say_empty(axes)
        return
    height = 0.38
    for number, kind in enumerate(KIND_COLOURS):
        counts = [sum(kinds[kind][level] for kinds in hierarchy.values()) for level in LEVELS]
        places = [place + (0.5 - number) * height for place in range(len(LEVELS))]
        bars = axes.barh(places, counts, height, color=KIND_COLOURS[kind], label=f"of {kind} videos")
        axes.bar_label(bars, [f"{count:,}" for count in counts], padding=3)
    axes.set_yticks(range(len(LEVELS)), [f"{level}s" for level in LEVELS])
    axes.set_xscale("log")
    axes.set_xlim(0.8, 6 * axes.dataLim.xmax)
    axes.set_ylim(-0.6, len(LEVELS) + 0.1)  # room above for the legend
    axes.legend(frameon=False, loc="upper center", ncols=2, fontsize=9, columnspacing=1)


def _draw_sources(axes: Axes, hierarchy: dict[str, dict[str, dict[str, int]]], title: str) -> None:
    """Normal and abnormal videos of each source."""
    axes.set(title=title, ylabel="videos")
    if not hierarchy:
        _say_empty(axes)
        return
    sources, bottom = list(hierarchy), np.zeros(len(hierarchy))
    for kind, colour in KIND_COLOURS.items():
        counts = [hierarchy[source][kind]["video"] for source in sources]
        bars = axes.bar(sources, counts, 0.5, bottom=bottom, color=colour, label=kind)
        axes.bar_label(bars, [f"{count:,}" if count else "" for count in counts], label_type="center", color="white")
        bottom += counts
    axes.set_xlim(-0.8, len(sources) - 0.2)
    axes.set_ylim(0, 1.2 * bottom.max())
    axes.legend(frameon=False, ncols=2)


def _draw_answers(axes: Axes, words: dict[str, dict[str, list[int]]], title: str) -> None:
    """How long answers are, by level and task: middle half, median, and 5 to 95 of 100."""
    axes.set(title=title, xlabel="words (line: 5 to 95 of 100 answers)")
    shown = [(level, task, found) for level in LEVELS for task, found in words[level].items()]
    if not shown:
        _say_empty(axes)
        return
    drawn = axes.boxplot(
        [found for _, _, found in reversed(shown)],
        orientation="horizontal",
        tick_labels=[f"{level} {task}" for level, task, _ in reversed(shown)],
        whis=(5, 95),
        showfliers=False,
        patch_artist=True,
        widths=0.6,
        medianprops={"color": "black"},
    )
    for box, (level, _, _) in zip(drawn["boxes"], reversed(shown)):
        box.set(facecolor=COLOURS[level], alpha=0.7)
    axes.set_xlim(left=0)


def _draw_frequent(axes: Axes, words: dict[str, dict[str, int]], title: str) -> None:
    """The most frequent words of captions and summaries, by level."""
    axes.set(title=title, xlabel="in captions and summaries")
    if not words:
        _say_empty(axes)
        return
    names, left = list(words)[::-1], np.zeros(len(words))
    for level in LEVELS:
        counts = [words[name][level] for name in names]
        axes.barh(names, counts, left=left, color=COLOURS[level], label=level)
        left += counts
    axes.tick_params(axis="y", labelsize=8)
    axes.legend(frameon=False, loc="lower right")


def _sample_columns(sample: list[dict[str, str]]) -> list[list[tuple[str, str]]]:
    """Lines of the sample and what each is, a column a level: "clip", "event" or "video" of a heading, "question",
    "answer"."""
    columns = []
    for level in LEVELS:
        lines: list[tuple[str, str]] = []
        for row in (row for row in sample if row["level"] == level):
            lines = lines or [(f"{level}: {PurePosixPath(row['segment']).stem}", level)]
            for text, kind in ((f"{row['task']}: {row['question']}", "question"), (row["answer"], "answer")):
                text = textwrap.shorten(text, LONGEST_TEXT, placeholder=" \u2026")
                lines += [(line, kind) for line in textwrap.wrap(text, LINE_CHARACTERS)]
        if lines:
            columns.append(lines)
    return columns


def _draw_sample(figure: SubFigure, split: str, columns: list[list[tuple[str, str]]]) -> None:
    """Annotations of one video, in words."""
    if not columns:
        return
    axes = figure.subplots()
    axes.set_axis_off()
    axes.set_title(f"{split}: annotations of one video", loc="left")
    styles: dict[str, dict[str, Any]] = {level: {"color": "#1f2933", "weight": "bold"} for level in LEVELS}
    styles |= {"question": {"color": "#5f6b78", "style": "italic"}, "answer": {"color": "#1f2933"}}
    lines = max(map(len, columns))
    for number, column in enumerate(columns):
        for place, (line, kind) in enumerate(column):
            x, y = 0.005 + number / len(columns), 1 - (place + 0.5) / lines
            look = {"size": TEXT_SIZE, "va": "center", "parse_math": False, **styles[kind]}
            axes.text(x, y, line, transform=axes.transAxes, **look)


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
    axes.set_ylim(0, 1.3 * axes.dataLim.ymax)  # room above for the legend
    axes.legend(frameon=False, loc="upper left")


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
