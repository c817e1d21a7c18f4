"""What videos the arguments of a command name."""

import glob
import os
from collections.abc import Iterable
from typing import NamedTuple

from ..base.names import address_problem
from ..base.scan import VIDEO_SUFFIXES, scan_folder


class FoundVideos(NamedTuple):
    """What the arguments of a command name.

    Args:
        videos (`list[str]`): Paths, in order, each file once.
        problems (`list[str]`): One line for each argument that names no video, and each folder that cannot be read.
        notes (`list[str]`): One line for each folder of which files were left out.
    """

    videos: list[str]
    problems: list[str]
    notes: list[str]


def find_videos(arguments: Iterable[str]) -> FoundVideos:
    """Video files that the arguments name. Folders are searched through; a file that is named itself, or matches a
    pattern, is taken whatever its suffix."""
    found = FoundVideos([], [], [])
    for argument in arguments:
        if problem := address_problem(argument):
            found.problems.append(f"{argument}: {problem}")
            continue
        matches = [argument]
        if not os.path.exists(argument) and glob.has_magic(argument):
            matches = sorted(glob.glob(argument, recursive=True))
            if not matches:
                found.problems.append(f"{argument}: no file matches this pattern")
        for match in matches:
            if os.path.isdir(match):
                _search(match, found)
            else:
                found.videos.append(match)
    once = {os.path.realpath(video): video for video in reversed(found.videos)}
    if again := len(found.videos) - len(once):
        found.notes.append(f"{again} of the files are named or linked to more than once; each is analysed once")
    return found._replace(videos=list(once.values())[::-1])


def _search(folder: str, found: FoundVideos) -> None:
    """Add the videos of a folder, and what is to be said of the rest of it."""
    scan = scan_folder(folder)
    found.videos.extend(scan.files)
    found.problems.extend(f"{place}: {problem}" for place, problem in scan.problems.items())
    said = scan.summary()
    if not scan.files and not scan.problems:
        suffixes = ", ".join(sorted(VIDEO_SUFFIXES))
        found.problems.append(f"{folder}: no videos in this folder ({said or 'it is empty'}); expected {suffixes}")
    elif said:
        found.notes.append(f"{folder}: {said}")
