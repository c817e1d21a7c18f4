"""JSON records to schema and back: the only file that knows how the fields are spelt.

Three forms are read, told apart by their fields:

- the released files: a dict keyed by video, `events_summary`, `*_split`; instruction rows with `prompt` and `anwser`;
- the paper's Figures A to D: `clip_captions`, `event_summary`; `conversations` of several turns;
- the clean form written here, one JSON object a line, which is also what the exported tables hold.

The reader keeps what the files say, blemishes included; `validate` reports those. A field that is not known is left
aside with a remark, one that is missing is an error.
"""

import re
from dataclasses import asdict
from functools import partial
from pathlib import PurePosixPath
from typing import Any

from modeling_holmes_vau.base.scan import VIDEO_SUFFIXES

from .fields import MOST, OnRemark, Record, check_name, ignore
from .schema import (
    LEVELS,
    SEGMENT_NAME,
    SPLITS,
    SUMMARY_TASKS,
    TASKS,
    AnnotationError,
    Clip,
    Event,
    Instruction,
    SummaryParts,
    VideoAnnotation,
)


# ---------------------------------------------------------------------------------------------------------------------
# Annotations.

_PARTS = ("judgement", "description", "analysis")
_RAW_NAMES = ("n_frames", "fps", "label", "events", "clips", "video_summary")
_RAW_SPELLINGS = (("clips_caption", "clip_captions"), ("events_summary", "event_summary"))
_RAW_OPTIONAL = ("video", "events_summary_split", "video_summary_split", "events(frame)")
_CLEAN_NAMES = ("video", "source", "split", "n_frames", "fps", "labels", "events", "summary", *_PARTS)
_CLEAN_EVENT = ("start_s", "end_s", "summary", *_PARTS, "clips")
_CLEAN_CLIP = ("start_s", "end_s", "caption")
_CLEAN_ALONE = {"labels", "summary", "source", "split"}  # of the two forms, this one's
_RAW_ALONE = {"label", "video_summary", "clips", *(name for spellings in _RAW_SPELLINGS for name in spellings)}


def _parts(record: Record, value: Any, field: str) -> SummaryParts:
    inner = record.within(field, value)
    inner.check_names(("judgement",), ("description", "analysis"))
    return SummaryParts(
        inner.text("judgement", inner.fields["judgement"]),
        inner.text("description", inner.fields.get("description"), optional=True),
        inner.text("analysis", inner.fields.get("analysis"), optional=True),
    )


def _clean_parts(record: Record) -> SummaryParts | None:
    if record.fields["judgement"] is None:
        for name in ("description", "analysis"):
            if record.fields[name] is not None:
                raise record.fail(name, record.fields[name], "null where `judgement` is null")
        return None
    return _parts(record, {name: record.fields[name] for name in _PARTS}, "parts")


def _clock(record: Record) -> tuple[int, float]:
    n_frames = record.whole("n_frames", record.fields["n_frames"], 1)
    fps = record.number("fps", record.fields["fps"])
    if fps <= 0:
        raise record.fail("fps", fps, "more than 0 frames per second")
    return n_frames, fps


