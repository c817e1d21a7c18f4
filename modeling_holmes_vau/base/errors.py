"""Errors that a library tells in its own words, told in ours."""

import errno
from collections.abc import Iterator


# What it says to the writer when a disk is full, a quota is used up, or a file may not grow.
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
# How PyTorch's and safetensors' writers say that a write failed, without an `errno`.
FAILED_WRITES = ("PytorchStreamWriter failed", "unexpected pos", "file write failed", "Error while serializing: I/O")
FAILED_WRITES += ("Error while serializing: IoError", "No space left on device", "File too large", "Disk quota")
REMEDY = "Free some space and run the same command again."


class RunError(ValueError):
    """What is wrong with a run as a whole, and not with one of the many items it works through: it ends the run."""


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """An error, what it was raised from or while handling, and so on."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def write_problem(error: BaseException) -> str | None:
    """
    One line if an error means that something could not be written for want of space; `None` if it means anything else.

    PyTorch raises `RuntimeError` for it, safetensors an error of its own.

    Example:

    ```python
    >>> write_problem(OSError(errno.ENOSPC, "No space left on device", "out/model.safetensors"))
    'out/model.safetensors: No space left on device. Free some space and run the same command again.'
    >>> write_problem(RuntimeError("size mismatch"))

    ```
    """
    for cause in causes(error):
        if isinstance(cause, OSError) and cause.errno in FULL:
            place = f"{cause.filename}: " if cause.filename else ""
            return f"{place}{cause.strerror}. {REMEDY}"
    for cause in causes(error):
        said = str(cause)
        if any(words in said for words in FAILED_WRITES):
            return f"writing failed, the disk is full. {REMEDY}"
    return None
