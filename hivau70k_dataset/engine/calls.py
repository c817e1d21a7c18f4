"""Calls of models, each asked once: kept in a journal under a key of all that decides it, and paid for once."""

import hashlib
import json
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from modeling_holmes_vau.answering import Completion
from modeling_holmes_vau.answering.endpoint import EndpointError, RefusedRequest
from modeling_holmes_vau.base.commands import first_line
from modeling_holmes_vau.base.errors import RunError
from modeling_holmes_vau.base.journal import Journal
from modeling_holmes_vau.base.progress import Progress
from modeling_holmes_vau.base.runs import sole_run


JOURNAL = "calls.jsonl"
MILLION = 1_000_000


def is_call(entry: Any) -> bool:
    """Whether what a line of a journal holds is a call."""
    return isinstance(entry, dict) and isinstance(entry.get("key"), str) and ("text" in entry or "refused" in entry)


@dataclass(frozen=True)
class Call:
    """
    One question to a model.

    Args:
        item (`str`): What it is about, as messages name it.
        prompt (`str`): What is asked.
        content (`tuple`): What else decides the answer, such as the digest of a file and a span of it.
        attempt (`int`, *optional*, defaults to 0): Of a question that is asked again, which time.
    """

    item: str
    prompt: str
    content: tuple = ()
    attempt: int = 0

    def key(self, model: str, settings: dict[str, Any]) -> str:
        """Tells this call, of this model with these settings, from any other."""
        decides = [self.prompt, model, sorted(settings.items()), list(self.content), self.attempt]
        return hashlib.sha256(json.dumps(decides, ensure_ascii=False).encode()).hexdigest()[:24]


@dataclass(frozen=True)
class Asked:
    """A model and how it is asked.

    Args:
        model (`str`): Its name, with what tells it from another of that name.
        settings (`dict`): What else decides its answers, such as the number of frames.
        ask (`Callable[[Call], Completion]`): Asks it; may be called from several threads if `concurrency` is above 1.
        concurrency (`int`, *optional*, defaults to 1): Calls under way at a time.
    """

    model: str
    settings: dict[str, Any]
    ask: Callable[[Call], Completion]
    concurrency: int = 1

    def key(self, call: Call) -> str:
        """The key of a call of this model."""
        return call.key(self.model, self.settings)


@dataclass
class Budget:
    """
    What calls cost, and when to stop.

    Args:
        price_in (`float`), price_out (`float`): Of a million tokens of prompts and of answers.
        most (`float`, *optional*): Stop before the next call once so much is spent, by this run and those before it.
    """

    price_in: float = 0.0
    price_out: float = 0.0
    most: float | None = None

    def __post_init__(self):
        if self.most is not None and not (self.price_in or self.price_out):
            raise ValueError("--max-cost needs --price IN OUT, of a million tokens: nothing tells what a call costs.")

    def cost(self, tokens_in: int, tokens_out: int) -> float:
        """Of so many tokens."""
        return (tokens_in * self.price_in + tokens_out * self.price_out) / MILLION

    def is_spent(self, tally: "Tally") -> bool:
        """Whether no more may be asked."""
        return self.most is not None and self.cost(tally.tokens_in, tally.tokens_out) >= self.most


@dataclass
class Tally:
    """What calls took: how many, tokens where they are counted, seconds of the models."""

    calls: int = 0
    refused: int = 0
    uncounted: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    seconds: float = 0.0

    def add(self, line: dict[str, Any]) -> None:
        """Count a line of the journal."""
        self.calls += 1
        self.refused += "refused" in line
        self.seconds += line.get("seconds") or 0.0
        tokens = [line.get("prompt_tokens"), line.get("completion_tokens")]
        self.uncounted += None in tokens and "text" in line
        self.tokens_in += tokens[0] or 0
        self.tokens_out += tokens[1] or 0

    def describe(self, budget: Budget | None = None) -> str:
        """In a line."""
        said = [f"{self.calls:,} calls in {self.seconds:,.1f} s of the model"]
        if self.tokens_in or self.tokens_out:
            said.append(f"{self.tokens_in:,} tokens in, {self.tokens_out:,} out")
        if self.uncounted:
            said.append(f"tokens of {self.uncounted:,} not counted")
        if budget is not None and (budget.price_in or budget.price_out):
            said.append(f"cost {budget.cost(self.tokens_in, self.tokens_out):,.2f}")
        if self.refused:
            said.append(f"{self.refused:,} refused")
        return "; ".join(said)


