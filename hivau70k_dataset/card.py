"""`card`: what `load_dataset` needs to read the instruction rows of an annotation folder as they are."""

import os
import tempfile
from pathlib import Path

import datasets
import yaml

from modeling_holmes_vau.files_holmes_vau import write_whole

from .reading import find_annotation_files, read_annotation_file
from .schema import SPLITS, AnnotationError, Instruction


TEXT = """\
# Instructions for video anomaly understanding

The rows of this folder in the form they were written in: `load_dataset` on the folder gives them by split. The levels
apart, the spans of the events, the annotations and the videos are in the folder that
`python -m hivau70k_dataset export` makes of this one.
"""


def write_card(folder: str | os.PathLike) -> tuple[Path, dict[str, int]]:
    """Write `README.md` into a folder of annotations, after which `load_dataset(folder)` gives its instruction rows.

    Without it `load_dataset` takes the hierarchical annotations for rows too and fails, or finds the videos alone.

    Args:
        folder (`str` or `os.PathLike`): In the layout of the release.

    Returns:
        `tuple[Path, dict[str, int]]`: The file, and the number of rows of each split.

    Raises:
        `AnnotationError`: If an annotation can't be read.
        `ValueError`: If there is a `README.md`, or the files are such that `load_dataset` can't read them as rows.
    """
    path = Path(folder, "README.md")
    if not path.parent.is_dir():
        raise ValueError(f"{folder} is no folder. Pass the one that holds the annotation files.")
    if os.path.lexists(path):
        raise ValueError(f"{path} is there already. Move it away first, or export to a folder of its own.")
    front = {"configs": [{"config_name": "instructions", "data_files": _row_files(path.parent)}]}
    write_whole(path, f"---\n{yaml.safe_dump(front, sort_keys=False, allow_unicode=True)}---\n\n{TEXT}")
    try:
        with tempfile.TemporaryDirectory() as cache:
            rows = datasets.load_dataset(str(path.parent), cache_dir=cache)
            return path, {split: len(rows[split]) for split in rows}
    except Exception as error:  # whatever its readers make of the files
        path.unlink()
        reason = str(error.__cause__ or error).splitlines()[0]
        raise ValueError(
            f"{folder} can't be read as rows ({reason}). Use `export`, which reads every form."
        ) from error


def _row_files(folder: Path) -> list[dict[str, str | list[str]]]:
    """The `data_files` of the instruction rows."""
    of_split: dict[str, list[str]] = {}
    for path in find_annotation_files(folder):
        splits = {entry.split for entry in read_annotation_file(path) if isinstance(entry, Instruction)}
        if len(splits) > 1:
            raise AnnotationError(f"{path}: holds rows of several splits, {', '.join(sorted(splits))}. Use `export`.")
        for split in splits:
            of_split.setdefault(split, []).append(path.relative_to(folder).as_posix())
    if not of_split:
        raise AnnotationError(f"{folder} holds no instruction rows, only annotations. Use `export`, which reads both.")
    return [{"split": split, "path": of_split[split]} for split in SPLITS if split in of_split]
