"""What the web page takes: how large, how long, and from which folder."""

import os
from dataclasses import dataclass, field
from pathlib import Path

from ..base.clock import clock
from ..base.commands import first_line
from ..base.scan import scan_folder
from ..video_reader_holmes_vau import VideoReader, open_video


@dataclass(frozen=True)
class Limits:
    """
    What is refused before any frame is decoded.

    Args:
        max_mb (`float`): Largest upload, in megabytes (10^6 bytes).
        max_minutes (`float`): Longest video.
    """

    max_mb: float = 500.0
    max_minutes: float = 60.0


class TooMuch(ValueError):
    """A video that the page does not take; its message is for whoever sent it."""


def open_within(path: str, limits: Limits, backend: str = "auto") -> VideoReader:
    """
    Open a video that keeps to the limits. Its headers are read, and no picture.

    Raises:
        [`TooMuch`]: one line without folders, if it is too large, too long, or no video.
    """
    name, size_mb = Path(path).name, os.path.getsize(path) / 1e6
    if size_mb > limits.max_mb:
        raise TooMuch(
            f"{name} has {size_mb:.0f} MB, this page takes up to {limits.max_mb:g} MB. Cut it, or make it smaller."
        )
    try:
        reader = open_video(path, backend)
    except (ValueError, OSError) as error:
        raise TooMuch(f"{first_line(error)}. Choose a video file.".replace(path, name).replace("..", ".")) from error
    if reader.duration_s > 60 * limits.max_minutes:
        raise TooMuch(
            f"{name} lasts {clock(reader.duration_s, 0)}, this page takes up to {limits.max_minutes:g} minutes. "
            "Cut it, or use holmes-vau analyze, which takes any length."
        )
    return reader


@dataclass(frozen=True)
class Shelf:
    """
    Videos of a folder that visitors may choose by their names.

    Args:
        paths (`dict[str, str]`): Real path by name, which is the path below the folder.
    """

    paths: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, folder: str | os.PathLike | None) -> "Shelf":
        """The videos below a folder; none of no folder.

        Raises:
            `FileNotFoundError`: if there is no such folder.
        """
        if folder is None:
            return cls()
        root = Path(folder).absolute()
        if not root.is_dir():
            raise FileNotFoundError(f"--videos {folder}: no such folder; pass one with videos, or leave it out")
        found = scan_folder(root).files
        return cls({Path(path).relative_to(root).as_posix(): os.path.realpath(path) for path in found})
