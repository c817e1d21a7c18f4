"""`eval/reasoning.py predict`: the questions of the instruction rows, answered by a model, a line a row.

Each row is asked on its own, as the released file has it: a turn of a conversation is asked without those before it.

Rows are taken in chunks of whole segments, so that a video is decoded and encoded once for all that is asked about it,
and within a chunk in batches, longest question first. Chunks and batches follow from the list of rows and the batch
size alone, and process `r` of `n` takes every `n`-th chunk: which questions are answered together depends neither on
the number of processes nor on where a run was stopped, and so neither does the output. Nor does it depend on the batch
size, but for rounding: measured in float32 on a CPU; in half precision another size may turn a close choice of a word.

Each process appends its lines to a file of its own in `OUTPUT.parts/`, as the answers come; what stands there is not
done again. The last step, in the main process, puts the lines into OUTPUT in the order of the rows and removes the
parts. `OUTPUT.settings.json` tells what the lines were made with.
"""

import argparse
import hashlib
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import astuple, dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from eval.answers.lines import Answer, check_rows, read_lines
from eval.answers.scores import read_instructions
from hivau70k_dataset.asked import Row, asked_rows
from hivau70k_dataset.reading import read_annotation_files
from hivau70k_dataset.schema import LEVELS, SPLITS, TASKS, Instruction
from hivau70k_dataset.videos import VideoFolder
from modeling_holmes_vau.answering import batches, load_answerer, model_type
from modeling_holmes_vau.answering.answerer import AUTO, FRAMES_AS, VIDEO
from modeling_holmes_vau.answering.batches import CHUNK_BATCHES
from modeling_holmes_vau.answering.endpoint import RefusedRequest
from modeling_holmes_vau.base.commands import CommandError, first_line
from modeling_holmes_vau.base.files import PROBLEMS, few_of
from modeling_holmes_vau.base.journal import Journal, read_journals
from modeling_holmes_vau.base.parser import add_server_arguments, server_key
from modeling_holmes_vau.base.progress import Progress
from modeling_holmes_vau.base.runs import LOCK, WHERE, check_settings, sole_run, write_settings
from modeling_holmes_vau.checkpoint.folder import DIGESTED, OURS
from modeling_holmes_vau.spans_holmes_vau import Segment


