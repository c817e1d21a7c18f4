"""What `eval/detection.py` reports: metrics of scores and baselines on the same frames, their tables and pictures."""

import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import evaluate
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn.metrics import precision_recall_curve, roc_auc_score, roc_curve

from eval.frames.count import CountedVideo
from eval.frames.event_map import IOUS, SCORES, Events, event_map, why_no_classes
from modeling_holmes_vau.base.files import write_whole


METRICS = Path(__file__).resolve().parents[1] / "metrics"
THRESHOLDS = (0.3, 0.5, 0.7)  # temporal IoU
FRAME_COLUMNS = {
    "auc": "AUC",
    "ap": "AP, trapezoid",
    "ap_step": "AP, step",
    "auc_abnormal": "AUC, abnormal videos",
    "auc_within": "macro AUC, within a video",
}
COLUMN_MEANING = {  # in report.json, for other tools
    "auc": "micro AUC over the frames of all videos, the figure of UCF-Crime",
    "ap": "average precision by the trapezoid rule over the frames of all videos, the figure of XD-Violence",
    "ap_step": "the same by the step rule, which does not flatter scores that are tied",
    "auc_abnormal": "AUC over the frames of abnormal videos alone",
    "auc_within": "macro AUC: mean of the AUC within each video that has normal and abnormal frames",
    "events": "precision, recall and F1 of predicted events by temporal IoU",
    "event_map": "AP of predicted events, ranked over all videos, by temporal IoU without classes; ap is their mean",
    "event_map.per_class": "mAP: the same of each class, and the mean of the classes; the kind that papers report",
}
MAX_POINTS = 2000  # of a drawn curve
COLOURS = {
    SCORES: "#b5484f",
    "chance": "#9a9a9a",
    "video length": "#72b7b2",
    "centre": "#f2a541",
    "video labels": "#4c78a8",
    "ground truth": "#333333",
}


def centre_prior(video: CountedVideo) -> np.ndarray:
    """1 - |2t/T - 1| at frame t of T: events are near the middle."""
    count = len(video.labels)
    return 1 - np.abs(2 * np.arange(count) / count - 1)


def constant(value: float, video: CountedVideo) -> np.ndarray:
    """One score for every frame."""
    return np.full(len(video.labels), float(value))


BASELINES: dict[str, Callable[[CountedVideo], np.ndarray]] = {
    "chance": lambda video: constant(0.5, video),
    "video length": lambda video: constant(1 / len(video.labels), video),
    "centre": centre_prior,
    "video labels": lambda video: constant(video.abnormal, video),
    "ground truth": lambda video: video.labels.astype(float),
}
MEANING = {
    "chance": "0.5 everywhere",
    "video length": "1 / length, one constant a video: shorter videos score higher",
    "centre": "1 - |2t/T - 1|: the middle of a video scores highest",
    "video labels": "knows which videos are abnormal, and scores all their frames 1: no localisation",
    "ground truth": "the labels themselves: the upper bound",
}


def rows(videos: list[CountedVideo]) -> Iterator[tuple[str, list[np.ndarray]]]:
    """The scores of each row of the report, one row after the other."""
    yield SCORES, [video.scores for video in videos]
    for name, baseline in BASELINES.items():
        yield name, [baseline(video) for video in videos]


