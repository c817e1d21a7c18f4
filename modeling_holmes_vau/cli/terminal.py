"""What a person reads of an analysis in the terminal, at a glance."""

import shutil
import sys
import textwrap
from collections.abc import Sequence

from ..base.clock import clock
from ..judgement_holmes_vau import describe_verdict, parse_judgement


WIDTH, LEAST_WIDTH, CURVE_WIDTH, EVENT_CURVE_WIDTH = 110, 50, 60, 12  # characters
BLOCKS, PLAIN_BLOCKS = "▁▂▃▄▅▆▇█", "_.:-=+*#"
INDENT = " " * 11


def curve(scores: Sequence[float], width: int, blocks: str = BLOCKS) -> str:
    """Scores in [0, 1] as a line of blocks, the highest of those that share a place.

    Example:

    >>> curve([0.0, 0.1, 0.9, 1.0, 0.2], width=5)
    '▁▁██▂'
    """
    width = min(width, len(scores))
    borders = [len(scores) * i // width for i in range(width + 1)]
    highest = [max(scores[first:stop]) for first, stop in zip(borders, borders[1:])]
    return "".join(blocks[min(len(blocks) - 1, int(score * len(blocks)))] for score in highest)


def summary(analysis, video: str) -> str:
    """What a person wants to read of one [`Analysis`]; `video` is what the file is called."""
    frames = f"{analysis.num_frames} frame{'' if analysis.num_frames == 1 else 's'}"
    span = ", analysed {} to {}".format(*map(clock, analysis.segment_s)) if analysis.segment_s else ""
    share = analysis.skipped_share
    scored = f"{len(analysis.scores)} scored" + (f" ({share:.0%} still, not encoded)" if share is not None else "")
    lines = [
        video,
        f"  video    {clock(analysis.duration_s)}, {frames} at {analysis.fps:.2f} fps; "
        f"{scored}, {len(analysis.sampled_frame_indices)} shown to the language model "
        f"({analysis.sampler}){span}",
        f"  scores   {curve(analysis.scores, CURVE_WIDTH, known_blocks()) if analysis.scores else 'none'}",
    ]
    for asked in analysis.answers or [{"question": analysis.prompt, "answer": analysis.answer}]:
        lines += [*_field("question", asked["question"]), *_field("answer", asked["answer"])]
    for number, event in enumerate(analysis.events):
        lines += _event(analysis, number, event)
    if not analysis.events:
        lines.append(f"  events   {'none' if analysis.scores else 'not looked for: nothing was scored'}")
    lines += _field("verdict", describe_verdict(analysis.verdict))
    if analysis.warning:
        lines += _field("warning", analysis.warning.replace(" | ", "\n"))
    seconds = ", ".join(f"{name} {value:.1f}" for name, value in analysis.seconds.items())
    return "\n".join([*lines, f"  seconds  {seconds}"])


def _event(analysis, number: int, event: dict) -> list[str]:
    """An event in a line: its times as `--segment` takes them, its peak, its scores; and what is said of it."""
    times_s = analysis.dense_times_s
    scores = [score for time_s, score in zip(times_s, analysis.scores) if event["start_s"] <= time_s < event["end_s"]]
    told = ((analysis.annotation or {}).get("events") or [{}] * len(analysis.events))[number]
    classes = ", ".join(parse_judgement(told.get("judgement") or "").classes)
    shape = curve(scores or [event["peak_score"]], EVENT_CURVE_WIDTH, known_blocks())
    line = f"{clock(event['start_s'])} {clock(event['end_s'])}  peak {event['peak_score']:.2f}  {shape}  {classes}"
    said = [told.get("description"), *(f"{clock(c['start_s'])} {c['caption']}" for c in told.get("clips") or ())]
    return [
        f"  {'events' if number == 0 else '':8} {line.rstrip()}",
        *(f"{INDENT}  {row}" for text in said if text for row in _wrap(text, 2)),
    ]


def _field(name: str, text: str) -> list[str]:
    first, *rest = [row for part in text.split("\n") for row in _wrap(part)] or [""]
    return [f"  {name:8} {first}", *(f"{INDENT}{row}" for row in rest)]


def _wrap(text: str, indent: int = 0) -> list[str]:
    """Lines that fit the terminal; where the output goes to a file, a fixed width."""
    columns = shutil.get_terminal_size((WIDTH, 0)).columns if sys.stdout.isatty() else WIDTH
    width = max(LEAST_WIDTH, min(columns, WIDTH) - len(INDENT) - indent)
    return textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False) or [""]


def known_blocks() -> str:
    """The blocks that the terminal has letters for."""
    try:
        BLOCKS.encode(sys.stdout.encoding or "utf-8")
    except (UnicodeEncodeError, LookupError):
        return PLAIN_BLOCKS
    return BLOCKS
