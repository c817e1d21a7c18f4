"""Frame-level anomaly detection as the field measures it, beside the baselines that never look at a frame.

    python eval/detection.py --model DIR --annotations DIR --videos DIR --output DIR
    python eval/detection.py --scores DIR --protocol ucf-crime --annotations FILE --output DIR

The first scores every test video into `OUTPUT/scores/<video>.npz`; a run that was stopped goes on where it was. The
second evaluates scores made elsewhere. Both write `report.json`, `report.md`, `roc.png`, `pr.png` and `classes.png`.

The defaults are VadCLIP's convention: a score stands for its 16 frames, a video is cut to whole snippets of 16, and
the last frame of an annotated span is normal (`labels[start:end] = 1`).
"""

import argparse
import io
import os
import sys
import zipfile
from collections.abc import Iterable
from dataclasses import astuple, dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np


sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # for `eval` itself, and packages not installed

from hivau70k_dataset.ground_truth import (
    FrameAnnotation,
    at_frame_rate,
    check_spans,
    frame_labels,
    hivau_frame_annotations,
    on_clock,
    read_ucf_annotation,
    read_xd_annotation,
)
from hivau70k_dataset.labels import canonical_class
from hivau70k_dataset.reading import read_annotation_files
from hivau70k_dataset.schema import SPLITS, VideoAnnotation
from hivau70k_dataset.videos import VideoFolder
from modeling_holmes_vau.base.commands import CommandError, first_line, output_folder, run_command
from modeling_holmes_vau.base.errors import RunError
from modeling_holmes_vau.base.files import few_of, write_whole
from modeling_holmes_vau.base.parser import Parser
from modeling_holmes_vau.base.progress import Progress
from modeling_holmes_vau.base.runs import WHERE, check_settings, sole_run, write_settings
from modeling_holmes_vau.base.scan import VIDEO_SUFFIXES, scan_folder
from modeling_holmes_vau.base.share import do_all
from modeling_holmes_vau.checkpoint.folder import OURS
from modeling_holmes_vau.spans_holmes_vau import end_tolerance, is_even_clock


SNIPPET_FRAMES = 16  # what a score stands for where its file does not tell: I3D's, C3D's and VadCLIP's snippets
PROTOCOLS = ("hivau", "ucf-crime", "xd-violence")
XD_NORMAL_VIDEOS = 300  # of the 800 of XD-Violence's test set (Wu et al., ECCV 2020)
SETTINGS = "settings.json"
DIGESTED = ("config.json", "processor_config.json", "*.safetensors", "*.bin")  # what of a checkpoint decides scores


@dataclass(frozen=True)
class AnnotatedVideo:
    """One video of the test set.

    Args:
        truth (`FrameAnnotation`): Its abnormal spans.
        entry (`VideoAnnotation`): What `VideoFolder.find` looks for.
        fps (`float`, *optional*): Frames per second, where the annotation tells.
    """

    truth: FrameAnnotation
    entry: VideoAnnotation
    fps: float | None = None


@dataclass(frozen=True)
class VideoScores:
    """The scores of one video as a file holds them.

    Args:
        scores (`np.ndarray` of shape `(num_scores,)`): One a snippet, or one a frame.
        n_frames (`int`, *optional*): Number of frames of the video.
        fps (`float`, *optional*): Frames per second.
        stride (`int`): How many frames a score stands for, where there is not one a frame.
        events (`list[list[float]]`, *optional*): `[start_s, end_s, peak_score]` of each predicted event.
        event_rule (`tuple[float, ...]`, *optional*): The arguments of `find_events` that made them.
        times_s (`np.ndarray` of shape `(n_frames,)`, *optional*): Time of each frame in seconds, where `fps` does not
            tell it.
    """

    scores: np.ndarray
    n_frames: int | None
    fps: float | None
    stride: int
    events: list[list[float]] | None
    event_rule: tuple[float, ...] | None
    times_s: np.ndarray | None


