"""`holmes-vau analyze | convert | init | merge`: parsing and printing only."""

import argparse
import glob
import importlib.metadata
import importlib.util
import json
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from . import __version__
from .base.clock import clock, parse_clock
from .base.commands import CommandError, first_line, output_folder, run_command
from .base.files import NAMED_PROBLEMS, few_of
from .base.names import address_problem, folded, safe_name
from .base.parser import Parser
from .base.scan import VIDEO_SUFFIXES, scan_folder
from .judgement_holmes_vau import describe_verdict


MINI = "holmes-vau-mini"
REPORT_FILES = ("analysis.json", "timeline.png", "report.html")


def build_parser() -> Parser:
    """The parser of `holmes-vau`."""
    parser = Parser(prog="holmes-vau", description="Video anomaly understanding at any granularity.")
    parser.add_argument("--version", action="version", version=f"holmes-vau {__version__}")
    commands = parser.add_subparsers(dest="command", required=True)
    add_analyze(commands.add_parser("analyze", help="scores, events and an answer for each video"))
    convert = commands.add_parser("convert", help="original Holmes-VAU weights -> a folder for the Auto classes")
    convert.add_argument(
        "--checkpoint", required=True, metavar="DIR", help="folder or Hub name in the layout of InternVL2"
    )
    convert.add_argument(
        "--scorer", metavar="FILE", help="anomaly_scorer.pth or .safetensors, a file or URL; default: an untrained one"
    )
    convert.add_argument("-o", "--output", required=True, metavar="DIR", help="folder to write; new or empty")
    convert.add_argument(
        "--num-frames", type=int, default=12, metavar="N", help="frames the language model sees (12 for HolmesVAU-2B)"
    )
    convert.add_argument("--seed", type=int, default=0, help="seed of an untrained scorer's weights (0)")
    init = commands.add_parser("init", help="an InternVL checkpoint plus a fresh anomaly scorer")
    init.add_argument(
        "--base", required=True, metavar="DIR", help="folder or Hub name of an InternVL, of transformers or InternVL2"
    )
    init.add_argument("-o", "--output", required=True, metavar="DIR", help="folder to write; new or empty")
    init.add_argument("--num-frames", type=int, default=16, metavar="N", help="frames the language model sees (16)")
    init.add_argument("--seed", type=int, default=0, help="seed of the scorer's weights (0)")
    merge = commands.add_parser("merge", help="an adapter of train_sft.py and its base -> one checkpoint")
    merge.add_argument("--adapter", required=True, metavar="DIR", help="folder or Hub name of the adapter")
    merge.add_argument("-o", "--output", required=True, metavar="DIR", help="folder to write; new or empty")
    merge.add_argument("--base", metavar="DIR", help="folder or Hub name; default: the one the adapter names")
    merge.add_argument("--half", action="store_true", help="store float32 weights in 16 bits: half the file")
    return parser


def add_analyze(parser: argparse.ArgumentParser) -> None:
    """Arguments of `holmes-vau analyze`."""
    parser.add_argument("videos", nargs="+", metavar="VIDEO", help="video files, folders (searched through) or globs")
    parser.add_argument(
        "--model",
        metavar="DIR",
        help="checkpoint folder or Hub name; default: holmes-vau-mini, which knows the miniature",
    )
    parser.add_argument("--prompt", action="append", help="the question; default: which anomaly events there are")
    parser.add_argument("--num-frames", type=int, metavar="N", help="frames the language model sees")
    parser.add_argument("--sampler", choices=("ats", "uniform", "top_k", "nearest"), help="how they are chosen")
    parser.add_argument("--stride", type=int, metavar="K", help="score every K-th frame")
    parser.add_argument(
        "--segment",
        action="append",
        type=_time,
        nargs=2,
        metavar=("START", "END"),
        help="this span only: times in seconds, m:ss.s or h:mm:ss.s",
    )
    parser.add_argument(
        "--threshold",
        type=float,
        metavar="SCORE",
        help="score that makes an event (the checkpoint's: 0.5); the one that keeps it going, 0.3, is scaled with it",
    )
    parser.add_argument("--max-new-tokens", type=int, metavar="N", help="longest answer, in tokens")
    parser.add_argument("--device", help="cpu, cuda, cuda:1, mps; default: the fastest there is")
    parser.add_argument(
        "--dtype", default="auto", choices=("auto", "float32", "bfloat16", "float16"), help="default: the checkpoint's"
    )
    parser.add_argument(
        "-o", "--output", metavar="DIR", help="write analysis.json, timeline.png and report.html to DIR/NAME"
    )
    parser.add_argument(
        "--resume", action="store_true", help="skip videos that have a report in --output, made with the same options"
    )
    parser.add_argument(
        "--strict",
        action="store_true",
        help="refuse videos that are damaged or cut short; default: read the rest",
    )
    parser.add_argument("--json", action="store_true", help="print each analysis as one line of JSON")


