"""What comes with this package beside its code; `setup.py` has it put into `share/holmes-vau`."""

import importlib.metadata
from pathlib import Path


def installed_folder(name: str, file: str) -> Path | None:
    """The installed folder of a name that holds a file of a name; `None` where nothing such was installed."""
    try:
        files = importlib.metadata.files("holmes-vau") or []
    except importlib.metadata.PackageNotFoundError:
        return None
    for path in files:
        if path.parts[-2:] == (name, file) and Path(path.locate()).is_file():
            return Path(path.locate()).resolve().parent
    return None
