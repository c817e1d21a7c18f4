"""Time to the first token, and where it goes.

    python -m eval.paper.latency --model DIR --annotations DIR --videos DIR --output FILE

A part each: decoding, vision tower, anomaly scorer, choosing the frames, and prefill, which ends with the first token.
Decoding runs ahead of the tower in a thread of its own, so that the parts may add up to more than the whole.
"""

import argparse
import json
import statistics
import time
from pathlib import Path
from typing import Any

from hivau70k_dataset.reading import read_annotation_files
from hivau70k_dataset.schema import SPLITS
from hivau70k_dataset.videos import VideoFolder
from modeling_holmes_vau.base.commands import CommandError, run_command
from modeling_holmes_vau.base.files import write_whole
from modeling_holmes_vau.base.parser import Parser
from modeling_holmes_vau.base.progress import Progress


QUESTION = "Are there any anomaly events detected in the video?"
PARTS = ("decode", "tower", "score", "choose", "prefill")


def build_parser() -> Parser:
    """The parser of this module."""
    parser = Parser("latency", description=__doc__.splitlines()[0])
    parser.add_argument("--model", required=True, metavar="DIR", help="checkpoint folder or Hub name")
    parser.add_argument("--annotations", required=True, metavar="DIR", help="which tell the videos of the split")
    parser.add_argument("--videos", required=True, metavar="DIR", help="folder of the videos, of which some are timed")
    parser.add_argument("--split", choices=SPLITS, default="test", help="of the annotations (test)")
    parser.add_argument("-o", "--output", required=True, metavar="FILE", help="JSON to write")
    parser.add_argument("--num-frames", type=int, metavar="N", help="frames the model sees (the checkpoint's)")
    parser.add_argument("--sampler", metavar="NAME", help="how they are chosen (the checkpoint's)")
    parser.add_argument("--no-scores", action="store_true", help="frames evenly spread, no dense pass")
    parser.add_argument("--runs", type=int, default=20, help="how many videos are timed (%(default)s)")
    parser.add_argument("--warm-up", type=int, default=3, help="how many before, which do not count (%(default)s)")
    parser.add_argument("--device", help="cpu, cuda, cuda:1, mps; default: the fastest there is")
    parser.add_argument("--dtype", default="auto", choices=("auto", "float32", "bfloat16", "float16"))
    return parser


def spread_over(paths: list[str], count: int) -> list[str]:
    """`count` of the paths, evenly spread; again from the first where there are fewer."""
    return [
        paths[place * len(paths) // count if len(paths) >= count else place % len(paths)] for place in range(count)
    ]


def paths_of(args: argparse.Namespace) -> list[str]:
    """The whole videos of the split that are there, in the order of the annotations."""
    folder = VideoFolder(args.videos)
    entries = [entry for entry in read_annotation_files(args.annotations).annotations if entry.split == args.split]
    found = [video.path for entry in entries if (video := folder.find_whole(entry))]
    if not found:
        raise CommandError(f"--videos {args.videos}: holds none of the {len(entries)} videos of --split {args.split}")
    return found


def time_one(model, processor, path: str, args: argparse.Namespace) -> dict[str, float]:
    """Seconds from the file to the first token of an answer about it, in all and by part."""
    from modeling_holmes_vau.session_holmes_vau import VideoSession

    start = time.perf_counter()
    session = VideoSession(path, model, processor, args.num_frames, sampler=args.sampler, scored=not args.no_scores)
    encoded_before = session.encoder.encode_s
    session.scores  # noqa: B018  computed once, here, and timed by the encoder
    score_s, chosen_at = session.encoder.score_s, time.perf_counter()
    encoded = session.encoded()
    choose_s = time.perf_counter() - chosen_at - (session.encoder.encode_s - encoded_before)
    prefill_at = time.perf_counter()
    inputs = processor.conversation_inputs([[(QUESTION, None)]], len(encoded.frame_indices)).to(model.device)
    model.generate(**inputs, encoded_videos=[encoded], max_new_tokens=1, do_sample=False)
    end = time.perf_counter()
    parts = (session.stream.decode_s, session.encoder.encode_s, score_s, choose_s, end - prefill_at)
    return dict(zip(PARTS, parts)) | {"total": end - start, "frames": len(session.plan.frame_indices)}


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """Medians over the videos, in milliseconds, and every run."""
    from modeling_holmes_vau.checkpoint.load import load_on_device

    model, processor = load_on_device(args.model, args.device, args.dtype)
    paths = paths_of(args)
    timed = spread_over(paths, args.runs)
    runs = []
    with Progress(total=args.warm_up + args.runs, desc="latency", unit="video") as bar:
        for place, path in enumerate([*spread_over(paths, args.warm_up), *timed]):
            run = time_one(model, processor, path, args)
            runs += [run] if place >= args.warm_up else []
            bar.update()
    medians = {f"{name}_ms": 1000 * statistics.median(run[name] for run in runs) for name in (*PARTS, "total")}
    share = statistics.median((run["score"] + run["choose"]) / run["total"] for run in runs)
    medians |= {"frames": statistics.median(run["frames"] for run in runs), "sampler_share": share}
    return medians | {"device": str(model.device), "dtype": str(model.dtype), "runs": runs}


def run(args: argparse.Namespace) -> int:
    """Measure and write."""
    for name in ("runs", "warm_up"):
        if (value := vars(args)[name]) < (name == "runs"):
            raise CommandError(f"--{name.replace('_', '-')} is {value}: expected at least {int(name == 'runs')}")
    result = measure(args)
    write_whole(Path(args.output), json.dumps(result, indent=2) + "\n")
    print(
        f"{result['total_ms']:.0f} ms to the first token, {result['sampler_share']:.1%} of it for scores and sampler"
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(run_command(run, build_parser().parse_args()))
