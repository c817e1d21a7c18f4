"""What makes one machine analyse more videos: each way of it on and off, on rendered miniature videos.

    python benchmarks/bench_throughput.py [--videos DIR] [--count N] [--model DIR] [--steps NAME ...]

Videos are rendered unless `--videos` names some. Seconds are those of the process on all its cores (CPU time), which
other work on the machine hardly changes; of a GPU those of the clock. Every step says how many of its answers, or
of its scores to 0.001, are those of the first row.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path


sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from modeling_holmes_vau.base.files import write_whole  # noqa: E402
from modeling_holmes_vau.base.parser import Parser  # noqa: E402
from modeling_holmes_vau.base.scan import scan_folder  # noqa: E402


LEVELS = ("video", "event", "clip")
BATCH_SIZES = (1, 2, 4, 8, 16, 32)
SEED, FRAME_SIDE = 17, 128  # of rendered videos


def build_parser() -> Parser:
    """The parser of this benchmark."""
    parser = Parser("bench_throughput.py", description="Ways to analyse more videos, on and off, as a Markdown table.")
    parser.add_argument("--videos", metavar="DIR", help="folder of videos; default: miniature videos are rendered")
    parser.add_argument("--count", type=int, default=4, metavar="N", help="how many videos (4)")
    parser.add_argument("--model", metavar="DIR", help="checkpoint folder or Hub name; default: the one in the box")
    parser.add_argument("--device", help="default: the fastest there is")
    parser.add_argument(
        "--steps", nargs="+", choices=[*STEPS], default=[*STEPS], metavar="NAME", help=f"some of {', '.join(STEPS)}"
    )
    parser.add_argument("--json", metavar="FILE", help="write the figures here")
    return parser


class Bench:
    """Model and videos, and how a way is measured."""

    def __init__(self, args: argparse.Namespace, videos: list[str]):
        from modeling_holmes_vau.checkpoint.load import load_on_device

        self.load = lambda **options: load_on_device(
            args.model, args.device, options.pop("dtype", "float32"), **options
        )
        self.model, self.processor = self.load()
        self.videos, self.on_gpu = videos, self.model.device.type != "cpu"

    def timed(self, work: Callable[[], list]) -> tuple[float, list]:
        """Seconds of `work`, and what it gives."""
        if self.on_gpu:
            import torch

            torch.cuda.synchronize()
        clock = time.perf_counter if self.on_gpu else time.process_time
        start = clock()
        result = work()
        if self.on_gpu:
            torch.cuda.synchronize()
        return clock() - start, result

    def sessions(self, model=None, **options) -> list:
        """Each video, decoded and scored."""
        from modeling_holmes_vau import VideoSession

        return [VideoSession(video, model or self.model, self.processor, **options) for video in self.videos]

    def scores(self, model=None, **options) -> list[float]:
        """The scores of all videos, one after the other."""
        return [score for session in self.sessions(model, **options) for score in session.scores.tolist()]


def row(step: str, way: str, seconds: float, first_s: float, equal: float | None) -> dict:
    """A row of the table."""
    return {"step": step, "way": way, "seconds": seconds, "times as fast": first_s / seconds, "equal": equal}


def share_equal(found: list, first: list) -> float | None:
    """The share of answers, or of scores to 0.001, that are the same."""
    same = [abs(a - b) < 1e-3 if isinstance(a, float) else a == b for a, b in zip(found, first, strict=True)]
    return sum(same) / len(same) if same else None


def compare(bench: Bench, step: str, ways: dict[str, Callable[[], list]]) -> list[dict]:
    """Rows of several ways to the same result; the others are compared with the first."""
    rows, first = [], None
    for way, work in ways.items():
        seconds, result = bench.timed(work)
        first = (seconds, result) if first is None else first
        rows.append(row(step, way, seconds, first[0], share_equal(result, first[1])))
    return rows


def batches(bench: Bench) -> list[dict]:
    """All that is asked at the three levels, by batch size."""
    from modeling_holmes_vau.asking_holmes_vau import answer_all
    from modeling_holmes_vau.levels_holmes_vau import LevelQuestions

    sessions = bench.sessions()
    asked = [LevelQuestions(session, LEVELS).questions for session in sessions]
    answer_all(sessions[0], asked[0][:1], 1, max_new_tokens=4)  # what is loaded at first use

    def answers(size: int) -> list[str]:
        told = [answer_all(session, some, size) for session, some in zip(sessions, asked)]
        return [answers[question] for answers, some in zip(told, asked) for question in some]

    ways = {f"`--batch-size {size}`": lambda size=size: answers(size) for size in BATCH_SIZES}
    return compare(bench, f"answers to {sum(map(len, asked))} questions", ways)


def frames(bench: Bench) -> list[dict]:
    """Decoding and encoding a video."""
    plain = compare(
        bench,
        "decode, encode, score",
        {"all scored frames": bench.scores, "`--skip-static`": lambda: bench.scores(skip_static=True)},
    )
    seconds, _ = bench.timed(lambda: [session.encoded() for session in bench.sessions(scored=False)])
    return [*plain, row(plain[0]["step"], "`--no-scores`", seconds, plain[0]["seconds"], None)]


def ahead(bench: Bench) -> list[dict]:
    """The next video is opened, decoded and resized in a thread while the present one is encoded and asked about; by
    the clock, which is what it is for."""
    from concurrent.futures import ThreadPoolExecutor

    from modeling_holmes_vau.session_holmes_vau import VideoSession

    def answer(session: VideoSession) -> str:
        return session.chat().ask("What happens here?")

    def one_by_one() -> list[str]:
        return [answer(VideoSession(video, bench.model, bench.processor)) for video in bench.videos]

    def overlapped() -> list[str]:
        with ThreadPoolExecutor(1) as pool:
            opened = [pool.submit(VideoSession, video, bench.model, bench.processor) for video in bench.videos]
            return [answer(session.result()) for session in opened]

    rows = []
    for way, work in {"one by one": one_by_one, "the next one meanwhile": overlapped}.items():
        start = time.perf_counter()
        result = work()
        rows.append((way, time.perf_counter() - start, result))
    first = rows[0]
    return [row("whole videos, clock", way, s, first[1], share_equal(r, first[2])) for way, s, r in rows]


def attention(bench: Bench) -> list[dict]:
    """How attention is computed, in the tower and while an answer is written."""

    def ways_of(model) -> list:
        from modeling_holmes_vau import VideoSession

        session = VideoSession(bench.videos[0], model, bench.processor)
        return [*session.scores.tolist(), session.chat().ask("What happens here?")]

    names = ["sdpa", "eager", *(["flash_attention_2"] if bench.on_gpu else [])]
    kinds = {}
    for name in names:
        half = {"dtype": "bfloat16"} if name == "flash_attention_2" else {}
        model, _ = bench.load(attention=name, **half)
        kinds[f"`--attention {name}`"] = lambda model=model: ways_of(model)
    return compare(bench, "a whole video", kinds)


def dtypes(bench: Bench) -> list[dict]:
    """Numbers of 32 and of 16 bits: scores."""
    models = {name: bench.load(dtype=name)[0] for name in ("float32", "bfloat16")}
    ways = {f"`--dtype {name}`": lambda model=model: bench.scores(model) for name, model in models.items()}
    return compare(bench, "decode, encode, score", ways)


def compiled(bench: Bench) -> list[dict]:
    """`torch.compile` of the vision tower; compiling is not counted."""
    import torch

    model, _ = bench.load()
    model.model.vision_tower.compile(dynamic=True)
    size = bench.processor.image_size
    for count in (model.config.encode_batch_size, 3):
        model.encode_frames(torch.zeros(count, 3, size, size, dtype=torch.uint8))
    ways = {"as it is": bench.scores, "`torch.compile` of the tower": lambda: bench.scores(model)}
    return compare(bench, "decode, encode, score", ways)


def picture(bench: Bench) -> list[dict]:
    """The picture of a report, by how much its file is packed."""
    import io

    import numpy as np
    from PIL import Image

    from modeling_holmes_vau.report.picture import draw_timeline

    session = bench.sessions()[0]
    encoded = session.encoded()
    analysis = session.analysis(encoded, "What?", "", 0.0)
    shown = session.reader.read(analysis.sampled_frame_indices)
    drawn = np.asarray(Image.open(io.BytesIO(draw_timeline(analysis, shown))))

    def pack(optimize: bool) -> list:
        for _ in range(3):
            Image.fromarray(drawn).save(io.BytesIO(), format="PNG", optimize=optimize)
        return []

    ways = {"PNG, optimised": lambda: pack(True), "PNG, as it is written": lambda: pack(False)}
    return compare(bench, "three `timeline.png`, packed", ways)


STEPS = {
    "batches": batches,
    "frames": frames,
    "ahead": ahead,
    "attention": attention,
    "dtypes": dtypes,
    "compile": compiled,
    "picture": picture,
}


def as_markdown(rows: list[dict]) -> str:
    """The table."""
    lines = ["| step | way | seconds | times as fast | equal |", "|---|---|---|---|---|"]
    for one in rows:
        equal = "" if one["equal"] is None else f"{one['equal']:.1%}"
        lines.append(f"| {one['step']} | {one['way']} | {one['seconds']:.2f} | {one['times as fast']:.2f} | {equal} |")
    return "\n".join(lines)


def main(argv: list[str] | None = None) -> list[dict]:
    """Measure and print."""
    args = build_parser().parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        root = args.videos
        if root is None:
            from hivau70k_dataset import render_miniature

            root, split = folder, "test"
            render_miniature(folder, split, videos=args.count, seed=SEED, size=FRAME_SIDE, progress=False)
        videos = [str(path) for path in list(scan_folder(root).files)[: args.count]]
        if not videos:
            raise SystemExit(f"{root}: no videos there; pass a folder that holds some")
        bench, rows = Bench(args, videos), []
        for step in args.steps:
            found = STEPS[step](bench)
            print(f"{step}: done", file=sys.stderr)
            rows += found
    print(f"{len(videos)} videos, {'GPU' if bench.on_gpu else 'CPU'}\n\n{as_markdown(rows)}")
    if args.json:
        write_whole(Path(args.json), json.dumps(rows, indent=2) + "\n")
    return rows


if __name__ == "__main__":
    main()
