"""The size of HIVAU-70k, and how much of it a set of annotations is."""

from dataclasses import asdict, dataclass
from typing import Any

from .reading import AnnotationFiles


# Annotated videos and events of each file of the release. Those of the training files add up to the paper's 5,443
# videos and 11,076 events (section 3.2), and so do its 758 + 735 and 1,904 + 2,046 videos (appendix A.1); those of
# UCF-Crime's test file are counted, those of XD-Violence's as its users report them.
RELEASED = {
    ("ucf-crime", "train"): (1493, 2840),
    ("xd-violence", "train"): (3950, 8236),
    ("ucf-crime", "test"): (251, 337),
    ("xd-violence", "test"): (800, 1838),
}
# Normal and abnormal training videos (paper, appendix A.1).
TRAIN_KINDS = {"ucf-crime": (758, 735), "xd-violence": (1904, 2046)}
TRAIN = {"videos": 5443, "events": 11_076, "clips": 55_806}  # both training files (paper, section 3.2)
SOURCES = tuple(TRAIN_KINDS)


@dataclass(frozen=True)
class ReleaseReport:
    """Whether annotations are the whole release.

    Args:
        counts (`dict[str, dict[str, tuple[int, int]]]`): By file ("ucf-crime train", and "train" for both training
            files) and by what is counted, how many there are and how many the release has.
        without_rows (`tuple[str, ...]`): Splits of the release without an instruction row.
    """

    counts: dict[str, dict[str, tuple[int, int]]]
    without_rows: tuple[str, ...]

    @property
    def is_whole(self) -> bool:
        """Whether every count is that of the release, and both splits have instruction rows."""
        return not self.without_rows and all(_is_whole(counted) for counted in self.counts.values())

    def to_dict(self) -> dict[str, Any]:
        """The report as plain JSON values."""
        return {"is_whole": self.is_whole, **asdict(self)}

    def to_text(self) -> str:
        """One line if the release is whole, else a line for each of its files."""
        if self.is_whole:
            return "the whole release of HIVAU-70k: every count is as published"
        lines = ["not the whole release of HIVAU-70k:"]
        for name, counted in self.counts.items():
            shown = (f"{count:,} of {released:,} {what}" for what, (count, released) in counted.items())
            lines.append(f"  {name}: {'whole' if _is_whole(counted) else ', '.join(shown)}")
        lines += [f"  instruction rows of {split}: none" for split in self.without_rows]
        return "\n".join(lines)


def _is_whole(counted: dict[str, tuple[int, int]]) -> bool:
    return all(count == released for count, released in counted.values())


def compare_with_release(files: AnnotationFiles) -> ReleaseReport | None:
    """Count the videos and events of the release that are there; `None` where none is of its two benchmarks."""
    entries = [entry for entry in files.annotations if entry.source in SOURCES]
    rows = [entry for entry in files.instructions if entry.source in SOURCES]
    if not entries and not rows:
        return None
    counts = {}
    for (source, split), (videos, events) in RELEASED.items():
        there = [entry for entry in entries if (entry.source, entry.split) == (source, split)]
        counted = {"videos": (len(there), videos), "events": (sum(len(entry.events) for entry in there), events)}
        if split == "train":
            normal, abnormal = TRAIN_KINDS[source]
            counted["normal videos"] = (sum(not entry.labels for entry in there), normal)
            counted["abnormal videos"] = (sum(bool(entry.labels) for entry in there), abnormal)
        counts[f"{source} {split}"] = counted
    train = [entry for entry in entries if entry.split == "train"]
    events = [event for entry in train for event in entry.events]
    found = {"videos": len(train), "events": len(events), "clips": sum(len(event.clips) for event in events)}
    counts["train"] = {what: (found[what], published) for what, published in TRAIN.items()}
    splits = {entry.split for entry in rows}
    return ReleaseReport(counts, tuple(split for split in ("train", "test") if split not in splits))
