"""The content of a work folder in the files of other tools, and what was changed there as decisions of a person."""

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

from ..schema import SUMMARY_TASKS, AnnotationError, Clip, Event, VideoAnnotation
from .boundaries import event_labels
from .decisions import EDITED, REJECTED, Decision
from .instruct import seen_of_clip, seen_of_event, seen_of_video
from .replies import summary_of
from .review.changes import add_event, decide
from .state import State, Told, clip_id, event_id
from .work import WorkEvent, WorkVideo


NOTHING = "no description"  # of a video of which nobody wrote anything, as in annotations from a table of spans


@dataclass
class Taken:
    """What was taken from a file: decisions, and what could not be taken and why."""

    decisions: list[Decision] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)


def all_annotations(state: State) -> list[VideoAnnotation]:
    """Everything that is not rejected as annotations, reviewed or not. An event without a summary has its class for
    one, as in annotations from a table of spans, and a clip without a caption is left out."""
    return [_annotation(state, video) for video in state.videos()]


def _annotation(state: State, video: WorkVideo) -> VideoAnnotation:
    collection, told = state.work.collection(), state.video_summary(video)
    events = tuple(_event(state, video, event) for event in video.events)
    about = (video.video, collection.source, collection.split, video.n_frames, video.fps, video.labels)
    return VideoAnnotation(*about, events, told.text or NOTHING, told.parts)


def _event(state: State, video: WorkVideo, event: WorkEvent) -> Event:
    told = state.event_summary(video, event)
    clips = [(clip, state.caption(video, event, clip)) for clip in event.clips]
    captioned = tuple(Clip(clip.start_s, clip.end_s, caption.text) for clip, caption in clips if caption.is_there)
    summary = told.text or ", ".join(event.labels or video.labels) or NOTHING
    return Event(event.start_s, event.end_s, captioned, summary, told.parts)


def take_changes(state: State, annotations: Iterable[VideoAnnotation], who: str) -> Taken:
    """
    What a person has changed of a work folder in another tool: events moved, added, taken away or given another
    class, texts written anew. Each becomes a decision, as if it had been made on the page; what is as it was becomes
    none.

    Args:
        state ([`State`]): The folder, as it was exported.
        annotations (`Iterable[VideoAnnotation]`): What the tool has written; videos that are missing there are left
            as they are.
        who (`str`): Whose changes they are.
    """
    taken, videos = Taken(), {video.video: video for video in state.videos()}
    for annotation in annotations:
        video = videos.get(annotation.video)
        if video is None:
            taken.left_out.append(f"{annotation.video}: no such video in {state.work.root}")
        else:
            _Changes(state, video, who, taken).take(annotation)
    return taken


class _Changes:
    """The changes of one video."""

    def __init__(self, state: State, video: WorkVideo, who: str, taken: Taken):
        self.state, self.video, self.who, self.taken = state, video, who, taken

    def take(self, annotation: VideoAnnotation) -> None:
        """Decide what has changed."""
        pairs, gone, new = match_events(self.video.events, annotation.events)
        told = self.state.video_summary(self.video)
        fields = _changed_text(told, annotation)
        if annotation.labels != self.video.labels:
            fields["labels"] = list(annotation.labels)
        self.decide(self.video.video, fields, seen_of_video(self.video, told))
        for event in gone:
            self.reject(event)
        for event in new:
            texts = {} if event.parts is None else asdict(event.parts)
            about = (event.start_s, event.end_s, list(event_labels(event, annotation)), self.who, texts)
            self.keep(self.video.video, lambda about=about: add_event(self.state, self.video.video, *about))
        for event, now in pairs:
            self.take_event(event, now, annotation)

    def take_event(self, event: WorkEvent, now: Event, annotation: VideoAnnotation) -> None:
        """Decide what has changed of an event and its captions."""
        told, was = self.state.event_summary(self.video, event), _event(self.state, self.video, event)
        fields = _changed_text(told, now) if now.summary != was.summary or now.parts != was.parts else {}
        if (now.start_s, now.end_s) != (event.start_s, event.end_s):
            fields |= _span(now)
        labels = event_labels(now, annotation)
        if now.summary in annotation.labels and labels != event.labels:
            fields["labels"] = list(labels)
        self.decide(event_id(self.video.video, event), fields, seen_of_event(self.video, event, told))
        captions = {(clip.start_s, clip.end_s): clip for clip in event.clips}
        for clip in now.clips:
            known = captions.get((clip.start_s, clip.end_s))
            if known is None:
                if (now.start_s, now.end_s) == (event.start_s, event.end_s):
                    place = f"{self.video.video}: clip {clip.start_s:g} to {clip.end_s:g} s"
                    self.taken.left_out.append(f"{place}: clips follow their event here; move that, or use --clips")
                continue
            caption = self.state.caption(self.video, event, known)
            if caption.text != clip.caption:
                item = clip_id(self.video.video, event, known)
                self.decide(item, {"caption": clip.caption}, seen_of_clip(known, caption))

    def decide(self, item: str, fields: dict[str, Any], about: str) -> None:
        """One decision, if anything has changed."""
        if fields:
            before = self.state.decisions.of(item)
            rev = before.rev if before else 0
            self.keep(item, lambda: decide(self.state, item, rev, self.who, EDITED, fields, about))

    def keep(self, item: str, decided: Callable[[], Decision]) -> None:
        """Keep a decision; one that makes no sense is told."""
        try:
            self.taken.decisions.append(decided())
        except AnnotationError as error:
            self.taken.left_out.append(f"{item}: {error}")

    def reject(self, event: WorkEvent) -> None:
        """An event that is not there any more."""
        item = event_id(self.video.video, event)
        before = self.state.decisions.of(item)
        self.keep(item, lambda: decide(self.state, item, before.rev if before else 0, self.who, REJECTED))


def _span(event: Event) -> dict[str, float]:
    return {"start_s": event.start_s, "end_s": event.end_s}


def _changed_text(told: Told, now: Event | VideoAnnotation) -> dict[str, Any]:
    """The parts of a summary that are other than they were."""
    if now.parts is not None:
        parts = asdict(now.parts)
        was = asdict(told.parts) if told.parts else dict.fromkeys(SUMMARY_TASKS)
        changed = {task: parts[task] for task in SUMMARY_TASKS if parts[task] and parts[task] != was[task]}
        return changed if told.parts is None or summary_of(now.parts) != summary_of(told.parts) else {}
    return {}


def match_events(
    before: Iterable[WorkEvent], now: Iterable[Event]
) -> tuple[list[tuple[WorkEvent, Event]], list[WorkEvent], list[Event]]:
    """
    Which event is which: those of the same span, then by how much they overlap.

    Returns:
        `tuple`: Pairs; events that are gone; events that are new.
    """
    gone, new, pairs = list(before), list(now), []
    overlaps = sorted(
        ((_iou(old, event), i, j) for i, old in enumerate(gone) for j, event in enumerate(new)),
        key=lambda one: -one[0],
    )
    left, right = set(range(len(gone))), set(range(len(new)))
    for iou, i, j in overlaps:
        if iou > 0 and i in left and j in right:
            pairs.append((gone[i], new[j]))
            left.discard(i)
            right.discard(j)
    return pairs, [gone[i] for i in sorted(left)], [new[j] for j in sorted(right)]


def _iou(left: WorkEvent, right: Event) -> float:
    shared = min(left.end_s, right.end_s) - max(left.start_s, right.start_s)
    return max(0.0, shared) / (max(left.end_s, right.end_s) - min(left.start_s, right.start_s))
