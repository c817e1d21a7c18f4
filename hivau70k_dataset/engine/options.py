"""The arguments of `python -m hivau70k_dataset annotate`."""

import argparse
import json
import re
from pathlib import Path

from modeling_holmes_vau.answering.answerer import AUTO, FRAMES_AS
from modeling_holmes_vau.base.parser import add_server_arguments

from ..schema import SPLITS
from .division import CLIP_RANGE_S, CLIP_S, DIVISIONS, NORMAL_EVENTS, NORMAL_RANGE_S
from .work import FORMS


CAPTIONER, SUMMARISER = "LLaVA-NeXT-Video-7B", "Llama-3-70B-Instruct"  # the paper's
# What the Hub calls these; a server may call them anything.
ON_THE_HUB = {CAPTIONER: "llava-hf/LLaVA-NeXT-Video-7B-hf", SUMMARISER: "meta-llama/Meta-Llama-3-70B-Instruct"}
CONCURRENCY = 8


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The steps, each a command of its own."""
    steps = parser.add_subparsers(dest="step", required=True, metavar="STEP")

    def step(name: str, text: str) -> argparse.ArgumentParser:
        added = steps.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
        added.add_argument("--work", required=True, metavar="DIR", help="the work folder")
        return added

    add_decouple(step("decouple", "1: take videos apart into events and clips"))
    add_caption(step("caption", "2: caption every clip with a video language model"))
    add_summarise(step("summarise", "3: summarise events, then videos, with a language model"))
    add_review(step("review", "4: check everything in a browser, or in a table"))
    add_instruct(step("instruct", "5: write annotations and instruction rows"))
    whole = step("all", "all steps, with a review in between")
    add_decouple(whole)
    add_model(whole.add_argument_group("captioner"), "captioner", CAPTIONER)
    add_model(whole.add_argument_group("summariser"), "summariser", SUMMARISER)
    add_calls(whole)
    whole.add_argument("--no-review", action="store_true", help="do not wait for people; needs --unreviewed")
    add_page(whole)
    add_instruct(whole)
    step("status", "tell what is in a work folder, and what is missing")
    move = step("export", "write what is in a work folder, reviewed or not, in the form of another tool")
    move.add_argument("--form", required=True, choices=FORMS[3:], help="of which tool")
    move.add_argument("-o", "--output", required=True, metavar="PATH", help="file or folder to write")
    move = step("import", "take what was changed in another tool as decisions of a person")
    move.add_argument("--file", required=True, type=Path, metavar="PATH", help="what that tool has written")
    move.add_argument("--form", choices=FORMS[3:], help="of which tool; told by the file itself")
    move.add_argument("--who", required=True, metavar="NAME", help="whose changes they are")


def add_decouple(parser: argparse.ArgumentParser) -> None:
    """Arguments of step 1."""
    parser.add_argument("--videos", required=True, type=Path, metavar="DIR", help="folder of the videos")
    parser.add_argument("--source", default="mine", metavar="NAME", help="what to call the collection (mine)")
    parser.add_argument("--split", choices=SPLITS, default="train", help="which split it is (train)")
    events = parser.add_argument_group("events: drawn by people, or proposed by an anomaly scorer")
    events.add_argument(
        "--events", type=Path, metavar="FILE", help="boundaries that are given; without, they are proposed"
    )
    events.add_argument("--events-form", choices=FORMS, help="of that file; told by the file itself")
    events.add_argument("--scorer", metavar="MODEL", help="Holmes-VAU checkpoint that scores the videos, and proposes")
    events.add_argument("--threshold", type=float, metavar="P", help="score that makes an event (the checkpoint's)")
    events.add_argument(
        "--labels", type=Path, metavar="FILE", help="table video,label: classes of videos, for proposals"
    )
    events.add_argument(
        "--no-names", action="store_true", help="do not ask the checkpoint for the classes of its proposals"
    )
    division = parser.add_argument_group("clips, and events of normal videos")
    division.add_argument(
        "--clips", type=Path, metavar="FILE", help="clips with captions that are given, as UCA has them"
    )
    division.add_argument(
        "--clips-by", choices=DIVISIONS, default="given", help="how events are divided (given, else uniform)"
    )
    division.add_argument(
        "--clip-seconds", type=float, default=CLIP_S, metavar="S", help=f"of a uniform division ({CLIP_S})"
    )
    _add_range(division, "--clip-range", float, CLIP_RANGE_S, "shortest and longest clip of a random one, in seconds")
    _add_range(division, "--normal-range", float, NORMAL_RANGE_S, "shortest and longest event of a normal video")
    _add_range(division, "--normal-events", int, NORMAL_EVENTS, "fewest and most events of one")
    division.add_argument("--division-seed", type=int, default=0, metavar="N", help="of what is random (0)")
    parser.add_argument("--device", help="cpu, cuda, cuda:1, mps; default: the fastest there is")
    parser.add_argument("--dtype", default="auto", choices=("auto", "float32", "bfloat16", "float16"))
    parser.add_argument("--redo", action="store_true", help="take apart again what was, with other settings")


def _add_range(parser, option: str, kind: type, default: tuple, text: str) -> None:
    said = " ".join(f"{value:g}" for value in default)
    parser.add_argument(option, nargs=2, type=kind, default=default, metavar=("A", "B"), help=f"{text} ({said})")


def add_model(group, name: str, default: str) -> None:
    """Which model is asked, here or behind a server: `--captioner`, `--captioner-endpoint`, `--captioner-key-env`."""
    group.add_argument(
        f"--{name}", default=default, metavar="MODEL", help=f"checkpoint, or --{name}-endpoint's name ({default})"
    )
    group.add_argument(
        f"--{name}-endpoint", metavar="URL", help="server of OpenAI's form, such as http://localhost:8000/v1"
    )
    group.add_argument(f"--{name}-key-env", metavar="VAR", help="environment variable that holds its key")


def add_calls(parser: argparse.ArgumentParser) -> None:
    """How models are asked, and what may be spent."""
    parser.add_argument("--concurrency", type=int, default=CONCURRENCY, metavar="N", help="requests at a time (8)")
    parser.add_argument("--timeout", type=float, default=300.0, metavar="S", help="seconds without a byte (300)")
    parser.add_argument("--retries", type=int, default=5, metavar="N", help="how often a request is repeated (5)")
    add_budget(parser)
    parser.add_argument("--num-frames", type=int, metavar="N", help="frames the captioner sees (its own, else 16)")


def add_budget(parser: argparse.ArgumentParser) -> None:
    """What may be spent, what is asked, and of which share."""
    parser.add_argument(
        "--prompts", type=Path, metavar="DIR", help="own prompts: caption.txt, event.txt, video.txt, ..."
    )
    parser.add_argument("--max-new-tokens", type=int, metavar="N", help="longest text (the model's, else 1024)")
    parser.add_argument(
        "--price",
        nargs=2,
        type=float,
        default=(0.0, 0.0),
        metavar=("IN", "OUT"),
        help="of a million tokens, in and out",
    )
    parser.add_argument(
        "--max-cost", type=float, metavar="X", help="stop once so much is spent on this step, all runs together"
    )
    parser.add_argument("--dry-run", action="store_true", help="print prompts and how many calls there are, and stop")
    parser.add_argument(
        "--shard", type=read_shard, default=(1, 1), metavar="I/N", help="the I-th of N shares, of N machines"
    )


def read_shard(text: str) -> tuple[int, int]:
    """`I/N` as two numbers.

    >>> read_shard("2/8")
    (2, 8)
    """
    match = re.fullmatch(r"(\d+)/(\d+)", text)
    if match is None or not 1 <= int(match[1]) <= int(match[2]):
        raise argparse.ArgumentTypeError(f"got {text!r}, expected I/N with 1 <= I <= N, such as 2/8")
    return int(match[1]), int(match[2])


def add_caption(parser: argparse.ArgumentParser) -> None:
    """Arguments of step 2."""
    parser.add_argument(
        "--model", default=CAPTIONER, metavar="MODEL", help=f"checkpoint, or --endpoint's name ({CAPTIONER})"
    )
    parser.add_argument("--num-frames", type=int, metavar="N", help="frames of a clip that it sees (its own, else 16)")
    parser.add_argument(
        "--frames-as",
        choices=FRAMES_AS,
        default=AUTO,
        help="one video, or a picture each (auto: a video where the checkpoint takes videos; servers: images)",
    )
    add_budget(parser)
    parser.add_argument("--device", help="cpu, cuda, cuda:1, mps; default: the fastest there is")
    parser.add_argument("--dtype", default="auto", choices=("auto", "float32", "bfloat16", "float16"))
    rival = parser.add_argument_group("checkpoints other than Holmes-VAU")
    rival.add_argument(
        "--processor-kwargs", type=json.loads, metavar="JSON", help="for the processor of the checkpoint"
    )
    rival.add_argument("--trust-remote-code", action="store_true", help="run code that comes with the checkpoint")
    add_server_arguments(parser.add_argument_group("models behind a server"), required=False, concurrency=CONCURRENCY)


def add_summarise(parser: argparse.ArgumentParser) -> None:
    """Arguments of step 3."""
    parser.add_argument(
        "--model", default=SUMMARISER, metavar="MODEL", help=f"checkpoint, or --endpoint's name ({SUMMARISER})"
    )
    add_budget(parser)
    parser.add_argument("--device", help="cpu, cuda, cuda:1, mps; default: the fastest there is")
    parser.add_argument("--dtype", default="auto", choices=("auto", "float32", "bfloat16", "float16"))
    add_server_arguments(parser.add_argument_group("models behind a server"), required=False, concurrency=CONCURRENCY)


def add_page(parser: argparse.ArgumentParser) -> None:
    """Arguments of the page of step 4."""
    parser.add_argument("--port", type=int, default=0, metavar="N", help="of the page, on this machine alone (any)")
    parser.add_argument("--open", action="store_true", help="open it in the browser")


def add_review(parser: argparse.ArgumentParser) -> None:
    """Arguments of step 4."""
    add_page(parser)
    table = parser.add_argument_group("without a browser")
    table.add_argument("--write-table", type=Path, metavar="FILE", help="write everything as a CSV table, and stop")
    table.add_argument(
        "--read-table", type=Path, metavar="FILE", help="take what was changed in such a table, and stop"
    )
    table.add_argument("--who", metavar="NAME", help="whose changes they are")


def add_instruct(parser: argparse.ArgumentParser) -> None:
    """Arguments of step 5."""
    parser.add_argument(
        "-o", "--output", type=Path, metavar="DIR", help="folder to write; new (DIR/annotations of --work)"
    )
    parser.add_argument("--unreviewed", action="store_true", help="take what nobody has reviewed too")
    parser.add_argument("--conversations", action="store_true", help="rows in turns, as the paper's Figures B to D")
    parser.add_argument("--seed", type=int, default=0, help="chooses the prompts (0)")
