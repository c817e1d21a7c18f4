"""What decides the content of an output, kept beside it, so that a run that goes on is the same run."""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from modeling_holmes_vau.base.commands import CommandError, first_line


try:
    import fcntl
except ImportError:  # Windows: two runs in one folder are not told apart there
    fcntl = None


WHERE = ("model", "endpoint")  # a checkpoint that was moved is the same, and so is a server


def checkpoint_digest(model: str, patterns: Iterable[str]) -> str:
    """A digest of the files of a checkpoint that decide what it says; of a Hub name, its revision.

    Args:
        model (`str`): Folder or Hub name.
        patterns (`Iterable[str]`): Which files, as for `Path.glob`.
    """
    if not os.path.isdir(model):
        from transformers.utils import cached_file

        try:
            return Path(cached_file(model, "config.json")).parent.name
        except OSError as error:
            raise CommandError(f"--model {model}: cannot be had from the Hub: {first_line(error)}") from error
    total = hashlib.sha256()
    for path in sorted({path for pattern in patterns for path in Path(model).glob(pattern)}):
        with path.open("rb") as file:
            total.update(path.name.encode() + hashlib.file_digest(file, "sha256").digest())
    return total.hexdigest()[:16]


@contextmanager
def sole_run(folder: Path) -> Iterator[None]:
    """
    Keep a folder to this run; the operating system lets it go however the run ends.

    Raises:
        `CommandError`: if another run has it.
    """
    if fcntl is None:
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise CommandError(f"{folder}: another run is writing it; wait for it, or stop it") from error
        yield
    finally:
        os.close(handle)


def check_settings(output: str, file: Path, settings: dict, holds: str, place: str) -> None:
    """
    Make sure that what an output holds was made with the same settings.

    Args:
        output (`str`): What a message calls the output, as `--output DIR`.
        file (`Path`): The settings it was made with.
        settings (`dict`): Those of this run; `model` and `endpoint` may differ.
        holds (`str`), place (`str`): What the output holds, and whether it is a file or a folder, for the message.

    Raises:
        `CommandError`: one line, if the settings differ or nothing tells them.
    """
    if not file.is_file():
        raise CommandError(f"{output}: holds results but no {file.name} to tell whose; choose another {place}")
    try:
        earlier = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise CommandError(f"{output}: its {file.name} is no JSON; choose another {place}") from error
    if not isinstance(earlier, dict):
        raise CommandError(f"{output}: its {file.name} is no JSON object; choose another {place}")
    changed = [key for key in {**settings, **earlier} if key not in WHERE and settings.get(key) != earlier.get(key)]
    if changed:
        was, now = (", ".join(f"{key} {from_.get(key)}" for key in changed) for from_ in (earlier, settings))
        raise CommandError(
            f"{output}: holds {holds} made with {was}, now asked for with {now}; choose another {place}"
        )
