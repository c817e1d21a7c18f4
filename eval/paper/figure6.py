"""`eval/tables.py figure6`: ranks of LoRA against anomaly understanding and general ability (the paper's Figure 6).

General ability is what the tuning never sees: on the miniature its general questions, which the base was pretrained
with. At full scale the paper takes Video-MME, which lmms-eval has (`docs/reasoning.md`).
"""

import argparse
from typing import Any

from matplotlib.figure import Figure

from eval.paper.cells import make_cells
from eval.paper.layout import COLOURS, figure_cell, table, to_png, write_table
from eval.paper.suite import add_suite_arguments, data_cells, suite_of
from eval.paper.tuning import TRAIN_VIDEOS, add_tuning_arguments, check_tuning, level_figures, tuned_cell
from hivau70k_dataset.schema import LEVELS
from modeling_holmes_vau.base.commands import CommandError, output_folder


RANKS = (8, 16, 64, 128, 256)
SMOOTH = 10  # logged losses


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `eval/tables.py figure6`."""
    add_tuning_arguments(parser)
    parser.add_argument("--ranks", nargs="+", type=int, default=list(RANKS), metavar="R", help="default: 8 to 256")
    add_suite_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Make the figure."""
    if min(args.ranks) < 1:
        raise CommandError(f"--ranks must be at least 1, got {min(args.ranks)}")
    check_tuning(args)
    suite, output = suite_of(args), output_folder(args.output)
    make_cells(data_cells(args, suite, TRAIN_VIDEOS), output, "data")
    general = suite.name == "miniature"
    cells = {
        rank: tuned_cell(args, suite, f"rank-{rank}", {"lora-r": rank, "lora-alpha": 2 * rank}, general)
        for rank in args.ranks
    }
    kept = make_cells(list(cells.values()), output, "figure6", args.dry_run)
    if args.dry_run:
        return 0
    figures = {str(rank): kept[cell.name]["figures"] for rank, cell in cells.items()}
    steps = next(iter(kept.values()))["settings"]["steps"]
    result = {"suite": suite.name, "base": args.base, "steps": steps, "figures": figures}
    write_table(output, "figure6", markdown(result), result, draw(result))
    return 0


def general_of(figures: dict[str, Any], system: str = "model") -> dict[str, float | None] | None:
    """Share of general questions answered rightly, where they were asked."""
    return figures["general"][system]["accuracy"] if "general" in figures else None


def markdown(result: dict[str, Any]) -> list[str]:
    """The figures by rank."""
    head = ["rank", *(f"CIDEr {level}s" for level in LEVELS), "events judged rightly", "general", "last loss"]
    rows = []
    for rank, figures in result["figures"].items():
        cells = [figure_cell(found) for found in level_figures(figures, "cider")]
        judged = figures["judgements"].get("event", {}).get("model", {}).get("accuracy")
        loss = smooth(figures["loss"])[-1][1] if figures["loss"] else None
        rows.append([rank, *cells, figure_cell(judged), figure_cell(general_of(figures)), figure_cell(loss)])
    lines = [f"# Ranks of LoRA ({result['suite']})", ""]
    steps = "one epoch each" if result["steps"] is None else f"{result['steps']:,} steps each"
    lines += [f"- base: {result['base']}; {steps}, scale twice the rank", "", *table(head, rows), ""]
    first = next(iter(result["figures"].values()))
    if "general" in first:
        blind = figure_cell(general_of(first, "most frequent"))
        lines.append(f"general: share of general questions answered rightly; the most frequent answer: {blind}.")
    else:
        lines.append("general: not asked here; Video-MME by lmms-eval is the paper's (`docs/reasoning.md`).")
    return [
        *lines,
        f"Last loss: mean of the last {SMOOTH} that were logged. In brackets: 95 % of resamples of videos.",
    ]


def smooth(curve: list[list[float]]) -> list[list[float]]:
    """A running mean of a loss curve."""
    found = []
    for place, (step, _) in enumerate(curve):
        window = [loss for _, loss in curve[max(0, place - SMOOTH + 1) : place + 1]]
        found.append([step, sum(window) / len(window)])
    return found


def draw(result: dict[str, Any]) -> bytes:
    """Loss curves; and CIDEr beside general ability by rank."""
    figure = Figure(figsize=(11, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    for colour, (rank, found) in zip(COLOURS, result["figures"].items()):
        left.plot(*zip(*smooth(found["loss"])), color=colour, label=f"r = {rank}", linewidth=1.4)
    left.set(title="(a) loss", xlabel="step", ylabel=f"mean of the last {SMOOTH} logged")
    left.legend(frameon=False)
    ranks = list(result["figures"])
    for colour, level in zip(COLOURS[1:], LEVELS):
        values = [level_figures(found, "cider")[LEVELS.index(level)] for found in result["figures"].values()]
        right.plot(
            ranks, [value and value["value"] for value in values], color=colour, marker="o", label=f"CIDEr, {level}s"
        )
    right.set(title="(b) anomaly understanding and general ability", xlabel="rank", ylabel="CIDEr")
    handles, labels = right.get_legend_handles_labels()
    if "general" in next(iter(result["figures"].values())):
        other = right.twinx()
        values = [general_of(found)["value"] for found in result["figures"].values()]
        other.plot(ranks, values, color=COLOURS[0], marker="s", linewidth=2.2, label="general questions")
        other.set(ylabel="general questions answered rightly", ylim=(0, 1))
        handles += other.get_lines()
        labels.append("general questions")
    right.legend(handles, labels, frameon=False, fontsize=9)
    for axes in (left, right):
        axes.grid(color="#e6e6e6")
        axes.spines["top"].set_visible(False)
    return to_png(figure)