class CallBook:
    """
    The calls of a step: a folder with a journal for each share of the work, of which this run fills one.

    Args:
        folder (`Path`): Of the step.
        shard (`tuple[int, int]`, *optional*, defaults to `(1, 1)`): Which of how many shares this run does.
    """

    def __init__(self, folder: Path, shard: tuple[int, int] = (1, 1)):
        self.folder, self.shard = folder, shard
        self.own = Journal(folder / f"{shard[0]}-of-{shard[1]}" / JOURNAL, is_call)
        self.lines: dict[str, dict[str, Any]] = {}
        self.load()

    def load(self) -> None:
        """Read what all runs have written."""
        for path in sorted(self.folder.glob(f"*/{JOURNAL}")):
            for line in Journal(path, is_call).read():
                self.lines[line["key"]] = line

    def text(self, key: str) -> str | None:
        """The answer to a call; `None` if it was not asked, or was refused."""
        return self.lines.get(key, {}).get("text")

    def refusal(self, key: str) -> str | None:
        """Why a call was refused, if it was."""
        return self.lines.get(key, {}).get("refused")

    def put(self, line: dict[str, Any]) -> None:
        """Keep a call."""
        self.own.append(line)
        self.lines[line["key"]] = line

    def tally(self) -> Tally:
        """What all calls took."""
        tally = Tally()
        for line in self.lines.values():
            tally.add(line)
        return tally

    def is_own(self, item: str) -> bool:
        """Whether an item is of this run's share."""
        number, shares = self.shard
        return shares == 1 or zlib.crc32(item.encode()) % shares == number - 1

    @contextmanager
    def alone(self) -> Iterator[None]:
        """This run's share to itself."""
        with sole_run(self.own.path.parent):
            self.load()
            yield


@dataclass
class Outcome:
    """How a run of calls went: items that could not be asked about and why, and what stopped it early, if anything."""

    problems: dict[str, str] = field(default_factory=dict)
    stopped: str | None = None


def make_calls(book: CallBook, calls: Iterable[Call], asked: Asked, budget: Budget, what: str) -> Outcome:
    """
    Ask what was not asked, several calls at a time, each kept as soon as its answer is there.

    A call that the server refuses for what it says (too long, filtered) is kept as refused and not asked again. A
    server that is gone, or a budget that is spent, ends the run; what is under way is waited for and kept.

    Args:
        book ([`CallBook`]): Where calls are kept; by one run at a time, see `alone`.
        calls (`Iterable[Call]`): Of this run's share.
        asked ([`Asked`]): The model.
        budget ([`Budget`]): When to stop.
        what (`str`): What the progress is of.

    Raises:
        [`RunError`]: if the server is gone, after all that was under way.
    """
    missing = {asked.key(call): call for call in calls}
    missing = {key: call for key, call in missing.items() if key not in book.lines}
    outcome, tally = Outcome(), book.tally()
    running: dict[Future, tuple[str, Call]] = {}
    waiting = iter(missing.items())
    with (
        ThreadPoolExecutor(max(1, asked.concurrency)) as pool,
        Progress(total=len(missing), desc=what, unit="call") as bar,
    ):
        while True:
            while outcome.stopped is None and len(running) < asked.concurrency:
                if budget.is_spent(tally):
                    outcome.stopped = f"--max-cost {budget.most:g} is spent: {tally.describe(budget)}"
                    break
                if (entry := next(waiting, None)) is None:
                    break
                running[pool.submit(_timed, asked.ask, entry[1])] = entry
            if not running:
                break
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                key, call = running.pop(future)
                line = _settle(future, call, outcome)
                if line is not None:
                    line = {"key": key, "item": call.item, **line, "model": asked.model, "settings": asked.settings}
                    book.put({**line, "prompt": call.prompt, "when": datetime.now(UTC).isoformat(timespec="seconds")})
                    tally.add(line)
                bar.update(1)
    if outcome.stopped and not outcome.stopped.startswith("--max-cost"):
        raise RunError(f"{outcome.stopped}; what was answered is kept, run the same command again to go on")
    return outcome


def _timed(ask: Callable[[Call], Completion], call: Call) -> tuple[Completion, float]:
    begun = time.perf_counter()
    answer = ask(call)
    return answer, time.perf_counter() - begun


def _settle(future: Future, call: Call, outcome: Outcome) -> dict[str, Any] | None:
    """What a finished call leaves in the journal, if anything."""
    try:
        answer, seconds = future.result()
    except RefusedRequest as error:
        return {"refused": first_line(error)}
    except EndpointError as error:
        outcome.stopped = outcome.stopped or first_line(error)
    except (ValueError, OSError) as error:  # about this item: a video that can't be read
        outcome.problems[call.item] = first_line(error)
    else:
        counts = {"prompt_tokens": answer.prompt_tokens, "completion_tokens": answer.completion_tokens}
        return {"text": answer.text, **counts, "seconds": round(seconds, 3)}
    return None
