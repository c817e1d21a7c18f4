"""The documents of the tasks: rows of the test split of a folder in the layout of the release.

`HIVAU70K_DIR` names the folder of `raw_annotations/` and `instruction/`, `HIVAU70K_VIDEOS` that of the videos (by
default `videos/` in the first, or the first itself). Nothing of them is part of this package.
"""

import os
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import datasets

from ..asked import Row, asked_rows
from ..instructions import instructions_of_split
from ..reading import AnnotationFiles, read_annotation_files
from ..videos import VideoFolder


FOLDER, VIDEOS = "HIVAU70K_DIR", "HIVAU70K_VIDEOS"
SPLIT = "test"


def folders() -> tuple[Path, Path]:
    """The folders of annotations and of videos, as the environment names them.

    Raises:
        `ValueError`: one line, if there are none.
    """
    if not (named := os.environ.get(FOLDER)):
        raise ValueError(f"{FOLDER} is not set: it names the folder that holds raw_annotations/ and instruction/")
    folder = Path(named).absolute()
    beside = folder / "videos"
    videos = os.environ.get(VIDEOS) or (beside if beside.is_dir() else folder)
    for name, path in ((FOLDER, folder), (VIDEOS, Path(videos))):
        if not path.is_dir():
            raise ValueError(f"{name}: {path} is no folder; set it to one")
    return folder, Path(videos).absolute()


@cache
def _read(folder: Path, videos: Path) -> tuple[AnnotationFiles, VideoFolder]:
    """Read once for all tasks."""
    return read_annotation_files(folder), VideoFolder(videos)


def read_documents(level: str, task: str) -> list[dict[str, Any]]:
    """The documents of a level and a task, in the order of the rows.

    Raises:
        `ValueError`: one line, if there are none, or videos are missing.
    """
    folder, videos = folders()
    files, found = _read(folder, videos)
    annotations = [entry for entry in files.annotations if entry.split == SPLIT]
    rows = asked_rows(instructions_of_split(files, SPLIT), annotations, found, (level,), (task,))
    if not rows:
        raise ValueError(f"{FOLDER}: {folder} has no {task} of the level {level} in the split {SPLIT}; leave it out")
    missing = [row for row in rows if row.segment is None]
    if missing:
        raise ValueError(
            f"{VIDEOS}: {len(missing)} of {len(rows)} rows of {level} and {task} have no video in {videos}, the first "
            f"is {missing[0].entry.video} ({missing[0].problem}); add the videos, or leave their rows out of {folder}"
        )
    return [document(row) for row in rows]


def document(row: Row) -> dict[str, Any]:
    """A row as lmms-eval keeps it; the names are those of a line of `eval/reasoning.py predict`, and where it lies."""
    entry, span_s = row.entry, row.segment.span_s or (None, None)
    fields = {"row": row.row, "id": entry.id, "level": entry.level, "task": entry.task, "video": entry.video}
    fields |= {"turn": entry.turn, "question": entry.question, "reference": entry.answer}
    return fields | {"path": row.segment.path, "start_s": span_s[0], "end_s": span_s[1]}


def visual(document: dict[str, Any]) -> list[str | dict[str, Any]]:
    """What a model is shown: a file, or a span of one in the form that lmms-eval has for it."""
    if document["start_s"] is None:
        return [document["path"]]
    span = {"video_start": document["start_s"], "video_end": document["end_s"]}
    return [{"type": "video", "path": document["path"], **span}]


def documents_of(level: str, task: str) -> Callable[[datasets.Dataset], datasets.Dataset]:
    """The function that lmms-eval calls with the table it has loaded, which the documents take the place of."""

    def process_docs(table: datasets.Dataset) -> datasets.Dataset:
        if task != "judgement" and not shutil.which("java"):  # now, not after all answers
            raise ValueError("no `java` on the PATH, which METEOR and PTB tokens need; install a Java runtime (8+)")
        return datasets.Dataset.from_list(read_documents(level, task), features=FEATURES)

    return process_docs


_text, _whole, _real = datasets.Value("string"), datasets.Value("int64"), datasets.Value("float64")
FEATURES = datasets.Features(
    {"row": _whole, "id": _text, "level": _text, "task": _text, "video": _text, "turn": _whole, "question": _text}
    | {"reference": _text, "path": _text, "start_s": _real, "end_s": _real}
)
clip_caption = documents_of("clip", "caption")
event_judgement, video_judgement = documents_of("event", "judgement"), documents_of("video", "judgement")
event_description, video_description = documents_of("event", "description"), documents_of("video", "description")
event_analysis, video_analysis = documents_of("event", "analysis"), documents_of("video", "analysis")
