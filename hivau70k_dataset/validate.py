"""`validate`: everything that is wrong with a set of annotations, and with its videos; nothing is changed."""

import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from modeling_holmes_vau.spans_holmes_vau import span_at_rate

from .findings import Finding, Report
from .ground_truth import FrameAnnotation
from .instructions import build_instructions, prompt_pools
from .labels import canonical_class, classes_of_name, parse_judgement
from .reading import AnnotationFiles, find_annotation_files, read_annotation_file
from .release import compare_with_release
from .schema import BENCHMARKS, AnnotationError, Instruction, Remark, SplitError, VideoAnnotation
from .validate_videos import Entries, check_ground_truth, check_videos
from .videos import VideoFolder


FRAMES_OFF = 1  # by how much frames may differ from their seconds, which are rounded
_CURLY = re.compile("[\u2018\u2019\u201a\u201b\u201c\u201d\u201e\u201f]")
_ODD_NAME = re.compile(r"[^\w.+-]", re.ASCII)
_NON_ASCII = re.compile(r"[^\x00-\x7f]")


def validate(
    annotations: str | os.PathLike,
    videos: str | os.PathLike | None = None,
    ground_truth: dict[str, FrameAnnotation] | None = None,
    progress: bool = False,
) -> Report:
    """Check annotation files, and their videos and ground truth where given.

    Args:
        annotations (`str` or `os.PathLike`): Folder of annotation files, or one file.
        videos (`str` or `os.PathLike`, *optional*): Folder of the videos; every file is opened.
        ground_truth (`dict[str, FrameAnnotation]`, *optional*): As a reader of `ground_truth` gives it.
        progress (`bool`, *optional*, defaults to `False`): Show a progress bar while videos are opened.

    Returns:
        `Report`: Everything found. What can't be read is a finding too; nothing is raised for it.
    """
    report = Report()
    seen: dict[tuple, str] = {}
    everything: Entries = []
    for path in find_annotation_files(annotations):

        def note(error: AnnotationError, path: Path = path) -> None:
            message = str(error).removeprefix(f"{path}: ")
            code = "split_mismatch" if isinstance(error, SplitError) else "unreadable"
            report.findings.append(Finding("annotations", code, str(path), "", "", message))

        def remark(odd: Remark, path: Path = path) -> None:
            kind = "instructions" if odd.is_row else "annotations"
            report.findings.append(
                Finding(kind, odd.code, path.name, odd.subject, f"`{odd.field}`", odd.message, f"`{odd.field}`")
            )

        everything += ((path.name, entry) for entry in read_annotation_file(path, note, on_remark=remark))
    annotated = {(e.source, e.split, e.video): e for _, e in everything if isinstance(e, VideoAnnotation)}
    for file, entry in everything:
        if isinstance(entry, VideoAnnotation):
            report.findings += _check_annotation(file, entry, seen)
        else:
            labels = annotated[key].labels if (key := (entry.source, entry.split, entry.name)) in annotated else None
            report.findings += _check_row(file, entry, labels, seen)
    report.findings += _check_splits(everything)
    rows = [entry for _, entry in everything if isinstance(entry, Instruction)]
    report.videos, report.rows = len(everything) - len(rows), len(rows)
    report.findings += _check_coverage(everything, annotated)
    report.spellings = _spellings(rows)
    entries = AnnotationFiles(tuple(annotated.values()), tuple(rows))
    report.release = compare_with_release(entries)
    if videos is not None:
        folder = VideoFolder(videos)
        report.left_out = folder.scan.summary()
        for place, problem in folder.scan.problems.items():
            report.findings.append(Finding("videos", "unreadable_folder", place, "", "", problem))
        report.findings += check_videos(everything, folder, progress)
    if ground_truth is not None:
        report.findings += check_ground_truth(everything, ground_truth, report.agreement)
    return report


def _check_splits(everything: Entries) -> Iterator[Finding]:
    """Videos that are held out in one file and trained on by another."""
    first: dict[tuple[str, str], tuple[str, str]] = {}
    told = set()
    for file, entry in everything:
        name = entry.name if isinstance(entry, Instruction) else entry.video
        split, where = first.setdefault((entry.source, name), (entry.split, file))
        if split != entry.split and (entry.source, name) not in told:
            told.add((entry.source, name))
            message = f"{entry.split} here, {split} in {where}"
            yield Finding("annotations", "two_splits", file, name, "", message, f"{split} and {entry.split}")