SAMPLERS = ("ats", "ats_norm", "uniform", "top_k", "nearest")
BATCH_SIZE = 8
FIRST_REFUSALS = 16  # requests a server may refuse before it has answered any, without being given up
LONGEST_WAIT = timedelta(days=7)  # of processes for each other: one may have far longer videos


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `eval/reasoning.py predict`."""
    parser.add_argument(
        "--model", required=True, metavar="DIR", help="checkpoint folder, Hub name, or --endpoint's name"
    )
    parser.add_argument("--annotations", required=True, metavar="DIR", help="folder of annotations and instructions")
    parser.add_argument("--videos", required=True, metavar="DIR", help="folder of the videos, whole or cut")
    parser.add_argument(
        "-o", "--output", required=True, metavar="FILE", help="predictions.jsonl to write; a begun one goes on"
    )
    parser.add_argument("--split", choices=SPLITS, default="test", help="of the instructions (test)")
    parser.add_argument("--levels", nargs="+", choices=LEVELS, help="default: all")
    parser.add_argument("--tasks", nargs="+", choices=TASKS, help="default: all")
    parser.add_argument("--limit", type=int, metavar="N", help="only the first N rows")
    parser.add_argument(
        "--num-frames", type=int, metavar="N", help="frames the model sees (Holmes-VAU: the checkpoint's; others: 16)"
    )
    parser.add_argument("--sampler", choices=SAMPLERS, help="how Holmes-VAU chooses them (the checkpoint's)")
    parser.add_argument(
        "--no-scores",
        action="store_true",
        help="Holmes-VAU: score nothing, and see frames evenly spread over all (the paper's Uniform)",
    )
    parser.add_argument(
        "--max-new-tokens", type=int, metavar="N", help="longest answer (Holmes-VAU: the checkpoint's; others: 1024)"
    )
    parser.add_argument(
        "--batch-size",
        type=int,
        metavar="N",
        help=f"questions at a time ({BATCH_SIZE}; servers: 4 x --concurrency)",
    )
    parser.add_argument("--device", help="cpu, cuda, cuda:1, mps; default: the fastest there is")
    parser.add_argument(
        "--dtype", default="auto", choices=("auto", "float32", "bfloat16", "float16"), help="default: the checkpoint's"
    )
    rival = parser.add_argument_group("other models than Holmes-VAU")
    rival.add_argument(
        "--frames-as",
        choices=FRAMES_AS,
        default=AUTO,
        help="how frames go in: one video, or a picture each (auto: a video where the checkpoint takes videos; "
        "servers: images)",
    )
    rival.add_argument(
        "--processor-kwargs", type=json.loads, metavar="JSON", help='for the processor: {"max_pixels": 200704}'
    )
    rival.add_argument("--trust-remote-code", action="store_true", help="run code that comes with the checkpoint")
    server = parser.add_argument_group("models behind a server")
    add_server_arguments(server, required=False, concurrency=8)


# ---- rows -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Job:
    """What a run has to do.

    Args:
        rows (`list[Row]`): In order.
        done (`set[int]`): The rows that have a line.
    """

    rows: list[Row]
    done: set[int]


def read_rows(args: argparse.Namespace) -> list[Row]:
    """The questions to ask, each with its segment."""
    instructions = read_instructions(args.annotations, args.split)
    annotations = [entry for entry in read_annotation_files(args.annotations).annotations if entry.split == args.split]
    videos = VideoFolder(args.videos)
    for note in videos.notes:
        print(f"note: {note}", file=sys.stderr)
    rows = asked_rows(instructions, annotations, videos, args.levels or LEVELS, args.tasks or TASKS)
    rows = rows[: args.limit]
    if not rows:
        raise CommandError(
            f"--annotations {args.annotations}: no instructions of the split {args.split!r} are of --levels "
            f"{' '.join(args.levels or LEVELS)} and --tasks {' '.join(args.tasks or TASKS)}"
        )
    if not any(row.segment for row in rows):
        raise CommandError(f"--videos {args.videos}: holds none of the videos, such as {rows[0].entry.whole_path}")
    return rows


def rows_digest(rows: list[Row]) -> str:
    """A digest of what is asked and where it lies in its video."""
    asked = [(row.row, astuple(row.entry), row.span_s) for row in rows]
    return hashlib.sha256(json.dumps(asked).encode("utf-8")).hexdigest()[:16]


def plan_chunks(rows: list[Row], size: int) -> list[list[Row]]:
    """Chunks of at least `size` rows, but for the last, that hold all rows of their segments.

    >>> from hivau70k_dataset.schema import Instruction
    >>> entries = [Instruction("0", "video", "judgement", name, "?", ".") for name in ("a", "b", "a", "c")]
    >>> rows = [Row(place, entry, None, None) for place, entry in enumerate(entries)]
    >>> [[row.row for row in chunk] for chunk in plan_chunks(rows, 2)]
    [[0, 2], [1, 3]]
    """
    return batches.plan_chunks(rows, size, lambda row: row.entry.video)


def plan_batches(chunk: list[Row], size: int, length: Callable[[str], int]) -> list[list[Row]]:
    """Batches of up to `size` rows, longest question first."""
    return batches.plan_batches(chunk, size, lambda row: length(row.entry.question), lambda row: row.row)


# ---- output ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Output:
    """The files of a run.

    Args:
        path (`Path`): The predictions.
    """

    path: Path

    @property
    def settings(self) -> Path:
        """What the predictions are made with."""
        return self.path.with_name(f"{self.path.name}.settings.json")

    @property
    def parts(self) -> Path:
        """Folder of the lines that are not in order yet."""
        return self.path.with_name(f"{self.path.name}.parts")

    def part(self, process: int) -> Journal:
        """The lines of one process."""
        return Journal(self.parts / f"{process}.jsonl", is_line)

    def answers(self) -> dict[int, Answer]:
        """The answers of the finished file, by row."""
        return read_lines(self.path) if self.path.is_file() else {}

    def lines(self) -> dict[int, dict]:
        """The lines that are there, by row; those of the finished file as `score` reads it."""
        finished = {
            row: make_line(row, answer.instruction, answer.prediction)
            for row, answer in self.answers().items()
            if answer.prediction is not None
        }
        return finished | {line["row"]: line for line in read_journals(self.parts, is_line)}

    def merge(self) -> dict[int, dict]:
        """Put all lines into the predictions, in the order of the rows, and remove the parts."""
        lines = self.lines()
        if lines:
            Journal(self.path, is_line).rewrite(lines[row] for row in sorted(lines))
        shutil.rmtree(self.parts, ignore_errors=True)
        return lines


def is_line(entry: Any) -> bool:
    """Whether a line of JSON is one of predictions, as [`make_line`] makes them."""
    return isinstance(entry, dict) and isinstance(entry.get("row"), int) and isinstance(entry.get("prediction"), str)


def claim_output(output: Output, settings: dict, rows: list[Row], annotations: str) -> None:
    """Claim a new output, or make sure that what it holds are answers to these rows made alike."""
    if output.path.is_dir():
        raise CommandError(f"--output {output.path}: is a folder; name a file in it, such as predictions.jsonl")
    if output.lines():
        check_settings(
            output.settings, settings, f"--output {output.path}: holds predictions", "choose another file", WHERE
        )
    asked = {row.row: row.entry for row in rows}
    check_rows(output.answers().values(), asked, output.path, annotations)
    write_settings(output.settings, settings)


def make_line(row: int, entry: Instruction, prediction: str) -> dict:
    """One line of the output."""
    fields = {"row": row, "id": entry.id, "level": entry.level, "task": entry.task, "video": entry.video}
    return fields | {
        "turn": entry.turn,
        "question": entry.question,
        "reference": entry.answer,
        "prediction": prediction,
    }


# ---- answering ------------------------------------------------------------------------------------------------------


class Answers:
    """
    The answers of one process.

    Args:
        answerer: Of `modeling_holmes_vau.answering`.
        part (`Journal`): Where to append lines.
        done (`set[int]`): Rows that have a line.
        batch_size (`int`): Questions answered together.
        to_line (`Callable`, *optional*, defaults to [`make_line`]): Number of a row, its question and the answer -> a
            line.

    `problems` has the reason for each row without an answer.
    """

    def __init__(
        self,
        answerer,
        part: Journal,
        done: set[int],
        batch_size: int,
        to_line: Callable[[int, Any, str], dict] = make_line,
    ):
        self.answerer, self.part, self.done, self.batch_size = answerer, part, done, batch_size
        self.to_line = to_line
        self.problems: dict[int, str] = {}
        self._refused: set[tuple] | None = None if done else set()  # requests, while nothing has been answered
        self._seen: dict[Segment, object] = {}  # of the present chunk; an error where a video could not be read

    def run(self, chunks: list[list[Row]], bar: Progress) -> None:
        """Answer the chunks' rows that have no line."""
        for chunk in chunks:
            if all(row.row in self.done for row in chunk):
                bar.update(len(chunk))
                continue
            for batch in plan_batches(chunk, self.batch_size, self.answerer.prompt_length):
                for line in self._answer(batch):
                    self.part.append(line)
                bar.update(len(batch))
            self._seen.clear()

    def _answer(self, batch: list[Row]) -> Iterator[dict]:
        """Lines of the rows of a batch that have none, as they come. Where that may matter the others are asked along,
        so that the batch is always the same; it is left out where no row is both without a line and readable."""
        missing = [row for row in batch if row.row not in self.done]
        if not any([self._can_see(row) for row in missing]):
            return
        asked = [row for row in (batch if self.answerer.asks_together else missing) if self._can_see(row)]
        seen, questions = [self._seen[row.segment] for row in asked], [row.entry.question for row in asked]
        for place, reply in self.answerer.answer(seen, questions):
            row = asked[place]
            if isinstance(reply, Exception):
                self.problems[row.row] = first_line(reply)
            elif row.row not in self.done:
                yield self.to_line(row.row, row.entry, reply)
            if not isinstance(reply, RefusedRequest):
                self._refused = None
            elif self._refused is not None:
                self._refused.add((row.segment, row.entry.question))
                if len(self._refused) >= FIRST_REFUSALS:  # the others would fare no better
                    raise CommandError(f"{first_line(reply)}; all of the first {FIRST_REFUSALS} requests were refused")

    def _can_see(self, row: Row) -> bool:
        """Whether the row's segment can be read; looks at it if that has not been done."""
        if row.segment is None:
            self.problems[row.row] = row.problem
            return False
        if row.segment not in self._seen:
            try:
                self._seen[row.segment] = self.answerer.look(row.segment)
            except (ValueError, OSError) as error:
                self._seen[row.segment] = error
        if isinstance(seen := self._seen[row.segment], Exception):
            self.problems[row.row] = first_line(seen)
            return False
        return True


