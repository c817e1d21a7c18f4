"""The annotation engine on videos whose truth is known, under names that tell nothing: what it finds, says, and costs.

    python benchmarks/bench_engine.py --annotations mini --videos mini/videos --output runs/engine [--limit 40]

Events are proposed by the scorer of `--model`, which captions the clips too. Summaries are asked of the server at
`--endpoint`; without one, of a server that this benchmark starts: it speaks the protocol of OpenAI, and its words
are put together from the prompt by a rule, so that they say how the engine works and nothing about how well a
language model writes. Everything runs by the engine's own commands, as do the checks that follow: validate, export,
load_dataset, and two steps of both trainings.
"""

import argparse
import json
import re
import statistics
import sys
import threading
import time
from contextlib import contextmanager, nullcontext
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from hivau70k_dataset.cli import main as dataset  # noqa: E402
from hivau70k_dataset.engine.review.items import list_items  # noqa: E402
from hivau70k_dataset.engine.state import State  # noqa: E402
from hivau70k_dataset.engine.work import Work  # noqa: E402
from hivau70k_dataset.labels import canonical_class, parse_judgement  # noqa: E402
from hivau70k_dataset.reading import read_annotation_files  # noqa: E402
from hivau70k_dataset.schema import VideoAnnotation  # noqa: E402
from hivau70k_dataset.videos import VideoFolder  # noqa: E402
from modeling_holmes_vau.base.commands import CommandError, run_command  # noqa: E402
from modeling_holmes_vau.base.files import write_whole  # noqa: E402
from modeling_holmes_vau.base.parser import Parser  # noqa: E402


DETECTED_IOU = 0.5
MINI = Path(__file__).resolve().parents[1] / "checkpoints" / "holmes-vau-mini"


def build_parser() -> Parser:
    """The parser of this benchmark."""
    parser = Parser("bench_engine.py", description="What the annotation engine finds, says and costs.")
    parser.add_argument("--annotations", required=True, metavar="DIR", help="folder of annotation files: the truth")
    parser.add_argument("--videos", required=True, metavar="DIR", help="folder of the videos")
    parser.add_argument("--split", default="test", help="of the annotations (test)")
    parser.add_argument("--limit", type=int, default=40, metavar="N", help="so many videos, evenly taken (40)")
    parser.add_argument(
        "--model", default=str(MINI), metavar="DIR", help="scores and captions; default: the one in the box"
    )
    parser.add_argument("--endpoint", metavar="URL", help="server of the summariser; default: one that this starts")
    parser.add_argument("--summariser", default="rule", metavar="NAME", help="its model (rule)")
    parser.add_argument("--device", help="default: the fastest there is")
    parser.add_argument("-o", "--output", required=True, metavar="DIR", help="folder; a begun run goes on there")
    return parser


# ---- the server -----------------------------------------------------------------------------------------------------


