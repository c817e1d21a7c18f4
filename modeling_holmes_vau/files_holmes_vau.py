"""Files and folders that appear whole or not at all."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .base.names import FOLDER_BYTES, shorten


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
        raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        partial.unlink(missing_ok=True)
    return path


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
