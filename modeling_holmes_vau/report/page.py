"""Lays out what was found in one video as a page: the score curve, then the video, its events and their clips."""

import html
from typing import Any

from ..base.clock import clock
from ..judgement_holmes_vau import describe_verdict
from .curve import build_curve
from .document import build_document
from .events import ShownEvent, what_is_said
from .frames import ShownFrame, data_url
from .words import (
    choose_decimals,
    format_span,
    list_facts,
    list_warnings,
    name_file,
    threshold_of,
    without_folders,
)


def build_page(
    analysis: dict[str, Any], events: list[ShownEvent], frames: list[ShownFrame], link: str | None, made: str
) -> str:
    """Lay out one analysed video.

    Args:
        analysis (`dict[str, Any]`): As for `write_report`.
        events (`list[ShownEvent]`): As `list_events` gives them.
        frames (`list[ShownFrame]`): As `shown_frames` gives them.
        link (`str`, *optional*): Where the video is, seen from the page; quoted as an address.
        made (`str`): When and by what the page was made.

    Returns:
        `str`: HTML, every string of the analysis escaped.
    """
    return build_document(name_file(analysis), _Page(analysis, events, frames).body(link, made), "page")


def build_view(analysis: dict[str, Any], events: list[ShownEvent], frames: list[ShownFrame]) -> tuple[str, str]:
    """What was found in one video, as parts of another page: HTML of facts and score curve, and of words and frames.
    Arguments as for [`build_page`]; the answer may be empty, where nothing was asked yet."""
    return _Page(analysis, events, frames).view()