def _check_text(kind: str, file: str, video: str, where: str, text: str) -> Iterator[Finding]:
    if _CURLY.search(text):
        yield Finding(kind, "curly_quotes", file, video, where, repr(text))
    if letters := _NON_ASCII.findall(_CURLY.sub("", text)):
        yield Finding(kind, "non_ascii", file, video, where, f"{''.join(letters)!r} in {text!r}")
    if text != text.strip() or "\n" in text or "\r" in text:
        yield Finding(kind, "white_space", file, video, where, repr(text))


def _check_judgement(
    kind: str, file: str, video: str, where: str, text: str, labels: Iterable[str] | None
) -> Iterator[Finding]:
    """Compare a judgement with the classes of the video; nothing is compared where those are not known."""
    judged = parse_judgement(text)
    own = [label for label in labels or () if canonical_class(label) is None]  # of one's own anomalies
    names_own = any(label.lower() in text.lower() for label in own)
    if judged.abnormal is None:
        yield Finding(kind, "unclear_judgement", file, video, where, repr(text))
    elif judged.abnormal and not judged.classes and not names_own:
        yield Finding(kind, "no_known_class", file, video, where, repr(text))
    if kind == "instructions":
        for spelling in judged.spellings:
            if spelling != (name := canonical_class(spelling)):
                yield Finding(kind, "label_spelling", file, video, where, f"{spelling!r} for {name}", name)
    if labels is None or judged.abnormal is None:
        return
    classes = {canonical_class(label) or label for label in labels}
    shown = ", ".join(sorted(classes)) or "normal"
    if judged.abnormal != bool(classes):
        yield Finding(kind, "contradiction", file, video, where, f"{text!r}, but the video is {shown}")
    elif judged.classes and not classes & set(judged.classes) and not names_own:
        yield Finding(kind, "other_class", file, video, where, f"{text!r}, but the video is {shown}")


def _check_row(file: str, row: Instruction, labels: Iterable[str] | None, seen: dict[tuple, str]) -> Iterator[Finding]:
    kind, where = "instructions", f"id {row.id}"
    content = (row.video, row.task, row.question, row.answer, row.turn)
    identity = (row.source, row.split, row.id, row.turn)
    if content in seen:
        yield Finding(kind, "duplicate_row", file, row.video, where, f"as id {seen[content]}")
    elif identity in seen:
        yield Finding(kind, "duplicate_id", file, row.video, where, f"as in {seen[identity]}")
    seen.setdefault(content, row.id)
    seen.setdefault(identity, row.video)
    if row.question not in prompt_pools()[row.task] and len(prompts_in(row.question)) > 1:
        yield Finding(kind, "glued_prompts", file, row.video, where, repr(row.question))
    yield from _check_text(kind, file, row.video, f"{where} question", row.question)
    yield from _check_text(kind, file, row.video, f"{where} answer", row.answer)
    if row.task == "judgement":
        labels = classes_of_name(row.name) if labels is None else labels
        yield from _check_judgement(kind, file, row.video, where, row.answer, labels)


def prompts_in(question: str) -> list[str]:
    """The prompts of the paper that a question is put together of; empty when it is anything else."""
    prompts = sorted((prompt for pool in prompt_pools().values() for prompt in pool), key=len, reverse=True)
    found, rest = [], _CURLY.sub("'", question).strip()
    while rest:
        prompt = next((prompt for prompt in prompts if rest.startswith(prompt)), None)
        if prompt is None:
            return []
        found.append(prompt)
        rest = rest[len(prompt) :].lstrip()
    return found


def _check_annotation(file: str, entry: VideoAnnotation, seen: dict[tuple, str]) -> Iterator[Finding]:
    kind, video = "annotations", entry.video
    if (earlier := seen.setdefault((entry.source, entry.split, video), file)) != file:
        yield Finding(kind, "duplicate_video", file, video, "", f"also in {earlier}")
    for label in entry.labels:
        if (name := canonical_class(label)) is None and entry.source not in BENCHMARKS:
            continue  # of one's own anomalies, whatever they are called
        if name is None:
            yield Finding(kind, "unknown_label", file, video, "labels", repr(label))
        elif name != label:
            yield Finding(kind, "label_spelling", file, video, "labels", f"{label!r} for {name}", name)
    yield from _check_spans(file, entry)
    summaries = [("video", entry.summary, entry.parts)]
    for i, event in enumerate(entry.events):
        summaries.append((f"event {i}", event.summary, event.parts))
        for j, clip in enumerate(event.clips):
            yield from _check_text(kind, file, video, f"event {i} clip {j} caption", clip.caption)
    for where, summary, parts in summaries:
        yield from _check_text(kind, file, video, f"{where} summary", summary)
        if parts is not None:
            yield from _check_judgement(kind, file, video, f"{where} judgement", parts.judgement, entry.labels)


