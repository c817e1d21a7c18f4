"""What all programs share: the parser, times, progress, and what libraries say."""

import ast
import io
import logging
import os
import re
import subprocess
import sys
import warnings
from dataclasses import fields
from pathlib import Path

import pytest

from eval import detection, reasoning
from hivau70k_dataset import cli as dataset_cli
from hivau70k_dataset.schema import LEVELS, TASKS
from modeling_holmes_vau import cli
from modeling_holmes_vau.base import libraries, progress
from modeling_holmes_vau.base.clock import clock, parse_clock
from modeling_holmes_vau.base.commands import CommandError, check_output_folder
from modeling_holmes_vau.base.files import few_of
from training.options import SFTArguments


ROOT = Path(__file__).resolve().parents[1]
PARSERS = {
    "holmes-vau": cli.build_parser,
    "dataset": dataset_cli.build_parser,
    "detection": detection.build_parser,
    "reasoning": reasoning.build_parser,
}


@pytest.mark.parametrize(
    ("program", "words", "said"),
    [
        ("holmes-vau", "analyse a.mp4", "analyse: no such command. Did you mean analyze?"),
        ("holmes-vau", "analyze a.mp4 --promt x", "--promt: no such option. Did you mean --prompt?"),
        ("holmes-vau", "analyze a.mp4 --promt=x", "--promt: no such option. Did you mean --prompt?"),
        ("holmes-vau", "analyze a.mp4 --xyzzy", "--xyzzy: no such option."),
        ("holmes-vau", "analyze a.mp4 --segment 1:75 2:00", "got '1:75', expected a time"),
        ("holmes-vau", "--verson", "--verson: no such option. Did you mean --version?"),
        ("holmes-vau", "analyze", "the following arguments are required: VIDEO."),
        ("dataset", "validat", "validat: no such command. Did you mean validate?"),
        ("dataset", "cut --annotation_s x", "--annotation_s: no such option. Did you mean --annotations?"),
        ("detection", "--modle x", "--modle: no such option. Did you mean --model?"),
        ("reasoning", "predict --num_frame_s 3", "--num_frame_s: no such option. Did you mean --num-frames?"),
    ],
)
def test_a_mistake_names_what_was_meant(program, words, said, capsys):
    with pytest.raises(SystemExit, match="2"):
        PARSERS[program]().parse_args(words.split())
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ") and said in line and line.endswith("--help")


@pytest.mark.parametrize("program", ["holmes-vau", "dataset", "reasoning"])
def test_a_program_alone_prints_its_help(program, capsys):
    with pytest.raises(SystemExit, match="0"):
        PARSERS[program]().parse_args([])
    out, err = capsys.readouterr()
    assert out.startswith("usage: ") and not err


def test_hyphens_and_underscores_are_one():
    common = ["predict", "--model", "m", "--annotations", "a", "--videos", "v", "-o", "p"]
    parse = PARSERS["reasoning"]().parse_args
    assert parse([*common, "--num_frames=3"]) == parse([*common, "--num-frames", "3"])
    args = cli.build_parser().parse_args(["analyze", "--num_frames", "3", "--", "--b_c.mp4"])
    assert args.num_frames == 3 and args.videos == ["--b_c.mp4"]
    assert vars(cli.build_parser().parse_args(["analyze", "a", "--max", "3"]))["max_new_tokens"] == 3


def test_no_option_is_shown_with_an_underscore():
    for build in PARSERS.values():
        parser = build()
        for command in [parser, *(parser.commands.choices.values() if parser.commands else ())]:
            assert not re.findall(r"--[\w-]*_", command.format_help())


@pytest.mark.parametrize("path", sorted((ROOT / "benchmarks").glob("*.py")), ids=lambda path: path.name)
def test_benchmarks_have_the_parser_of_all_programs(path):
    calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
    names = [node.func.attr if isinstance(node.func, ast.Attribute) else ast.unparse(node.func) for node in calls]
    words = [word.value for node, name in zip(calls, names) if name == "add_argument" for word in node.args]
    assert "ArgumentParser" not in names and ("Parser" in names) == bool(words)
    assert not [word for word in words if word.startswith("--") and "_" in word]


