"""HIVAU-70k: the dataset, its tools, and a synthetic miniature that needs no download."""

import importlib


# Each public name and its file, loaded on first use: drawing and video libraries stay out of a plain import.
_FILES = {"render_miniature": "miniature.render"}
__all__ = list(_FILES)


def __getattr__(name: str):
    if name not in _FILES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f".{_FILES[name]}", __name__), name)
