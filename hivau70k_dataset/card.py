"""`card`: what `load_dataset` needs to read the instruction rows of an annotation folder as they are."""

import os
import tempfile
from pathlib import Path

import datasets
import huggingface_hub
import yaml
from datasets.info import DatasetInfosDict

from modeling_holmes_vau.base.files import write_whole

from .reading import find_annotation_files, read_annotation_file
from .schema import SPLITS, AnnotationError, Instruction


NAME = "instructions"  # of the configuration
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
    front = {"configs": [{"config_name": NAME, "data_files": _row_files(path.parent)}]}
    try:
        with tempfile.TemporaryDirectory() as cache:
            front |= _columns(path.parent, front["configs"][0]["data_files"], cache)
            write_whole(path, f"---\n{yaml.safe_dump(front, sort_keys=False, allow_unicode=True)}---\n\n{TEXT}")
            rows = datasets.load_dataset(str(path.parent), cache_dir=cache)
            return path, {split: len(rows[split]) for split in rows}
    except Exception as error:  # whatever its readers make of the files
        path.unlink(missing_ok=True)
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


def _columns(folder: Path, data_files: list[dict], cache: str) -> dict:
    """The `dataset_info` of rows whose files need not have the same fields: in the release only those of training are
    conversations. Without it `load_dataset` expects of each file the columns of the first."""
    columns = datasets.Features()
    for file in (file for split in data_files for file in split["path"]):
        found = datasets.load_dataset("json", data_files=str(folder / file), split="train", cache_dir=cache).features
        for name, kind in found.items():
            if columns.setdefault(name, kind) != kind:
                raise ValueError(f"{file}: `{name}` is of another type than in the files before")
    info = datasets.DatasetInfo(features=columns, config_name=NAME)
    front = huggingface_hub.DatasetCardData()
    DatasetInfosDict({NAME: info}).to_dataset_card_data(front)
    return {"dataset_info": front.to_dict()["dataset_info"]}
