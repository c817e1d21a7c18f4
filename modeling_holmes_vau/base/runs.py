"""What decides the content of a folder, kept in it, so that a run that goes on is the same run, and the only one."""

import hashlib
import json
import logging
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from .errors import RunError
from .files import write_whole


logger = logging.getLogger(__name__)

NAMED_FIELDS = 8  # of many that differ
LOCK = ".lock"  # stays in the folder: whoever took it away would take it from under another run
WHERE = ("model", "endpoint")  # a checkpoint that was moved is the same, where a digest tells it; and so is a server


@contextmanager
def sole_run(folder: Path, waits: bool = False) -> Iterator[None]:
    """
    Keep a folder, which is made if it is not there, to this run. It is let go however the run ends.

    Args:
        folder (`Path`): The folder.
        waits (`bool`, *optional*, defaults to `False`): Wait for another run that has it: for a folder that several
            runs fill with the same things.

    Raises:
        [`RunError`]: if another run has it, unless it is waited for.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        if not waits:
            raise RunError(f"{folder}: another run is writing it; wait for it, or stop it") from error
        logger.warning(f"{folder}: another run is writing it; waiting for it")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _as_json(settings: Mapping[str, Any]) -> dict:
    """Settings as a file gives them back."""
    return json.loads(json.dumps(dict(settings), default=str))


def write_settings(file: Path, settings: Mapping[str, Any]) -> None:
    """Keep the settings of a run; what JSON has no form for as text."""
    write_whole(file, json.dumps(_as_json(settings), indent=2) + "\n")


def settings_digest(settings: Mapping[str, Any]) -> str:
    """A short name for how something was made."""
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]


def compare_settings(
    earlier: Mapping[str, Any], settings: Mapping[str, Any], holds: str, remedy: str, free: Collection[str] = ()
) -> None:
    """
    Make sure that what is there was made with the same settings; a field that is not there is `None`.

    Args:
        earlier (`Mapping`), settings (`Mapping`): Those that it was made with, and those of this run.
        holds (`str`): Where and what it is, as "--output DIR: holds scores".
        remedy (`str`): What to do, as "choose another folder".
        free (`Collection[str]`, *optional*): The fields that may differ.

    Raises:
        [`RunError`]: one line that names what differs, of many the first 8.

    Examples:
        >>> compare_settings({"seed": 1}, {"seed": 1, "rows": None}, "out: a run", "try another")
        >>> compare_settings({"seed": 1}, {"seed": 2}, "out: a run", "try another")
        Traceback (most recent call last):
        ...
        modeling_holmes_vau.base.errors.RunError: out: a run made with seed 1, now asked for with seed 2; try another
    """
    settings = _as_json(settings)
    changed = [key for key in {**settings, **earlier} if key not in free and settings.get(key) != earlier.get(key)]
    if changed:
        named = changed[:NAMED_FIELDS]
        was, now = (", ".join(f"{key} {of.get(key)}" for key in named) for of in (earlier, settings))
        more = f" ({len(changed) - len(named)} more differ)" if len(changed) > len(named) else ""
        raise RunError(f"{holds} made with {was}, now asked for with {now}{more}; {remedy}")


def check_settings(
    file: Path,
    settings: Mapping[str, Any],
    holds: str,
    remedy: str,
    free: Collection[str] = (),
    copies: Collection[Path] = (),
) -> None:
    """
    Make sure that what a folder holds was made with the same settings, by the file that tells them.

    Args:
        file (`Path`): Where they were kept, by [`write_settings`].
        settings, holds, remedy, free: As for [`compare_settings`].
        copies (`Collection[Path]`, *optional*): Where else they were, for a file that is missing or damaged.

    Raises:
        [`RunError`]: one line, if they differ, or if nothing tells them.
    """
    earlier = next((found for path in (file, *copies) if (found := _read(path)) is not None), None)
    if earlier is None:
        problem = f"its {file.name} is damaged" if file.exists() else f"there is no {file.name}"
        raise RunError(f"{holds}, but {problem}: nothing tells how that was made; {remedy}")
    compare_settings(earlier, settings, holds, remedy, free)


def _read(path: Path) -> dict | None:
    """The settings in a file; `None` if it is missing or, which is told, damaged."""
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (ValueError, OSError):
        settings = None
    if not isinstance(settings, dict):
        logger.warning(f"{path} is cut off or damaged")
        return None
    return settings