def build_report(videos: list[CountedVideo], options: dict[str, str], problems: dict[str, str]) -> dict[str, Any]:
    """Compute everything that the report says.

    Args:
        videos (`list[CountedVideo]`): At least one with abnormal and one with normal frames.
        options (`dict[str, str]`): What was evaluated and how.
        problems (`dict[str, str]`): The videos that could not be counted, and why.

    Returns:
        `dict`: `options`, `videos`, `frames`, `problems`, `other_length` (videos whose annotation tells another number
        of frames), `columns` (what the figures of `rows` are), `rows` (metrics of scores and baselines), `no_classes`
        (why the events of `rows` have no mAP of classes; null if they have) and `classes`.
    """
    labels = [video.labels for video in videos]
    differ = {video.name: [video.annotated_frames, video.n_frames] for video in videos if _differs(video)}
    abnormal = sum(video.abnormal for video in videos)
    return {
        "options": {**options, "frame_stride": sorted({video.stride for video in videos})},
        "videos": {
            "counted": len(videos),
            "abnormal": abnormal,
            "normal": len(videos) - abnormal,
            "missing": len(problems),
        },
        "frames": {"counted": sum(map(len, labels)), "abnormal": int(sum(label.sum() for label in labels))},
        "problems": problems,
        "other_length": differ,
        "columns": COLUMN_MEANING,
        "rows": _measure(videos, labels),
        "no_classes": why_no_classes(videos),
        "classes": _class_metrics(_load("frame_anomaly"), videos),
    }


def _load(name: str) -> evaluate.Metric:
    return evaluate.load(str(METRICS / name), keep_in_memory=True)


def _measure(videos: list[CountedVideo], labels: list[np.ndarray]) -> dict[str, dict[str, Any]]:
    """The figures of each row; those of events are `None` where nothing tells the frames per second."""
    frame_metric, event_metric, map_metric = map(_load, ("frame_anomaly", "event_detection", "event_map"))
    has_seconds = all(video.fps is not None for video in videos)
    there = [spans_s(video) for video in videos] if has_seconds else []
    table = {}
    for name, scores in rows(videos):
        result = frame_metric.compute(predictions=scores, references=labels)
        table[name] = {column: result[column] for column in FRAME_COLUMNS} | {"events": None, "event_map": None}
        if has_seconds:
            found = predicted_events(name, videos, scores)
            table[name]["events"] = event_metric.compute(predictions=found, references=there, thresholds=THRESHOLDS)
            table[name]["event_map"] = event_map(map_metric, name, videos, found, there)
    return table


def _differs(video: CountedVideo) -> bool:
    return video.annotated_frames is not None and video.annotated_frames != video.n_frames


def predicted_events(name: str, videos: list[CountedVideo], scores: list[np.ndarray]) -> list[Events]:
    """The events of a row in each video; those of baselines are found in their scores by the same rule."""
    predicted = []
    for video, values in zip(videos, scores):
        if name == SCORES and video.events is not None:
            predicted.append(video.events)
        elif name == "ground truth":
            predicted.append([[*span_s, 1.0] for span_s in spans_s(video)])
        else:
            predicted.append(events_of_frames(video, values))
    return predicted


def events_of_frames(video: CountedVideo, scores: np.ndarray) -> list[list[float]]:
    """The events in scores of frames, found by the rule that made the predicted ones: start, end and peak of each."""
    from modeling_holmes_vau.events_holmes_vau import find_events
    from modeling_holmes_vau.spans_holmes_vau import find_gaps

    starts = np.flatnonzero(np.diff(scores, prepend=np.nan))  # of runs of one score; the first differs from nan
    end_s, rule = float(_times_s(video, len(scores))), video.event_rule or ()
    gaps_s = [] if video.times_s is None else find_gaps(video.times_s, float(_times_s(video, video.n_frames)))
    # A run of one score ends at a gap too.
    after = np.searchsorted([] if video.times_s is None else video.times_s, [gap_end_s for _, gap_end_s in gaps_s])
    starts = np.union1d(starts, after[after < len(scores)]).astype(int)
    found = find_events(scores[starts].tolist(), _times_s(video, starts).tolist(), end_s, *rule, gaps_s=gaps_s)
    return [list(event.values()) for event in found]


def _times_s(video: CountedVideo, frames: np.ndarray | int) -> np.ndarray:
    """When frames begin, in seconds; the one after the last is where the last ends."""
    if video.times_s is None:
        return np.asarray(frames) / video.fps
    return np.append(video.times_s, video.times_s[-1] + 1 / video.fps)[frames]


def spans_s(video: CountedVideo) -> list[list[float]]:
    """The annotated events of a video in seconds."""
    return [_times_s(video, np.array(span)).tolist() for span in video.spans]


