"""`validate --fix`: a cleaned copy of annotations, and the list of what was changed.

Only what has one right answer is changed. Contradictions, other classes, clips outside their event or in disorder need
a person and stay as they are; so do letters outside ASCII, which may be what a sign in the video says.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any, TypeVar

from .labels import canonical_class
from .reading import AnnotationFiles
from .schema import Clip, Event, Instruction, SummaryParts, VideoAnnotation
from .validate import prompts_in


Span = TypeVar("Span", Clip, Event)

_STRAIGHT = str.maketrans(
    dict.fromkeys("\u2018\u2019\u201a\u201b", "'") | dict.fromkeys("\u201c\u201d\u201e\u201f", '"')
)


@dataclass(frozen=True)
class Change:
    """One change of the cleaned copy.

    Args:
        code (`str`): The finding it mends, a key of `findings.MEANING`.
        video (`str`): The video or segment.
        where (`str`): Field or row id.
        old (`Any`): Before.
        new (`Any`): After; `None` where it was left out.
    """

    code: str
    video: str
    where: str
    old: Any
    new: Any


def clean(files: AnnotationFiles) -> tuple[AnnotationFiles, list[Change]]:
    """A cleaned copy.

    Texts lose line breaks, outer spaces and curly quotes; of prompts glued together the first stays; a repeated row is
    left out; labels are spelt as the benchmark does; events and clips end where the video ends.

    Args:
        files (`AnnotationFiles`): As read.

    Returns:
        `tuple[AnnotationFiles, list[Change]]`: The copy, and every change.
    """
    changes: list[Change] = []
    annotations = tuple(_clean_annotation(entry, changes) for entry in files.annotations)
    rows, seen = [], {}
    for row in files.instructions:
        own: list[Change] = []
        row = _clean_row(row, own)
        content = (row.video, row.task, row.question, row.answer, row.turn)
        if content in seen:
            changes.append(Change("duplicate_row", row.video, f"id {row.id}", f"as id {seen[content]}", None))
            continue
        seen[content] = row.id
        rows.append(row)
        changes += own
    return AnnotationFiles(annotations, tuple(rows)), changes


def _clean_row(row: Instruction, changes: list[Change]) -> Instruction:
    question = row.question
    if len(prompts := prompts_in(question)) > 1:
        changes.append(Change("glued_prompts", row.video, f"id {row.id} question", question, prompts[0]))
        question = prompts[0]
    question = _clean_text(question, row.video, f"id {row.id} question", changes)
    answer = _clean_text(row.answer, row.video, f"id {row.id} answer", changes)
    return replace(row, question=question, answer=answer)


def _clean_text(text: str, video: str, where: str, changes: list[Change]) -> str:
    steps: tuple[tuple[str, Callable[[str], str]], ...] = (
        ("curly_quotes", lambda old: old.translate(_STRAIGHT)),
        ("white_space", lambda old: " ".join(old.split()) if "\n" in old or "\r" in old else old.strip()),
    )
    for code, step in steps:
        if (new := step(text)) != text:
            changes.append(Change(code, video, where, text, new))
            text = new
    return text


def _clean_annotation(entry: VideoAnnotation, changes: list[Change]) -> VideoAnnotation:
    labels = []
    for label in entry.labels:
        name = canonical_class(label) or label
        if name != label:
            changes.append(Change("label_spelling", entry.video, "labels", label, name))
        if name in labels:
            changes.append(Change("label_spelling", entry.video, "labels", f"{name} again", None))
        else:
            labels.append(name)
    events = []
    for i, event in enumerate(entry.events):
        where = f"event {i}"
        clips = []
        for j, clip in enumerate(event.clips):
            place = f"{where} clip {j}"
            clip = _clean_span(clip, "clip_past_end", place, entry, changes)
            caption = _clean_text(clip.caption, entry.video, f"{place} caption", changes)
            clips.append(replace(clip, caption=caption))
        event = _clean_span(event, "event_past_end", where, entry, changes)
        summary = _clean_text(event.summary, entry.video, f"{where} summary", changes)
        parts = _clean_parts(event.parts, entry.video, where, changes)
        events.append(replace(event, clips=tuple(clips), summary=summary, parts=parts))
    frames = entry.event_frames and tuple(
        (first, min(last, entry.n_frames) if first < entry.n_frames else last) for first, last in entry.event_frames
    )
    return replace(
        entry,
        labels=tuple(labels),
        events=tuple(events),
        event_frames=frames,
        summary=_clean_text(entry.summary, entry.video, "summary", changes),
        parts=_clean_parts(entry.parts, entry.video, "video", changes),
    )


def _clean_span(span: Span, code: str, where: str, entry: VideoAnnotation, changes: list[Change]) -> Span:
    # One that starts after the end stays: without it the numbers of those behind it would change.
    if not span.start_s < entry.duration_s < span.end_s:
        return span
    new = replace(span, end_s=entry.duration_s)
    changes.append(Change(code, entry.video, where, [span.start_s, span.end_s], [new.start_s, new.end_s]))
    return new


def _clean_parts(parts: SummaryParts | None, video: str, where: str, changes: list[Change]) -> SummaryParts | None:
    if parts is None:
        return None
    texts = {name: text for name, text in asdict(parts).items() if text is not None}
    return SummaryParts(**{name: _clean_text(text, video, f"{where} {name}", changes) for name, text in texts.items()})
