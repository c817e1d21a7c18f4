"""Many items, one after another: this process's share of them, and the reason for each that could not be done."""

from collections.abc import Callable, Iterable
from typing import TypeVar

from .commands import first_line
from .errors import RunError, write_problem
from .progress import Progress


Item = TypeVar("Item")


def share_of(items: Iterable[Item], process: int, num_processes: int, group: Callable[[Item], str]) -> list[Item]:
    """
    The items of one process of several: whole groups, each one after another.

    Args:
        items (`Iterable`): All of them, in the same order in every process.
        process (`int`), num_processes (`int`): Number of this process, from 0, and how many there are.
        group (`Callable`): What an item has in common with those that it belongs together with.

    Examples:
        >>> share_of(["a1", "b1", "c1", "a2"], process=0, num_processes=2, group=lambda item: item[0])
        ['a1', 'a2', 'c1']
    """
    groups: dict[str, list[Item]] = {}
    for item in items:
        groups.setdefault(group(item), []).append(item)
    return [item for members in list(groups.values())[process::num_processes] for item in members]


def do_all(
    items: Iterable[Item],
    do: Callable[[Item], object],
    name: Callable[[Item], str],
    what: str,
    unit: str,
    process: int = 0,
    num_processes: int = 1,
    group: Callable[[Item], str] | None = None,
    own_errors: tuple[type[Exception], ...] = (ValueError, OSError),
) -> dict[str, str]:
    """
    Do this process's share of the items, with progress in the first process.

    Args:
        items (`Iterable`): All of them, in the same order in every process.
        do (`Callable`): What to do with one.
        name (`Callable`): What a message calls one.
        what (`str`), unit (`str`): What the progress is of, as "features", and what it counts, as "video".
        process (`int`, *optional*), num_processes (`int`, *optional*): As for [`share_of`]; one process by default.
        group (`Callable`, *optional*): As for [`share_of`]; each item is its own by default.
        own_errors (`tuple[type[Exception], ...]`, *optional*, defaults to `(ValueError, OSError)`): What is wrong with
            an item. A [`RunError`] or a full disk is not: they are raised.

    Returns:
        `dict[str, str]`: Why items could not be done, a line each, by name.
    """
    problems = {}
    share = share_of(items, process, num_processes, group or name)
    for item in Progress(share, what, unit=unit, disable=process != 0):
        try:
            do(item)
        except RunError:
            raise
        except own_errors as error:
            if write_problem(error):
                raise
            problems[name(item)] = first_line(error)
    return problems
