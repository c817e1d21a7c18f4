"""Cells of an ablation: a base is tuned by LoRA in some way, merged, asked and scored."""

import argparse
import json
from pathlib import Path
from typing import Any

from eval.paper.answers import (
    ANSWER_S,
    PREDICTIONS,
    TEXT_COLUMNS,
    predict_command,
    read_scores,
    rows_by_level,
    score_command,
)
from eval.paper.cells import ROOT, Cell
from eval.paper.suite import Suite, check_model, resolved
from hivau70k_dataset.schema import LEVELS
from modeling_holmes_vau.base.commands import CommandError
from modeling_holmes_vau.checkpoint.folder import DIGESTED
from modeling_holmes_vau.checkpoint.load import checkpoint_digest


CONFIGS = {"miniature": "configs/mini/sft.yaml", "hivau": "configs/sft.yaml"}
BASE = "checkpoints/holmes-vau-mini-base"
TRAIN_VIDEOS = 600  # of the miniature's default recipe
STEPS = 600  # on the miniature
STEP_S, FRAMES_S = 0.4, 240.0  # of training on two CPU cores; choosing and storing frames, once for all cells
GENERAL = "general.jsonl"
GENERAL_S = 60.0


def add_tuning_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the ablations."""
    parser.add_argument(
        "--base",
        default=BASE,
        metavar="DIR",
        help="checkpoint to tune, never tuned on anomalies (%(default)s, which knows the miniature alone)",
    )
    parser.add_argument(
        "--steps", type=int, metavar="N", help=f"optimisation steps of each (miniature: {STEPS}; hivau: one epoch)"
    )
    parser.add_argument("--config", metavar="FILE", help="settings of train_sft.py (miniature: configs/mini/sft.yaml)")


def check_tuning(args: argparse.Namespace) -> None:
    """Mistakes that show before anything is read."""
    if args.steps is not None and args.steps < 1:
        raise CommandError(f"--steps must be at least 1, got {args.steps}")
    if args.config and not Path(args.config).is_file():
        raise CommandError(f"--config {args.config}: no such file; pass settings of train_sft.py, or leave it out")
    check_model(args.base, "--base")
    base = resolved(args.base)
    if (ROOT / "checkpoints" / "holmes-vau-mini") == Path(base):
        raise CommandError(
            f"--base {args.base}: the model in the box has been tuned on all levels already; pass what is like "
            f"what it was tuned from, {BASE}"
        )


def read_curve(folder: Path) -> list[list[float]]:
    """Step and loss of a training, from its log."""
    lines = (folder / "sft" / "log.jsonl").read_text(encoding="utf-8").splitlines()
    entries = [json.loads(line) for line in lines]
    return [[entry["step"], entry["loss"]] for entry in entries if "loss" in entry and "step" in entry]


def tuned_cell(
    args: argparse.Namespace, suite: Suite, name: str, options: dict[str, Any], general: bool = False
) -> Cell:
    """
    The cell of one way to tune.

    Args:
        args (`argparse.Namespace`): Of [`add_tuning_arguments`].
        suite ([`Suite`]): Rows to train on and to answer.
        name (`str`): Of the cell.
        options (`dict`): Of `train_sft.py`, that differ from those of the others; a list is several words.
        general (`bool`, *optional*, defaults to `False`): Ask the general questions too.
    """
    base, config = resolved(args.base), str(Path(args.config or ROOT / CONFIGS[suite.name]).resolve())
    steps = args.steps or (STEPS if suite.name == "miniature" else None)
    output = Path(args.output).resolve()
    words = [part for key, value in options.items() for part in (f"--{key}", *_words(value))]

    def commands(folder: Path) -> list[list[str]]:
        tuned, merged = folder / "sft", folder / "merged"
        train = ["train_sft.py", "--config", config, "--model", base, *suite.data, *words, "--output-dir", str(tuned)]
        train += ["--feature-cache", str(output / "tower"), "--frames-dir", str(output / "frames")]
        train += [] if steps is None else ["--max-steps", str(steps)]
        merge = [
            "-m",
            "modeling_holmes_vau",
            "merge",
            "--adapter",
            str(tuned / "adapter"),
            "--output",
            str(merged),
        ]
        model = ["--model", str(merged)]
        predict = predict_command(suite, model, folder)
        found = [train, *([] if (merged / "config.json").is_file() else [merge]), predict]
        found.append(score_command(suite, folder / PREDICTIONS, folder, tuple(TEXT_COLUMNS), True))
        if general:
            limit = [] if suite.limit is None else ["--limit", str(suite.limit)]
            asked = ["eval/general.py", "predict", *model, *suite.data, *suite.options, *limit]
            found.append([*asked, "--output", str(folder / GENERAL)])
            scored = ["--predictions", str(folder / GENERAL), "--output", str(folder / "general")]
            found.append(["eval/general.py", "score", *scored])
        return found

    def read(folder: Path) -> dict[str, Any]:
        figures = read_scores(folder) | {"loss": read_curve(folder)}
        if general:
            report = json.loads((folder / "general" / "report.json").read_text(encoding="utf-8"))
            figures["general"] = next(pool["scores"] for pool in report["pools"] if pool["kind"] is None)
        return figures

    settings = {**suite.settings, "base": checkpoint_digest(base, DIGESTED, "--base"), "steps": steps}
    settings |= {"config": Path(config).read_text(encoding="utf-8"), "train": options, "general": general}
    work = sum(ANSWER_S[level] * number for level, number in rows_by_level(suite).items())
    work += STEP_S * (steps or 0) + GENERAL_S * general
    return Cell(name, settings, commands, read, work if suite.name == "miniature" else 0.0)


def _words(value: Any) -> list[str]:
    return [str(part) for part in value] if isinstance(value, (list, tuple)) else [str(value)]


def level_figures(figures: dict[str, Any], column: str) -> list[dict[str, float | None] | None]:
    """A column of a cell, of clips, events and videos."""
    levels = figures["levels"]
    return [levels[level]["scores"]["model"][column] if level in levels else None for level in LEVELS]
