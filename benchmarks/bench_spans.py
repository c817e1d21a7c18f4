"""Which frames a span of time has, by the rule that everything here uses and by others, over a set of annotations.

    python benchmarks/bench_spans.py --annotations HIVAU-70k [--json FILE]

The rules, of a span from `start` to `end` seconds at `fps` frames per second, each end counting as the frame after it:

- time: frames that begin in `start <= t < end`, to the millisecond (`segment_frame_range`): all are compared with it;
- exact: the same without the millisecond;
- nearest: `round(seconds * fps)`;
- release: `int(seconds * fps)`, by which the original release cuts its files (`cut --rule release`).
"""

import json
import math
import sys
from collections.abc import Callable, Iterable
from pathlib import Path


sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from hivau70k_dataset.reading import read_annotation_files  # noqa: E402
from hivau70k_dataset.schema import VideoAnnotation  # noqa: E402
from modeling_holmes_vau.base.parser import Parser  # noqa: E402
from modeling_holmes_vau.spans_holmes_vau import span_at_rate  # noqa: E402


NOISE_FRAMES = 1e-6  # of computing `seconds * fps`
BORDERS: dict[str, Callable[[float], int]] = {
    "exact": lambda place: math.ceil(place - NOISE_FRAMES),
    "nearest": round,
    "release": int,
}


def span_of(rule: str, start_s: float, end_s: float, fps: float) -> tuple[int, int]:
    """First frame of a span by a rule, and the one after its last, at least the next."""
    first, stop = (BORDERS[rule](border_s * fps) for border_s in (start_s, end_s))
    return first, max(stop, first + 1)


def compare(annotations: Iterable[VideoAnnotation]) -> dict[str, dict]:
    """How many spans each rule gives other frames than the rule of time.

    Returns:
        `dict[str, dict]`: Of each rule, `event` and `clip` (how many differ), `share` of all spans, `most_frames` by
        which an end differs, and `frames`, in one rule and not in the other, over all spans.
    """
    spans = [(level, *span_s, entry.fps) for entry in annotations for level, _, _, span_s in entry.segments()]
    if not spans:
        raise SystemExit("these annotations hold no events and clips, only rows")
    found = {}
    for rule in BORDERS:
        row = {"event": 0, "clip": 0, "share": 0.0, "most_frames": 0, "frames": 0}
        for level, start_s, end_s, fps in spans:
            ours, theirs = span_at_rate(start_s, end_s, fps), span_of(rule, start_s, end_s, fps)
            row[level] += ours != theirs
            row["most_frames"] = max(row["most_frames"], *(abs(a - b) for a, b in zip(ours, theirs)))
            row["frames"] += len({*range(*ours)} ^ {*range(*theirs)})
        found[rule] = row | {"share": (row["event"] + row["clip"]) / len(spans)}
    return found


def main(argv: list[str] | None = None) -> None:
    parser = Parser(description=__doc__.splitlines()[0])
    parser.add_argument("--annotations", required=True, metavar="DIR", help="folder of annotation files, or one file")
    parser.add_argument("--json", metavar="FILE", help="write the figures here")
    args = parser.parse_args(argv)
    annotations = read_annotation_files(args.annotations).annotations
    results = compare(annotations)
    counts = {"event": sum(len(entry.events) for entry in annotations)}
    counts["clip"] = sum(len(event.clips) for entry in annotations for event in entry.events)
    print(
        f"{counts['event']} events and {counts['clip']} clips of {len(annotations)} videos; other frames than by time:"
    )
    print(f"{'rule':10}{'events':>8}{'clips':>8}{'share':>8}{'by at most':>12}{'frames':>8}")
    for rule, row in results.items():
        figures = f"{row['event']:8}{row['clip']:8}{row['share']:8.1%}{row['most_frames']:12}{row['frames']:8}"
        print(f"{rule:10}{figures}")
    if args.json:
        Path(args.json).write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
