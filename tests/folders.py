"""Odd folders for the tests."""

import errno
import os
import resource
from contextlib import contextmanager
from pathlib import Path


def refuse(monkeypatch, folder: Path) -> None:
    """Nobody, not even root, may list the folder."""
    scandir = os.scandir

    def guarded(path):
        if os.fspath(path) == str(folder):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(folder))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", guarded)


@contextmanager
def no_file_above(size: int):
    """Writing beyond `size` bytes of a file fails, as it does on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