def _time(text: str) -> float:
    if (time_s := parse_clock(text)) is None:
        raise argparse.ArgumentTypeError(f"got {text!r}, expected a time, as 62.5, 1:02.5 or 0:01:02.5")
    return time_s


class FoundVideos(NamedTuple):
    """What the arguments of a command name.

    Args:
        videos (`list[str]`): Paths, in order, each file once.
        problems (`list[str]`): One line for each argument that names no video, and each folder that cannot be read.
        notes (`list[str]`): One line for each folder of which files were left out.
    """

    videos: list[str]
    problems: list[str]
    notes: list[str]


def find_videos(arguments: Iterable[str]) -> FoundVideos:
    """Video files that the arguments name. Folders are searched through; a file that is named itself, or matches a
    pattern, is taken whatever its suffix."""
    found = FoundVideos([], [], [])
    for argument in arguments:
        if problem := address_problem(argument):
            found.problems.append(f"{argument}: {problem}")
            continue
        matches = [argument]
        if not os.path.exists(argument) and glob.has_magic(argument):
            matches = sorted(glob.glob(argument, recursive=True))
            if not matches:
                found.problems.append(f"{argument}: no file matches this pattern")
        for match in matches:
            if os.path.isdir(match):
                _search(match, found)
            else:
                found.videos.append(match)
    once = {os.path.realpath(video): video for video in reversed(found.videos)}
    if again := len(found.videos) - len(once):
        found.notes.append(f"{again} of the files are named or linked to more than once; each is analysed once")
    return found._replace(videos=list(once.values())[::-1])


def _search(folder: str, found: FoundVideos) -> None:
    """Add the videos of a folder, and what is to be said of the rest of it."""
    scan = scan_folder(folder)
    found.videos.extend(scan.files)
    found.problems.extend(f"{place}: {problem}" for place, problem in scan.problems.items())
    said = scan.summary()
    if not scan.files and not scan.problems:
        suffixes = ", ".join(sorted(VIDEO_SUFFIXES))
        found.problems.append(f"{folder}: no videos in this folder ({said or 'it is empty'}); expected {suffixes}")
    elif said:
        found.notes.append(f"{folder}: {said}")


def report_folders(videos: list[str], output: str, options: dict) -> dict[str, Path]:
    """A folder of its own in `output` for each video and these options, named after the file.

    Of names that are equal but for the case of their letters, in this call or an earlier one, the later gets a number,
    and so does a video that was analysed with other options (another question, another span): what is there stays. A
    video with a report of the same options keeps its folder; what is somebody else's is left alone.
    """
    there = {folded(name): name for name in sorted(os.listdir(output))} if os.path.isdir(output) else {}
    folders, taken = {}, set()
    for video in videos:
        stem, number = safe_name(Path(video).stem), 1
        while True:
            name = stem if number == 1 else f"{stem}-{number}"
            if not os.path.lexists(Path(output, name)):  # where case makes a difference, another may be there
                name = there.get(folded(name), name)
            report = earlier_analysis(Path(output, name))
            is_free = report == {} and folded(name) not in taken
            if is_free or (report and [report["video"], report.get("options")] == [os.path.abspath(video), options]):
                break
            number += 1
        taken.add(folded(name))
        folders[video] = Path(output, name)
    return folders


