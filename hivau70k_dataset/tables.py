"""Tables and lists as people have them: text as spreadsheets write it, columns by name, paths of any system."""

import csv
import io
import logging
import os
from dataclasses import dataclass
from pathlib import Path

from modeling_holmes_vau.base.scan import VIDEO_SUFFIXES

from .schema import AnnotationError


logger = logging.getLogger(__name__)

SEPARATORS = (",", ";", "\t")
UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")
ANSI = "cp1252"  # what Excel's plain CSV is in western Europe and America; latin-1 is a part of it


@dataclass(frozen=True)
class Row:
    """One row of a table.

    Args:
        place (`str`): File and line, for messages.
        cells (`dict[str, str]`): By column, without spaces around them.
        has_decimal_commas (`bool`): Whether numbers may be written `1,5`: where the comma does not separate columns.
    """

    place: str
    cells: dict[str, str]
    has_decimal_commas: bool


def read_text(path: str | os.PathLike) -> str:
    """The text of a file in UTF-8, in UTF-16 with a byte order mark (Excel's "Unicode text"), or else in Windows-1252.
    Any other encoding than UTF-8 is told in the log.

    Raises:
        `AnnotationError`: If it can't be read or is no text.
    """
    try:
        content, encoding = Path(path).read_bytes(), "utf-8-sig"
    except OSError as error:
        raise AnnotationError(f"{path}: can't be read: {error.strerror}.") from None
    if content.startswith(UTF16_MARKS):
        encoding = "utf-16"
    else:
        try:
            content.decode(encoding)
        except UnicodeDecodeError:
            encoding = ANSI
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        raise AnnotationError(
            f"{path}: not text in UTF-8, UTF-16 or Windows-1252. Save it as text, a workbook as CSV UTF-8."
        )
    if encoding == ANSI:
        logger.warning(
            f"{path}: not UTF-8, read as Windows-1252 (latin-1). If letters come out wrong, save it as UTF-8"
        )
    elif encoding == "utf-16":
        logger.warning(f"{path}: read as UTF-16")
    return text


def read_table(path: str | os.PathLike, columns: tuple[str, ...]) -> list[Row]:
    """Read a table with a header, separated by commas, semicolons or tabs.

    Columns may stand in any order, their names in capitals and with spaces. Others are left out, which is told in the
    log; so are blank lines and empty cells at the end of a line.

    Args:
        path (`str` or `os.PathLike`): The file.
        columns (`tuple[str, ...]`): The columns it must have.

    Raises:
        `AnnotationError`: If a column is missing or stands there twice, or a row has more or fewer cells than those.
    """
    text = read_text(path)
    head = next((line for line in text.splitlines() if line.strip() and not is_note_of_excel(line)), "")
    separator = max(SEPARATORS, key=head.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=True, strict=True)
    names, rows = None, []
    try:
        for line in reader:
            cells = [cell.strip() for cell in line]
            if not any(cells) or (names is None and is_note_of_excel(cells[0])):
                continue
            if names is None:
                names = _column_names(path, cells, columns)
                continue
            rows.append(_row(f"{path}: line {reader.line_num}", cells, names, columns, separator != ","))
    except csv.Error as error:
        raise AnnotationError(f"{path}: line {reader.line_num}: {error}. Is a quotation mark not closed?") from None
    if names is None:
        raise AnnotationError(f"{path}: the file is empty, expected the columns {','.join(columns)}.")
    return rows


def is_note_of_excel(line: str) -> bool:
    """Whether a line in front of a table tells Excel its separator: `sep=;`."""
    return line.strip().lower().startswith("sep=")


def video_pieces(written: str) -> tuple[str, ...]:
    """Folders and name of a video as a table writes its path, the name without the ending of a video file.

    Example:

    >>> video_pieces(r"Abuse\\Abuse028_x264.MP4"), video_pieces("v=a.2011__#1_label_A")
    (('Abuse', 'Abuse028_x264'), ('v=a.2011__#1_label_A',))
    """
    pieces = [piece for piece in written.replace("\\", "/").split("/") if piece not in ("", ".")]
    if pieces:
        stem, dot, ending = pieces[-1].rpartition(".")
        pieces[-1] = stem if stem and (dot + ending).lower() in VIDEO_SUFFIXES else pieces[-1]
    return tuple(pieces)


def _column_names(path: str | os.PathLike, cells: list[str], columns: tuple[str, ...]) -> list[str]:
    names = ["_".join(cell.lower().split()) for cell in cells]
    if {names.count(column) for column in columns} != {1}:
        raise AnnotationError(f"{path}: got the columns {', '.join(cells)}, expected {','.join(columns)}.")
    if others := [cell for cell, name in zip(cells, names) if name and name not in columns]:
        logger.warning(f"{path}: columns that are not read: {', '.join(others)}")
    return names


def _row(place: str, cells: list[str], names: list[str], columns: tuple[str, ...], has_decimal_commas: bool) -> Row:
    known = {name: cell for name, cell in zip(names, cells) if name in columns}
    if len(known) < len(columns) or any(cells[len(names) :]):
        raise AnnotationError(f"{place}: expected {', '.join(name for name in names if name)}, got {cells}.")
    return Row(place, known, has_decimal_commas)
