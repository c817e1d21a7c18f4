"""`eval/tables.py table2`: answers in words of any number of models (the paper's Table 2), in every protocol.

A model is a file of predictions, a checkpoint, or a model behind an OpenAI-compatible server:
`--models Ours=checkpoints/holmes-vau-mini Rival=rival.jsonl Served=NAME@http://localhost:8000/v1`.
"""

import argparse
import hashlib
from pathlib import Path
from typing import Any

from eval.answers.protocols import PROTOCOLS
from eval.paper.answers import (
    ANSWER_S,
    BASELINES,
    TEXT_COLUMNS,
    answer_cell,
    read_scores,
    rows_by_level,
    score_command,
)
from eval.paper.cells import Cell, make_cells
from eval.paper.layout import bars, figure_cell, table, write_table
from eval.paper.published import TABLE2
from eval.paper.suite import MINI, Suite, add_suite_arguments, check_model, data_cells, resolved, suite_of
from hivau70k_dataset.schema import LEVELS
from modeling_holmes_vau.base.commands import CommandError, output_folder
from modeling_holmes_vau.base.names import folded, safe_name
from modeling_holmes_vau.checkpoint.folder import DIGESTED
from modeling_holmes_vau.checkpoint.load import checkpoint_digest


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `eval/tables.py table2`."""
    parser.add_argument(
        "--models",
        nargs="+",
        action="extend",
        metavar="NAME=WHAT",
        help="a file of predictions, a checkpoint folder or Hub name, or MODEL@http://SERVER/v1; default: the model "
        "in the box",
    )
    add_suite_arguments(parser)


def read_models(named: list[str] | None) -> dict[str, str]:
    """The models by their names."""
    models: dict[str, str] = {}
    for entry in named or [f"holmes-vau-mini={MINI}"]:
        name, equals, what = entry.partition("=")
        if not equals or not name or not what:
            raise CommandError(f"--models {entry}: expected NAME=WHAT, as Ours=predictions.jsonl")
        if folded(name) in map(folded, (*models, *BASELINES)):
            raise CommandError(f"--models: the name {name!r} stands twice or is that of a baseline; choose others")
        models[name] = what
    return models


def slug(name: str) -> str:
    """A name fit for a folder, and its own."""
    fit = safe_name(name)
    return fit if fit == name else f"{fit}-{hashlib.sha256(name.encode()).hexdigest()[:6]}"


def is_served(what: str) -> bool:
    """Whether a model is one behind a server."""
    return "://" in what.partition("@")[2]


def check_models(models: dict[str, str]) -> None:
    """Mistakes in what models are that show before anything is rendered."""
    for name, what in models.items():
        if what.endswith(".jsonl") and not Path(what).is_file():
            raise CommandError(f"--models {name}={what}: no such file; `eval/reasoning.py predict` writes it")
        if not Path(what).is_file() and not is_served(what):
            check_model(what, "--models")


def model_cell(suite: Suite, name: str, what: str) -> Cell:
    """The cell of one model."""
    if Path(what).is_file():
        path = Path(what).resolve()
        settings = {**suite.settings, "predictions": hashlib.sha256(path.read_bytes()).hexdigest()[:16]}
        columns = tuple(TEXT_COLUMNS)

        def commands(folder: Path) -> list[list[str]]:
            return [score_command(suite, path, folder, columns, True)]

        return Cell(slug(name), settings, commands, read_scores, 20.0)
    if is_served(what):
        served, _, address = what.partition("@")
        model, settings = ["--model", served, "--endpoint", address], {"endpoint": address, "served_model": served}
        return answer_cell(suite, slug(name), model, settings)
    checkpoint = resolved(what)
    settings = {"model": checkpoint_digest(checkpoint, DIGESTED, "--models")}
    work = sum(ANSWER_S[level] * number for level, number in rows_by_level(suite).items()) + 20.0
    return answer_cell(suite, slug(name), ["--model", checkpoint], settings, work=work)


def run(args: argparse.Namespace) -> int:
    """Make the table."""
    models, suite, output = read_models(args.models), suite_of(args), output_folder(args.output)
    check_models(models)
    make_cells(data_cells(args, suite), output, "data")
    cells = {name: model_cell(suite, name, what) for name, what in models.items()}
    kept = make_cells(list(cells.values()), output, "table2", args.dry_run)
    if args.dry_run:
        return 0
    found = {name: kept[cell.name]["figures"] for name, cell in cells.items()}
    result = {"suite": suite.name, "models": models, "figures": found}
    write_table(output, "table2", markdown(result), result, draw(result))
    return 0


def markdown(result: dict[str, Any]) -> list[str]:
    """The table as the paper prints it, the judgements, and the protocols side by side."""
    first = next(iter(result["figures"].values()))
    levels = [level for level in LEVELS if level in first["levels"]]
    columns = {
        column: name
        for column, name in TEXT_COLUMNS.items()
        if column in first["levels"][levels[0]]["scores"]["model"]
    }
    head = ["model", *(f"{name} {level[0].upper()}" for name in columns.values() for level in levels)]
    rows = []
    if result["suite"] == "hivau":
        for name, (billions, *figures) in TABLE2.items():
            printed = [f"{figures[i][LEVELS.index(level)]:.3f}" for i in range(len(columns)) for level in levels]
            rows.append([f"paper: {name}, {billions}B", *printed])
    for name, found in result["figures"].items():
        rows.append([f"**{name}**", *_pooled(found, "model", columns, levels)])
    for name in BASELINES:
        rows.append([f"blind: {name}", *_pooled(first, name, columns, levels)])
    lines = [f"# Answers in words ({result['suite']})", "", *table(head, rows), ""]
    lines.append(
        "C, E, V: clips, events, videos; BLEU is the sum of BLEU-1 to BLEU-4. All rows of a level are one pool."
    )
    return [*lines, *_interval_lines(result, columns, levels), *_judgement_lines(result), *_protocol_lines(result)]


def _pooled(found: dict[str, Any], system: str, columns: dict[str, str], levels: list[str]) -> list[str]:
    scores = {level: found["levels"][level]["scores"][system] for level in levels if level in found["levels"]}
    return [
        figure_cell(scores[level][column]["value"] if level in scores else None)
        for column in columns
        for level in levels
    ]


def _interval_lines(result: dict[str, Any], columns: dict[str, str], levels: list[str]) -> list[str]:
    """The same figures with their intervals, a line a level."""
    rows = [
        [f"{name}, {level}", *(figure_cell(found["levels"][level]["scores"]["model"][column]) for column in columns)]
        for name, found in result["figures"].items()
        for level in levels
        if level in found["levels"]
    ]
    head = ["with 95 % of 1,000 resamples of videos", *columns.values()]
    return ["", "## Intervals", "", *table(head, rows)]


def _judgement_lines(result: dict[str, Any]) -> list[str]:
    rows = []
    for name, found in result["figures"].items():
        for level, scores in found["judgements"].items():
            blind = scores["most frequent"]["accuracy"]["value"]
            cells = [figure_cell(scores["model"][column]) for column in ("accuracy", "class_accuracy")]
            rows.append([f"{name}, {level}", *cells, figure_cell(blind)])
    head = ["judgements", "judged rightly", "class named", "blind: judged rightly"]
    return ["", "## Judgements", "", *table(head, rows)] if rows else []


def _protocol_lines(result: dict[str, Any]) -> list[str]:
    """Each protocol beside the others, and what answers reach in it that see no video."""
    rows = []
    for level in LEVELS:
        for column, title in TEXT_COLUMNS.items():
            for name, found in result["figures"].items():
                scores = found["protocols"].get(level, {"scores": {}})["scores"]
                shown = {name: "model"} | (
                    {f"blind: {blind}": blind for blind in BASELINES} if name == last(result) else {}
                )
                for label, system in shown.items():
                    if column in scores.get(system, {}):
                        cells = [figure_cell(scores[system][column][protocol]) for protocol in PROTOCOLS]
                        rows.append([f"{level}, {title}, {label}", *cells])
    lines = ["", "## The same answers by protocol", "", *table(["level, metric, answers", *PROTOCOLS], rows), ""]
    return [*lines, *(f"- {name}: {meaning}" for name, meaning in PROTOCOLS.items())]


def last(result: dict[str, Any]) -> str:
    """The last of the models, below which the blind answers stand."""
    return list(result["figures"])[-1]


def draw(result: dict[str, Any]) -> bytes:
    """Bars: each metric by level, of every model and of the blind answers."""
    panels: dict[str, dict[str, dict]] = {}
    first = next(iter(result["figures"].values()))
    for column, title in TEXT_COLUMNS.items():
        for level in LEVELS:
            systems = {
                name: found["levels"][level]["scores"]["model"].get(column)
                for name, found in result["figures"].items()
                if level in found["levels"]
            }
            if not systems or None in systems.values():
                continue
            blind = {f"blind: {name}": first["levels"][level]["scores"][name][column] for name in BASELINES}
            panels.setdefault(title, {})[f"{level}s"] = systems | blind
    return bars(panels, f"Answers in words ({result['suite']})", columns=2)
