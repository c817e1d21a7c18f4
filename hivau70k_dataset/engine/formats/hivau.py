"""The raw form of the release: a dict keyed by video; its paper writes one object a video (Figure A).

`records.py` reads both. Neither has a field for source and split: the name of the file tells them,
`<source>_database_<split>.json`.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from modeling_holmes_vau.base.files import write_whole

from ...reading import origin_of_name, read_annotation_file, splits_of_name
from ...schema import AnnotationError, Event, Instruction, SummaryParts, VideoAnnotation
from .common import PARTS


Spelling = Literal["released", "paper"]
# Of each spelling: captions of clips, summaries of events.
SPELLINGS = {"released": ("clips_caption", "events_summary"), "paper": ("clip_captions", "event_summary")}


def write(annotations: Sequence[VideoAnnotation], output: Path, spelling: Spelling = "released") -> None:
    """Write annotations of one source and split.

    Args:
        annotations (`Sequence[VideoAnnotation]`): In the order of the file.
        output (`Path`): The file; its name has to tell source and split.
        spelling (`str`, *optional*, defaults to `"released"`): "released", a dict keyed by video, or "paper", a list
            of objects as in Figure A. The summaries in parts, which the figure lacks, are written in both.

    Raises:
        `AnnotationError`: If they are of several sources or splits, or of others than the name tells.
        `ValueError`: If there is no such spelling.
    """
    if spelling not in SPELLINGS:
        raise ValueError(f"got the spelling {spelling!r}, expected one of {', '.join(SPELLINGS)}.")
    origins = sorted({(entry.source, entry.split) for entry in annotations})
    if len(origins) > 1:
        found = ", ".join(map("/".join, origins))
        raise AnnotationError(f"{output}: got annotations of {found}. Write a file for each source and split.")
    for source, split in origins:
        if origin_of_name(output) != (source, split) or splits_of_name(output) != {split}:
            raise AnnotationError(
                f"{output}: its name has to tell the source and the split of the annotations, {source} and {split}. "
                f"Name it {source}_database_{split}.json."
            )
    records = [_record(entry, *SPELLINGS[spelling]) for entry in annotations]
    if spelling == "paper":
        whole = [{"video": entry.video, **record} for entry, record in zip(annotations, records)]
    else:
        whole = {entry.video: record for entry, record in zip(annotations, records)}
    write_whole(output, json.dumps(whole, ensure_ascii=False, indent=4) + "\n")  # as the release is indented


def read(path: Path, source: str | None = None, split: str | None = None) -> list[VideoAnnotation]:
    """Read annotations in the forms that `records.annotation_from_json` reads.

    Args:
        path (`Path`): The file.
        source (`str`, *optional*), split (`str`, *optional*): Where neither the file nor its name tells.

    Raises:
        `AnnotationError`: If one is broken, naming file, video and field, or instruction rows stand there.
    """
    entries = read_annotation_file(path, source=source, split=split)
    for entry in entries:
        if isinstance(entry, Instruction):
            raise AnnotationError(f"{path}: id {entry.id!r}: got an instruction row, expected annotations of videos.")
    return entries


def _record(annotation: VideoAnnotation, captions: str, summaries: str) -> dict[str, Any]:
    events = annotation.events
    record = {
        "n_frames": annotation.n_frames,
        "fps": annotation.fps,
        "label": list(annotation.labels),
        "events": [[event.start_s, event.end_s] for event in events],
        "clips": [[[clip.start_s, clip.end_s] for clip in event.clips] for event in events],
        captions: [[clip.caption for clip in event.clips] for event in events],
        summaries: [event.summary for event in events],
        "video_summary": annotation.summary,
    }
    if any(event.parts for event in events):
        record["events_summary_split"] = [_parts(event) for event in events]
    if annotation.parts is not None:
        record["video_summary_split"] = _parts(annotation)
    if annotation.event_frames is not None:
        record["events(frame)"] = [list(pair) for pair in annotation.event_frames]
    return record


def _parts(entry: Event | VideoAnnotation) -> dict[str, str] | None:
    """The parts of a summary that there are; a normal segment has no analysis."""
    parts: SummaryParts | None = entry.parts
    if parts is None:
        return None
    given = zip(PARTS, (parts.judgement, parts.description, parts.analysis))
    return {name: text for name, text in given if text is not None}
