"""Instruction rows, each with the segment of the video that it is asked about."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from modeling_holmes_vau.base.commands import first_line
from modeling_holmes_vau.spans_holmes_vau import Segment

from .schema import LEVELS, TASKS, Instruction, VideoAnnotation
from .videos import VideoFolder


@dataclass(frozen=True)
class Row:
    """One question.

    Args:
        row (`int`): Place of the instruction in the list of its split.
        entry (`Instruction`): The question and the annotated answer.
        span_s (`tuple[float, float]`, *optional*): Where the annotation has it in its video.
        segment (`Segment`, *optional*): What it is about; `None` where the video is missing.
        problem (`str`): Why it is.
    """

    row: int
    entry: Instruction
    span_s: tuple[float, float] | None
    segment: Segment | None
    problem: str = ""


def asked_rows(
    instructions: Sequence[Instruction],
    annotations: Iterable[VideoAnnotation],
    videos: VideoFolder,
    levels: Collection[str] = LEVELS,
    tasks: Collection[str] = TASKS,
) -> list[Row]:
    """The rows of a split that are of these levels and tasks, each with where its segment lies.

    Args:
        instructions (`Sequence[Instruction]`): All rows of the split, in order.
        annotations (`Iterable[VideoAnnotation]`): Of that split, which tell the spans.
        videos (`VideoFolder`): Where the videos are.
        levels, tasks (`Collection[str]`, *optional*): Default to all.
    """
    known = {(entry.source, entry.video): entry for entry in annotations}
    rows = []
    for place, entry in enumerate(instructions):
        if entry.level not in levels or entry.task not in tasks:
            continue
        annotation = known.get((entry.source, entry.name))
        span_s = annotation and annotation.span_s(entry.level, entry.event, entry.clip)
        try:
            rows.append(Row(place, entry, span_s, videos.find_segment(entry, span_s)))
        except ValueError as error:
            rows.append(Row(place, entry, span_s, None, first_line(error)))
    return rows