def default_checkpoint() -> Path:
    """The small checkpoint that comes with this package: in the repository, or where the package was installed."""
    folder = Path(__file__).resolve().parents[1] / "checkpoints"
    if (folder / MINI / "config.json").is_file():
        return folder / MINI
    try:
        files = importlib.metadata.files("holmes-vau") or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    for file in files:
        if file.parts[-2:] == (MINI, "config.json") and Path(file.locate()).is_file():
            return Path(file.locate()).resolve().parent
    raise CommandError(f"{MINI} is missing from {folder}: pass --model, or train it with `make mini`")


def load_checkpoint(model_name: str | None, device: str | None, dtype: str):
    """Model and processor on their device, of the checkpoint that `--model` names or of the one in the box."""
    from .checkpoint.load import load_on_device

    try:
        return load_on_device(model_name or str(default_checkpoint()), device, dtype)
    except ValueError as error:
        raise CommandError(str(error)) from error


def check_checkpoint(name: str) -> None:
    """`--model` must name a Holmes-VAU checkpoint, a folder or on the Hub."""
    from .checkpoint.folder import OURS
    from .checkpoint.load import open_folder

    try:
        open_folder(name, OURS, weights=False)
    except ValueError as error:
        raise CommandError(str(error)) from error


def summary(analysis: dict, video: str) -> str:
    """What a person wants to read of one analysis; `video` is what the file is called."""
    frames = f"{analysis['num_frames']} frame{'' if analysis['num_frames'] == 1 else 's'}"
    span = ", analysed {} to {}".format(*map(clock, analysis["segment_s"])) if "segment_s" in analysis else ""
    lines = [
        video,
        f"  video    {clock(analysis['duration_s'])}, {frames} at {analysis['fps']:.2f} fps; "
        f"{len(analysis['scores'])} scored, {len(analysis['sampled_frame_indices'])} shown to the language model "
        f"({analysis['sampler']}){span}",
        f"  question {analysis['prompt']}",
        "  answer   " + analysis["answer"].replace("\n", "\n           "),
    ]
    events = [
        f"{clock(event['start_s'])} to {clock(event['end_s'])}, peak score {event['peak_score']:.2f}"
        for event in analysis["events"]
    ]
    lines += [f"  {'events' if i == 0 else '':8} {event}" for i, event in enumerate(events or ["none"])]
    lines.append(f"  verdict  {describe_verdict(analysis['verdict'])}")
    if "warning" in analysis:
        lines.append("  warning  " + analysis["warning"].replace(" | ", "\n           "))
    seconds = ", ".join(f"{name} {value:.1f}" for name, value in analysis["seconds"].items())
    return "\n".join([*lines, f"  seconds  {seconds}"])


def options_of(args: argparse.Namespace) -> dict:
    """The options that decide what an analysis says; kept in it, so that `--resume` knows what is done."""
    names = ("model", "prompt", "num_frames", "sampler", "stride", "segment", "threshold", "max_new_tokens", "dtype")
    names += ("strict",)
    return {name: getattr(args, name) for name in names}


