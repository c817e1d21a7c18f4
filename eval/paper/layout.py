"""A table of the paper as files: Markdown, JSON and a picture."""

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from eval.answers.report import cell, table_head, table_row
from modeling_holmes_vau.base.files import write_whole


COLOURS = ("#b5484f", "#4c78a8", "#f2a541", "#72b7b2", "#8a6fb0", "#9a9a9a", "#54a24b", "#333333")


def figure_cell(figure: dict[str, float | None] | float | None, digits: int = 3, bold: bool = False) -> str:
    """A figure of a table, with its interval where it has one."""
    return cell(figure if isinstance(figure, dict) else {"value": figure}, bold, digits)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """The lines of a Markdown table whose first column is of words."""
    return [*table_head(*head), *(table_row(*row) for row in rows)]


def to_png(figure: Figure) -> bytes:
    """A figure as a file."""
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=110)
    return picture.getvalue()


def bars(
    panels: dict[str, dict[str, dict[str, dict[str, float | None] | float | None]]], title: str, columns: int = 3
) -> bytes:
    """
    Panels of grouped bars with their intervals, as PNG.

    Args:
        panels (`dict`): By title, group and system a figure, as [`figure_cell`] takes it.
        title (`str`): Above all of them.
        columns (`int`, *optional*, defaults to 3): Panels in a row.
    """
    rows = -(-len(panels) // columns)
    width = min(len(panels), columns)
    figure = Figure(figsize=(4.4 * width, 3.0 * rows + 0.9), layout="constrained")
    figure.suptitle(title)
    axes = figure.subplots(rows, width, squeeze=False).ravel()
    systems = list(dict.fromkeys(name for groups in panels.values() for found in groups.values() for name in found))
    for place, (name, groups) in zip(axes, panels.items()):
        _draw_groups(place, groups, systems)
        place.set_title(name, fontsize=11)
    for place in axes[len(panels) :]:
        place.set_axis_off()
    named = {}
    for place in axes:
        handles, labels = place.get_legend_handles_labels()
        named |= dict(zip(labels, handles))
    figure.legend(named.values(), named, loc="outside lower center", ncols=min(5, len(named)), frameon=False)
    return to_png(figure)


def _draw_groups(axes, groups: dict[str, dict], systems: list[str]) -> None:
    width = 0.84 / len(systems)
    for place, system in enumerate(systems):
        offset = (place - (len(systems) - 1) / 2) * width
        for at, found in enumerate(groups.values()):
            figure = found.get(system)
            value = figure["value"] if isinstance(figure, dict) else figure
            if value is None:
                continue
            label = system if system not in axes.get_legend_handles_labels()[1] else None
            axes.bar(at + offset, value, width * 0.94, color=COLOURS[place % len(COLOURS)], label=label)
            if isinstance(figure, dict) and figure.get("low") is not None:
                low, high = figure["low"], figure["high"]
                axes.errorbar(
                    at + offset, (low + high) / 2, (high - low) / 2, ecolor="#222222", elinewidth=1.0, capsize=2.0
                )
    axes.set_xticks(range(len(groups)), groups, fontsize=9.5)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="#e6e6e6")
    axes.set_axisbelow(True)


def write_table(output: Path, name: str, lines: Sequence[str], result: dict[str, Any], picture: bytes | None) -> None:
    """Write `NAME.md`, `NAME.json` and `NAME.png`, and print the table."""
    text = "\n".join([*lines, ""])
    print(text)
    write_whole(output / f"{name}.json", json.dumps(result, indent=2, ensure_ascii=False) + "\n")
    if picture is not None:
        write_whole(output / f"{name}.png", picture)
        text += f"\n![{name}]({name}.png)\n"
    write_whole(output / f"{name}.md", text)
    print(f"wrote {output / name}.md")
