"""Files and folders that appear whole or not at all."""

import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from .names import FOLDER_BYTES, shorten


NAMED_PROBLEMS = 5  # of many; the others are in a file
PROBLEMS = "errors.txt"


def write_whole(path: Path, content: bytes | str) -> Path:
    """Write a file under a temporary name in its folder, then rename it; text is written as UTF-8.

    The content is on the disk before the name is, so that a power cut leaves no empty file under it.

    Raises:
        `OSError`: if it can't be written, naming `path`.
    """
    partial = path.with_name(f".{shorten(path.name, FOLDER_BYTES)}.{os.getpid()}.partial")
    try:
        with partial.open("wb") as file:
            file.write(content.encode("utf-8") if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except OSError as error:
        raise OSError(error.errno, error.strerror or str(error), str(path)) from error
    finally:
        partial.unlink(missing_ok=True)
    return path


def few_of(problems: Sequence[str], folder: Path | None, name: str = PROBLEMS) -> list[str]:
    """
    What to print of the problems of a run, a line each.

    Args:
        problems (`Sequence[str]`): A line each, in the order of what they are about.
        folder (`Path`, *optional*): Output folder of the run. If there are more than 5 problems, or the list of an
            earlier run is there, all are written to a file in it.
        name (`str`, *optional*, defaults to `"errors.txt"`): Of that file.

    Returns:
        `list[str]`: All, if there are at most 5 or there is no folder; else the first 5 and where the others are.
    """
    if folder is None:
        return list(problems)
    file = folder / name
    if len(problems) > NAMED_PROBLEMS or file.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(file, "".join(f"{line}\n" for line in problems).encode("utf-8", "backslashreplace"))
    more = len(problems) - NAMED_PROBLEMS
    return [*problems[:NAMED_PROBLEMS], f"{more} more: see {file}"] if more > 0 else list(problems)


def check_new_folder(output: Path) -> None:
    """Raises `ValueError` unless `output` is free to be written: not there, or an empty folder that nobody is in."""
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise ValueError(f"{output} already exists and is not an empty folder: choose another folder or remove it.")
    if output.resolve() == Path.cwd():
        raise ValueError(f"{output} is the folder you are in: name one that is to be made.")


@contextmanager
def whole_folder(output: Path) -> Iterator[Path]:
    """A temporary folder beside `output` that takes its name when all is written, and goes away when not."""
    check_new_folder(output)
    output = output.resolve()
    output.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{shorten(output.name, FOLDER_BYTES)}.", dir=output.parent))
    try:
        yield partial
        partial.chmod(0o755)
        os.replace(partial, output)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
