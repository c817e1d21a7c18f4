"""Scores at the edges: does a scorer see an event that is under way when a video, or a segment of it, ends or begins?

    python benchmarks/bench_edges.py --annotations mini --videos mini/videos [--model DIR] [--limit N] [--json FILE]

Of each abnormal test event of at least six scored frames a segment is cut that ends in the middle of the event, and
one that begins there. Told are the mean score of the last (first) scored frame of these segments, of all those within
the event, and the share of the segments in which a found event reaches the end (begins with the segment). A video
that is black from beginning to end tells what the edges alone do: nothing happens in it, so its scores should be low
and even.
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np
import torch


sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from hivau70k_dataset.reading import read_annotation_files  # noqa: E402
from hivau70k_dataset.videos import VideoFolder  # noqa: E402
from modeling_holmes_vau.base.files import write_whole  # noqa: E402
from modeling_holmes_vau.base.parser import Parser  # noqa: E402
from modeling_holmes_vau.base.progress import Progress  # noqa: E402
from modeling_holmes_vau.checkpoint.load import load_on_device  # noqa: E402
from modeling_holmes_vau.events_holmes_vau import find_events  # noqa: E402
from modeling_holmes_vau.session_holmes_vau import VideoSession  # noqa: E402


LEAST = 6  # scored frames of an event that is cut
BLACK_FRAMES = 400


def build_parser() -> Parser:
    """The parser of this benchmark."""
    parser = Parser("bench_edges.py", description="Scores where a segment begins or ends in the middle of an event.")
    parser.add_argument("--annotations", required=True, metavar="DIR", help="folder of annotation files")
    parser.add_argument("--videos", required=True, metavar="DIR", help="folder of the videos")
    parser.add_argument("--split", default="test", help="of the annotations (test)")
    parser.add_argument("--model", metavar="DIR", help="checkpoint folder or Hub name; default: the one in the box")
    parser.add_argument("--device", help="default: the fastest there is")
    parser.add_argument("--limit", type=int, metavar="N", help="the first N videos")
    parser.add_argument("--json", metavar="FILE", help="write the figures here")
    return parser


def cut_scores(model, tokens: torch.Tensor, first: int, stop: int) -> np.ndarray:
    """Scores of the scored frames from `first` up to `stop`, as of a segment of its own."""
    return model.score_features(tokens[first:stop]).numpy()


def reaches(scores: np.ndarray, at_end: bool, rule) -> bool:
    """Whether a found event reaches the end (or the beginning) of a segment."""
    times_s = list(range(len(scores)))
    found = find_events(scores, times_s, len(scores), rule.threshold, rule.low_threshold, rule.min_length_s)
    return any(event["end_s"] == len(scores) if at_end else event["start_s"] == 0 for event in found)


def measure(model, processor, entries: list, folder: VideoFolder) -> dict[str, list[float]]:
    """Scores at the edges and inside, and whether found events reach the edges, of all cut segments."""
    found: dict[str, list[float]] = {
        name: [] for name in ("last", "first", "inside", "reaches the end", "begins with it")
    }
    for entry in Progress(entries, "cutting", unit="video"):
        session = VideoSession(folder.find(entry).path, model, processor)
        tokens, times_s = session.encoder.class_tokens, np.array(session.encoder.dense_times_s)
        for event in entry.events:
            within = np.flatnonzero((event.start_s <= times_s) & (times_s < event.end_s))
            if len(within) < LEAST:
                continue
            middle = int(within[len(within) // 2])
            to_end = cut_scores(model, tokens, max(0, within[0] - 10), middle)
            to_start = cut_scores(model, tokens, middle, min(len(times_s), within[-1] + 11))
            found["last"].append(float(to_end[-1]))
            found["first"].append(float(to_start[0]))
            found["inside"].append(float(session.scores.numpy()[within[1:-1]].mean()))
            found["reaches the end"].append(reaches(to_end, True, session.event_rule))
            found["begins with it"].append(reaches(to_start, False, session.event_rule))
    return found


def main(argv: list[str] | None = None) -> None:
    """Measure and print a table."""
    args: argparse.Namespace = build_parser().parse_args(argv)
    model, processor = load_on_device(args.model, args.device, "auto")
    entries = [e for e in read_annotation_files(args.annotations).annotations if e.split == args.split and e.labels]
    found = measure(model, processor, entries[: args.limit], VideoFolder(args.videos))
    side = processor.image_size
    black = VideoSession(np.zeros((BLACK_FRAMES, side, side, 3), np.uint8), model, processor, fps=10.0).scores
    figures = {name: float(np.mean(values)) for name, values in found.items()}
    figures |= {"segments": len(found["last"]), "black, first": float(black[0]), "black, last": float(black[-1])}
    figures |= {"black, in between": float(black[1:-1].mean())}
    print("| | |\n|---|---:|")
    print(f"| events cut in their middle | {figures['segments']} |")
    for name in ("inside", "last", "first", "reaches the end", "begins with it"):
        print(f"| {name if ' ' in name else f'mean score, {name}'} | {figures[name]:.3f} |")
    for name in ("black, first", "black, in between", "black, last"):
        print(f"| {name} | {figures[name]:.3f} |")
    if args.json:
        write_whole(Path(args.json), json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
