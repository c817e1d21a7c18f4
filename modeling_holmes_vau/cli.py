"""`holmes-vau analyze | convert | init | merge`: parsing and printing only."""

import argparse
import glob
import importlib.metadata
import importlib.util
import json
import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path


VIDEO_SUFFIXES = {".mp4", ".avi", ".mkv", ".mov", ".webm", ".m4v", ".mpg", ".mpeg", ".wmv", ".flv", ".ts", ".3gp"}


MINI = "holmes-vau-mini"


class CommandError(Exception):
    """A mistake of the caller: one line, printed without a traceback."""


def build_parser() -> argparse.ArgumentParser:
    """The parser of `holmes-vau`."""
    parser = argparse.ArgumentParser(prog="holmes-vau", description="Video anomaly understanding at any granularity.")
    commands = parser.add_subparsers(dest="command", required=True)
    add_analyze(commands.add_parser("analyze", help="scores, events and an answer for each video"))
    convert = commands.add_parser("convert", help="original Holmes-VAU weights -> a folder for the Auto classes")
    convert.add_argument("--checkpoint", required=True, metavar="DIR", help="InternVL2-format folder")
    convert.add_argument("--scorer", required=True, metavar="FILE", help="anomaly_scorer.pth or .safetensors")
    convert.add_argument("--output", required=True, metavar="DIR", help="folder to write; new or empty")
    convert.add_argument(
        "--num-frames", type=int, default=12, metavar="N", help="frames the language model sees (12 for HolmesVAU-2B)"
    )
    init = commands.add_parser("init", help="a native InternVL checkpoint plus a fresh anomaly scorer")
    init.add_argument("--base", required=True, metavar="DIR", help="folder or Hub name of an InternVL -HF checkpoint")
    init.add_argument("--output", required=True, metavar="DIR", help="folder to write; new or empty")
    init.add_argument("--num-frames", type=int, default=16, metavar="N", help="frames the language model sees (16)")
    init.add_argument("--seed", type=int, default=0, help="seed of the scorer's weights (0)")
    merge = commands.add_parser("merge", help="an adapter of train_sft.py and its base -> one checkpoint")
    merge.add_argument("--adapter", required=True, metavar="DIR", help="folder of the adapter")
    merge.add_argument("--output", required=True, metavar="DIR", help="folder to write; new or empty")
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
    parser.add_argument("--prompt", help="the question; default: which anomaly events the video holds")
    parser.add_argument("--num-frames", type=int, metavar="N", help="frames the language model sees")
    parser.add_argument("--sampler", choices=("ats", "uniform", "top_k", "nearest"), help="how they are chosen")
    parser.add_argument("--stride", type=int, metavar="K", help="score every K-th frame")
    parser.add_argument("--segment", type=float, nargs=2, metavar=("START", "END"), help="this span only, in seconds")
    parser.add_argument("--max-new-tokens", type=int, metavar="N", help="longest answer, in tokens")
    parser.add_argument("--device", help="cpu, cuda, cuda:1, mps; default: the fastest there is")
    parser.add_argument(
        "--dtype", default="auto", choices=("auto", "float32", "bfloat16", "float16"), help="default: the checkpoint's"
    )
    parser.add_argument("--output", metavar="DIR", help="write DIR/NAME/{analysis.json,timeline.png,report.html}")
    parser.add_argument(
        "--resume", action="store_true", help="skip videos that have a report in --output, made with the same options"
    )
    parser.add_argument(
        "--strict",
        action="store_true",
        help="refuse videos that are damaged or cut short; default: read the rest",
    )
    parser.add_argument("--json", action="store_true", help="print each analysis as one line of JSON")


def find_videos(arguments: Iterable[str]) -> tuple[list[str], list[str]]:
    """
    Video files that the arguments name, in order and once each.

    Returns:
        `tuple[list[str], list[str]]`: Paths, and one line for each argument that names none.
    """
    videos, problems = [], []
    for argument in arguments:
        path = Path(argument)
        if path.is_dir():
            found = sorted(str(p) for p in path.rglob("*") if p.suffix.lower() in VIDEO_SUFFIXES and p.is_file())
            if not found:
                problems.append(f"{argument}: no videos in this folder ({', '.join(sorted(VIDEO_SUFFIXES))})")
            videos += found
        elif path.exists() or not glob.has_magic(argument):
            videos.append(argument)
        else:
            found = sorted(p for p in glob.glob(argument, recursive=True) if os.path.isfile(p))
            if not found:
                problems.append(f"{argument}: no file matches this pattern")
            videos += found
    return list({os.path.realpath(video): video for video in reversed(videos)}.values())[::-1], problems


