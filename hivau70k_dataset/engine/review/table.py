"""The review without a browser: everything as a table, and what was changed in it as decisions."""

import csv
import io
from pathlib import Path
from typing import Any

from modeling_holmes_vau.base.clock import parse_clock
from modeling_holmes_vau.base.files import write_whole

from ...schema import SUMMARY_TASKS, AnnotationError
from ...tables import Row, read_table
from ..decisions import EDITED, PROPOSED, STATUSES, Conflict, Decision
from ..state import State, digest_of
from .changes import decide
from .items import Item, list_items


TEXTS = ("caption", *SUMMARY_TASKS)
COLUMNS = ("item", "level", "start_s", "end_s", "labels", "status", *TEXTS, "flags", "about")
SEPARATOR = "; "  # between labels, and between flags


def write_table(state: State, path: Path) -> None:
    """Write all items as CSV, the worst first: UTF-8 with a mark, which spreadsheets know by it."""
    file = io.StringIO()
    table = csv.DictWriter(file, COLUMNS, lineterminator="\r\n")
    table.writeheader()
    for item in sorted(list_items(state), key=lambda item: -item.weight):
        table.writerow(_row(item))
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, file.getvalue().encode("utf-8-sig"))


def _row(item: Item) -> dict[str, str]:
    texts = {name: " ".join((item.texts.get(name) or "").split()) for name in TEXTS}
    row = {
        "item": item.id,
        "level": item.level,
        "start_s": f"{item.start_s:.3f}",
        "end_s": f"{item.end_s:.3f}",
        "labels": SEPARATOR.join(item.labels),
        "status": item.status,
        **texts,
        "flags": SEPARATOR.join(flag.message for flag in item.flags),
    }
    return {**row, "about": f"{item.digest}.{_content(row)}"}


def _content(cells: dict[str, str]) -> str:
    """Digest of what a person may change in a row, however a spreadsheet writes its numbers."""
    times = (parse_clock(cells[name].replace(",", ".")) for name in ("start_s", "end_s"))
    texts = (" ".join(cells[name].split()) for name in TEXTS)
    return digest_of(cells["item"], *times, *texts, cells["status"].lower(), cells["labels"].replace(" ", ""))


def read_table_decisions(state: State, path: Path, who: str) -> tuple[list[Decision], list[str]]:
    """
    Take what was changed in a table. A row whose status, texts, span or labels are other than they were becomes a
    decision; changed fields without another status are an edit.

    Returns:
        `tuple[list[Decision], list[str]]`: The decisions; and a line for each row that could not be taken: what it
        is about has changed since the table was written, or it is no longer there, or its fields make no sense.

    Raises:
        `AnnotationError`: If the file is no such table.
    """
    items, taken, left = {item.id: item for item in list_items(state)}, [], []
    for row in read_table(path, COLUMNS):
        item, (about, _, content) = items.get(row.cells["item"]), row.cells["about"].partition(".")
        if content == _content(row.cells):
            continue
        if item is None:
            left.append(f"{row.place}: there is no item {row.cells['item']!r}")
            continue
        try:
            status, fields = _changes(row, item)
            if not fields and status == item.status:
                continue
            if about != item.digest:
                left.append(f"{row.place}: {item.id} has changed since the table was written; write it anew")
                continue
            status = EDITED if fields and status in (PROPOSED, item.status) else status
            taken.append(decide(state, item.id, item.rev, who, status, fields, item.digest))
        except (Conflict, AnnotationError) as error:
            left.append(f"{row.place}: {item.id}: {error}")
    return taken, left


def _changes(row: Row, item: Item) -> tuple[str, dict[str, Any]]:
    """The status of a row, and the fields that are other than those of its item."""
    cells, was = row.cells, _row(item)
    status = cells["status"].lower() or item.status
    if status not in STATUSES:
        raise AnnotationError(f"status: got {cells['status']!r}, expected one of {', '.join(STATUSES)}")
    fields: dict[str, Any] = {}
    for name in TEXTS:
        if name in item.texts and " ".join(cells[name].split()) != was[name]:
            fields[name] = cells[name]
    if cells["labels"] != was["labels"] and item.level != "clip":
        fields["labels"] = [label.strip() for label in cells["labels"].split(";") if label.strip()]
    for name in ("start_s", "end_s") if item.level == "event" else ():
        text = cells[name].replace(",", ".") if row.has_decimal_commas else cells[name]
        value = parse_clock(text)
        if value is None:
            raise AnnotationError(f"{name}: got {cells[name]!r}, expected seconds")
        if abs(value - float(was[name])) > 0.0005:
            fields[name] = value
    return status, fields
