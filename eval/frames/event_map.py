"""Event mAP of the rows of a detection report: ranked events, without and with their classes.

Figures of the field at temporal IoU 0.1 to 0.5 (VadCLIP, AVVD, LAS-VAD) are of events with classes: `per_class` is of
their kind, and is there only where the scores name a class for every event that they predict. The class-agnostic
figures beside it ask for the moment alone, and are comparable with no published mAP that we know. Nor is `per_class`
to the last digit: VadCLIP's code counts "Normal" as one more class, and makes its own events (`docs/scorer.md`).
"""

from typing import Any

import evaluate

from eval.frames.count import CountedVideo


SCORES = "scores"  # the row of what is evaluated; the others are baselines
IOUS = (0.1, 0.2, 0.3, 0.4, 0.5)  # those of the field's tables
KNOWS_CLASSES = ("video labels", "ground truth")  # baselines; of the others each event stands for every class

Events = list[list[float]]  # `[start_s, end_s, score]` each


def event_map(
    metric: evaluate.Metric, name: str, videos: list[CountedVideo], predicted: list[Events], there: list[Events]
) -> dict[str, Any]:
    """The figures of one row of the report.

    Args:
        metric (`evaluate.Metric`): `eval/metrics/event_map`.
        name (`str`): Of the row: `SCORES`, or a baseline.
        videos (`list[CountedVideo]`): What is counted.
        predicted (`list[Events]`), there (`list[Events]`): Predicted and annotated events of each video, in seconds.

    Returns:
        `dict`: `ap@0.1` to `ap@0.5`, `ap`, `num_predictions`, `num_events`, and `per_class`: `None` where
        [`why_no_classes`] says why, else `map@0.1` to `map@0.5`, `map`, `classes`, `videos_left_out`. An
        annotation names the classes of a video, not of an event: a video of several, or of none that is named, is
        left out.
    """
    result = metric.compute(predictions=predicted, references=there, thresholds=IOUS)
    return result | {
        "per_class": None if why_no_classes(videos) else _per_class(metric, name, videos, predicted, there)
    }


def why_no_classes(videos: list[CountedVideo]) -> str | None:
    """Why there is no mAP of classes; `None` if there is one."""
    if not any(video.classes for video in videos):
        return "the annotation names no classes"
    if all(video.event_classes is None for video in videos):
        return "the scores name no classes of events (`event_classes`)"
    without = sum(video.events is None or len(video.events) > len(video.event_classes or ()) for video in videos)
    return f"{without} of {len(videos)} videos have no `events` with `event_classes`" if without else None


def _per_class(metric, name: str, videos: list[CountedVideo], predicted: list[Events], there: list[Events]) -> dict:
    classes = sorted({name for video in videos for name in (*video.classes, *(video.event_classes or ()))})
    number = {name: place for place, name in enumerate(classes)}
    named, references = [], []
    for video, events, spans in zip(videos, predicted, there):
        if video.abnormal and len(video.classes) != 1:
            continue
        references.append([[*span, number[video.classes[0]]] for span in spans])
        if name in KNOWS_CLASSES:
            of_events = [video.classes] * len(events)
        elif name == SCORES:
            of_events = [[one] for one in video.event_classes or ()]
        else:
            of_events = [classes] * len(events)
        named.append([[*event, number[one]] for event, ones in zip(events, of_events, strict=True) for one in ones])
    left_out = {"videos_left_out": len(videos) - len(references)}
    if not any(references):
        empty = {f"map@{threshold:g}": None for threshold in IOUS}
        return {**empty, "map": None, "classes": {}, **left_out}
    result = metric.compute(predictions=named, references=references, thresholds=IOUS, class_names=classes)
    return {key: figure for key, figure in result.items() if key.startswith(("map", "classes"))} | left_out
