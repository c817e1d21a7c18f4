"""The miniature set: hundreds of rendered videos with annotations at all three levels, in the layout of HIVAU-70k."""

import argparse
import multiprocessing
import os
import signal
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

import av

from modeling_holmes_vau.base.progress import Progress
from modeling_holmes_vau.base.runs import check_settings, sole_run, write_settings

from ..general import general_file, write_general
from ..instructions import build_instructions
from ..regions import regions_file, write_regions
from ..schema import SYNTHETIC_SOURCE, VideoAnnotation
from ..writing import write_annotations, write_instructions
from .plan import SPLITS, VideoPlan, build_plan, build_stage
from .questions import Sight, see
from .text import annotate
from .video_writing import write_video


DEFAULT_RECIPE = {"train": 600, "test": 120}  # videos of each split; seed 0, 128 pixels
DEFAULT_SIZE = 128
MIN_SIZE, MAX_SIZE = 64, 1024
SETTINGS_FILE = ".miniature.json"
DRAWING_VERSION = 3  # counts up when the same seed no longer gives the same videos


def render_miniature(
    output: str | os.PathLike,
    split: str = "train",
    videos: int = 24,
    seed: int = 0,
    size: int = DEFAULT_SIZE,
    workers: int | None = None,
    progress: bool = True,
) -> list[VideoAnnotation]:
    """Render one split of the miniature set, and write its annotations and instruction rows.

    Video `i` depends on `(seed, split, i, size)` alone: fewer videos are the first ones of more. A call that was
    interrupted can be repeated: it renders what is missing.

    Args:
        output (`str` or `os.PathLike`): The folder to write; new, empty, or begun with the same seed and size.
        split (`str`, *optional*, defaults to `"train"`): "train" or "test"; their places have different layouts.
        videos (`int`, *optional*, defaults to 24): How many.
        seed (`int`, *optional*, defaults to 0): Another seed, another set.
        size (`int`, *optional*, defaults to 128): Side of the square picture in pixels, even, 64 to 1024.
        workers (`int`, *optional*): Processes; one a core by default.
        progress (`bool`, *optional*, defaults to `True`): Show a progress bar.

    Returns:
        `list[VideoAnnotation]`: The annotations as written, in the order of the videos.

    Example:

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     annotations = render_miniature(folder, "test", videos=1, size=64, workers=1, progress=False)
    >>> annotations[0].video, annotations[0].labels
    ('Normal_000_mini', ())
    """
    output = Path(output)
    _check_arguments(split, videos, seed, size, workers)
    _claim_folder(output, split, videos, {"drawing": DRAWING_VERSION, "seed": seed, "size": size})
    plans = [build_plan(seed, split, index) for index in range(videos)]
    with sole_run(output):
        _render_missing(output / "videos" / SYNTHETIC_SOURCE / "videos" / split, plans, seed, size, workers, progress)
        return _write_annotations(output, split, plans, seed, size, workers, progress)


def _render_missing(
    folder: Path, plans: list[VideoPlan], seed: int, size: int, workers: int | None, progress: bool
) -> None:
    """Render the videos of a split that are not there."""
    folder.mkdir(parents=True, exist_ok=True)
    missing = [plan for plan in plans if not _finished(folder, plan, size)]
    jobs = [(str(folder), seed, plan.split, plan.index, size) for plan in missing]
    _shared(_render, jobs, workers, f"rendering {folder.name}", progress)
    for left in folder.glob(".*.partial.mp4"):  # of a run that was killed; all videos are there by now
        left.unlink(missing_ok=True)


def _write_annotations(
    output: Path, split: str, plans: list[VideoPlan], seed: int, size: int, workers: int | None, progress: bool
) -> list[VideoAnnotation]:
    """Write annotations, instruction rows, regions and general questions of a split whose videos are there."""
    annotations = [annotate(plan) for plan in plans]
    sights = _shared(
        _see, [(seed, split, plan.index, size) for plan in plans], workers, f"looking at {split}", progress
    )
    for name in ("instruction", "raw_annotations", "general", "regions"):
        (output / name).mkdir(exist_ok=True)
    rows = build_instructions(annotations, seed)
    write_instructions(output / "instruction" / f"{SYNTHETIC_SOURCE}_{split}.jsonl", rows)
    asked = [row for sight in sights for row in sight.questions]
    write_general(general_file(output, SYNTHETIC_SOURCE, split), asked)
    write_regions(regions_file(output, SYNTHETIC_SOURCE, split), [sight.regions for sight in sights])
    # The annotations come last: where they are, the split is complete.
    write_annotations(_annotation_file(output, split), annotations)
    return annotations


def _annotation_file(output: Path, split: str) -> Path:
    return output / "raw_annotations" / f"{SYNTHETIC_SOURCE}_{split}.jsonl"