# ---- command --------------------------------------------------------------------------------------------------------


def check_arguments(args: argparse.Namespace) -> None:
    """Mistakes that show before anything is read."""
    for name in ("num_frames", "max_new_tokens", "batch_size", "limit", "concurrency"):
        if (value := vars(args)[name]) is not None and value < 1:
            raise CommandError(f"--{name.replace('_', '-')} must be at least 1, got {value}")
    if not os.path.isdir(args.videos):
        raise CommandError(f"--videos {args.videos}: no such folder; pass the one that holds the videos")
    if args.processor_kwargs is not None and not isinstance(args.processor_kwargs, dict):
        raise CommandError(f"--processor-kwargs must be a JSON object, got {json.dumps(args.processor_kwargs)}")
    if args.api_key_env and not args.endpoint:
        raise CommandError("--api-key-env is for --endpoint: pass both or none")
    server_key(args.api_key_env)
    is_ours = not args.endpoint and model_type(args.model) == OURS
    if args.sampler and not is_ours:
        raise CommandError(f"--sampler is for Holmes-VAU; {args.model} sees frames evenly spread: leave it out")
    if args.no_scores and not is_ours:
        raise CommandError(f"--no-scores is for Holmes-VAU; {args.model} scores nothing anyway: leave it out")
    if args.no_scores and args.sampler not in (None, "uniform"):
        raise CommandError(f"--no-scores: --sampler {args.sampler} chooses by scores; leave one of the two out")
    if args.frames_as != AUTO and is_ours:
        raise CommandError("--frames-as is for other models than Holmes-VAU: leave it out")
    if args.processor_kwargs and (is_ours or args.endpoint):
        raise CommandError("--processor-kwargs is for other checkpoints of transformers: leave it out")


