"""Label Studio: tasks of videos whose spans are labelled on a timeline.

A task is `{"data": {"video": URL}, "annotations": [{"result": [...]}]}`. A span is a result of the type
`timelinelabels` with `value.ranges[0]`, first and last frame counted from 1, both of them in the span, at the frame
rate of the labelling setup. Its texts are results of the type `textarea` with the id of the span.

Label Studio draws on the first `TimelineLabels` of a video alone, so events and clips share one, where clips have a
label of their own and the event they belong to as `parentID`. It keeps `data` and the `meta` of a span as they are:
there stand the exact seconds and what else nobody edits. Sources: labelstud.io/tags/timelinelabels, /tags/video,
/tags/textarea, /guide/task_format, and its editor (`TimelineRegion.js`, `Video.js`, `Annotation.js`).
"""

import json
import logging
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote, unquote, urlsplit
from xml.etree import ElementTree

from modeling_holmes_vau.base.files import write_whole
from modeling_holmes_vau.base.scan import VIDEO_SUFFIXES

from ...fields import Record
from ...schema import AnnotationError, VideoAnnotation
from ...tables import video_pieces
from .common import (
    KEPT,
    NO_DESCRIPTION,
    NORMAL,
    PARTS,
    Base,
    Mark,
    Videos,
    assemble,
    classes_of,
    first_and_last,
    frames_of,
    kept_base,
    objects,
    record_of,
    seconds_of,
    shown_events,
    video_fields,
    within_video,
)


logger = logging.getLogger(__name__)

VIDEO = "video"  # the object tag, and the field of `data` it shows
TIMELINE = "levels"  # the control tag of events and clips
CLIP = "(clip)"  # the label of a clip
CAPTION = "clip_caption"
TEXTS = ("summary", *PARTS)  # of an event `event_summary`, ..., of the video `video_summary`, ...
LOCAL_FILES = "/local-files/?d="
COLOURS = {NORMAL: "#36b37e", CLIP: "#8c8c8c"}
ANOMALY_COLOUR = "#d4380d"
_UPLOADED = re.compile(r"[0-9a-f]{8}-(.+)")  # what Label Studio puts in front of the names of uploads


# ---------------------------------------------------------------------------------------------------------------------
# Out.


def write(annotations: Sequence[VideoAnnotation], output: Path) -> None:
    """Write tasks, and beside them the labelling setup that shows them, with the ending `.xml`.

    `data.video` is `/data/local-files/?d=` and the path of the video in the layout of the release: it plays where
    `LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT` is the folder of the videos. `data.fps` is the frame rate, which the setup
    counts by.

    Raises:
        `AnnotationError`: If a class has the name that clips are labelled with.
    """
    for entry in annotations:
        if CLIP in entry.labels:
            raise AnnotationError(f"video {entry.video!r}: {CLIP!r} is the label of clips here. Rename the class.")
    tasks = [_task(entry) for entry in annotations]
    write_whole(output.with_suffix(".xml"), labelling_setup(classes_of(annotations)))
    write_whole(output, json.dumps(tasks, ensure_ascii=False, indent=1) + "\n")


def labelling_setup(classes: Sequence[str]) -> str:
    """The labelling setup of a project, XML for Settings > Labeling Interface > Code.

    Args:
        classes (`Sequence[str]`): What events may be labelled with; clips get a label of their own.
    """
    view = ElementTree.Element("View")
    ElementTree.SubElement(view, "Video", name=VIDEO, value="$video", frameRate="$fps", timelineHeight="120")
    timeline = ElementTree.SubElement(view, "TimelineLabels", name=TIMELINE, toName=VIDEO)
    for label in (*classes, CLIP):
        ElementTree.SubElement(timeline, "Label", value=label, background=COLOURS.get(label, ANOMALY_COLOUR))
    events = [(f"event_{name}", f"Event: {name}", {"perRegion": "true"}) for name in TEXTS]
    clips = [(CAPTION, "Clip: caption", {"perRegion": "true"})]
    videos = [(f"video_{name}", f"Video: {name}", {}) for name in TEXTS]
    for title, areas in (("The selected event or clip", events + clips), ("The whole video", videos)):
        ElementTree.SubElement(view, "Header", value=title)
        for name, label, more in areas:
            shape = {"rows": "2", "maxSubmissions": "1", "editable": "true", **more}
            ElementTree.SubElement(view, "TextArea", name=name, toName=VIDEO, placeholder=label, **shape)
    ElementTree.indent(view)
    return ElementTree.tostring(view, encoding="unicode") + "\n"


