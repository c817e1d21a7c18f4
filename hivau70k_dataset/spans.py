"""Annotations of your own from a table of spans: enough to train the anomaly scorer and to measure it."""

import math
import os
from dataclasses import dataclass, replace

from modeling_holmes_vau.base.clock import parse_clock
from modeling_holmes_vau.base.progress import Progress
from modeling_holmes_vau.spans_holmes_vau import is_past_end_s
from modeling_holmes_vau.video_reader_holmes_vau import open_video

from .schema import AnnotationError, Event, VideoAnnotation
from .tables import Row, read_table, video_pieces
from .videos import VideoFolder


COLUMNS = ("video", "start_s", "end_s", "label")


@dataclass
class _TableVideo:
    """What a table says of one video file: the longest way it writes the path, and each span with its place."""

    name: str
    pieces: tuple[str, ...]
    spans: list[tuple[str, Event]]
    is_normal: bool = False


def annotations_from_csv(
    path: str | os.PathLike,
    videos: str | os.PathLike,
    source: str = "mine",
    split: str = "train",
    progress: bool = False,
) -> list[VideoAnnotation]:
    """Read a table with the columns `video,start_s,end_s,label`, one abnormal span a row.

    A normal video has one row whose other fields are empty. A row with a label and no times is one span from start to
    end: it says what the video is and not where, for training with labels of whole videos. Frame counts and rates are
    read from the videos. What a table may look like: see `read_table`.

    Args:
        path (`str` or `os.PathLike`): The table, with a header. Times are in seconds, or `m:ss.s` or `h:mm:ss.s`.
        videos (`str` or `os.PathLike`): Folder of the videos; `video` is the name of a file anywhere below it, with or
            without its ending, and with its folders where several files have that name. Such a video is then named
            after them too: `cam1--base` is `cam1/base.mp4`.
        source (`str`, *optional*, defaults to `"mine"`): What to call the collection.
        split (`str`, *optional*, defaults to `"train"`): "train", "validation" or "test".
        progress (`bool`, *optional*, defaults to `False`): Show a progress bar while videos are opened.

    Returns:
        `list[VideoAnnotation]`: One a video, in the order of the table; spans in order of time, cut at its end.

    Raises:
        `AnnotationError`: If the table lacks a column, a row is broken, a video is missing, or a span is past its end.
        `VideoReadError`: If a video can't be read.
    """
    found = _read_videos(path, VideoFolder(videos), source, split)
    with Progress(found.items(), "videos", unit="video", disable=not progress) as shown:
        return [_annotate(file, video, source, split) for file, video in shown]


def _read_videos(path: str | os.PathLike, folder: VideoFolder, source: str, split: str) -> dict[str, _TableVideo]:
    """What the table says of each video, by its file."""
    videos: dict[str, _TableVideo] = {}
    files: dict[tuple[str, ...], tuple[str, str]] = {}  # of each way a video is written: its file and name
    for row in read_table(path, COLUMNS):
        pieces = video_pieces(row.cells["video"])
        if not pieces:
            raise AnnotationError(
                f"{row.place}: expected a video and three further fields, got {[*row.cells.values()]}."
            )
        if pieces not in files:
            files[pieces] = _find(row, pieces, folder, source, split)
        file, name = files[pieces]
        video = videos.setdefault(file, _TableVideo(name, pieces, []))
        if len(pieces) > 1 < len(video.pieces) and not _agree(pieces, video.pieces):
            first, second = "/".join(video.pieces), "/".join(pieces)
            raise AnnotationError(f"{row.place}: {first} and {second} are both {file} here. Mend one of the paths.")
        video.pieces = max(video.pieces, pieces, key=len)
        if (event := _read_event(row)) is None:
            video.is_normal = True
        else:
            video.spans.append((row.place, event))
        if video.is_normal and video.spans:
            raise AnnotationError(f"{row.place}: video {name!r} stands there as normal and with a span. Keep one.")
    if not videos:
        raise AnnotationError(f"{path}: no rows. Expected one a span, and one a normal video.")
    return videos


