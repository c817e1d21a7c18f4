"""Words from a server in `analyze` and `chat`: options, and several videos at a time."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, Any

from ..base.commands import CommandError
from ..base.parser import add_server_arguments, server_key


if TYPE_CHECKING:
    from ..answering.served import ServedWords

CONCURRENCY = 8
FRAMES_AS = ("video", "images")
PNG = "png"
OPTIONS = ("endpoint_model", "frames_as", "jpeg_quality")  # what of a server decides what is said


def quality_of(text: str) -> int | str:
    """A quality of JPEG on the command line, or that there is to be none."""
    if text == PNG or (text.isdecimal() and 1 <= int(text) <= 100):
        return text if text == PNG else int(text)
    raise argparse.ArgumentTypeError(f"got {text!r}, expected a quality from 1 to 100, or {PNG}")


def add_served_options(parser: argparse.ArgumentParser) -> None:
    """Options about a server that answers in words."""
    group = parser.add_argument_group(
        "words from a server", "Frames are scored and chosen here, and a served model answers about them."
    )
    add_server_arguments(group, required=False, concurrency=CONCURRENCY)
    group.add_argument("--endpoint-model", metavar="NAME", help="what the model is called behind --endpoint")
    group.add_argument(
        "--frames-as",
        choices=FRAMES_AS,
        help="how the server is shown them: one video (default; vLLM), or pictures with their numbers between them",
    )
    group.add_argument(
        "--jpeg-quality", type=quality_of, metavar="Q", help="of the frames, 1 to 100, or png: without loss (90)"
    )


def check_served(args: argparse.Namespace) -> None:
    """Mistakes in these options."""
    if args.endpoint is None:
        if named := [name for name in OPTIONS if getattr(args, name) is not None]:
            raise CommandError(f"--{named[0].replace('_', '-')} speaks of a server: pass --endpoint URL too")
        return
    if args.endpoint_model is None:
        raise CommandError("--endpoint needs --endpoint-model NAME: what the model is called there (GET /v1/models)")
    if args.concurrency < 1:
        raise CommandError(f"--concurrency must be at least 1, got {args.concurrency}")
    args.frames_as, args.jpeg_quality = args.frames_as or FRAMES_AS[0], args.jpeg_quality or 90


def load_words(args: argparse.Namespace) -> ServedWords:
    """The server that the options name."""
    from ..answering.endpoint import ChatClient
    from ..answering.served import ServedWords

    key = server_key(args.api_key_env)
    client = ChatClient(args.endpoint, args.endpoint_model, key, args.timeout, args.retries)
    return ServedWords(client, args.max_new_tokens, args.frames_as, args.jpeg_quality, args.concurrency)


def open_session_for(args: argparse.Namespace) -> Callable:
    """What opens a video: with words of this machine, or of a server."""
    from ..session_holmes_vau import VideoSession

    if args.endpoint is None:
        return VideoSession
    from functools import partial

    from ..answering.served import ServedSession

    return partial(ServedSession, words=load_words(args))


def as_they_come(
    videos: Sequence[str], analyze: Callable[[str], Any], at_a_time: int, stop: Callable[[], None]
) -> Iterator[tuple[str, Any]]:
    """Videos and what `analyze` gives for them, several at a time, the first that is ready first; whoever goes no
    further waits for those that were begun, which `stop` makes short."""
    waiting, pool, left = {}, ThreadPoolExecutor(at_a_time), iter(videos)
    try:
        while True:
            while len(waiting) < at_a_time and (video := next(left, None)) is not None:
                waiting[pool.submit(analyze, video)] = video
            if not waiting:
                return
            for future in wait(waiting, return_when=FIRST_COMPLETED).done:
                yield waiting.pop(future), future.result()
    except BaseException:  # Ctrl-C, or the caller goes no further
        stop()
        raise
    finally:
        pool.shutdown(cancel_futures=True)
