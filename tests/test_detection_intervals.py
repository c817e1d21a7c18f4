"""Micro AUC and AP with intervals over videos: equal to scikit-learn's, resample by resample."""

from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.metrics import auc, average_precision_score, precision_recall_curve, roc_auc_score

from eval.frames.intervals import detection_intervals


def make_videos(rng, count: int = 7) -> list:
    """Videos of several lengths, with ties among their scores."""
    videos = []
    for number in range(count):
        labels = (rng.random(rng.integers(3, 40)) < (0.4 if number % 2 else 0.0)).astype(int)
        scores = np.round(rng.random(len(labels)) * 0.6 + 0.4 * labels, 1)
        videos.append(SimpleNamespace(labels=labels, scores=scores))
    return videos


def by_sklearn(videos) -> dict[str, float]:
    labels, scores = (np.concatenate([getattr(video, name) for video in videos]) for name in ("labels", "scores"))
    precision, recall, _ = precision_recall_curve(labels, scores)
    step = average_precision_score(labels, scores)
    return {"auc": roc_auc_score(labels, scores), "ap": auc(recall, precision), "ap_step": step}


@pytest.mark.parametrize("seed", range(4))
def test_figures_and_intervals_are_those_of_the_resamples(seed):
    videos = make_videos(np.random.default_rng(seed))
    found = detection_intervals(videos, resamples=200, seed=seed)
    rng, drawn = np.random.default_rng(seed), []
    for _ in range(200):
        weights = rng.multinomial(len(videos), np.full(len(videos), 1 / len(videos)))
        chosen = [video for video, times in zip(videos, weights) for _ in range(times)]
        if 0 < sum(video.labels.sum() for video in chosen):
            drawn.append(by_sklearn(chosen))
    for name, value in by_sklearn(videos).items():
        low, high = np.percentile([one[name] for one in drawn], (2.5, 97.5))
        assert found[name] == pytest.approx({"value": value, "low": low, "high": high}), name


def test_without_resamples_there_is_no_interval():
    found = detection_intervals(make_videos(np.random.default_rng(9)), resamples=0)
    assert found["auc"]["low"] is None and found["auc"]["high"] is None and 0 <= found["auc"]["value"] <= 1
