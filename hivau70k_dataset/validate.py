"""`validate`: everything that is wrong with a set of annotations, and with its videos; nothing is changed."""

import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from tqdm import tqdm

from modeling_holmes_vau.video_reader_holmes_vau import VideoReadError, open_video

from .ground_truth import FrameAnnotation, frame_labels, hivau_frame_annotations, temporal_iou
from .instructions import build_instructions, prompt_pools
from .labels import canonical_class, classes_of_name, parse_judgement
from .reading import find_annotation_files, read_annotation_file
from .schema import AnnotationError, Instruction, VideoAnnotation
from .videos import VideoFolder


# What each finding means, in the order of the report.
MEANING = {
    "unreadable": "can't be read and is left out of everything below",
    "duplicate_video": "a video annotated before, in another file",
    "duplicate_row": "the same segment, question and answer as an earlier row",
    "duplicate_id": "an id that an earlier row has",
    "contradiction": "the judgement contradicts the class of the video",
    "unclear_judgement": "the judgement says neither that there is an anomaly nor that there is none",
    "no_known_class": "an anomaly is stated without a class that is known",
    "other_class": "the judgement names another class than the video has",
    "label_spelling": "a class spelt otherwise than the benchmark spells it",
    "unknown_label": "a label that is no class of the benchmark",
    "glued_prompts": "two prompts in one",
    "curly_quotes": "curly quotation marks or apostrophes",
    "non_ascii": "letters outside ASCII",
    "white_space": "line breaks in a text, or spaces around it",
    "odd_name": "a file name with characters that shells and URLs take for something else",
    "event_past_end": "an event ends after the video",
    "clip_past_end": "a clip ends after the video",
    "event_overlap": "an event starts before the one before it ends",
    "clip_outside_event": "a clip reaches outside its event",
    "clip_overlap": "a clip starts within the clip before it",
    "clip_order": "a clip starts before the clip before it",
    "no_instructions": "an annotated video without any instruction row",
    "missing_row": "a task of an annotated segment without its row, in a video that has rows",
    "unknown_segment": "a row about a segment that the annotations do not have",
    "missing_video": "no file",
    "unreadable_video": "a file that can't be read",
    "frame_count": "a file of another length than annotated",
    "frame_rate": "a file of another frame rate than annotated",
    "lost_segment": "fewer events than the ground truth has segments",
    "extra_segment": "more events than the ground truth has segments",
    "no_ground_truth": "an annotated video that the ground truth does not have",
}
KINDS = ("annotations", "instructions", "videos", "ground truth")
RATE_TOLERANCE = 0.01  # of the annotated frame rate: 29.97 is written as 30
EXAMPLES = 3