def settings_of(args: argparse.Namespace, rows: list[Row]) -> dict:
    """What decides the predictions, and, for the reader, the address of checkpoint or server."""
    settings = {"model": args.model.rstrip("/"), "digest": None, "dtype": args.dtype}
    if args.endpoint:
        settings = {"endpoint": args.endpoint, "served_model": args.model}
    else:
        from modeling_holmes_vau.checkpoint.load import checkpoint_digest

        code = ("*.py",) if args.trust_remote_code else ()
        settings["digest"] = checkpoint_digest(args.model, (*DIGESTED, *code))
    settings["frames_as"] = frames_as(args)
    names = ("num_frames", "sampler", "max_new_tokens", "processor_kwargs", "split", "levels", "tasks", "limit")
    if args.no_scores:
        settings["no_scores"] = True
    return {**settings, **{name: vars(args)[name] for name in names}, "instructions": rows_digest(rows)}


def frames_as(args: argparse.Namespace) -> str | None:
    """How another checkpoint is shown frames, `"video"` or `"images"`; of a server, to which they go as images unless
    told otherwise, `None` or `"video"`; `None` for Holmes-VAU."""
    if args.endpoint:
        return VIDEO if args.frames_as == VIDEO else None
    if model_type(args.model) == OURS:
        return None
    from modeling_holmes_vau.answering.rival import open_processor

    return open_processor(args.model, args.frames_as, args.trust_remote_code)[1]


def prepare(args: argparse.Namespace, alone: ExitStack) -> Job:
    """Read what is asked and what is done, and claim the output, for this run alone."""
    check_arguments(args)
    rows = read_rows(args)
    output = Output(Path(args.output))
    alone.enter_context(sole_run(output.parts))
    try:
        claim_output(output, settings_of(args, rows), rows, args.annotations)
    except (CommandError, ValueError):
        if {path.name for path in output.parts.iterdir()} == {LOCK}:  # nothing of an earlier run
            shutil.rmtree(output.parts, ignore_errors=True)
        raise
    return Job(rows, set(output.lines()))


def from_main(state, make: Callable[[], Job]) -> Job | None:
    """What `make` returns in the main process, in every process; `None` where it raised, which the main one tells."""
    from accelerate.utils import broadcast_object_list

    made: list[Job | None] = [None]
    try:
        if state.is_main_process:
            made = [make()]
    finally:
        broadcast_object_list(made)
    return made[0]


