"""What `validate` finds: each thing that is wrong, what it means, and the report of them."""

from collections import Counter, defaultdict
from dataclasses import asdict, dataclass, field
from typing import Any

from .release import ReleaseReport


LOW_IOU = 0.5  # the least that detection benchmarks take for the same event
# What each finding means, in the order of the report.
MEANING = {
    "unreadable": "can't be read and is left out of everything below",
    "split_mismatch": "of another split than the file's name says, and left out of everything below",
    "two_splits": "a video that stands in two splits",
    "unknown_field": "a field that is not known and was left aside",
    "event_frames": "frames of the events that are not those of their seconds",
    "duplicate_video": "a video annotated before, in another file",
    "duplicate_row": "the same segment, question and answer as an earlier row",
    "duplicate_id": "an id that an earlier row has",
    "contradiction": "the judgement contradicts the class of the video",
    "unclear_judgement": "the judgement says neither that there is an anomaly nor that there is none",
    "no_known_class": "an anomaly is stated without a class that is known",
    "other_class": "the judgement names another class than the video has",
    "label_spelling": "a class spelt otherwise than the benchmark spells it",
    "unknown_label": "a label that is no class of the benchmark",
    "glued_prompts": "two prompts in one",
    "curly_quotes": "curly quotation marks or apostrophes",
    "non_ascii": "letters outside ASCII",
    "white_space": "line breaks in a text, or spaces around it",
    "odd_name": "a file name with characters that shells and URLs take for something else",
    "event_past_end": "an event ends after the video",
    "clip_past_end": "a clip ends after the video",
    "event_overlap": "an event starts before the one before it ends",
    "clip_outside_event": "a clip reaches outside its event",
    "clip_overlap": "a clip starts within the clip before it",
    "clip_order": "a clip starts before the clip before it",
    "no_instructions": "an annotated video without any instruction row",
    "missing_row": "a task of an annotated segment without its row, in a video that has rows",
    "unknown_segment": "a row about a segment that the annotations do not have",
    "missing_video": "no file",
    "segment_length": "a file of one event or clip of another length than annotated",
    "unreadable_video": "a file that can't be read",
    "unreadable_folder": "a folder among the videos that can't be searched",
    "frame_count": "a file of another length than annotated",
    "frame_rate": "a file of another frame rate than annotated",
    "lost_segment": "fewer events than the ground truth has segments",
    "extra_segment": "more events than the ground truth has segments",
    "low_agreement": f"events that overlap the ground truth's segments with an IoU below {LOW_IOU:g}",
    "truth_class": "a video of other classes than the ground truth says",
    "truth_frames": "a video of another length than the ground truth says",
    "no_ground_truth": "an annotated video that the ground truth does not have",
}
KINDS = ("annotations", "instructions", "videos", "ground truth")
EXAMPLES = 3


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong.

    Args:
        kind (`str`): "annotations", "instructions", "videos" or "ground truth".
        code (`str`): A key of `MEANING`.
        file (`str`): The file it is in.
        video (`str`): The video or segment; empty where the file as a whole is meant.
        where (`str`): Field or row id.
        message (`str`): What was found.
        group (`str`, *optional*): What the report counts apart within a code.
    """

    kind: str
    code: str
    file: str
    video: str
    where: str
    message: str
    group: str = ""


@dataclass
class Report:
    """What `validate` found.

    Args:
        findings (`list[Finding]`): Everything that is wrong.
        spellings (`list[dict]`): Every class name in the judgements of the instruction rows, with the class it stands
            for and how many rows have it.
        agreement (`dict[str, float]`): Temporal IoU of each abnormal video's events with the ground truth, if given.
        videos (`int`): Annotated videos read.
        rows (`int`): Instruction rows read.
        release (`ReleaseReport`, *optional*): How much of HIVAU-70k it is, if it is any.
        left_out (`str`): What among the videos was not taken for one, in one line; empty if nothing.
    """

    findings: list[Finding] = field(default_factory=list)
    spellings: list[dict[str, Any]] = field(default_factory=list)
    agreement: dict[str, float] = field(default_factory=dict)
    videos: int = 0
    rows: int = 0
    release: ReleaseReport | None = None
    left_out: str = ""

    def count(self, kind: str, code: str) -> int:
        """How many findings of a kind have a code."""
        return sum(finding.kind == kind and finding.code == code for finding in self.findings)

    def to_dict(self) -> dict[str, Any]:
        """The report as plain JSON values."""
        counts = Counter((finding.kind, finding.code) for finding in self.findings)
        return {
            "videos": self.videos,
            "rows": self.rows,
            "release": self.release and self.release.to_dict(),
            "left_out": self.left_out,
            "counts": {kind: {c: counts[kind, c] for c in MEANING if counts[kind, c]} for kind in KINDS},
            "mean_temporal_iou": sum(self.agreement.values()) / len(self.agreement) if self.agreement else None,
            "temporal_iou": self.agreement,
            "spellings": self.spellings,
            "findings": [asdict(finding) for finding in self.findings],
        }

    def to_text(self) -> str:
        """The report for reading: each code with its count, its meaning and the first examples."""
        lines = [f"{self.videos} annotated videos and {self.rows} instruction rows, {len(self.findings)} findings"]
        lines += [self.release.to_text()] if self.release else []
        lines += [f"among the videos: {self.left_out}"] if self.left_out else []
        grouped = defaultdict(list)
        for finding in self.findings:
            grouped[finding.kind, finding.code].append(finding)
        for kind in KINDS:
            codes = [code for code in MEANING if (kind, code) in grouped]
            lines += ["", f"{kind}:"] if codes else []
            for code in codes:
                lines += _block(code, grouped[kind, code])
        if self.agreement:
            mean = self.to_dict()["mean_temporal_iou"]
            lines += [
                "",
                f"mean temporal IoU with the ground truth: {mean:.4f} ({len(self.agreement)} abnormal videos)",
            ]
        if self.spellings:
            listed = defaultdict(list)
            for entry in self.spellings:
                listed[entry["class"]].append(f"{entry['spelling']} ({entry['count']})")
            lines += ["", f"class names in the judgements: {len(self.spellings)} spellings of {len(listed)} classes"]
            lines += [f"  {name}: {', '.join(names)}" for name, names in sorted(listed.items())]
        return "\n".join(lines)


def _block(code: str, findings: list[Finding]) -> list[str]:
    groups = Counter(finding.group for finding in findings if finding.group)
    split = f" ({', '.join(f'{count} {group}' for group, count in groups.items())})" if groups else ""
    lines = [f"{len(findings):6d}  {code}: {MEANING[code]}{split}"]
    lines += [f"          {_place(finding)}: {finding.message}" for finding in findings[:EXAMPLES]]
    if len(findings) > EXAMPLES:
        lines.append(f"          and {len(findings) - EXAMPLES} more")
    return lines


def _place(finding: Finding) -> str:
    return " ".join(filter(None, (finding.video or finding.file, finding.where)))