_CURLY = re.compile("[\u2018\u2019\u201a\u201b\u201c\u201d\u201e\u201f]")
_ODD_NAME = re.compile(r"[^\w.+-]", re.ASCII)
_NON_ASCII = re.compile(r"[^\x00-\x7f]")


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong.

    Args:
        kind (`str`): "annotations", "instructions", "videos" or "ground truth".
        code (`str`): A key of `MEANING`.
        file (`str`): The file it is in.
        video (`str`): The video or segment; empty where the file as a whole is meant.
        where (`str`): Field or row id.
        message (`str`): What was found.
        group (`str`, *optional*): What the report counts apart within a code.
    """

    kind: str
    code: str
    file: str
    video: str
    where: str
    message: str
    group: str = ""


@dataclass
class Report:
    """What `validate` found.

    Args:
        findings (`list[Finding]`): Everything that is wrong.
        spellings (`list[dict]`): Every class name in the judgements of the instruction rows, with the class it stands
            for and how many rows have it.
        agreement (`dict[str, float]`): Temporal IoU of each abnormal video's events with the ground truth, if given.
        videos (`int`): Annotated videos read.
        rows (`int`): Instruction rows read.
    """

    findings: list[Finding] = field(default_factory=list)
    spellings: list[dict[str, Any]] = field(default_factory=list)
    agreement: dict[str, float] = field(default_factory=dict)
    videos: int = 0
    rows: int = 0

    def count(self, kind: str, code: str) -> int:
        """How many findings of a kind have a code."""
        return sum(finding.kind == kind and finding.code == code for finding in self.findings)

    def to_dict(self) -> dict[str, Any]:
        """The report as plain JSON values."""
        counts = Counter((finding.kind, finding.code) for finding in self.findings)
        return {
            "videos": self.videos,
            "rows": self.rows,
            "counts": {kind: {c: counts[kind, c] for c in MEANING if counts[kind, c]} for kind in KINDS},
            "mean_temporal_iou": sum(self.agreement.values()) / len(self.agreement) if self.agreement else None,
            "temporal_iou": self.agreement,
            "spellings": self.spellings,
            "findings": [asdict(finding) for finding in self.findings],
        }

    def to_text(self) -> str:
        """The report for reading: each code with its count, its meaning and the first examples."""
        lines = [f"{self.videos} annotated videos and {self.rows} instruction rows, {len(self.findings)} findings"]
        grouped = defaultdict(list)
        for finding in self.findings:
            grouped[finding.kind, finding.code].append(finding)
        for kind in KINDS:
            codes = [code for code in MEANING if (kind, code) in grouped]
            lines += ["", f"{kind}:"] if codes else []
            for code in codes:
                lines += _block(code, grouped[kind, code])
        if self.agreement:
            mean = self.to_dict()["mean_temporal_iou"]
            lines += [
                "",
                f"mean temporal IoU with the ground truth: {mean:.4f} ({len(self.agreement)} abnormal videos)",
            ]
        if self.spellings:
            listed = defaultdict(list)
            for entry in self.spellings:
                listed[entry["class"]].append(f"{entry['spelling']} ({entry['count']})")
            lines += ["", f"class names in the judgements: {len(self.spellings)} spellings of {len(listed)} classes"]
            lines += [f"  {name}: {', '.join(names)}" for name, names in sorted(listed.items())]
        return "\n".join(lines)


def _block(code: str, findings: list[Finding]) -> list[str]:
    groups = Counter(finding.group for finding in findings if finding.group)
    split = f" ({', '.join(f'{count} {group}' for group, count in groups.items())})" if groups else ""
    lines = [f"{len(findings):6d}  {code}: {MEANING[code]}{split}"]
    lines += [f"          {_place(finding)}: {finding.message}" for finding in findings[:EXAMPLES]]
    if len(findings) > EXAMPLES:
        lines.append(f"          and {len(findings) - EXAMPLES} more")
    return lines


def _place(finding: Finding) -> str:
    return " ".join(filter(None, (finding.video or finding.file, finding.where)))


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
    everything: list[tuple[str, VideoAnnotation | Instruction]] = []
    for path in find_annotation_files(annotations):

        def note(error: AnnotationError, path: Path = path) -> None:
            message = str(error).removeprefix(f"{path}: ")
            report.findings.append(Finding("annotations", "unreadable", str(path), "", "", message))

        everything += ((path.name, entry) for entry in read_annotation_file(path, note))
    annotated = {(e.source, e.split, e.video): e for _, e in everything if isinstance(e, VideoAnnotation)}
    for file, entry in everything:
        if isinstance(entry, VideoAnnotation):
            report.findings += _check_annotation(file, entry, seen)
        else:
            labels = annotated[key].labels if (key := (entry.source, entry.split, entry.name)) in annotated else None
            report.findings += _check_row(file, entry, labels, seen)
    rows = [entry for _, entry in everything if isinstance(entry, Instruction)]
    report.videos, report.rows = len(everything) - len(rows), len(rows)
    report.findings += _check_coverage(everything, annotated)
    report.spellings = _spellings(rows)
    if videos is not None:
        report.findings += _check_videos(everything, annotated, VideoFolder(videos), progress)
    if ground_truth is not None:
        report.findings += _check_ground_truth(everything, ground_truth, report.agreement)
    return report


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
    if judged.abnormal is None:
        yield Finding(kind, "unclear_judgement", file, video, where, repr(text))
    elif judged.abnormal and not judged.classes:
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
    elif judged.classes and not classes & set(judged.classes):
        yield Finding(kind, "other_class", file, video, where, f"{text!r}, but the video is {shown}")


def _check_row(file: str, row: Instruction, labels: Iterable[str] | None, seen: dict[tuple, str]) -> Iterator[Finding]:
    kind, where = "instructions", f"id {row.id}"
    content = (row.video, row.task, row.question, row.answer, row.turn)
    if (earlier := seen.setdefault(content, row.id)) is not row.id:
        yield Finding(kind, "duplicate_row", file, row.video, where, f"as id {earlier}")
    elif (earlier := seen.setdefault((row.source, row.split, row.id, row.turn), row.video)) is not row.video:
        yield Finding(kind, "duplicate_id", file, row.video, where, f"as in {earlier}")
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
        if (name := canonical_class(label)) is None:
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


def _check_coverage(
    everything: list[tuple[str, VideoAnnotation | Instruction]], annotated: dict[tuple, VideoAnnotation]
) -> Iterator[Finding]:
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


def _check_videos(
    everything: list[tuple[str, VideoAnnotation | Instruction]],
    annotated: dict[tuple, VideoAnnotation],
    folder: VideoFolder,
    progress: bool,
) -> Iterator[Finding]:
    """Look for each whole video once: of the annotations, then those that only the rows name."""
    whole: dict[str, tuple[str, VideoAnnotation | Instruction]] = {}
    for file, entry in sorted(everything, key=lambda pair: isinstance(pair[1], Instruction)):
        whole.setdefault(entry.whole_path, (file, entry))
    for path, (file, entry) in tqdm(whole.items(), "videos", unit="video", disable=not progress):
        try:
            found = folder.find(entry)
            if found is None:
                yield Finding("videos", "missing_video", file, path, "", f"not under {folder.root}")
                continue
            with open_video(found.path) as reader:
                n_frames, fps = reader.num_frames, reader.fps
        except (VideoReadError, ValueError) as error:
            yield Finding("videos", "unreadable_video", file, path, "", str(error))
            continue
        if not isinstance(entry, VideoAnnotation):
            continue
        if n_frames != entry.n_frames:
            message = f"the file has {n_frames} frames, the annotation {entry.n_frames}"
            yield Finding("videos", "frame_count", file, path, "", message)
        if abs(fps - entry.fps) > RATE_TOLERANCE * entry.fps:
            message = f"the file runs at {fps:g} frames per second, the annotation at {entry.fps:g}"
            yield Finding("videos", "frame_rate", file, path, "", message)


def _check_ground_truth(
    everything: list[tuple[str, VideoAnnotation | Instruction]],
    ground_truth: dict[str, FrameAnnotation],
    agreement: dict[str, float],
) -> Iterator[Finding]:
    for file, entry in everything:
        if not isinstance(entry, VideoAnnotation) or not entry.labels:
            continue
        truth = ground_truth.get(entry.video)
        if truth is None:
            yield Finding("ground truth", "no_ground_truth", file, entry.video, "", "not in the ground truth")
            continue
        ours = hivau_frame_annotations([entry])[entry.video]
        iou = temporal_iou(frame_labels(ours), frame_labels(truth, entry.n_frames))
        agreement[entry.video] = iou
        if len(ours.spans) != len(truth.spans):
            code = "lost_segment" if len(ours.spans) < len(truth.spans) else "extra_segment"
            message = f"{len(ours.spans)} events, {len(truth.spans)} segments, temporal IoU {iou:.3f}"
            yield Finding("ground truth", code, file, entry.video, "", message)
