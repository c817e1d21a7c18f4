"""Mistakes told in a line."""


class CommandError(Exception):
    """A mistake of the caller: one line, printed without a traceback."""


def first_line(error: BaseException) -> str:
    """The message of an error on one line."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