def build_parser() -> Parser:
    """The parser of `eval/detection.py`."""
    parser = Parser(
        "detection.py", description="Frame-level AUC and AP, event F1, and the baselines that never look at a frame."
    )
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--model", metavar="DIR", help="checkpoint folder or Hub name; scores the videos")
    source.add_argument(
        "--scores",
        metavar="DIR",
        help="scores made elsewhere instead: NAME.npz with an array `scores`, one a frame or one a snippet, and if "
        "known `n_frames`, `fps`, `frame_stride` (16), `times_s`, one a frame, where the rate does not tell them, and "
        "`events`, rows of start_s, end_s, score",
    )
    parser.add_argument("--annotations", required=True, metavar="PATH", help="the ground truth, see --protocol")
    parser.add_argument("--videos", metavar="DIR", help="folder of the videos, searched through; needed with --model")
    parser.add_argument("-o", "--output", required=True, metavar="DIR", help="folder to write; its scores are kept")
    parser.add_argument(
        "--protocol",
        choices=PROTOCOLS,
        default="hivau",
        help="hivau: events of hierarchical annotations, a folder or a file (default); ucf-crime: the test annotation "
        "file, in either form; xd-violence: annotations.txt, and the videos whose names end in label_A as normal",
    )
    parser.add_argument("--split", choices=SPLITS, default="test", help="of the hivau annotations (test)")
    parser.add_argument(
        "--interval-end",
        choices=("exclusive", "inclusive"),
        default="exclusive",
        help="whether the last frame of an annotated span is normal (exclusive, the default) or abnormal",
    )
    parser.add_argument(
        "--length",
        choices=("snippets", "frames"),
        default="snippets",
        help="snippets: leave out the frames after the last whole snippet (default); frames: count all of them",
    )
    parser.add_argument("--device", help="cpu, cuda, cuda:1, mps; default: the fastest there is")
    parser.add_argument(
        "--dtype", default="auto", choices=("auto", "float32", "bfloat16", "float16"), help="default: the checkpoint's"
    )
    return parser


# ---- ground truth ---------------------------------------------------------------------------------------------------


def read_tests(args: argparse.Namespace) -> dict[str, AnnotatedVideo]:
    """The test videos by name, as the protocol defines them."""
    if args.protocol == "hivau":
        return _read_hivau(args.annotations, args.split)
    if not os.path.isfile(args.annotations):
        raise CommandError(
            f"--annotations {args.annotations}: no such file; --protocol {args.protocol} reads its test annotation "
            "file"
        )
    reader = read_ucf_annotation if args.protocol == "ucf-crime" else read_xd_annotation
    truths = reader(args.annotations)
    if args.protocol == "xd-violence":
        for name in _normal_xd_names(args):
            truths.setdefault(name, FrameAnnotation(name, ()))
    check_names(truths, args.annotations)
    return {name: AnnotatedVideo(truth, _entry(name, args.protocol)) for name, truth in truths.items()}


def check_names(names: Iterable[str], annotations: str) -> None:
    """Each becomes the name of a file of scores, which must not lie elsewhere; those of HIVAU are checked as read."""
    for name in names:
        if name != Path(name).name:
            raise CommandError(f"--annotations {annotations}: {name!r} is no name of a video: it names a folder too")


def _read_hivau(annotations: str, split: str) -> dict[str, AnnotatedVideo]:
    everything = read_annotation_files(annotations).annotations
    entries = {entry.video: entry for entry in everything if entry.split == split}
    if not entries:
        found = ", ".join(sorted({entry.split for entry in everything})) or "no hierarchical annotations"
        raise CommandError(f"--annotations {annotations}: no videos of the split {split!r}; it has {found}")
    if len(entries) < sum(entry.split == split for entry in everything):
        raise CommandError(f"--annotations {annotations}: a video of {split!r} is in two files; pass one of the files")
    truths = hivau_frame_annotations(entries.values())
    return {name: AnnotatedVideo(truths[name], entry, entry.fps) for name, entry in entries.items()}


