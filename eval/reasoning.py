"""Answers in words, as the paper's Table 2 measures them: predicting and scoring are separate runs.

    python eval/reasoning.py predict --model DIR --annotations DIR --videos DIR --output predictions.jsonl
    python eval/reasoning.py score --predictions predictions.jsonl --annotations DIR --output DIR

`predict --help` has other models, servers and several processes (`accelerate launch eval/reasoning.py predict ...`).
"""

import sys
from pathlib import Path


sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # for `eval` itself, and packages not installed

from eval.answers import judge, predict, scores
from modeling_holmes_vau.base.commands import run_command
from modeling_holmes_vau.base.parser import Parser


COMMANDS = {
    "predict": (predict, "ask a model the questions of the instruction rows"),
    "score": (scores, "compare answers with the annotated ones"),
    "judge": (judge, "have a language model judge answers"),
}


def build_parser() -> Parser:
    """The parser of `eval/reasoning.py`."""
    parser = Parser("reasoning.py", description="Evaluation of answers in words.")
    commands = parser.add_subparsers(dest="command", required=True)
    for name, (module, text) in COMMANDS.items():
        command = commands.add_parser(name, help=text, description=module.__doc__.splitlines()[0].split(": ", 1)[-1])
        module.add_arguments(command)
        command.set_defaults(run=module.run)
    return parser


def main(argv: list[str] | None = None) -> int:
    """Entry point; returns the exit status."""
    args = build_parser().parse_args(argv)
    return run_command(args.run, args)


if __name__ == "__main__":
    raise SystemExit(main())
