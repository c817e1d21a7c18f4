"""What is in a work folder now: what step 1 took apart, as people have changed it, with the texts that models and
people gave.

Everything is computed from the journals of the steps; nothing here is stored.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from modeling_holmes_vau.base.errors import RunError

from ..schema import SUMMARY_TASKS, SummaryParts
from .calls import Call, CallBook
from .decisions import EDITED, PROPOSED, REJECTED, Decision, Decisions
from .division import Division, clips_inside
from .prompts import Prompts
from .replies import read_summary, summary_of
from .work import ADDED, SETTINGS, Work, WorkClip, WorkEvent, WorkVideo


ATTEMPTS = 2  # a reply that can't be read is asked for once more, then a person writes it


@dataclass(frozen=True)
class Told:
    """
    A text of a segment, where it comes from, or why there is none.

    Args:
        text (`str`, *optional*): A caption, or a summary as it was written.
        parts (`SummaryParts`, *optional*): Of a summary.
        by (`str`, *optional*): `"given"`, `"model"` or `"person"`.
        problem (`str`, *optional*): Why there is none.
        why (`str`, *optional*): The same as one of `WHY`.
    """

    text: str | None = None
    parts: SummaryParts | None = None
    by: str | None = None
    problem: str | None = None
    why: str | None = None

    @property
    def is_there(self) -> bool:
        """Whether there is a text that can be used."""
        return self.text is not None


NOT_ASKED, REFUSED, EMPTY, UNREAD, NO_EVENT = WHY = ("not asked", "refused", "empty", "unread", "no event")
MISSING = Told(problem="not asked yet", why=NOT_ASKED)


def event_id(video: str, event: WorkEvent) -> str:
    """The item of an event."""
    return f"{video}/{event.id}"


def clip_id(video: str, event: WorkEvent, clip: WorkClip) -> str:
    """The item of a clip: by its span, so that a decision about it stays with what was seen."""
    return f"{video}/{event.id}/{clip.start_s:.3f}-{clip.end_s:.3f}"


def read_asked(folder: Path) -> dict[str, Any] | None:
    """How the texts of a step were last asked for: model, settings, prompts; `None` if never."""
    try:
        return json.loads((folder / SETTINGS).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise RunError(f"{folder / SETTINGS}: is damaged ({error}); run the step again with --redo") from None


class State:
    """
    The state of a work folder.

    Args:
        work ([`Work`]): The folder.

    Raises:
        [`RunError`]: if step 1 has not been here.
    """

    def __init__(self, work: Work):
        self.work = work
        self.decoupled = {video.video: video for video in work.videos()}
        self.decisions = Decisions(work.decisions)
        self.division = read_division(work)
        self.load_texts()

    def load_texts(self) -> None:
        """Read what models have written by now, and how they were asked."""
        self.captioner, self.summariser = read_asked(self.work.captions), read_asked(self.work.summaries)
        self.caption_book, self.summary_book = CallBook(self.work.captions), CallBook(self.work.summaries)
        self.prompts = Prompts(**self.summariser["prompts"]) if self.summariser else None

    # ---- structure --------------------------------------------------------------------------------------------------

    def videos(self, with_rejected: bool = False) -> list[WorkVideo]:
        """The videos as they are now; those that a person has rejected only if asked for."""
        found = (self.edited(video, with_rejected) for video in self.decoupled.values())
        return [video for video in found if with_rejected or not self.is_rejected(video.video)]

    def is_rejected(self, item: str) -> bool:
        """Whether a person has rejected an item."""
        decision = self.decisions.of(item)
        return decision is not None and decision.status == REJECTED

    def edited(self, video: WorkVideo, with_rejected: bool = False) -> WorkVideo:
        """A video as people have changed it: its labels, its events and their clips."""
        fields = self._fields(video.video)
        events = {event.id: event for event in video.events}
        for decision in self.decisions.of_video(video.video):
            name = decision.item[len(video.video) + 1 :]
            if name and "/" not in name and name not in events and "start_s" in decision.fields:
                events[name] = WorkEvent(name, decision.fields["start_s"], decision.fields["end_s"], (), ADDED)
        kept = [
            self._edited_event(video, event)
            for event in events.values()
            if with_rejected or not self.is_rejected(event_id(video.video, event))
        ]
        kept = [
            event
            if with_rejected
            else replace(
                event,
                clips=tuple(clip for clip in event.clips if not self.is_rejected(clip_id(video.video, event, clip))),
            )
            for event in kept
        ]
        kept.sort(key=lambda event: (event.start_s, event.end_s, event.id))
        return replace(video, labels=tuple(fields.get("labels", video.labels)), events=tuple(kept))

    def _fields(self, item: str) -> dict[str, Any]:
        decision = self.decisions.of(item)
        return decision.fields if decision is not None else {}

    def _edited_event(self, video: WorkVideo, event: WorkEvent) -> WorkEvent:
        fields = self._fields(event_id(video.video, event))
        span = (float(fields.get("start_s", event.start_s)), float(fields.get("end_s", event.end_s)))
        labels = tuple(fields.get("labels", event.labels))
        if span == (event.start_s, event.end_s) and event.origin != ADDED:
            return replace(event, labels=labels)
        captioned = [clip for clip in event.clips if clip.caption is not None]
        clips = clips_inside(span, captioned) if captioned else ()
        return replace(
            event, start_s=span[0], end_s=span[1], labels=labels, clips=clips or self.division.clips(video.video, span)
        )

    # ---- texts ------------------------------------------------------------------------------------------------------

    def caption(self, video: WorkVideo, event: WorkEvent, clip: WorkClip, by_people: bool = True) -> Told:
        """The caption of a clip: a person's, else the given one, else the model's."""
        own = self._fields(clip_id(video.video, event, clip)).get("caption") if by_people else None
        if own is not None:
            return Told(own, by="person")
        if clip.caption is not None:
            return Told(clip.caption, by="given")
        if self.captioner is None:
            return MISSING
        call = caption_call(video, event, clip, self.captioner["prompt"])
        return self._answer(self.caption_book, call, self.captioner)

    def event_summary(self, video: WorkVideo, event: WorkEvent, by_people: bool = True) -> Told:
        """The summary of an event, likewise."""
        own = self._fields(event_id(video.video, event)) if by_people else {}
        if (told := _persons(own)) is not None:
            return told
        if event.summary is not None:
            return Told(event.summary, _parts(event.parts), by="given")
        calls = self.event_calls(video, event)
        return self._summary(calls, bool(self.event_labels(video, event)))

    def video_summary(self, video: WorkVideo, by_people: bool = True) -> Told:
        """The summary of a video, likewise."""
        own = self._fields(video.video) if by_people else {}
        if (told := _persons(own)) is not None:
            return told
        if video.summary is not None:
            return Told(video.summary, _parts(video.parts), by="given")
        return self._summary(self.video_calls(video), bool(video.labels))

    def event_labels(self, video: WorkVideo, event: WorkEvent) -> tuple[str, ...]:
        """The classes that the prompt of an event names: its own, else those of its video."""
        return event.labels or video.labels

    def event_calls(self, video: WorkVideo, event: WorkEvent) -> list[Call]:
        """What is asked about an event, time and again; nothing while a caption is missing."""
        captions = [self.caption(video, event, clip) for clip in event.clips]
        if self.prompts is None or not captions or not all(told.is_there for told in captions):
            return []
        prompt = self.prompts.event([told.text for told in captions], self.event_labels(video, event))
        return [Call(event_id(video.video, event), prompt, attempt=attempt) for attempt in range(ATTEMPTS)]

    def video_calls(self, video: WorkVideo) -> list[Call]:
        """What is asked about a video, time and again; nothing while a summary of an event is missing."""
        summaries = [self.event_summary(video, event) for event in video.events]
        if self.prompts is None or not summaries or not all(told.is_there for told in summaries):
            return []
        prompt = self.prompts.video([told.text for told in summaries], video.labels)
        return [Call(video.video, prompt, attempt=attempt) for attempt in range(ATTEMPTS)]

    def _answer(self, book: CallBook, call: Call, asked: dict[str, Any]) -> Told:
        key = call.key(asked["model"], asked["settings"])
        if (text := book.text(key)) is not None and text.strip():
            return Told(text.strip(), by="model")
        if text is not None:
            return Told(problem="the model answered nothing", why=EMPTY)
        return Told(problem=f"refused: {refusal}", why=REFUSED) if (refusal := book.refusal(key)) else MISSING

    def _summary(self, calls: list[Call], abnormal: bool) -> Told:
        told = MISSING
        for call in calls:
            answer = self._answer(self.summary_book, call, self.summariser)
            if answer is MISSING:
                return told
            if answer.why == REFUSED:
                return answer
            if not answer.is_there:
                told = answer
                continue
            if (found := read_summary(answer.text, abnormal)) is not None:
                return Told(*found, by="model")
            told = Told(problem=f"no three parts can be read in: {answer.text}", why=UNREAD)
        return told

    # ---- review -----------------------------------------------------------------------------------------------------

    def status(self, item: str, digest: str) -> tuple[str, Decision | None]:
        """Whether an item is proposed, accepted, edited or rejected; what was accepted counts for what was seen
        alone."""
        decision = self.decisions.of(item)
        if decision is None:
            return PROPOSED, None
        if decision.status in (PROPOSED, REJECTED) or decision.about in ("", digest):
            return decision.status, decision
        texts = {"caption", *SUMMARY_TASKS} & decision.fields.keys()
        return (EDITED if decision.status == EDITED and texts else PROPOSED), decision


def read_division(work: Work) -> Division:
    """How events were divided in step 1, for those that people move or add."""
    settings = read_asked(work.root / "decouple") or {}
    known = settings.get("division", {})
    ranges = {name: tuple(value) if isinstance(value, list) else value for name, value in known.items()}
    return Division(**ranges)


def caption_call(video: WorkVideo, event: WorkEvent, clip: WorkClip, prompt: str) -> Call:
    """What is asked about a clip."""
    return Call(clip_id(video.video, event, clip), prompt, (video.digest, f"{clip.start_s:.3f}", f"{clip.end_s:.3f}"))


def digest_of(*seen: Any) -> str:
    """Of what a person sees of an item."""
    return hashlib.sha256(json.dumps(seen, ensure_ascii=False, default=str).encode()).hexdigest()[:12]


def _parts(parts: dict[str, str | None] | None) -> SummaryParts | None:
    return None if parts is None else SummaryParts(**parts)


def _persons(fields: dict[str, Any]) -> Told | None:
    """A summary that a person has written, if any part of it was."""
    if not any(fields.get(task) for task in SUMMARY_TASKS):
        return None
    parts = SummaryParts(*(fields.get(task) or None for task in SUMMARY_TASKS))
    return Told(summary_of(parts), parts, by="person")


def with_all_parts(fields: dict[str, Any], told: Told) -> dict[str, Any]:
    """The fields of a decision with all parts of a summary, of which a person may have changed one."""
    if not any(task in fields for task in SUMMARY_TASKS):
        return fields
    known = asdict(told.parts) if told.parts else {}
    return {**{task: known.get(task) for task in SUMMARY_TASKS}, **fields}


def texts_of(told: Told) -> Sequence[str | None]:
    """The three parts of a summary as a page shows them; of one without parts, all of it as the description."""
    if told.parts is not None:
        return [told.parts.judgement, told.parts.description, told.parts.analysis]
    return [None, told.text, None]
