"""`stats`: what the paper's Figure 3 shows, counted: rows per level and task, durations, words, classes."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .labels import canonical_class
from .reading import AnnotationFiles
from .schema import LEVELS, TASKS


NORMAL = "Normal"


def compute_statistics(files: AnnotationFiles) -> dict[str, Any]:
    """Count a set of annotations and instructions.

    Returns:
        `dict`: By split, each with

        - `videos`, `abnormal_videos`: annotated videos, and those with a class;
        - `segments`: number of clips, events and videos annotated;
        - `rows`: instruction rows by level and task, and `row_segments`, the distinct segments they ask about;
        - `classes`: annotated videos by class;
        - `durations_s` and `words`: by level, the duration of each segment in seconds, and the words of each caption
          or summary, as lists.
    """
    return {split: _split_statistics(files, split) for split in files.splits}


def _split_statistics(files: AnnotationFiles, split: str) -> dict[str, Any]:
    videos = [entry for entry in files.annotations if entry.split == split]
    rows = [entry for entry in files.instructions if entry.split == split]
    events = [event for video in videos for event in video.events]
    clips = [clip for event in events for clip in event.clips]
    counted = Counter((row.level, row.task) for row in rows)
    names = (canonical_class(label) or label for video in videos for label in video.labels or (NORMAL,))
    return {
        "videos": len(videos),
        "abnormal_videos": sum(bool(video.labels) for video in videos),
        "segments": {"clip": len(clips), "event": len(events), "video": len(videos)},
        "rows": {level: {task: counted[level, task] for task in TASKS if counted[level, task]} for level in LEVELS},
        "row_segments": {level: len({row.video for row in rows if row.level == level}) for level in LEVELS},
        "classes": dict(Counter(name or NORMAL for name in names).most_common()),
        "durations_s": {
            "clip": [clip.end_s - clip.start_s for clip in clips],
            "event": [event.end_s - event.start_s for event in events],
            "video": [video.duration_s for video in videos],
        },
        "words": {
            "clip": [len(clip.caption.split()) for clip in clips],
            "event": [len(event.summary.split()) for event in events],
            "video": [len(video.summary.split()) for video in videos],
        },
    }


def summarise(statistics: dict[str, Any]) -> dict[str, Any]:
    """The same with each list of durations and words replaced by its count, mean, median, minimum and maximum."""
    return {
        split: {
            name: {level: _summary(values) for level, values in entry.items()}
            if name in ("durations_s", "words")
            else entry
            for name, entry in counts.items()
        }
        for split, counts in statistics.items()
    }


def _summary(values: Sequence[float]) -> dict[str, float]:
    if not values:
        return {"count": 0}
    measures: dict[str, Callable] = {"mean": np.mean, "median": np.median, "min": np.min, "max": np.max}
    return {"count": len(values), **{name: round(float(measure(values)), 3) for name, measure in measures.items()}}


def markdown_table(statistics: dict[str, Any]) -> str:
    """The statistics as Markdown tables."""
    blocks = []
    for split, counts in summarise(statistics).items():
        lines = [
            f"**{split}**: {counts['videos']} annotated videos, {counts['abnormal_videos']} of them abnormal.",
            "",
            "| level | annotated | instruction rows | asked about | seconds (median, max) | words (median, max) |",
            "|---|---|---|---|---|---|",
        ]
        for level in LEVELS:
            rows = counts["rows"][level]
            by_task = ", ".join(f"{count} {task}" for task, count in rows.items())
            cells = (
                level,
                counts["segments"][level],
                f"{sum(rows.values())} ({by_task})" if rows else 0,
                counts["row_segments"][level],
                _middle_and_most(counts["durations_s"][level]),
                _middle_and_most(counts["words"][level]),
            )
            lines.append("| " + " | ".join(map(str, cells)) + " |")
        if counts["classes"]:
            classes = ", ".join(f"{name} {count}" for name, count in counts["classes"].items())
            lines += ["", f"Classes of the annotated videos: {classes}."]
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks)


def _middle_and_most(summary: dict[str, float]) -> str:
    return f"{summary['median']:g}, {summary['max']:g}" if summary["count"] else "-"
