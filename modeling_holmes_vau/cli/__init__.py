"""`holmes-vau analyze | collect | chat | web | convert | init | merge | export`: parsing and printing only."""

import argparse

from .. import __version__
from ..base.commands import CommandError, run_command
from ..base.parser import Parser
from .analyze import add_analyze, run_analyze
from .chat import add_chat, run_chat
from .collect import add_collect, run_collect
from .web import add_web, run_web


OTHERS = """other programs:
  python -m hivau70k_dataset --help   check, count, cut, export annotations; tables of your own; the miniature
and in a clone of the repository:
  python train_scorer.py --help       train the anomaly scorer on frame labels (docs/scorer.md)
  python train_sft.py --help          tune the language model on instructions (docs/sft.md)
  python eval/detection.py --help     measure detection: AUC, AP, events (docs/scorer.md)
  python eval/reasoning.py --help     measure answers in words (docs/reasoning.md)"""


def build_parser() -> Parser:
    """The parser of `holmes-vau`."""
    parser = Parser(
        prog="holmes-vau",
        description="Video anomaly understanding at any granularity.",
        epilog=OTHERS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"holmes-vau {__version__}")
    commands = parser.add_subparsers(dest="command", required=True)
    add_analyze(commands.add_parser("analyze", help="scores, events and an answer for each video"))
    add_collect(
        commands.add_parser("collect", help="join reports of several runs or machines, and say what is missing")
    )
    add_chat(commands.add_parser("chat", help="a conversation about a video, its events or any span, in the terminal"))
    add_web(commands.add_parser("web", help="a page in the browser: drop a video in, see, ask, try settings"))
    convert = commands.add_parser("convert", help="original Holmes-VAU weights -> a folder for the Auto classes")
    convert.add_argument(
        "--checkpoint", required=True, metavar="DIR", help="folder or Hub name in the layout of InternVL2"
    )
    convert.add_argument(
        "--scorer", metavar="FILE", help="anomaly_scorer.pth or .safetensors, a file or URL; default: an untrained one"
    )
    convert.add_argument("-o", "--output", required=True, metavar="DIR", help="folder to write; new or empty")
    convert.add_argument(
        "--num-frames", type=int, default=12, metavar="N", help="frames the language model sees (12 for HolmesVAU-2B)"
    )
    convert.add_argument("--seed", type=int, default=0, help="seed of an untrained scorer's weights (0)")
    init = commands.add_parser("init", help="an InternVL checkpoint plus a fresh anomaly scorer")
    init.add_argument(
        "--base", required=True, metavar="DIR", help="folder or Hub name of an InternVL, of transformers or InternVL2"
    )
    init.add_argument("-o", "--output", required=True, metavar="DIR", help="folder to write; new or empty")
    init.add_argument("--num-frames", type=int, default=16, metavar="N", help="frames the language model sees (16)")
    init.add_argument("--seed", type=int, default=0, help="seed of the scorer's weights (0)")
    merge = commands.add_parser("merge", help="an adapter of train_sft.py and its base -> one checkpoint")
    merge.add_argument("--adapter", required=True, metavar="DIR", help="folder or Hub name of the adapter")
    merge.add_argument("-o", "--output", required=True, metavar="DIR", help="folder to write; new or empty")
    merge.add_argument("--base", metavar="DIR", help="folder or Hub name; default: the one the adapter names")
    merge.add_argument(
        "--scale", type=float, default=1.0, metavar="S", help="how much of the adapter is added, above 0 to 1 (1)"
    )
    merge.add_argument("--half", action="store_true", help="store float32 weights in 16 bits: half the file")
    export = commands.add_parser("export", help="a checkpoint -> a folder that vLLM serves, and eyes for `analyze`")
    export.add_argument("--for", dest="target", choices=("vllm",), default="vllm", help="the engine (vllm)")
    export.add_argument("--checkpoint", required=True, metavar="DIR", help="folder or Hub name of a Holmes-VAU")
    export.add_argument("-o", "--output", required=True, metavar="DIR", help="folder to write; new or empty")
    return parser


def _run(args: argparse.Namespace) -> int:
    for name in ("num_frames", "stride", "max_new_tokens", "batch_size"):
        value = vars(args).get(name)
        if value is not None and value < 1:
            raise CommandError(f"--{name.replace('_', '-')} must be at least 1, got {value}")
    if args.command == "analyze":
        return run_analyze(args)
    if args.command == "collect":
        return run_collect(args)
    if args.command == "chat":
        return run_chat(args)
    if args.command == "web":
        return run_web(args)
    if args.command == "convert":
        from ..checkpoint.convert import convert

        output = convert(args.checkpoint, args.scorer, args.output, args.num_frames, args.seed)
    elif args.command == "merge":
        from ..checkpoint.merge import merge

        output = merge(args.adapter, args.output, args.base, args.half, args.scale)
    elif args.command == "export":
        from ..checkpoint.export import export

        output = export(args.checkpoint, args.output)
    else:
        from ..checkpoint.create import init_from_base

        output = init_from_base(args.base, args.output, args.num_frames, args.seed)
    print(f"wrote {output}")
    return 0


def main(argv: list[str] | None = None) -> int:
    """Entry point of `holmes-vau`; returns the exit status."""
    return run_command(_run, build_parser().parse_args(argv))
