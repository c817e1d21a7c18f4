"""Writes what was found in one video as files: numbers, a picture, a page, a table and subtitles."""

import os
import urllib.parse
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from .. import __version__
from ..analysis_holmes_vau import Analysis
from ..base.files import write_whole
from .events import build_table, list_events
from .frames import shown_frames, thumbnail
from .page import build_page
from .picture import draw_timeline
from .subtitles import build_srt, build_vtt


# What `write_report` calls each file.
FILES = {
    "analysis": "analysis.json",
    "timeline": "timeline.png",
    "table": "events.csv",
    "vtt": "events.vtt",
    "srt": "events.srt",
    "thumbnail": "thumbnail.jpg",
    "report": "report.html",  # last: where it is, the others are
}


def write_report(
    analysis: dict[str, Any],
    frames: np.ndarray,
    output_dir: str | os.PathLike,
    shown_path: str | None = None,
    read: Callable[[Sequence[int]], Iterable[np.ndarray]] | None = None,
) -> dict[str, Path]:
    """Write the files of one analysed video: `FILES`.

    Nothing is written unless all could be made, and each file appears whole: a reader never sees half of one.

    Args:
        analysis (`dict[str, Any]`):
            What `analyze_video` returns. Times are in seconds and frame indices count from the start of the file, also
            when only `segment_s` of it was analysed; `scores` are probabilities in [0, 1], one per entry of
            `dense_frame_indices` (ascending), or none of a video that was not scored. `warning` (`str`), when there,
            is shown as a banner in picture and page, and so is a `verdict` in which scores and answer contradict each
            other. Where `video` is a file, the page plays it from there, by a path that is relative to the page's.
        frames (`np.ndarray` of shape `(num_sampled, height, width, 3)` and dtype `uint8`):
            The chosen frames in RGB as the camera saw them, one per entry of `sampled_times_s`.
        output_dir (`str` or `os.PathLike`):
            Folder to write into; created when missing. Files of the same names are replaced.
        shown_path (`str`, *optional*):
            What the page calls the video's file; defaults to `video` of the analysis. Of an absolute path it shows the
            name alone.
        read (`Callable`, *optional*):
            Reads frames of the video by their ascending numbers, as `frames` of an opened video does: for a picture of
            each event and clip in which none was chosen.

    Returns:
        `dict[str, Path]`: The paths of the files, by the names in `FILES`.

    Raises:
        ImportError: If matplotlib is missing.
        ValueError: If a field is missing, or lengths, shapes or value ranges do not fit together.
        NotADirectoryError: If `output_dir` is a file.
    """
    folder = Path(output_dir)
    if folder.exists() and not folder.is_dir():
        raise NotADirectoryError(f"`output_dir` must be a folder, but {folder} is a file. Choose another name.")
    analysis = Analysis.of(analysis)
    _check(analysis, frames)
    events = list_events(analysis)
    spans = [(clip["start_s"], clip["end_s"]) for event in events for clip in event.clips]
    spans += [(event.start_s, event.end_s) for event in events if event.said and not event.clips]
    shown = {**analysis, "video": shown_path or analysis["video"]}
    contents = {
        "analysis": _encode(analysis.to_json()),
        "timeline": draw_timeline(analysis, frames),
        "table": _encode(build_table(events)),
        "vtt": _encode(build_vtt(events)),
        "srt": _encode(build_srt(events)),
        "thumbnail": thumbnail(analysis, frames),
    }
    made = f"{datetime.now().astimezone():%Y-%m-%d %H:%M %Z}, holmes-vau {__version__}"
    pictures = shown_frames(analysis, frames, spans, read)
    contents["report"] = _encode(build_page(shown, events, pictures, link_to(analysis.video, folder), made))
    folder.mkdir(parents=True, exist_ok=True)
    return {name: write_whole(folder / file, contents[name]) for name, file in FILES.items()}


def link_to(video: str, folder: Path) -> str | None:
    """The address of a video for a page in a folder; `None` if the video is no file, or on another drive."""
    try:
        if not os.path.isfile(video):
            return None
        path = Path(os.path.relpath(video, folder)).as_posix()
    except ValueError:  # a name that no file can have; drives of Windows
        return None
    return urllib.parse.quote(os.fsencode(f"./{path}"))


def _check(analysis: Analysis, frames: np.ndarray) -> None:
    if not isinstance(frames, np.ndarray) or frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[-1] != 3:
        got = f"{frames.dtype} {frames.shape}" if isinstance(frames, np.ndarray) else type(frames).__name__
        raise ValueError(f"`frames` must be a uint8 array of shape (num_sampled, height, width, 3), got {got}.")
    if 0 in frames.shape:
        raise ValueError(f"`frames` must hold at least one frame and one pixel, got shape {frames.shape}.")
    if len(analysis.sampled_times_s) != len(frames):
        raise ValueError(
            f"`sampled_times_s` must have one entry per frame ({len(frames)}), got {len(analysis.sampled_times_s)}."
        )
    scores = np.asarray(analysis.scores, dtype=np.float64)
    if not len(scores) and analysis.verdict["scores"] is not None:
        raise ValueError("Expected one score per dense frame and at least one, got none.")
    if not ((scores >= 0) & (scores <= 1)).all():  # also refuses NaN
        raise ValueError(f"`scores` must be probabilities in [0, 1], got {scores.min()} to {scores.max()}.")
    if not analysis.fps > 0:
        raise ValueError(f"`fps` must be positive, got {analysis['fps']}.")


def _encode(text: str) -> bytes:
    # Names that are not UTF-8 reach Python as lone surrogates: only an escape can carry them (JSON reads it back).
    return text.encode("utf-8", errors="backslashreplace")