def by_rule(prompt: str) -> str:
    """A summary in three parts that says no more than its prompt does."""
    label = re.search(r"abnormal events \((.*?)\)", prompt)
    told = re.search(r"(?:caption of the video is|events in the video): (.*)\. There (?:are|is)", prompt, re.DOTALL)[1]
    told = " ".join(dict.fromkeys(re.findall(r"[^.]+\.?", told)))
    if label is None:
        return f"1. No anomaly exists in the video.\n2. {told}.\n3. Nothing in the video is out of the ordinary."
    return (
        f"1. An anomaly exists, specifically {label[1]}.\n2. {told}.\n3. What is seen is what {label[1]} looks like."
    )


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):  # noqa: N802, the name that the library asks for
        prompt = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["messages"][0]["content"]
        text = by_rule(prompt)
        choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        usage = {"prompt_tokens": len(prompt.split()), "completion_tokens": len(text.split())}
        body = json.dumps({"choices": [choice], "usage": usage}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        """Say nothing."""


@contextmanager
def rule_server():
    """Yields the address of a server that answers by rule."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()


# ---- the run --------------------------------------------------------------------------------------------------------


def hide_names(args: argparse.Namespace, folder: Path) -> dict[str, VideoAnnotation]:
    """Link the videos under names that tell no class; the truth by these names."""
    files, videos = read_annotation_files(args.annotations), VideoFolder(args.videos)
    entries = [entry for entry in files.annotations if entry.split == args.split]
    entries = [entries[i * len(entries) // args.limit] for i in range(min(args.limit, len(entries)))]
    folder.mkdir(parents=True, exist_ok=True)
    truth = {}
    for number, entry in enumerate(entries):
        if (found := videos.find(entry)) is None:
            raise CommandError(f"--videos {args.videos}: holds no {entry.video}")
        link = folder / f"camera_{number:03d}{Path(found.path).suffix}"
        if not link.is_symlink():
            link.symlink_to(Path(found.path).resolve())
        truth[link.stem] = entry
    return truth


def run_step(*words: str) -> float:
    """Run a command of the dataset package; the seconds that it took."""
    begun = time.perf_counter()
    if dataset([str(word) for word in words]) != 0:
        raise CommandError(f"`python -m hivau70k_dataset {' '.join(map(str, words))}` failed")
    return time.perf_counter() - begun


def iou(left: tuple[float, float], right: tuple[float, float]) -> float:
    """Of two spans."""
    shared = max(0.0, min(left[1], right[1]) - max(left[0], right[0]))
    return shared / (max(left[1], right[1]) - min(left[0], right[0]))


def compare(state: State, truth: dict[str, VideoAnnotation]) -> dict[str, float]:
    """What was proposed and said, against the truth."""
    best, false_alarms, judged, classes, abnormal = [], 0, [], [], []
    for video in state.videos():
        entry = truth[video.video]
        true = [(event.start_s, event.end_s) for event in entry.events] if entry.labels else []
        proposed = [(event.start_s, event.end_s) for event in video.events if event.origin == "proposed"]
        best += [max((iou(span, other) for other in proposed), default=0.0) for span in true]
        false_alarms += sum(not any(iou(span, other) > 0 for other in true) for span in proposed)
        told = state.video_summary(video)
        said = parse_judgement(told.parts.judgement) if told.parts else None
        judged.append(said is not None and said.abnormal == bool(entry.labels))
        if entry.labels:
            abnormal.append(bool(video.labels))
            wanted = {canonical_class(label) or label for label in entry.labels}
            classes.append(bool(wanted & {canonical_class(label) or label for label in video.labels}))
    return {
        "true_events": len(best),
        "detected_at_0.5": statistics.mean(value >= DETECTED_IOU for value in best),
        "mean_iou": statistics.mean(best),
        "false_alarms": false_alarms,
        "judgement_agrees": statistics.mean(judged),
        "class_named": statistics.mean(classes),
        "abnormal_found": statistics.mean(abnormal),
    }


def check_result(args: argparse.Namespace, work: Path, videos: Path) -> dict[str, float]:
    """Validate, export, load, and train two steps of both stages."""
    import datasets

    import train_scorer
    import train_sft

    annotations, out = work / "annotations", work.parent
    run_step("validate", "--annotations", annotations, "--videos", videos)
    exported = out / "exported"
    if not exported.exists():
        run_step("export", "--annotations", annotations, "--output", exported)
    rows = sum(len(datasets.load_dataset(str(exported), name, split="train")) for name in ("clip", "event", "video"))
    common = ["--annotations", str(annotations), "--videos", str(videos), "--max-steps", "2", "--report-to", "none"]
    common += ["--save-steps", "2"]
    scorer = ["--model", args.model, "--output-dir", str(out / "scorer"), "--per-device-train-batch-size", "2"]
    train_scorer.main([*scorer, *common, "--eval-steps", "2"])
    sft = ["--model", str(out / "scorer" / "checkpoint"), "--output-dir", str(out / "sft"), "--global-batch-size", "4"]
    figures = train_sft.main([*sft, *common, "--dataloader-num-workers", "0"])
    return {"rows_loaded": rows, "sft_rows": figures["rows"], "sft_loss": round(figures["train_loss"], 3)}


def measure(args: argparse.Namespace) -> dict:
    """All figures."""
    output = Path(args.output)
    work, videos = output / "work", output / "cameras"
    truth = hide_names(args, videos)
    device = ["--device", args.device] if args.device else []
    seconds = {
        "decouple": run_step(
            "annotate", "decouple", "--work", work, "--videos", videos, "--scorer", args.model, *device
        )
    }
    seconds["caption"] = run_step("annotate", "caption", "--work", work, "--model", args.model, *device)
    with nullcontext(args.endpoint) if args.endpoint else rule_server() as endpoint:
        asked = ("--model", args.summariser, "--endpoint", endpoint)
        seconds["summarise"] = run_step("annotate", "summarise", "--work", work, *asked)
    seconds["instruct"] = run_step("annotate", "instruct", "--work", work, "--unreviewed")
    state = State(Work(work))
    items = list_items(state)
    flagged = {
        level: [bool(item.flags) for item in items if item.level == level] for level in ("video", "event", "clip")
    }
    figures = {"videos": len(truth), "items": len(items), **compare(state, truth)}
    figures |= {f"flagged_{level}s": statistics.mean(found) for level, found in flagged.items() if found}
    figures |= {"flagged": statistics.mean(bool(item.flags) for item in items)}
    books = {"caption": state.caption_book.tally(), "summarise": state.summary_book.tally()}
    calls = {f"{step}_calls": tally.calls for step, tally in books.items()}
    return {**figures, **calls, "seconds": seconds, **check_result(args, work, videos)}


def run(args: argparse.Namespace) -> int:
    """Measure, print and keep the figures."""
    figures = measure(args)
    text = json.dumps(figures, indent=2)
    print(text)
    write_whole(Path(args.output) / "report.json", text + "\n")
    return 0


def main(argv: list[str] | None = None) -> int:
    """Entry point; returns the exit status."""
    return run_command(run, build_parser().parse_args(argv))


if __name__ == "__main__":
    raise SystemExit(main())