def _check_arguments(split: str, videos: int, seed: int, size: int, workers: int | None) -> None:
    if split not in SPLITS:
        raise ValueError(f"`split` must be one of {', '.join(SPLITS)}, got {split!r}. Pass one of them.")
    if videos < 1:
        raise ValueError(f"`videos` must be 1 or more, got {videos}. Say how many videos to render.")
    if seed < 0:
        raise ValueError(f"`seed` must be 0 or more, got {seed}. Pass a non-negative whole number.")
    if not MIN_SIZE <= size <= MAX_SIZE or size % 2:
        raise ValueError(
            f"`size` must be an even number of pixels from {MIN_SIZE} to {MAX_SIZE}, got {size}. "
            "128 is what the small model reads."
        )
    if workers is not None and workers < 1:
        raise ValueError(f"`workers` must be 1 or more, got {workers}. Leave it out for one process a core.")


def _claim_folder(output: Path, split: str, videos: int, settings: dict[str, int]) -> None:
    """Make sure that nothing else lies in the folder, and note what it is for."""
    note = output / SETTINGS_FILE
    if note.is_file():
        remedy = "pass the same seed and size, or another output folder"
        check_settings(note, settings, f"{output}: holds a miniature set", remedy)
    elif output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise ValueError(
            f"`output` must be a new or empty folder, or one begun by this command, got {str(output)!r}. "
            "Pass another folder."
        )
    else:
        output.mkdir(parents=True, exist_ok=True)
        write_settings(note, settings)
    complete = _annotation_file(output, split)
    if complete.is_file() and (count := len(complete.read_text(encoding="utf-8").splitlines())) > videos:
        raise ValueError(
            f"{str(output)!r} already holds {count} {split} videos, asked for are {videos}. "
            f"Ask for {count} or more, or pass another output folder."
        )


def _finished(folder: Path, plan: VideoPlan, size: int) -> bool:
    """Whether the video's file is there and is what the plan says."""
    path = folder / f"{plan.name}.mp4"
    if not path.is_file():
        return False
    try:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            return (stream.frames, stream.width, stream.height) == (plan.n_frames, size, size)
    except (av.FFmpegError, IndexError):
        return False


def _shared(work: Callable, jobs: list[tuple], workers: int | None, what: str, progress: bool) -> list:
    """What `work` returns for each of the jobs, in their order, done in as many processes."""
    workers = min(workers or _cores(), len(jobs))
    if workers <= 1:
        return list(Progress(map(work, jobs), what, len(jobs), unit="video", disable=not progress))
    # Spawned, not forked: a fork of a process with threads (decoding, torch) can hang.
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), _finish_on_interrupt) as pool:
        futures = [pool.submit(work, job) for job in jobs]
        try:
            for future in Progress(as_completed(futures), what, len(jobs), unit="video", disable=not progress):
                future.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
        return [future.result() for future in futures]


def _finish_on_interrupt() -> None:
    """Ctrl-C reaches every process of the terminal; this one finishes its video, and the parent gives it no other."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _render(job: tuple[str, int, str, int, int]) -> None:
    folder, seed, split, index, size = job
    plan = build_plan(seed, split, index)
    stage = build_stage(plan, size)
    frames = (stage.frame(number, number / plan.fps) for number in range(plan.n_frames))
    write_video(Path(folder) / f"{plan.name}.mp4", frames, plan.fps, size, size)


def _see(job: tuple[int, str, int, int]) -> Sight:
    seed, split, index, size = job
    return see(build_plan(seed, split, index), size)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `python -m hivau70k_dataset miniature`."""
    parser.add_argument("-o", "--output", required=True, metavar="DIR", help="folder to write; a begun one goes on")
    parser.add_argument("--split", choices=SPLITS, help="which split (train)")
    parser.add_argument("--videos", type=int, metavar="N", help="how many videos (24)")
    parser.add_argument("--seed", type=int, help="another seed, another set (0)")
    parser.add_argument("--size", type=int, metavar="PIXELS", help=f"side of the square picture ({DEFAULT_SIZE})")
    parser.add_argument(
        "--recipe", choices=("default",), help="default: the fixed set, 600 train and 120 test videos; no other option"
    )
    parser.add_argument("--workers", type=int, metavar="N", help="processes (one a core)")


def run(args: argparse.Namespace, recipe: dict[str, int] = DEFAULT_RECIPE) -> None:
    """Render what the options say and print what was written; `recipe` has the videos of each split."""
    splits = {args.split or "train": 24 if args.videos is None else args.videos}
    seed, size = args.seed or 0, DEFAULT_SIZE if args.size is None else args.size
    if args.recipe:
        given = [name for name in ("split", "videos", "seed", "size") if vars(args)[name] is not None]
        if given:
            raise ValueError(f"--recipe {args.recipe} fixes --{given[0]}, got both. Leave one of them out.")
        splits = recipe
    for split, videos in splits.items():
        annotations = render_miniature(args.output, split, videos, seed, size, args.workers)
        minutes = sum(annotation.duration_s for annotation in annotations) / 60
        abnormal = sum(bool(annotation.labels) for annotation in annotations)
        print(f"{args.output}: {len(annotations)} {split} videos, {abnormal} of them abnormal, {minutes:.0f} minutes")
