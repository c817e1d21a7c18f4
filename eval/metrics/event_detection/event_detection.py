"""Event detection: how many of the abnormal events are found, and how many of those found are there."""

import datasets
import evaluate


_DESCRIPTION = """\
Precision, recall and F1 of predicted events, spans of seconds, at several thresholds of temporal intersection over
union (IoU) with the annotated events.
"""

_KWARGS_DESCRIPTION = """
Args:
    predictions (list of lists of [start_s, end_s, score]): For each video its predicted events.
    references (list of lists of [start_s, end_s]): For each video its annotated events; empty when normal.
    thresholds (tuple of float, optional, defaults to (0.3, 0.5, 0.7)): IoU at which a prediction counts as right.

    In the order of their scores, predictions take the free annotated event of highest IoU; one that reaches no
    threshold, or whose event is taken, is wrong.

Returns:
    precision@t, recall@t, f1@t (float): For each threshold t; precision is 0 without predictions, recall 0 without
        annotated events.
    num_predictions, num_events (int): What was counted.

Examples:

    >>> import evaluate
    >>> metric = evaluate.load("eval/metrics/event_detection")
    >>> found = [[[1.0, 5.0, 0.9], [8.0, 9.0, 0.6]], []]
    >>> result = metric.compute(predictions=found, references=[[[2.0, 6.0]], [[0.0, 3.0]]], thresholds=(0.5,))
    >>> {name: round(value, 3) for name, value in result.items()}
    {'precision@0.5': 0.5, 'recall@0.5': 0.5, 'f1@0.5': 0.5, 'num_predictions': 2, 'num_events': 2}
"""

_CITATION = """\
@inproceedings{caba2015activitynet,
  title     = {ActivityNet: A Large-Scale Video Benchmark for Human Activity Understanding},
  author    = {Caba Heilbron, Fabian and Escorcia, Victor and Ghanem, Bernard and Niebles, Juan Carlos},
  booktitle = {CVPR},
  year      = {2015}
}
"""


@evaluate.utils.file_utils.add_start_docstrings(_DESCRIPTION, _KWARGS_DESCRIPTION)
class EventDetection(evaluate.Metric):
    """Precision, recall and F1 of predicted events."""

    def _info(self):
        number = datasets.Value("float64")
        features = {
            "predictions": datasets.Sequence(datasets.Sequence(number)),
            "references": datasets.Sequence(datasets.Sequence(number)),
        }
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation=_CITATION,
            inputs_description=_KWARGS_DESCRIPTION,
            features=datasets.Features(features),
        )

    def _compute(self, predictions, references, thresholds=(0.3, 0.5, 0.7)):
        if not references:
            raise ValueError("There are no videos. Pass one list of predicted and one of annotated events for each.")
        for video, events in enumerate(predictions):
            _check(events, 3, f"predictions[{video}]")
        for video, events in enumerate(references):
            _check(events, 2, f"references[{video}]")
        found, there = sum(map(len, predictions)), sum(map(len, references))
        result = {}
        for threshold in thresholds:
            right = sum(_matched(*pair, threshold) for pair in zip(predictions, references))
            result[f"precision@{threshold:g}"] = right / found if found else 0.0
            result[f"recall@{threshold:g}"] = right / there if there else 0.0
            result[f"f1@{threshold:g}"] = 2 * right / (found + there) if found + there else 0.0
        return {**result, "num_predictions": found, "num_events": there}


def _check(events, width, name):
    for event in events:
        if len(event) != width or not event[0] < event[1]:
            shape = "[start_s, end_s, score]" if width == 3 else "[start_s, end_s]"
            raise ValueError(f"{name}: got {list(event)}, expected {shape} with start before end.")


def _iou(left, right):
    shared = min(left[1], right[1]) - max(left[0], right[0])
    return max(0.0, shared) / (max(left[1], right[1]) - min(left[0], right[0])) if shared > 0 else 0.0


def _matched(predicted, annotated, threshold):
    """How many predictions of a video are right."""
    free, right = list(annotated), 0
    for event in sorted(predicted, key=lambda event: -event[2]):
        best = max(free, key=lambda other: _iou(event, other), default=None)
        if best is not None and _iou(event, best) >= threshold:
            free.remove(best)
            right += 1
    return right
