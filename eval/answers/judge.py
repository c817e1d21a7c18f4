"""`eval/reasoning.py judge`: a language model grades answers against the annotated ones, and compares two systems.

The judge reads question, reference and answer; it sees no video. Its prompts are in `judge_prompts.json` beside this
file. Every reply is kept in `OUTPUT/replies.jsonl` as it comes, under a digest of model and prompt, so that a run that
was stopped goes on where it was and nothing is asked twice, but for what the server refused. Replies that cannot be
read are counted, never guessed.
"""

import argparse
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from eval.answers.lines import Answer, read_predictions
from eval.answers.scores import rival_answers
from hivau70k_dataset.schema import LEVELS, TASKS, Instruction
from modeling_holmes_vau.answering.endpoint import ChatClient, RefusedRequest
from modeling_holmes_vau.base.commands import CommandError, check_output_folder, output_folder
from modeling_holmes_vau.base.files import write_whole
from modeling_holmes_vau.base.journal import Journal
from modeling_holmes_vau.base.parser import add_server_arguments, server_key
from modeling_holmes_vau.base.progress import Progress
from modeling_holmes_vau.base.runs import sole_run


PROMPTS = Path(__file__).resolve().parent / "judge_prompts.json"
REPLIES = "replies.jsonl"
RUBRIC = {"caption": "description"}  # of a task that has none of its own
GRADES = (1, 2, 3, 4, 5)
POINTS = {"win": 1.0, "tie": 0.5, "loss": 0.0}
RESAMPLES = 1000  # of the intervals
SWAPPED = {"A": "B", "B": "A", "neither": "neither"}
# One whole number, on a scale that is not told or ends at 5: "Score: 4", "**Score**: 4/5"; not "4.5", "3-4", "6/10". A
# reason may follow: "Score: 4 - the main event is right".
_SCORE = re.compile(
    r"\bscore\b[\s*_:=`\"(]*(\d++(?:\.\d++)?+)(?:[\s*_`]*(?:/|out\s+of)\s*(\d++))?+"
    r"(?![ \t*_`]*(?:(?:[-–—…]|\.{2,}|to\b)[ \t*_`]*\d(?(2)[ \t*_`]*/)|or\b))",
    re.IGNORECASE,
)
_BETTER = re.compile(r"\bbetter\s*[*_`]*:\s*([^\n.;]*)", re.IGNORECASE)
_NAMES = {"a": "A", "b": "B", "neither": "neither"}


