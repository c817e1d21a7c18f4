"""Annotation files in the clean form: JSON lines, in the layout of the release."""

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from modeling_holmes_vau.base.files import write_whole

from .reading import AnnotationFiles
from .records import annotation_to_dict, instruction_to_dict
from .schema import Instruction, VideoAnnotation


def write_annotations(path: str | os.PathLike, annotations: Iterable[VideoAnnotation]) -> None:
    """Write annotations in the clean form, one JSON object a line; the file appears whole or not at all."""
    _write_lines(path, map(annotation_to_dict, annotations))


def write_instructions(path: str | os.PathLike, instructions: Iterable[Instruction]) -> None:
    """Write instruction rows in the clean form, one JSON object a line; the file appears whole or not at all."""
    _write_lines(path, map(instruction_to_dict, instructions))


def write_annotation_files(folder: str | os.PathLike, files: AnnotationFiles) -> list[Path]:
    """Write everything in the clean form and the release's layout, one file a source and split.

    Returns:
        `list[Path]`: The files written.

    Raises:
        `ValueError`: If the name of a source holds folders.
    """
    for source in {entry.source for entry in files.annotations}:
        if source in ("", "..") or source != Path(source).name:
            raise ValueError(f"{source!r} is no name of a source: expected one without folders, such as 'mine'.")
    written = []
    for name, entries, write in (
        ("raw_annotations", files.annotations, write_annotations),
        ("instruction", files.instructions, write_instructions),
    ):
        groups: dict[tuple[str, str], list] = {}
        for entry in entries:
            groups.setdefault((entry.source, entry.split), []).append(entry)
        for (source, split), group in groups.items():
            path = Path(folder) / name / f"{source}_{split}.jsonl"
            path.parent.mkdir(parents=True, exist_ok=True)
            write(path, group)
            written.append(path)
    return written


def _write_lines(path: str | os.PathLike, records: Iterable[dict[str, Any]]) -> None:
    write_whole(Path(path), "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records))
