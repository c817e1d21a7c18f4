"""Cutting a span of a video: peak memory and time of `cut_segments` against decoding the whole span, then writing it.

    python benchmarks/bench_cut.py --video street.mp4 [--start-s 0] [--end-s 30] [--runs 3] [--json FILE]

The original release decodes a span into a list of frames before it writes the first. Both ways make one file in one
process of their own, with the same encoder settings; "added" memory is what they need beyond the imports.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from fractions import Fraction
from pathlib import Path

from modeling_holmes_vau.base.parser import Parser


def peak_rss_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def cut_as_original(video: str, output: Path, start_s: float, end_s: float) -> None:
    """Decode with decord, one frame after the other into a list, then encode."""
    import av
    import decord

    from hivau70k_dataset.cutting import X264_OPTIONS

    reader = decord.VideoReader(video, num_threads=1)
    fps = reader.get_avg_fps()
    stop = min(int(end_s * fps), len(reader))
    frames = [reader[i].asnumpy() for i in range(int(start_s * fps), stop)]
    with av.open(str(output), "w") as container:
        rate = Fraction(fps).limit_denominator(10_000)
        stream = container.add_stream("libx264", rate=rate, options=X264_OPTIONS)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt, stream.thread_count = "yuv420p", 1
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    del reader  # one that is left at interpreter exit aborts the process


def measure(way: str, video: str, start_s: float, end_s: float) -> dict:
    """Cut in this process. Returns seconds, memory and size."""
    import decord  # noqa: F401

    from hivau70k_dataset.segments import Cut, cut_segments

    before_mb, start = peak_rss_mb(), time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "cut.mp4"
        if way == "original":
            cut_as_original(video, output, start_s, end_s)
        else:
            report = cut_segments(
                [Cut(Path(video), output, start_s, end_s, "release")], workers=1, mode=way, progress=False
            )
            if report.failures:
                raise SystemExit(report.failures[0][1])
        seconds, size_mb = time.perf_counter() - start, output.stat().st_size / 1e6
    return {"seconds": seconds, "added_mb": peak_rss_mb() - before_mb, "peak_mb": peak_rss_mb(), "size_mb": size_mb}


def in_processes(way: str, args: argparse.Namespace) -> dict:
    """The medians of several processes."""
    span = ["--start-s", str(args.start_s), "--end-s", str(args.end_s)]
    command = [sys.executable, __file__, "--video", args.video, *span, "--measure", way]
    results = []
    for _ in range(args.runs):
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(done.stderr)
        results.append(json.loads(done.stdout.splitlines()[-1]))
    return {key: statistics.median(result[key] for result in results) for key in results[0]}


def main(argv: list[str] | None = None) -> None:
    parser = Parser(description=__doc__.splitlines()[0])
    parser.add_argument("--video", required=True, help="video to cut from")
    parser.add_argument("--start-s", type=float, default=0.0, help="start of the span in seconds")
    parser.add_argument("--end-s", type=float, default=1e9, help="end of the span in seconds; default: of the video")
    parser.add_argument("--runs", type=int, default=3, help="processes of each kind, of which the median is printed")
    parser.add_argument("--json", metavar="FILE", help="write the figures here")
    parser.add_argument("--measure", choices=("original", "encode", "auto"), help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    if args.measure:
        print(json.dumps(measure(args.measure, args.video, args.start_s, args.end_s)))
        return
    results = {way: in_processes(way, args) for way in ("original", "encode", "auto")}
    print(
        f"{'':10}{'seconds':>10}{'added MB':>10}{'peak MB':>10}{'file MB':>10}{'time ratio':>12}{'memory ratio':>14}"
    )
    base = results["original"]
    for way, row in results.items():
        figures = f"{row['seconds']:10.2f}{row['added_mb']:10.0f}{row['peak_mb']:10.0f}{row['size_mb']:10.2f}"
        ratios = f"{row['seconds'] / base['seconds']:12.2f}{row['added_mb'] / base['added_mb']:14.3f}"
        print(f"{way:10}{figures}{ratios}")
    if args.json:
        Path(args.json).write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
