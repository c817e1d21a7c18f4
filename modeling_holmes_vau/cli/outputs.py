"""Where the report of each video goes, and whether it is there already."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from ..base.files import PROBLEMS
from ..base.names import folded, safe_name


if TYPE_CHECKING:
    from ..report.index import Entry

REPORT_FILES = (
    "analysis.json",
    "timeline.png",
    "events.csv",
    "events.vtt",
    "events.srt",
    "thumbnail.jpg",
    "report.html",
)
OWN_FILES = (
    "index.html",
    "events.csv",
    "events.parquet",
    "missing.txt",
    PROBLEMS,
)  # of all reports together, beside their folders


def report_folders(videos: list[str], output: str, options: dict) -> dict[str, Path]:
    """A folder of its own in `output` for each video and these options, named after the file.

    Of names that are equal but for the case of their letters, in this call or an earlier one, the later gets a number,
    and so does a video that was analysed with other options (another question, another span): what is there stays. A
    video with a report of the same options keeps its folder; what is somebody else's is left alone.
    """
    there = {folded(name): name for name in sorted(os.listdir(output))} if os.path.isdir(output) else {}
    folders, taken = {}, {folded(name) for name in OWN_FILES}
    for video in videos:
        stem, number = safe_name(Path(video).stem), 1
        while True:
            name = stem if number == 1 else f"{stem}-{number}"
            if not os.path.lexists(Path(output, name)):  # where case makes a difference, another may be there
                name = there.get(folded(name), name)
            report = earlier_analysis(Path(output, name))
            is_free = report == {} and folded(name) not in taken
            if is_free or (report and [report["video"], report.get("options")] == [os.path.abspath(video), options]):
                break
            number += 1
        taken.add(folded(name))
        folders[video] = Path(output, name)
    return folders


def earlier_analysis(folder: Path) -> dict | None:
    """The analysis that `folder`, of a video's report, holds; empty if a report can be written there without loss;
    `None` if what is there is somebody else's."""
    if not os.path.lexists(folder):
        return {}
    if folder.is_dir() and not any(os.path.lexists(folder / name) for name in REPORT_FILES):
        return {}
    try:
        analysis = json.loads((folder / "analysis.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    fields = analysis if isinstance(analysis, dict) else {}
    is_ours = isinstance(fields.get("video"), str) and isinstance(fields.get("scores"), list) and "answer" in fields
    return analysis if is_ours else None


def is_done(folder: Path, options: dict) -> bool:
    """Whether a video's report is there, made with the same options; its page is written last."""
    return (folder / "report.html").is_file() and (earlier_analysis(folder) or {}).get("options") == options


def read_reports(folders: Iterable[Path], output: Path) -> list[Entry]:
    """The reports that are whole among `folders`, each with its analysis; of another version, or begun, they are left
    out. Their names are as seen from `output`."""
    from ..analysis_holmes_vau import Analysis
    from ..report.events import list_events
    from ..report.index import Entry

    entries = []
    for folder in folders:
        if not (folder / "report.html").is_file() or not (analysis := earlier_analysis(folder)):
            continue
        try:
            analysis = Analysis.of(analysis)
            max(analysis.scores, default=0.0), list_events(analysis)
        except (ValueError, TypeError, KeyError, AttributeError):
            continue
        picture = folder / "thumbnail.jpg"
        name = Path(os.path.relpath(folder, output)).as_posix()
        entries.append(Entry(name, analysis, picture.read_bytes() if picture.is_file() else None))
    return entries


def update_index(output: Path) -> Path | None:
    """Write the page about all videos that have a report in `output`, and the tables of their events; `None` where it
    is less than two.

    Raises:
        `ValueError`: if there is something else of one of the names.
        `OSError`: if one can't be written.
    """
    entries = read_reports(sorted(output.iterdir()), output)
    return write_overview(output, entries) if len(entries) > 1 else None


def write_overview(output: Path, entries: list[Entry]) -> Path:
    """The page about many reports, and the tables of their events."""
    from ..report.index import write_index
    from ..report.table import write_tables

    index = write_index(output, entries)
    write_tables(output, [(entry.folder, entry.analysis) for entry in entries])
    return index
