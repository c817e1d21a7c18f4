"""What there is to review: every video, event and clip of a work folder, with its texts, its flags and what was
decided."""

from dataclasses import asdict, dataclass
from typing import Any

from ..flags import (
    Flag,
    flags_of_agreement,
    flags_of_judgement,
    flags_of_score,
    flags_of_span,
    flags_of_text,
)
from ..instruct import seen_of_clip, seen_of_event, seen_of_video
from ..state import State, Told, clip_id, event_id, texts_of
from ..work import WorkEvent, WorkVideo


@dataclass(frozen=True)
class Item:
    """
    An item of the review.

    Args:
        id (`str`): As decisions name it.
        level (`str`): `"video"`, `"event"` or `"clip"`.
        video (`str`): Of this video.
        start_s (`float`), end_s (`float`): Its span in seconds.
        labels (`tuple[str, ...]`): Its classes; empty when normal.
        texts (`dict[str, str | None]`): `caption`, or `judgement`, `description` and `analysis`.
        by (`str`, *optional*): Who wrote them: `"given"`, `"model"`, `"person"`.
        status (`str`), who (`str`, *optional*), when (`str`, *optional*), rev (`int`): The decision that holds; rev
            0 is none.
        digest (`str`): Of what is seen; an acceptance counts for that.
        origin (`str`, *optional*), score (`float`, *optional*): Of an event, where it is from and its peak score.
        flags (`tuple[Flag, ...]`): What tells a person to look, the heaviest first.
    """

    id: str
    level: str
    video: str
    start_s: float
    end_s: float
    labels: tuple[str, ...]
    texts: dict[str, str | None]
    by: str | None
    status: str
    who: str | None
    when: str | None
    rev: int
    digest: str
    origin: str | None
    score: float | None
    flags: tuple[Flag, ...]

    @property
    def weight(self) -> int:
        """How soon a person should look."""
        return sum(flag.weight for flag in self.flags)


def item_to_json(item: Item) -> dict[str, Any]:
    """An item for the page."""
    return {**asdict(item), "weight": item.weight}


def list_items(state: State) -> list[Item]:
    """All items, of each video the video, then each event with its clips."""
    return [item for video in state.videos(with_rejected=True) for item in items_of(state, video)]


def items_of(state: State, video: WorkVideo) -> list[Item]:
    """The items of a video."""
    kept = state.edited(state.decoupled[video.video])  # the texts are of what is not rejected
    found = [_video_item(state, kept)]
    for event in video.events:
        found += [_event_item(state, video, event), *_clip_items(state, video, event)]
    return found


def _decided(state: State, item: str, digest: str) -> tuple[dict[str, Any], list[Flag]]:
    """The decision about an item, and a flag if it was about something else."""
    status, decision = state.status(item, digest)
    fields = {"status": status, "digest": digest, "who": None, "when": None, "rev": 0}
    if decision is None:
        return fields, []
    fields |= {"who": decision.who, "when": decision.when, "rev": decision.rev}
    changed = status != decision.status
    return fields, [Flag("changed", f"is not what {decision.who} has {decision.status}", 5)] if changed else []


def _video_item(state: State, video: WorkVideo) -> Item:
    told = state.video_summary(video)
    decided, flags = _decided(state, video.video, seen_of_video(video, told))
    beneath = [text for event in video.events if (text := state.event_summary(video, event).text)]
    flags += _flags_of_summary(told, video.labels, beneath)
    if video.labels and not video.events:
        flags.append(Flag("no_event", f"{', '.join(video.labels)}, but without an event", 7))
    return Item(
        id=video.video,
        level="video",
        video=video.video,
        start_s=0.0,
        end_s=video.duration_s,
        labels=video.labels,
        texts=_summary_texts(told),
        by=told.by,
        origin=None,
        score=max(video.scores, default=None),
        flags=_sorted(flags),
        **decided,
    )


def _event_item(state: State, video: WorkVideo, event: WorkEvent) -> Item:
    told, item = state.event_summary(video, event), event_id(video.video, event)
    labels = state.event_labels(video, event)
    decided, flags = _decided(state, item, seen_of_event(video, event, told))
    beneath = [text for clip in event.clips if (text := state.caption(video, event, clip).text)]
    peak = video.peak(event.start_s, event.end_s)
    flags += _flags_of_summary(told, labels, beneath)
    flags += flags_of_span(event.start_s, event.end_s, video.duration_s, video.fps)
    flags += flags_of_score(peak, bool(labels))
    return Item(
        id=item,
        level="event",
        video=video.video,
        start_s=event.start_s,
        end_s=event.end_s,
        labels=labels,
        texts=_summary_texts(told),
        by=told.by,
        origin=event.origin,
        score=peak,
        flags=_sorted(flags),
        **decided,
    )


def _clip_items(state: State, video: WorkVideo, event: WorkEvent) -> list[Item]:
    found = []
    for clip in event.clips:
        told, item = state.caption(video, event, clip), clip_id(video.video, event, clip)
        decided, flags = _decided(state, item, seen_of_clip(clip, told))
        flags += flags_of_text(told, is_caption=True)
        found.append(
            Item(
                id=item,
                level="clip",
                video=video.video,
                start_s=clip.start_s,
                end_s=clip.end_s,
                labels=state.event_labels(video, event),
                texts={"caption": told.text},
                by=told.by,
                origin=None,
                score=video.peak(clip.start_s, clip.end_s),
                flags=_sorted(flags),
                **decided,
            )
        )
    return found


def _flags_of_summary(told: Told, labels: tuple[str, ...], beneath: list[str]) -> list[Flag]:
    description = told.parts.description if told.parts else told.text
    return [
        *flags_of_text(told, is_caption=False),
        *flags_of_judgement(told.parts, labels),
        *flags_of_agreement(description, beneath),
    ]


def _summary_texts(told: Told) -> dict[str, str | None]:
    return dict(zip(("judgement", "description", "analysis"), texts_of(told)))


def _sorted(flags: list[Flag]) -> tuple[Flag, ...]:
    return tuple(sorted(flags, key=lambda flag: -flag.weight))
