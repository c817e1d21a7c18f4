"""`holmes-vau web`: a page in the browser."""

import argparse
import importlib.util

from ..base.commands import CommandError
from ..checkpoint.known import ATTENTION_HELP, ATTENTIONS, MINI


def add_web(parser: argparse.ArgumentParser) -> None:
    """Arguments of `holmes-vau web`."""
    parser.add_argument(
        "--model",
        metavar="DIR",
        help="checkpoint folder or Hub name; default: holmes-vau-mini, which knows the miniature",
    )
    parser.add_argument("--videos", metavar="DIR", help="a folder whose videos visitors may choose, beside their own")
    parser.add_argument("--host", default="127.0.0.1", help="where to listen (127.0.0.1: this machine alone)")
    parser.add_argument("--port", type=int, metavar="N", help="default: the first free one from 7860 on")
    parser.add_argument("--max-mb", type=float, default=500, metavar="N", help="largest upload, in megabytes (500)")
    parser.add_argument("--max-minutes", type=float, default=60, metavar="N", help="longest video (60)")
    parser.add_argument("--device", help="cpu, cuda, cuda:1, mps; default: the fastest there is")
    parser.add_argument(
        "--dtype", default="auto", choices=("auto", "float32", "bfloat16", "float16"), help="default: the checkpoint's"
    )
    parser.add_argument("--attention", choices=ATTENTIONS, help=ATTENTION_HELP)


def run_web(args: argparse.Namespace) -> int:
    """`holmes-vau web`: serves until it is interrupted."""
    for name, extra in (("gradio", "web"), ("matplotlib", "web")):
        if importlib.util.find_spec(name) is None:
            raise CommandError(f'the page needs {name}, which is missing: pip install "holmes-vau[{extra}]"')
    for name in ("max_mb", "max_minutes"):
        if vars(args)[name] <= 0:
            raise CommandError(f"--{name.replace('_', '-')} must be above 0, got {vars(args)[name]:g}")
    from ..apps.limits import Limits, Shelf

    try:
        shelf = Shelf.of(args.videos)
    except FileNotFoundError as error:
        raise CommandError(str(error)) from None
    from ..apps.web import Page, build_app, launch
    from .analyze import load_for

    model, processor = load_for(args)
    page = Page(model, processor, args.model or MINI, shelf, Limits(args.max_mb, args.max_minutes))
    launch(build_app(page), page, args.host, args.port)
    return 0
