"""`eval/reasoning.py score`: answers in words against the annotated ones, beside baselines that see no video.

Reads the prediction lines that `eval/reasoning.py predict` writes; what is computed and how it is shown is in
`eval/answers/report.py`.
"""

import argparse
import shutil
from pathlib import Path
from typing import Any

from eval.answers.lines import Answer, check_rows, read_predictions
from hivau70k_dataset.instructions import instructions_of_split
from hivau70k_dataset.reading import read_annotation_files
from hivau70k_dataset.schema import SPLITS, Instruction
from modeling_holmes_vau.base.commands import CommandError, check_output_folder, first_line, output_folder


METRICS = ("bleu", "cider", "meteor", "rouge", "judgement", "attributes")
WITHOUT_TOKENS = ("judgement", "attributes")
TOKENIZERS = ("ptb", "whitespace")
NEED_JAVA = ("meteor",)  # and the tokeniser `ptb`


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `eval/reasoning.py score`."""
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--predictions", metavar="FILE", help="answers, as `predict` writes them")
    source.add_argument(
        "--baselines-only", action="store_true", help="no answers: what the blind baselines reach on --annotations"
    )
    parser.add_argument("--against", metavar="FILE", help="answers of a rival to the same rows, scored beside them")
    parser.add_argument(
        "--annotations", metavar="PATH", help="folder or file of annotations, which tells whether answers are missing"
    )
    parser.add_argument("--split", choices=SPLITS, default="test", help="of the annotations (test)")
    parser.add_argument(
        "-o", "--output", metavar="DIR", help="folder to write report.json, report.md and reasoning.png into"
    )
    parser.add_argument(
        "--tokenizer",
        choices=TOKENIZERS,
        default="ptb",
        help="of BLEU, CIDEr, METEOR and ROUGE-L; ptb: the one of published figures, needs Java (default)",
    )
    parser.add_argument("--metrics", nargs="+", choices=METRICS, default=list(METRICS), help="default: all of them")
    parser.add_argument(
        "--bootstrap", type=int, default=1000, metavar="N", help="resamples of the intervals; 0: no intervals (1000)"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the resamples and of the shuffled baseline (0)")
    parser.add_argument("--allow-missing", action="store_true", help="score missing answers as empty ones")


# ---- reading --------------------------------------------------------------------------------------------------------


def read_instructions(annotations: str, split: str) -> list[Instruction]:
    """The instructions of a split in order."""
    found = read_annotation_files(annotations)
    rows = instructions_of_split(found, split)
    if not rows:
        raise CommandError(
            f"--annotations {annotations}: no instructions of the split {split!r}; it has {', '.join(found.splits)}"
        )
    return rows


def complete(answers: list[Answer], instructions: list[Instruction], path: str, annotations: str) -> list[Answer]:
    """An answer for each instruction, `None` where there is none.

    Raises:
        `ValueError`: Where the answers are not to these instructions.
    """
    check_rows(answers, dict(enumerate(instructions)), path, annotations)
    by_row = {answer.row: answer for answer in answers}
    return [by_row.get(row, Answer(row, instruction, None)) for row, instruction in enumerate(instructions)]


def check_missing(answers: list[Answer], path: str, allowed: bool) -> int:
    """How many answers are missing; refuses if there are any and that is not allowed."""
    missing = [answer.row for answer in answers if answer.prediction is None]
    if missing and not allowed:
        raise CommandError(
            f"--predictions {path}: {len(missing)} of {len(answers)} answers are missing, the first of row "
            f"{missing[0]}; run `predict` again, which goes on where it stopped, score them as empty answers with "
            "--allow-missing, or leave out --annotations to score what is there"
        )
    return len(missing)


def rival_answers(path: str, answers: list[Answer]) -> tuple[dict[int, str], list[int]]:
    """The rival's answers by row, and the rows of `answers` that it left without one.

    Raises:
        `CommandError`: Where it answers other rows.
    """
    rivals = {answer.row: answer for answer in read_predictions(path, "--against")}
    other = [
        row for row in answers if row.row in rivals and rivals[row.row].instruction.answer != row.instruction.answer
    ]
    if other:
        raise CommandError(
            f"--against {path}: {len(other)} of {len(answers)} rows have another reference there, the first is row "
            f"{other[0].row}; pass answers to the same annotations"
        )
    there = {row: rival.prediction for row, rival in rivals.items() if rival.prediction is not None}
    return there, [answer.row for answer in answers if answer.row not in there]


def check_java(metrics: list[str], tokenizer: str) -> None:
    """Refuses what needs Java where there is none."""
    texts = [name for name in metrics if name not in WITHOUT_TOKENS]
    needing = [name for name in texts if name in NEED_JAVA] + (["--tokenizer ptb"] if tokenizer == "ptb" else [])
    if not texts or not needing or shutil.which("java"):
        return
    without = " ".join(name for name in metrics if name not in NEED_JAVA) or "bleu cider rouge judgement"
    raise CommandError(
        f"no `java` on the PATH, which {' and '.join(needing)} need; install a Java runtime (8 or newer), or run what "
        f"needs none: --tokenizer whitespace --metrics {without}"
    )


# ---- running --------------------------------------------------------------------------------------------------------


def check_arguments(args: argparse.Namespace) -> None:
    """Refuses what does not go together."""
    if args.baselines_only and not args.annotations:
        raise CommandError("--baselines-only: pass --annotations, whose answers it takes")
    if args.against and not args.predictions:
        raise CommandError("--against: pass --predictions, which it is compared with")
    if args.predictions and not args.output:
        raise CommandError("--predictions: pass --output, the folder of the report")
    if args.output and Path(args.output).exists() and not Path(args.output).is_dir():
        raise CommandError(f"--output {args.output}: is a file; pass a folder")
    if args.bootstrap < 0 or args.seed < 0:
        raise CommandError(f"--bootstrap {args.bootstrap} --seed {args.seed}: both must be 0 or more")


def gather(args: argparse.Namespace) -> list[Answer]:
    """The answers to score, or with `--baselines-only` the instructions alone."""
    instructions = read_instructions(args.annotations, args.split) if args.annotations else None
    if args.baselines_only:
        return [Answer(row, instruction, None) for row, instruction in enumerate(instructions)]
    answers = read_predictions(args.predictions)
    return answers if instructions is None else complete(answers, instructions, args.predictions, args.annotations)


def options_of(args: argparse.Namespace) -> dict[str, Any]:
    """What the report says about how it was made."""
    return {
        "predictions": args.predictions or "none: blind baselines only",
        **({"rival": args.against} if args.against else {}),
        "annotations": args.annotations or "not given, so that missing rows cannot be told",
        "split": args.split,
        "tokenizer": args.tokenizer,
        "metrics": [name for name in METRICS if name in args.metrics],
        "bootstrap": args.bootstrap,
        "seed": args.seed,
    }


def run(args: argparse.Namespace) -> int:
    """Score, print the tables, write the report."""
    check_arguments(args)
    check_java(args.metrics, args.tokenizer)
    if args.output:
        check_output_folder(args.output)
    answers = gather(args)
    missing = 0 if args.baselines_only else check_missing(answers, args.predictions, args.allow_missing)
    if args.metrics == ["judgement"] and all(answer.instruction.task != "judgement" for answer in answers):
        raise CommandError(f"--metrics judgement: none of the {len(answers)} rows is a judgement; choose others")
    from eval.answers.baselines import MODEL, RIVAL
    from eval.answers.report import build_report, markdown, write_report

    answered, options = {}, options_of(args)
    if args.predictions:
        answered[MODEL] = [answer.prediction or "" for answer in answers]
    if args.against:
        rival, without = rival_answers(args.against, answers)
        if without and not args.allow_missing:
            raise CommandError(
                f"--against {args.against}: {len(without)} of {len(answers)} rows have no answer there, the first is "
                f"row {without[0]}; score them as empty answers with --allow-missing"
            )
        answered[RIVAL] = [rival.get(answer.row, "") for answer in answers]
        options["missing of the rival"] = len(without)
    try:
        report = build_report([answer.instruction for answer in answers], answered, options, missing)
    except RuntimeError as error:  # Java ran, and failed
        raise CommandError(first_line(error)) from error
    print(markdown(report))
    if args.output:
        folder = output_folder(args.output)
        write_report(report, folder)
        print(f"{folder / 'report.md'}")
    return 0
