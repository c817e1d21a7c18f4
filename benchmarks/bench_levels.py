"""Words at every level from one pass: what the events add in vision passes and seconds, and how they are judged.

    python benchmarks/bench_levels.py --annotations mini --videos mini/videos [--model DIR] [--limit N]

Each event that the scorer finds is asked about as `holmes-vau analyze --granularity video event clip` does. It is a
true one if it overlaps an annotated event of an abnormal video (IoU of at least 0.3), and a false alarm otherwise.
Seconds are those of the one pass over the frames, and of all that is said after it.
"""

import argparse
import json
import sys
import time
from collections import Counter
from pathlib import Path


sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from hivau70k_dataset.labels import canonical_class, parse_judgement  # noqa: E402
from hivau70k_dataset.reading import read_annotation_files  # noqa: E402
from hivau70k_dataset.schema import VideoAnnotation  # noqa: E402
from hivau70k_dataset.videos import VideoFolder  # noqa: E402
from modeling_holmes_vau.base.files import write_whole  # noqa: E402
from modeling_holmes_vau.base.parser import Parser  # noqa: E402
from modeling_holmes_vau.base.progress import Progress  # noqa: E402


LEAST_IOU = 0.3


def build_parser() -> Parser:
    """The parser of this benchmark."""
    parser = Parser("bench_levels.py", description="Vision passes, seconds and judgements of words at every level.")
    parser.add_argument("--annotations", required=True, metavar="DIR", help="folder of annotation files")
    parser.add_argument("--videos", required=True, metavar="DIR", help="folder of the videos")
    parser.add_argument("--split", default="test", help="of the annotations (test)")
    parser.add_argument("--model", metavar="DIR", help="checkpoint folder or Hub name; default: the one in the box")
    parser.add_argument("--device", help="default: the fastest there is")
    parser.add_argument("--limit", type=int, metavar="N", help="the first N videos")
    parser.add_argument("--json", metavar="FILE", help="write the figures here")
    return parser


def is_true(span_s: tuple[float, float], entry: VideoAnnotation) -> bool:
    """Whether a span overlaps an annotated abnormal event."""
    for event in entry.events if entry.labels else ():
        both = min(span_s[1], event.end_s) - max(span_s[0], event.start_s)
        either = max(span_s[1], event.end_s) - min(span_s[0], event.start_s)
        if both / either >= LEAST_IOU:
            return True
    return False


def count_judgements(annotation: dict, entry: VideoAnnotation, counts: Counter) -> None:
    """Count how the events of one video are judged."""
    classes = {canonical_class(label) for label in entry.labels}
    for event in annotation["events"]:
        judged = parse_judgement(event["judgement"] or "")
        kind = "true" if is_true((event["start_s"], event["end_s"]), entry) else "false"
        counts[f"{kind}_events"] += 1
        counts[f"{kind}_events_judged_abnormal"] += bool(judged.abnormal)
        counts[f"{kind}_events_class_right"] += bool(classes & set(judged.classes))


def measure(args: argparse.Namespace) -> dict:
    """The figures, summed over the videos."""
    from modeling_holmes_vau import VideoSession
    from modeling_holmes_vau.checkpoint.load import load_on_device
    from modeling_holmes_vau.levels_holmes_vau import describe_levels

    model, processor = load_on_device(args.model, args.device, "auto")
    encode, passes = model.encode_frames, Counter()
    stage = "pass"

    def counted(frames):
        passes[stage] += len(frames)
        return encode(frames)

    model.encode_frames = counted
    folder, counts, seconds = VideoFolder(args.videos), Counter(), Counter()
    entries = [entry for entry in read_annotation_files(args.annotations).annotations if entry.split == args.split]
    for entry in Progress(entries[: args.limit], "videos", unit="video"):
        if (found := folder.find(entry)) is None:
            raise ValueError(f"{entry.whole_path} is not under {args.videos}: every annotated video is needed.")
        stage, start = "pass", time.perf_counter()
        session = VideoSession(found.path, model, processor)
        session.encoded()
        stage, middle = "levels", time.perf_counter()
        annotation = describe_levels(session)
        seconds["pass"] += middle - start
        seconds["levels"] += time.perf_counter() - middle
        counts["videos"] += 1
        counts["clips"] += sum(len(event["clips"]) for event in annotation["events"])
        count_judgements(annotation, entry, counts)
    figures = {f"vision_passes_{name}": passes[name] for name in ("pass", "levels")}
    return {**counts, **figures, **{f"seconds_{name}": round(value, 1) for name, value in seconds.items()}}


def main(argv: list[str] | None = None) -> dict:
    """Measure and print."""
    args = build_parser().parse_args(argv)
    figures = measure(args)
    for name, value in figures.items():
        print(f"{name:32} {value}")
    if args.json:
        write_whole(Path(args.json), json.dumps(figures, indent=2) + "\n")
    return figures


if __name__ == "__main__":
    main()
