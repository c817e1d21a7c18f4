"""Which rows `eval/reasoning.py score` scores together, and the answers of baselines that never look at a video."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from zlib import crc32

import numpy as np

from hivau70k_dataset.schema import LEVELS, TASKS, Instruction


MODEL, RIVAL, FREQUENT, SHUFFLED = "model", "rival", "most frequent", "shuffled"
MEANING = {
    FREQUENT: "the most frequent reference of the task at this level, for every row (of ties the first)",
    SHUFFLED: "the reference of another segment, of the same task and level",
}

Pairs = list[tuple[str, str]]  # of an answer and its reference


@dataclass(frozen=True)
class Pool:
    """Rows that are scored together.

    Args:
        level (`str`), task (`str`, *optional*): Of the rows; without a task all tasks of the level.
        duplicates (`bool`): Whether rows that ask the same of a segment again are in.
        rows (`list[int]`): Their places in the list of instructions.
    """

    level: str
    task: str | None
    duplicates: bool
    rows: list[int]


def first_of_each(instructions: list[Instruction]) -> list[int]:
    """Places of the rows that ask a task of a segment for the first time."""
    places = {}
    for place, row in enumerate(instructions):
        places.setdefault((row.video, row.task), place)
    return sorted(places.values())


def pools_of(instructions: list[Instruction], places: list[int], duplicates: bool) -> Iterator[Pool]:
    """The pools among some rows: each level, and each task of a level that has several."""
    for level in LEVELS:
        rows = [place for place in places if instructions[place].level == level]
        tasks = [task for task in TASKS if any(instructions[place].task == task for place in rows)]
        if rows:
            yield Pool(level, None, duplicates, rows)
        for task in tasks if len(tasks) > 1 else ():
            yield Pool(level, task, duplicates, [place for place in rows if instructions[place].task == task])


def _by_task(instructions: list[Instruction]) -> dict[tuple[str, str], list[int]]:
    places = defaultdict(list)
    for place, row in enumerate(instructions):
        places[row.level, row.task].append(place)
    return places


def most_frequent(instructions: list[Instruction]) -> list[str]:
    """For each row the most frequent answer of its level and task; of ties the first.

    Args:
        instructions (`list[Instruction]`): The rows whose answers are counted.
    """
    answers = [""] * len(instructions)
    for places in _by_task(instructions).values():
        counts = Counter(instructions[place].answer for place in places)
        best = max(counts, key=counts.__getitem__)  # the first of ties: a Counter keeps the order of the rows
        for place in places:
            answers[place] = best
    return answers


def shuffled(instructions: list[Instruction], seed: int) -> list[str]:
    """For each row the answer of another row of its level and task, never its own.

    Rows of one segment lie together in a random order of segments, and each takes the answer of the row that lies as
    far ahead as the largest segment has rows. So it is that of another segment, unless one segment has more than half
    of the rows. A row without another one gets an empty answer.

    Args:
        instructions (`list[Instruction]`): The rows that exchange answers.
        seed (`int`): Of the order.
    """
    answers = [""] * len(instructions)
    for (level, task), places in _by_task(instructions).items():
        if len(places) < 2:
            continue
        rng = np.random.default_rng((seed, crc32(f"{level} {task}".encode())))
        segments = defaultdict(list)
        for place in rng.permutation(places):
            segments[instructions[place].video].append(place)
        order = [place for members in segments.values() for place in members]
        ahead = min(max(map(len, segments.values())), len(order) // 2)
        for taker, giver in zip(order, order[ahead:] + order[:ahead]):
            answers[taker] = instructions[giver].answer
    return answers


def pools_and_pairs(
    instructions: list[Instruction], answered: dict[str, list[str]], seed: int
) -> list[tuple[Pool, dict[str, Pairs]]]:
    """All pools by level, each with the pairs of answer and reference of every system and of each baseline.

    A pool without duplicates is left out where there are none to leave out.

    Args:
        instructions (`list[Instruction]`): The rows.
        answered (`dict[str, list[str]]`): By system its answer to each row.
        seed (`int`): Of the shuffled baseline.
    """
    found: list[tuple[Pool, dict[str, Pairs]]] = []
    for duplicates, places in ((True, list(range(len(instructions)))), (False, first_of_each(instructions))):
        chosen = [instructions[place] for place in places]
        blind = {FREQUENT: most_frequent(chosen), SHUFFLED: shuffled(chosen, seed)}  # of these rows alone
        answers = {name: dict(enumerate(texts)) for name, texts in answered.items()}
        answers |= {name: dict(zip(places, texts)) for name, texts in blind.items()}
        whole = [pool.rows for pool, _ in found]
        for pool in pools_of(instructions, places, duplicates):
            if pool.rows not in whole:
                pairs = {
                    name: [(texts[place], instructions[place].answer) for place in pool.rows]
                    for name, texts in answers.items()
                }
                found.append((pool, pairs))
    return sorted(found, key=lambda entry: LEVELS.index(entry[0].level))