def _check_spans(file: str, entry: VideoAnnotation) -> Iterator[Finding]:
    def found(code: str, where: str, message: str, group: str = "") -> Finding:
        return Finding("annotations", code, file, entry.video, where, message, group)

    if (frames := entry.event_frames) is not None and len(frames) != len(entry.events):
        yield found("event_frames", "events", f"{len(frames)} pairs of frames for {len(entry.events)} events", "count")
    for i, (event, ends) in enumerate(zip(entry.events, frames or ())):
        ours = span_at_rate(event.start_s, event.end_s, entry.fps)
        if max(abs(a - b) for a, b in zip(ours, ends)) > FRAMES_OFF:
            span = f"{event.start_s:g} to {event.end_s:g} s are the frames {ours[0]} to {ours[1]}"
            yield found("event_frames", f"event {i}", f"{span}, the file says {ends[0]} to {ends[1]}", "times")
    last = None
    for i, event in enumerate(entry.events):
        shown = f"{event.start_s:g} to {event.end_s:g} s"
        if event.end_s > entry.duration_s:
            yield found("event_past_end", f"event {i}", f"{shown} in a video of {entry.duration_s:.3f} s")
        if last is not None and event.start_s < last.end_s:
            yield found("event_overlap", f"event {i}", f"{shown} after {last.start_s:g} to {last.end_s:g} s")
        last, before = event, None
        for j, clip in enumerate(event.clips):
            where, span = f"event {i} clip {j}", f"{clip.start_s:g} to {clip.end_s:g} s"
            if clip.end_s > entry.duration_s:
                yield found("clip_past_end", where, f"{span} in a video of {entry.duration_s:.3f} s")
            if clip.start_s < event.start_s or clip.end_s > event.end_s:
                apart = clip.end_s <= event.start_s or clip.start_s >= event.end_s
                yield found("clip_outside_event", where, f"{span}, event {shown}", "wholly" if apart else "partly")
            if before is not None and clip.start_s < before.start_s:
                apart = clip.end_s <= before.start_s
                group = "apart from it" if apart else "and overlaps it"
                yield found("clip_order", where, f"{span} after {before.start_s:g} to {before.end_s:g} s", group)
            elif before is not None and clip.start_s < before.end_s:
                yield found("clip_overlap", where, f"{span} after {before.start_s:g} to {before.end_s:g} s")
            before = clip


def _check_coverage(everything: Entries, annotated: dict[tuple, VideoAnnotation]) -> Iterator[Finding]:
    rows = [(file, entry) for file, entry in everything if isinstance(entry, Instruction)]
    asked = {(row.source, row.split, row.name) for _, row in rows}
    present = {(row.video, row.task) for _, row in rows}
    for file, entry in everything:
        if not isinstance(entry, VideoAnnotation) or not rows:
            continue
        if (entry.source, entry.split, entry.video) not in asked:
            yield Finding("annotations", "no_instructions", file, entry.video, "", "no row in the instruction files")
            continue
        for row in build_instructions([entry]):
            if (row.video, row.task) not in present:
                yield Finding("annotations", "missing_row", file, entry.video, row.task, f"of {row.video}")
    for path in dict.fromkeys(entry.whole_path for _, entry in everything):
        if odd := set(_ODD_NAME.findall(PurePosixPath(path).name)):
            yield Finding("videos", "odd_name", "", path, "", f"holds {' '.join(sorted(odd))}")
    sources = {(source, split) for source, split, _ in annotated}
    for file, row in rows:
        if (row.source, row.split) not in sources:
            continue  # their annotations are not at hand, as those of XD-Violence's test videos
        annotation = annotated.get((row.source, row.split, row.name))
        if annotation is None or annotation.span_s(row.level, row.event, row.clip) is None:
            yield Finding("instructions", "unknown_segment", file, row.video, f"id {row.id}", "not in the annotations")


def _spellings(rows: list[Instruction]) -> list[dict[str, Any]]:
    counts = Counter(
        spelling for row in rows if row.task == "judgement" for spelling in parse_judgement(row.answer).spellings
    )
    return [
        {"spelling": spelling, "class": canonical_class(spelling), "count": count}
        for spelling, count in counts.most_common()
    ]
