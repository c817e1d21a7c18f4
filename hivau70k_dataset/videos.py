"""Where the video of an annotation lies under a folder of videos, in the release's layout or in any other."""

import os
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from .schema import Instruction, VideoAnnotation


VIDEO_SUFFIXES = (".mp4", ".avi", ".mkv", ".mov", ".webm")


@dataclass(frozen=True)
class FoundVideo:
    """A file to read for a segment.

    Args:
        path (`str`): The file.
        is_cut (`bool`): Whether the file holds the segment alone, as `cut` writes it; else the whole video.
    """

    path: str
    is_cut: bool


class VideoFolder:
    """The videos under a folder.

    A segment is looked for as a file of its own at its path in the release's layout, then in its whole video: at that
    video's path in the release's layout, else wherever under the folder a file has the video's name.

    Args:
        root (`str` or `os.PathLike`): The folder.

    Raises:
        `FileNotFoundError`: If there is no such folder.
    """

    def __init__(self, root: str | os.PathLike):
        self.root = Path(root)
        if not self.root.is_dir():
            raise FileNotFoundError(
                f"The video folder {str(root)!r} does not exist. Pass the folder that holds the videos."
            )
        self._files = defaultdict(list)
        for folder, _, names in sorted(os.walk(self.root, followlinks=True)):
            for name in sorted(names):
                stem, suffix = os.path.splitext(name)
                if suffix.lower() in VIDEO_SUFFIXES and not name.startswith("."):
                    self._files[stem].append(os.path.join(folder, name))

    def find(self, entry: VideoAnnotation | Instruction) -> FoundVideo | None:
        """The file of an annotated video or of the segment an instruction asks about; `None` when it is missing.

        Raises:
            `ValueError`: If several files have the video's name and none is at its path in the release's layout.
        """
        if isinstance(entry, Instruction) and (segment := self.root / entry.video).is_file():
            return FoundVideo(str(segment), entry.level != "video")
        if (path := self.root / entry.whole_path).is_file():
            return FoundVideo(str(path), False)
        name = path.stem
        files = self._files.get(name, [])
        if len(files) > 1:
            raise ValueError(
                f"Several files under {str(self.root)!r} are named {name!r}: {', '.join(files[:3])}. "
                f"Keep one, or put the right one at {entry.whole_path}."
            )
        return FoundVideo(files[0], False) if files else None
