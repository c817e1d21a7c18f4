"""`eval/tables.py table3`: the seven combinations of levels to learn from, one LoRA each (the paper's Table 3)."""

import argparse
from itertools import combinations
from typing import Any

from eval.paper.answers import BASELINES
from eval.paper.cells import make_cells
from eval.paper.layout import bars, figure_cell, table, write_table
from eval.paper.published import TABLE3
from eval.paper.suite import add_suite_arguments, data_cells, suite_of
from eval.paper.tuning import TRAIN_VIDEOS, add_tuning_arguments, check_tuning, level_figures, tuned_cell
from hivau70k_dataset.schema import LEVELS
from modeling_holmes_vau.base.commands import output_folder


COMBINATIONS = tuple(sorted((found for size in (1, 2, 3) for found in combinations(LEVELS, size)), key=len))
COLUMNS = {"bleu_sum": "BLEU", "cider": "CIDEr"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `eval/tables.py table3`."""
    add_tuning_arguments(parser)
    add_suite_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Make the table."""
    check_tuning(args)
    suite, output = suite_of(args), output_folder(args.output)
    make_cells(data_cells(args, suite, TRAIN_VIDEOS), output, "data")
    cells = {levels: tuned_cell(args, suite, "-".join(levels), {"levels": levels}) for levels in COMBINATIONS}
    kept = make_cells(list(cells.values()), output, "table3", args.dry_run)
    if args.dry_run:
        return 0
    figures = {" ".join(levels): kept[cell.name]["figures"] for levels, cell in cells.items()}
    steps = next(iter(kept.values()))["settings"]["steps"]
    result = {"suite": suite.name, "base": args.base, "steps": steps, "figures": figures}
    write_table(output, "table3", markdown(result), result, draw(result))
    return 0


def markdown(result: dict[str, Any]) -> list[str]:
    """The table as the paper prints it."""
    real = result["suite"] == "hivau"
    heads = [f"{name} {level[0].upper()}" for name in COLUMNS.values() for level in LEVELS]
    head = ["learned from", *heads, *([f"paper: {name}" for name in heads] if real else [])]
    rows = []
    for levels, figures in result["figures"].items():
        cells = [
            figure_cell(found and found["value"]) for column in COLUMNS for found in level_figures(figures, column)
        ]
        printed = TABLE3[tuple(levels.split())] if real else ()
        rows.append([levels.replace(" ", ", "), *cells, *(f"{value:.3f}" for part in printed for value in part)])
    first = next(iter(result["figures"].values()))
    for name in BASELINES:
        scores = {level: first["levels"][level]["scores"][name] for level in first["levels"]}
        cells = [
            figure_cell(scores[level][column]["value"] if level in scores else None)
            for column in COLUMNS
            for level in LEVELS
        ]
        rows.append([f"blind: {name}", *cells, *(["–"] * len(heads) if real else [])])
    steps = "one epoch each" if result["steps"] is None else f"{result['steps']:,} steps each"
    lines = [f"# Levels of the training data ({result['suite']})", "", f"- base: {result['base']}; {steps}", ""]
    return [*lines, *table(head, rows), "", "C, E, V: clips, events, videos. Intervals are in the JSON."]


def draw(result: dict[str, Any]) -> bytes:
    """Bars: BLEU and CIDEr of each level by what was learned from."""
    panels = {}
    for column, title in COLUMNS.items():
        groups: dict[str, dict] = {}
        for levels, figures in result["figures"].items():
            name = " ".join(level[0].upper() for level in levels.split())
            for level, found in zip(LEVELS, level_figures(figures, column)):
                groups.setdefault(f"{level}s", {})[name] = found
        panels[title] = groups
    return bars(panels, f"Levels learned from ({result['suite']})", columns=2)
