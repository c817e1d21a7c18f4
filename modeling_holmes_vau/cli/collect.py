"""`holmes-vau collect`: the reports of several runs or machines as one page and one table, and what is missing."""

import argparse
import os
import sys
from pathlib import Path

from ..base.commands import CommandError, output_folder
from ..base.files import few_of
from .inputs import find_videos
from .outputs import read_reports, write_overview
from .shares import name_within


def add_collect(parser: argparse.ArgumentParser) -> None:
    """Arguments of `holmes-vau collect`."""
    parser.add_argument("reports", nargs="+", metavar="DIR", help="output folders of `analyze`")
    parser.add_argument(
        "-o", "--output", metavar="DIR", help="where index.html, events.csv and events.parquet go (the first DIR)"
    )
    parser.add_argument(
        "--videos", nargs="+", metavar="VIDEO", help="what was to be analysed: says which of it has no report"
    )


def missing_videos(arguments: list[str], reported: set[str]) -> tuple[list[str], int, list[str]]:
    """
    The videos without a report, how many there are in all, and what could not be searched.

    A video is known by its path, or, as machines have folders at other places, by its path within the folder.
    """
    videos, problems, _ = find_videos(arguments)
    tails = {tuple(Path(path).parts) for path in reported}

    def is_reported(video: str) -> bool:
        name = tuple(Path(name_within(video, arguments)).parts)
        return os.path.abspath(video) in reported or any(path[-len(name) :] == name for path in tails)

    return [video for video in videos if not is_reported(video)], len(videos), problems


def run_collect(args: argparse.Namespace) -> int:
    """`holmes-vau collect`: 0 if nothing is missing."""
    for folder in args.reports:
        if not os.path.isdir(folder):
            raise CommandError(f"{folder}: no such folder; pass the output folders of `holmes-vau analyze`")
    output = output_folder(args.output or args.reports[0])
    folders = [below for folder in args.reports for below in sorted(Path(folder).iterdir()) if below.is_dir()]
    entries, again = [], 0
    seen: set[tuple[str, str]] = set()
    for entry in read_reports(folders, output):
        made = (entry.analysis["video"], repr(entry.analysis.get("options")))
        again += made in seen
        entries += [] if made in seen else [entry]
        seen.add(made)
    if not entries:
        raise CommandError(
            f"{' '.join(args.reports)}: no reports there; `holmes-vau analyze ... --output DIR` writes some"
        )
    index = write_overview(output, entries)
    events = sum(len(entry.analysis["events"]) for entry in entries)
    print(f"{len(entries)} reports, {events} events: {index}, {output / 'events.csv'}")
    if again:
        print(f"note: {again} reports of the same video and options are there more than once; each counts once")
    return tell_missing(args, {entry.analysis["video"] for entry in entries}, output) if args.videos else 0


def tell_missing(args: argparse.Namespace, reported: set[str], output: Path) -> int:
    """Name the videos without a report; the exit status."""
    missing, count, problems = missing_videos(args.videos, reported)
    for line in few_of([*problems, *(f"{video}: no report" for video in missing)], output, "missing.txt"):
        print(f"error: {line}", file=sys.stderr)
    print(f"{count - len(missing)} of {count} videos have a report")
    return 1 if missing or problems else 0
