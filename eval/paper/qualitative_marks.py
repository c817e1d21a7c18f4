"""Which words of an answer agree with the reference, and which name another colour or person."""

import re
from itertools import pairwise

from eval.metrics.attributes.attributes import COLOURS, PERSONS, SAME
from eval.metrics.judgement.judgement import outcome
from hivau70k_dataset.words import STOP_WORDS, content_words, find_words, stem


MET, AGAINST = "met", "against"
ANYBODY = ("person", "hooded person")  # may be whoever else is named
_COLOUR = re.compile(rf"\b(?:{'|'.join(COLOURS)})\b", re.IGNORECASE)
_PERSONS = {kind: re.compile(rf"\b(?:{words})\b", re.IGNORECASE) for kind, words in PERSONS.items()}


def mark(answer: str, reference: str) -> list[tuple[str, str]]:
    """
    An answer in pieces, each with what is to be said of it: `"met"` for a content word that the reference has too, in
    whatever form, `"against"` for a colour or person that it does not have where it has others, else `""`.

    Example:

    >>> mark("A man in black runs.", "The man in a red coat is running away.")
    [('A ', ''), ('man', 'met'), (' in ', ''), ('black', 'against'), (' ', ''), ('runs', 'met'), ('.', '')]
    """
    against = contradictions(answer, reference)
    stems = {stem(word) for word in content_words(reference)}
    spans = [(start, end, AGAINST) for start, end in against]
    for start, end, word in find_words(answer):
        word = word.removesuffix("'s")
        if word not in STOP_WORDS and stem(word) in stems and all(end <= a or b <= start for a, b in against):
            spans.append((start, end, MET))
    spans.sort()
    borders = [0, *(border for start, end, _ in spans for border in (start, end)), len(answer)]
    kinds = {start: kind for start, _, kind in spans}
    return [(answer[a:b], kinds.get(a, "")) for a, b in pairwise(borders) if a < b]


def contradictions(answer: str, reference: str) -> list[tuple[int, int]]:
    """Where an answer names a colour that the reference does not name, which names others; likewise of persons, where
    the reference names a man, a woman, an officer or a worker and nobody who might be either."""
    found = []
    if there := {_colour(match) for match in _COLOUR.finditer(reference)}:
        found += [match.span() for match in _COLOUR.finditer(answer) if _colour(match) not in there]
    persons = {kind for kind, words in _PERSONS.items() if words.search(reference)}
    if persons and not persons & {*ANYBODY}:
        for kind, words in _PERSONS.items():
            if kind not in persons and kind not in ANYBODY:
                found += [match.span() for match in words.finditer(answer)]
    return sorted(found)


def _colour(match: re.Match) -> str:
    word = match[0].lower()
    return SAME.get(word, word)


def agreement(answer: str, reference: str) -> tuple[int, int]:
    """How many of the different content words of the reference an answer has, in whatever form, and how many there
    are.

    Example:

    >>> agreement("He runs.", "A man is running to a white van.")
    (1, 4)
    """
    said, there = ({stem(word) for word in content_words(text)} for text in (answer, reference))
    return len(said & there), len(there)


def judge(answer: str, reference: str) -> tuple[bool, str] | None:
    """
    Whether a judgement is right, and what of it, as the metric of judgements reads both; `None` where the reference
    states nothing.

    Example:

    >>> judge("Yes, a fight.", "An anomaly exists, specifically a Robbery anomaly.")
    (True, 'right, another class')
    >>> judge("No.", "An anomaly exists."), judge("A street.", "No anomaly exists.")
    ((False, 'wrong'), (False, 'no verdict'))
    """
    found = outcome(answer, reference)
    if not found.counted:
        return None
    if found.unparsable:
        return False, "no verdict"
    right = bool(found.true_positive or found.true_negative)
    if not right:
        return False, "wrong"
    if not found.with_class:
        return True, "right"
    said = "its class too" if found.class_equal else "classes in part" if found.class_met else "another class"
    return True, f"right, {said}"
