"""The commands of the READMEs parse, and the imports of their Python examples work."""

import ast
import re
import shlex
from pathlib import Path

import pytest

from hivau70k_dataset.cli import build_parser as dataset_parser
from modeling_holmes_vau.cli import build_parser as model_parser


ROOT = Path(__file__).parents[1]
READMES = [ROOT / "README.md", ROOT / "hivau70k_dataset" / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
PARSERS = {"holmes-vau": model_parser, "python -m hivau70k_dataset": dataset_parser}


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


def test_there_are_commands_of_both():
    assert {program for program, _ in COMMANDS} == set(PARSERS)


@pytest.mark.parametrize("block", blocks("python"))
def test_imports_of_the_examples(block):
    for statement in ast.parse(block).body:
        if isinstance(statement, ast.Import | ast.ImportFrom):
            names = {}
            exec(compile(ast.Module([statement], []), "README", "exec"), names)
            assert names.keys() >= {alias.asname or alias.name.split(".")[0] for alias in statement.names}
