"""What lies in a checkpoint folder beside its weights: its format, small files, git-lfs pointers, byte order marks."""

import codecs
import json
import os
import shlex
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..base.commands import first_line


# The `model_type` of config.json: ours, transformers' own InternVL, and the layout of InternVL2 and of the release.
OURS, NATIVE, ORIGINAL = "holmes_vau", "internvl", "internvl_chat"
# What `holmes-vau export` leaves of ours beside a language model that is served: vision tower and scorer.
EYES = "holmes_vau_eyes"
# All that is read of a checkpoint beside its weights. Code is not: whoever reads a checkpoint here has the code.
JSON_FILES = (
    "config.json",
    "generation_config.json",
    "processor_config.json",
    "preprocessor_config.json",
    "video_preprocessor_config.json",
    "tokenizer_config.json",
    "tokenizer.json",
    "added_tokens.json",
    "special_tokens_map.json",
    "vocab.json",
    "chat_template.json",
    "model.safetensors.index.json",
    "pytorch_model.bin.index.json",
    "adapter_config.json",
    "training.json",
)
SMALL_FILES = (*JSON_FILES, "chat_template.jinja", "merges.txt", "tokenizer.model")
# What of a checkpoint decides its answers, tokenizer and templates included.
DIGESTED = ("*.json", "*.jinja", "*.txt", "*.model", "*.safetensors", "*.bin")
LFS_POINTER = b"version https://git-lfs.github.com/spec/"


class CheckpointError(ValueError):
    """What is wrong with a checkpoint, in one line."""


def is_local(name: str, label: str, expected: str) -> bool:
    """
    Whether `name` is a folder on this machine; else it may be one of the Hub.

    Args:
        name (`str`): Folder or Hub name.
        label (`str`), expected (`str`): What a message calls it, and says that it must be.

    Raises:
        [`CheckpointError`]: if it can be neither.
    """
    if os.path.isdir(name):
        return True
    if os.path.exists(name) or not name or name.startswith((".", "/", "~")) or name.count("/") > 1:
        raise CheckpointError(f"{label}: no such folder; expected {expected} or a Hub name")
    return False


@contextmanager
def told_in_a_line(label: str, problem: str) -> Iterator[None]:
    """Whatever transformers, safetensors or a tokenizer raise within becomes a [`CheckpointError`]: what they read is
    the checkpoint, and nothing else can be at fault."""
    try:
        yield
    except CheckpointError:
        raise
    except Exception as error:
        said = first_line(error)
        if said.endswith(":") and len(lines := str(error).strip().splitlines()) > 1:  # the cause is on the next line
            said = f"{said} {lines[1].strip()}"
        kind = "" if isinstance(error, OSError | ValueError) else f"{type(error).__name__}: "
        raise CheckpointError(f"{label}: {problem}: {kind}{said}") from error


def check_no_pointer(path: Path) -> None:
    """Raises [`CheckpointError`] if git-lfs left a pointer in the place of a file."""
    with path.open("rb") as file:
        if file.read(len(LFS_POINTER)) == LFS_POINTER:
            raise CheckpointError(f"{path}: a git-lfs pointer, not the file: run git lfs pull")


