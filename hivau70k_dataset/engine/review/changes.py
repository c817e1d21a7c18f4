"""Decisions as the page and the table send them, checked before they are kept."""

import math
import secrets
from typing import Any

from ...schema import SUMMARY_TASKS, AnnotationError
from ..decisions import ACCEPTED, EDITED, Decision
from ..state import State, Told, clip_id, event_id, with_all_parts
from ..work import WorkVideo


FIELDS = {
    "video": ("labels", *SUMMARY_TASKS),
    "event": ("start_s", "end_s", "labels", *SUMMARY_TASKS),
    "clip": ("caption",),
}


def find(state: State, item: str) -> tuple[str, WorkVideo, Told]:
    """The level of an item, its video and what its text is.

    Raises:
        `AnnotationError`: if there is no such item.
    """
    known = state.decoupled.get(item) or state.decoupled.get(item.split("/", 1)[0])
    if known is None:
        raise AnnotationError(f"there is no item {item!r} in this work folder")
    video = state.edited(known, with_rejected=True)
    if item == video.video:
        return "video", video, state.video_summary(state.edited(known))
    for event in video.events:
        if item == event_id(video.video, event):
            return "event", video, state.event_summary(video, event)
        for clip in event.clips:
            if item == clip_id(video.video, event, clip):
                return "clip", video, state.caption(video, event, clip)
    raise AnnotationError(f"there is no item {item!r}: it was moved or taken away meanwhile")


def decide(
    state: State,
    item: str,
    seen_rev: int,
    who: str,
    status: str,
    fields: dict[str, Any] | None = None,
    about: str = "",
) -> Decision:
    """
    Keep a decision about an item. What was changed of it before stays changed; `fields` are what changes now.

    Args:
        state ([`State`]): The folder.
        item (`str`), seen_rev (`int`), who (`str`), status (`str`), about (`str`): See [`Decisions.decide`].
        fields (`dict`, *optional*): Texts, span and labels that are new.

    Raises:
        [`Conflict`]: if somebody has decided about it since.
        `AnnotationError`: if a field is unknown or makes no sense, or what is accepted has no text.
    """
    state.decisions.load()
    level, video, told = find(state, item)
    before = state.decisions.of(item)
    held = dict(before.fields) if before else {}
    fields = check_fields(level, fields or {}, held, video, item)
    fields = {**held, **(with_all_parts(fields, told) if level != "clip" else fields)}
    has_text = told.is_there or any(fields.get(name) for name in ("caption", *SUMMARY_TASKS))
    if status == ACCEPTED and not has_text:
        raise AnnotationError("there is no text to accept: write one, or reject it")
    if status == ACCEPTED and before is not None and before.status == EDITED:
        status = EDITED  # what a person has changed stays that
    return state.decisions.decide(item, seen_rev, who, status, fields, about)


def check_fields(
    level: str, fields: dict[str, Any], held: dict[str, Any], video: WorkVideo, item: str
) -> dict[str, Any]:
    """The fields of a decision, of the types they must be.

    Raises:
        `AnnotationError`: if one is unknown or makes no sense.
    """
    if unknown := sorted(set(fields) - set(FIELDS[level])):
        raise AnnotationError(
            f"{unknown[0]}: a {level} has no such field, expected some of {', '.join(FIELDS[level])}"
        )
    checked: dict[str, Any] = {}
    for name, value in fields.items():
        if name in ("start_s", "end_s"):
            checked[name] = _seconds(name, value)
        elif name == "labels":
            checked[name] = _labels(value)
        else:
            checked[name] = _text(name, value)
    if "start_s" in checked or "end_s" in checked:
        event = next((event for event in video.events if event_id(video.video, event) == item), None)
        start_s = checked.get("start_s", held.get("start_s", event.start_s if event else None))
        end_s = checked.get("end_s", held.get("end_s", event.end_s if event else None))
        last_s = math.floor(video.duration_s * 1000) / 1000
        if start_s is None or end_s is None or not 0 <= start_s < end_s or end_s > video.duration_s + 1 / video.fps:
            raise AnnotationError(
                f"got {start_s} to {end_s} s, expected 0 <= start < end <= {last_s:.3f} s, the end of the video"
            )
        checked |= {"start_s": start_s, "end_s": min(end_s, last_s)}
    return checked


def _seconds(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise AnnotationError(f"{name}: got {value!r}, expected seconds")
    return round(float(value), 3)


def _labels(value: Any) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(label, str) and label.strip() for label in value):
        raise AnnotationError(f"labels: got {value!r}, expected a list of classes; of what is normal, none")
    labels = list(dict.fromkeys(label.strip() for label in value))
    return [label for label in labels if label.lower() != "normal"]


def _text(name: str, value: Any) -> str | None:
    if value is not None and not isinstance(value, str):
        raise AnnotationError(f"{name}: got {value!r}, expected a text")
    return " ".join((value or "").split()) or None


def add_event(
    state: State,
    video: str,
    start_s: float,
    end_s: float,
    labels: list[str],
    who: str,
    texts: dict[str, Any] | None = None,
) -> Decision:
    """
    Keep a new event, with the parts of its summary if there are any.

    Raises:
        `AnnotationError`: if there is no such video, or the span or the labels make no sense.
    """
    if video not in state.decoupled:
        raise AnnotationError(f"there is no video {video!r} in this work folder")
    item = f"{video}/e+{secrets.token_hex(4)}"
    about = {"start_s": start_s, "end_s": end_s, "labels": labels, **(texts or {})}
    fields = check_fields("event", about, {}, state.edited(state.decoupled[video]), item)
    return state.decisions.decide(item, 0, who, EDITED, fields)
