"""The tables of the paper, each as one command that goes on where it was stopped.

    python eval/tables.py table1 --output tables            detection, with event mAP and blind baselines
    python eval/tables.py table2 --output tables --models A=a.jsonl B=DIR
    python eval/tables.py table3 --output tables --base DIR   levels of the training data
    python eval/tables.py table4 --output tables            samplers, numbers of frames, latency
    python eval/tables.py figure6 --output tables --base DIR  ranks of LoRA

Each writes Markdown, JSON and a picture; `docs/tables.md` has what they gave. Figures 3, 5, F and G to J are
`python -m hivau70k_dataset stats` and `eval/qualitative.py`.
"""

import sys
from pathlib import Path


sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # for `eval` itself, and packages not installed

from eval.paper import figure6, table1, table2, table3, table4
from modeling_holmes_vau.base.commands import CommandError, output_folder, run_command
from modeling_holmes_vau.base.parser import Parser
from modeling_holmes_vau.base.runs import sole_run


COMMANDS = {
    "table1": (table1, "frame-level detection: AUC, AP, event mAP, blind baselines"),
    "table2": (table2, "answers in words of any number of models, in every protocol"),
    "table3": (table3, "the seven combinations of levels, one LoRA each"),
    "table4": (table4, "samplers and numbers of frames, with the time to the first token"),
    "figure6": (figure6, "ranks of LoRA against anomaly understanding and general ability"),
}


def build_parser() -> Parser:
    """The parser of `eval/tables.py`."""
    parser = Parser("tables.py", description="The tables of the paper.")
    commands = parser.add_subparsers(dest="command", required=True)
    for name, (module, text) in COMMANDS.items():
        command = commands.add_parser(name, help=text, description=module.__doc__.splitlines()[0].split(": ", 1)[-1])
        module.add_arguments(command)
        command.set_defaults(make=module.run, run=run)
    return parser


def run(args) -> int:
    """Make a table, with its folder to itself."""
    try:
        import evaluate  # noqa: F401
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise CommandError(f'tables need {error.name}: pip install -c constraints.txt -e ".[eval]"') from error
    with sole_run(output_folder(args.output)):
        return args.make(args)


def main(argv: list[str] | None = None) -> int:
    """Entry point; returns the exit status."""
    args = build_parser().parse_args(argv)
    return run_command(args.run, args)


if __name__ == "__main__":
    raise SystemExit(main())
