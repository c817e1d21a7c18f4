"""Odd folders for the tests."""

import errno
import os
from pathlib import Path


def refuse(monkeypatch, folder: Path) -> None:
    """Nobody, not even root, may list the folder."""
    scandir = os.scandir

    def guarded(path):
        if os.fspath(path) == str(folder):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(folder))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", guarded)
