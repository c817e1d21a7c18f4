"""Stage 2, what is learned: instruction rows -> conversations about segments, and the frames inference would show."""

import json
import logging
import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch

from hivau70k_dataset.general import GeneralQuestion, read_general
from hivau70k_dataset.instructions import instructions_of_split
from hivau70k_dataset.reading import read_annotation_files
from hivau70k_dataset.schema import TASKS, AnnotationError, Instruction, VideoAnnotation
from hivau70k_dataset.videos import VideoFolder
from modeling_holmes_vau.base.commands import first_line
from modeling_holmes_vau.base.journal import JournalDict
from modeling_holmes_vau.base.runs import settings_digest
from modeling_holmes_vau.base.share import do_all
from modeling_holmes_vau.frame_rule_holmes_vau import FrameRule
from modeling_holmes_vau.spans_holmes_vau import Segment, check_segment
from modeling_holmes_vau.video_processing_holmes_vau import FrameStream
from modeling_holmes_vau.video_reader_holmes_vau import VideoReader, open_video
from training.feature_cache import module_digest


logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class NamedSegment(Segment):
    """What a conversation is about; `name` is the path of the segment in the layout of the release."""

    name: str = ""

    def key(self) -> str:
        """Tells this segment of this very file from any other."""
        stat = os.stat(self.path)
        return json.dumps([self.name, stat.st_size, stat.st_mtime_ns, self.span_s])


@dataclass(frozen=True)
class Conversation:
    """Questions and answers about one segment, in order."""

    segment: NamedSegment
    turns: tuple[tuple[str, str], ...]


# ---- rows -----------------------------------------------------------------------------------------------------------


def group_turns(rows: Iterable[Instruction]) -> list[list[Instruction]]:
    """The rows of each segment as one conversation, in the order of turns and tasks: judgement, description, analysis.
    A second row of the same turn and task starts a conversation of its own.

    Example:

    ```python
    >>> rows = [Instruction(str(i), "event", t, "a_E0.mp4", "?", ".") for i, t in enumerate(("analysis", "judgement"))]
    >>> [[row.task for row in turns] for turns in group_turns(rows)]
    [['judgement', 'analysis']]

    ```
    """
    groups: dict[tuple[str, int], list[Instruction]] = defaultdict(list)
    seen: dict[tuple[str, int, str], int] = defaultdict(int)
    for row in rows:
        number = seen[row.video, row.turn, row.task]
        seen[row.video, row.turn, row.task] += 1
        groups[row.video, number].append(row)
    return [sorted(group, key=lambda row: (row.turn, TASKS.index(row.task))) for group in groups.values()]


def read_conversations(
    annotations: str | os.PathLike,
    videos: str | os.PathLike,
    levels: Sequence[str],
    tasks: Sequence[str],
    split: str = "train",
    multi_turn: bool = False,
    placeholders: Sequence[str] = (),
    general: Sequence[str] = (),
    general_spans: Sequence[int] = (),
) -> tuple[list[Conversation], dict[str, str]]:
    """
    The conversations to train on; made from the annotations where there are no instruction rows.

    Args:
        annotations (`str`), videos (`str`): Folders, as `hivau70k_dataset` reads them.
        levels (`Sequence[str]`), tasks (`Sequence[str]`): Which rows.
        split (`str`, *optional*, defaults to `"train"`): Of the annotations.
        multi_turn (`bool`, *optional*, defaults to `False`): Whether the rows of a segment make one conversation.
        placeholders (`Sequence[str]`, *optional*): Words that stand for pictures, and must not occur in a text.
        general (`Sequence[str]`, *optional*): Of which levels general questions are learned too; those about one span
            make one conversation.
        general_spans (`Sequence[int]`, *optional*): Of each of these levels at most so many spans, evenly taken: one
            number for all of them, or one for each.

    Returns:
        `tuple[list[Conversation], dict[str, str]]`: The conversations; and why rows are left out, by segment.
    """
    files = read_annotation_files(annotations)
    of_video = {(entry.source, entry.split, entry.video): entry for entry in files.annotations}
    rows = [row for row in instructions_of_split(files, split) if row.level in levels and row.task in tasks]
    questions = read_general(annotations, split) if general else []
    most = (*general_spans,) * (len(general) if len(general_spans) == 1 else 1) or (None,) * len(general)
    asked_about = [spans for level, n in zip(general, most, strict=True) for spans in _some_spans(questions, level, n)]
    if not rows and not asked_about:
        raise _none_of(files, annotations, split, levels, tasks)
    folder, found, problems = VideoFolder(videos), [], {}
    for note in folder.notes:
        logger.warning(note)
    for group in group_turns(rows) if multi_turn else [[row] for row in rows]:
        annotation = of_video.get((group[0].source, group[0].split, group[0].name))
        try:
            found.append(_conversation(group, annotation, folder, placeholders))
        except ValueError as error:
            problems[group[0].video] = first_line(error)
    for name, asked in asked_about:
        try:
            found.append(_general_conversation(name, asked, folder, placeholders))
        except ValueError as error:
            problems[name] = first_line(error)
    return found, problems


