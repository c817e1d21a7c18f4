"""One page about many analysed videos, the strongest first."""

import html
import urllib.parse
from pathlib import Path
from typing import Any, NamedTuple

from ..base.clock import clock
from ..base.files import write_whole
from ..judgement_holmes_vau import describe_verdict
from .document import build_document, generator
from .events import ShownEvent, list_events
from .frames import data_url
from .words import choose_decimals, count, format_span, list_warnings, name_file, strongest_score


INDEX = "index.html"
SHOWN_EVENTS = 6  # of a video; its own page has all


class Entry(NamedTuple):
    """One video of the index: the name of its folder, its analysis, and its thumbnail as a JPEG file."""

    folder: str
    analysis: dict[str, Any]
    thumbnail: bytes | None


def write_index(output: Path, entries: list[Entry]) -> Path:
    """Write `index.html` into the folder that holds the reports.

    Raises:
        `ValueError`: if there is something of that name that is not such an index.
    """
    path = output / INDEX
    if path.is_dir() or (path.is_file() and not is_index(path)):
        raise ValueError(f"{path} is not an index of reports and stays as it is: move it away to get one.")
    return write_whole(
        path, build_index(output.resolve().name or "Reports", entries).encode("utf-8", "backslashreplace")
    )


def is_index(path: Path) -> bool:
    """Whether a file is one that `write_index` wrote."""
    with path.open("rb") as file:
        return f'content="{generator("index")}"'.encode() in file.read(1000)


def build_index(title: str, entries: list[Entry]) -> str:
    """The page: a row a video, with its strongest score, its events and what stands against it."""
    entries = sorted(entries, key=lambda entry: (-strongest_score(entry.analysis), name_file(entry.analysis)))
    events = {entry.folder: list_events(entry.analysis) for entry in entries}
    classes = sorted({name for shown in events.values() for event in shown for name in event.classes})
    options = "".join(f'<option value="{html.escape(name)}">{html.escape(name)}</option>' for name in classes)
    rows = "\n".join(_row(entry, events[entry.folder]) for entry in entries)
    abnormal = sum(bool(shown) for shown in events.values())
    heading = html.escape(f"{title}: {count(len(entries), 'video')}, {abnormal} with events")
    body = f"""<main>
<h1>{heading}</h1>
<form class="filter" hidden>
<label>Class <select name="class"><option value="">all</option>{options}</select></label>
<label><input type="checkbox" name="events"> with events</label>
<output></output>
</form>
<ol class="videos">
{rows}
</ol>
</main>"""
    return build_document(title, body, "index")


def _row(entry: Entry, events: list[ShownEvent]) -> str:
    analysis, page = entry.analysis, html.escape(f"{urllib.parse.quote(entry.folder, errors='replace')}/report.html")
    classes = sorted({name for event in events for name in event.classes})
    picture = "" if entry.thumbnail is None else f'<img src="{data_url(entry.thumbnail)}" alt="">'
    name = name_file(analysis)
    beside = "" if entry.folder == Path(name).stem else f' <span class="note">({html.escape(entry.folder)})</span>'
    decimals = choose_decimals(analysis)
    strongest = f"strongest score {strongest_score(analysis):.2f}" if analysis["scores"] else "not scored"
    facts = [clock(analysis["duration_s"], decimals), strongest]
    if analysis["verdict"]["agree"] is not False:  # else it is among the warnings
        facts.append(describe_verdict(analysis["verdict"]))
    joined = " \u00b7 ".join(facts)
    warnings = "".join(f'<p class="doubt">{html.escape(line)}</p>' for line in list_warnings(analysis))
    return f"""<li data-classes="{html.escape("|".join(classes))}" data-events="{len(events)}">
<a class="picture" href="{page}" tabindex="-1" aria-hidden="true">{picture}</a>
<div><h2><a href="{page}">{html.escape(name)}</a>{beside}</h2>
<p class="facts">{html.escape(joined)}</p>
{_events(events, page, decimals)}{warnings}</div>
</li>"""


def _events(events: list[ShownEvent], page: str, decimals: int) -> str:
    """The strongest events in time order, each a link to its moment on the page of the video."""
    kept = sorted(sorted(events, key=lambda event: -event.peak_score)[:SHOWN_EVENTS], key=lambda event: event.number)
    items = [
        f'<li><a href="{page}#t={event.start_s:.3f}">{html.escape(", ".join(event.classes) or "Event")} '
        f"{format_span(event.start_s, event.end_s, decimals)}</a></li>"
        for event in kept
    ]
    if len(events) > len(kept):
        items.append(f"<li>{len(events) - len(kept)} more</li>")
    return f'<ul class="events">{"".join(items)}</ul>\n' if items else ""
