"""What people decide in a review: one append-only journal, in which nobody overwrites anybody."""

from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock

from modeling_holmes_vau.base.journal import Journal


PROPOSED, ACCEPTED, EDITED, REJECTED = STATUSES = ("proposed", "accepted", "edited", "rejected")
LOCK = ".decisions.lock"


class Conflict(ValueError):
    """Somebody else has decided about the item since it was read; `latest` says what."""

    def __init__(self, message: str, latest: "Decision"):
        super().__init__(message)
        self.latest = latest


@dataclass(frozen=True)
class Decision:
    """
    What a person decided about an item; the last about it holds.

    Args:
        item (`str`): `video`, `video/event` or `video/event/clip`.
        status (`str`): One of `STATUSES`.
        who (`str`), when (`str`): Of the person, and the time, in ISO form.
        rev (`int`): Number of the decision in its journal, from 1.
        fields (`dict`, *optional*): What the person has changed of the item, all of it: texts, span, labels.
        about (`str`, *optional*): Digest of what the person saw; texts that come later were not seen.
        undoes (`int`, *optional*): The decision that this one takes back.
    """

    item: str
    status: str
    who: str
    when: str
    rev: int
    fields: dict[str, Any] = field(default_factory=dict)
    about: str = ""
    undoes: int | None = None


def is_decision(entry: Any) -> bool:
    """Whether what a line of a journal holds is a decision."""
    return isinstance(entry, dict) and isinstance(entry.get("item"), str) and entry.get("status") in STATUSES


class Decisions:
    """
    The decisions of a work folder. Several people, in one process or in several, may decide at a time.

    Args:
        path (`Path`): The journal.
    """

    def __init__(self, path: Path):
        self.path = path
        self.all: list[Decision] = []
        self._latest: dict[str, Decision] = {}
        self._read_bytes = -1
        self.load()

    @property
    def rev(self) -> int:
        """How many decisions there are."""
        return len(self.all)

    def load(self) -> None:
        """Read what has been decided by now."""
        size = self.path.stat().st_size if self.path.exists() else 0
        if size == self._read_bytes:
            return
        lines = Journal(self.path, is_decision).read()
        self.all = [Decision(**{**line, "rev": number}) for number, line in enumerate(lines, 1)]
        self._latest = {decision.item: decision for decision in self.all}
        self._read_bytes = size

    def of(self, item: str) -> Decision | None:
        """The decision that holds for an item."""
        return self._latest.get(item)

    def of_video(self, video: str) -> list[Decision]:
        """The decisions that hold for a video and what is in it."""
        return [found for item, found in self._latest.items() if item == video or item.startswith(f"{video}/")]

    def since(self, rev: int) -> list[Decision]:
        """The decisions after a number of them."""
        return self.all[rev:]

    def decide(
        self, item: str, seen_rev: int, who: str, status: str, fields: dict[str, Any] | None = None, about: str = ""
    ) -> Decision:
        """
        Decide about an item.

        Args:
            item (`str`): Which.
            seen_rev (`int`): The `rev` of the decision about it that the person saw; 0 where there was none.
            who (`str`), status (`str`), fields (`dict`), about (`str`): See [`Decision`].

        Raises:
            [`Conflict`]: if somebody has decided about it since.
        """
        if status not in STATUSES:
            raise ValueError(f"status: got {status!r}, expected one of {', '.join(STATUSES)}.")
        if not who.strip():
            raise ValueError("who: got nothing, expected the name of the person who decides.")
        with self._lock():
            self.load()
            latest = self.of(item)
            if latest is not None and latest.rev != seen_rev:
                raise Conflict(f"{latest.who} has {latest.status} this meanwhile", latest)
            return self._append(Decision(item, status, who.strip(), _now(), 0, dict(fields or {}), about))

    def undo(self, who: str) -> Decision | None:
        """
        Take back the last decision of a person that is not taken back; `None` where there is none.

        Raises:
            [`Conflict`]: if somebody else has decided about the item since.
        """
        with self._lock():
            self.load()
            undone = {decision.undoes for decision in self.all}
            standing = [one for one in self.all if one.undoes is None and one.rev not in undone]
            mine = [one for one in standing if one.who == who.strip()]
            if not mine:
                return None
            last = mine[-1]
            later = [one for one in standing if one.rev > last.rev and one.item == last.item and one.who != last.who]
            if later:
                raise Conflict(f"{later[-1].who} has {later[-1].status} this after you", later[-1])
            before = self._before(last)
            return self._append(replace(before, who=last.who, when=_now(), undoes=last.rev))

    def _before(self, decision: Decision) -> Decision:
        """What held for an item before a decision that is to be taken back."""
        earlier = [one for one in self.all[: decision.rev - 1] if one.item == decision.item]
        return earlier[-1] if earlier else Decision(decision.item, PROPOSED, decision.who, "", 0)

    def _append(self, decision: Decision) -> Decision:
        decision = replace(decision, rev=self.rev + 1)
        line = {name: value for name, value in asdict(decision).items() if name != "rev"}
        Journal(self.path, is_decision).append(line)
        self._read_bytes = -1
        self.load()
        return self.all[-1]

    def _lock(self) -> FileLock:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        return FileLock(self.path.parent / LOCK)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
