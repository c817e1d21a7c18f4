"""What is said of events and clips as subtitles, which any player shows over the video."""

import html
from typing import NamedTuple

from .events import ShownEvent


# SRT has no way to escape: players take tags in <> and {} for styles. Letters that look alike are none.
SRT_LETTERS = str.maketrans("<>{}", "\u2039\u203a()")


class Cue(NamedTuple):
    """What is shown from `start_ms` until `end_ms`: whole milliseconds, as both formats count."""

    start_ms: int
    end_ms: int
    title: str
    text: str


def list_cues(events: list[ShownEvent]) -> list[Cue]:
    """One cue after another, never two at once: players stack those, or leave one out.

    An event without clips is described for as long as it lasts. One with clips is described during the first half of
    the first clip, and the captions of its clips take up the rest.
    """
    spans = [span for event in sorted(events, key=lambda event: event.start_s) for span in _spans(event)]
    starts_ms = [start_ms for start_ms, *_ in spans[1:]] + [float("inf")]
    cues = [Cue(start, min(end, next_ms), *words) for (start, end, *words), next_ms in zip(spans, starts_ms)]
    return [cue for cue in cues if cue.end_ms > cue.start_ms]


def _spans(event: ShownEvent) -> list[Cue]:
    """What is said of one event."""
    text = event.said.get("description") or event.said.get("judgement") or f"Peak score {event.peak_score:.2f}"
    parts = [(clip["start_s"], clip["end_s"], clip["caption"]) for clip in event.clips]
    end_s = event.end_s
    if parts:
        end_s = sum(parts[0][:2]) / 2
        parts[0] = (end_s, *parts[0][1:])
    parts = [(event.start_s, end_s, text), *parts]
    title = _one_line(event.title)
    return [
        Cue(round(1000 * start_s), round(1000 * end_s), title, _one_line(words)) for start_s, end_s, words in parts
    ]


def build_vtt(events: list[ShownEvent]) -> str:
    """`events.vtt`: WebVTT, which browsers show."""
    blocks = ["WEBVTT"]
    for start_ms, end_ms, title, text in list_cues(events):
        words = html.escape(f"{title}\n{text}", quote=False)
        blocks.append(f"{_stamp(start_ms, '.')} --> {_stamp(end_ms, '.')}\n{words}")
    return "\n\n".join(blocks) + "\n"


def build_srt(events: list[ShownEvent]) -> str:
    """`events.srt`: SubRip, which players for files show."""
    blocks = []
    for number, (start_ms, end_ms, title, text) in enumerate(list_cues(events), start=1):
        words = f"{title}\n{text}".translate(SRT_LETTERS)
        blocks.append(f"{number}\n{_stamp(start_ms, ',')} --> {_stamp(end_ms, ',')}\n{words}\n")
    return "\n".join(blocks)


def _one_line(text: str) -> str:
    """An empty line would end a cue, and what cannot be printed may end a file."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())


def _stamp(time_ms: int, point: str) -> str:
    seconds, milliseconds = divmod(time_ms, 1000)
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}{point}{milliseconds:03d}"
