"""Figures that show what models say and see: the paper's Figures 5 and G to J, and F.

    python eval/qualitative.py compare --models Ours=ours.jsonl Rival=rival.jsonl --annotations DIR --output page.html
    python eval/qualitative.py timeline --model DIR --annotations DIR --videos DIR --output timelines

`docs/qualitative.md` shows both.
"""

import sys
from pathlib import Path


sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # for `eval` itself, and packages not installed

from eval.paper import qualitative_compare, qualitative_timeline
from modeling_holmes_vau.base.commands import run_command
from modeling_holmes_vau.base.parser import Parser


COMMANDS = {
    "compare": (qualitative_compare, "answers of several models beside each other, on one page (Figure 5)"),
    "timeline": (qualitative_timeline, "scores, annotated spans and chosen frames of test videos (Figure F)"),
}


def build_parser() -> Parser:
    """The parser of `eval/qualitative.py`."""
    parser = Parser("qualitative.py", description="Figures of what models say and see.")
    commands = parser.add_subparsers(dest="command", required=True)
    for name, (module, text) in COMMANDS.items():
        command = commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
        module.add_arguments(command)
        command.set_defaults(run=module.run)
    return parser


def main(argv: list[str] | None = None) -> int:
    """Entry point; returns the exit status."""
    args = build_parser().parse_args(argv)
    return run_command(args.run, args)


if __name__ == "__main__":
    raise SystemExit(main())
