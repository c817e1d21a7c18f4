"""The detection metrics against scikit-learn, brute force and the known figures of UCF-Crime."""

import doctest
import importlib.util
from itertools import product
from pathlib import Path

import evaluate
import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from hivau70k_dataset.ground_truth import frame_labels, read_ucf_annotation


METRICS = Path(__file__).parents[1] / "eval" / "metrics"


def load(name: str, tmp_path) -> evaluate.Metric:
    return evaluate.load(str(METRICS / name), cache_dir=str(tmp_path))


@pytest.fixture
def frame_anomaly(tmp_path):
    return load("frame_anomaly", tmp_path)


@pytest.fixture
def event_detection(tmp_path):
    return load("event_detection", tmp_path)


def count_pairs(scores, labels) -> float:
    """AUC as the share of (abnormal, normal) pairs in the right order, ties counting half."""
    pairs = list(product(scores[labels == 1], scores[labels == 0]))
    return sum((a > n) + 0.5 * (a == n) for a, n in pairs) / len(pairs)


@pytest.mark.parametrize("levels", [3, 1000])  # of few levels, most scores are tied
def test_equals_brute_force(frame_anomaly, levels):
    rng = np.random.default_rng(levels)
    lengths = rng.integers(5, 40, 12)
    scores = [rng.integers(0, levels, length) / levels for length in lengths]
    labels = [(rng.random(length) < (0.3 if video % 3 else 0)).astype(int) for video, length in enumerate(lengths)]
    result = frame_anomaly.compute(predictions=scores, references=labels)
    flat, truth = np.concatenate(scores), np.concatenate(labels)
    assert result["auc"] == pytest.approx(count_pairs(flat, truth)) == pytest.approx(roc_auc_score(truth, flat))
    assert result["ap_step"] == pytest.approx(average_precision_score(truth, flat))
    points = [((truth[flat >= t]).mean(), truth[flat >= t].sum() / truth.sum()) for t in sorted(set(flat))]
    points.append((1.0, 0.0))  # (precision, recall), recall falling
    trapezoid = sum((r0 - r1) * (p0 + p1) / 2 for (p0, r0), (p1, r1) in zip(points, points[1:]))
    assert result["ap"] == pytest.approx(trapezoid)
    abnormal = [i for i, label in enumerate(labels) if label.any()]
    among = [np.concatenate([values[i] for i in abnormal]) for values in (scores, labels)]
    assert result["auc_abnormal"] == pytest.approx(count_pairs(*among))
    within = [count_pairs(scores[i], labels[i]) for i in abnormal if not labels[i].all()]
    assert result["auc_within"] == pytest.approx(np.mean(within))
    assert (result["num_videos"], result["num_frames"], result["num_abnormal_videos"]) == (
        12,
        sum(lengths),
        len(abnormal),
    )


def test_perfect_video_labels_on_ucf_crime(frame_anomaly, ground_truth):
    truth = read_ucf_annotation(ground_truth / "ucf_annotation_with_frames.txt").values()
    labels = [frame_labels(annotation) for annotation in truth]
    scores = [np.full(len(label), float(bool(annotation.labels))) for annotation, label in zip(truth, labels)]
    result = frame_anomaly.compute(predictions=scores, references=labels)
    assert result["auc"] == pytest.approx(0.816, abs=5e-4) and result["ap_step"] == pytest.approx(0.182, abs=5e-4)
    assert result["auc_within"] == 0.5 and result["auc_abnormal"] == 0.5
    assert result["ap"] > result["ap_step"] + 0.3  # what ties do to the trapezoid rule


@pytest.mark.parametrize(
    ("predictions", "references", "message"),
    [
        ([], [], "no videos"),
        ([[0.1, 0.2]], [[0]], "2 scores and 1 labels"),
        ([[]], [[]], "0 scores and 0 labels"),
        ([[0.1, float("nan")]], [[0, 1]], "not finite"),
        ([[0.1, 0.2]], [[0, 2]], "other than 0 and 1"),
        ([[0.1, 0.2]], [[0, 0]], "same label"),
        ([[0.1, 0.2]], [[1, 1]], "same label"),
    ],
)
def test_frame_anomaly_refuses(frame_anomaly, predictions, references, message):
    with pytest.raises(ValueError, match=message):
        frame_anomaly.compute(predictions=predictions, references=references)


def test_variants_without_frames_to_count_are_null(frame_anomaly):
    result = frame_anomaly.compute(predictions=[[0.9, 0.8], [0.1]], references=[[1, 1], [0]])
    assert (result["auc"], result["auc_abnormal"], result["auc_within"]) == (1.0, None, None)


@pytest.mark.parametrize(
    ("predicted", "annotated", "right"),
    [
        ([[0, 10, 0.9]], [[0, 10]], {0.3: 1, 0.5: 1, 0.7: 1}),
        ([[0, 10, 0.9]], [[0, 6]], {0.3: 1, 0.5: 1, 0.7: 0}),
        ([[0, 10, 0.9]], [[5, 15]], {0.3: 1, 0.5: 0, 0.7: 0}),
        ([[0, 10, 0.9]], [[10, 20]], {0.3: 0, 0.5: 0, 0.7: 0}),
        ([[0, 10, 0.5], [1, 10, 0.9]], [[0, 10]], {0.3: 1, 0.5: 1, 0.7: 1}),  # the second finds it taken
        ([[0, 10, 0.9], [20, 30, 0.8]], [[20, 30], [0, 10]], {0.3: 2, 0.5: 2, 0.7: 2}),
        ([[0, 30, 0.9]], [[0, 10], [15, 25]], {0.3: 1, 0.5: 0, 0.7: 0}),
        ([], [[0, 10]], {0.3: 0, 0.5: 0, 0.7: 0}),
        ([[0, 10, 0.9]], [], {0.3: 0, 0.5: 0, 0.7: 0}),
    ],
)
def test_events_by_hand(event_detection, predicted, annotated, right):
    result = event_detection.compute(predictions=[predicted, []], references=[annotated, []])
    for threshold, count in right.items():
        assert result[f"precision@{threshold}"] == (count / len(predicted) if predicted else 0.0)
        assert result[f"recall@{threshold}"] == (count / len(annotated) if annotated else 0.0)
        total = len(predicted) + len(annotated)
        assert result[f"f1@{threshold}"] == 2 * count / total


def test_event_detection_refuses(event_detection):
    for predictions, references, message in (
        ([], [], "no videos"),
        ([[[2.0, 1.0, 0.5]]], [[]], r"predictions\[0\]: got \[2.0, 1.0, 0.5\]"),
        ([[[1.0, 2.0]]], [[]], r"expected \[start_s, end_s, score\]"),
        ([[]], [[[1.0, 1.0]]], r"references\[0\]: got"),
    ):
        with pytest.raises(ValueError, match=message):
            event_detection.compute(predictions=predictions, references=references)


@pytest.mark.parametrize("name", ["frame_anomaly", "event_detection"])
def test_the_examples_of_the_docstrings(name, monkeypatch):
    monkeypatch.chdir(METRICS.parents[1])  # they load "eval/metrics/..."
    spec = importlib.util.spec_from_file_location(name, METRICS / name / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    test = doctest.DocTestParser().get_doctest(module._KWARGS_DESCRIPTION, {}, name, None, None)
    assert test.examples and doctest.DocTestRunner().run(test).failed == 0
