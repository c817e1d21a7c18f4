"""Step 5: annotations in the package's schema, and instruction rows with the prompts of the paper (appendix A.3)."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from modeling_holmes_vau.base.files import whole_folder, write_whole

from ..instructions import build_instructions
from ..reading import AnnotationFiles
from ..schema import Clip, Event, Instruction, VideoAnnotation
from ..writing import write_annotation_files
from .decisions import ACCEPTED, EDITED
from .state import State, Told, clip_id, digest_of, event_id
from .work import WorkClip, WorkEvent, WorkVideo


REVIEWED = (ACCEPTED, EDITED)


@dataclass
class Instructed:
    """The annotations of a work folder, what is left out and why, and how many items there were of each status."""

    annotations: list[VideoAnnotation] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)


def annotate(state: State, unreviewed: bool = False) -> Instructed:
    """
    The annotations of a work folder. Items that were rejected stay out, and those that nobody has reviewed unless
    they are asked for: a clip alone, an event with its clips, a video with all that is in it.

    Args:
        state ([`State`]): The folder.
        unreviewed (`bool`, *optional*, defaults to `False`): Take what nobody has reviewed too.
    """
    done, collection = Instructed(), state.work.collection()

    def takes(item: str, seen: str, told: Told) -> bool:
        status, _ = state.status(item, seen)
        done.counts[status] = done.counts.get(status, 0) + 1
        if not told.is_there:
            done.left_out[item] = f"no text: {told.problem}"
        elif status not in REVIEWED and not unreviewed:
            done.left_out[item] = "not reviewed"
        return item not in done.left_out

    for video in state.videos():
        told = state.video_summary(video)
        events = [(event, state.event_summary(video, event)) for event in video.events]
        kept = [
            Event(event.start_s, event.end_s, _clips(state, video, event, takes), summary.text, summary.parts)
            for event, summary in events
            if takes(event_id(video.video, event), seen_of_event(video, event, summary), summary)
        ]
        if takes(video.video, seen_of_video(video, told), told):
            done.annotations.append(
                VideoAnnotation(
                    video.video,
                    collection.source,
                    collection.split,
                    video.n_frames,
                    video.fps,
                    video.labels,
                    tuple(kept),
                    told.text,
                    told.parts,
                )
            )
    return done


def _clips(state: State, video: WorkVideo, event: WorkEvent, takes) -> tuple[Clip, ...]:
    told = [(clip, state.caption(video, event, clip)) for clip in event.clips]
    return tuple(
        Clip(clip.start_s, clip.end_s, caption.text)
        for clip, caption in told
        if takes(clip_id(video.video, event, clip), seen_of_clip(clip, caption), caption)
    )


def seen_of_clip(clip: WorkClip, told: Told) -> str:
    """Digest of what a person sees of a clip."""
    return digest_of(clip.start_s, clip.end_s, told.text)


def seen_of_event(video: WorkVideo, event: WorkEvent, told: Told) -> str:
    """Digest of what a person sees of an event."""
    return digest_of(event.start_s, event.end_s, event.labels, _seen_text(told))


def seen_of_video(video: WorkVideo, told: Told) -> str:
    """Digest of what a person sees of a video."""
    return digest_of(video.labels, _seen_text(told))


def _seen_text(told: Told) -> list[str | None]:
    parts = told.parts
    return [told.text] if parts is None else [parts.judgement, parts.description, parts.analysis]


def write_annotations(
    state: State, output: Path, annotations: list[VideoAnnotation], seed: int = 0, conversations: bool = False
) -> list[Instruction]:
    """
    Write `raw_annotations/` and `instruction/` into a new folder.

    Args:
        state ([`State`]): Where the annotations are from.
        output (`Path`): Folder; new.
        annotations (`list[VideoAnnotation]`): What to write.
        seed (`int`, *optional*, defaults to 0): Chooses the prompts.
        conversations (`bool`, *optional*, defaults to `False`): One row a segment, with the turns of the paper's
            Figures B to D, in place of one row a question.

    Returns:
        `list[Instruction]`: The rows.
    """
    rows, collection = build_instructions(annotations, seed), state.work.collection()
    with whole_folder(output) as folder:
        if conversations:
            write_annotation_files(folder, AnnotationFiles(tuple(annotations), ()))
            lines = (json.dumps(line, ensure_ascii=False) + "\n" for line in conversation_rows(rows))
            (folder / "instruction").mkdir(exist_ok=True)
            write_whole(folder / "instruction" / f"{collection.source}_{collection.split}.jsonl", "".join(lines))
        else:
            write_annotation_files(folder, AnnotationFiles(tuple(annotations), tuple(rows)))
    return rows


def conversation_rows(rows: Iterable[Instruction]) -> list[dict]:
    """Instruction rows as the paper's Figures B to D print them: a segment, and its questions and answers in turns."""
    by_segment: dict[str, list[Instruction]] = {}
    for row in rows:
        by_segment.setdefault(row.video, []).append(row)
    found = []
    for video, turns in by_segment.items():
        said = [
            {"from": who, "value": text}
            for row in turns
            for who, text in (("human", row.question), ("gpt", row.answer))
        ]
        found.append({"id": Path(video).stem, "type": turns[0].level, "video": video, "conversations": said})
    return found