def _entry(name: str, source: str) -> VideoAnnotation:
    """What `VideoFolder.find` needs to look for a video of which the name alone is known."""
    return VideoAnnotation(name, source, "test", n_frames=0, fps=0.0, labels=(), events=(), summary="")


def _normal_xd_names(args: argparse.Namespace) -> list[str]:
    """XD-Violence lists only its abnormal test videos: the normal ones are those that are there."""
    names = set()
    for root, suffixes in ((args.videos, VIDEO_SUFFIXES), (args.scores or Path(args.output, "scores"), (".npz",))):
        if root is None or not os.path.isdir(root):
            continue
        paths = [Path(path) for path in scan_folder(root, suffixes).files]
        paths = [path for path in paths if "train" not in path.relative_to(root).parts]  # beside `test` in the release
        names |= {path.stem for path in paths if path.stem.endswith("label_A")}
    if len(names) != XD_NORMAL_VIDEOS:
        print(
            f"warning: {len(names) or 'no'} videos whose names end in label_A are taken as normal, the test set has "
            f"{XD_NORMAL_VIDEOS}: --videos must hold the test videos, and no training ones",
            file=sys.stderr,
        )
    return sorted(names)


# ---- scores ---------------------------------------------------------------------------------------------------------


def read_scores(path: Path) -> VideoScores:
    """Read one `.npz`.

    Raises:
        `ValueError`: one line that names the file, if it is none, or does not hold scores.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (ValueError, OSError, EOFError, zipfile.BadZipFile, TypeError) as error:  # of an .npy: no `with`
        raise ValueError(f"{path}: not an .npz of arrays ({first_line(error)}). Write it with `np.savez`.") from error
    if "scores" not in arrays:
        raise ValueError(f"{path}: got the arrays {', '.join(arrays) or 'none'}, expected one named `scores`.")
    scores = arrays["scores"]
    if scores.ndim != 1 or not len(scores) or scores.dtype.kind not in "fiub" or not np.isfinite(scores).all():
        raise ValueError(
            f"{path}: `scores` is {scores.dtype} of shape {scores.shape}, expected finite numbers of shape (n,)."
        )
    numbers = {}
    for field in ("n_frames", "fps", "frame_stride"):
        if field in arrays:
            value, least = arrays[field], 0 if field == "fps" else 1
            if value.size != 1 or not _are_numbers(value) or not (value.item() >= least and value.item() > 0):
                wanted = "one number above 0" if field == "fps" else "one number, 1 or more"
                raise ValueError(f"{path}: `{field}` is {value}, expected {wanted}.")
            numbers[field] = value.item()
    events, rule, times_s = arrays.get("events"), arrays.get("event_rule"), arrays.get("times_s")
    if times_s is not None and not (times_s.shape == (numbers.get("n_frames"),) and (np.diff(times_s) > 0).all()):
        raise ValueError(f"{path}: `times_s` has the shape {times_s.shape}, expected `n_frames` increasing times.")
    if events is not None and (events.ndim != 2 or events.shape[1] != 3):
        raise ValueError(f"{path}: `events` has the shape {events.shape}, expected (n, 3): start_s, end_s, score.")
    if events is not None and not (_are_numbers(events) and (events[:, 0] < events[:, 1]).all()):
        raise ValueError(f"{path}: `events` are not all finite numbers with start_s before end_s.")
    if rule is not None and not (rule.shape == (3,) and _are_numbers(rule)):
        raise ValueError(f"{path}: `event_rule` is {rule}, expected three numbers: threshold, low threshold, seconds.")
    return VideoScores(
        scores.astype(np.float64),
        n_frames=int(numbers["n_frames"]) if "n_frames" in numbers else None,
        fps=numbers.get("fps"),
        stride=int(numbers.get("frame_stride", SNIPPET_FRAMES)),
        events=None if events is None else events.tolist(),
        event_rule=None if rule is None else tuple(rule.tolist()),
        times_s=times_s,
    )


def _are_numbers(array: np.ndarray) -> bool:
    return array.dtype.kind in "fiub" and bool(np.isfinite(array).all())


def score_video(path: str, model, processor) -> dict:
    """Score the dense frames of one video, keeping class tokens alone; the arrays of its file."""
    from modeling_holmes_vau.events_holmes_vau import EventRule, find_events
    from modeling_holmes_vau.frame_rule_holmes_vau import dense_frame_indices
    from modeling_holmes_vau.video_processing_holmes_vau import FrameStream
    from modeling_holmes_vau.video_reader_holmes_vau import open_video

    config = model.config
    rule = astuple(EventRule.of(config))
    with open_video(path, processor.video_backend) as reader:
        indices = dense_frame_indices(reader.num_frames, processor.frame_stride)
        stream = FrameStream(reader, indices, processor.image_size, config.encode_batch_size)
        bar = Progress(stream, desc=Path(path).name, unit="batch", leave=False, position=1)
        scores = model.score_frames(bar)
        times_s = reader.timestamps_s[indices].tolist()
        events = find_events(scores, times_s, reader.duration_s, *rule, gaps_s=reader.gaps_s)
        n_frames, fps = reader.num_frames, reader.fps
        clock = {} if is_even_clock(reader.timestamps_s, fps) else {"times_s": reader.timestamps_s}
    return clock | {
        "scores": scores.numpy(),
        "frame_indices": np.array(indices),
        "frame_stride": processor.frame_stride,
        "n_frames": n_frames,
        "fps": fps,
        "events": np.array([list(event.values()) for event in events]).reshape(-1, 3),
        "event_rule": np.array(rule, dtype=np.float64),
        "file_bytes": os.path.getsize(path),
    }


def score_missing(args: argparse.Namespace, tests: dict[str, AnnotatedVideo]) -> dict[str, str]:
    """Score the videos that have no scores yet; the reason for each video that could not be scored."""
    from modeling_holmes_vau.checkpoint.load import load_on_device

    folder, problems = Path(args.output, "scores"), {}
    folder.mkdir(exist_ok=True)
    paths = _to_score(tests, args.videos, folder, problems)
    if not paths:
        return problems
    model, processor = load_on_device(args.model, args.device, args.dtype)
    if model.config.warning:
        print(f"warning: {model.config.warning}", file=sys.stderr)

    def score(video: tuple[str, str]) -> None:
        name, path = video
        write_scores(folder / f"{name}.npz", score_video(path, model, processor))

    own_errors = (ValueError, OSError, RuntimeError, MemoryError)
    said = do_all(paths.items(), score, lambda video: video[0], "videos", "video", own_errors=own_errors)
    return problems | {name: line if paths[name] in line else f"{paths[name]}: {line}" for name, line in said.items()}


def write_scores(path: Path, arrays: dict) -> None:
    """Write one `.npz`.

    Raises:
        [`RunError`]: if it can't be written.
    """
    file = io.BytesIO()
    np.savez(file, **arrays)
    try:
        write_whole(path, file.getvalue())
    except OSError as error:
        raise RunError(f"{path} cannot be written: {error.strerror}. Choose another folder.") from error


def _to_score(tests: dict[str, AnnotatedVideo], videos: str, folder: Path, problems: dict[str, str]) -> dict[str, str]:
    """The files of the videos that have no scores, or had another file when they were scored."""
    source, paths = VideoFolder(videos), {}
    for note in source.notes:
        print(f"note: {note}", file=sys.stderr)
    for name, test in tests.items():
        done = folder / f"{name}.npz"
        try:
            found = source.find(test.entry)
        except ValueError as error:  # several files of that name
            problems[name] = first_line(error)
            continue
        if found is None:
            if not done.is_file():
                problems[name] = f"missing: no file of that name under {videos}"
            continue
        if not _is_scored(done, found.path):
            paths[name] = found.path
    return paths


def _is_scored(done: Path, path: str) -> bool:
    try:
        with np.load(done) as file:
            return int(file["file_bytes"]) == os.path.getsize(path)
    except (ValueError, OSError, EOFError, KeyError, TypeError, zipfile.BadZipFile):  # there is none, or none of ours
        return False


def settings_of(args: argparse.Namespace) -> dict[str, str]:
    """What decides the scores of an output folder."""
    if args.scores:
        return {"scores": os.path.abspath(args.scores)}
    from modeling_holmes_vau.checkpoint.load import checkpoint_digest, open_folder

    open_folder(args.model, OURS, weights=False)
    return {"model": args.model.rstrip("/"), "digest": checkpoint_digest(args.model, DIGESTED), "dtype": args.dtype}


def claim_output(output: str, settings: dict[str, str]) -> Path:
    """The output folder, if it holds nothing else than scores of the same settings."""
    folder = Path(output)
    filled = any((folder / "scores").glob("*.npz")) or (folder / "report.json").exists()
    if filled:
        check_settings(folder / SETTINGS, settings, f"--output {output}: holds scores", "choose another folder", WHERE)
    write_settings(folder / SETTINGS, settings)
    return folder


# ---- scores on the frames of the truth ------------------------------------------------------------------------------


def count_frames(n_frames: int, stride: int, length: str) -> int:
    """How many frames of a video are counted: whole snippets, or all; a video below one snippet counts whole."""
    return n_frames // stride * stride or n_frames if length == "snippets" else n_frames


def spread(scores: np.ndarray, n_frames: int, stride: int, length: str) -> np.ndarray:
    """One score a counted frame.

    Args:
        scores (`np.ndarray` of shape `(num_scores,)`): One a frame, or one a snippet with or without the last partial
            one.
        n_frames (`int`), stride (`int`): Frames of the video and of a snippet.
        length (`str`): As `--length`.

    Returns:
        `np.ndarray` of shape `(counted,)`

    Example:

    >>> import numpy as np
    >>> spread(np.array([0.1, 0.9, 0.2]), n_frames=5, stride=2, length="snippets").tolist()
    [0.1, 0.1, 0.9, 0.9]
    """
    counted = count_frames(n_frames, stride, length)
    if len(scores) == n_frames:
        return scores[:counted]
    if len(scores) not in (max(1, n_frames // stride), -(-n_frames // stride)):
        raise ValueError(
            f"got {len(scores)} scores for {n_frames} frames, expected {n_frames} (one a frame) or "
            f"{-(-n_frames // stride)} (one every {stride} frames)"
        )
    if len(scores) * stride < counted:
        raise ValueError(
            f"got {len(scores)} scores of {stride} frames, which leave the last of {n_frames} frames without: count "
            "--length snippets"
        )
    return np.repeat(scores, stride)[:counted]


def read_videos(
    args: argparse.Namespace, tests: dict[str, AnnotatedVideo], folder: Path, problems: dict[str, str]
) -> list:
    """The videos that have scores and fit their annotation, as the report counts them; why not goes to `problems`."""
    source = VideoFolder(args.videos) if args.videos else None
    videos = []
    for name, test in tests.items():
        path = folder / f"{name}.npz"
        if name in problems:
            continue
        if not path.is_file():
            problems[name] = f"missing: {path}"
            continue
        try:
            scores = read_scores(path)
            n_frames = scores.n_frames or test.truth.n_frames or _frames_of_file(source, test)
            videos.append(_counted_video(test, scores, n_frames, args))
        except (ValueError, OSError) as error:
            said = first_line(error)
            problems[name] = said if str(path) in said else f"{path}: {said}"
    return videos


def _frames_of_file(source: VideoFolder | None, test: AnnotatedVideo) -> int:
    from modeling_holmes_vau.video_reader_holmes_vau import open_video

    found = source and source.find(test.entry)
    if not found:
        raise ValueError(
            "neither the annotation nor the scores tell the number of frames; pass --videos, or an array `n_frames`"
        )
    with open_video(found.path) as reader:
        return reader.num_frames


def _counted_video(test: AnnotatedVideo, scores: VideoScores, n_frames: int, args: argparse.Namespace):
    from eval.frames.report import CountedVideo

    frames = spread(scores.scores, n_frames, scores.stride, args.length)
    truth = test.truth
    if test.fps and scores.times_s is not None:  # spans in seconds
        truth = on_clock(test.entry, scores.times_s, scores.fps or test.fps)
    elif test.fps and scores.fps:
        (truth,) = hivau_frame_annotations([at_frame_rate(test.entry, scores.fps)]).values()
    if scores.times_s is None:
        check_spans(truth, n_frames, test.fps and (scores.fps or test.fps))
    after = args.interval_end == "inclusive"
    spans = [(first, min(last + after, n_frames)) for first, last in truth.spans]
    return CountedVideo(
        name=test.truth.video,
        classes=tuple(dict.fromkeys(canonical_class(label) or label for label in test.truth.labels)),
        abnormal=bool(test.truth.labels or test.truth.spans),
        labels=frame_labels(truth, n_frames, args.interval_end)[: len(frames)],
        scores=frames,
        n_frames=n_frames,
        annotated_frames=test.truth.n_frames,
        stride=scores.stride,
        fps=scores.fps or test.fps,
        spans=[(first, last) for first, last in spans if first < last],
        events=scores.events,
        event_rule=scores.event_rule,
        times_s=scores.times_s,
    )


def warn_of_lengths(tests: dict[str, AnnotatedVideo], videos: list) -> None:
    """Name the videos that are longer or shorter than annotated; where spans are in seconds, a rate may differ."""
    for video in videos:
        test, annotated = tests[video.name], video.annotated_frames
        rates = (1.0, video.fps / test.fps) if test.fps else (1.0,)
        if annotated and all(abs(rate * annotated - video.n_frames) > end_tolerance(test.fps) for rate in rates):
            said = f"has {video.n_frames} frames, annotated are {annotated}: in another copy spans may lie elsewhere"
            print(f"warning: {video.name}: {said}", file=sys.stderr)


# ---- command --------------------------------------------------------------------------------------------------------


def run(args: argparse.Namespace) -> int:
    """Score what has no scores, then report; status 1 when a video is missing or not the annotated one."""
    if absent := [name for name in ("evaluate", "sklearn", "matplotlib") if find_spec(name) is None]:
        raise CommandError(f'the report needs {absent[0]}: pip install -c constraints.txt -e ".[eval]"')
    if args.model and not args.videos:
        raise CommandError("--model scores videos: pass --videos, the folder that holds them")
    if args.scores and not os.path.isdir(args.scores):
        raise CommandError(f"--scores {args.scores}: no such folder; expected one of <video>.npz")
    if args.videos and not os.path.isdir(args.videos):
        raise CommandError(f"--videos {args.videos}: no such folder; pass the one that holds the videos")
    tests = read_tests(args)
    settings = settings_of(args)
    with sole_run(output_folder(args.output)):
        return score_and_report(args, tests, settings)


def score_and_report(args: argparse.Namespace, tests: dict[str, AnnotatedVideo], settings: dict[str, str]) -> int:
    """The run, with the output folder to itself."""
    output = claim_output(args.output, settings)
    problems = score_missing(args, tests) if args.model else {}
    videos = read_videos(args, tests, Path(args.scores or output / "scores"), problems)
    for line in few_of([f"{name}: {problems[name]}" for name in tests if name in problems], output):
        print(f"error: {line}", file=sys.stderr)
    if not videos:
        raise CommandError(f"none of the {len(tests)} test videos has scores that can be counted: nothing to report")
    warn_of_lengths(tests, videos)

    from eval.frames.report import build_report, write_report

    options = {"protocol": args.protocol, "interval_end": args.interval_end, "length": args.length}
    options |= {"split": args.split} if args.protocol == "hivau" else {}
    report = build_report(videos, {**settings, **options, "annotations": args.annotations}, problems)
    print(write_report(videos, report, output))
    print(f"wrote {output}")
    return 1 if problems else 0


def main(argv: list[str] | None = None) -> int:
    """Entry point; returns the exit status."""
    return run_command(run, build_parser().parse_args(argv))


if __name__ == "__main__":
    raise SystemExit(main())