def _class_metrics(metric, videos: list[CountedVideo]) -> dict[str, dict[str, Any]]:
    """Of each class: its videos against the frames of all normal videos, and within its videos; `None` without."""
    normal = [video for video in videos if not video.abnormal]
    classes = {}
    for name in sorted({name for video in videos for name in video.classes}):
        own = [video for video in videos if name in video.classes]
        labels = [video.labels for video in own]
        entry = {"videos": len(own), "abnormal_frames": int(sum(map(np.sum, labels)))}
        entry |= dict.fromkeys(("auc", "auc_video_labels", "auc_within", "auc_within_centre"))
        if normal and entry["abnormal_frames"]:
            truth = np.concatenate([video.labels for video in own + normal])
            marked = [constant(video.abnormal, video) for video in own + normal]
            entry["auc"] = float(roc_auc_score(truth, np.concatenate([video.scores for video in own + normal])))
            entry["auc_video_labels"] = float(roc_auc_score(truth, np.concatenate(marked)))
        if entry["abnormal_frames"] and not all(label.all() for label in labels):
            for column, scores in (("auc_within", lambda video: video.scores), ("auc_within_centre", centre_prior)):
                entry[column] = metric.compute(predictions=list(map(scores, own)), references=labels)["auc_within"]
        classes[name] = entry
    return classes


# ---- tables ---------------------------------------------------------------------------------------------------------


def markdown(report: dict[str, Any]) -> str:
    """The report as Markdown tables."""
    options, videos, frames = report["options"], report["videos"], report["frames"]
    share = frames["abnormal"] / frames["counted"]
    lines = [
        "# Frame-level anomaly detection",
        "",
        *(
            f"- {key}: {', '.join(map(str, value)) if isinstance(value, list) else value}"
            for key, value in options.items()
        ),
        f"- videos: {videos['counted']} ({videos['abnormal']} abnormal, {videos['normal']} normal)",
        f"- frames: {frames['counted']:,}, of which {frames['abnormal']:,} ({share:.1%}) abnormal",
    ]
    if videos["missing"]:
        lines.append(f"- **missing: {videos['missing']} videos are not counted**; they are named below")
    if report["other_length"]:
        differ = len(report["other_length"])
        lines.append(f"- {differ} videos have another length than their annotation says; they are named below")
    tables = [_frame_table(report), _event_table(report), _map_table(report), _class_table(report)]
    tables.append(_named_videos(report))
    return "\n".join([*lines, *(line for table in tables for line in ("", *table)), ""])


def _named_videos(report: dict[str, Any]) -> list[str]:
    """The videos that are not counted, and those of another length than annotated."""
    lines = []
    if report["problems"]:
        lines += ["Not counted:", "", *(f"- {name}: {reason}" for name, reason in report["problems"].items()), ""]
    if report["other_length"]:
        lines += ["Of another length than annotated:", ""]
        differ = report["other_length"].items()
        lines += [f"- {name}: annotated {annotated} frames, there {there}" for name, (annotated, there) in differ]
    return lines


def _frame_table(report: dict[str, Any]) -> list[str]:
    lines = _table_head("", *FRAME_COLUMNS.values())
    for name, row in report["rows"].items():
        lines.append(_table_row(_bold(name), *(row[column] for column in FRAME_COLUMNS)))
    return [*lines, "", "Baselines:", "", *(f"- {name}: {meaning}" for name, meaning in MEANING.items())]


def _event_table(report: dict[str, Any]) -> list[str]:
    if report["rows"][SCORES]["events"] is None:
        return ["Events are not counted: neither the scores nor the annotation tell the frames per second."]
    names = [f"{kind}@{threshold:g}" for threshold in THRESHOLDS for kind in ("precision", "recall", "f1")]
    lines = _table_head("events", "found", "annotated", *(name.replace("f1", "F1") for name in names))
    for name, row in report["rows"].items():
        events = row["events"]
        counts = (str(events["num_predictions"]), str(events["num_events"]))
        lines.append(_table_row(_bold(name), *counts, *(events[column] for column in names)))
    return lines