def report_folders(videos: list[str], output: str) -> dict[str, Path]:
    """A folder of its own in `output` for each video, named after the file. Of equal names, in this call or an earlier
    one, the later video gets a number; a video that has a folder keeps it."""
    folders = {}
    for video in videos:
        path, stem, number = os.path.abspath(video), Path(video).stem, 1
        folder = Path(output) / stem
        while folder in folders.values() or earlier_analysis(folder).get("video", path) != path:
            number += 1
            folder = Path(output) / f"{stem}-{number}"
        folders[video] = folder
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
    """Model and processor on their device."""
    import torch
    from transformers.utils import logging as hf_logging

    from .modeling_holmes_vau import HolmesVAUForConditionalGeneration
    from .processing_holmes_vau import HolmesVAUProcessor

    hf_logging.set_verbosity_error()
    hf_logging.disable_progress_bar()
    folder = model_name or str(default_checkpoint())
    if device is None:
        mps = "mps" if torch.backends.mps.is_available() else "cpu"
        device = "cuda" if torch.cuda.is_available() else mps
    check_checkpoint(folder)
    try:
        model, loaded = HolmesVAUForConditionalGeneration.from_pretrained(
            folder, dtype=dtype, output_loading_info=True
        )
        processor = HolmesVAUProcessor.from_pretrained(folder)
        model = model.to(device).eval()
    except Exception as error:  # whatever transformers, safetensors or the device say, it is about this folder
        raise CommandError(f"--model {folder}: cannot be used on {device}: {first_line(error)}") from error
    missing = sorted({*loaded["missing_keys"], *loaded["mismatched_keys"]})
    if missing:
        raise CommandError(f"--model {folder}: {len(missing)} weights are missing or misshapen, such as {missing[0]}")
    return model, processor


def check_checkpoint(folder: str) -> None:
    """A local folder must be a Holmes-VAU checkpoint; any other name is left to the Hub."""
    if not os.path.isdir(folder):
        if os.path.exists(folder) or folder.startswith((".", "/", "~")) or folder.count("/") > 1:
            raise CommandError(f"--model {folder}: no such folder; expected a checkpoint folder or a Hub name")
        return
    config = Path(folder, "config.json")
    try:
        settings = json.loads(config.read_text(encoding="utf-8")) if config.is_file() else {}
    except ValueError as error:
        raise CommandError(f"--model {folder}: config.json is no JSON: {error}") from error
    kind = settings.get("model_type") if isinstance(settings, dict) else None
    if kind != "holmes_vau":
        found = f"a checkpoint of type {kind!r}" if config.is_file() else "a folder without config.json"
        raise CommandError(
            f"--model {folder}: expected a Holmes-VAU checkpoint, got {found}; `holmes-vau convert` and `holmes-vau "
            "init` make one"
        )


