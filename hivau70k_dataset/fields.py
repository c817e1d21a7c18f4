"""The fields of a JSON object, each checked as it is taken: what is wrong names file, place and field."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from .schema import AnnotationError, Remark


OnRemark = Callable[[Remark], None]

MOST = 2**53  # whole numbers up to here are exact as JSON numbers


class RepeatedName(dict):
    """A JSON object in which a name stands twice; of the values, the last.

    Args:
        pairs (`list[tuple[str, Any]]`): As they stand there.
    """

    def __init__(self, pairs: list[tuple[str, Any]]):
        super().__init__(pairs)
        names = [name for name, _ in pairs]
        self.name = next(name for name in names if names.count(name) > 1)


def ignore(remark: Remark) -> None:
    """Hear of what is odd, and do nothing."""


@dataclass(frozen=True)
class Record:
    """A JSON object, where it stands, and who hears of what is odd in it."""

    fields: dict[str, Any]
    file: str
    subject: str
    on_remark: OnRemark = ignore
    is_row: bool = False

    def remark(self, code: str, field: str, message: str) -> None:
        self.on_remark(Remark(code, self.subject, field, message, self.is_row))

    def fail(self, field: str, got: Any, expected: str) -> AnnotationError:
        shown = repr(got) if not isinstance(got, int) or abs(got) <= MOST else "a huge number"
        shown = shown if len(shown) <= 80 else f"{shown[:77]}..."
        return AnnotationError(f"{self.file}: {self.subject}: `{field}`: got {shown}, expected {expected}.")

    def check_repeated(self) -> None:
        if isinstance(self.fields, RepeatedName):
            raise AnnotationError(f"{self.file}: {self.subject}: `{self.fields.name}` stands there twice. Keep one.")

    def check_names(self, required: Iterable[str], optional: Iterable[str] = ()) -> None:
        self.check_repeated()
        required, optional = set(required), set(optional)
        if missing := sorted(required - set(self.fields)):
            raise AnnotationError(f"{self.file}: {self.subject}: `{missing[0]}` is missing. Add the field.")
        for name in sorted(set(self.fields) - required - optional):
            known = ", ".join(sorted(required | optional))
            self.remark("unknown_field", name, f"not a known field, left aside; known here: {known}")

    def text(self, field: str, value: Any, optional: bool = False) -> str | None:
        if value is None and optional:
            return None
        if not isinstance(value, str) or not value.strip():
            raise self.fail(field, value, "a text that is not empty")
        if any("\ud800" <= letter <= "\udfff" for letter in value):
            raise self.fail(field, value, "a text without halves of surrogate pairs, which is no Unicode")
        return value

    def whole(self, field: str, value: Any, least: int) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= MOST:
            raise self.fail(field, value, f"a whole number from {least} to {MOST}")
        return value

    def number(self, field: str, value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= MOST:
            raise self.fail(field, value, "a finite number")
        return float(value)

    def list_of(self, field: str, value: Any, length: int | None = None) -> list:
        if not isinstance(value, list):
            raise self.fail(field, value, "a list")
        if length is not None and len(value) != length:
            raise AnnotationError(
                f"{self.file}: {self.subject}: `{field}`: got {len(value)} entries, expected {length}, one for each "
                "of what it describes."
            )
        return value

    def texts(self, field: str, value: Any, length: int | None = None) -> list[str]:
        return [self.text(f"{field}[{i}]", entry) for i, entry in enumerate(self.list_of(field, value, length))]

    def span(self, field: str, start: Any, end: Any) -> tuple[float, float]:
        start_s, end_s = self.number(f"{field} start", start), self.number(f"{field} end", end)
        if not 0 <= start_s < end_s:
            raise self.fail(field, [start, end], "0 <= start < end, in seconds")
        return start_s, end_s

    def pair(self, field: str, value: Any) -> tuple[float, float]:
        if not isinstance(value, list) or len(value) != 2:
            raise self.fail(field, value, "a pair [start, end] in seconds")
        return self.span(field, *value)

    def one_of(self, field: str, value: Any, allowed: Iterable[str]) -> str:
        if value not in tuple(allowed):
            raise self.fail(field, value, f"one of {', '.join(allowed)}")
        return value

    def within(self, field: str, value: Any) -> "Record":
        if not isinstance(value, dict):
            raise self.fail(field, value, "an object")
        return Record(value, self.file, f"{self.subject}: `{field}`", self.on_remark, self.is_row)


def check_name(record: Record, name: Any) -> str:
    """A name of a video or a source, without folders."""
    record.text("video", name)
    if "/" in name or "\\" in name or "\0" in name or name in (".", ".."):
        raise record.fail("video", name, "a name without folders")
    return name