def _task(annotation: VideoAnnotation) -> dict[str, Any]:
    kept = video_fields(annotation)
    texts = {name: kept.pop(name) for name in TEXTS}
    data = {VIDEO: f"/data{LOCAL_FILES}{quote(annotation.whole_path)}", "fps": annotation.fps, KEPT: kept}
    if texts["summary"] == NO_DESCRIPTION:
        texts["summary"] = None
    results = [_text(f"video-{name}", f"video_{name}", text, {}) for name, text in texts.items() if text is not None]
    for i, (label, fields) in enumerate(shown_events(annotation)):
        results += _event(annotation, f"event-{i}", label, fields)
    return {"data": data, "annotations": [{"result": results}]}


def _event(annotation: VideoAnnotation, name: str, label: str, fields: dict[str, Any]) -> list[dict[str, Any]]:
    """The results of an event and of its clips."""
    texts = {f"event_{key}": fields[key] for key in TEXTS if key in fields}
    results = _region(annotation, name, label, fields, texts)
    for j, clip in enumerate(fields["clips"]):
        results += _region(annotation, f"{name}-clip-{j}", CLIP, clip, {CAPTION: clip["caption"]}, parent=name)
    return results


def _region(
    annotation: VideoAnnotation,
    name: str,
    label: str,
    fields: dict[str, Any],
    texts: dict[str, str],
    parent: str | None = None,
) -> list[dict[str, Any]]:
    span_s = fields["start_s"], fields["end_s"]
    first, last = frames_of(span_s, annotation.fps, annotation.n_frames)
    ranges = {"ranges": [{"start": first, "end": last}]}
    region = {"id": name, "type": "timelinelabels", "from_name": TIMELINE, "to_name": VIDEO, "origin": "manual"}
    region |= {"meta": {"start_s": span_s[0], "end_s": span_s[1]}, "value": {**ranges, "timelinelabels": [label]}}
    if parent is not None:
        region["parentID"] = parent
    return [region, *(_text(name, control, text, ranges) for control, text in texts.items())]


def _text(name: str, control: str, text: str, value: dict[str, Any]) -> dict[str, Any]:
    result = {"id": name, "type": "textarea", "from_name": control, "to_name": VIDEO, "origin": "manual"}
    return {**result, "value": {**value, "text": [text]}}


# ---------------------------------------------------------------------------------------------------------------------
# In.


@dataclass(frozen=True)
class _Region:
    """A span on the timeline."""

    id: str | None
    record: Record
    frames: tuple[int, int]
    labels: tuple[str, ...]
    is_clip: bool
    kept_s: tuple[float, float] | None
    parent: str | None


def read(whole: Any, path: Path, videos: Videos) -> list[VideoAnnotation]:
    """Read tasks, as they were written here or as Label Studio exports them as JSON.

    Of several annotations of a task the newest counts that was not cancelled. A task without one is left out; one
    whose annotation has no spans is of a normal video. Where `data.fps` does not tell the rate that frames are counted
    at, it is that of the video: the `frameRate` of the labelling setup has to be it.

    Args:
        whole (`list` or `dict`): The tasks, or one.
        path (`Path`): The file, for messages.
        videos (`Videos`): Where to look for videos of which a task tells no frames. A name is looked for as it
            stands, then without the prefix of uploads (`1a2b3c4d-`).

    Raises:
        `AnnotationError`: If a task is broken, naming file, task and field.
        `VideoReadError`: If a video can't be read.
    """
    found, left_out, kinds = [], 0, set()
    for i, task in enumerate(whole if isinstance(whole, list) else [whole]):
        record = record_of(task, path, f"task {i}")
        if "data" not in task:
            raise record.fail("data", None, "a task of Label Studio. Export as JSON, not as JSON-MIN or CSV")
        data = record.within("data", task["data"])
        results = _newest(record)
        if results is None:
            left_out += 1
            continue
        kinds |= {str(result.fields.get("type")) for result in results}
        found.append(_read_task(record, data, results, videos))
    if "timelinelabels" not in kinds and kinds - {"textarea"}:
        got = ", ".join(sorted(kinds))
        raise AnnotationError(
            f"{path}: got results of the type {got}, expected `timelinelabels`. Label on a timeline."
        )
    if left_out:
        logger.warning(f"{path}: {left_out} tasks that nobody has annotated, left out")
    return found


