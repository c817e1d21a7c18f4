"""General questions: does a model still see and answer what has nothing to do with anomalies?

    python eval/general.py predict --model DIR --annotations mini --videos mini/videos --output general.jsonl
    python eval/general.py score --predictions general.jsonl --output DIR

The paper's Figure 6 asks that of models that were tuned on anomalies. The questions lie in `general/` beside the
annotations.
"""

import sys
from pathlib import Path


sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # for `eval` itself, and packages not installed

from eval.answers import general
from modeling_holmes_vau.base.commands import run_command
from modeling_holmes_vau.base.parser import Parser


def build_parser() -> Parser:
    """The parser of `eval/general.py`."""
    parser = Parser("general.py", description="Evaluation of answers to general questions.")
    commands = parser.add_subparsers(dest="command", required=True)
    predict = commands.add_parser("predict", help="ask a model the general questions")
    general.add_predict(predict)
    predict.set_defaults(run=general.run_predict)
    score = commands.add_parser("score", help="count the right answers")
    general.add_score(score)
    score.set_defaults(run=general.run_score)
    return parser


def main(argv: list[str] | None = None) -> int:
    """Entry point; returns the exit status."""
    args = build_parser().parse_args(argv)
    return run_command(args.run, args)


if __name__ == "__main__":
    raise SystemExit(main())
