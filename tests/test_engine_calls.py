"""The engine's calls: asked once, kept at once, paid for once, whatever the server does and whenever the run is
killed."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

from hivau70k_dataset.cli import main
from hivau70k_dataset.engine.calls import JOURNAL, Asked, Budget, Call, CallBook, Tally, make_calls
from hivau70k_dataset.engine.decisions import ACCEPTED, Decisions
from hivau70k_dataset.engine.state import State
from modeling_holmes_vau.answering import Completion
from modeling_holmes_vau.base.errors import RunError
from tests.chat_server import Asked as Request
from tests.chat_server import chat_server, completion
from tests.engine_data import work_folder, work_video


def reply_to(prompt: str) -> str:
    """What a summariser would say, from the prompt alone."""
    label = re.search(r"abnormal events \((.*?)\)", prompt)
    told = re.search(r"(?:caption of the video is|events in the video): (.*?)\. There (?:are|is)", prompt)[1]
    first = f"An anomaly exists, a {label[1]}." if label else "No anomaly exists."
    return f"1. {first}\n2. {told}.\n3. It is {'against the law' if label else 'ordinary'}."


def counted(text: str) -> dict:
    return {**completion(text), "usage": {"prompt_tokens": 100, "completion_tokens": 20}}


def prompt_of(asked: Request) -> str:
    return asked.body["messages"][0]["content"]


def summarise(work: Path, address: str, *more: str) -> int:
    return main(
        ["annotate", "summarise", "--work", str(work), "--model", "m", "--endpoint", address, "--retries", "3", *more]
    )


def journal(work: Path) -> list[dict]:
    return [line for path in sorted(work.glob(f"summarise/*/{JOURNAL}")) for line in map(json.loads, path.open())]


def told(work: Path) -> dict[str, tuple]:
    """What the journal says, but for times."""
    lines = journal(work)
    assert len(lines) == len({line["key"] for line in lines})
    return {
        line["key"]: (line["item"], line.get("text"), line.get("refused", "").partition("completions: ")[2])
        for line in lines
    }


@pytest.fixture
def work(tmp_path):
    videos = [work_video(i, ("Arson",) if i % 2 else ()) for i in range(6)]
    return work_folder(tmp_path / "work", videos).root


def test_each_call_is_made_once(work, capsys):
    with chat_server(lambda asked, number: (200, counted(reply_to(prompt_of(asked))))) as (address, asked):
        assert summarise(work, address) == 0
        assert len(asked) == 18  # 12 events, 6 videos
        schema = asked[0].body["response_format"]["json_schema"]["schema"]
        assert schema["required"] == ["judgement", "description", "analysis"]
        assert "18 calls" in (said := capsys.readouterr().out) and "1,800 tokens in, 360 out" in said
        assert summarise(work, address) == 0 and len(asked) == 18
    line = journal(work)[0]
    assert (
        line["model"] == "m"
        and line["settings"] == {"max_new_tokens": None}
        and line["prompt"] in map(prompt_of, asked)
    )
    state = State(work_folder(work, []))
    videos = {video.video: video for video in state.videos()}
    summary = state.video_summary(videos["Arson1"])
    assert summary.parts.judgement == "An anomaly exists, a Arson." and "Person 1 does thing 3" in summary.text
    assert state.video_summary(videos["Normal0"]).parts.analysis is None


def test_a_redo_pays_for_what_changed_alone(work):
    with chat_server(lambda asked, number: (200, counted(reply_to(prompt_of(asked))))) as (address, asked):
        summarise(work, address)
        decisions, item = Decisions(work / "review" / "decisions.jsonl"), "Arson1/e1/20.000-26.000"
        decisions.decide(item, 0, "ann", ACCEPTED, {"caption": "A barn burns."})
        assert summarise(work, address) == 0
        again = [prompt_of(request) for request in asked[18:]]
        assert len(again) == 2 and all("A barn burns" in prompt for prompt in again)  # its event and its video
        asked.clear()
        assert summarise(work, address, "--max-new-tokens", "99") == 0  # other settings are other calls
        assert len(asked) == 18 and asked[0].body["max_tokens"] == 99


def test_a_reply_that_cannot_be_read_is_asked_for_once_more_then_left_to_people(work, caplog):
    seen = Counter()

    def answer(asked, number):
        prompt = prompt_of(asked)
        seen[prompt] += 1
        if "Person 1 does thing 0" in prompt and "thing 2" not in prompt:
            return 200, counted("I'm sorry, I can't help with that.")
        if "Person 3 does thing 0" in prompt and seen[prompt] == 1:
            return 200, counted("Things happen.")
        return 200, counted(reply_to(prompt))

    with chat_server(answer) as (address, asked):
        assert summarise(work, address) == 0
        assert len(asked) == 12 + 2 + 5 + 1  # two events twice; one video waits, another of them was asked twice
        assert max(seen.values()) == 2
        assert "has no summary: Arson1/e0: no three parts can be read in: I'm sorry" in caplog.text
        assert summarise(work, address) == 0 and len(asked) == 20
        fields = {"judgement": "Arson exists.", "description": "It burns.", "analysis": "Fire."}
        Decisions(work / "review" / "decisions.jsonl").decide("Arson1/e0", 0, "ann", ACCEPTED, fields)
        assert summarise(work, address) == 0 and len(asked) == 21
        assert "Arson exists. It burns. Fire." in prompt_of(asked[-1])


def test_an_empty_answer_is_asked_for_once_more(work):
    seen = Counter()

    def answer(asked, number):
        seen[prompt_of(asked)] += 1
        return 200, counted("  " if seen[prompt_of(asked)] == 1 else reply_to(prompt_of(asked)))

    with chat_server(answer) as (address, asked):
        assert summarise(work, address) == 0 and len(asked) == 36
    state = State(work_folder(work, []))
    assert all(state.video_summary(video).is_there for video in state.videos())


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--concurrency", "0"], "--concurrency must be at least 1, got 0"),
        (["--max-new-tokens", "0"], "--max-new-tokens must be at least 1"),
        (["--max-cost", "-1"], "--max-cost must be at least 0"),
        (["--price", "-1", "1"], "--price must be 0 or more, got -1 1"),
        (["--max-cost", "1"], "--max-cost needs --price IN OUT"),
        (["--prompts", "nowhere"], "--prompts nowhere: no such folder"),
        (["--api-key-env", "NO_SUCH_KEY"], "NO_SUCH_KEY"),
    ],
)
def test_mistakes_are_told_in_a_line(work, capsys, options, said):
    assert summarise(work, "http://127.0.0.1:9", *options) == 1
    assert said in (told := capsys.readouterr().err) and "Traceback" not in told


def test_refusals_are_kept_and_a_dead_server_ends_the_run(work, capsys, caplog):
    def too_long(asked, number):
        prompt = prompt_of(asked)
        if "Person 1" in prompt:
            return 400, {"error": {"message": "maximum context length is 8192 tokens"}}
        return 200, counted(reply_to(prompt))

    with chat_server(too_long) as (address, asked):
        assert summarise(work, address) == 0
        refused = [line for line in journal(work) if "refused" in line]
        assert len(refused) == 2 and "maximum context length" in refused[0]["refused"]
        assert "has no summary: Arson1/e0: refused: " in caplog.text and "2 refused" in capsys.readouterr().out
        count = len(asked)
        assert summarise(work, address) == 0 and len(asked) == count
    before = told(work)
    assert summarise(work, address, "--retries", "0", "--max-new-tokens", "5") == 1
    assert "run the same command again to go on" in capsys.readouterr().err and told(work) == before


def test_a_budget_stops_before_it_is_passed(work, caplog):
    with chat_server(lambda asked, number: (200, counted(reply_to(prompt_of(asked))))) as (address, asked):
        price = ("--price", "10", "100", "--concurrency", "1")  # 0.003 a call
        assert summarise(work, address, *price, "--max-cost", "0.01") == 1
        assert len(asked) == 4 and "--max-cost 0.01 is spent" in caplog.text
        assert summarise(work, address, *price, "--max-cost", "0.01") == 1 and len(asked) == 4
        assert summarise(work, address, *price, "--max-cost", "1") == 0 and len(asked) == 18
    with pytest.raises(ValueError, match="needs --price IN OUT"):
        Budget(most=1.0)


def test_shares_of_two_machines_make_the_whole(work, tmp_path):
    with chat_server(lambda asked, number: (200, counted(reply_to(prompt_of(asked))))) as (address, asked):
        assert summarise(work, address, "--shard", "1/2") == 0
        first = len(asked)
        assert 0 < first < 18 and first % 3 == 0  # whole videos
        assert summarise(work, address, "--shard", "2/2") == 0 and len(asked) == 18
        assert summarise(work, address) == 0 and len(asked) == 18
    assert {path.parent.name for path in work.glob(f"summarise/*/{JOURNAL}")} >= {"1-of-2", "2-of-2"}


def test_a_dry_run_prints_prompts_and_asks_nothing(work, capsys):
    assert main(["annotate", "summarise", "--work", str(work), "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert "12 events and 6 videos want a summary; 6 of them wait" in said and "... and 9 more" in said
    assert "The dense caption of the video is: Person 0 does thing 0. Person 0 does thing 1. There is no" in said
    assert not (work / "summarise").exists() or not journal(work)


def test_the_key_is_in_no_journal_and_no_log(work, monkeypatch, capsys, caplog):
    monkeypatch.setenv("ENGINE_KEY", "sk-very-secret")
    with chat_server(lambda asked, number: (200, counted(reply_to(prompt_of(asked))))) as (address, asked):
        assert summarise(work, address, "--api-key-env", "ENGINE_KEY") == 0
        assert asked[0].headers["Authorization"] == "Bearer sk-very-secret"
    written = b"".join(path.read_bytes() for path in work.rglob("*") if path.is_file())
    said = capsys.readouterr()
    assert b"very-secret" not in written and "very-secret" not in said.out + said.err + caplog.text


def test_what_is_wrong_with_one_item_stops_no_other(tmp_path):
    book = CallBook(tmp_path)

    def ask(call: Call) -> Completion:
        if call.item == "b":
            raise ValueError("b.mp4: can't be read\nmore")
        return Completion(call.prompt.upper())

    calls = [Call(item, f"prompt {item}") for item in "abc"]
    with book.alone():
        outcome = make_calls(book, calls, Asked("m", {}, ask), Budget(), "calls")
    assert outcome.problems == {"b": "b.mp4: can't be read"} and outcome.stopped is None
    assert {line["text"] for line in book.lines.values()} == {"PROMPT A", "PROMPT C"}
    assert book.tally() == Tally(calls=2, uncounted=2, seconds=book.tally().seconds)
    with book.alone(), pytest.raises(RunError, match="another run is writing it"), CallBook(tmp_path).alone():
        pass


# ---- the drill ------------------------------------------------------------------------------------------------------


def faulty(seen: Counter, answered: Counter, lock: threading.Lock):
    """A server whose first answers to a prompt are a fault that the prompt decides, and that is slow at times."""

    def answer(asked: Request, number: int) -> tuple:
        prompt = prompt_of(asked)
        with lock:
            seen[prompt] += 1
            again = seen[prompt] > 1
        kind = sum(prompt.encode()) % 8
        time.sleep(0.15 if kind == 3 else 0.02)
        if kind == 7:
            return 400, {"error": {"message": "maximum context length is 8192 tokens"}}
        if not again:
            if kind == 0:
                return 429, {"error": {"message": "slow down"}}, {"Retry-After": "0.1"}
            if kind == 1:
                return 500, {"error": {"message": "oops"}}
            if kind == 2:
                return 200, b'{"choices": [{"mess'
            if kind == 4:
                return 200, b"", {"Content-Length": 400}  # the connection drops before the body
        with lock:
            answered[prompt] += 1
        return 200, counted("" if kind == 5 else reply_to(prompt))

    return answer


def test_the_drill(tmp_path):
    """Every fault there is, and kill -9 again and again: the journal is that of a quiet run."""
    videos = [work_video(i, ("Arson",) if i % 3 else ()) for i in range(16)]
    quiet, drilled = (work_folder(tmp_path / name, videos).root for name in ("quiet", "drilled"))
    with chat_server(faulty(Counter(), Counter(), threading.Lock())) as (address, _):
        assert summarise(quiet, address, "--concurrency", "1") == 0
    seen, answered, lock = Counter(), Counter(), threading.Lock()
    options = ["--model", "m", "--concurrency", "3", "--retries", "3"]
    kills = 0
    with chat_server(faulty(seen, answered, lock)) as (address, _):
        command = [sys.executable, "-m", "hivau70k_dataset", "annotate", "summarise", "--work", str(drilled)]
        for target in (6, 14, 22, 10**9):
            run = subprocess.Popen([*command, "--endpoint", address, *options], stderr=subprocess.DEVNULL)
            while run.poll() is None and sum(answered.values()) < target:
                time.sleep(0.01)
            if run.poll() is None:
                os.kill(run.pid, signal.SIGKILL)
                kills += 1
            run.wait()
        assert run.returncode == 0 and kills == 3
    assert told(drilled) == told(quiet)
    # An empty answer is asked for twice by rule; whatever else was answered more often was under way when killed.
    kept = Counter(line["prompt"] for line in journal(drilled) if "text" in line)
    assert sum((answered - kept).values()) <= 3 * kills
