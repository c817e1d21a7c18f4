"""Event mAP: how well ranked events, with or without classes, cover the annotated ones."""

import datasets
import evaluate
import numpy as np


_DESCRIPTION = """\
Average precision of predicted events, spans of seconds with a score, at several thresholds of temporal intersection
over union (IoU) with the annotated events: without regard to classes (AP), and, where events have classes, of each
class and as the mean of the classes (mAP).
"""

_KWARGS_DESCRIPTION = """
Args:
    predictions (list of lists of [start_s, end_s, score] or [start_s, end_s, score, class]): For each video its
        predicted events; a class is a whole number from 0.
    references (list of lists of [start_s, end_s] or [start_s, end_s, class]): For each video its annotated events;
        empty when normal. Either all events of both have a class or none.
    thresholds (tuple of float, optional, defaults to (0.1, 0.2, 0.3, 0.4, 0.5)): IoU at which a prediction counts as
        right, above 0 and up to 1.
    class_names (list of str, optional): Names of the classes, for `classes`; else they are called by their numbers.

    The predictions of all videos are ranked by their scores. Each takes, of the events of its video (and class) that
    are still free, the one of highest IoU; one that reaches no threshold is wrong, and each event is matched at most
    once. AP is the sum, over the ranks, of precision times the gain in recall, as VadCLIP's code computes it: without
    interpolation, unlike ActivityNet's, which is never lower. Predictions of one score enter together, so that AP does
    not depend on the order of the videos (within a video the earlier one goes first).

Returns:
    ap@t, ap (float): Without classes, for each threshold t and their mean; null without annotated events, 0 without
        predicted ones.
    map@t, map (float): With classes: mean over the classes that have annotated events. A class without a prediction
        counts as 0, predictions of a class without events count nowhere.
    classes (dict): With classes: `ap@t`, `ap`, `num_predictions` and `num_events` of each class with annotated events.
    num_predictions, num_events (int): What was counted.

    What the reports of video anomaly detection call mAP@IoU (VadCLIP, AVVD, LAS-VAD) is `map`, of UCF-Crime's and
    XD-Violence's classes. `ap` is class-agnostic and no such figure: it asks for the moment alone.

Examples:

    >>> import evaluate
    >>> metric = evaluate.load("eval/metrics/event_map")
    >>> found = [[[1.0, 5.0, 0.9, 0], [8.0, 9.0, 0.6, 1]], [[0.0, 4.0, 0.7, 0]]]
    >>> there = [[[2.0, 6.0, 0]], [[0.0, 3.0, 1]]]
    >>> result = metric.compute(
    ...     predictions=found, references=there, thresholds=(0.5, 0.7), class_names=["Arson", "Robbery"]
    ... )
    >>> {name: round(result[name], 3) for name in ("ap@0.5", "ap@0.7", "ap", "map@0.5", "map@0.7", "map")}
    {'ap@0.5': 1.0, 'ap@0.7': 0.25, 'ap': 0.625, 'map@0.5': 0.5, 'map@0.7': 0.0, 'map': 0.25}
    >>> result["classes"]["Robbery"]
    {'ap@0.5': 0.0, 'ap@0.7': 0.0, 'ap': 0.0, 'num_predictions': 1, 'num_events': 1}
"""

_CITATION = """\
@inproceedings{caba2015activitynet,
  title     = {ActivityNet: A Large-Scale Video Benchmark for Human Activity Understanding},
  author    = {Caba Heilbron, Fabian and Escorcia, Victor and Ghanem, Bernard and Niebles, Juan Carlos},
  booktitle = {CVPR},
  year      = {2015}
}
@inproceedings{wu2024vadclip,
  title     = {VadCLIP: Adapting Vision-Language Models for Weakly Supervised Video Anomaly Detection},
  author    = {Wu, Peng and Zhou, Xuerong and Pang, Guansong and Zhou, Lingru and Yan, Qingsen and Wang, Peng
               and Zhang, Yanning},
  booktitle = {AAAI},
  year      = {2024}
}
"""


