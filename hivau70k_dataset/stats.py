"""`stats`: what the paper's Figure 3 shows: durations, the hierarchy, words, rows per level and task, a sample."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .instructions import build_instructions
from .labels import canonical_class
from .reading import AnnotationFiles
from .schema import LEVELS, TASKS, Instruction, VideoAnnotation
from .words import content_words


NORMAL = "Normal"
KINDS = ("normal", "abnormal")  # of videos, and of the events and clips in them
FREQUENT_WORDS = 20


def compute_statistics(files: AnnotationFiles, sample: str | None = None) -> dict[str, Any]:
    """Count a set of annotations and instructions.

    Args:
        files (`AnnotationFiles`): What to count.
        sample (`str`, *optional*): Name of the video whose annotations are shown; by default, in each split, the first
            abnormal one with a clip, else the first.

    Returns:
        `dict`: By split, each with

        - `videos`, `abnormal_videos`: annotated videos, and those with a class;
        - `segments`: number of clips, events and videos annotated;
        - `rows`: instruction rows by level and task, and `row_segments`, the distinct segments they ask about;
        - `classes`: annotated videos by class;
        - `durations_s` and `words`: by level, the duration of each segment in seconds, and the words of each caption
          or summary, as lists;
        - `hierarchy`: by source, "normal" or "abnormal" (what the video is) and level, how many are annotated;
        - `answer_words`: by level and task, the words of the answer of each instruction row, as lists;
        - `frequent_words`: the 20 most frequent content words of captions and summaries, by level how often;
        - `sample`: of one video, its first event and its first clip: `level`, `task`, `segment`, `question`, `answer`.

    Raises:
        `ValueError`: If no annotated video is called `sample`.
    """
    if sample is not None and all(entry.video != sample for entry in files.annotations):
        names = [entry.video for entry in files.annotations[:3]] or ["no hierarchical annotations"]
        raise ValueError(f"no annotated video is called {sample!r}; there are {', '.join(names)}, ...")
    return {split: _split_statistics(files, split, sample) for split in files.splits}


def _split_statistics(files: AnnotationFiles, split: str, sample: str | None) -> dict[str, Any]:
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
        "hierarchy": _hierarchy(videos),
        "answer_words": _answer_words(rows),
        "frequent_words": _frequent_words(videos),
        "sample": _sample(videos, sample),
    }


def _answer_words(rows: Sequence[Instruction]) -> dict[str, dict[str, list[int]]]:
    """The words of each answer, by level and task."""
    found: dict[tuple[str, str], list[int]] = {}
    for row in rows:
        found.setdefault((row.level, row.task), []).append(len(row.answer.split()))
    return {level: {task: found[level, task] for task in TASKS if (level, task) in found} for level in LEVELS}


def _hierarchy(videos: Sequence[VideoAnnotation]) -> dict[str, dict[str, dict[str, int]]]:
    """Videos, events and clips by source and by whether the video has a class."""
    counts: dict[str, dict[str, dict[str, int]]] = {}
    for video in videos:
        of_source = counts.setdefault(video.source, {kind: dict.fromkeys(LEVELS, 0) for kind in KINDS})
        of_kind = of_source[KINDS[bool(video.labels)]]
        of_kind["video"] += 1
        of_kind["event"] += len(video.events)
        of_kind["clip"] += sum(len(event.clips) for event in video.events)
    return counts


def _frequent_words(videos: Sequence[VideoAnnotation]) -> dict[str, dict[str, int]]:
    """The most frequent content words of captions and summaries, the most frequent first."""
    counts = {level: Counter() for level in LEVELS}
    for video in videos:
        counts["video"].update(content_words(video.summary))
        for event in video.events:
            counts["event"].update(content_words(event.summary))
            for clip in event.clips:
                counts["clip"].update(content_words(clip.caption))
    together = sum(counts.values(), Counter())
    kept = sorted(together, key=lambda word: (-together[word], word))[:FREQUENT_WORDS]
    return {word: {level: counts[level][word] for level in LEVELS} for word in kept}


def _sample(videos: Sequence[VideoAnnotation], name: str | None) -> list[dict[str, str]]:
    """What is annotated of one video, its first event and that one's first clip, as questions and answers."""
    named = [video for video in videos if video.video == name]
    whole = [video for video in videos if video.labels and any(event.clips for event in video.events)]
    chosen = (named or whole or list(videos))[:1]
    rows = [row for row in build_instructions(chosen) if not row.event and not row.clip]
    rows.sort(key=lambda row: (LEVELS.index(row.level), TASKS.index(row.task)))
    return [
        {
            "level": row.level,
            "task": row.task,
            "segment": row.video,
            "question": row.question,
            "answer": row.answer,
        }
        for row in rows
    ]


def summarise(statistics: dict[str, Any]) -> dict[str, Any]:
    """The same with each list of durations and words replaced by its count, mean, median, minimum and maximum."""

    def shortened(entry: dict) -> dict:
        return {name: shortened(part) if isinstance(part, dict) else _summary(part) for name, part in entry.items()}

    return {
        split: {
            name: shortened(entry) if name in ("durations_s", "words", "answer_words") else entry
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
        blocks.append("\n".join([*lines, *_hierarchy_lines(counts), *_word_lines(counts), *_sample_lines(counts)]))
    return "\n\n".join(blocks)


def _hierarchy_lines(counts: dict[str, Any]) -> list[str]:
    """Which videos, events and clips there are."""
    if not counts["hierarchy"]:
        return []
    lines = ["", "| source | videos that are | videos | events | clips |", "|---|---|---:|---:|---:|"]
    for source, kinds in counts["hierarchy"].items():
        for kind, levels in kinds.items():
            cells = (f"{levels[level]:,}" for level in reversed(LEVELS))
            lines.append(f"| {source} | {kind} | {' | '.join(cells)} |")
    return lines


def _word_lines(counts: dict[str, Any]) -> list[str]:
    """How long answers are, and which words are frequent."""
    lines = []
    by_level = counts["answer_words"].items()
    if answers := [(level, task, words) for level, tasks in by_level for task, words in tasks.items()]:
        said = "; ".join(f"{level} {task} {_middle_and_most(words)}" for level, task, words in answers)
        lines += ["", f"Words of the answers (median, max): {said}."]
    if counts["frequent_words"]:
        said = ", ".join(f"{word} {sum(of_level.values())}" for word, of_level in counts["frequent_words"].items())
        lines += ["", f"Most frequent words of captions and summaries: {said}."]
    return lines


def _sample_lines(counts: dict[str, Any]) -> list[str]:
    """The annotations of one video."""
    if not counts["sample"]:
        return []
    rows = [f"- {row['level']}, {row['task']}: {row['question']} *{row['answer']}*" for row in counts["sample"]]
    return ["", f"A sample, `{counts['sample'][-1]['segment']}`:", "", *rows]


def _middle_and_most(summary: dict[str, float]) -> str:
    return f"{summary['median']:g}, {summary['max']:g}" if summary["count"] else "-"
