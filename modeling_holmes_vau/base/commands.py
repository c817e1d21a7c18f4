"""Running a command: mistakes told in a line, and a status."""

import argparse
import io
import os
import sys
from collections.abc import Callable
from pathlib import Path

from .errors import write_problem
from .libraries import quiet_libraries


class CommandError(Exception):
    """A mistake of the caller: one line, printed without a traceback."""


def first_line(error: BaseException) -> str:
    """The message of an error on one line."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def check_output_folder(output: str | os.PathLike, option: str = "--output") -> None:
    """Raises [`CommandError`] if what should become a folder is a file, or lies below one."""
    for place in (Path(output), *Path(output).parents):
        if os.path.lexists(place) and not place.is_dir():
            below = "" if place == Path(output) else f"{place} "
            raise CommandError(f"{option} {output}: {below}is a file; pass a folder")


def output_folder(output: str | os.PathLike, option: str = "--output") -> Path:
    """The folder that an option names, made if it is not there; raises as [`check_output_folder`]."""
    check_output_folder(output, option)
    folder = Path(output)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def run_command(run: Callable[[argparse.Namespace], int], args: argparse.Namespace) -> int:
    """Run a command; the caller's mistakes become a line on stderr and status 1."""
    quiet_libraries()
    # A name that the terminal cannot show is no reason to lose an analysis. A notebook's output has no such setting.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        return run(args)
    except CommandError as error:
        print(f"error: {error}", file=sys.stderr)
    except BrokenPipeError:  # the reader of our output went away, as in `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except Exception as error:
        problem = write_problem(error)
        if problem is None and not isinstance(error, (ValueError, OSError, ImportError)):
            raise
        # The converter's messages list every key that does not fit, a line each.
        print(f"error: {problem or error}", file=sys.stderr)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    return 1
