"""Frames as small pictures inside a page."""

import base64
import io
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from PIL import Image


FRAME_SIZE = (320, 240)  # pixels, at most
THUMBNAIL_SIZE = (192, 144)
JPEG_QUALITY = 78


class ShownFrame(NamedTuple):
    """A frame of the page: its time, its number among the chosen ones (`None` if it is not one), a JPEG file."""

    time_s: float
    number: int | None
    jpeg: bytes


def shown_frames(
    analysis: dict[str, Any],
    frames: np.ndarray,
    spans: list[tuple[float, float]],
    read: Callable[[Sequence[int]], Iterable[np.ndarray]] | None,
) -> list[ShownFrame]:
    """The chosen frames, and of each span without one the scored frame with the highest score; in time order.

    Args:
        analysis (`dict[str, Any]`), frames (`np.ndarray`), read (`Callable`, *optional*): As for `write_report`.
            Without `read` there are the chosen frames alone.
        spans (`list[tuple[float, float]]`): Start and end in seconds.
    """
    shown = [
        ShownFrame(time_s, number, to_jpeg(frame, FRAME_SIZE))
        for number, (time_s, frame) in enumerate(zip(analysis["sampled_times_s"], frames, strict=True), start=1)
    ]
    if read is not None:
        missing = strongest_frames(analysis, spans)
        for (_, time_s), frame in zip(missing, read([index for index, _ in missing]), strict=True):
            shown.append(ShownFrame(time_s, None, to_jpeg(frame, FRAME_SIZE)))
    return sorted(shown, key=lambda frame: frame.time_s)


def strongest_frames(analysis: dict[str, Any], spans: list[tuple[float, float]]) -> list[tuple[int, float]]:
    """Number and time of the scored frame with the highest score in each span that holds no chosen frame."""
    times_s, chosen_s = np.asarray(analysis["dense_times_s"]), np.asarray(analysis["sampled_times_s"])
    found = set()
    for start_s, end_s in spans:
        inside = np.flatnonzero((start_s <= times_s) & (times_s < end_s))
        if len(inside) and not ((start_s <= chosen_s) & (chosen_s < end_s)).any():
            best = inside[np.asarray(analysis["scores"])[inside].argmax()]
            found.add((analysis["dense_frame_indices"][best], float(times_s[best])))
    return sorted(found)


def thumbnail(analysis: dict[str, Any], frames: np.ndarray) -> bytes:
    """The chosen frame with the highest score, as a JPEG file: the picture of a video in a list of many; without
    scores the one in the middle."""
    if not analysis["scores"]:
        return to_jpeg(frames[len(frames) // 2], THUMBNAIL_SIZE)
    scores = np.interp(analysis["sampled_times_s"], analysis["dense_times_s"], analysis["scores"])
    return to_jpeg(frames[scores.argmax()], THUMBNAIL_SIZE)


def to_jpeg(frame: np.ndarray, size: tuple[int, int]) -> bytes:
    """An RGB frame `(height, width, 3)` as a JPEG file of at most `size`, width and height."""
    picture = Image.fromarray(frame)
    picture.thumbnail(size, Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    picture.save(buffer, format="JPEG", quality=JPEG_QUALITY, optimize=True)
    return buffer.getvalue()


def data_url(jpeg: bytes) -> str:
    """A JPEG file as the address of a picture inside a page."""
    return "data:image/jpeg;base64," + base64.b64encode(jpeg).decode("ascii")
