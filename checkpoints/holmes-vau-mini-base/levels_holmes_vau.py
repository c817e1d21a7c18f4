"""Any granularity: what the language model says of a video, of each event in it and of each clip of an event.

The three levels and their tasks are those of HIVAU-70k (paper, section 3.2): clips have a caption, events and the
whole video a judgement, a description and, where they are abnormal, an analysis. The result has the form of such
annotations.
"""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

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


def describe_levels(
    session, levels: Sequence[str] = LEVELS, on_answer: Callable[[int, int], None] | None = None, **generate_kwargs
) -> dict:
    """
    What the language model says of a video at the levels asked for, from the one pass in which it was encoded: of the
    frames that are shown again only those that were not kept go through the vision tower once more.

    Args:
        session ([`VideoSession`]): The video.
        levels (`list[str]`, *optional*, defaults to all): Some of `"video"`, `"event"` and `"clip"`.
        on_answer (`Callable[[int, int], None]`, *optional*): Called with answers given and answers in all.
        generate_kwargs: `max_new_tokens` and the like, for `generate`.

    Returns:
        `dict`: An annotation in the form of HIVAU-70k, which the dataset tools read: `video`, `source`, `split`,
        `labels`, `n_frames`, `fps`; `summary`, `judgement`, `description` and `analysis` of the video; and `events`,
        each with `start_s`, `end_s`, the same four, and `clips` with `start_s`, `end_s` and `caption`. What was not
        asked for is `None` (a summary then says so). Nobody has checked it: it is a proposal.
    """
    levels, events = check_levels(levels), session.events()
    asking = _Asking(session, on_answer, generate_kwargs)
    spans = [(event["start_s"], event["end_s"]) for event in events] if "event" in levels else []
    clips = [cut_evenly(*span) if "clip" in levels else [] for span in spans]
    asking.total = 3 * len(spans) + sum(map(len, clips)) + (2 + bool(events)) * ("video" in levels)
    whole = asking.summarise(None, bool(events)) if "video" in levels else NOT_ASKED
    described = []
    for (start_s, end_s), parts in zip(spans, clips):
        captions = [asking.ask(CAPTION, span) for span in parts]
        described.append(
            {"start_s": start_s, "end_s": end_s, **asking.summarise((start_s, end_s), True)}
            | {"clips": [{"start_s": a, "end_s": b, "caption": text} for (a, b), text in zip(parts, captions)]}
        )
    labels = [name for part in (*described, whole) for name in parse_judgement(part["judgement"] or "").classes]
    reader = session.reader
    return {
        "video": Path(os.fspath(reader.path)).stem,
        "source": PROPOSAL,
        "split": SPLIT,
        "n_frames": reader.num_frames,
        "fps": reader.fps,
        "labels": (list(dict.fromkeys(labels)) or [UNNAMED]) if events else [],
        "events": described,
        **whole,
    }


NOT_ASKED = {"summary": "not asked for", "judgement": None, "description": None, "analysis": None}


class _Asking:
    """Questions about spans of one video, counted."""

    def __init__(self, session, on_answer, generate_kwargs: dict):
        self.session, self.on_answer, self.options = session, on_answer, generate_kwargs
        self.done = self.total = 0
        self._span, self._chat = None, None

    def ask(self, question: str, span_s: tuple[float, float] | None) -> str:
        """The answer to one question, without those before it."""
        context = 0.0 if span_s is None or question == CAPTION else CONTEXT
        if self._chat is None or self._span != (span_s, context):
            self._span, self._chat = (span_s, context), self.session.chat(span_s, context)
        self._chat.turns.clear()
        answer = self._chat.ask(question, **self.options)
        self.done += 1
        if self.on_answer is not None:
            self.on_answer(self.done, self.total)
        return answer

    def summarise(self, span_s: tuple[float, float] | None, is_abnormal: bool) -> dict[str, str | None]:
        """Judgement, description and, of what is abnormal, analysis; and the three as one text."""
        questions = {"judgement": JUDGEMENT, "description": DESCRIPTION, "analysis": ANALYSIS if is_abnormal else None}
        parts = {name: question and self.ask(question, span_s) or None for name, question in questions.items()}
        return {"summary": " ".join(text for text in parts.values() if text) or "no answer", **parts}
