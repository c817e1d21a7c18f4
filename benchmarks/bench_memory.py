"""Memory does not grow with the video: peak RSS of a long video against a short one, and of the scorer on ten hours.

    python benchmarks/bench_memory.py [--short-min 5] [--long-min 60] [--snippets 67500] [--json FILE]

The videos repeat one of the miniature by copying its packets. Every measurement runs in a process of its own.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import av

from hivau70k_dataset import render_miniature
from modeling_holmes_vau.base.parser import Parser


def repeat_video(source: Path, target: Path, minutes: float) -> None:
    """Copy the packets of `source` until `target` lasts `minutes`."""
    with av.open(str(source)) as reader, av.open(str(target), "w") as writer:
        stream = reader.streams.video[0]
        out = writer.add_stream_from_template(stream)
        packets = [p for p in reader.demux(stream) if p.dts is not None]
        copies = [(p.pts, p.dts, bytes(p), p.is_keyframe) for p in packets]
        length = round(len(copies) / stream.average_rate / stream.time_base)
        for number in range(round(minutes * 60 * stream.average_rate / len(copies))):
            for pts, dts, data, key in copies:
                packet = av.Packet(data)
                packet.pts, packet.dts = pts + number * length, dts + number * length
                packet.time_base, packet.stream, packet.is_keyframe = stream.time_base, out, key
                writer.mux(packet)


def measure_video(path: str) -> dict:
    from modeling_holmes_vau import HolmesVAUForConditionalGeneration, HolmesVAUProcessor, analyze_video
    from modeling_holmes_vau.checkpoint.known import default_checkpoint

    folder = default_checkpoint()
    model = HolmesVAUForConditionalGeneration.from_pretrained(folder).eval()
    analysis = analyze_video(path, model, HolmesVAUProcessor.from_pretrained(folder), max_new_tokens=4)
    return {"minutes": analysis["duration_s"] / 60, "dense_frames": len(analysis["scores"])}


def measure_scorer(snippets: str) -> dict:
    import torch

    from modeling_holmes_vau import AnomalyScorer, AnomalyScorerConfig

    scorer = AnomalyScorer(AnomalyScorerConfig()).eval()
    before_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    features = torch.randn(1, int(snippets), 1024)
    with torch.no_grad():
        scorer(features)
    return {"snippets": int(snippets), "before_mb": before_mb}


def in_process(kind: str, argument: str) -> dict:
    start = time.perf_counter()
    done = subprocess.run([sys.executable, __file__, "--measure", kind, argument], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stderr)
    return json.loads(done.stdout.splitlines()[-1]) | {"seconds": time.perf_counter() - start}


def main(argv: list[str] | None = None) -> None:
    parser = Parser(description=__doc__.splitlines()[0])
    parser.add_argument("--short-min", type=float, default=5.0, help="minutes of the short video")
    parser.add_argument("--long-min", type=float, default=60.0, help="minutes of the long video")
    parser.add_argument(
        "--snippets", type=int, default=67_500, help="snippets for the scorer: 10 h at 30 fps, stride 16"
    )
    parser.add_argument("--json", metavar="FILE", help="write the figures here")
    parser.add_argument("--measure", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    if args.measure:
        kind, argument = args.measure
        result = (measure_video if kind == "video" else measure_scorer)(argument)
        result["peak_rss_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps(result))
        return
    with tempfile.TemporaryDirectory() as folder:
        render_miniature(Path(folder) / "one", "test", videos=1, size=448, progress=False)
        (one,) = (Path(folder) / "one").rglob("*.mp4")
        videos = {}
        for name, minutes in (("short", args.short_min), ("long", args.long_min)):
            path = Path(folder) / f"{name}.mp4"
            repeat_video(one, path, minutes)
            videos[name] = in_process("video", str(path))
            print(name, videos[name], flush=True)
    scorer = in_process("scorer", str(args.snippets))
    scorer["added_mb"] = scorer["peak_rss_mb"] - scorer["before_mb"]
    print("scorer", scorer)
    growth = videos["long"]["peak_rss_mb"] / videos["short"]["peak_rss_mb"] - 1
    print(f"the long video's peak memory is {growth:+.1%} of the short one's; scorer adds {scorer['added_mb']:.0f} MB")
    if args.json:
        Path(args.json).write_text(json.dumps({**videos, "growth": growth, "scorer": scorer}, indent=2) + "\n")


if __name__ == "__main__":
    main()