def _agree(left: tuple[str, ...], right: tuple[str, ...]) -> bool:
    """Whether one path is the end of the other."""
    count = min(len(left), len(right))
    return left[-count:] == right[-count:]


def _find(row: Row, pieces: tuple[str, ...], folder: VideoFolder, source: str, split: str) -> tuple[str, str]:
    """The file of a video, and a name by which the folder finds it."""
    place = f"{row.place}: video {row.cells['video']!r}"
    hint = " In the table, its folder may stand before its name." if len(pieces) == 1 else ""
    if (found := find_video(place, pieces, folder, source, split, hint)) is None:
        raise AnnotationError(f"{place} is not under {folder.root}. Put it there, or mend the name.")
    return found


def find_video(
    place: str, pieces: tuple[str, ...], folder: VideoFolder, source: str, split: str, hint: str = ""
) -> tuple[str, str] | None:
    """The file of a video, and a name by which the folder finds it; `None` if it is not there.

    Args:
        place (`str`): Where it is written and how, for messages.
        pieces (`tuple[str, ...]`): Its folders, as far as they are known, and its name; see `video_pieces`.
        folder (`VideoFolder`), source (`str`), split (`str`): Where it is looked for, and of what.
        hint (`str`, *optional*): What to do where several videos are meant, beside what the message says.

    Raises:
        `AnnotationError`: If several videos are meant.
    """
    name = pieces[-1]
    wanted = VideoAnnotation(name, source, split, 1, 1.0, (), (), "no description")
    try:
        if len(pieces) == 1:
            file = found.path if (found := folder.find(wanted)) else None
        elif file := folder.find_by_folders(pieces):
            name = folder.name_with_folders(file)
            found = folder.find(replace(wanted, video=name))
            if found is None or found.path != file:
                raise ValueError(f"{name!r} does not tell it from other videos. Rename it")
    except ValueError as error:
        raise AnnotationError(f"{place}: {str(error).rstrip('.')}.{hint}") from None
    return None if file is None else (file, name)


def _read_event(row: Row) -> Event | None:
    """The span of a row, without end where it is the whole video; `None` if the video is normal."""
    start, end, label = (row.cells[column] for column in COLUMNS[1:])
    if not (start or end or label):
        return None
    if label and not (start or end):
        return Event(0.0, math.inf, (), label)
    texts = (text.replace(",", ".") if row.has_decimal_commas else text for text in (start, end))
    start_s, end_s = map(parse_clock, texts)
    if start_s is None or end_s is None:
        raise AnnotationError(
            f"{row.place}: got {start!r} and {end!r}, expected start and end in seconds, as 62.5 or 1:02.5."
        )
    if not start_s < end_s or not label:
        raise AnnotationError(f"{row.place}: got {start}, {end}, {label!r}, expected 0 <= start < end and a label.")
    return Event(start_s, end_s, (), label)


def _annotate(file: str, video: _TableVideo, source: str, split: str) -> VideoAnnotation:
    with open_video(file) as reader:
        n_frames, fps, duration_s = reader.num_frames, reader.fps, reader.duration_s
    events = []
    for place, event in video.spans:
        end_s = min(event.end_s, duration_s)
        if event.end_s < math.inf and is_past_end_s((event.start_s, event.end_s), duration_s, fps):
            raise AnnotationError(
                f"{place}: video {'/'.join(video.pieces)!r}: the span {event.start_s:g} to {event.end_s:g} s is past "
                f"its end, {duration_s:.3f} s. Mend the times."
            )
        events.append(replace(event, end_s=end_s))
    events.sort(key=lambda event: event.start_s)
    labels = tuple(dict.fromkeys(event.summary for event in events))
    return VideoAnnotation(video.name, source, split, n_frames, fps, labels, tuple(events), "no description")
