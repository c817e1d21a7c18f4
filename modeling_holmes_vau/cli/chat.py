"""`holmes-vau chat`: a conversation in the terminal about a video, its events, or any span."""

import argparse
import json
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from ..base.clock import clock, parse_clock
from ..base.commands import CommandError, first_line
from ..base.files import write_whole
from .analyze import add_video_options, check_video_options, load_for
from .served import add_served_options, open_session_for


HELP = """  any text          ask about what was chosen; the conversation so far is known
  /events           the events, numbered
  /event N          talk about event N and what is around it
  /span START END   talk about a span: seconds, m:ss.s or h:mm:ss.s
  /whole            talk about all of the video again
  /frames           the frames that the language model sees
  /save FILE        write the conversations to a text or, by its name, a .json file
  /quit             leave (so does the end of the input)"""


def add_chat(parser: argparse.ArgumentParser) -> None:
    """Arguments of `holmes-vau chat`."""
    parser.add_argument("video", metavar="VIDEO", help="a video file")
    add_video_options(parser)
    add_served_options(parser)


class Conversation:
    """
    What is said in the terminal about one video.

    Args:
        session ([`VideoSession`]): The video.
        options (`dict`): For `generate`.
        streams (`bool`, *optional*, defaults to `True`): Whether words are printed as they come, or all at once.
    """

    def __init__(self, session, options: dict, streams: bool = True):
        from transformers import TextStreamer

        self.session, self.events, self.options, self.streams = session, session.events(), options, streams
        if streams:
            streamer = TextStreamer(session.processor.tokenizer, skip_prompt=True, skip_special_tokens=True)
            self.options = {**options, "streamer": streamer}
        self.said: list[dict[str, str]] = []
        self.choose("the whole video", None)

    def choose(self, name: str, span_s: tuple[float, float] | None, context: float = 0.0) -> None:
        """Begin to talk about a part of the video."""
        self.chat, self.about = self.session.chat(span_s, context), name
        print(f"about {name}, {len(self.chat.encoded.frame_indices)} frames of it")

    def answer(self, line: str) -> bool:
        """Do what a line asks for; `False` if it ends the conversation."""
        word, *rest = line.split()
        if not word.startswith("/"):
            self.ask(line)
            return True
        commands = {
            "/help": lambda: print(HELP),
            "/events": self.tell_events,
            "/event": lambda number="": self.choose_event(number),
            "/span": lambda start="", end="": self.choose_span(start, end),
            "/whole": lambda: self.choose("the whole video", None),
            "/frames": self.tell_frames,
            "/save": lambda *words: self.save(" ".join(words)),
        }
        if word in ("/quit", "/exit"):
            return False
        if word not in commands:
            raise CommandError(f"{word}: no such command; /help lists them")
        try:
            commands[word](*rest)
        except TypeError as error:
            raise CommandError(f"{word}: {len(rest)} words are not what it takes; see /help") from error
        return True

    def ask(self, question: str) -> None:
        """Print the answer."""
        answer = self.chat.ask(question, **self.options)
        if not self.streams:
            print(answer)
        self.said.append({"about": self.about, "question": question, "answer": answer})

    def tell_events(self) -> None:
        """Print the events, numbered from 1."""
        for number, event in enumerate(self.events, 1):
            print(f"  {number}  {clock(event['start_s'])} to {clock(event['end_s'])}, peak {event['peak_score']:.2f}")
        if not self.events:
            print("  none")

    def choose_event(self, number: str) -> None:
        """Talk about an event by its number."""
        from ..levels_holmes_vau import CONTEXT

        if not number.isdecimal() or not 1 <= int(number) <= len(self.events):
            known = f"1 to {len(self.events)}" if self.events else "none: the scores show no event"
            raise CommandError(f"/event {number}: no such event; there are {known}")
        event = self.events[int(number) - 1]
        span_s = (event["start_s"], event["end_s"])
        self.choose(f"event {number}, {clock(span_s[0])} to {clock(span_s[1])}", span_s, CONTEXT)

    def choose_span(self, start: str, end: str) -> None:
        """Talk about a span of time."""
        start_s, end_s = parse_clock(start), parse_clock(end)
        if start_s is None or end_s is None:
            raise CommandError(f"/span {start} {end}: expected two times, as /span 10 0:20.5")
        self.choose(f"{clock(start_s)} to {clock(end_s)}", (start_s, end_s))

    def tell_frames(self) -> None:
        """Print the times of the frames that the language model sees, with their scores where they have one."""
        dense = dict(zip(self.session.encoder.dense_frame_indices, self.session.scores.tolist()))
        for index in self.chat.encoded.frame_indices.tolist():
            score = f", score {dense[index]:.2f}" if index in dense else ""
            print(f"  {clock(float(self.session.reader.timestamps_s[index]))}, frame {index}{score}")

    def save(self, name: str) -> None:
        """Write what was said."""
        if not name:
            raise CommandError("/save: name a file")
        if name.endswith(".json"):
            whole = {"video": os.path.abspath(self.session.reader.path), "said": self.said}
            content = json.dumps(whole, indent=2, ensure_ascii=False) + "\n"
        else:
            content = "".join(f"[{one['about']}]\n> {one['question']}\n{one['answer']}\n\n" for one in self.said)
        print(f"wrote {write_whole(Path(name), content)}")


def lines_of(stream) -> Iterator[str]:
    """The lines of a person, who is asked for each, or of a file."""
    while True:
        try:
            line = input("> ") if stream.isatty() else stream.readline()
        except EOFError:
            return
        if not line and not stream.isatty():
            return
        if line.strip():
            yield line.strip()


def talk(conversation: Conversation, lines: Iterable[str]) -> None:
    """Answer line after line; a mistake is told and ends nothing."""
    for line in lines:
        try:
            if not conversation.answer(line):
                return
        except (CommandError, ValueError, OSError) as error:
            print(f"error: {first_line(error)}", file=sys.stderr)


def run_chat(args: argparse.Namespace) -> int:
    """`holmes-vau chat`."""
    check_video_options(args)
    if not os.path.isfile(args.video):
        raise CommandError(f"{args.video}: no such file; pass one video")
    from ..base.progress import Progress

    model, processor = load_for(args)
    with Progress(desc=Path(args.video).name, unit="frame", leave=False) as bar:

        def show(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        session = open_session_for(args)(
            args.video,
            model,
            processor,
            args.num_frames,
            args.stride,
            args.segment and tuple(args.segment),
            args.sampler,
            on_progress=show,
            strict=args.strict,
            event_threshold=args.threshold,
        )
    if session.warning:
        print(f"warning: {session.warning}", file=sys.stderr)
    limit = {} if args.max_new_tokens is None else {"max_new_tokens": args.max_new_tokens}
    conversation = Conversation(session, limit, streams=args.endpoint is None)
    conversation.tell_events()
    if sys.stdin.isatty():
        print("ask a question; /help lists what else there is")
    talk(conversation, lines_of(sys.stdin))
    return 0