def _map_table(report: dict[str, Any]) -> list[str]:
    """AP of ranked events by IoU, without classes and with them."""
    if report["rows"][SCORES]["event_map"] is None:
        return []
    ious = [f"{threshold:g}" for threshold in IOUS]
    lines = _table_head("AP of events at IoU", *ious, "mean")
    for name, row in report["rows"].items():
        lines.append(_table_row(_bold(name), *(row["event_map"][f"ap@{iou}"] for iou in ious), row["event_map"]["ap"]))
    if report["no_classes"]:
        return [*lines, "", f"Without classes, so comparable with no published mAP: {report['no_classes']}."]
    lines += ["", *_table_head("mAP of classes at IoU", *ious, "mean")]
    for name, row in report["rows"].items():
        figures = row["event_map"]["per_class"]
        lines.append(_table_row(_bold(name), *(figures[f"map@{iou}"] for iou in ious), figures["map"]))
    for name, entry in report["rows"][SCORES]["event_map"]["per_class"]["classes"].items():
        lines.append(_table_row(f"scores, {name}", *(entry[f"ap@{iou}"] for iou in ious), entry["ap"]))
    left_out = report["rows"][SCORES]["event_map"]["per_class"]["videos_left_out"]
    lines += ["", "Mean of the classes that have events. The last two baselines know the class of a video, the others"]
    lines[-1] += f" name every class. {left_out} videos of several classes, or of none that is named, are left out."
    return lines


def _class_table(report: dict[str, Any]) -> list[str]:
    columns = {
        "auc": "AUC against normal videos",
        "auc_video_labels": "the same, video labels",
        "auc_within": "AUC within a video",
        "auc_within_centre": "the same, centre",
    }
    lines = _table_head("class", "videos", *columns.values())
    for name, entry in report["classes"].items():
        lines.append(_table_row(name, str(entry["videos"]), *(entry.get(column) for column in columns)))
    return lines if report["classes"] else ["The annotation names no classes."]


def _bold(name: str) -> str:
    return f"**{name}**" if name == SCORES else name


def _table_head(*names: str) -> list[str]:
    return [_table_row(*names), "|---|" + "---:|" * (len(names) - 1)]


def _table_row(*cells: str | float | None) -> str:
    texts = ("–" if cell is None else cell if isinstance(cell, str) else f"{cell:.4f}" for cell in cells)
    return f"| {' | '.join(texts)} |"


# ---- pictures -------------------------------------------------------------------------------------------------------


def draw_curves(videos: list[CountedVideo], report: dict[str, Any]) -> tuple[bytes, bytes]:
    """The ROC and the precision-recall curves of the scores and of the baselines, as PNG."""
    truth = np.concatenate([video.labels for video in videos])
    figures = [Figure(figsize=(6.5, 7.2), layout="constrained") for _ in range(2)]
    roc, pr = (figure.subplots() for figure in figures)
    for name, scores in list(rows(videos))[::-1]:  # the scores on top
        if name == "ground truth":
            continue  # the corner
        flat, row = np.concatenate(scores), report["rows"][name]
        style = {"color": COLOURS[name], "linewidth": 2.4 if name == SCORES else 1.5}
        false, true, _ = roc_curve(truth, flat)
        keep = _thin(false)
        roc.plot(false[keep], true[keep], label=f"{name}: {row['auc']:.3f}", **style)
        precision, recall, _ = precision_recall_curve(truth, flat)
        precision, recall = precision[-2::-1], recall[-2::-1]  # by recall, without the made-up point at 0
        keep = _thin(recall)
        # The step rule: a recall between two points has the precision of the next.
        steps = np.r_[0.0, recall[keep]], np.r_[precision[keep][:1], precision[keep]]
        pr.plot(*steps, drawstyle="steps-pre", label=f"{name}: {row['ap_step']:.3f}", **style)
    chance = f"abnormal frames: {truth.mean():.1%}"
    _finish(roc, f"ROC over all frames ({chance})", "false positive rate", "true positive rate", "AUC")
    _finish(pr, f"Precision and recall over all frames ({chance})", "recall", "precision", "AP, step rule")
    return tuple(_png(figure) for figure in figures)


