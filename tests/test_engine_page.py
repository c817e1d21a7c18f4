"""docs/annotate.md: its commands, from a folder of videos to a tuned model, on small videos."""

import re
import shlex
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

import train_scorer
import train_sft
from hivau70k_dataset.cli import main as dataset
from hivau70k_dataset.engine.decisions import ACCEPTED
from hivau70k_dataset.engine.review.items import list_items
from hivau70k_dataset.engine.state import State
from hivau70k_dataset.engine.work import Work
from modeling_holmes_vau.cli import main as holmes_vau
from tests.chat_server import chat_server, completion
from tests.videos import write_video


PAGE = (Path(__file__).parents[1] / "docs" / "annotate.md").read_text(encoding="utf-8")
SUMMARY = "1. {first}\n2. A square moves over a grey ground.\n3. Nobody moved it."


@pytest.fixture(scope="module")
def folder(tmp_path_factory, checkpoint56):
    """The table of the page and its videos, of 8 seconds, with the model it calls `base`."""
    folder = tmp_path_factory.mktemp("page")
    (folder / "cameras").mkdir()
    table = re.search(r"^```\n(video,label\n.*?)^```", PAGE, re.MULTILINE | re.DOTALL)[1]
    (folder / "labels.csv").write_text(table, encoding="utf-8")
    for video in (row.split(",")[0] for row in table.splitlines()[1:]):
        write_video(folder / "cameras" / video, num_frames=200)
    (folder / "base").symlink_to(checkpoint56)
    (folder / "configs").symlink_to(Path(__file__).parents[1] / "configs")
    return folder


def commands() -> list[list[str]]:
    blocks = re.findall(r"^```bash\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    return [shlex.split(line) for block in blocks for line in block.splitlines()]


def answer(asked, number: int) -> tuple[int, dict]:
    prompt = asked.body["messages"][0]["content"]
    if isinstance(prompt, list):  # frames and a question
        return 200, completion("A square moves over a grey ground.")
    label = re.search(r"abnormal events \((.*?)\)", prompt)
    first = f"An anomaly exists, a {label[1]}." if label else "No anomaly exists."
    return 200, completion(SUMMARY.format(first=first))


def accept_all(work: Path) -> None:
    """What people do on the page."""
    state = State(Work(work))
    for item in list_items(state):
        state.decisions.decide(item.id, item.rev, "ann", ACCEPTED, {}, item.digest)


def test_the_page_goes_from_a_folder_to_a_tuned_model(folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    done = []
    with chat_server(answer) as (address, asked):
        for words in commands():
            if "review" in words and "--open" in words:
                accept_all(folder / "work")
            elif words[:3] == ["python", "-m", "hivau70k_dataset"]:
                words = [address if word == "http://localhost:8000/v1" else word for word in words[3:]]
                words += ["--endpoint", address] if "caption" in words else []
                words += ["--threshold", "0.01", "--device", "cpu"] if "decouple" in words else []
                assert dataset(words) == 0, (words, capsys.readouterr())
            elif words[:2] == ["python", "train_scorer.py"]:
                quick = ["--max-steps", "2", "--per-device-train-batch-size", "1", "--eval-steps", "1"]
                quick += ["--save-steps", "1", "--use-cpu", "true", "--report-to", "none"]
                train_scorer.main([*words[2:], *quick])
            elif words[:3] == ["accelerate", "launch", "train_sft.py"]:
                quick = ["--max-steps", "1", "--use-cpu", "true", "--report-to", "none", "--global-batch-size", "4"]
                quick += ["--per-device-train-batch-size", "4", "--dataloader-num-workers", "0"]
                quick += ["--sampler", "uniform", "--num-frames", "2"]
                assert train_sft.main([*words[3:], *quick])["rows"] > 8
            else:
                assert words[0] == "holmes-vau"
                more = ["--device", "cpu", "--num-frames", "2"] if words[1] == "analyze" else []
                assert holmes_vau([*words[1:], *more]) == 0
            done.append(" ".join(words[:4]))
        assert len(asked) > 4
    assert (folder / "report").is_dir() and (folder / "tasks.json").is_file() and len(done) == len(commands()) > 14


def test_all_steps_in_one_command(folder, tmp_path, capsys):
    with chat_server(answer) as (address, asked):
        command = [
            "annotate",
            "all",
            "--work",
            tmp_path / "work",
            "--videos",
            folder / "cameras",
            "--scorer",
            folder / "base",
        ]
        command += ["--labels", folder / "labels.csv", "--threshold", "0.01", "--captioner", folder / "base"]
        command += ["--summariser", "llama", "--summariser-endpoint", address, "--device", "cpu", "--no-review"]
        command = [str(word) for word in command]
        assert dataset(command) == 1 and "pass --unreviewed too, or review" in capsys.readouterr().err
        assert dataset([*command, "--unreviewed"]) == 0
        count = len(asked)
        assert count > 4 and (tmp_path / "work" / "annotations" / "raw_annotations").is_dir()
        assert dataset([*command, "--unreviewed"]) == 0 and len(asked) == count
        capsys.readouterr()
        assert dataset([*command, "--unreviewed", "--dry-run"]) == 0
        said = capsys.readouterr().out
    assert "clips want a caption" in said and "Please provide a short and brief description" in said
    assert "want a summary" in said and len(asked) == count


def test_all_waits_for_people_and_goes_on(folder, tmp_path):
    with chat_server(answer) as (address, _):
        words = ["annotate", "all", "--work", tmp_path / "work", "--videos", folder / "cameras"]
        words += ["--scorer", folder / "base", "--labels", folder / "labels.csv", "--threshold", "0.01"]
        words += ["--captioner", folder / "base"]
        words += ["--summariser", "llama", "--summariser-endpoint", address, "--device", "cpu"]
        command = [sys.executable, "-m", "hivau70k_dataset", *map(str, words)]
        # What is started in the background ignores Ctrl-C, and so would what it starts.
        listens = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
        quiet = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
        with subprocess.Popen(command, preexec_fn=listens, **quiet) as run:
            while "review at http://127.0.0.1:" not in (line := run.stdout.readline()):
                assert line, "it ended before the review"
            accept_all(tmp_path / "work")
            run.send_signal(signal.SIGINT)
            rest = run.stdout.read()
    assert run.returncode == 0 and "wrote " in rest and "4 videos" in rest
