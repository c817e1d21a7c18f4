"""Where the parts of the picture go: numbers in pixels, without a canvas."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..base.clock import clock


# Lengths of the picture are in pixels. A power of two as dots per inch keeps pixel -> inch -> pixel exact.
WIDTH, DPI = 1400, 128
LEFT, RIGHT = 48, WIDTH - 48
PLOT_LEFT = LEFT + 40
PLOT_HEIGHT = 220
SCALE_GAP = 18  # between numbers of the scale
LABEL_GAP, MAX_LABEL_SHIFT = 18, 160  # between event labels; how far one may stand from its event
BADGE_RADIUS, BADGE_GAP = 12, 28
SHEET_HEIGHT = 640  # the contact sheet takes the number of columns that brings it near this height
MAX_THUMB_HEIGHT, CELL_GAP, CAPTION_HEIGHT = 420, 12, 34
MAX_CURVE_POINTS = 1200  # about one per pixel
TICK_STEPS_S = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400)


def shown_range(analysis: dict[str, Any]) -> tuple[float, float]:
    """First and last second of the axis of time: what was analysed, and whatever lies outside."""
    start_s, end_s = analysis.get("segment_s") or (0.0, analysis["duration_s"])
    ends_s = [time_s for event in analysis["events"] for time_s in (event["start_s"], event["end_s"])]
    times_s = [*analysis["dense_times_s"], *analysis["sampled_times_s"], *ends_s]
    start_s = min(start_s, *times_s)
    return start_s, max(end_s, start_s + 1 / analysis["fps"], *times_s)


def ticks(start_s: float, end_s: float, most: int) -> list[tuple[float, str]]:
    """Round times of an axis, about `most` at the most, and what they are called.

    >>> ticks(0.0, 42.0, 5)
    [(0, '0:00'), (10, '0:10'), (20, '0:20'), (30, '0:30'), (40, '0:40')]
    """
    step_s = next((step for step in TICK_STEPS_S if (end_s - start_s) / step <= most), None)
    if step_s is None:  # days long
        step_s = 86400 * math.ceil((end_s - start_s) / 86400 / most)
    decimals = 2 if step_s < 0.1 else 1 if step_s < 1 else 0
    numbers = range(math.ceil(start_s / step_s - 1e-6), math.floor(end_s / step_s + 1e-6) + 1)
    return [(number * step_s, clock(number * step_s, decimals)) for number in numbers]


def grid(num_frames: int, aspect: float) -> tuple[int, int, int]:
    """Choose columns, thumbnail width and height: near `SHEET_HEIGHT`, few empty cells, little unused width."""
    best = (math.inf, 1, 1, 1)
    for columns in range(1, num_frames + 1):
        room = (RIGHT - LEFT - CELL_GAP * (columns - 1)) / columns
        width = min(room, MAX_THUMB_HEIGHT * aspect)
        rows = math.ceil(num_frames / columns)
        height = rows * (width / aspect + CAPTION_HEIGHT)
        unused = 1 - width * num_frames / (room * rows * columns)
        cost = abs(math.log(height / SHEET_HEIGHT)) + 3 * unused
        best = min(best, (cost, columns, max(1, int(width)), max(1, int(width / aspect))))
    return best[1:]


def spread(positions: np.ndarray, widths: np.ndarray, low: float, high: float) -> np.ndarray:
    """Place things of these widths side by side within [low, high], moved by the least total square.

    With the room that those before it need taken off each of the (ascending) positions, this is isotonic regression:
    pool neighbours that are out of order into their mean.
    """
    shifts = np.cumsum(widths) - widths / 2
    pools: list[tuple[float, int]] = []
    for position in positions - shifts:
        pools.append((float(position), 1))
        while len(pools) > 1 and pools[-2][0] > pools[-1][0]:
            (value, count), (last_value, last_count) = pools[-2:]
            total = count + last_count
            pools[-2:] = [((value * count + last_value * last_count) / total, total)]
    values, counts = zip(*pools, strict=True)
    return np.clip(np.repeat(values, counts), low, high - widths.sum()) + shifts


def place_labels(
    centres: list[float], peaks: list[float], width_of: Callable[[int], float]
) -> list[tuple[int, float]]:
    """Give the events with the highest peaks a label in one row; those that would push others too far stay without.

    Args:
        centres (`list[float]`): x of each event's middle.
        peaks (`list[float]`): Its highest score.
        width_of (`Callable[[int], float]`): The width of the label of event `i`; asked of those that may get one.

    Returns:
        `list[tuple[int, float]]`: Number of the event and x of its label's middle, from left to right.
    """
    placed: list[tuple[int, float]] = []
    chosen: list[tuple[float, int, float]] = []  # x, number and width of what has a place
    for index in sorted(range(len(centres)), key=lambda index: -peaks[index]):
        trial = sorted([*chosen, (centres[index], index, width_of(index) + LABEL_GAP)])
        stems, numbers, widths = zip(*trial, strict=True)
        if sum(widths) > RIGHT - PLOT_LEFT:
            break
        xs = spread(np.array(stems), np.array(widths), PLOT_LEFT, RIGHT)
        if np.abs(xs - stems).max() <= MAX_LABEL_SHIFT:
            placed, chosen = list(zip(numbers, xs.tolist(), strict=True)), trial
    return placed


def envelope(times_s: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Keep the highest score of each run of frames that would share a pixel: a short peak must stay visible."""
    run = math.ceil(len(scores) / MAX_CURVE_POINTS)
    padded = np.pad(scores, (0, -len(scores) % run), constant_values=-1.0).reshape(-1, run)
    peaks = padded.argmax(axis=1) + run * np.arange(len(padded))
    return times_s[peaks], scores[peaks]


def split_at_gaps(times_s: np.ndarray, scores: np.ndarray, gaps_s: list) -> list[tuple[np.ndarray, np.ndarray]]:
    """Pieces of the curve that no gap of the recording parts. The score before a gap stands until it begins."""
    starts_s = [start_s for start_s, _ in gaps_s]
    after = np.searchsorted(times_s, starts_s).astype(int)
    pieces = list(zip(np.split(times_s, after), np.split(scores, after), [[start_s] for start_s in starts_s] + [[]]))
    return [(np.append(x, end), np.append(y, y[-1:].repeat(len(end)))) for x, y, end in pieces if len(x)]