def earlier_analysis(folder: Path) -> dict | None:
    """The analysis that `folder`, of a video's report, holds; empty if a report can be written there without loss;
    `None` if what is there is somebody else's."""
    if not os.path.lexists(folder):
        return {}
    if folder.is_dir() and not any(os.path.lexists(folder / name) for name in REPORT_FILES):
        return {}
    try:
        analysis = json.loads((folder / "analysis.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    fields = analysis if isinstance(analysis, dict) else {}
    is_ours = isinstance(fields.get("video"), str) and isinstance(fields.get("scores"), list) and "answer" in fields
    return analysis if is_ours else None


def is_done(folder: Path, options: dict) -> bool:
    """Whether a video's report is there, made with the same options; its page is written last."""
    return (folder / "report.html").is_file() and (earlier_analysis(folder) or {}).get("options") == options


def analyze_one(video: str, model, processor, args) -> dict:
    """Analyse one video, with a progress bar."""
    from .base.progress import Progress
    from .pipeline_holmes_vau import DEFAULT_PROMPT, analyze_video

    limit = {} if args.max_new_tokens is None else {"max_new_tokens": args.max_new_tokens}
    bar = None

    def show(done: int, total: int) -> None:
        nonlocal bar
        bar = bar or Progress(desc=Path(video).name, total=total, unit="frame", leave=False)
        bar.update(done - bar.n)

    try:
        analysis = analyze_video(
            video,
            model,
            processor,
            prompt=args.prompt or DEFAULT_PROMPT,
            num_frames=args.num_frames,
            frame_stride=args.stride,
            segment_s=args.segment and tuple(args.segment),
            sampler=args.sampler,
            on_progress=show,
            event_threshold=args.threshold,
            strict=args.strict,
            **limit,
        )
    finally:
        if bar is not None:
            bar.close()
    analysis |= {"video": os.path.abspath(video), "model": args.model or MINI, "options": options_of(args)}
    return analysis


def report_one(video: str, analysis: dict, processor, folder: Path) -> Path:
    """Write the report of one analysis and return the path of its page."""
    import numpy as np

    from .report.write import write_report
    from .video_processing_holmes_vau import TIME_EPS_S, read_what_is_there
    from .video_reader_holmes_vau import open_video

    times_s = np.array(analysis["sampled_times_s"])
    with open_video(video, processor.video_backend, strict=False) as reader:
        # By their times: frame numbers are others where damage of the file showed only when it was analysed.
        frames = read_what_is_there(
            reader, lambda: reader.read(np.searchsorted(reader.timestamps_s, times_s - TIME_EPS_S)), strict=False
        )
    return write_report(analysis, frames, folder, video)["report"]


def run_one(video: str, model, processor, args, folder: Path | None) -> str | None:
    """Analyse one video, print it and write its report; one line that says why if that failed."""
    try:
        analysis = analyze_one(video, model, processor, args)
    except (ValueError, OSError, RuntimeError, MemoryError) as error:
        said = first_line(error)
        return said if video in said else f"{video}: {said}"
    said = analysis.get("warning", "").removeprefix(model.config.warning or "").lstrip(" |")
    if said:
        print(f"warning: {video}: {said}", file=sys.stderr)
    print(json.dumps(analysis, ensure_ascii=False) if args.json else summary(analysis, video), flush=True)
    if folder is None:
        return None
    try:
        page = report_one(video, analysis, processor, folder)
    except (ValueError, OSError) as error:
        return f"{video}: analysed, but the report could not be written: {first_line(error)}"
    if not args.json:
        print(f"  report   {page}", flush=True)
    return None


def tell(problems: list[str]) -> None:
    """Print the last of the problems that there are by now, while they are few: see `few_of`."""
    if len(problems) <= NAMED_PROBLEMS:
        print(f"error: {problems[-1]}", file=sys.stderr)


def tell_rest(problems: list[str], output: str | None) -> None:
    """Print, at the end, what `tell` left out of many problems, or the name of the file that has it."""
    for line in few_of(problems, Path(output) if output else None)[NAMED_PROBLEMS:]:
        print(f"error: {line}", file=sys.stderr)


def load_for(args: argparse.Namespace):
    """Model and processor of `analyze`, and what is to be said of them on stderr."""
    model, processor = load_checkpoint(args.model, args.device, args.dtype)
    check_prompt(args.prompt, processor)
    if model.config.warning:
        print(f"warning: {model.config.warning}", file=sys.stderr)
    if args.model is None:
        print(f"note: {MINI} is used; for real video pass --model", file=sys.stderr)
    return model, processor


def run_all(videos: list[str], model, processor, args, folders: dict[str, Path], problems: list[str]) -> None:
    """Analyse videos one after another; what fails is told and added to the problems."""
    for number, video in enumerate(videos, start=1):
        if len(videos) > 1:
            print(f"{number} of {len(videos)}: {video}", file=sys.stderr)
        if problem := run_one(video, model, processor, args, folders.get(video)):
            problems.append(problem)
            tell(problems)


def check_options(args: argparse.Namespace) -> None:
    """Mistakes in the options of `analyze` that show before anything is read; `prompt` and `segment` become the one
    question and span."""
    prompts = args.prompt or []
    if len(prompts) > 1:
        raise CommandError(f"--prompt is there {len(prompts)} times: pass one question a call")
    if prompts and not prompts[0].strip():
        raise CommandError("--prompt is empty: pass a question, or leave it out for the usual one")
    args.prompt = prompts[0] if prompts else None
    if args.threshold is not None and not 0 < args.threshold <= 1:
        raise CommandError(f"--threshold must be a score above 0 and at most 1, got {args.threshold:g}")
    segments = args.segment or []
    if len(segments) > 1:
        raise CommandError(f"--segment is there {len(segments)} times: pass one span a call")
    args.segment = segments[0] if segments else None
    if args.segment and not args.segment[0] < args.segment[1]:
        start, end = map(clock, args.segment)
        raise CommandError(f"--segment {start} {end}: the end must lie behind the start")


def check_prompt(prompt: str | None, processor) -> None:
    """What stands for pictures can be no part of a question."""
    for token in (processor.video_token, processor.image_token):
        if token in (prompt or ""):
            raise CommandError(f"--prompt holds {token}, which stands for pictures: leave it out")


def run_analyze(args: argparse.Namespace) -> int:
    """`holmes-vau analyze`: 0 if every video was analysed, 1 if one was not."""
    if args.output and importlib.util.find_spec("matplotlib") is None:
        raise CommandError('--output draws with matplotlib, which is missing: pip install "holmes-vau[demo]"')
    check_options(args)
    if args.resume and not args.output:
        raise CommandError("--resume looks for reports in --output: pass both")
    if args.output:
        output_folder(args.output)
    videos, problems, notes = find_videos(args.videos)
    for note in notes:
        print(f"note: {note}", file=sys.stderr)
    for count in range(len(problems)):
        tell(problems[: count + 1])
    folders = report_folders(videos, args.output, options_of(args)) if args.output else {}
    if args.resume:
        done = [video for video in videos if is_done(folders[video], options_of(args))]
        for video in done:
            print(f"done before: {video} ({folders[video] / 'report.html'})", file=sys.stderr)
        videos = [video for video in videos if video not in done]
    try:
        if videos:
            run_all(videos, *load_for(args), args, folders, problems)
    finally:  # also of a run that is interrupted
        tell_rest(problems, args.output)
    return 1 if problems else 0


def _run(args: argparse.Namespace) -> int:
    for name in ("num_frames", "stride", "max_new_tokens"):
        value = vars(args).get(name)
        if value is not None and value < 1:
            raise CommandError(f"--{name.replace('_', '-')} must be at least 1, got {value}")
    if args.command == "analyze":
        return run_analyze(args)
    if args.command == "convert":
        from .checkpoint.convert import convert

        output = convert(args.checkpoint, args.scorer, args.output, args.num_frames, args.seed)
    elif args.command == "merge":
        from .checkpoint.merge import merge

        output = merge(args.adapter, args.output, args.base, args.half)
    else:
        from .checkpoint.create import init_from_base

        output = init_from_base(args.base, args.output, args.num_frames, args.seed)
    print(f"wrote {output}")
    return 0


def main(argv: list[str] | None = None) -> int:
    """Entry point of `holmes-vau`; returns the exit status."""
    return run_command(_run, build_parser().parse_args(argv))


if __name__ == "__main__":
    raise SystemExit(main())
