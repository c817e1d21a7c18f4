"""The commands of the READMEs parse, and the imports of their Python examples work."""

import ast
import re
import shlex
from pathlib import Path

import pytest

import train_scorer
import train_sft
from eval.detection import build_parser as detection_parser
from eval.reasoning import build_parser as reasoning_parser
from hivau70k_dataset.cli import build_parser as dataset_parser
from modeling_holmes_vau.cli import build_parser as model_parser
from training import pretrain_vision
from training.runs import TrainingParser


ROOT = Path(__file__).parents[1]
READMES = [ROOT / "README.md", ROOT / "hivau70k_dataset" / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
PARSERS = {"holmes-vau": model_parser, "python -m hivau70k_dataset": dataset_parser}
SCRIPTS = {
    "eval/detection.py": detection_parser,
    "eval/reasoning.py": reasoning_parser,
}
TRAINING = {
    "train_scorer.py": train_scorer.KINDS,
    "train_sft.py": train_sft.KINDS,
    "training.pretrain_vision": pretrain_vision.KINDS,
}


def blocks(language: str) -> list[str]:
    fence = re.compile(rf"^```{language}\n(.*?)^```", re.MULTILINE | re.DOTALL)
    return [block for path in READMES for block in fence.findall(path.read_text(encoding="utf-8"))]


COMMANDS = [
    (program, line)
    for block in blocks("bash")
    for line in block.splitlines()
    for program in PARSERS
    if line.startswith(program)
]


@pytest.mark.parametrize(("program", "line"), COMMANDS)
def test_commands(program, line):
    words = shlex.split(line.removeprefix(program), comments=True)
    assert PARSERS[program]().parse_args(words).command == words[0]


SCRIPT_LINES = [
    (program, line)
    for block in blocks("bash")
    for line in block.splitlines()
    for program in (*SCRIPTS, *TRAINING)
    if line.startswith(("python ", "accelerate launch ")) and program in line
]


@pytest.mark.parametrize(("program", "line"), SCRIPT_LINES)
def test_commands_of_the_scripts(program, line, tmp_path):
    words = shlex.split(line.partition(f" {program}")[2], comments=True)
    if program in SCRIPTS:
        args = SCRIPTS[program]().parse_args(words)
        assert vars(args).get("annotations") == dict(zip(words, words[1:])).get("--annotations")
        return
    if "..." in words:  # what is as before
        words.remove("...")
        words += ["--model", "base", "--annotations", "a", "--videos", "v", "--output-dir", str(tmp_path)]
    if "--output-dir" not in words:
        words += ["--output-dir", str(tmp_path)]
    if "--config" in words:
        words[words.index("--config") + 1] = str(ROOT / words[words.index("--config") + 1])
    if "--use-cpu" not in words:
        words += ["--use-cpu", "true"]
    args, _ = TrainingParser(TRAINING[program]).parse_args_and_config(words)
    given = dict(zip(words, words[1:]))
    named = {name: given[f"--{name}"] for name in ("model", "annotations", "videos") if f"--{name}" in given}
    assert named and {name: vars(args)[name] for name in named} == named


def test_there_are_commands_of_all():
    assert {program for program, _ in (*COMMANDS, *SCRIPT_LINES)} == {*PARSERS, *SCRIPTS, *TRAINING}


@pytest.mark.parametrize("block", blocks("python"))
def test_imports_of_the_examples(block):
    for statement in ast.parse(block).body:
        if isinstance(statement, ast.Import | ast.ImportFrom):
            names = {}
            exec(compile(ast.Module([statement], []), "README", "exec"), names)
            assert names.keys() >= {alias.asname or alias.name.split(".")[0] for alias in statement.names}
