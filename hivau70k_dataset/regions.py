"""What shows where in single frames: boxes and the words for what is in them, of videos that a program drew.

A vision tower that is trained from scratch learns from them what InternVL's has learned from many pictures:
`regions/{source}_{split}.jsonl` has a line a video.
"""

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from modeling_holmes_vau.base.files import write_whole

from .schema import AnnotationError


FOLDER = "regions"


@dataclass(frozen=True)
class Region:
    """A part of a frame.

    Args:
        box (`tuple[float, float, float, float]`): Left, top, right and bottom, in shares of the frame.
        labels (`tuple[str, ...]`): The words for what shows there; none where too little of it shows to tell.
    """

    box: tuple[float, float, float, float]
    labels: tuple[str, ...]


@dataclass(frozen=True)
class VideoRegions:
    """The regions of some frames of one video.

    Args:
        video (`str`): Path of the whole video in the layout of the release.
        frames (`dict[int, tuple[Region, ...]]`): By frame number.
    """

    video: str
    frames: dict[int, tuple[Region, ...]]


def regions_file(folder: str | os.PathLike, source: str, split: str) -> Path:
    """Where the regions of a split lie."""
    return Path(folder) / FOLDER / f"{source}_{split}.jsonl"


def write_regions(path: str | os.PathLike, videos: Iterable[VideoRegions]) -> None:
    """Write regions, one JSON object a video; the file appears whole or not at all."""
    lines = []
    for video in videos:
        frames = {
            number: [[*region.box, list(region.labels)] for region in found] for number, found in video.frames.items()
        }
        lines.append(json.dumps({"video": video.video, "frames": frames}, separators=(",", ":")) + "\n")
    write_whole(Path(path), "".join(lines))


def read_regions(path: str | os.PathLike) -> dict[str, VideoRegions]:
    """The regions of a file by the path of their video.

    Raises:
        [`AnnotationError`]: if a line is none of those that `write_regions` writes.
    """
    videos = {}
    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            try:
                entry = json.loads(line)
                frames = {
                    int(frame): tuple(
                        Region((left, top, right, bottom), tuple(labels)) for left, top, right, bottom, labels in found
                    )
                    for frame, found in entry["frames"].items()
                }
                videos[entry["video"]] = VideoRegions(entry["video"], frames)
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise AnnotationError(
                    f'{path}, line {number}: expected {{"video": path, "frames": {{number: [[left, top, right, '
                    f"bottom, [word, ...]], ...]}}}}, got {line.strip()[:80]!r} ({error}). Write it again."
                ) from None
    return videos
