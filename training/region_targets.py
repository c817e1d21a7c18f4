"""Pretraining, what shows where: which words each patch of an augmented frame is to tell."""

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
import torch

from hivau70k_dataset.regions import Region, VideoRegions


MIN_REGIONS = 50  # a word of fewer regions is not learned
COVERED, CONTAINED = 0.25, 0.4  # a patch shows what covers this share of it, or lies with this share in it
TOUCHED = 0.02  # what covers less than COVERED but more than this is left open


def region_words(videos: Iterable[VideoRegions], min_regions: int = MIN_REGIONS) -> list[str]:
    """The words to learn: those that `min_regions` regions have."""
    counts = Counter(
        label for video in videos for found in video.frames.values() for region in found for label in region.labels
    )
    return sorted(label for label, count in counts.items() if count >= min_regions)


class RegionTargets:
    """
    The regions of frames, by the frame's place in a list.

    Args:
        frames (`Sequence[tuple[Region, ...] | None]`): Of each frame; `None` where nobody has looked.
        vocabulary (`Sequence[str]`): The words that are learned.
    """

    def __init__(self, frames: Sequence[tuple[Region, ...] | None], vocabulary: Sequence[str]):
        self.vocabulary = vocabulary
        position = {label: i for i, label in enumerate(vocabulary)}
        self.told = np.array([found is not None for found in frames])
        self.starts = np.cumsum([0, *(len(found or ()) for found in frames)])
        regions = [region for found in frames for region in found or ()]
        self.boxes = np.array([region.box for region in regions], np.float32).reshape(-1, 4)
        self.labels = np.zeros((len(regions), len(self.vocabulary)), np.uint8)
        for row, region in zip(self.labels, regions):
            row[[position[label] for label in region.labels if label in position]] = 1
        self.is_open = np.array([not region.labels for region in regions], bool)

    def paint(self, places: np.ndarray, changes: torch.Tensor, side: int) -> tuple[torch.Tensor, torch.Tensor]:
        """
        What the patches of frames show once the frames are changed.

        Args:
            places (`np.ndarray` of shape `(B,)`): Which frames.
            changes (`torch.Tensor` of shape `(B, 10)`): Of `draw_changes`.
            side (`int`): Patches along a side.

        Returns:
            `tuple`: Targets `(B, side * side, words)`, uint8, and which patches are known, `(B, side * side)`, bool.
        """
        targets = np.zeros((len(places), side * side, len(self.vocabulary)), np.uint8)
        known = _inside(changes.numpy(), side) & self.told[places][:, None]
        for row, (place, change) in enumerate(zip(places, changes.numpy())):
            span = slice(self.starts[place], self.starts[place + 1])
            if span.start == span.stop:
                continue
            covered, contained = coverage(moved(self.boxes[span], change), side)  # (regions, patches) both
            shown = ((covered >= COVERED) | (contained >= CONTAINED)) & ~self.is_open[span, None]
            known[row] &= ~((covered > TOUCHED) & ~shown).any(0)
            targets[row] = (shown.T.astype(np.float32) @ self.labels[span].astype(np.float32)) > 0
        return torch.from_numpy(targets), torch.from_numpy(known)


def moved(boxes: np.ndarray, change: np.ndarray) -> np.ndarray:
    """Where boxes `(R, 4)` lie in a frame that `augment` has changed, in shares of it; mirrored ones the right way."""
    mirrored, width, height, right, down = change[:5]
    x = ((2 * boxes[:, [0, 2]] - 1) - right) / (width * mirrored)
    y = ((2 * boxes[:, [1, 3]] - 1) - down) / height
    x.sort(axis=1)
    return np.stack([x[:, 0], y[:, 0], x[:, 1], y[:, 1]], axis=1) / 2 + 0.5


def coverage(boxes: np.ndarray, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Of boxes `(R, 4)` and a grid of patches: the share of each patch that a box covers, and the share of the box
    that lies in it, both `(R, side * side)`."""
    edges = np.arange(side + 1) / side

    def overlap(low: np.ndarray, high: np.ndarray) -> np.ndarray:
        return np.clip(np.minimum(high[:, None], edges[1:]) - np.maximum(low[:, None], edges[:-1]), 0, None)

    areas = overlap(boxes[:, 1], boxes[:, 3])[:, :, None] * overlap(boxes[:, 0], boxes[:, 2])[:, None, :]
    areas = areas.reshape(len(boxes), -1)
    whole = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    return areas * side * side, areas / np.maximum(whole, 1e-6)[:, None]


def _inside(changes: np.ndarray, side: int) -> np.ndarray:
    """Which patches of changed frames show the frame and not its reflection, `(B, side * side)`."""
    middles = 2 * (np.arange(side) + 0.5) / side - 1
    mirrored, width, height, right, down = (changes[:, i, None] for i in range(5))
    columns = np.abs(middles * width * mirrored + right) < 1
    rows = np.abs(middles * height + down) < 1
    return (rows[:, :, None] & columns[:, None, :]).reshape(len(changes), -1)
