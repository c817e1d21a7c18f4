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


@pytest.fixture
def event_map(tmp_path):
    return load("event_map", tmp_path)


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


# ---- event mAP ------------------------------------------------------------------------------------------------------

TEN, TWENTY, FORTY = [0, 10], [20, 30], [40, 50]


@pytest.mark.parametrize(
    ("predicted", "annotated", "expected"),
    [
        # Right, wrong, right, of three events: precision 1 and 2/3 at the two gains of a third.
        ([[[*TEN, 0.9], [*TWENTY, 0.7]], [[*TEN, 0.8]]], [[TEN, TWENTY, FORTY], []], 1 / 3 + 2 / 9),
        # The same at one score: two of three right, two of three found.
        ([[[*TEN, 0.5], [*TWENTY, 0.5]], [[*TEN, 0.5]]], [[TEN, TWENTY, FORTY], []], 4 / 9),
        ([[], [[*TEN, 0.8]]], [[], [TEN]], 1.0),
        ([[[*TEN, 0.9], [0, 9, 0.8]]], [[TEN]], 1.0),  # the second finds it taken, behind all that is right
        ([[[*TEN, 0.8], [0, 9, 0.9]]], [[TEN]], 1.0),  # the worse one goes first and takes it
        ([[[*TWENTY, 0.9], [*TEN, 0.8]]], [[TEN]], 1 / 2),
        ([[[*TEN, 0.9]], []], [[], [TEN]], 0.0),  # of another video
        ([[], []], [[], [TEN]], 0.0),
        ([[[*TEN, 0.9]], []], [[], []], None),
        ([[], []], [[], []], None),
    ],
)
def test_event_map_by_hand(event_map, predicted, annotated, expected):
    result = event_map.compute(predictions=predicted, references=annotated, thresholds=(0.5,))
    counts = {"num_predictions": sum(map(len, predicted)), "num_events": sum(map(len, annotated))}
    figure = expected if expected is None else pytest.approx(expected, abs=1e-12)
    assert result == {"ap@0.5": figure, "ap": figure, **counts}


def test_event_map_by_iou(event_map):
    result = event_map.compute(predictions=[[[0, 10, 0.9]], [[0, 20, 0.8]]], references=[[[0, 3]], [[0, 5]]])
    assert [result[f"ap@{iou}"] for iou in (0.1, 0.2, 0.3, 0.4, 0.5)] == [1.0, 1.0, 0.5, 0.0, 0.0]  # 0.3 and 0.25
    assert result["ap"] == pytest.approx(0.5)


def test_event_map_of_classes_by_hand(event_map):
    predicted = [[[*TEN, 0.9, 0], [*TEN, 0.8, 1]], [[*TEN, 0.7, 1], [*TWENTY, 0.6, 3]], [[*TEN, 0.95, 0]]]
    annotated = [[[*TEN, 0]], [[*TEN, 1], [*FORTY, 2]], []]
    names = ["Arson", "Robbery", "Shooting", "Riot"]
    result = event_map.compute(predictions=predicted, references=annotated, thresholds=(0.5,), class_names=names)
    # Arson: wrong at 0.95, right at 0.9. Robbery: wrong at 0.8 (the event there is an arson), right at 0.7.
    assert {name: entry["ap"] for name, entry in result["classes"].items()} == {
        "Arson": 0.5,
        "Robbery": 0.5,
        "Shooting": 0.0,  # nothing predicted
    }
    assert result["map@0.5"] == result["map"] == pytest.approx(1 / 3)  # Riot has no events, and counts nowhere
    assert result["classes"]["Robbery"] == {"ap@0.5": 0.5, "ap": 0.5, "num_predictions": 2, "num_events": 1}
    assert result["ap"] == pytest.approx(1 / 3 * 1 / 2 + 1 / 3 * 2 / 4)  # without classes: no, yes, taken, yes, no
    numbered = event_map.compute(predictions=predicted, references=annotated, thresholds=(0.5,))
    assert list(numbered["classes"]) == ["0", "1", "2"] and numbered["map"] == result["map"]
    nothing = event_map.compute(predictions=[[[*TEN, 0.9, 0]]], references=[[]], thresholds=(0.5,))
    assert (nothing["map"], nothing["map@0.5"], nothing["classes"]) == (None, None, {})


