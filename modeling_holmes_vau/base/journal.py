"""Lines of JSON that a run appends to as it goes, and that outlive its end, however that comes."""

import json
import secrets
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from .errors import RunError
from .files import write_whole


def is_object(entry: Any) -> bool:
    """Whether what a line holds is a JSON object."""
    return isinstance(entry, dict)


def is_pair(entry: Any) -> bool:
    """Whether what a line holds is a list of two."""
    return isinstance(entry, list) and len(entry) == 2


class Journal:
    """
    A file of JSON lines: one run appends, and anyone may read it meanwhile.

    What a kill or a power cut left in pieces is no entry. It is left out when the file is read, and taken out of it
    before anything is put behind it. That no other run appends is up to the caller: by `sole_run` of the folder, or by
    a name that no other run has.

    Args:
        path (`Path`): The file; its folder is made when it is first written.
        is_entry (`Callable[[Any], bool]`, *optional*): Whether what a line holds is an entry; JSON objects are by
            default.

    Examples:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     journal = Journal(Path(folder, "log.jsonl"))
        ...     journal.append({"step": 1}, {"step": 2})
        ...     with journal.path.open("ab") as file:
        ...         _ = file.write(b'{"st')
        ...     Journal(journal.path).append({"step": 3})
        ...     journal.path.read_text()
        '{"step": 1}\\n{"step": 2}\\n{"step": 3}\\n'
    """

    def __init__(self, path: Path, is_entry: Callable[[Any], bool] = is_object):
        self.path, self.is_entry = path, is_entry
        self._is_whole = False  # known to end with a whole line, and to hold no pieces

    def read(self) -> list:
        """The entries; none where there is no file.

        Raises:
            [`RunError`]: if there are lines and none is an entry: it is somebody else's file.
            `OSError`: if it can't be read.
        """
        return [entry for _, entry in self._whole_lines(self._content())]

    def append(self, *entries: Any) -> None:
        """Add entries; they are with the operating system when this returns.

        Raises:
            [`RunError`]: as [`Journal.read`].
            `OSError`: if they can't be written, naming the file.
        """
        if not self._is_whole:
            self._mend()
        self._is_whole = False
        try:
            with self.path.open("ab") as file:
                file.write(b"".join(map(_line, entries)))
        except OSError as error:
            raise OSError(error.errno, error.strerror or str(error), str(self.path)) from error
        self._is_whole = True

    def rewrite(self, entries: Iterable[Any]) -> None:
        """Put entries in the place of all that are there."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(self.path, b"".join(map(_line, entries)))
        self._is_whole = True

    def _content(self) -> bytes:
        try:
            return self.path.read_bytes()
        except FileNotFoundError:
            return b""

    def _whole_lines(self, content: bytes) -> list[tuple[bytes, Any]]:
        """The lines that hold entries, with what they hold."""
        *lines, _ = content.split(b"\n")  # behind the last line break is part of a line
        found = []
        for line in lines:
            with suppress(ValueError):
                if self.is_entry(entry := json.loads(line)):
                    found.append((line + b"\n", entry))
        if not found and any(line.strip() for line in lines):
            raise RunError(
                f"{self.path}: none of its lines is one that this program writes; choose another output, or move the "
                "file away"
            )
        return found

    def _mend(self) -> None:
        content = self._content()
        whole = b"".join(line for line, _ in self._whole_lines(content))
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if whole != content:
            write_whole(self.path, whole)


def _line(entry: Any) -> bytes:
    # A server may send half of a surrogate pair, which UTF-8 has no form for.
    return (json.dumps(entry, ensure_ascii=False) + "\n").encode("utf-8", "replace")


def read_journals(folder: Path, is_entry: Callable[[Any], bool] = is_object) -> Iterator[Any]:
    """The entries of all journals of a folder, which are named `*.jsonl`."""
    for path in sorted(folder.glob("*.jsonl")):
        yield from Journal(path, is_entry).read()


class JournalDict:
    """
    A dictionary on disk that several processes and runs may fill at a time: a folder of journals, of which each writer
    has its own.

    Args:
        folder (`Path`): Made with the first entry.

    `entries` has what is known: what was there at the beginning or at the last `load`, and what was put since.
    """

    def __init__(self, folder: Path):
        self.folder, self.entries = folder, {}
        self._own = Journal(folder / f"{secrets.token_hex(8)}.jsonl", is_pair)
        self.load()

    def load(self) -> None:
        """Read what all writers have written."""
        self.entries.update(read_journals(self.folder, is_pair))

    def put(self, key: str, value: Any) -> None:
        """Add an entry."""
        self.entries[key] = value
        self._own.append([key, value])
