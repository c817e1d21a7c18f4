"""General questions: asked of a model, a line a question, and counted beside answers that see no video."""

import argparse
import json
from collections import Counter
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from eval.answers.predict import (
    BATCH_SIZE,
    CHUNK_BATCHES,
    Answers,
    Output,
    Row,
    answerer_options,
    finish,
    is_line,
    plan_chunks,
    settings_of,
)
from eval.answers.report import Statistic, cell, compare, load_metric, mean, mean_table, table_head, table_row
from hivau70k_dataset.general import GeneralQuestion, read_general
from hivau70k_dataset.schema import SPLITS
from hivau70k_dataset.videos import VideoFolder
from modeling_holmes_vau.answering import load_answerer
from modeling_holmes_vau.answering.answerer import AUTO
from modeling_holmes_vau.base.commands import CommandError, check_output_folder, first_line, output_folder
from modeling_holmes_vau.base.files import write_whole
from modeling_holmes_vau.base.journal import Journal, read_journals
from modeling_holmes_vau.base.parser import add_server_arguments
from modeling_holmes_vau.base.progress import Progress
from modeling_holmes_vau.base.runs import WHERE, check_settings, sole_run, write_settings
from modeling_holmes_vau.spans_holmes_vau import Segment


MODEL, FREQUENT, SHUFFLED = "model", "most frequent", "shuffled"
MEANING = {
    FREQUENT: "the right option of most questions of the kind, for every question of it",
    SHUFFLED: "the right option of another question of the kind",
}


# ---- predict --------------------------------------------------------------------------------------------------------


def add_predict(parser: argparse.ArgumentParser) -> None:
    """Arguments of `eval/general.py predict`."""
    parser.add_argument(
        "--model", required=True, metavar="DIR", help="checkpoint folder, Hub name, or --endpoint's name"
    )
    parser.add_argument("--annotations", required=True, metavar="DIR", help="folder with general/*.jsonl, or one file")
    parser.add_argument("--videos", required=True, metavar="DIR", help="folder of the videos")
    parser.add_argument("-o", "--output", required=True, metavar="FILE", help="lines to write; a begun file goes on")
    parser.add_argument("--split", choices=SPLITS, default="test", help="of the questions (test)")
    parser.add_argument("--limit", type=int, metavar="N", help="only the first N questions")
    parser.add_argument("--num-frames", type=int, metavar="N", help="frames the model sees (the checkpoint's)")
    parser.add_argument("--sampler", metavar="NAME", help="how Holmes-VAU chooses them (the checkpoint's)")
    parser.add_argument("--max-new-tokens", type=int, default=32, metavar="N", help="longest answer (32)")
    parser.add_argument("--batch-size", type=int, metavar="N", help=f"questions at a time ({BATCH_SIZE})")
    parser.add_argument("--device", help="cpu, cuda, cuda:1, mps; default: the fastest there is")
    parser.add_argument("--dtype", default="auto", choices=("auto", "float32", "bfloat16", "float16"))
    parser.set_defaults(processor_kwargs=None, trust_remote_code=False, frames_as=AUTO, levels=None, tasks=None)
    parser.set_defaults(no_scores=False)
    add_server_arguments(parser.add_argument_group("models behind a server"), required=False, concurrency=8)


class GeneralOutput(Output):
    """The lines of a run; the finished file has them in the same form."""

    def lines(self) -> dict[int, dict]:
        """The lines that are there, by row."""
        finished = Journal(self.path, is_line).read() if self.path.is_file() else []
        return {line["row"]: line for line in [*finished, *read_journals(self.parts, is_line)]}


def read_rows(args: argparse.Namespace) -> list[Row]:
    """The questions that can be counted, each with where it is read."""
    questions = [row for row in read_general(args.annotations, args.split) if row.options]
    if not questions:
        raise CommandError(
            f"--annotations {args.annotations}: no general questions of the split {args.split!r}, in general/*.jsonl; "
            "`python -m hivau70k_dataset miniature` makes some"
        )
    folder, rows = VideoFolder(args.videos), []
    for place, question in enumerate(questions[: args.limit]):
        span_s = (question.start_s, question.end_s)
        try:
            found = folder.find_whole(question)
            segment, problem = (Segment(found.path, span_s), "") if found else (None, "no such video")
        except ValueError as error:
            segment, problem = None, first_line(error)
        rows.append(Row(place, question, span_s, segment, problem))
    return rows


def make_line(row: int, question: GeneralQuestion, prediction: str) -> dict:
    """A line of the output."""
    fields = {"row": row, "id": question.id, "video": question.video, "kind": question.kind}
    fields |= {"question": question.question, "key": question.key, "options": list(question.options)}
    return {**fields, "prediction": prediction}


def run_predict(args: argparse.Namespace) -> int:
    """Ask what has no answer yet."""
    for name in ("limit", "num_frames", "max_new_tokens", "batch_size"):
        if (value := vars(args)[name]) is not None and value < 1:
            raise CommandError(f"--{name.replace('_', '-')} must be at least 1, got {value}")
    if not Path(args.videos).is_dir():
        raise CommandError(f"--videos {args.videos}: no such folder; pass the one that holds the videos")
    rows, output = read_rows(args), GeneralOutput(Path(args.output))
    with sole_run(output.parts):
        if output.lines():
            remedy = "choose another file"
            check_settings(
                output.settings, settings_of(args, rows), f"--output {output.path}: holds answers", remedy, WHERE
            )
        write_settings(output.settings, settings_of(args, rows))
        done = set(output.lines())
        batch_size, problems = args.batch_size or BATCH_SIZE, {}
        if any(row.segment and row.row not in done for row in rows):
            answerer = load_answerer(args.model, args.endpoint, **answerer_options(args, args.device))
            answers = Answers(answerer, output.part(0), done, batch_size, make_line)
            with Progress(total=len(rows), desc="questions", unit="question") as bar:
                answers.run(plan_chunks(rows, CHUNK_BATCHES * batch_size), bar)
            problems = answers.problems
        return finish(output, rows, problems)


