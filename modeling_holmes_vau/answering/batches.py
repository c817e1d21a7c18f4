"""Which questions are answered together: they follow from the list of questions and the batch size alone."""

from collections.abc import Callable, Hashable, Sequence
from typing import TypeVar


CHUNK_BATCHES = 4  # batches of a chunk: what was seen of its segments is in memory at a time

Asked = TypeVar("Asked")


def plan_chunks(asked: Sequence[Asked], size: int, segment: Callable[[Asked], Hashable]) -> list[list[Asked]]:
    """Chunks of at least `size` questions, but for the last, that hold all questions about their segments.

    Args:
        asked (`Sequence`): The questions.
        size (`int`): At least 1.
        segment (`Callable`): What a question is about.

    >>> plan_chunks(["a1", "b1", "a2", "c1"], 2, segment=lambda question: question[0])
    [['a1', 'a2'], ['b1', 'c1']]
    """
    of_segment: dict[Hashable, list[Asked]] = {}
    for question in asked:
        of_segment.setdefault(segment(question), []).append(question)
    chunks: list[list[Asked]] = [[]]
    for same in of_segment.values():
        if len(chunks[-1]) >= size:
            chunks.append([])
        chunks[-1].extend(same)
    return chunks


def plan_batches(
    chunk: Sequence[Asked], size: int, length: Callable[[Asked], int], place: Callable[[Asked], int]
) -> list[list[Asked]]:
    """Batches of up to `size` questions, longest first, of equally long ones the first in the list of all.

    Args:
        chunk (`Sequence`): The questions.
        size (`int`): At least 1.
        length (`Callable`), place (`Callable`): How long a question is, and its place in the list of all.

    >>> plan_batches([(0, "Why?"), (2, "What?"), (1, "When?")], 2, lambda asked: len(asked[1]), lambda asked: asked[0])
    [[(1, 'When?'), (2, 'What?')], [(0, 'Why?')]]
    """
    ordered = sorted(chunk, key=lambda asked: (-length(asked), place(asked)))
    return [ordered[start : start + size] for start in range(0, len(ordered), size)]