def _newest(record: Record) -> list[Record] | None:
    """The results of the newest annotation of a task that was not cancelled; `None` if there is none."""
    entries = objects(record, "annotations", record.fields.get("annotations") or [])
    entries = [entry for entry in entries if entry.fields.get("was_cancelled") is not True]
    if not entries:
        return None
    times = [str(entry.fields.get("updated_at") or entry.fields.get("created_at") or "") for entry in entries]
    _, newest = max((time, i) for i, time in enumerate(times))
    return objects(entries[newest], "result", entries[newest].fields.get("result"))


def _read_task(record: Record, data: Record, results: list[Record], videos: Videos) -> VideoAnnotation:
    written = _video(data)
    pieces = _pieces(written)
    record = Record(record.fields, record.file, f"{record.subject}, video {written!r}")
    if KEPT in data.fields:
        base = kept_base(data, data.fields[KEPT])
    else:
        uploaded = _UPLOADED.fullmatch(pieces[-1])
        base = videos.base(record, pieces, other=uploaded[1] if uploaded else "")
    fps = data.number("fps", data.fields.get("fps") or base.fps)
    if fps <= 0:
        raise data.fail("fps", fps, "more than 0 frames per second")
    texts = _texts(results)
    of_video = {name: texts.get(("", f"video_{name}")) for name in TEXTS}
    _check_parts(record, of_video, "video")
    of_video["summary"] = of_video["summary"] or NO_DESCRIPTION
    base = replace(base, fields={**base.fields, **of_video})
    regions = _regions(results)
    clips = _clips(regions, texts, base, fps)
    marks = []
    for i, region in enumerate(regions):
        if region.is_clip:
            continue
        fields = {name: texts.get((region.id, f"event_{name}")) for name in TEXTS}
        _check_parts(region.record, fields, "event")
        span_s, is_kept = _span(region, base, fps)
        fields = {name: text for name, text in fields.items() if text is not None} | {"clips": clips[i]}
        marks.append(Mark(region.record, "ranges", span_s, region.labels, fields, is_kept))
    return assemble(record, base, marks)


def _video(data: Record) -> str:
    """The field of `data` that is the video: `video`, or else the first that ends as the file of one does."""
    named = [data.fields[VIDEO]] if VIDEO in data.fields else list(data.fields.values())
    paths = [value for value in named if isinstance(value, str) and _pieces(value)]
    files = [value for value in paths if PurePosixPath(_path(value)).suffix.lower() in VIDEO_SUFFIXES]
    if not (found := files or paths) or not (files or VIDEO in data.fields):
        raise data.fail(VIDEO, data.fields.get(VIDEO), "the path or URL of a video")
    return found[0]


def _path(written: str) -> str:
    """The path in what Label Studio calls a video: a path, a URL, or a key of a cloud storage."""
    if LOCAL_FILES in written:
        return unquote(written.split(LOCAL_FILES, 1)[1])
    scheme, mark, rest = written.partition("://")
    if mark and scheme.lower() not in ("http", "https", "file"):
        return rest  # s3, gs, azure-blob: a key as it is
    if mark or written.startswith("/data/upload/"):
        return unquote(urlsplit(written).path)
    return written


def _pieces(written: str) -> tuple[str, ...]:
    return video_pieces(_path(written))


def _texts(results: list[Record]) -> dict[tuple[str, str], str]:
    """What is written in text areas, by the id of the span (empty for the whole video) and the area."""
    found = {}
    for result in results:
        control = result.fields.get("from_name")
        if result.fields.get("type") != "textarea" or not isinstance(control, str):
            continue
        value = result.within("value", result.fields.get("value"))
        written = value.fields.get("text")
        lines = [written] if isinstance(written, str) else value.list_of("text", written)
        if text := "\n".join(line for line in lines if isinstance(line, str) and line.strip()):
            found["" if control.startswith("video_") else _id(result), control] = text
    return found