def _thin(values: np.ndarray) -> np.ndarray:
    """Positions among increasing values that are enough to draw them."""
    if len(values) <= MAX_POINTS:
        return np.arange(len(values))
    grid = np.linspace(values[0], values[-1], MAX_POINTS)
    return np.unique(np.r_[0, np.searchsorted(values, grid).clip(max=len(values) - 1), len(values) - 1])


def _finish(axes: Axes, title: str, xlabel: str, ylabel: str, legend: str) -> None:
    axes.set(title=title, xlabel=xlabel, ylabel=ylabel, xlim=(-0.01, 1.01), ylim=(-0.01, 1.02), aspect="equal")
    axes.grid(color="#e6e6e6")
    axes.spines[["top", "right"]].set_visible(False)
    handles, names = axes.get_legend_handles_labels()
    place = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.11), "ncols": 2}  # below: curves may be anywhere
    axes.legend(handles[::-1], names[::-1], title=legend, frameon=False, **place)


def draw_classes(report: dict[str, Any]) -> bytes:
    """Two bars a class, as PNG: its videos against normal ones, and within its videos."""
    names = list(report["classes"])[::-1]
    figure = Figure(figsize=(11, 2.2 + 0.38 * max(3, len(names))), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    _draw_bars(left, report["classes"], "auc", "auc_video_labels", "video labels, no localisation", COLOURS[SCORES])
    _draw_bars(right, report["classes"], "auc_within", "auc_within_centre", "centre, blind", "#d98f6c")
    left.set_title("AUC of a class against all normal videos")
    right.set_title("AUC within a video, mean of a class")
    left.set_yticks(range(len(names)), [f"{name} ({report['classes'][name]['videos']})" for name in names])
    if not names:
        left.text(0.5, 0.55, "the annotation names no classes", ha="center", transform=left.transAxes)
    return _png(figure)


def _draw_bars(axes: Axes, classes: dict[str, dict], column: str, baseline: str, meaning: str, colour: str) -> None:
    entries = list(classes.values())[::-1]
    axes.barh(range(len(entries)), [entry[column] or 0.0 for entry in entries], color=colour, label=SCORES, height=0.7)
    for place, entry in enumerate(entries):
        text = "none" if entry[column] is None else f"{entry[column]:.3f}"
        axes.text(1.03, place, text, va="center", fontsize=9.5)
    marks = [(entry[baseline], place) for place, entry in enumerate(entries) if entry[baseline] is not None]
    values, places = zip(*marks) if marks else ((), ())
    axes.scatter(values, places, marker="|", s=170, color="#222222", linewidth=2, zorder=3, label=meaning)
    axes.axvline(0.5, color="#9a9a9a", linestyle="--", linewidth=1, label="chance")
    middle, height = (len(entries) - 1) / 2, max(3, len(entries)) + 0.2  # a lone bar is no thicker than others
    axes.set(xlim=(0, 1.14), xticks=np.linspace(0, 1, 6), ylim=(middle - height / 2, middle + height / 2))
    axes.spines[["top", "right"]].set_visible(False)
    if entries:
        axes.legend(loc="upper center", bbox_to_anchor=(0.44, 0), borderaxespad=2.4, ncols=3, frameon=False)


def _png(figure: Figure) -> bytes:
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=110)
    return picture.getvalue()


def write_report(videos: list[CountedVideo], report: dict[str, Any], output: Path) -> str:
    """Write tables and pictures; returns the tables."""
    text = markdown(report)
    roc, pr = draw_curves(videos, report)
    write_whole(output / "roc.png", roc)
    write_whole(output / "pr.png", pr)
    write_whole(output / "classes.png", draw_classes(report))
    write_whole(output / "report.md", text)
    write_whole(output / "report.json", json.dumps(report, indent=2, ensure_ascii=False) + "\n")
    return text
