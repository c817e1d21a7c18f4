"""Any granularity: what the language model says of a video, of each event in it and of each clip of an event.

The three levels and their tasks are those of HIVAU-70k (paper, section 3.2): clips have a caption, events and the
whole video a judgement, a description and, where they are abnormal, an analysis. The result has the form of such
annotations.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from .asking_holmes_vau import Question, answer_all
from .judgement_holmes_vau import parse_judgement


LEVELS = ("video", "event", "clip")
# Of the pools of paper Sec. A.3, one question each.
JUDGEMENT = "Are there any anomaly events detected in the video?"
DESCRIPTION = "Could you specify the anomaly events present in the video?"  # that of the original notebook
ANALYSIS = "Why do you judge this event to be anomalous?"
CAPTION = "Give a short description of the video."
CLIP_S = 5.0  # about how long a clip of an event is, in seconds (ours)
CONTEXT = 0.25  # share of the frames of an event that are shown of what is around it (ours)
PROPOSAL, SPLIT, UNNAMED = "proposal", "test", "Anomaly"  # source, split and class of what nobody has checked


def check_levels(levels: Sequence[str]) -> tuple[str, ...]:
    """The levels asked for, each once, the largest first; an event is needed for its clips.

    Raises:
        `ValueError`: if one is none.
    """
    for level in levels:
        if level not in LEVELS:
            raise ValueError(f"`granularity` must be some of {', '.join(LEVELS)}, got {level!r}.")
    return tuple(level for level in LEVELS if level in levels or (level == "event" and "clip" in levels))


def cut_evenly(start_s: float, end_s: float, length_s: float = CLIP_S) -> list[tuple[float, float]]:
    """Spans of equal length, of about `length_s` seconds, that make up a span.

    Example:

    ```python
    >>> cut_evenly(2.0, 14.0)
    [(2.0, 8.0), (8.0, 14.0)]

    ```
    """
    count = max(1, round((end_s - start_s) / length_s))
    borders = [start_s + (end_s - start_s) * i / count for i in range(count + 1)]
    return list(zip(borders, borders[1:]))


class LevelQuestions:
    """
    What is asked about a video at some levels, and the answers as an annotation.

    Args:
        session ([`VideoSession`]): The video.
        levels (`list[str]`): Some of `"video"`, `"event"` and `"clip"`.

    The attribute `questions` (`list[Question]`) is what is to be answered.
    """

    def __init__(self, session, levels: Sequence[str]):
        self._reader, levels = session.reader, check_levels(levels)
        self._is_scored, self._is_abnormal = session.rule.scored, bool(events := session.events())
        spans = [(event["start_s"], event["end_s"]) for event in events] if "event" in levels else []
        self._whole = _questions(None, self._is_abnormal) if "video" in levels else None
        self._events = [(span, _questions(span, True)) for span in spans]
        self._clips = [
            [Question(CAPTION, part) for part in cut_evenly(*span)] if "clip" in levels else [] for span in spans
        ]
        asked = [*(self._whole or {}).values()]
        for (_, parts), clips in zip(self._events, self._clips):
            asked += [*clips, *parts.values()]
        self.questions = [question for question in asked if question is not None]

    def annotation(self, answers: Mapping[Question, str]) -> dict:
        """The answers in the form of HIVAU-70k, see [`describe_levels`]."""
        whole = NOT_ASKED if self._whole is None else _told(self._whole, answers)
        described = [
            {"start_s": span[0], "end_s": span[1], **_told(parts, answers)}
            | {"clips": [{"start_s": c.span_s[0], "end_s": c.span_s[1], "caption": answers[c]} for c in clips]}
            for (span, parts), clips in zip(self._events, self._clips)
        ]
        labels = [name for part in (*described, whole) for name in parse_judgement(part["judgement"] or "").classes]
        labels = list(dict.fromkeys(labels))
        if self._is_scored:
            labels = (labels or [UNNAMED]) if self._is_abnormal else []
        return {
            "video": Path(os.fspath(self._reader.path)).stem,
            "source": PROPOSAL,
            "split": SPLIT,
            "n_frames": self._reader.num_frames,
            "fps": self._reader.fps,
            "labels": labels,
            "events": described,
            **whole,
        }


def describe_levels(
    session,
    levels: Sequence[str] = LEVELS,
    on_answer: Callable[[int, int], None] | None = None,
    batch_size: int | None = None,
    **generate_kwargs,
) -> dict:
    """
    What the language model says of a video at the levels asked for, from the one pass in which it was encoded: of the
    frames that are shown again only those that were not kept go through the vision tower once more.

    Args:
        session ([`VideoSession`]): The video.
        levels (`list[str]`, *optional*, defaults to all): Some of `"video"`, `"event"` and `"clip"`.
        on_answer (`Callable`), batch_size (`int`), generate_kwargs: As for [`answer_all`].

    Returns:
        `dict`: An annotation in the form of HIVAU-70k, which the dataset tools read: `video`, `source`, `split`,
        `labels`, `n_frames`, `fps`; `summary`, `judgement`, `description` and `analysis` of the video; and `events`,
        each with `start_s`, `end_s`, the same four, and `clips` with `start_s`, `end_s` and `caption`. What was not
        asked for is `None` (a summary then says so). Nobody has checked it: it is a proposal.
    """
    asked = LevelQuestions(session, levels)
    return asked.annotation(answer_all(session, asked.questions, batch_size, on_answer, **generate_kwargs))


NOT_ASKED = {"summary": "not asked for", "judgement": None, "description": None, "analysis": None}


def _questions(span_s: tuple[float, float] | None, is_abnormal: bool) -> dict[str, Question | None]:
    """Judgement, description and, of what is abnormal, analysis; with a little of what is around a span."""
    words = {"judgement": JUDGEMENT, "description": DESCRIPTION, "analysis": ANALYSIS if is_abnormal else None}
    context = 0.0 if span_s is None else CONTEXT
    return {name: question and Question(question, span_s, context) for name, question in words.items()}


def _told(asked: Mapping[str, Question | None], answers: Mapping[Question, str]) -> dict[str, str | None]:
    """The three parts, `None` of what has no answer; and the three as one text."""
    parts = {name: question and answers[question] or None for name, question in asked.items()}
    return {"summary": " ".join(text for text in parts.values() if text) or "no answer", **parts}