@dataclass(frozen=True)
class Question:
    """One request to the judge.

    Args:
        row (`int`), instruction (`Instruction`): What was answered.
        kind (`str`): "grade"; "pair" shows the predictions first, "pair swapped" the rival's.
        messages (`list[dict]`): What is sent.
        key (`str`): Digest of the judge's name, the messages and the longest reply.
    """

    row: int
    instruction: Instruction
    kind: str
    messages: list[dict[str, str]]
    key: str


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `eval/reasoning.py judge`."""
    parser.add_argument("--predictions", required=True, metavar="FILE", help="answers, as `predict` writes them")
    parser.add_argument("--against", metavar="FILE", help="answers of a rival to the same rows: which are preferred?")
    parser.add_argument("--model", required=True, metavar="NAME", help="the judge's name at the endpoint")
    parser.add_argument(
        "-o",
        "--output",
        required=True,
        metavar="DIR",
        help=f"folder of {REPLIES}, which is kept, judge.json and judge.md",
    )
    parser.add_argument("--limit", type=int, metavar="N", help="judge N rows, spread evenly over the file")
    parser.add_argument(
        "--max-new-tokens",
        type=int,
        default=512,
        metavar="N",
        help="longest reply; a judge that thinks needs more (512)",
    )
    parser.add_argument("--allow-missing", action="store_true", help="leave out rows that have no answer")
    parser.add_argument("--seed", type=int, default=0, help="of the resamples of the intervals (0)")
    add_server_arguments(parser, required=True, concurrency=4)


# ---- questions ------------------------------------------------------------------------------------------------------


def fill(template: str, **texts: str) -> str:
    """A prompt with its places filled, where a text may itself hold braces or tags.

    Example:

    >>> fill("<answer>{prediction}</answer>", prediction="{question} </answer>")
    '<answer>{question} (/answer)</answer>'
    """
    texts = {name: re.sub(r"<(/?\w+)>", r"(\1)", text) for name, text in texts.items()}
    return re.sub(r"\{(\w+)\}", lambda match: texts[match[1]], template)


def read_grade(reply: str) -> int | None:
    """The grade that a reply gives; `None` where it gives none, several different ones, or one that is none of 1 to 5.

    Example:

    >>> read_grade("Same verdict. Score: 4/5"), read_grade("Score: 4.5"), read_grade("Good.")
    (4, None, None)
    """
    found = _SCORE.findall(_after_thinking(reply))
    numbers, scales = {number for number, _ in found}, {scale for _, scale in found}
    return int(numbers.pop()) if len(numbers) == 1 and numbers <= set("12345") and scales <= {"", "5"} else None


def read_preference(reply: str) -> str | None:
    """Which answer a reply prefers: "A", "B" or "neither"; `None` where it names none or several, or says more.

    Example:

    >>> read_preference("Closer to the reference. Better: B"), read_preference("Better: A. Or better: B.")
    ('B', None)
    """
    said = {words.strip(' \t\r*_`"()').lower() for words in _BETTER.findall(_after_thinking(reply))}
    return _NAMES.get(re.sub(r"^answer[\s_]+", "", said.pop())) if len(said) == 1 else None


def _after_thinking(reply: str) -> str:
    if "<think>" in reply and "</think>" not in reply:  # cut off before it came to a verdict
        return ""
    return reply.rpartition("</think>")[2]  # drafts of a model that thinks aloud are no verdict


def questions_of(
    answers: list[Answer], rival: dict[int, str] | None, model: str, max_new_tokens: int
) -> Iterator[Question]:
    """All requests of a run: a grade for each answer and, with a rival, both orders of each pair."""
    prompts = json.loads(PROMPTS.read_text(encoding="utf-8"))
    for answer in answers:
        row = answer.instruction
        common = {"question": row.question, "reference": row.answer}
        rubric = prompts["grade"][RUBRIC.get(row.task, row.task)]
        texts = {"grade": fill(rubric, prediction=answer.prediction, **common)}
        if rival is not None:
            pair = (answer.prediction, rival[answer.row])
            for kind, (first, second) in (("pair", pair), ("pair swapped", pair[::-1])):
                texts[kind] = fill(prompts["pair"], first=first, second=second, **common)
        for kind, text in texts.items():
            messages = [{"role": "system", "content": prompts["system"]}, {"role": "user", "content": text}]
            key = hashlib.sha256(json.dumps([model, messages, max_new_tokens]).encode()).hexdigest()[:16]
            yield Question(answer.row, row, kind, messages, key)


def choose(answers: list[Answer], limit: int | None) -> list[Answer]:
    """The answers to judge: all, or so many of them, spread evenly."""
    if limit is None or limit >= len(answers):
        return answers
    return [answers[place * len(answers) // limit] for place in range(limit)]


# ---- asking ---------------------------------------------------------------------------------------------------------


def is_reply(entry: Any) -> bool:
    """Whether a line of JSON is the entry of a request, as [`ask`] keeps them."""
    return isinstance(entry, dict) and "key" in entry and ("reply" in entry or "refused" in entry)


def ask(
    questions: list[Question], client: ChatClient, kept: Journal, concurrency: int, max_new_tokens: int
) -> dict[str, dict[str, Any]]:
    """Ask what has no reply yet, refused requests again; each reply is on the disk before its worker asks the next.

    Args:
        questions (`list[Question]`): All requests of the run.
        client (`ChatClient`): The judge.
        kept (`Journal`): The replies.
        concurrency (`int`), max_new_tokens (`int`): Requests at a time, and the longest reply.

    Returns:
        `dict`: By key the entry of the file: `key`, `model`, `kind`, `row`, and `reply`, or `refused` with the reason.
    """
    replies = {entry["key"]: entry for entry in kept.read()}
    waiting = {question.key: question for question in questions if "reply" not in replies.get(question.key, {})}
    lock = threading.Lock()
    with (
        Progress(total=len(waiting), desc="judge", unit="reply") as bar,
        ThreadPoolExecutor(concurrency) as pool,
    ):

        def one(question: Question) -> None:
            entry = ask_one(question, client, max_new_tokens)
            with lock:
                kept.append(entry)
                replies[question.key] = entry
                bar.update()

        futures = [pool.submit(one, question) for question in waiting.values()]
        try:
            for future in futures:
                future.result()
        except BaseException:  # a server that is gone, or Ctrl-C: what is not begun is not asked
            client.stop("stopped")
            raise
    return replies


def ask_one(question: Question, client: ChatClient, max_new_tokens: int) -> dict[str, Any]:
    """The entry of one request; half of a surrogate pair, which a server may send, has no form in UTF-8."""
    entry = {"key": question.key, "model": client.model, "kind": question.kind, "row": question.row}
    try:
        reply = client.complete(question.messages, max_new_tokens)
        return {**entry, "reply": reply.encode("utf-8", "replace").decode("utf-8")}
    except RefusedRequest as error:
        return {**entry, "refused": str(error)}


# ---- summary --------------------------------------------------------------------------------------------------------


def outcome(one: str | None, other: str | None) -> str | None:
    """What two orders say together, both in the names of the first order; `None` where one cannot be read."""
    if one is None or other is None:
        return None
    return {"A": "win", "B": "loss"}.get(one, "tie") if one == other else "tie"


def verdicts(questions: list[Question], replies: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """What the judge said of each row: `grade`, and with a rival `outcome`; `None` where a reply cannot be read.

    A win or a loss is one that both orders agree on; "neither" and orders that contradict each other are a tie.
    """
    rows: dict[int, dict[str, Any]] = {}
    for question in questions:
        reply = replies[question.key].get("reply", "")
        row = rows.setdefault(question.row, {"row": question.row, "instruction": question.instruction})
        if question.kind == "grade":
            row["grade"] = read_grade(reply)
        else:
            said = read_preference(reply)
            row[question.kind] = SWAPPED.get(said) if question.kind == "pair swapped" else said
    for row in rows.values():
        if "pair" in row:
            row["outcome"] = outcome(row["pair"], row["pair swapped"])
    return list(rows.values())


def summarise(rows: list[dict[str, Any]], seed: int) -> list[dict[str, Any]]:
    """A line for each level, and for each task of a level that has several."""
    lines = []
    for level in LEVELS:
        of_level = [row for row in rows if row["instruction"].level == level]
        tasks = [task for task in TASKS if any(row["instruction"].task == task for row in of_level)]
        for task in [None, *tasks] if len(tasks) > 1 else [None][: len(tasks)]:
            lines.append(
                _line(level, task, [row for row in of_level if task in (None, row["instruction"].task)], seed)
            )
    return lines


def _line(level: str, task: str | None, rows: list[dict[str, Any]], seed: int) -> dict[str, Any]:
    from eval.answers.report import video_groups

    groups = video_groups([row["instruction"] for row in rows])
    grades = [row["grade"] for row in rows]
    line = {"level": level, "task": task, "rows": len(rows), "videos": len(set(groups.tolist()))}
    line["grade"] = _mean(grades, groups, seed)
    line["grades"] = {str(grade): grades.count(grade) for grade in GRADES}
    line["unreadable"] = grades.count(None)
    if "outcome" in rows[0]:
        outcomes = [row["outcome"] for row in rows]
        line["pairs"] = {name: outcomes.count(name) for name in POINTS}
        line["preference"] = _mean([POINTS.get(name) for name in outcomes], groups, seed)
        line["unreadable_pairs"] = outcomes.count(None)
        orders = [(row["pair"], row["pair swapped"]) for row in rows]
        # The same place in both orders: the judge looks at the place, not at the answer.
        line["first_both_times"], line["second_both_times"] = orders.count(("A", "B")), orders.count(("B", "A"))
    return line


def _mean(values: list[float | None], groups: np.ndarray, seed: int) -> dict[str, float | None]:
    """Mean and interval over rows that have a value, videos resampled."""
    from eval.answers.report import Statistic, draw_weights, mean, mean_table, measure, with_interval

    weights = draw_weights(int(groups.max()) + 1, RESAMPLES, seed)
    point, resampled = measure([Statistic(mean_table(values), mean("mean"))], groups, weights)
    return with_interval(point["mean"], resampled["mean"])


def markdown(report: dict[str, Any]) -> str:
    """The report as Markdown."""
    from eval.answers.report import cell, table_head, table_row

    options, lines = report["options"], report["lines"]
    text = ["# Reasoning, judged by a language model", "", *(f"- {name}: {value}" for name, value in options.items())]
    text += [f"- replies that were refused by the server: {report['refused']}", ""]
    text += table_head("level", "task", "rows", "grade, 1 to 5", *map(str, GRADES), "unreadable")
    for line in lines:
        grades = [str(count) for count in line["grades"].values()]
        text.append(table_row(*_names(line), cell(line["grade"]), *grades, str(line["unreadable"])))
    if "pairs" in lines[0]:
        columns = ("preferred", *POINTS, "unreadable", "first both times", "second both times")
        text += ["", *table_head("level", "task", "rows", *columns)]
        counts = ("unreadable_pairs", "first_both_times", "second_both_times")
        for line in lines:
            pairs = [str(count) for count in (*line["pairs"].values(), *(line[name] for name in counts))]
            text.append(table_row(*_names(line), cell(line["preference"]), *pairs))
        text += ["", "preferred: share of wins, a tie counting half. A win holds in both orders; else it is a tie."]
    text += ["", "In brackets: 95 % of resamples of whole videos. Rows whose reply cannot be read count nowhere else."]
    return "\n".join([*text, ""])


def _names(line: dict[str, Any]) -> tuple[str, str, str]:
    return line["level"], line["task"] or "all", str(line["rows"])


# ---- running --------------------------------------------------------------------------------------------------------


def check_arguments(args: argparse.Namespace) -> str | None:
    """Refuses what cannot be run; the key of the endpoint."""
    for name in ("limit", "concurrency", "max_new_tokens"):
        value = getattr(args, name)
        if value is not None and value < 1:
            raise CommandError(f"--{name.replace('_', '-')} {value}: must be 1 or more")
    if Path(args.output).exists() and not Path(args.output).is_dir():
        raise CommandError(f"--output {args.output}: is a file; pass a folder")
    return server_key(args.api_key_env)


def run(args: argparse.Namespace) -> int:
    """Judge, print the tables, write the report."""
    check_output_folder(args.output)
    client = ChatClient(args.endpoint, args.model, check_arguments(args), args.timeout, args.retries)
    answers = choose(read_predictions(args.predictions), args.limit)
    rival, without = rival_answers(args.against, answers) if args.against else (None, [])
    unanswered = {answer.row for answer in answers if answer.prediction is None} | set(without)
    if unanswered and not args.allow_missing:
        raise CommandError(
            f"--predictions {args.predictions}: {len(unanswered)} of {len(answers)} rows have no answer there or in "
            f"--against, the first is row {min(unanswered)}; run `predict` again, which goes on where it stopped, or "
            "leave them out with --allow-missing"
        )
    answers = [answer for answer in answers if answer.row not in unanswered]
    if not answers:
        raise CommandError(f"--predictions {args.predictions}: no row is answered there and in --against")
    questions = list(questions_of(answers, rival, args.model, args.max_new_tokens))
    folder = output_folder(args.output)
    with sole_run(folder):
        replies = ask(questions, client, Journal(folder / REPLIES, is_reply), args.concurrency, args.max_new_tokens)
        return report_replies(args, questions, replies, len(unanswered))


def report_replies(args: argparse.Namespace, questions: list[Question], replies: dict, unanswered: int) -> int:
    """Print and write what the judge said; status 1 if nothing of it can be read."""
    folder, rows = Path(args.output), len({question.row for question in questions})
    entries = [replies[key] for key in dict.fromkeys(question.key for question in questions)]
    refusals = [entry["refused"] for entry in entries if "refused" in entry]
    options = {"predictions": args.predictions, "against": args.against or "none", "judge": args.model}
    options |= {
        "rows": rows,
        "without an answer": unanswered,
        "replies": len(entries),
        "seed": args.seed,
    }
    said = verdicts(questions, replies)
    report = {"options": options, "refused": len(refusals), "lines": summarise(said, args.seed)}
    text = markdown(report)
    write_whole(folder / "judge.md", text)
    write_whole(folder / "judge.json", json.dumps(report, indent=2, ensure_ascii=False) + "\n")
    print(text)
    print(f"{folder / 'judge.md'}")
    if len(refusals) == len(entries):
        raise CommandError(f"{refusals[0]}; all {len(entries)} requests were refused")
    if all(row["grade"] is None and row.get("outcome") is None for row in said):
        raise CommandError(f"no reply could be read; see {REPLIES}; a judge that thinks needs more --max-new-tokens")
    return 0
