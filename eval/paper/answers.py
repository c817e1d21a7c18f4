"""Cells of answers in words: a model is asked the rows of some levels, and its answers are scored."""

import json
from pathlib import Path
from typing import Any

from eval.paper.cells import Cell
from eval.paper.suite import Suite
from hivau70k_dataset.schema import LEVELS


PREDICTIONS = "predictions.jsonl"
TEXT_COLUMNS = {"bleu_sum": "BLEU", "cider": "CIDEr", "meteor": "METEOR", "rouge_l": "ROUGE-L"}
METRIC_OF = {"bleu_sum": "bleu", "cider": "cider", "meteor": "meteor", "rouge_l": "rouge"}
ANSWER_S = {"clip": 0.15, "event": 0.2, "video": 0.35}  # a row, by the model in the box at N = 8 on two CPU cores
BASELINES = ("most frequent", "shuffled")


def predict_command(suite: Suite, model: list[str], folder: Path, *more: str) -> list[str]:
    """The command that asks a model; `model` are the options that name it."""
    command = ["eval/reasoning.py", "predict", *model, *suite.data, "--output", str(folder / PREDICTIONS)]
    limit = () if suite.limit is None else ("--limit", str(suite.limit))
    return [*command, *suite.options, *more, *limit]


def score_command(
    suite: Suite, predictions: str | Path, folder: Path, columns: tuple[str, ...], whole: bool
) -> list[str]:
    """The command that scores answers; `whole` says that all rows of the split are asked for."""
    command = ["eval/reasoning.py", "score", "--predictions", str(predictions), "--output", str(folder / "scores")]
    if whole and suite.limit is None:
        command += ["--annotations", suite.annotations]
    return [*command, "--metrics", *(METRIC_OF[column] for column in columns), "judgement"]


def read_scores(folder: Path) -> dict[str, Any]:
    """Of each level the figures of the model and of the blind baselines, judgements, and the protocols."""
    report = json.loads((folder / "scores" / "report.json").read_text(encoding="utf-8"))
    whole = [pool for pool in report["pools"] if pool["task"] is None and pool["duplicates"]]
    return {
        "rows": report["rows"],
        "videos": report["videos"],
        "levels": {pool["level"]: {"rows": pool["rows"], "scores": pool["scores"]} for pool in whole},
        "judgements": {pool["level"]: pool["scores"] for pool in report["judgements"]},
        "protocols": report["protocols"],
    }


def answer_cell(
    suite: Suite,
    name: str,
    model: list[str],
    settings: dict[str, Any],
    levels: tuple[str, ...] = LEVELS,
    columns: tuple[str, ...] = tuple(TEXT_COLUMNS),
    more: tuple[str, ...] = (),
    before: tuple[list[str], ...] = (),
    work: float = 0.0,
) -> Cell:
    """
    A cell of a model that is asked and scored.

    Args:
        suite ([`Suite`]): The rows.
        name (`str`): Of the cell.
        model (`list[str]`): Options that name the model, as `["--model", DIR]`.
        settings (`dict`): What decides its answers.
        levels (`tuple[str, ...]`, *optional*): Which rows.
        columns (`tuple[str, ...]`, *optional*): Which figures.
        more (`tuple[str, ...]`, *optional*): Further options of `predict`.
        before (`tuple[list[str], ...]`, *optional*): Commands that make the model.
        work (`float`, *optional*): Seconds, see [`Cell`].
    """
    asked = () if levels == LEVELS else ("--levels", *levels)

    def commands(folder: Path) -> list[list[str]]:
        predict = predict_command(suite, model, folder, *more, *asked)
        return [*before, predict, score_command(suite, folder / PREDICTIONS, folder, columns, levels == LEVELS)]

    settings = {**suite.settings, **settings, "levels": levels, "columns": columns, "more": more}
    return Cell(name, settings, commands, read_scores, work)


def rows_by_level(suite: Suite) -> dict[str, int]:
    """How many test rows each level has."""
    counts = dict.fromkeys(LEVELS, 0)
    for row in suite.rows:
        counts[row.level] += 1
    return counts if suite.limit is None else {level: min(number, suite.limit) for level, number in counts.items()}