def read_object(path: Path) -> dict:
    """
    The JSON object that a file of a checkpoint holds, with or without a byte order mark.

    Raises:
        [`CheckpointError`]: if it holds anything else.
    """
    check_no_pointer(path)
    content = path.read_bytes()
    if not content.strip():
        raise CheckpointError(f"{path}: is empty, expected a JSON object: copy or download it again")
    try:
        value = json.loads(content.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: is no JSON ({first_line(error)}): copy or download it again") from error
    if not isinstance(value, dict):
        kind = type(value).__name__
        raise CheckpointError(f"{path}: expected a JSON object, got a {kind}: copy or download it again")
    return value


def part_of(settings: dict, name: str, path: Path) -> dict:
    """An object within `settings`, which `path` holds; empty if it is missing or null."""
    value = settings.get(name)
    if value is not None and not isinstance(value, dict):
        raise CheckpointError(f"{path}: `{name}` must be an object, got {json.dumps(value)[:80]}")
    return value or {}


def check_small_files(folder: Path) -> None:
    """Raises [`CheckpointError`] for a small file of a checkpoint that is broken or a git-lfs pointer."""
    for path in (folder / name for name in SMALL_FILES):
        if path.is_file():
            read_object(path) if path.suffix == ".json" else check_no_pointer(path)


@contextmanager
def readable(folder: Path) -> Iterator[Path]:
    """`folder`, checked; where JSON files begin with a byte order mark, which transformers refuses, a temporary folder
    of links to its files, with those rewritten."""
    check_small_files(folder)
    marked = [path for name in JSON_FILES if (path := folder / name).is_file() and _has_mark(path)]
    if not marked:
        yield folder
        return
    with tempfile.TemporaryDirectory() as name:
        for path in folder.iterdir():
            if path not in marked:
                Path(name, path.name).symlink_to(path.resolve())
        for path in marked:
            Path(name, path.name).write_bytes(path.read_bytes()[len(codecs.BOM_UTF8) :])
        yield Path(name)


def _has_mark(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(codecs.BOM_UTF8)) == codecs.BOM_UTF8


def format_of(folder: Path, label: str) -> str:
    """
    The `model_type` of a checkpoint folder, without a look at any code.

    Args:
        folder (`Path`): The folder.
        label (`str`): What a message calls it, as `--model NAME`.

    Raises:
        [`CheckpointError`]: if it has none.
    """
    if not (folder / "config.json").is_file():
        raise CheckpointError(f"{label}: a folder without config.json; expected a checkpoint")
    kind = read_object(folder / "config.json").get("model_type")
    if not isinstance(kind, str) or not kind:
        raise CheckpointError(f"{label}: its config.json tells no model_type; expected a checkpoint")
    return kind


def check_format(folder: Path, name: str, label: str, kinds: tuple[str, ...]) -> str:
    """
    The format of a checkpoint folder, one of `kinds`, or any but the original layout where there are none.

    Raises:
        [`CheckpointError`]: if it is another; of the original layout, with the command that converts it.
    """
    kind = format_of(folder, label)
    if kind in kinds or (not kinds and kind not in (ORIGINAL, EYES)):
        return kind
    if kind == EYES:
        raise CheckpointError(
            f"{label}: the eyes of a checkpoint, without a language model: `holmes-vau analyze` and `chat` take them "
            "with --endpoint URL, where one answers; else pass the whole checkpoint"
        )
    if kind == ORIGINAL:
        raise CheckpointError(
            f"{label}: in the layout of the original release, which must be converted once: "
            f"{conversion_command(folder, name)}"
        )
    advice = "; `holmes-vau convert` and `holmes-vau init` make one" if kinds == (OURS,) else ""
    if kinds == (ORIGINAL,) and kind == NATIVE:
        advice = "; `holmes-vau init --base` takes those of transformers' own format"
    raise CheckpointError(f"{label}: expected a checkpoint of type {' or '.join(kinds)}, got {kind!r}{advice}")


def conversion_command(folder: Path, name: str) -> str:
    """The command that converts a checkpoint of the original layout, with the scorer if one lies beside it."""
    is_here = os.path.isdir(name)
    scorers = [file for file in ("anomaly_scorer.pth", "anomaly_scorer.safetensors") if (folder / file).is_file()]
    words = ["holmes-vau", "convert", "--checkpoint", name]
    words += ["--scorer", os.path.join(name, scorers[0])] if is_here and scorers else []
    words += ["--output", f"{folder.resolve().name if is_here else name.rpartition('/')[2]}-converted"]
    return shlex.join(words) + ("" if "--scorer" in words else " (pass --scorer FILE too if there is a trained one)")