def _event_frames(record: Record, field: str) -> tuple[tuple[int, int], ...] | None:
    """Frames beside the seconds; what is wrong with them is no reason to lose the seconds."""
    value = record.fields.get(field)
    if value is None:
        return None
    pairs = value if isinstance(value, list) else [value]
    for pair in pairs:
        whole = isinstance(pair, list) and all(type(end) in (int, float) and end == end // 1 for end in pair)
        if not whole or len(pair) != 2 or not 0 <= pair[0] < pair[1] <= MOST:
            record.remark("event_frames", field, f"got {str(pair)[:80]}, expected pairs 0 <= start < end of frames")
            return None
    return tuple((int(start), int(end)) for start, end in pairs)


def _raw_annotation(record: Record, name: str, source: str | None, split: str | None) -> VideoAnnotation:
    fields = dict(record.fields)
    names = []
    for spellings in _RAW_SPELLINGS:
        present = [spelling for spelling in spellings if spelling in fields]
        if len(present) == 2:
            raise AnnotationError(
                f"{record.file}: {record.subject}: `{present[0]}` and `{present[1]}` are two spellings of one field. "
                "Keep one."
            )
        names.append((present or spellings)[0])
    record.check_names((*_RAW_NAMES, *names), _RAW_OPTIONAL)
    n_frames, fps = _clock(record)
    spans = record.list_of("events", fields["events"])
    count = len(spans)
    clips = record.list_of("clips", fields["clips"], count)
    captions = record.list_of(names[0], fields[names[0]], count)
    summaries = record.texts(names[1], fields[names[1]], count)
    parts = [None] * count
    if "events_summary_split" in fields:
        split_list = record.list_of("events_summary_split", fields["events_summary_split"], count)
        parts = [
            None if value is None else _parts(record, value, f"events_summary_split[{i}]")
            for i, value in enumerate(split_list)
        ]
    events = tuple(
        Event(
            *record.pair(f"events[{i}]", spans[i]),
            _raw_clips(record, i, clips[i], captions[i], names[0]),
            summaries[i],
            parts[i],
        )
        for i in range(count)
    )
    video_parts = None
    if "video_summary_split" in fields:
        video_parts = _parts(record, fields["video_summary_split"], "video_summary_split")
    labels = _labels(record, "label", fields["label"])
    summary = record.text("video_summary", fields["video_summary"])
    origin = _origin(record, name, source, split)
    frames = _event_frames(record, "events(frame)")
    return VideoAnnotation(name, *origin, n_frames, fps, labels, events, summary, video_parts, frames)


def _raw_clips(record: Record, event: int, spans: Any, captions: Any, captions_name: str) -> tuple[Clip, ...]:
    spans = record.list_of(f"clips[{event}]", spans)
    captions = record.texts(f"{captions_name}[{event}]", captions, len(spans))
    return tuple(
        Clip(*record.pair(f"clips[{event}][{j}]", span), caption)
        for j, (span, caption) in enumerate(zip(spans, captions))
    )


def _labels(record: Record, field: str, value: Any) -> tuple[str, ...]:
    labels = tuple(record.texts(field, value))
    if any(label.strip().lower() == "normal" for label in labels):
        raise record.fail(field, value, "classes of anomalies; of a normal video none, []")
    return labels


def _origin(record: Record, name: str, source: str | None, split: str | None) -> tuple[str, str]:
    if source is None and "_label_" in name:
        source = "xd-violence"
    elif source is None and name.endswith("_x264"):
        source = "ucf-crime"
    if source is None or split is None:
        missing = "the source" if source is None else "the split"
        raise AnnotationError(
            f"{record.file}: {record.subject}: nothing tells {missing}. Name the file <source>_<split>.json "
            "(ucf_database_test.json, mine_train.jsonl), or pass it."
        )
    if "/" in source or "\\" in source or source in (".", ".."):
        raise AnnotationError(f"{record.file}: {record.subject}: {source!r} is no name of a source. Rename the file.")
    return source, split


def _clean_annotation(record: Record) -> VideoAnnotation:
    record.check_names(_CLEAN_NAMES, ("event_frames",))
    fields = record.fields
    n_frames, fps = _clock(record)
    events = []
    for i, value in enumerate(record.list_of("events", fields["events"])):
        inner = record.within(f"events[{i}]", value)
        inner.check_names(_CLEAN_EVENT)
        clips = []
        for j, clip in enumerate(inner.list_of("clips", inner.fields["clips"])):
            leaf = inner.within(f"clips[{j}]", clip)
            leaf.check_names(_CLEAN_CLIP)
            span = leaf.span("start_s, end_s", leaf.fields["start_s"], leaf.fields["end_s"])
            clips.append(Clip(*span, leaf.text("caption", leaf.fields["caption"])))
        span = inner.span("start_s, end_s", inner.fields["start_s"], inner.fields["end_s"])
        summary = inner.text("summary", inner.fields["summary"])
        events.append(Event(*span, tuple(clips), summary, _clean_parts(inner)))
    return VideoAnnotation(
        check_name(record, fields["video"]),
        check_name(record, fields["source"]),
        record.one_of("split", fields["split"], SPLITS),
        n_frames,
        fps,
        _labels(record, "labels", fields["labels"]),
        tuple(events),
        record.text("summary", fields["summary"]),
        _clean_parts(record),
        _event_frames(record, "event_frames"),
    )


def annotation_from_json(
    fields: Any,
    file: str,
    subject: str,
    source: str | None = None,
    split: str | None = None,
    on_remark: OnRemark = ignore,
) -> VideoAnnotation:
    """Read the annotation of one video in any of its forms.

    Args:
        fields (`dict`): The JSON object; it names its video in `video`.
        file (`str`): The file it comes from, for errors.
        subject (`str`): Its place in the file, for errors.
        source (`str`, *optional*): The benchmark, where the form itself does not tell.
        split (`str`, *optional*): The split, where the form itself does not tell.
        on_remark (`Callable`, *optional*): Called with each `Remark`, such as of a field that is not known.

    Raises:
        `AnnotationError`: If a field is missing or of the wrong type, or if a time runs backwards.
    """
    if not isinstance(fields, dict):
        raise AnnotationError(f"{file}: {subject}: got {type(fields).__name__}, expected an object for one video.")
    record = Record(fields, file, subject)
    record.check_repeated()
    if "video" not in fields:
        raise AnnotationError(f"{file}: {subject}: `video` is missing. Add the field.")
    name = check_name(record, fields["video"])
    record = Record(fields, file, f"video {name!r}", on_remark)
    if len(_CLEAN_ALONE & fields.keys()) > len(_RAW_ALONE & fields.keys()):
        return _clean_annotation(record)
    return _raw_annotation(record, name, source, split)


def annotation_to_dict(annotation: VideoAnnotation) -> dict[str, Any]:
    """The clean form of an annotation: plain dicts, lists, texts and numbers, the parts beside their summary."""

    def flat(entry: dict[str, Any]) -> dict[str, Any]:
        parts = entry.pop("parts") or dict.fromkeys(_PARTS)
        return {**entry, **parts}

    record = flat(asdict(annotation))
    record["labels"] = list(record["labels"])
    record["event_frames"] = record["event_frames"] and [list(pair) for pair in record["event_frames"]]
    record["events"] = [{**flat(event), "clips": list(event["clips"])} for event in record["events"]]
    return record


def annotation_from_dict(fields: dict[str, Any], file: str = "annotation") -> VideoAnnotation:
    """Read the clean form, for example a row of the exported `annotations` table.

    Args:
        fields (`dict`): As `annotation_to_dict` gives it.
        file (`str`, *optional*, defaults to `"annotation"`): What errors call the place it comes from.

    Raises:
        `AnnotationError`: If a field is missing or of the wrong type.
    """
    return _clean_annotation(Record(fields, file, f"video {fields.get('video')!r}"))


# ---------------------------------------------------------------------------------------------------------------------
# Instructions.

_ROW_NAMES = ("id", "type", "task", "video")
_CLEAN_ROW = ("id", "level", "task", "video", "question", "answer", "turn")
_TURN = {"from", "value"}
_CLEAN_ROW_ALONE, _RAW_ROW_ALONE = {"level", "question", "turn"}, {"type", "prompt", "anwser"}
# What stands for the pictures in files made for other trainers, in front of a question or behind it.
_PICTURES = r"(?:(?:Frame-?\d+:\s*)?<(?:video|image)>)"
_PLACEHOLDERS = re.compile(rf"\A(?:\s*{_PICTURES}\s*)+|(?:\s*{_PICTURES})+\s*\Z")


def _segment_path(record: Record, level: str) -> str:
    path = record.text("video", record.fields["video"])
    expected = (
        f"{{source}}/{level}s/{{split}}/{{name}}{ {'clip': '_E0C0', 'event': '_E0', 'video': ''}[level] }.mp4, a path "
        "inside the video folder"
    )
    pieces = path.split("/")
    if "\\" in path or "\0" in path or len(pieces) != 4 or any(piece in ("", ".", "..") for piece in pieces):
        raise record.fail("video", path, expected)
    pure = PurePosixPath(path)
    if pure.suffix.lower() not in VIDEO_SUFFIXES:
        raise record.fail("video", path, expected)
    if pieces[1] != f"{level}s" or pieces[2] not in SPLITS or not SEGMENT_NAME[level].fullmatch(pure.stem):
        raise record.fail("video", path, expected)
    return path


def _identity(record: Record) -> str:
    value = record.fields["id"]
    if isinstance(value, bool) or not isinstance(value, int | str) or value == "":
        raise record.fail("id", value, "a whole number or a text")
    return record.text("id", str(value))


def _question(record: Record, field: str, value: Any) -> str:
    """A question without the placeholders of its pictures: where they go, the model's own prompt says."""
    return record.text(field, _PLACEHOLDERS.sub("", value) if isinstance(value, str) else value)


def _raw_instruction(record: Record) -> Instruction:
    answer_name = "answer" if "answer" in record.fields and "anwser" not in record.fields else "anwser"
    record.check_names((*_ROW_NAMES, "prompt", answer_name))
    level = record.one_of("type", record.fields["type"], LEVELS)
    task = record.one_of("task", record.fields["task"], TASKS[:1] if level == "clip" else SUMMARY_TASKS)
    question = _question(record, "prompt", record.fields["prompt"])
    answer = record.text(answer_name, record.fields[answer_name])
    return Instruction(_identity(record), level, task, _segment_path(record, level), question, answer)


def _conversation(record: Record) -> list[Instruction]:
    record.check_names(("id", "type", "video", "conversations"), ("task",))
    level = record.one_of("type", record.fields["type"], LEVELS)
    tasks = TASKS[:1] if level == "clip" else SUMMARY_TASKS
    turns = record.list_of("conversations", record.fields["conversations"])
    if (task := record.fields.get("task")) is not None:  # of one row, whose turns are all of it
        tasks = (record.one_of("task", task, tasks),) * max(1, len(turns) // 2)
    if not turns or len(turns) % 2 or len(turns) > 2 * len(tasks):
        raise record.fail(
            "conversations", f"{len(turns)} turns", f"question and answer in turn, for {' then '.join(tasks)}"
        )
    texts = []
    for i, turn in enumerate(turns):
        speaker = "gpt" if i % 2 else "human"
        inner = record.within(f"conversations[{i}]", turn)
        inner.check_names(_TURN)
        inner.one_of("from", inner.fields["from"], (speaker,))
        texts.append((inner.text if i % 2 else partial(_question, inner))("value", inner.fields["value"]))
    identity, path = _identity(record), _segment_path(record, level)
    pairs = zip(tasks, texts[::2], texts[1::2])
    return [Instruction(identity, level, task, path, *pair, turn) for turn, (task, *pair) in enumerate(pairs)]


def _clean_instruction(record: Record) -> Instruction:
    record.check_names(_CLEAN_ROW)
    fields = record.fields
    level = record.one_of("level", fields["level"], LEVELS)
    task = record.one_of("task", fields["task"], TASKS[:1] if level == "clip" else SUMMARY_TASKS)
    question, answer = _question(record, "question", fields["question"]), record.text("answer", fields["answer"])
    turn = record.whole("turn", fields["turn"], 0)
    return Instruction(_identity(record), level, task, _segment_path(record, level), question, answer, turn)


def instructions_from_json(fields: Any, file: str, subject: str, on_remark: OnRemark = ignore) -> list[Instruction]:
    """Read one instruction row in any of its forms; a conversation gives one instruction a turn.

    The tasks of a conversation are those of its level in order, or the one that its row names. `<video>` and `<image>`
    in front of a question go.

    Args:
        fields (`dict`): The JSON object.
        file (`str`): The file it comes from, for errors.
        subject (`str`): Its place in the file, for errors.
        on_remark (`Callable`, *optional*): Called with each `Remark`, such as of a field that is not known.

    Raises:
        `AnnotationError`: If a field is missing or of the wrong type, or if the path leaves the video folder.
    """
    if not isinstance(fields, dict):
        raise AnnotationError(f"{file}: {subject}: got {type(fields).__name__}, expected an object for one row.")
    if "id" in fields:
        subject = f"{subject}, id {fields['id']!r}"
    if isinstance(fields.get("video"), str):
        subject = f"{subject}, video {fields['video']!r}"
    record = Record(fields, file, subject, on_remark, is_row=True)
    if "conversations" in fields:
        return _conversation(record)
    if len(_CLEAN_ROW_ALONE & fields.keys()) > len(_RAW_ROW_ALONE & fields.keys()):
        return [_clean_instruction(record)]
    return [_raw_instruction(record)]


def instruction_to_dict(instruction: Instruction) -> dict[str, Any]:
    """The clean form of an instruction row."""
    return asdict(instruction)


def instruction_from_dict(fields: dict[str, Any], file: str = "instruction") -> Instruction:
    """Read the clean form out of a row, for example of an exported table, whose further columns are left aside.

    Args:
        fields (`dict`): Has at least the fields of `Instruction`.
        file (`str`, *optional*, defaults to `"instruction"`): What errors call the place it comes from.

    Raises:
        `AnnotationError`: If a field is missing or of the wrong type.
    """
    kept = {name: fields[name] for name in _CLEAN_ROW if name in fields}
    return _clean_instruction(Record(kept, file, f"row {fields.get('id')!r}"))
