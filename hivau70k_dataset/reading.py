"""Annotation files: found in a folder and read into the schema.

The layout is that of the release:

    raw_annotations/<source>_database_<split>.json      hierarchical annotations
    instruction/merge_instruction_<split>_final.jsonl   instruction rows

Any `.json` or `.jsonl` name works whose parts tell the split, and for annotations the source; a clean file tells both
itself. Files may also lie in the folder itself: what a file holds is told by its fields. A folder that `holmes-vau
analyze --output` wrote is read too: what the model says of each video, a proposal that nobody has checked.
"""

import hashlib
import json
import logging
import os
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .fields import OnRemark, RepeatedName
from .records import annotation_from_json, instructions_from_json
from .schema import SPLITS, AnnotationError, Instruction, Remark, SplitError, VideoAnnotation


logger = logging.getLogger(__name__)

FOLDERS = ("raw_annotations", "instruction")
BESIDE = ("general", "regions")  # what other readers read
OUR_REPORTS = ("report.json", "changes.json", "stats.json")  # written by commands, perhaps into the same folder
SOURCES = {"ucf": "ucf-crime", "xd": "xd-violence"}  # as the released file names begin -> as the released paths do
_FILE_NAME = re.compile(r"(?:(?P<source>.+?)_)?(?:database_)?(?P<split>train|validation|val|test)(?:_.*)?")
_LONG_NAMES = {"val": "validation"}
_SPLIT_NAME = re.compile(r"(?<![^_])(?:train|validation|val|test)(?![^_])")
ANALYSIS = "analysis.json"  # in the folder of each video of `holmes-vau analyze --output`
_ANALYSIS_FIELDS = {"scores", "verdict", "dense_times_s"}
_ROW_FIELDS = {"conversations", "type", "task", "level", "prompt", "question", "answer", "anwser"}
_VIDEO_FIELDS = {"events", "clips", "fps", "n_frames", "label", "labels", "summary", "video_summary"}
_OBJECT_FIELDS = _ROW_FIELDS | {"events", "clips", "fps", "n_frames"}  # of one object, not of a dict keyed by video

OnError = Callable[[AnnotationError], None]


def _raise(error: AnnotationError) -> None:
    raise error


