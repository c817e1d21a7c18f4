"""Where the video of an annotation lies under a folder of videos, in the release's layout or in any other."""

import hashlib
import os
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from modeling_holmes_vau.base.scan import scan_folder
from modeling_holmes_vau.spans_holmes_vau import Segment

from .schema import LEVELS, SPLITS, Instruction, VideoAnnotation


FOLDER_MARK = "--"  # between folders and name in the name of a video that has its folders in it


@dataclass(frozen=True)
class FoundVideo:
    """A file to read for a segment.

    Args:
        path (`str`): The file, absolute.
        is_cut (`bool`): Whether the file holds the segment alone, as `cut` writes it; else the whole video.
    """

    path: str
    is_cut: bool


class VideoFolder:
    """The videos under a folder.

    A segment is looked for as a file of its own at its path in the release's layout, then in its whole video: at that
    video's path in the release's layout, else wherever under the folder a file has the video's name, else at the path
    that the name tells (`cam1--base`: a `base` in a folder `cam1`). A file that the layout gives to another source or
    split is never taken.

    Args:
        root (`str` or `os.PathLike`): The folder.

    Attributes:
        scan (`Scan`): What the search of the folder found and left out.

    Raises:
        `FileNotFoundError`: If there is no such folder.
    """

    def __init__(self, root: str | os.PathLike):
        self.root = Path(root).absolute()
        if not self.root.is_dir():
            raise FileNotFoundError(
                f"The video folder {str(root)!r} does not exist. Pass the folder that holds the videos."
            )
        self._files: dict[str, dict[str, str]] = defaultdict(dict)  # name -> real path -> path, each file once
        self._in_folders: dict[str, dict[str, str]] = defaultdict(dict)  # the same by names with folders
        self.scan = scan_folder(self.root)
        for path, real in self.scan.files.items():
            self._files[Path(path).stem].setdefault(real, path)
            for name in self._names_with_folders(Path(path)):
                self._in_folders[name].setdefault(real, path)
        self._taken: dict[str, str] = {}  # file -> the video it was found for by its name

    def find(self, entry: VideoAnnotation | Instruction) -> FoundVideo | None:
        """The file of an annotated video or of the segment an instruction asks about; `None` when it is missing.

        Raises:
            `ValueError`: If several files have the video's name and none is at its path in the release's layout, or if
                one file has the name of several videos.
        """
        if isinstance(entry, Instruction) and (segment := self.root / entry.video).is_file():
            return FoundVideo(str(segment), entry.level != "video")
        return self.find_whole(entry)

    def find_whole(self, entry: VideoAnnotation | Instruction) -> FoundVideo | None:
        """The file of the whole video, as `find` looks for it."""
        whole = self.root / entry.whole_path
        if whole.is_file():
            return FoundVideo(str(whole), False)
        named = self._files.get(whole.stem) or self._in_folders.get(whole.stem, {})
        files = [path for path in named.values() if not self._is_of_another(path, entry)]
        if len(files) > 1:
            raise ValueError(
                f"Several files under {str(self.root)!r} are named {whole.stem!r}: {', '.join(files[:3])}. "
                f"Keep one, or put the right one at {entry.whole_path}."
            )
        if not files:
            return None
        if (other := self._taken.setdefault(files[0], entry.whole_path)) != entry.whole_path:
            raise ValueError(
                f"{files[0]} has the name of two annotated videos, {other} and {entry.whole_path}. "
                "Put it at the path of the one it is."
            )
        return FoundVideo(files[0], False)

    def find_segment(self, entry: Instruction, span_s: tuple[float, float] | None) -> Segment:
        """Where the segment of an instruction is read: in its whole video by its span, else in a file of its own.

        Args:
            entry (`Instruction`): Of any level.
            span_s (`tuple[float, float]`, *optional*): Where the annotation has it in its video, if it does.

        Raises:
            `ValueError`: One line, if it is nowhere.
        """
        found = self.find_whole(entry) if span_s is not None else None
        found = found or self.find(entry)
        if found is None:
            raise ValueError(f"no such video under {self.root}")
        if entry.level == "video" or found.is_cut:
            return Segment(found.path)
        if span_s is None:
            raise ValueError("the annotations do not tell its span, and it is not there as a file of its own")
        return Segment(found.path, (float(span_s[0]), float(span_s[1])))

    @property
    def notes(self) -> list[str]:
        """One line for each folder that cannot be read, and one for what else the search left out, if anything."""
        found = [*self.scan.problems.items(), (self.root, self.scan.summary())]
        return [f"{place}: {said}" for place, said in found if said]

    def find_by_folders(self, pieces: Sequence[str]) -> str | None:
        """The file at the end of whose path these folders and this name stand, or whose path below the folder is the
        end of them; `None` when there is none.

        Raises:
            `ValueError`: If there are several.
        """
        files = [*self._in_folders.get(FOLDER_MARK.join(pieces), {}).values()]
        for start in range(1, len(pieces)):
            if not files:
                rest = self._in_folders.get(FOLDER_MARK.join(pieces[start:]), {})
                files = [path for path in rest.values() if _pieces_below(self.root, Path(path)) == (*pieces[start:],)]
        if len(files) > 1:
            raise ValueError(f"several files are meant: {', '.join(files[:3])}. Write more of its folders")
        return files[0] if files else None

    def name_with_folders(self, file: str) -> str:
        """The shortest name by which a file of this folder is found: its own, or that with its last folders.

        Raises:
            `ValueError`: If another file has the same path but for its ending.
        """
        for name in self._names_with_folders(Path(file)):
            if [*self._in_folders[name].values()] == [file]:
                return name
        raise ValueError(f"another file has the path of {file} but for its ending. Keep one")

    def _names_with_folders(self, path: Path) -> list[str]:
        """`base`, `cam1--base`, and so on up to the folder of the videos itself."""
        pieces = (self.root.name, *_pieces_below(self.root, path))
        return [FOLDER_MARK.join(pieces[start:]) for start in reversed(range(len(pieces)))]

    def digest(self) -> str:
        """A digest of where which files are, as a cache key."""
        paths = sorted(path for files in self._files.values() for path in files.values())
        return hashlib.sha256("\0".join(paths).encode("utf-8", "surrogateescape")).hexdigest()[:16]

    def _is_of_another(self, path: str, entry: VideoAnnotation | Instruction) -> bool:
        """Whether the layout of the release gives a file to another source, split or level."""
        pieces = Path(path).relative_to(self.root).parts
        in_layout = len(pieces) == 4 and pieces[1] in {f"{level}s" for level in LEVELS} and pieces[2] in SPLITS
        return in_layout and pieces[:3] != (entry.source, "videos", entry.split)


def _pieces_below(root: Path, path: Path) -> tuple[str, ...]:
    """Folders and name, without ending, of a file below a folder."""
    return (*path.relative_to(root).parent.parts, path.stem)