def load_main_first(args: argparse.Namespace, state):
    """The answerer, loaded in the main process before the others, so that the code of a checkpoint is copied once;
    `None` in the others where that failed."""
    from accelerate.utils import broadcast_object_list

    device = str(state.device) if state.num_processes > 1 else args.device
    options, answerer, is_loaded = answerer_options(args, device), None, [False]
    try:
        if state.is_main_process:
            answerer, is_loaded = load_answerer(args.model, args.endpoint, **options), [True]
            if answerer.warning:
                print(f"warning: {answerer.warning}", file=sys.stderr)
    finally:
        broadcast_object_list(is_loaded)
    if is_loaded[0] and not state.is_main_process:
        answerer = load_answerer(args.model, args.endpoint, **options)
    return answerer


def answerer_options(args: argparse.Namespace, device: str | None) -> dict:
    """The options of the answerer that the arguments name."""
    options = {"num_frames": args.num_frames, "max_new_tokens": args.max_new_tokens}
    if args.endpoint:
        options |= {"api_key": server_key(args.api_key_env), "timeout_s": args.timeout, "retries": args.retries}
        return options | {"concurrency": args.concurrency, "frames_as": args.frames_as}
    options |= {"device": device, "dtype": args.dtype}
    if model_type(args.model) == OURS:
        return options | {"sampler": args.sampler, "scored": not args.no_scores}
    options["frames_as"] = args.frames_as
    return options | {"processor_kwargs": args.processor_kwargs, "trust_remote_code": args.trust_remote_code}


def run(args: argparse.Namespace) -> int:
    """Answer what has no answer, then write the output; status 1 when nothing could be answered."""
    with ExitStack() as alone:
        return answer_all(args, alone)


def answer_all(args: argparse.Namespace, alone: ExitStack) -> int:
    """The run; `alone` keeps the output to it."""
    import torch
    from accelerate import PartialState
    from accelerate.utils import gather_object

    # Without a GPU accelerate sees the other processes only when it is told to use the CPU.
    state = PartialState(cpu=args.device == "cpu" or not torch.cuda.is_available(), timeout=LONGEST_WAIT)
    job = from_main(state, lambda: prepare(args, alone))
    if job is None:
        return 1
    output = Output(Path(args.output))
    batch_size = args.batch_size or (4 * args.concurrency if args.endpoint else BATCH_SIZE)
    chunks = plan_chunks(job.rows, CHUNK_BATCHES * batch_size)[state.process_index :: state.num_processes]
    problems = {row.row: row.problem for row in job.rows if row.segment is None}
    if any(row.segment and row.row not in job.done for row in job.rows):
        answerer = load_main_first(args, state)
        if answerer is None:
            return 1
        answers = Answers(answerer, output.part(state.process_index), job.done, batch_size)
        quiet = None if state.is_main_process else True  # None: where there is no terminal
        try:
            with Progress(total=sum(map(len, chunks)), desc="rows", unit="row", disable=quiet) as bar:
                answers.run(chunks, bar)
        except torch.OutOfMemoryError as error:
            raise CommandError(f"out of memory: {first_line(error)}; run again with a smaller --batch-size") from error
        problems |= answers.problems
    problems = dict(gather_object(list(problems.items())))
    state.wait_for_everyone()
    state.destroy_process_group()  # its threads would abort a process that ends with them
    return finish(output, job.rows, problems) if state.is_main_process else 0


def finish(output: Output, rows: list[Row], problems: dict[int, str]) -> int:
    """Write the output and say what is missing from it."""
    lines = output.merge()
    missing = [row for row in rows if row.row not in lines]
    told = [f"row {row.row}, {row.entry.video}: {problems.get(row.row, 'no answer')}" for row in missing]
    for line in few_of(told, output.path.parent, f"{output.path.stem}.{PROBLEMS}"):
        print(f"error: {line}", file=sys.stderr)
    if missing:
        print(f"warning: {len(missing)} of {len(rows)} rows have no prediction", file=sys.stderr)
    if not lines:
        raise CommandError(f"none of the {len(rows)} rows could be answered")
    print(f"wrote {len(lines)} predictions to {output.path}")
    return 0