@dataclass(frozen=True)
class AnnotationFiles:
    """What a folder holds.

    Args:
        annotations (`tuple[VideoAnnotation, ...]`): Hierarchical annotations, in the order of the files.
        instructions (`tuple[Instruction, ...]`): Instruction rows, in the order of the files.
    """

    annotations: tuple[VideoAnnotation, ...]
    instructions: tuple[Instruction, ...]

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits present, in the order train, validation, test."""
        found = {entry.split for entry in (*self.annotations, *self.instructions)}
        return tuple(split for split in SPLITS if split in found)


def find_annotation_files(folder: str | os.PathLike) -> list[Path]:
    """The annotation files of a folder in the release's layout (or of the folder itself), or the one file given.

    Raises:
        `AnnotationError`: If there is none.
    """
    root = Path(folder)
    if root.is_file():
        return [root]
    if not root.is_dir():
        raise AnnotationError(f"{root} does not exist. Pass the folder that holds {' and '.join(FOLDERS)}/.")
    places = [root / name for name in FOLDERS if (root / name).is_dir()] or [root]
    files = [path for place in places for path in _json_files(place)]
    if root not in places and (beside := _json_files(root)):
        raise AnnotationError(
            f"{beside[0]} lies beside {places[0].name}/ and would not be read. Move it in there, or away."
        )
    files = files or sorted(root.glob(f"*/{ANALYSIS}"))
    if not files:
        raise AnnotationError(
            f"{root} holds no annotation files (.json, .jsonl), in {' or '.join(FOLDERS)}/ or itself."
        )
    return files


def _json_files(folder: Path) -> list[Path]:
    files = (path for path in sorted(folder.iterdir()) if path.suffix in (".json", ".jsonl"))
    return [path for path in files if not path.name.startswith(".") and path.name not in OUR_REPORTS]


def read_annotation_files(folder: str | os.PathLike, on_error: OnError | None = None) -> AnnotationFiles:
    """Read every annotation file of a folder, whatever forms they are in.

    Args:
        folder (`str` or `os.PathLike`): See `find_annotation_files`.
        on_error (`Callable`, *optional*): Called with each `AnnotationError`; what is broken is left out and reading
            goes on. By default the first error is raised.

    Raises:
        `AnnotationError`: If a file can't be read, naming file, video or row, and field.
    """
    annotations, instructions, seen = [], [], {}
    for path in find_annotation_files(folder):
        for entry in read_annotation_file(path, on_error):
            if isinstance(entry, Instruction):
                instructions.append(entry)
                continue
            try:
                _check_new(entry, path, seen)
                annotations.append(entry)
            except AnnotationError as error:
                (on_error or _raise)(error)
    if not annotations and not instructions and on_error is None:
        raise AnnotationError(f"{folder} holds annotation files, but nothing stands in them.")
    return AnnotationFiles(tuple(annotations), tuple(instructions))


def read_annotation_file(
    path: str | os.PathLike,
    on_error: OnError | None = None,
    source: str | None = None,
    split: str | None = None,
    on_remark: OnRemark | None = None,
) -> list[VideoAnnotation | Instruction]:
    """Read one file of annotations or of instruction rows.

    Args:
        path (`str` or `os.PathLike`): A `.json` or `.jsonl` file.
        on_error (`Callable`, *optional*): As in `read_annotation_files`.
        source (`str`, *optional*): The benchmark of the videos, where neither the file's name nor its form tell.
        split (`str`, *optional*): The split, likewise.
        on_remark (`Callable`, *optional*): Called with each `Remark` on what is odd and read all the same; by default
            they are counted and logged.

    Raises:
        `AnnotationError`: If the file can't be read; `SplitError`, one too, if an entry is of another split than the
            file's name tells.
    """
    path, on_error = Path(path), on_error or _raise
    splits = set() if split else splits_of_name(path)
    if len(splits) > 1:
        on_error(AnnotationError(f"{path}: its name tells two splits, {' and '.join(sorted(splits))}. Rename it."))
        return []
    named_source, named_split = origin_of_name(path)
    source, split = source or named_source, split or named_split
    odd: list[Remark] = []
    entries: list[VideoAnnotation | Instruction] = []
    seen: dict[tuple, str] = {}
    for subject, fields in _load(path, on_error):
        try:
            if _is_row(fields):
                found = instructions_from_json(fields, str(path), subject, on_remark or odd.append)
            else:
                found = [annotation_from_json(fields, str(path), subject, source, split, on_remark or odd.append)]
            _check_split(found[0], splits, path, subject)
            if isinstance(found[0], VideoAnnotation):
                _check_new(found[0], path, seen)
            entries += found
        except AnnotationError as error:
            on_error(error)
    for (field, message), count in Counter((remark.field, remark.message) for remark in odd).items():
        logger.warning(f"{path}: `{field}` ({count} entries): {message}")
    return entries


def splits_of_name(path: Path) -> set[str]:
    """The splits that are part of a file's name."""
    return {_LONG_NAMES.get(name, name) for name in _SPLIT_NAME.findall(path.stem)}


def origin_of_name(path: Path) -> tuple[str | None, str | None]:
    """Source and split of the annotations of a file, where its name tells.

    Example:

    >>> origin_of_name(Path("ucf_database_test.json")), origin_of_name(Path("annotations.json"))
    (('ucf-crime', 'test'), (None, None))
    """
    if (named := _FILE_NAME.fullmatch(path.stem)) is None:
        return None, None
    source = named["source"] if named["source"] != "merge_instruction" else None
    return SOURCES.get(source, source), _LONG_NAMES.get(named["split"], named["split"])


def _is_row(fields: Any) -> bool:
    """Whether an object is an instruction row, by the fields it has; one that is not known may have any name."""
    if not isinstance(fields, dict):
        return False
    return "conversations" in fields or len(_ROW_FIELDS & fields.keys()) > len(_VIDEO_FIELDS & fields.keys())


def _check_split(entry: VideoAnnotation | Instruction, stated: set[str], path: Path, subject: str) -> None:
    """What a file's name calls held out must not be trained on because a path in it says so, nor the other way."""
    if stated - {entry.split}:
        raise SplitError(
            f"{path}: {subject}, video {entry.video!r}: is of the split {entry.split!r}, the file's name says "
            f"{''.join(stated)!r}. Rename the file, or mend the entry."
        )