def _none_of(files, annotations, split: str, levels: Sequence[str], tasks: Sequence[str]) -> AnnotationError:
    return AnnotationError(
        f"{annotations}: no instructions of the split {split!r} are of the levels {' '.join(levels)} and the tasks "
        f"{' '.join(tasks)}; the splits there are {', '.join(files.splits)}."
    )


def read_texts(
    annotations: str | os.PathLike, levels: Sequence[str], tasks: Sequence[str], split: str = "train"
) -> list[str]:
    """What the answers of these levels and tasks say, each text once.

    Raises:
        `AnnotationError`: if there is none.
    """
    files = read_annotation_files(annotations)
    rows = [row for row in instructions_of_split(files, split) if row.level in levels and row.task in tasks]
    if not rows:
        raise _none_of(files, annotations, split, levels, tasks)
    return list(dict.fromkeys(row.answer.strip() for row in rows))


def _some_spans(
    questions: Iterable[GeneralQuestion], level: str, most: int | None
) -> list[tuple[str, list[GeneralQuestion]]]:
    """The spans of a level with what is asked about each; of many, `most` that are evenly taken."""
    spans = list(group_spans(row for row in questions if row.level == level).items())
    if most is None or len(spans) <= most:
        return spans
    return [spans[place * len(spans) // most] for place in range(most)]


def group_spans(questions: Iterable[GeneralQuestion]) -> dict[str, list[GeneralQuestion]]:
    """General questions by the span they ask about, under its name, in their order."""
    groups: dict[str, list[GeneralQuestion]] = defaultdict(list)
    for row in questions:
        groups[row.span].append(row)
    return groups


def _general_conversation(
    name: str, asked: list[GeneralQuestion], folder: VideoFolder, placeholders: Sequence[str]
) -> Conversation:
    """The questions about one span; `ValueError` if its video is not there, or a text cannot be learned."""
    turns = tuple((row.question, row.answer) for row in asked)
    _check_texts(turns, placeholders)
    if (place := folder.find_whole(asked[0])) is None:
        raise ValueError(f"no such video under {folder.root}")
    return Conversation(NamedSegment(place.path, (asked[0].start_s, asked[0].end_s), name), turns)


def _conversation(
    group: list[Instruction], annotation: VideoAnnotation | None, folder: VideoFolder, placeholders: Sequence[str]
) -> Conversation:
    """The rows of a segment; `ValueError` if its video is not there, or a text cannot be learned."""
    first = group[0]
    span_s = annotation and annotation.span_s(first.level, first.event, first.clip)
    turns = tuple((row.question.strip(), row.answer.strip()) for row in group)
    _check_texts(turns, placeholders)
    place = folder.find_segment(first, span_s)
    return Conversation(NamedSegment(place.path, place.span_s, first.video), turns)


def _check_texts(turns: tuple[tuple[str, str], ...], placeholders: Sequence[str]) -> None:
    for text in (text for turn in turns for text in turn):
        if not text:
            raise ValueError("a question or an answer is empty")
        if any(word in text for word in placeholders):
            raise ValueError(f"a question or an answer holds {' or '.join(placeholders)}, which stand for pictures")


# ---- which frames ---------------------------------------------------------------------------------------------------


def choose_frames(rule: FrameRule, reader, segment: NamedSegment, score: Callable[[list[int]], torch.Tensor]) -> dict:
    """Frame numbers of a segment of an opened video, by the rule of inference.

    Args:
        rule ([`FrameRule`]): How to choose.
        reader (`VideoReader`), segment (`NamedSegment`): What of.
        score (`Callable`): Frame numbers -> their anomaly scores; asked only if the sampler looks at them.

    Returns:
        `dict`: `first` and `count` of the segment's frames, and the chosen `frames`.

    Raises:
        `ValueError`: If the segment is past the end of the video.
    """
    check_segment(segment.span_s, reader.duration_s, reader.fps)
    plan = rule.plan(reader, segment.span_s)
    scores = score(plan.dense) if plan.shown is None and rule.needs_scores else None
    return {"first": plan.first, "count": plan.count, "frames": rule.choose(plan.count, plan.first, scores)}


class FrameChooser:
    """
    The frames of many segments, chosen once and kept on disk; so are the scores, for other samplers and numbers.

    Args:
        folder (`Path`): Of the two caches.
        rule ([`FrameRule`]): How to choose.
        model, processor: The checkpoint. Its scorer is asked where the sampler looks at scores.

    Raises:
        `ValueError`: if the sampler needs a scorer and the model has none.
    """

    def __init__(self, folder: Path, rule: FrameRule, model, processor):
        self.rule, self.model, self.processor = rule, model, processor
        self._reader: tuple[str, VideoReader] | None = None  # the last one: segments come file by file
        made_with = asdict(rule)
        del made_with["scored"]  # here blind samplers choose from the dense grid, as the others do
        self.scores = None
        if rule.needs_scores:
            if model.config.model_type != "holmes_vau":
                raise ValueError(
                    f"--sampler {rule.sampler} needs an anomaly scorer, which a model of type "
                    f"{model.config.model_type!r} has not. Pass --sampler uniform, or add one: holmes-vau init."
                )
            scored_with = {
                "vision_tower": module_digest(model.model.vision_tower),
                "scorer": module_digest(model.anomaly_scorer),
                "dtype": str(model.dtype),
                "frame_stride": rule.frame_stride,
                "image_size": processor.image_size,
            }
            self.scores = JournalDict(folder / f"scores-{settings_digest(scored_with)}")
            made_with |= scored_with
        self.frames = JournalDict(folder / f"frames-{settings_digest(made_with)}")

    def choose_all(self, segments: Iterable[NamedSegment], process: int = 0, num_processes: int = 1) -> dict[str, str]:
        """Choose the frames of this process's share of the segments, file by file.

        Returns:
            `dict[str, str]`: Why segments can't be read, by name. It is not kept: a file may be repaired.
        """
        return do_all(
            dict.fromkeys(segments),
            self.choose,
            lambda segment: segment.name,
            "frames",
            "segment",
            process,
            num_processes,
            group=lambda segment: segment.path,
        )

    def choose(self, segment: NamedSegment) -> None:
        """Choose the frames of a segment, unless that was done.

        Raises:
            `ValueError`, `OSError`: if its file can't be read, or it is past the end.
        """
        key = segment.key()
        if key not in self.frames.entries:
            reader = self._open(segment.path)
            self.frames.put(key, choose_frames(self.rule, reader, segment, partial(self._score, key, reader)))

    def _open(self, path: str) -> VideoReader:
        if self._reader is None or self._reader[0] != path:
            self._reader = (path, open_video(path, self.processor.video_backend))
        return self._reader[1]

    def _score(self, key: str, reader, dense: list[int]) -> torch.Tensor:
        if key not in self.scores.entries:
            stream = FrameStream(reader, dense, self.processor.image_size, self.model.config.encode_batch_size)
            self.scores.put(key, self.model.score_frames(stream).tolist())
        return torch.tensor(self.scores.entries[key])


def random_frames(first: int, count: int, num_frames: int, rng: np.random.Generator) -> list[int]:
    """One frame at random of each of `num_frames` equal parts, the way the original trains. Repeats when frames are
    few."""
    borders = first + np.linspace(0, count, num_frames + 1).astype(int)
    return [int(rng.integers(low, max(low + 1, high))) for low, high in zip(borders, borders[1:])]
