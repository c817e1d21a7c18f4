"""Which rows a page of answers shows, and what each model answered to them."""

import argparse
import random
from dataclasses import dataclass
from pathlib import Path

from eval.answers.baselines import first_of_each, most_frequent
from eval.answers.lines import check_rows, read_predictions
from hivau70k_dataset.schema import LEVELS, SPLITS, TASKS, Instruction
from modeling_holmes_vau.base.commands import CommandError
from modeling_holmes_vau.base.parser import nearest


BLIND = "blind: most frequent"
MOST_SEGMENTS = 60  # of a page that is still read
MOST_MODELS = 6  # side by side


@dataclass(frozen=True)
class Answers:
    """The answers of one model.

    Args:
        name (`str`): What the page calls it.
        path (`Path`, *optional*): Its predictions; `None` of an answer that sees no video.
        texts (`dict[int, str]`): Its answers by row.
    """

    name: str
    path: Path | None
    texts: dict[int, str]


def add_row_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments that choose rows."""
    parser.add_argument("--split", choices=SPLITS, default="test", help="of the annotations (test)")
    group = parser.add_argument_group("rows; without any of these: all, where a page has room for them")
    group.add_argument("--rows", type=int, nargs="+", metavar="N", help="these, by the number in the predictions")
    group.add_argument("--videos-named", nargs="+", metavar="VIDEO", help="all questions about these videos")
    group.add_argument("--levels", nargs="+", choices=LEVELS, help="default: all")
    group.add_argument("--tasks", nargs="+", choices=TASKS, help="default: all")
    add_random_arguments(group, "segments, all questions about each")


def add_random_arguments(parser, what: str) -> None:
    """Arguments of a seeded choice of `what`."""
    parser.add_argument("--random", type=int, metavar="N", help=f"N random {what}")
    parser.add_argument("--seed", type=int, default=0, help="of the random choice (0)")


def choose_rows(args: argparse.Namespace, instructions: list[Instruction]) -> list[int]:
    """The numbers of the rows to show, in the order of the file.

    Rows that ask a task of a segment again are left out unless `--rows` names them.

    Raises:
        `CommandError`: One line, where there are none, or more than a page has room for.
    """
    if args.rows:
        if args.videos_named or args.levels or args.tasks or args.random is not None:
            raise CommandError("--rows names the rows: leave out --videos-named, --levels, --tasks and --random")
        absent = [row for row in args.rows if not 0 <= row < len(instructions)]
        if absent:
            raise CommandError(f"--rows {absent[0]}: no such row; they go from 0 to {len(instructions) - 1}")
        return check_room(sorted({*args.rows}), instructions)
    check_names(args.videos_named, [entry.name for entry in instructions])
    rows = [
        row
        for row in first_of_each(instructions)
        if instructions[row].level in (args.levels or LEVELS)
        and instructions[row].task in (args.tasks or TASKS)
        and (not args.videos_named or instructions[row].name in args.videos_named)
    ]
    if not rows:
        raise CommandError("no row is of all of --videos-named, --levels and --tasks: choose others")
    if args.random is not None:
        segments = list(dict.fromkeys(instructions[row].video for row in rows))
        chosen = {*choose_some(segments, args.random, args.seed, "segments")}
        rows = [row for row in rows if instructions[row].video in chosen]
    return check_room(rows, instructions)


def check_names(names: list[str] | None, known: list[str]) -> None:
    """`CommandError` where `--videos-named` names a video that is not annotated."""
    for name in names or ():
        if name not in known:
            raise CommandError(f"--videos-named {name}: no such video is annotated.{nearest(name, known)}")


def choose_some(things: list[str], number: int, seed: int, what: str) -> list[str]:
    """`number` of the things, by the seed, in their order.

    Example:

    >>> choose_some(["a", "b", "c"], 2, seed=0, what="letters") == choose_some(["a", "b", "c"], 2, 0, "letters")
    True
    """
    if not 1 <= number <= len(things):
        raise CommandError(f"--random {number}: expected 1 to {len(things)}, as many {what} as there are to choose of")
    kept = {*random.Random(seed).sample(range(len(things)), number)}
    return [thing for place, thing in enumerate(things) if place in kept]


def check_room(rows: list[int], instructions: list[Instruction]) -> list[int]:
    """The rows, if a page has room for their segments."""
    segments = len({instructions[row].video for row in rows})
    if segments > MOST_SEGMENTS:
        raise CommandError(
            f"{len(rows)} rows about {segments} segments are more than a page shows ({MOST_SEGMENTS} segments): "
            "choose with --rows, --videos-named, --levels, --tasks or --random"
        )
    return rows


def read_models(
    named: list[str], instructions: list[Instruction], rows: list[int], annotations: str, allow_missing: bool
) -> list[Answers]:
    """
    The answers of `--models` to the rows of a page.

    Args:
        named (`list[str]`): As `NAME=FILE`.
        instructions (`list[Instruction]`): All of the split.
        rows (`list[int]`): Which are shown.
        annotations (`str`): What a message calls the annotations.
        allow_missing (`bool`): Whether there may be rows without an answer.

    Raises:
        `CommandError`: One line, where a file does not hold a row, or answers other annotations.
    """
    models: list[Answers] = []
    for item in named:
        name, equals, path = (part.strip() for part in item.partition("="))
        if not (name and equals and path):
            raise CommandError(f"--models {item}: expected NAME=FILE, as Holmes-VAU=predictions.jsonl")
        if name in [*(model.name for model in models), BLIND]:
            raise CommandError(f"--models {item}: the name {name!r} is taken; choose another")
        answers = read_predictions(path, "--models")
        check_rows(answers, dict(enumerate(instructions)), path, annotations)
        texts = {answer.row: answer.prediction for answer in answers if answer.prediction is not None}
        missing = [row for row in rows if row not in texts]
        if missing and not allow_missing:
            raise CommandError(
                f"--models {item}: {len(missing)} of the {len(rows)} rows have no answer there, the first is row "
                f"{missing[0]}, {instructions[missing[0]].video}; predict them, choose other rows, or pass "
                "--allow-missing"
            )
        models.append(Answers(name, Path(path), texts))
    if len(models) > MOST_MODELS:
        raise CommandError(f"--models: {len(models)} do not fit beside each other; pass at most {MOST_MODELS}")
    return models


def blind_answers(instructions: list[Instruction]) -> Answers:
    """The most frequent reference of each task and level, as `eval/reasoning.py score` has it beside a model."""
    return Answers(BLIND, None, dict(enumerate(most_frequent(instructions))))