@evaluate.utils.file_utils.add_start_docstrings(_DESCRIPTION, _KWARGS_DESCRIPTION)
class EventMap(evaluate.Metric):
    """AP and mAP of predicted events."""

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

    def _compute(self, predictions, references, thresholds=(0.1, 0.2, 0.3, 0.4, 0.5), class_names=None):
        if not references:
            raise ValueError("There are no videos. Pass one list of predicted and one of annotated events for each.")
        if not thresholds or not all(0 < threshold <= 1 for threshold in thresholds):
            raise ValueError(f"thresholds: got {list(thresholds)}, expected at least one, each above 0 and up to 1.")
        with_classes = _check(predictions, references)
        result = _average_precision(predictions, references, thresholds)
        if not with_classes:
            return result
        classes = {}
        for number in sorted({int(event[2]) for events in references for event in events}):
            if class_names is not None and number >= len(class_names):
                raise ValueError(f"class_names has {len(class_names)} names, and an event the class {number}.")
            own = [
                [[event for event in events if event[-1] == number] for events in videos]
                for videos in (predictions, references)
            ]
            name = str(number) if class_names is None else class_names[number]
            classes[name] = _average_precision(*own, thresholds)
        names = [name for name in result if name.startswith("ap")]
        figures = [[entry[name] for entry in classes.values()] for name in names]
        means = {f"m{name}": float(np.mean(column)) if classes else None for name, column in zip(names, figures)}
        return {**result, **means, "classes": classes}


def _check(predictions, references):
    """Whether the events have classes."""
    shapes = {3: "[start_s, end_s, score]", 2: "[start_s, end_s]"}
    widths = set()
    for name, videos, width in (("predictions", predictions, 3), ("references", references, 2)):
        for video, events in enumerate(videos):
            for event in events:
                if len(event) - width not in (0, 1) or not event[0] < event[1] or not np.isfinite(event).all():
                    raise ValueError(
                        f"{name}[{video}]: got {list(event)}, expected {shapes[width]} with start before end, and "
                        "behind it a class or none."
                    )
                if len(event) > width and not (event[-1] >= 0 and float(event[-1]).is_integer()):
                    raise ValueError(f"{name}[{video}]: got the class {event[-1]}, expected a whole number from 0.")
                widths.add(len(event) - width)
    if len(widths) > 1:
        raise ValueError("Some events have a class and some have none. Pass one of each, or leave all classes out.")
    return widths == {1}


def _average_precision(predictions, references, thresholds):
    """AP at each threshold and their mean, classes left aside."""
    found, there = sum(map(len, predictions)), sum(map(len, references))
    ranked = sorted(
        ((-event[2], event[0], event[1], video) for video, events in enumerate(predictions) for event in events)
    )
    counts = {"num_predictions": found, "num_events": there}
    if not there:
        return {**{f"ap@{threshold:g}": None for threshold in thresholds}, "ap": None, **counts}
    scores = np.array([event[0] for event in ranked])
    last = np.append(np.diff(scores) != 0, True)[:found]  # of the predictions of one score
    figures = []
    for threshold in thresholds:
        right = np.cumsum(_right(ranked, references, threshold))[last]
        gains = np.diff(right, prepend=0)
        figures.append(float((gains / there * right / (np.flatnonzero(last) + 1)).sum()))
    names = [f"ap@{threshold:g}" for threshold in thresholds]
    return {**dict(zip(names, figures)), "ap": float(np.mean(figures)), **counts}


def _right(ranked, references, threshold):
    """Of each ranked prediction, 1 where it takes an event that is free, else 0."""
    free = [[event[:2] for event in events] for events in references]
    right = np.zeros(len(ranked))
    for rank, (_, start_s, end_s, video) in enumerate(ranked):
        ious = [_iou((start_s, end_s), event) for event in free[video]]
        best = int(np.argmax(ious)) if ious else None
        if best is not None and ious[best] >= threshold:
            del free[video][best]
            right[rank] = 1
    return right


def _iou(left, right):
    shared = min(left[1], right[1]) - max(left[0], right[0])
    return shared / (max(left[1], right[1]) - min(left[0], right[0])) if shared > 0 else 0.0