def brute_ap(predicted, annotated, threshold) -> float:
    """By sets of frames, one ranking of dicts, and scikit-learn's precision and recall."""
    ranking = [{"video": v, "span": tuple(e[:2]), "score": e[2]} for v, events in enumerate(predicted) for e in events]
    ranking.sort(key=lambda one: (-one["score"], one["span"]))
    taken, right = set(), []
    for one in ranking:
        frames, best, best_iou = set(range(*one["span"])), None, 0.0
        for place, span in enumerate(annotated[one["video"]]):
            other = set(range(*span[:2]))
            iou = len(frames & other) / len(frames | other)
            if (one["video"], place) not in taken and iou > best_iou:
                best, best_iou = (one["video"], place), iou
        right.append(best_iou >= threshold)
        if right[-1]:
            taken.add(best)
    if not any(right):
        return 0.0
    scores = [one["score"] for one in ranking]
    return average_precision_score(right, scores) * sum(right) / sum(map(len, annotated))


@pytest.mark.parametrize("levels", [2, 5, 1000])  # of few levels, most scores are tied
def test_event_map_equals_brute_force(event_map, levels):
    rng = np.random.default_rng(levels)

    def span() -> list[int]:
        start = int(rng.integers(0, 30))
        return [start, start + int(rng.integers(1, 15))]

    annotated = [[[*span(), int(rng.integers(3))] for _ in range(rng.integers(0, 4))] for _ in range(12)]
    predicted = [
        [[*span(), rng.integers(1, levels + 1) / levels, int(rng.integers(4))] for _ in range(rng.integers(0, 7))]
        for _ in annotated
    ]
    result = event_map.compute(predictions=predicted, references=annotated)
    bare = event_map.compute(
        predictions=[[event[:3] for event in events] for events in predicted],
        references=[[event[:2] for event in events] for events in annotated],
    )
    means = []
    for threshold in (0.1, 0.2, 0.3, 0.4, 0.5):
        name = f"ap@{threshold}"
        assert result[name] == bare[name] == pytest.approx(brute_ap(predicted, annotated, threshold), abs=1e-12)
        of_classes = []
        for number in range(3):
            own = [[[e for e in events if e[-1] == number] for events in videos] for videos in (predicted, annotated)]
            of_classes.append(brute_ap(*own, threshold))
            assert result["classes"][str(number)][name] == pytest.approx(of_classes[-1], abs=1e-12)
        means.append(np.mean(of_classes))
        assert result[f"m{name}"] == pytest.approx(means[-1], abs=1e-12)
    assert result["map"] == pytest.approx(np.mean(means)) and 0 < result["map"] < 1 and 0 < result["ap"] < 1
    order = rng.permutation(len(annotated))  # neither the order of videos nor that of predictions matters
    again = event_map.compute(
        predictions=[predicted[i][::-1] for i in order], references=[annotated[i] for i in order]
    )
    assert again == result


def test_event_map_refuses(event_map):
    for predictions, references, options, message in (
        ([], [], {}, "no videos"),
        (
            [[[2.0, 1.0, 0.5]]],
            [[]],
            {},
            r"predictions\[0\]: got \[2.0, 1.0, 0.5\], expected \[start_s, end_s, score\]",
        ),
        ([[[1.0, 2.0, float("nan")]]], [[]], {}, r"predictions\[0\]: got"),
        ([[[1.0, 2.0]]], [[]], {}, r"expected \[start_s, end_s, score\]"),
        ([[]], [[[1.0, 2.0, 0.0, 1.0]]], {}, r"references\[0\]: got .* expected \[start_s, end_s\]"),
        ([[]], [[[1.0, 2.0, 0.5]]], {}, "got the class 0.5, expected a whole number from 0"),
        ([[]], [[[1.0, 2.0, -1]]], {}, "got the class -1"),
        ([[[1.0, 2.0, 0.9, 0]]], [[[1.0, 2.0]]], {}, "Some events have a class and some have none"),
        ([[]], [[[1.0, 2.0, 1]]], {"class_names": ["Arson"]}, "class_names has 1 names, and an event the class 1"),
        ([[]], [[]], {"thresholds": ()}, "expected at least one"),
        ([[]], [[]], {"thresholds": (0.5, 0)}, "each above 0 and up to 1"),
    ):
        with pytest.raises(ValueError, match=message):
            event_map.compute(predictions=predictions, references=references, **options)


@pytest.mark.parametrize("name", ["frame_anomaly", "event_detection", "event_map"])
def test_the_examples_of_the_docstrings(name, monkeypatch):
    monkeypatch.chdir(METRICS.parents[1])  # they load "eval/metrics/..."
    spec = importlib.util.spec_from_file_location(name, METRICS / name / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    test = doctest.DocTestParser().get_doctest(module._KWARGS_DESCRIPTION, {}, name, None, None)
    assert test.examples and doctest.DocTestRunner().run(test).failed == 0
