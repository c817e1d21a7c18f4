"""Where events come from: boundaries that people have drawn, in whatever form, or what the anomaly scorer proposes."""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from modeling_holmes_vau.base.names import shorten
from modeling_holmes_vau.base.scan import scan_folder
from modeling_holmes_vau.spans_holmes_vau import is_past_end_s

from ..ground_truth import FrameAnnotation, read_ucf_annotation, read_xd_annotation
from ..labels import classes_of_name
from ..schema import AnnotationError, Event, SummaryParts, VideoAnnotation
from ..spans import annotations_from_csv
from ..tables import read_table, read_text, video_pieces
from ..videos import VideoFolder
from .division import merge_touching, rounded
from .formats import read_format
from .work import FORMS, GIVEN, WorkClip, WorkEvent


_UCA_LINE = re.compile(r"(?P<video>\S+)\s+(?P<start>\d+(?:\.\d+)?)\s+(?P<end>\d+(?:\.\d+)?)\s*##\s*(?P<text>.*\S)\s*")


@dataclass(frozen=True)
class GivenVideo:
    """What is known of a video before it is decoupled.

    Args:
        video (`str`): Its name.
        file (`str`): Its file, absolute.
        labels (`tuple[str, ...]`, *optional*): Its classes, empty when normal; `None` where nobody has said.
        spans (`tuple`): Its abnormal spans with their labels, `(start, end, labels)`, in seconds or, of ground truth
            that counts frames, in frames.
        in_frames (`bool`): Which of the two.
        annotation (`VideoAnnotation`, *optional*): Where the boundaries came with texts.
    """

    video: str
    file: str
    labels: tuple[str, ...] | None
    spans: tuple[tuple[float, float, tuple[str, ...]], ...] = ()
    in_frames: bool = False
    annotation: VideoAnnotation | None = None


# ---- given boundaries -----------------------------------------------------------------------------------------------


def guess_form(path: Path) -> str | None:
    """The form of a file of boundaries that its content does not tell in one way: `None` for JSON, which tells itself.

    Raises:
        `AnnotationError`: if it is none that is known.
    """
    if path.is_dir() or path.suffix.lower() in (".json", ".jsonl"):
        return None
    text = read_text(path)
    head = next((line for line in text.splitlines() if line.strip()), "")
    if re.match(r"sep=|.*\bvideo\b.*[,;\t]", head, re.IGNORECASE):
        return "csv"
    if "_label_" in head:
        return "xd"
    if len(head.split()) >= 4:
        return "ucf"
    raise AnnotationError(f"{path}: its form is not known; --events-form names it, one of {', '.join(FORMS)}.")


def read_boundaries(
    path: Path, videos: VideoFolder, source: str, split: str, form: str | None = None, progress: bool = False
) -> tuple[list[GivenVideo], dict[str, str]]:
    """
    The videos of a file of boundaries.

    Args:
        path (`Path`): The file, or a folder of annotations.
        videos (`VideoFolder`): Where the videos are.
        source (`str`), split (`str`): What the collection is called, and which split it is.
        form (`str`, *optional*): One of `FORMS`; guessed by default.
        progress (`bool`, *optional*, defaults to `False`): Show a bar while videos are opened.

    Returns:
        `tuple[list[GivenVideo], dict[str, str]]`: The videos that are there; and why others are left out, by name.

    Raises:
        `AnnotationError`: If the file can't be read.
    """
    form = form or guess_form(path)
    if form in ("ucf", "xd"):
        read = read_ucf_annotation if form == "ucf" else read_xd_annotation
        entries = [_from_ground_truth(entry) for entry in read(path).values()]
    elif form == "csv":
        entries = annotations_from_csv(path, videos.root, source, split, progress)
    else:
        entries = read_format(path, form, videos.root, source, split)
    found, missing = [], {}
    for entry in entries:
        annotation = entry if isinstance(entry, VideoAnnotation) else None
        wanted = annotation or VideoAnnotation(entry.video, source, split, 1, 1.0, (), (), "no description")
        try:
            place = videos.find_whole(wanted)
        except ValueError as error:
            place, missing[entry.video] = None, str(error)
        if place is None:
            missing.setdefault(entry.video, f"no such video under {videos.root}")
        elif annotation is None:
            found.append(GivenVideo(entry.video, place.path, entry.labels, entry.spans, entry.in_frames))
        else:
            found.append(_from_annotation(annotation, place.path))
    return found, missing


def _from_ground_truth(entry: FrameAnnotation) -> GivenVideo:
    labels = entry.labels or (classes_of_name(entry.video) or () if entry.spans else ())
    spans = tuple((float(first), float(last), labels) for first, last in entry.spans)
    return GivenVideo(entry.video, "", labels, spans, in_frames=True)


def _from_annotation(annotation: VideoAnnotation, file: str) -> GivenVideo:
    spans = tuple((event.start_s, event.end_s, event_labels(event, annotation)) for event in annotation.events)
    return GivenVideo(annotation.video, file, annotation.labels, spans, annotation=annotation)


def event_labels(event: Event, annotation: VideoAnnotation) -> tuple[str, ...]:
    """The classes of an event: its own where a table or a tool has drawn it with one, else those of its video."""
    return (event.summary,) if event.summary in annotation.labels else annotation.labels