class _Page:
    """The parts of a page about one video."""

    def __init__(self, analysis: dict[str, Any], events: list[ShownEvent], frames: list[ShownFrame]):
        self.analysis, self.events, self.frames = analysis, events, frames
        self.decimals = max(1, choose_decimals(analysis))

    def body(self, link: str | None, made: str) -> str:
        """All of the page; `link` is where its player finds the video, `made` says when and by what it was made."""
        return f"""<main>
<header>
<h1>{html.escape(name_file(self.analysis))}</h1>
<p class="facts">{html.escape(self._facts())}</p>
<p class="facts">{html.escape(made)}</p>
{self._verdict()}{self._warnings()}</header>
{build_curve(self.analysis, self.events)}
<div class="columns">
{_player(link)}<div class="words">
{self._sections()}
{self._details()}
</div>
</div>
</main>"""

    def view(self) -> tuple[str, str]:
        """Facts and curve; words and frames."""
        verdict = self._verdict() if self.analysis["answer"] else ""
        top = f'<p class="facts">{html.escape(self._facts())}</p>\n{build_curve(self.analysis, self.events)}\n'
        return f"{top}{verdict}{self._warnings()}", f'<div class="words">\n{self._sections()}\n</div>'

    def _facts(self) -> str:
        rule = [f"threshold {threshold_of(self.analysis):.3g}"] if self.analysis["scores"] else []
        return " \u00b7 ".join([*list_facts(self.analysis), *rule])

    def _verdict(self) -> str:
        if self.analysis["verdict"]["agree"] is False:  # then it is among the warnings
            return ""
        return f'<p class="verdict">Verdict: {describe_verdict(self.analysis["verdict"])}.</p>\n'

    def _warnings(self) -> str:
        lines = list_warnings(self.analysis)
        return "".join(f'<p class="warning" role="alert">{html.escape(line)}</p>\n' for line in lines)

    def _sections(self) -> str:
        return f"""<section class="whole"><h2>Video</h2>
{self._whole()}
</section>
<section><h2>Abnormal events</h2>
{self._events()}
</section>"""

    def _whole(self) -> str:
        """Questions and answers, what is said of the whole, and the chosen frames."""
        analysis = self.analysis
        asked = analysis.get("answers") or [{"question": analysis["prompt"], "answer": analysis["answer"]}]
        parts = [
            f'<p class="question text">{html.escape(turn["question"])}</p>\n'
            f'<p class="answer text">{html.escape(turn["answer"])}</p>'
            for turn in asked
            if turn["answer"]
        ]
        answers = {turn["answer"] for turn in asked}
        said = what_is_said(analysis.get("annotation") or {})
        parts.append(_said({part: words for part, words in said.items() if words not in answers}))
        parts.append(self._pictures([frame for frame in self.frames if frame.number is not None]))
        return "\n".join(part for part in parts if part)

    def _events(self) -> str:
        if not self.events:
            return f'<p class="note">{"None found" if self.analysis["scores"] else "Not looked for"}.</p>'
        if any(event.said or event.clips for event in self.events):
            return "\n".join(map(self._event, self.events))
        return self._table()

    def _event(self, event: ShownEvent) -> str:
        """An event with its words and clips, or its frames where it has no clips."""
        within = [frame for frame in self.frames if event.start_s <= frame.time_s < event.end_s]
        parts = [_said(event.said)]
        if event.clips:
            clips = "\n".join(f"<li>{self._clip(clip)}</li>" for clip in event.clips)
            parts.append(f'<ol class="clips">\n{clips}\n</ol>')
        else:
            parts.append(self._pictures(within))
        inside = "\n".join(part for part in parts if part)
        title = self._time(event.start_s, event.title)
        return (
            f'<article class="event" id="event-{event.number}"><h3>{title}</h3>\n'
            f'<p class="facts">{self._span(event.start_s, event.end_s)} \u00b7 '
            f"{event.end_s - event.start_s:.{self.decimals}f} s \u00b7 peak score {event.peak_score:.2f}</p>\n"
            f"{inside}\n</article>"
        )

    def _clip(self, clip: dict[str, Any]) -> str:
        within = [frame for frame in self.frames if clip["start_s"] <= frame.time_s < clip["end_s"]]
        words = f"<p>{html.escape(clip['caption'])}</p>" if clip.get("caption") else ""
        span = f'<p class="facts">{self._span(clip["start_s"], clip["end_s"])}</p>'
        return f"{span}{words}{self._pictures(within)}"

    def _pictures(self, frames: list[ShownFrame]) -> str:
        """Frames as buttons that play the video from there."""
        return f'<div class="frames">{"".join(map(self._picture, frames))}</div>' if frames else ""

    def _picture(self, frame: ShownFrame) -> str:
        time = clock(frame.time_s, self.decimals)
        inside = any(event.start_s <= frame.time_s < event.end_s for event in self.events)
        kind = "seek frame in-event" if inside else "seek frame"
        badge = "" if frame.number is None else f'<span class="badge">{frame.number}</span>'
        alt = html.escape(f"Frame of {name_file(self.analysis)} at {time}")
        return (
            f'<button type="button" class="{kind}" data-s="{round(frame.time_s, 3)}" disabled>'
            f'<img src="{data_url(frame.jpeg)}" alt="{alt}">{badge}<span class="time">{time}</span></button>'
        )

    def _time(self, time_s: float, label: str | None = None) -> str:
        """A button that plays the video from a time, which is what it shows unless something else is given."""
        label = html.escape(label or clock(time_s, self.decimals))
        return f'<button type="button" class="seek" data-s="{round(time_s, 3)}" disabled>{label}</button>'

    def _span(self, start_s: float, end_s: float) -> str:
        return f"{self._time(start_s)}\u2013{self._time(end_s)}"

    def _table(self) -> str:
        """Events of which nothing is said."""
        rows = [
            f"<tr><td>{event.number}</td><td>{self._time(event.start_s)}</td><td>{self._time(event.end_s)}</td>"
            f"<td>{event.end_s - event.start_s:.{self.decimals}f} s</td><td>{event.peak_score:.2f}</td></tr>"
            for event in self.events
        ]
        head = "<tr><th></th><th>Start</th><th>End</th><th>Length</th><th>Peak score</th></tr>"
        return "\n".join(["<table>", f"<thead>{head}</thead>", "<tbody>", *rows, "</tbody>", "</table>"])

    def _details(self) -> str:
        """File and run, which few readers want."""
        analysis = self.analysis
        rows = [
            ("File", without_folders(analysis["video"])),
            ("Duration", f"{clock(analysis['duration_s'])} ({analysis['duration_s']:.2f} s)"),
            ("Frames", f"{analysis['num_frames']:,}"),
            ("Scored frames", f"{len(analysis['scores']):,}"),
            ("Chosen frames", f"{len(analysis['sampled_times_s'])} ({analysis['sampler']})"),
        ]
        if analysis.get("skipped_share") is not None:
            rows.append(("Still frames, not encoded", f"{analysis['skipped_share']:.0%}"))
        if analysis.get("gaps_s"):
            rows.append(("Gaps", ", ".join(format_span(*span_s) for span_s in analysis["gaps_s"])))
        rows.append(("Model", without_folders(analysis["model"])))
        rows += [(name.capitalize(), f"{busy_s:.2f} s") for name, busy_s in analysis["seconds"].items()]
        lines = [
            f'<tr><th scope="row">{html.escape(key)}</th><td>{html.escape(value)}</td></tr>' for key, value in rows
        ]
        table = "\n".join(["<table>", "<tbody>", *lines, "</tbody>", "</table>"])
        return f"<details><summary>File and run</summary>\n{table}\n</details>"


def _said(said: dict[str, str]) -> str:
    """Judgement, description and analysis under their names."""
    terms = [f'<dt>{part.capitalize()}</dt><dd class="text">{html.escape(words)}</dd>' for part, words in said.items()]
    return f"<dl>{''.join(terms)}</dl>" if terms else ""


def _player(link: str | None) -> str:
    """The video beside the words. It shows itself once the browser has read it: without the file there is no box."""
    if link is None:
        return ""
    return f'<div class="player" hidden><video src="{html.escape(link)}" controls preload="metadata"></video></div>\n'