@pytest.mark.parametrize("time_s", [0.0, 0.04, 17.3, 59.96, 98.4, 3599.96, 3725.2, 100_000.5])
@pytest.mark.parametrize("decimals", [0, 1, 2])
def test_times_are_read_as_they_are_printed(time_s, decimals):
    assert parse_clock(clock(time_s, decimals)) == pytest.approx(round(time_s, decimals), abs=0.51 * 10**-decimals)


@pytest.mark.parametrize("text", ["", "a", "-1", "1:60", "1:60:00", "1:2:3:4", "1e3", "nan", "1:-2", "\u0661"])
def test_what_is_no_time(text):
    assert parse_clock(text) is None


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_progress_is_lines_outside_a_terminal(monkeypatch):
    lines, terminal = io.StringIO(), Terminal()
    for stream in (lines, terminal):
        monkeypatch.setattr(sys, "stderr", stream)
        for _ in progress.Progress(range(3), "videos", unit="video", mininterval=0, line_every_s=0.0):
            pass
    assert "\r" in terminal.getvalue() and "\r" not in lines.getvalue()
    assert lines.getvalue().splitlines()[-1].startswith("videos: 3 of 3 videos, ")
    monkeypatch.setattr(sys, "stderr", quick := io.StringIO())
    list(progress.Progress(range(3), "videos", unit="video"))
    assert quick.getvalue() == ""


def test_libraries_are_quiet_about_what_is_listed_alone(monkeypatch):
    for name in libraries.NO_BARS:
        monkeypatch.delenv(name, raising=False)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        libraries.quiet_libraries()
        warnings.warn("`gradient_checkpointing` is deprecated and will be removed", FutureWarning, stacklevel=1)
        warnings.warn("the disk is nearly full", UserWarning, stacklevel=1)
    assert [str(warning.message) for warning in told] == ["the disk is nearly full"]
    assert all(os.environ[name] == "1" for name in libraries.NO_BARS)
    logger = logging.getLogger("transformers.trainer_utils")
    kept = [
        text
        for text in ("mtime may not be reliable on this filesystem", "loss is nan")
        if logger.filter(logger.makeRecord(logger.name, logging.WARNING, "", 0, text, (), None))
    ]
    assert kept == ["loss is nan"]


def test_the_problems_of_a_run(tmp_path):
    lines = [f"v{number}" for number in range(7)]
    assert few_of(lines[:5], tmp_path / "new") == lines[:5] and not (tmp_path / "new").exists()
    assert few_of(lines, None) == lines
    assert few_of(lines, tmp_path) == [*lines[:5], f"2 more: see {tmp_path / 'errors.txt'}"]
    assert (tmp_path / "errors.txt").read_text().split() == lines
    assert few_of([], tmp_path) == [] and (tmp_path / "errors.txt").read_text() == ""  # of the run before: gone


def test_an_output_folder_is_no_file(tmp_path):
    check_output_folder(tmp_path / "new" / "er")
    (tmp_path / "file").touch()
    with pytest.raises(CommandError, match="--output .*file: is a file; pass a folder"):
        check_output_folder(tmp_path / "file")
    (tmp_path / "link").symlink_to(tmp_path / "gone")
    with pytest.raises(CommandError, match="link is a file"):
        check_output_folder(tmp_path / "link" / "below")


@pytest.mark.parametrize(
    ("program", "run"),
    [
        ("train_scorer.py", "run_path('train_scorer.py'"),
        ("train_sft.py", "run_path('train_sft.py'"),
        ("python -m training.pretrain_vision", "run_module('training.pretrain_vision'"),
    ],
)
def test_help_of_the_trainings_is_short_and_at_once(program, run):
    code = (
        "import runpy, sys; sys.argv = ['x', '--help']\n"
        f"try: runpy.{run}, run_name='__main__')\n"
        "except SystemExit as stop: assert not stop.code\n"
        "assert not {'torch', 'transformers', 'trl', 'numpy'} & sys.modules.keys()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.startswith(f"usage: {program} ") and len(done.stdout.splitlines()) < 100
    for option in ("--videos", "--output-dir", "--learning-rate", "--use-cpu", "--help-all", "--config"):
        assert f" {option} " in done.stdout
    assert "_dir " not in done.stdout


def test_levels_and_tasks_are_those_of_the_data():
    defaults = {option.name: option.default_factory for option in fields(SFTArguments)}
    assert (tuple(defaults["levels"]()), tuple(defaults["tasks"]())) == (LEVELS, TASKS)