# ---- score ----------------------------------------------------------------------------------------------------------


def add_score(parser: argparse.ArgumentParser) -> None:
    """Arguments of `eval/general.py score`."""
    parser.add_argument("--predictions", required=True, metavar="FILE", help="answers, as `predict` writes them")
    parser.add_argument("-o", "--output", required=True, metavar="DIR", help="folder for report.json and report.md")
    parser.add_argument("--bootstrap", type=int, default=1000, metavar="N", help="resamples of the intervals (1000)")
    parser.add_argument("--seed", type=int, default=0, help="of the resamples and of the shuffled baseline (0)")


@dataclass(frozen=True)
class Answered:
    """One answered question; the fields are those of a line."""

    kind: str
    video: str
    key: str
    options: list[str]
    prediction: str

    @property
    def whole_path(self) -> str:
        """Its video, by which rows are resampled."""
        return self.video


def read_answers(path: str) -> list[Answered]:
    """The answers of a file that `predict` wrote.

    Raises:
        `CommandError`: if it is not there, or a line is none.
    """
    if not Path(path).is_file():
        raise CommandError(f"--predictions {path}: no such file; `eval/general.py predict` writes it")
    names = [field.name for field in fields(Answered)]
    answers = []
    for number, line in enumerate(Path(path).read_text(encoding="utf-8").splitlines(), 1):
        try:
            entry = json.loads(line)
            answers.append(Answered(*(entry[name] for name in names)))
        except (ValueError, KeyError, TypeError) as error:
            raise CommandError(
                f"--predictions {path}, line {number}: is no answer of `eval/general.py predict` ({error}); take the "
                "line out, and predict again"
            ) from None
    if not answers:
        raise CommandError(f"--predictions {path}: holds no answers")
    return answers


def blind_answers(answers: list[Answered], seed: int) -> dict[str, list[str]]:
    """For each question what answers say that see no video, see `MEANING`."""
    of_kind: dict[str, list[int]] = {}
    for place, answer in enumerate(answers):
        of_kind.setdefault(answer.kind, []).append(place)
    blind = {name: [""] * len(answers) for name in MEANING}
    rng = np.random.default_rng(seed)
    for places in of_kind.values():
        best = Counter(answers[place].key for place in places).most_common(1)[0][0]
        for place, other in zip(places, rng.permutation(places)):
            # Of two options that are of this question alone, the shuffled answer takes one.
            known = answers[place].options
            drawn = answers[other].key
            blind[SHUFFLED][place] = drawn if drawn in known else str(rng.choice(known))
            blind[FREQUENT][place] = best if best in known else known[0]
    return blind


def build_report(answers: list[Answered], options: dict[str, Any]) -> dict[str, Any]:
    """Accuracy in all and by kind, of the model and of both blind baselines, with intervals.

    Returns:
        `dict`: `options`, and `pools`: what `compare` returns with `kind`, `None` for all kinds together.
    """
    metric = load_metric("general")
    systems = {MODEL: [answer.prediction for answer in answers], **blind_answers(answers, options["seed"])}
    right = {
        name: metric.compute(
            predictions=texts,
            references=[answer.key for answer in answers],
            options=[answer.options for answer in answers],
            per_row=True,
        )["rows"]
        for name, texts in systems.items()
    }
    kinds = sorted({answer.kind for answer in answers})
    pools = []
    for kind in (None, *kinds):
        places = [place for place, answer in enumerate(answers) if kind in (None, answer.kind)]
        statistics = {
            name: [Statistic(mean_table([rows[place] for place in places]), mean("accuracy"))]
            for name, rows in right.items()
        }
        rows = [answers[place] for place in places]
        pools.append({"kind": kind} | compare(statistics, rows, options["bootstrap"], options["seed"]))
    return {"options": options, "pools": pools}


def markdown(report: dict[str, Any]) -> str:
    """The report as a table."""
    lines = ["# General questions", "", *table_head("kind", "questions", MODEL, *MEANING)]
    for pool in report["pools"]:
        cells = [cell(pool["scores"][name]["accuracy"], name == MODEL) for name in (MODEL, *MEANING)]
        lines.append(table_row(pool["kind"] or "all", f"{pool['rows']:,}", *cells))
    lines += ["", "Share of right answers. Answers that see no video:", ""]
    lines += [f"- {name}: {meaning}" for name, meaning in MEANING.items()]
    if report["options"]["bootstrap"]:
        lines += ["", f"In brackets: 95 % of {report['options']['bootstrap']:,} resamples of whole videos."]
    return "\n".join([*lines, ""])


def run_score(args: argparse.Namespace) -> int:
    """Count, print the table, write the report."""
    if args.bootstrap < 0 or args.seed < 0:
        raise CommandError(f"--bootstrap {args.bootstrap} --seed {args.seed}: both must be 0 or more")
    check_output_folder(args.output)
    options = {"predictions": args.predictions, "bootstrap": args.bootstrap, "seed": args.seed}
    report = build_report(read_answers(args.predictions), options)
    print(markdown(report))
    folder = output_folder(args.output)
    write_whole(folder / "report.md", markdown(report))
    write_whole(folder / "report.json", json.dumps(report, indent=2) + "\n")
    print(f"{folder / 'report.md'}")
    return 0
