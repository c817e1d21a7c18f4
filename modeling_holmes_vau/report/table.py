"""The events of many analysed videos as one table, CSV and Parquet."""

import csv
import importlib.util
import io
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ..base.files import write_whole
from .events import COLUMNS as EVENT_COLUMNS
from .events import event_row, list_events
from .words import strongest_score


TABLE, PARQUET = "events.csv", "events.parquet"
COLUMNS = ("video", "report", "duration_s", "strongest_score", *EVENT_COLUMNS)


def event_rows(analyses: Iterable[tuple[str, dict[str, Any]]]) -> list[dict[str, Any]]:
    """A row an event, under `COLUMNS`: the video with the highest score first, its events in time order.

    Args:
        analyses (`Iterable[tuple[str, dict]]`): The folder of each report, and its analysis.
    """
    rows = []
    for folder, analysis in sorted(analyses, key=lambda pair: (-strongest_score(pair[1]), pair[1]["video"], pair[0])):
        about = (analysis["video"], folder, analysis["duration_s"], round(strongest_score(analysis), 4))
        rows += [dict(zip(COLUMNS, (*about, *event_row(event)))) for event in list_events(analysis)]
    return rows


def write_tables(output: Path, analyses: Iterable[tuple[str, dict[str, Any]]]) -> list[Path]:
    """
    Write `events.csv` and, where pyarrow is installed, `events.parquet` into the folder that holds the reports.

    Raises:
        `ValueError`: if there is a table of that name with other columns.
    """
    path, rows = output / TABLE, event_rows(analyses)
    head = ",".join(COLUMNS)
    if path.is_dir() or (path.is_file() and not path.read_bytes().startswith(head.encode())):
        raise ValueError(f"{path} is not a table of events of reports and stays as it is: move it away to get one.")
    file = io.StringIO(newline="")
    writer = csv.DictWriter(file, COLUMNS)
    writer.writeheader()
    writer.writerows(rows)
    written = [write_whole(path, file.getvalue().encode("utf-8", "backslashreplace"))]
    if importlib.util.find_spec("pyarrow") is not None:
        written.append(write_whole(output / PARQUET, _parquet(rows)))
    return written


def _parquet(rows: list[dict[str, Any]]) -> bytes:
    import pyarrow
    from pyarrow import parquet

    numbers = {"duration_s", "strongest_score", "start_s", "end_s", "peak_score"}
    kinds = {name: pyarrow.float64() if name in numbers else pyarrow.string() for name in COLUMNS}
    kinds["event"] = pyarrow.int64()
    # A name that is no text reaches Python as lone surrogates.
    fit = [{name: _as_text(value) for name, value in row.items()} for row in rows]
    table, file = pyarrow.Table.from_pylist(fit, pyarrow.schema(list(kinds.items()))), io.BytesIO()
    parquet.write_table(table, file)
    return file.getvalue()


def _as_text(value: Any) -> Any:
    return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value
