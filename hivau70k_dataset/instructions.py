"""From free text to instruction rows (paper, appendix A.3): a prompt from the pool of its task, the text as answer."""

import json
import random
import re
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

from .reading import AnnotationFiles
from .schema import SUMMARY_TASKS, Instruction, SummaryParts, VideoAnnotation


# How the released summaries open their last sentence; the released analysis leaves it out.
_BASIS = re.compile(r"The basis for judging (?:this|the) anomaly is ")


@cache
def prompt_pools() -> dict[str, tuple[str, ...]]:
    """The prompts of each task: 24 for captions, 10 each for judgement, description and analysis."""
    pools = json.loads((Path(__file__).parent / "prompts.json").read_text(encoding="utf-8"))["prompts"]
    return {task: tuple(prompts) for task, prompts in pools.items()}


def split_summary(summary: str, abnormal: bool) -> SummaryParts:
    """Take a summary apart as the released `*_split` fields are: first sentence, middle, last sentence.

    All 588 released test summaries come out as released, but for the case of letters: the release lower-cases the
    analysis after its first letter ("ATM" becomes "atm"), which is not repeated here.

    Args:
        summary (`str`): Judgement, description and, of an abnormal segment, the basis of the judgement.
        abnormal (`bool`): Whether the video has a class; a summary of a normal one has no analysis.

    Example:

    >>> from hivau70k_dataset.instructions import split_summary
    >>> text = 'An "Arson" anomaly exists. A man sets a car on fire. The basis for judging this anomaly is the intent.'
    >>> split_summary(text, abnormal=True)
    SummaryParts(judgement='An Arson anomaly exists.', description='A man sets a car on fire', analysis='The intent.')
    """
    first, *rest = summary.strip().replace('"', "").replace(";", ".").split(". ")
    judgement = f"{first.rstrip('.')}."
    if not abnormal:
        return SummaryParts(judgement, ". ".join(rest) or first)
    if not rest:
        return SummaryParts(judgement)
    analysis = _BASIS.sub("", rest[-1])
    description = ". ".join(rest[:-1]) or first
    return SummaryParts(judgement, description, analysis[:1].upper() + analysis[1:])


def build_instructions(annotations: Iterable[VideoAnnotation], seed: int = 0) -> list[Instruction]:
    """Instruction rows of annotated videos: clips get captions; events and videos judgement, description, analysis.

    Where an annotation has no parts, its summary is taken apart by `split_summary`. The prompt of a row depends on the
    seed and on the row alone, so that adding videos changes no other row.

    Args:
        annotations (`Iterable[VideoAnnotation]`): The annotated videos.
        seed (`int`, *optional*, defaults to 0): Chooses the prompts.

    Returns:
        `list[Instruction]`: For each video its own rows, then those of each event and its clips; ids are
        `{video}[_E{event}[C{clip}]]_{task}`.
    """
    pools = prompt_pools()
    rows = []
    for annotation in annotations:
        for level, path, texts in _segments(annotation):
            for task, answer in texts.items():
                identity = f"{Path(path).stem}_{task}"
                question = random.Random(f"{seed} {path} {task}").choice(pools[task])
                rows.append(Instruction(identity, level, task, path, question, answer))
    return rows


def instructions_of_split(files: AnnotationFiles, split: str) -> list[Instruction]:
    """The instruction rows of a split, in order; made from the annotations where the files hold none of that split."""
    rows = [row for row in files.instructions if row.split == split]
    return rows or build_instructions(entry for entry in files.annotations if entry.split == split)


def _segments(annotation: VideoAnnotation) -> Iterator[tuple[str, str, dict[str, str]]]:
    """Level, path and the answer of each task, of the video, its events and their clips."""
    abnormal = bool(annotation.labels)
    yield "video", annotation.whole_path, _answers(annotation.parts or split_summary(annotation.summary, abnormal))
    for i, event in enumerate(annotation.events):
        yield "event", annotation.path("event", i), _answers(event.parts or split_summary(event.summary, abnormal))
        for j, clip in enumerate(event.clips):
            yield "clip", annotation.path("clip", i, j), {"caption": clip.caption}


def _answers(parts: SummaryParts) -> dict[str, str]:
    answers = zip(SUMMARY_TASKS, (parts.judgement, parts.description, parts.analysis))
    return {task: answer for task, answer in answers if answer is not None}
