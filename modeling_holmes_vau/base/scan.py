"""Which files under a folder are videos: one rule for analysis, training, evaluation and the checks of a dataset."""

import os
from collections import Counter, deque
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path


# Files that people have and the reader opens by their path; a test makes one of each.
VIDEO_SUFFIXES = frozenset(
    """
    .mp4 .m4v .mov .qt .f4v .3gp .3g2 .mkv .mk3d .webm .avi .divx .xvid .flv
    .mpg .mpeg .mpe .m1v .m2v .mpv .vob .ts .m2ts .mts .m2t .trp .tod
    .wmv .asf .wtv .dvr-ms .ogv .ogm .rm .rmvb .mxf .dv .gif .mjpg .mjpeg .y4m .nut .ivf .av1 .obu
    .h264 .264 .hevc .h265 .265
    """.split()
)
# Made by macOS, Synology and Windows beside what people put there; names in small letters.
SYSTEM_FOLDERS = frozenset({"__macosx", "@eadir", "#recycle", "$recycle.bin", "system volume information"})
SHOWN_KINDS = 8


@dataclass
class Scan:
    """What a folder holds.

    Args:
        files (`dict[str, str]`): Path -> real path of the wanted files, in the order of the paths. Two paths may lead
            to one file.
        left_out (`Counter[str]`): How many other files there are of each kind: a suffix, "hidden", "broken link", ...
        skipped (`Counter[str]`): How many folders were not searched, by kind.
        problems (`dict[str, str]`): The folders that cannot be searched, and why.
    """

    files: dict[str, str] = field(default_factory=dict)
    left_out: Counter[str] = field(default_factory=Counter)
    skipped: Counter[str] = field(default_factory=Counter)
    problems: dict[str, str] = field(default_factory=dict)

    def summary(self) -> str:
        """What was left out, in one line; empty if nothing was.

        >>> Scan(left_out=Counter({".txt": 3, "hidden": 9})).summary()
        '12 files left out: 9 hidden, 3 .txt'
        """
        kinds = ((self.left_out, "file", "left out"), (self.skipped, "folder", "not searched"))
        return "; ".join(_counted(counts, noun, fate) for counts, noun, fate in kinds if counts)


def _counted(counts: Counter[str], noun: str, fate: str) -> str:
    ordered = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    shown = [f"{count} {kind}" for kind, count in ordered[:SHOWN_KINDS]]
    if rest := sum(count for _, count in ordered[SHOWN_KINDS:]):
        shown.append(f"{rest} of other kinds")
    total = counts.total()
    return f"{total} {noun}{'s' if total > 1 else ''} {fate}: {', '.join(shown)}"


def scan_folder(root: str | os.PathLike, suffixes: Collection[str] = VIDEO_SUFFIXES) -> Scan:
    """Search a folder and all below it for files with one of the suffixes, whatever the case of their letters.

    Links are followed. Each folder is searched once: where a link leads to a folder that is there itself, under its
    own path. Hidden files and folders and those of the system are left out; `root` itself may be hidden.

    Args:
        root (`str` or `os.PathLike`): The folder.
        suffixes (`Collection[str]`, *optional*, defaults to `VIDEO_SUFFIXES`): In small letters, with the dot.
    """
    search = _Search(root, suffixes)
    while search.waiting or search.linked:
        search.open_next()
    search.scan.files = dict(sorted(search.scan.files.items()))
    return search.scan


class _Search:
    """The state of `scan_folder`: what is found so far, and the folders to search, links to them last."""

    def __init__(self, root: str | os.PathLike, suffixes: Collection[str]):
        self.real_root, self.suffixes = os.path.realpath(root), suffixes
        self.scan, self.seen = Scan(), set()
        self.waiting, self.linked = deque([str(Path(root))]), deque()

    def open_next(self) -> None:
        """Search the next folder, unless it was."""
        folder = (self.waiting or self.linked).popleft()
        try:
            status = os.stat(folder)
            if (status.st_dev, status.st_ino) in self.seen:
                return
            self.seen.add((status.st_dev, status.st_ino))
            with os.scandir(folder) as entries:
                entries = list(entries)
        except OSError as error:
            self.scan.problems[folder] = f"cannot be searched: {error.strerror}"
            return
        real = os.path.realpath(folder)
        for entry in sorted(entries, key=lambda entry: entry.name):
            self.take(entry, real)

    def take(self, entry: os.DirEntry, real_folder: str) -> None:
        """Sort one entry into what is wanted, what is searched later and what is left out."""
        suffix, is_hidden = os.path.splitext(entry.name)[1].lower(), entry.name.startswith(".")
        try:
            is_link, is_folder, is_file = entry.is_symlink(), entry.is_dir(), entry.is_file()
        except OSError:  # a link that leads to itself, or to where nobody may look
            is_link, is_folder, is_file = True, False, False
        if is_folder:
            self.take_folder(entry, is_link, is_hidden)
        elif is_hidden:
            self.scan.left_out["hidden"] += 1
        elif not is_file:
            self.scan.left_out["broken link" if is_link else "no regular file"] += 1
        elif suffix not in self.suffixes:
            self.scan.left_out[_kind(suffix)] += 1
        else:
            real = os.path.realpath(entry.path) if is_link else os.path.join(real_folder, entry.name)
            self.scan.files[str(Path(entry.path))] = real

    def take_folder(self, entry: os.DirEntry, is_link: bool, is_hidden: bool) -> None:
        """Search a folder later, or never."""
        if is_hidden:
            self.scan.skipped["hidden"] += 1
        elif entry.name.lower() in SYSTEM_FOLDERS:
            self.scan.skipped["of the system"] += 1
        elif is_link and self.is_above(os.path.realpath(entry.path)):
            self.scan.skipped["above the one searched"] += 1
        else:
            (self.linked if is_link else self.waiting).append(entry.path)

    def is_above(self, real: str) -> bool:
        """Whether a folder is the root or holds it."""
        return os.path.commonpath([real, self.real_root]) == real


def _kind(suffix: str) -> str:
    """What a suffix is counted as; long or odd ones are parts of names."""
    if not suffix.strip("."):
        return "without suffix"
    return suffix if suffix[1:].isalnum() and len(suffix) <= 10 else "of an odd suffix"