def given_events(given: GivenVideo, fps: float, duration_s: float) -> list[WorkEvent]:
    """
    The events of a video as they were given, with the texts that came along.

    Of spans without texts those of one class that touch are one event. Spans that end past the end of the video, by
    no more than the frame counts of two decoders differ, are cut.

    Raises:
        `AnnotationError`: if one is past the end.
    """
    scale = fps if given.in_frames else 1.0
    spans = [(start / scale, end / scale, labels) for start, end, labels in given.spans]
    for start_s, end_s, _ in spans:
        if is_past_end_s((start_s, end_s), duration_s, fps):
            raise AnnotationError(
                f"video {given.video!r}: the event {start_s:.3f} to {end_s:.3f} s is past its end, {duration_s:.3f} "
                "s. Mend the times, or find the video that was annotated."
            )
    if given.annotation is not None and any(is_told(event, given.annotation) for event in given.annotation.events):
        events = [_told_event(event, given.annotation, duration_s) for event in given.annotation.events]
    else:
        by_labels: dict[tuple[str, ...], list[tuple[float, float]]] = {}
        for start_s, end_s, labels in spans:
            by_labels.setdefault(labels, []).append((start_s, min(end_s, duration_s)))
        events = [
            WorkEvent("", *rounded(span), labels, GIVEN)
            for labels, of_these in by_labels.items()
            for span in merge_touching(of_these, gap_s=1.0 / fps)
        ]
    return sorted(events, key=lambda event: (event.start_s, event.end_s))


def is_told(event: Event, annotation: VideoAnnotation) -> bool:
    """Whether an event came with clips or a text of its own, and not as a span with a class alone."""
    return bool(event.clips) or event.parts is not None or event.summary not in annotation.labels


def _told_event(event: Event, annotation: VideoAnnotation, duration_s: float) -> WorkEvent:
    labels = event_labels(event, annotation)
    clips = tuple(WorkClip(clip.start_s, min(clip.end_s, duration_s), clip.caption) for clip in event.clips)
    summary = None if event.summary in annotation.labels else event.summary
    span = (event.start_s, min(event.end_s, duration_s))
    return WorkEvent("", *span, labels, GIVEN, clips, summary=summary, parts=parts_to_json(event.parts))


def parts_to_json(parts: SummaryParts | None) -> dict[str, str | None] | None:
    """The parts of a summary as a line of a journal holds them."""
    return None if parts is None else asdict(parts)


# ---- all videos of a folder -----------------------------------------------------------------------------------------


def all_videos(videos: VideoFolder, label_of: Callable[[str], tuple[str, ...] | None]) -> list[GivenVideo]:
    """Every video of a folder, with the classes that are known of it."""
    found = []
    for path in scan_folder(videos.root).files:
        name = videos.name_with_folders(path)
        found.append(GivenVideo(name, path, label_of(name)))
    return found


def read_labels(path: Path | None) -> Callable[[str], tuple[str, ...] | None]:
    """
    What tells the classes of a video: a table with the columns `video,label` (a row a class; of a normal video, an
    empty label or "Normal"), and the names that UCF-Crime and XD-Violence give their videos.

    Raises:
        `AnnotationError`: If the table can't be read.
    """
    told: dict[str, list[str]] = {}
    for row in read_table(path, ("video", "label")) if path is not None else ():
        labels = told.setdefault("--".join(video_pieces(row.cells["video"])), [])
        if (label := row.cells["label"]) and label.lower() != "normal":
            labels.append(label)

    def label_of(video: str) -> tuple[str, ...] | None:
        labels = told.get(video, told.get(video.rsplit("--", 1)[-1]))
        return classes_of_name(video) if labels is None else tuple(dict.fromkeys(labels))

    return label_of


# ---- given clips ----------------------------------------------------------------------------------------------------


def read_uca(path: Path) -> dict[str, list[WorkClip]]:
    """
    Clips with captions as UCA (Yuan et al., CVPR 2024) has them for UCF-Crime: JSON `{video: {"timestamps": [[s, e],
    ...], "sentences": [...]}}`, or lines `video start end ##sentence`.

    Returns:
        `dict[str, list[WorkClip]]`: By video, times in seconds.

    Raises:
        `AnnotationError`: If it is neither, naming file, video or line.
    """
    text = read_text(path)
    clips: dict[str, list[WorkClip]] = {}
    for place, video, start, end, sentence in (
        _uca_json(path, text) if text.lstrip()[:1] == "{" else _uca_lines(path, text)
    ):
        try:
            start_s, end_s = float(start), float(end)
        except (TypeError, ValueError):
            start_s = end_s = 0.0
        if not 0 <= start_s < end_s or not isinstance(sentence, str) or not sentence.strip():
            raise AnnotationError(
                f"{path}: {place}: got {start}, {end}, {shorten(str(sentence), 60)!r}, expected 0 <= start < end in "
                "seconds and a sentence."
            )
        clips.setdefault(video, []).append(WorkClip(start_s, end_s, sentence.strip()))
    if not clips:
        raise AnnotationError(
            f"{path}: holds no clips, expected UCA's JSON or its lines `video start end ##sentence`."
        )
    return clips


def _uca_json(path: Path, text: str) -> Iterator[tuple]:
    try:
        whole = json.loads(text)
        for video, entry in whole.items():
            spans, sentences = entry["timestamps"], entry["sentences"]
            if len(spans) != len(sentences):
                raise AnnotationError(
                    f"{path}: video {video!r}: {len(spans)} timestamps and {len(sentences)} sentences."
                )
            for number, ((start, end), sentence) in enumerate(zip(spans, sentences)):
                yield f"video {video!r}, clip {number}", video, start, end, sentence
    except AnnotationError:
        raise
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        raise AnnotationError(
            f"{path}: not UCA's JSON ({type(error).__name__}: {error}); expected {{video: {{timestamps, sentences}}}}."
        ) from None


def _uca_lines(path: Path, text: str) -> Iterator[tuple]:
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        if (match := _UCA_LINE.fullmatch(line.strip())) is None:
            raise AnnotationError(f"{path}: line {number}: got {line[:60]!r}, expected `video start end ##sentence`.")
        yield f"line {number}", match["video"], match["start"], match["end"], match["text"]
