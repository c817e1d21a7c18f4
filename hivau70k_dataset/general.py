"""General questions about videos, with short answers that can be counted right or wrong.

They are no part of HIVAU-70k: they measure whether a model still sees and answers what has nothing to do with
anomalies (the paper's Figure 6 asks that of tuned models). `general/{source}_{split}.jsonl` has a line a question:

    {"id": "...", "level": "moment", "video": "miniature/videos/test/X.mp4", "start": 1.2, "end": 2.0, "kind": "count",
     "question": "How many people are there?", "answer": "Two people.", "key": "two", "options": ["one", "two", ...]}
"""

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from modeling_holmes_vau.base.files import write_whole

from .schema import SPLITS, AnnotationError


FOLDER = "general"
GENERAL_LEVELS = ("moment", "clip", "video", "cut")
TEXTS = ("id", "level", "video", "kind", "question", "answer", "key")


@dataclass(frozen=True)
class GeneralQuestion:
    """One question about a span of a video.

    Args:
        id (`str`): Its own.
        level (`str`): "moment" (a few frames, in which the answer stays the same), "clip", "video", or "cut" (a clip
            that begins a little later and ends a little sooner).
        video (`str`): Path of the whole video in the layout of the release, `{source}/videos/{split}/{name}.mp4`.
        start_s (`float`), end_s (`float`): What it is about, in seconds.
        kind (`str`): What is asked for, as "count" or "place".
        question (`str`), answer (`str`): In words.
        key (`str`), options (`tuple[str, ...]`): What the answer names, and all that it might name instead; both empty
            where no answer can be counted, as of a description.
    """

    id: str
    level: str
    video: str
    start_s: float
    end_s: float
    kind: str
    question: str
    answer: str
    key: str = ""
    options: tuple[str, ...] = ()

    @property
    def source(self) -> str:
        """Where the video comes from."""
        return self.video.split("/", 1)[0]

    @property
    def split(self) -> str:
        """ "train", "validation" or "test"."""
        return self.video.split("/")[2]

    @property
    def name(self) -> str:
        """The name of the video."""
        return PurePosixPath(self.video).stem

    @property
    def whole_path(self) -> str:
        """The path of the whole video, as other entries have it."""
        return self.video

    @property
    def span(self) -> str:
        """Tells its span of its video from any other."""
        return f"{self.video}#{self.start_s}-{self.end_s}"


def general_file(folder: str | os.PathLike, source: str, split: str) -> Path:
    """Where the general questions of a split lie."""
    return Path(folder) / FOLDER / f"{source}_{split}.jsonl"


def write_general(path: str | os.PathLike, questions: Iterable[GeneralQuestion]) -> None:
    """Write questions, one JSON object a line; the file appears whole or not at all."""
    lines = []
    for row in questions:
        entry = {"id": row.id, "level": row.level, "video": row.video, "start": row.start_s, "end": row.end_s}
        entry |= {name: getattr(row, name) for name in ("kind", "question", "answer", "key")}
        lines.append(json.dumps({**entry, "options": list(row.options)}, ensure_ascii=False) + "\n")
    write_whole(Path(path), "".join(lines))


def read_general(place: str | os.PathLike, split: str | None = None) -> list[GeneralQuestion]:
    """General questions, in order.

    Args:
        place (`str` or `os.PathLike`): A file, or a folder of annotations; one without such questions has none.
        split (`str`, *optional*): Of this split alone.

    Raises:
        [`AnnotationError`]: If a line is none, naming file, line and field.
    """
    root = Path(place)
    files = [root] if root.is_file() else sorted((root / FOLDER).glob("*.jsonl"))
    rows = []
    for file in files:
        with open(file, encoding="utf-8") as lines:
            rows += [_question(line, f"{file}, line {number}") for number, line in enumerate(lines, 1)]
    return [row for row in rows if split in (None, row.split)]


def _question(line: str, subject: str) -> GeneralQuestion:
    """A line of a file."""

    def wrong(field: str, got: Any, expected: str) -> AnnotationError:
        return AnnotationError(f"{subject}: {field} is {got!r}, expected {expected}.")

    try:
        entry = json.loads(line)
    except ValueError:
        entry = line.strip()[:80]
    if not isinstance(entry, dict):
        raise wrong("the line", entry, "a JSON object with " + ", ".join((*TEXTS, "start", "end", "options")))
    for field in TEXTS:
        if not isinstance(entry.get(field), str) or not (entry[field].strip() or field == "key"):
            raise wrong(field, entry.get(field), "a text")
    if entry["level"] not in GENERAL_LEVELS:
        raise wrong("level", entry["level"], f"one of {', '.join(GENERAL_LEVELS)}")
    pieces = entry["video"].split("/")
    if len(pieces) != 4 or pieces[1] != "videos" or pieces[2] not in SPLITS:
        raise wrong("video", entry["video"], "{source}/videos/{split}/{name}.mp4")
    start_s, end_s = entry.get("start"), entry.get("end")
    if not all(isinstance(value, (int, float)) for value in (start_s, end_s)) or not 0 <= start_s < end_s:
        raise wrong("start and end", (start_s, end_s), "two times in seconds, one behind the other")
    options = entry.get("options", [])
    if not isinstance(options, list) or not all(isinstance(option, str) and option for option in options):
        raise wrong("options", options, "a list of texts")
    if options and entry["key"] not in options:
        raise wrong("key", entry["key"], f"one of the options, {', '.join(options)}")
    texts = (entry[field] for field in ("kind", "question", "answer", "key"))
    return GeneralQuestion(
        entry["id"], entry["level"], entry["video"], float(start_s), float(end_s), *texts, tuple(options)
    )