def _check_new(annotation: VideoAnnotation, path: Path, seen: dict[tuple, str]) -> None:
    """Remember the file an annotation is in; a second one of the same video is an error."""
    key = (annotation.source, annotation.split, annotation.video)
    if (earlier := seen.get(key)) is not None:
        where = "stands there twice" if earlier == str(path) else f"is annotated in {earlier} too"
        raise AnnotationError(f"{path}: video {annotation.video!r} {where}. Keep one.")
    seen[key] = str(path)


def digest(folder: str | os.PathLike) -> str:
    """A digest of the content of a folder's annotation files, as a cache key; of what lies beside them too."""
    total = hashlib.sha256()
    beside = [path for name in BESIDE for path in sorted(Path(folder, name).glob("*.jsonl"))]
    for path in [*find_annotation_files(folder), *beside]:
        total.update(path.name.encode() + b"\0" + path.read_bytes())
    return total.hexdigest()[:16]


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    return fields if len(fields) == len(pairs) else RepeatedName(pairs)


def _read_text(path: Path) -> str:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise AnnotationError(
            f"{path}: not UTF-8 text ({error.reason} at byte {error.start}). Save it as UTF-8."
        ) from None
    except OSError as error:
        raise AnnotationError(f"{path}: can't be read: {error.strerror}.") from None
    if not text.strip():
        raise AnnotationError(f"{path}: the file is empty. Expected JSON or JSON lines.")
    return text


def read_json(path: Path) -> Any:
    """What a JSON file holds; an object in which a name stands twice is a `RepeatedName`.

    Raises:
        `AnnotationError`: If it can't be read or is no JSON.
    """
    try:
        return json.loads(_read_text(path), object_pairs_hook=_object)
    except json.JSONDecodeError as error:
        raise AnnotationError(
            f"{path}: not JSON: {error.msg} at line {error.lineno}. JSON lines end in .jsonl."
        ) from None
    except AnnotationError:
        raise
    except (RecursionError, ValueError) as error:  # nested too deep, or a number of thousands of digits
        raise AnnotationError(f"{path}: not JSON that can be read: {error}.") from None


def _load(path: Path, on_error: OnError) -> Iterator[tuple[str, Any]]:
    """The objects of a JSON file (one object, a list, a dict keyed by video) or of JSON lines, each with its place."""
    try:
        whole = _read_text(path) if path.suffix == ".jsonl" else read_json(path)
    except AnnotationError as error:
        on_error(error)
        return
    if path.suffix == ".jsonl":
        yield from _load_lines(path, whole, on_error)
        return
    if isinstance(whole, dict) and _ANALYSIS_FIELDS <= whole.keys():
        if "annotation" in whole:
            yield "`annotation`", whole["annotation"]
        else:
            hint = "Analyse the video again with --granularity video event clip."
            on_error(AnnotationError(f"{path}: an analysis without `annotation`. {hint}"))
    elif isinstance(whole, list):
        yield from ((f"entry {index}", entry) for index, entry in enumerate(whole))
    elif isinstance(whole, dict) and not _OBJECT_FIELDS & whole.keys():
        if isinstance(whole, RepeatedName):
            on_error(AnnotationError(f"{path}: video {whole.name!r} stands there twice. Keep one."))
            del whole[whole.name]
        for name, entry in whole.items():
            if isinstance(entry, dict) and entry.setdefault("video", name) != name:
                on_error(
                    AnnotationError(f"{path}: video {name!r}: `video`: got {entry['video']!r}, expected the same.")
                )
                continue
            yield f"video {name!r}", entry
    else:
        yield "the object", whole


def _load_lines(path: Path, text: str, on_error: OnError) -> Iterator[tuple[str, Any]]:
    for number, line in enumerate(text.split("\n"), start=1):  # not splitlines: texts may hold U+2028
        if not line.strip():
            continue
        try:
            yield f"line {number}", json.loads(line, object_pairs_hook=_object)
        except json.JSONDecodeError as error:
            hint = "Cut off while it was written?" if error.pos >= len(line.rstrip()) - 1 else "Mend the line."
            on_error(
                AnnotationError(f"{path}: line {number} is not JSON: {error.msg} at column {error.colno}. {hint}")
            )
        except (RecursionError, ValueError) as error:
            on_error(AnnotationError(f"{path}: line {number} is not JSON that can be read: {error}."))
