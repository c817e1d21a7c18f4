"""Files of predictions, a line of JSON an answer: the one reader of `predict`, `score` and `judge`.

A byte order mark and empty lines are no part of it. A last line that a kill cut off is left aside and told. Any other
line that is no answer is an error that names it, in all of them alike: taken out, `predict` asks its row again.
"""

import json
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hivau70k_dataset.records import instructions_from_json
from hivau70k_dataset.schema import Instruction
from modeling_holmes_vau.base.commands import CommandError


logger = logging.getLogger(__name__)

LINE_FIELDS = ("id", "level", "task", "video", "question", "turn")  # of an instruction, in a line under the same name
REMEDY = "Take the line out: `predict` asks its row again."


@dataclass(frozen=True)
class Answer:
    """What was answered to one instruction.

    Args:
        row (`int`): Place of the instruction in the list of its split.
        instruction (`Instruction`): Question, segment, and the annotated answer.
        prediction (`str`, *optional*): The answer to score; `None` where there is none.
    """

    row: int
    instruction: Instruction
    prediction: str | None


def read_predictions(path: str | Path, option: str = "--predictions") -> list[Answer]:
    """The answers of a prediction file by their row; `option` is what a message calls it.

    Raises:
        `ValueError`: One line with file and line number, where a line cannot be read or a row stands twice.
    """
    if not Path(path).is_file():
        raise CommandError(f"{option} {path}: no such file; `eval/reasoning.py predict` writes it")
    answers = read_lines(path)
    if not answers:
        raise CommandError(f"{option} {path}: holds no answers")
    return [answers[row] for row in sorted(answers)]


def read_lines(path: str | Path) -> dict[int, Answer]:
    """The answers of a prediction file, which may hold none, by row; see [`read_predictions`]."""
    answers: dict[int, Answer] = {}
    numbers: dict[int, int] = {}
    content = Path(path).read_bytes().removeprefix(b"\xef\xbb\xbf")
    lines = content.split(b"\n")
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            answer = _read_line(line, f"{path}: line {number}")
        except json.JSONDecodeError as error:
            if number < len(lines):
                raise ValueError(f"{path}: line {number} is no JSON ({error}). {REMEDY}") from error
            logger.warning(f"{path}: its last line is cut off and left aside")  # no line break behind it
            continue
        if answer.row in answers:
            raise ValueError(
                f"{path}: row {answer.row} stands in line {numbers[answer.row]} and in line {number}. Keep one."
            )
        answers[answer.row], numbers[answer.row] = answer, number
    return answers


def _no_constant(name: str) -> None:
    raise ValueError(f"holds {name}, which is no JSON")


def _read_line(line: bytes, place: str) -> Answer:
    try:
        fields = json.loads(line.decode("utf-8"), parse_constant=_no_constant)
    except UnicodeDecodeError as error:
        raise ValueError(f"{place} is not UTF-8. {REMEDY}") from error
    except json.JSONDecodeError:
        raise
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{place} {error}. {REMEDY}") from error
    known = {*LINE_FIELDS, "row", "reference", "prediction"}
    missing = known - fields.keys() if isinstance(fields, dict) else known
    if missing:
        raise ValueError(f"{place} lacks {', '.join(sorted(missing))}. {REMEDY}")
    row, prediction = fields["row"], fields["prediction"]
    if isinstance(row, bool) or not isinstance(row, int) or row < 0:
        raise ValueError(f"{place}: `row` is {row!r}, expected a whole number from 0. {REMEDY}")
    if not isinstance(prediction, str | None):
        raise ValueError(f"{place}: `prediction` is {prediction!r}, expected a text, or null for none. {REMEDY}")
    if prediction and any("\ud800" <= character <= "\udfff" for character in prediction):
        raise ValueError(
            f"{place}: row {row}: `prediction` holds half of a surrogate pair, which is no text. {REMEDY}"
        )
    record: dict[str, Any] = {name: fields[name] for name in LINE_FIELDS} | {"answer": fields["reference"]}
    path, number = place.rsplit(": ", 1)
    return Answer(row, instructions_from_json(record, path, number)[0], prediction)


def check_rows(
    answers: Iterable[Answer], instructions: Mapping[int, Instruction], path: str | Path, annotations: str
) -> None:
    """Make sure that answers are to these instructions, which are given by their rows.

    Raises:
        `CommandError`: naming the first that is not.
    """
    for answer in answers:
        asked = instructions.get(answer.row)
        if asked is None or not _same(answer.instruction, asked):
            there = "no row" if asked is None else asked.video
            raise CommandError(
                f"{path}: row {answer.row} answers {answer.instruction.task} of {answer.instruction.video}, where "
                f"--annotations {annotations} have {there}, or another reference; pass the annotations that were "
                "predicted on, or take the line out"
            )


def _same(one: Instruction, other: Instruction) -> bool:
    return replace(one, id="", question="", turn=0) == replace(other, id="", question="", turn=0)
