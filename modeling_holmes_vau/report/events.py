"""The events of an analysis with what was said of them, and as a table."""

import csv
import io
from dataclasses import dataclass
from typing import Any

from ..base.clock import clock
from ..judgement_holmes_vau import parse_judgement


PARTS = ("judgement", "description", "analysis")  # of what is said of an event, or of the video
COLUMNS = ("event", "start_s", "end_s", "start", "end", "peak_score", "class", "judgement", "description")


@dataclass(frozen=True)
class ShownEvent:
    """One event.

    Args:
        number (`int`): From 1 on, in time order.
        start_s (`float`), end_s (`float`), peak_score (`float`): As in the analysis.
        said (`dict[str, str]`): Those of `PARTS` that were asked for.
        clips (`list[dict]`): `start_s`, `end_s` and `caption` of each of its clips; empty where none were asked for.
    """

    number: int
    start_s: float
    end_s: float
    peak_score: float
    said: dict[str, str]
    clips: list[dict[str, Any]]

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes of anomaly that its judgement names."""
        return parse_judgement(self.said.get("judgement", "")).classes

    @property
    def title(self) -> str:
        """As in "Event 2: Shooting"."""
        return f"Event {self.number}" + (f": {', '.join(self.classes)}" if self.classes else "")


def list_events(analysis: dict[str, Any]) -> list[ShownEvent]:
    """The events of an analysis, each with the part of `annotation` that is about the same span."""
    annotation = analysis.get("annotation") or {}
    described = {(event["start_s"], event["end_s"]): event for event in annotation.get("events", ())}
    events = []
    for number, event in enumerate(analysis["events"], start=1):
        start_s, end_s = event["start_s"], event["end_s"]
        found = described.get((start_s, end_s), {})
        events.append(
            ShownEvent(number, start_s, end_s, event["peak_score"], what_is_said(found), found.get("clips") or [])
        )
    return events


def what_is_said(level: dict[str, Any]) -> dict[str, str]:
    """Those of `PARTS` that an annotation of a video or an event holds."""
    return {part: level[part] for part in PARTS if level.get(part)}


def build_table(events: list[ShownEvent]) -> str:
    """`events.csv`: a row an event, under `COLUMNS`."""
    file = io.StringIO(newline="")
    writer = csv.writer(file)
    writer.writerow(COLUMNS)
    writer.writerows(map(event_row, events))
    return file.getvalue()


def event_row(event: ShownEvent) -> list:
    """What a table has of an event, under `COLUMNS`."""
    times = (event.start_s, event.end_s, clock(event.start_s), clock(event.end_s))
    words = (", ".join(event.classes), event.said.get("judgement", ""), event.said.get("description", ""))
    return [event.number, *times, round(event.peak_score, 4), *words]