def _check_parts(record: Record, fields: dict[str, str | None], level: str) -> None:
    if fields["judgement"] is None and (fields["description"] or fields["analysis"]):
        raise record.fail(f"{level}_judgement", None, "a text where a description or an analysis is written")


def _regions(results: list[Record]) -> list[_Region]:
    """The spans of an annotation; a span of several ranges is several, results of one id are labels of one span."""
    found: dict[Any, list[Record]] = defaultdict(list)
    for i, result in enumerate(results):
        if result.fields.get("type") == "timelinelabels":
            found[_id(result) or ("without id", i)].append(result)
    return [region for records in found.values() for region in _regions_of(records)]


def _regions_of(records: list[Record]) -> list[_Region]:
    """The spans of the results of one id."""
    first = records[0]
    labels = tuple(dict.fromkeys(label for record in records for label in _labels(record)))
    if not labels:
        raise first.fail("timelinelabels", [], "a label. Label the span, or delete it")
    is_clip = CLIP in labels and any(record.fields.get("from_name") == TIMELINE for record in records)
    value = first.within("value", first.fields.get("value"))
    regions = []
    for entry in objects(value, "ranges", value.fields.get("ranges")):
        frames = first_and_last(entry, "frames", entry.fields.get("start"), entry.fields.get("end"))
        regions.append(_Region(_id(first), first, frames, labels, is_clip, _kept(first), first.fields.get("parentID")))
    return regions


def _kept(record: Record) -> tuple[float, float] | None:
    """The seconds that were kept beside the frames of a span."""
    meta = record.fields.get("meta")
    ends = [meta.get(name) for name in ("start_s", "end_s")] if isinstance(meta, dict) else []
    return tuple(ends) if ends and all(type(end) in (int, float) for end in ends) and ends[0] < ends[1] else None


def _id(record: Record) -> str | None:
    """The name of a result, which it shares with the others of its span."""
    name = record.fields.get("id")
    return str(name) if isinstance(name, str | int) else None


def _labels(record: Record) -> list[str]:
    value = record.within("value", record.fields.get("value"))
    return value.texts("timelinelabels", value.fields.get("timelinelabels") or [])


def _span(region: _Region, base: Base, fps: float) -> tuple[tuple[float, float], bool]:
    """Start and end of a span in seconds, and whether they are those that were kept."""
    if region.kept_s is None:
        return seconds_of(region.frames, fps, None), False
    frames = frames_of(region.kept_s, fps, base.n_frames)
    return seconds_of(region.frames, fps, (region.kept_s, frames)), region.frames == frames


def _clips(
    regions: list[_Region], texts: dict[tuple[str, str], str], base: Base, fps: float
) -> dict[int, list[dict[str, Any]]]:
    """The clips of each event, by its place among the spans: of the one they name, else of the one most of them is in.
    They stay in the order of the file, or are put in order of time if one is new or was moved."""
    found: dict[int, list[tuple[dict[str, Any], bool]]] = defaultdict(list)
    events = {i: _span(region, base, fps)[0] for i, region in enumerate(regions) if not region.is_clip}
    for region in regions:
        if not region.is_clip:
            continue
        (start_s, end_s), is_kept = _span(region, base, fps)
        if not is_kept:
            start_s, end_s = within_video(region.record, "ranges", (start_s, end_s), base)
        if (caption := texts.get((region.id, CAPTION))) is None:
            raise region.record.fail(CAPTION, None, "a caption. Write what the clip shows, or delete it")
        named = [i for i in events if region.parent is not None and regions[i].id == region.parent]
        shared = {i: min(end_s, events[i][1]) - max(start_s, events[i][0]) for i in named or events}
        best = max(shared, key=shared.get, default=None)
        if best is None or not (shared[best] > 0 or named):
            raise region.record.fail("ranges", list(region.frames), "a clip within an event")
        found[best].append(({"start_s": start_s, "end_s": end_s, "caption": caption}, is_kept))
    for clips in found.values():
        if not all(is_kept for _, is_kept in clips):
            clips.sort(key=lambda clip: clip[0]["start_s"])
    return defaultdict(list, {i: [clip for clip, _ in clips] for i, clips in found.items()})
