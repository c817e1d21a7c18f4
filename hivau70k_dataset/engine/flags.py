"""What tells a person to look at an item first. Pure functions of texts, spans and scores."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from modeling_holmes_vau.judgement_holmes_vau import canonical_class, parse_judgement

from ..schema import SUMMARY_TASKS, SummaryParts
from .state import EMPTY, REFUSED, UNREAD, Told


@dataclass(frozen=True)
class Flag:
    """Something that may be wrong; the larger the weight, the sooner a person should look."""

    code: str
    message: str
    weight: int


# Words of a text; of the released test annotations nearly all captions and descriptions lie between these.
CAPTION_WORDS = (4, 120)
DESCRIPTION_WORDS = (5, 300)
REPEATED_WORDS = 5  # so many words in a row ...
REPEATED_TIMES = 3  # ... so many times
SHARED_WORDS = 0.15  # of the content words of a description, the least share that the texts beneath it have
FEWEST_WORDS = 8  # of a description, to compare it with what is beneath
LOW, HIGH = 0.3, 0.7  # of a scorer: an abnormal event below, a normal one above
_REFUSAL = re.compile(
    r"\b(?:i'?m sorry|i am sorry|i apologi[sz]e|as an ai\b|as a language model"
    r"|i(?: cannot| can't| am unable to|'m unable to) "
    r"(?:help|assist|provide|describe|answer|fulfil|comply|see|view|watch))",
    re.IGNORECASE,
)
_WORD = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)?", re.UNICODE)
_COMMON = frozenset(
    "a an and are as at be been being by for from had has have he her his i in into is it its of on or she that the "
    "their them there they this to was were which while who with would video clip anomaly event events scene seen "
    "shows showing shown person people man woman".split()
)


def flags_of_text(told: Told, is_caption: bool) -> list[Flag]:
    """What is odd about a text by itself, or that there is none."""
    if not told.is_there:
        problem = " ".join((told.problem or "there is none").split())
        return [Flag("missing", f"no text: {problem[:200]}", 8 if told.why in (REFUSED, EMPTY, UNREAD) else 6)]
    text = told.text if is_caption or told.parts is None else told.parts.description or told.text
    low, high = CAPTION_WORDS if is_caption else DESCRIPTION_WORDS
    words, found = len(text.split()), []
    if words < low:
        found.append(Flag("short", f"{words} words", 2))
    if words > high:
        found.append(Flag("long", f"{words} words", 1))
    if said := repeated(text):
        found.append(Flag("repetition", f"says again and again: {said}", 4))
    if match := _REFUSAL.search(told.text.replace("’", "'")):
        found.append(Flag("refusal", f"sounds like a refusal: {match[0]}", 7))
    return found


def repeated(text: str) -> str | None:
    """What a text says again and again: a run of words, or a sentence; `None` if nothing.

    Example:

    >>> repeated("A man walks by the car. A man walks by the car. A man walks by the car.")
    'a man walks by the'
    """
    words = [word.lower() for word in _WORD.findall(text)]
    runs = Counter(tuple(words[i : i + REPEATED_WORDS]) for i in range(len(words) - REPEATED_WORDS + 1))
    run, times = max(runs.items(), key=lambda pair: pair[1], default=((), 0))
    if times >= REPEATED_TIMES:
        return " ".join(run)
    sentences = Counter(
        part.strip().lower() for part in re.split(r"[.!?]", text) if len(part.split()) >= REPEATED_WORDS
    )
    sentence, times = max(sentences.items(), key=lambda pair: pair[1], default=("", 0))
    return sentence if times > 1 else None


def flags_of_judgement(parts: SummaryParts | None, labels: Sequence[str]) -> list[Flag]:
    """Whether a judgement says what the label says."""
    if parts is None:
        return []
    judged = parse_judgement(parts.judgement)
    if judged.abnormal is None:
        return [Flag("unclear", "the judgement says neither that there is an anomaly nor that there is none", 3)]
    if judged.abnormal != bool(labels):
        says = "an anomaly" if judged.abnormal else "none"
        return [Flag("contradicts", f"the judgement says {says}, the label {', '.join(labels) or 'normal'}", 8)]
    if labels and not _names_one(parts.judgement, labels, judged.classes):
        return [Flag("class", f"the judgement does not name {' or '.join(labels)}", 3)]
    missing = [task for task in SUMMARY_TASKS[1 : 3 if labels else 2] if not getattr(parts, task)]
    return [Flag("part", f"no {' and no '.join(missing)}", 5)] if missing else []


def _names_one(judgement: str, labels: Sequence[str], classes: Sequence[str]) -> bool:
    plain = judgement.lower()
    return any(label.lower() in plain or canonical_class(label) in classes for label in labels)


def content_words(text: str) -> set[str]:
    """The words of a text that tell something, without their endings."""
    words = (word.lower() for word in _WORD.findall(text))
    return {re.sub(r"(?:ing|ed|es|s)$", "", word) for word in words if word not in _COMMON and len(word) > 2}


def flags_of_agreement(description: str | None, beneath: Iterable[str]) -> list[Flag]:
    """Whether a description tells of what the texts beneath it tell."""
    told, known = content_words(description or ""), content_words(" ".join(beneath))
    if len(told) < FEWEST_WORDS or not known:
        return []
    share = len(told & known) / len(told)
    if share >= SHARED_WORDS:
        return []
    return [Flag("disagrees", f"{share:.0%} of its words are in the texts beneath", 3)]


def flags_of_span(start_s: float, end_s: float, duration_s: float, fps: float) -> list[Flag]:
    """Whether a span is within its video."""
    if end_s > duration_s + 1 / fps:
        return [Flag("past_end", f"ends at {end_s:.2f} s, the video at {duration_s:.2f} s", 6)]
    return [] if start_s < end_s else [Flag("past_end", f"from {start_s:.2f} to {end_s:.2f} s", 6)]


def flags_of_score(peak: float | None, is_abnormal: bool) -> list[Flag]:
    """Whether the scorer sees what the label says."""
    if peak is None or (LOW <= peak if is_abnormal else peak <= HIGH):
        return []
    kind = "abnormal" if is_abnormal else "normal"
    return [Flag("scorer", f"{kind}, but the highest score inside is {peak:.2f}", 4)]
