"""How far detection figures would move with other videos: percentiles over resamples of whole videos."""

from collections.abc import Callable

import numpy as np

from eval.answers.report import draw_weights, with_interval
from eval.frames.count import CountedVideo


Counts = tuple[np.ndarray, np.ndarray]  # abnormal and normal frames by score, from the highest score down


def auc_of(counts: Counts) -> float:
    """Area under the ROC curve; frames of one score count half."""
    positive, negative = counts
    above = np.cumsum(positive) - positive / 2
    return float((negative * above).sum() / (positive.sum() * negative.sum()))


def ap_step_of(counts: Counts) -> float:
    """Average precision by the step rule."""
    positive, negative = counts
    found = np.cumsum(positive)
    return float((positive * found / (found + np.cumsum(negative))).sum() / found[-1])


def ap_of(counts: Counts) -> float:
    """Average precision by the trapezoid rule, from a made-up precision of 1 at a recall of 0 on."""
    positive, negative = counts
    found = np.cumsum(positive)
    precision = np.r_[1.0, found / (found + np.cumsum(negative))]
    return float((positive * (precision[1:] + precision[:-1]) / 2).sum() / found[-1])


FIGURES: dict[str, Callable[[Counts], float]] = {"auc": auc_of, "ap": ap_of, "ap_step": ap_step_of}


def detection_intervals(
    videos: list[CountedVideo], resamples: int = 1000, seed: int = 0
) -> dict[str, dict[str, float | None]]:
    """
    Micro AUC and average precision with their intervals.

    Args:
        videos (`list[CountedVideo]`): At least one with abnormal and one with normal frames.
        resamples (`int`, *optional*, defaults to 1000): Draws of as many videos, with replacement; 0 for no intervals.
        seed (`int`, *optional*, defaults to 0): Of the draws.

    Returns:
        `dict`: "auc", "ap" (trapezoid) and "ap_step", each with `value`, `low`, `high` (95 %, `None` without).
    """
    scores = np.concatenate([video.scores for video in videos])
    labels = np.concatenate([video.labels for video in videos]).astype(bool)
    owner = np.repeat(np.arange(len(videos)), [len(video.scores) for video in videos])
    values, places = np.unique(-scores, return_inverse=True)

    def counts(weights: np.ndarray) -> Counts:
        kept = weights[owner]
        count = [np.bincount(places[part], kept[part], len(values)) for part in (labels, ~labels)]
        there = (count[0] + count[1]) > 0
        return count[0][there], count[1][there]

    drawn = [found for one in draw_weights(len(videos), resamples, seed) if all(map(np.sum, found := counts(one)))]
    whole = counts(np.ones(len(videos)))
    return {
        name: with_interval(figure(whole), np.array([figure(found) for found in drawn]))
        for name, figure in FIGURES.items()
    }
