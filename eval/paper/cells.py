"""The cells of a table: each a run of its own, with its settings, kept, so that a table goes on where it was stopped.

    OUTPUT/cells/NAME/...           what its commands write
    OUTPUT/cells/NAME/cell.json     its settings, the commands, the seconds they took, and its figures

A cell is done when its `cell.json` is there, which is written last. Its commands are programs of this repository that
go on by themselves where they were stopped. A cell that was made with other settings is refused, not used.
"""

import json
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modeling_holmes_vau.base.clock import clock
from modeling_holmes_vau.base.commands import CommandError
from modeling_holmes_vau.base.files import write_whole
from modeling_holmes_vau.base.runs import compare_settings


ROOT = Path(__file__).resolve().parents[2]  # whose programs the commands are
CELL = "cell.json"
FIELDS = {"settings", "commands", "seconds", "figures"}  # of it
START_S = 12.0  # of the programs of a cell, beside their work


@dataclass(frozen=True)
class Cell:
    """
    One run of a table.

    Args:
        name (`str`): Its own, fit for a folder.
        settings (`dict`): What decides its figures, but for the commands.
        commands (`Callable[[Path], list[list[str]]]`): From its folder to the commands of its run, in order, without
            the interpreter.
        read (`Callable[[Path], dict]`): From its folder to its figures, once they have run.
        work (`float`): How much of it there is, in seconds of `seconds_for`'s machine; 0 where nothing tells.
    """

    name: str
    settings: dict[str, Any]
    commands: Callable[[Path], list[list[str]]]
    read: Callable[[Path], dict[str, Any]]
    work: float = 0.0


def cell_folder(output: Path, cell: Cell) -> Path:
    """Where a cell lies."""
    return output / "cells" / cell.name


def read_done(output: Path, cell: Cell) -> dict[str, Any] | None:
    """What is kept of a cell; `None` where it is not done.

    Raises:
        [`RunError`]: if it was made with other settings.
    """
    path = cell_folder(output, cell) / CELL
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError:
        kept = None
    if not isinstance(kept, dict) or not FIELDS <= kept.keys():
        raise CommandError(f"{path}: is damaged; delete it, and its figures are read again")
    compare_settings(kept["settings"], _as_json(cell.settings), f"{path.parent}: a cell", "choose another --output")
    return kept


def _as_json(settings: dict[str, Any]) -> dict[str, Any]:
    return json.loads(json.dumps(settings))


def make_cells(cells: Sequence[Cell], output: Path, title: str, dry_run: bool = False) -> dict[str, dict[str, Any]]:
    """
    Say what there is to do and how long that takes, then make the cells that are not done.

    Args:
        cells (`Sequence[Cell]`): Of the table, in order.
        output (`Path`): Folder of the table.
        title (`str`): What the messages call it.
        dry_run (`bool`, *optional*, defaults to `False`): Say it, and stop.

    Returns:
        `dict[str, dict]`: What is kept of each cell, by name: `settings`, `commands`, `seconds`, `figures`.

    Raises:
        `CommandError`: one line, if a command fails or a cell was made with other settings.
    """
    if not cells:
        return {}
    kept = {cell.name: found for cell in cells if (found := read_done(output, cell))}
    missing = [cell for cell in cells if cell.name not in kept]
    print(f"{title}: {len(cells)} cells, {len(kept)} done, {len(missing)} to run{expected(cells, kept)}", flush=True)
    for cell in missing:
        print(f"  {cell.name}", flush=True)
    if dry_run:
        return kept
    for cell in missing:
        done = len(kept)
        print(f"{title}: {cell.name}, {done + 1} of {len(cells)}{expected(cells, kept)}", flush=True)
        kept[cell.name] = run_cell(cell, cell_folder(output, cell))
    return kept


def expected(cells: Sequence[Cell], kept: dict[str, dict[str, Any]]) -> str:
    """How long the cells that are missing will take: by the work of those that are done, else by what was measured on
    two CPU cores."""
    missing = sum(cell.work + START_S for cell in cells if cell.name not in kept)
    if any(not cell.work for cell in cells if cell.name not in kept):
        return "; how long that takes, the first cells will tell"
    if not missing:
        return ""
    work = sum(cell.work + START_S for cell in cells if cell.name in kept)
    if work:
        ratio = sum(entry["seconds"] for entry in kept.values()) / work
        return f"; about {clock(missing * ratio, 0)} to go, by the cells that are done"
    return f"; about {clock(missing, 0)} to go on two CPU cores like those it was measured on"


def run_cell(cell: Cell, folder: Path) -> dict[str, Any]:
    """Run a cell and keep what it gives."""
    folder.mkdir(parents=True, exist_ok=True)
    commands, start = cell.commands(folder), time.perf_counter()
    for command in commands:
        run_program(command, folder)
    result = {"settings": _as_json(cell.settings), "commands": [shlex.join(["python", *part]) for part in commands]}
    result |= {"seconds": round(time.perf_counter() - start, 1), "figures": cell.read(folder)}
    write_whole(folder / CELL, json.dumps(result, indent=2, ensure_ascii=False) + "\n")
    return result


def run_program(command: list[str], folder: Path) -> None:
    """Run a program of this repository; what it prints goes to `log.txt`, how far it is to the terminal.

    Raises:
        `CommandError`: one line with the last that it said, if it fails.
    """
    log = folder / "log.txt"
    with log.open("a", encoding="utf-8") as file:
        print("$", shlex.join(["python", *command]), file=file, flush=True)
        with subprocess.Popen([sys.executable, *command], cwd=ROOT, stdout=file, stderr=subprocess.PIPE) as run:
            last = _follow(run.stderr, file)
    if run.returncode:
        raise CommandError(
            f"{folder}: `{shlex.join(['python', *command[:2]])} ...` ended with status {run.returncode}: {last}; all "
            f"that it said is in {log}"
        )


def _follow(stream, file) -> str:
    """Copy what a program says on stderr to the terminal and the log; returns the last line."""
    last = ""
    for line in stream:
        text = line.decode("utf-8", "replace")
        sys.stderr.write(text)
        file.write(text)
        last = text.strip() or last
    return last