def first_line(error: BaseException) -> str:
    """The message of an error on one line."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def clock(seconds: float) -> str:
    """Seconds as h:mm:ss.s, without empty hours."""
    minutes, rest = divmod(round(seconds, 1), 60)
    hours, minutes = divmod(int(minutes), 60)
    return f"{hours}:{minutes:02d}:{rest:04.1f}" if hours else f"{minutes}:{rest:04.1f}"


def summary(analysis: dict) -> str:
    """What a person wants to read of one analysis."""
    lines = [
        f"{analysis['video']}",
        f"  video    {clock(analysis['duration_s'])}, {analysis['num_frames']} frames at {analysis['fps']:.2f} fps; "
        f"{len(analysis['scores'])} scored, {len(analysis['sampled_frame_indices'])} shown to the language model "
        f"({analysis['sampler']})",
        f"  question {analysis['prompt']}",
        "  answer   " + analysis["answer"].replace("\n", "\n           "),
    ]
    events = [
        f"{clock(event['start_s'])} to {clock(event['end_s'])}, peak score {event['peak_score']:.2f}"
        for event in analysis["events"]
    ]
    lines += [f"  {'events' if i == 0 else '':8} {event}" for i, event in enumerate(events or ["none"])]
    seconds = ", ".join(f"{name} {value:.1f}" for name, value in analysis["seconds"].items())
    return "\n".join([*lines, f"  seconds  {seconds}"])


def options_of(args: argparse.Namespace) -> dict:
    """The options that decide what an analysis says; kept in it, so that `--resume` knows what is done."""
    names = ("model", "prompt", "num_frames", "sampler", "stride", "segment", "max_new_tokens", "dtype", "strict")
    return {name: getattr(args, name) for name in names}


def earlier_analysis(folder: Path) -> dict:
    """The analysis that a report folder holds, empty if there is no whole one."""
    if not (folder / "report.html").is_file():
        return {}
    return json.loads((folder / "analysis.json").read_text(encoding="utf-8"))


def analyze_one(video: str, model, processor, args) -> dict:
    """Analyse one video, with a progress bar."""
    from tqdm import tqdm

    from .pipeline_holmes_vau import DEFAULT_PROMPT, analyze_video

    limit = {} if args.max_new_tokens is None else {"max_new_tokens": args.max_new_tokens}
    bar = None

    def show(done: int, total: int) -> None:
        nonlocal bar
        bar = bar or tqdm(desc=Path(video).name, total=total, unit="frame", leave=False, disable=None)
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
            strict=args.strict,
            **limit,
        )
    finally:
        if bar is not None:
            bar.close()
    analysis |= {"video": os.path.abspath(video), "options": options_of(args)}
    return analysis


def report_one(video: str, analysis: dict, processor, folder: Path) -> Path:
    """Write the report of one analysis and return the path of its page."""
    import numpy as np

    from .report_holmes_vau import write_report
    from .video_processing_holmes_vau import TIME_EPS_S, read_what_is_there
    from .video_reader_holmes_vau import open_video

    times_s = np.array(analysis["sampled_times_s"])
    with open_video(video, processor.video_backend, strict=False) as reader:
        # By their times: frame numbers are others where damage of the file showed only when it was analysed.
        frames = read_what_is_there(
            reader, lambda: reader.read(np.searchsorted(reader.timestamps_s, times_s - TIME_EPS_S)), strict=False
        )
    return write_report(analysis, frames, folder)["report"]


def run_one(video: str, model, processor, args, folder: Path | None) -> bool:
    """Analyse one video, print it and write its report; `False` if that failed, after one line that says why."""
    try:
        analysis = analyze_one(video, model, processor, args)
    except (ValueError, OSError, RuntimeError, MemoryError) as error:
        said = first_line(error)
        print(f"error: {said if video in said else f'{video}: {said}'}", file=sys.stderr)
        return False
    said = analysis.get("warning", "").removeprefix(model.config.warning or "").lstrip(" |")
    if said:
        print(f"warning: {video}: {said}", file=sys.stderr)
    print(json.dumps(analysis, ensure_ascii=False) if args.json else summary(analysis), flush=True)
    if folder is None:
        return True
    try:
        page = report_one(video, analysis, processor, folder)
    except (ValueError, OSError) as error:
        print(f"error: {video}: analysed, but the report could not be written: {first_line(error)}", file=sys.stderr)
        return False
    if not args.json:
        print(f"  report   {page}", flush=True)
    return True


def run_analyze(args: argparse.Namespace) -> int:
    """`holmes-vau analyze`: 0 if every video was analysed, 1 if one was not."""
    if args.output and importlib.util.find_spec("matplotlib") is None:
        raise CommandError('--output draws with matplotlib, which is missing: pip install "holmes-vau[demo]"')
    if args.resume and not args.output:
        raise CommandError("--resume looks for reports in --output: pass both")
    if args.output:
        os.makedirs(args.output, exist_ok=True)
    videos, problems = find_videos(args.videos)
    for problem in problems:
        print(f"error: {problem}", file=sys.stderr)
    failed = len(problems)
    folders = report_folders(videos, args.output) if args.output else {}
    if args.resume:
        done = [video for video in videos if earlier_analysis(folders[video]).get("options") == options_of(args)]
        for video in done:
            print(f"done before: {video} ({folders[video] / 'report.html'})", file=sys.stderr)
        videos = [video for video in videos if video not in done]
    if videos:
        model, processor = load_checkpoint(args.model, args.device, args.dtype)
        if model.config.warning:
            print(f"warning: {model.config.warning}", file=sys.stderr)
        if args.model is None:
            print(f"note: {MINI} knows synthetic videos alone; for real video pass --model", file=sys.stderr)
    for video in videos:
        failed += not run_one(video, model, processor, args, folders.get(video))
    return 1 if failed else 0


def run_command(run: Callable[[argparse.Namespace], int], args: argparse.Namespace) -> int:
    """Run a command; the caller's mistakes become a line on stderr and status 1."""
    # A name that the terminal cannot show is no reason to lose an analysis.
    sys.stdout.reconfigure(errors="backslashreplace")
    try:
        return run(args)
    except CommandError as error:
        print(f"error: {error}", file=sys.stderr)
    except BrokenPipeError:  # the reader of our output went away, as in `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (ValueError, OSError, ImportError) as error:
        # The converter's messages list every key that does not fit, a line each.
        print(f"error: {error}", file=sys.stderr)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    return 1


def _run(args: argparse.Namespace) -> int:
    for name in ("num_frames", "stride", "max_new_tokens"):
        value = vars(args).get(name)
        if value is not None and value < 1:
            raise CommandError(f"--{name.replace('_', '-')} must be at least 1, got {value}")
    if args.command == "analyze":
        return run_analyze(args)
    if args.command == "convert":
        from .convert_holmes_vau_to_hf import convert

        output = convert(args.checkpoint, args.scorer, args.output, args.num_frames)
    elif args.command == "merge":
        from .merge_holmes_vau import merge

        output = merge(args.adapter, args.output, args.base, args.half)
    else:
        from .checkpoint_holmes_vau import init_from_base

        output = init_from_base(args.base, args.output, args.num_frames, args.seed)
    print(f"wrote {output}")
    return 0


def main(argv: list[str] | None = None) -> int:
    """Entry point of `holmes-vau`; returns the exit status."""
    return run_command(_run, build_parser().parse_args(argv))


if __name__ == "__main__":
    raise SystemExit(main())
