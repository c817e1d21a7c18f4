"""Scores of whole videos: a file each, read, checked, and made where they are missing."""

import io
import os
import sys
import zipfile
from dataclasses import astuple, dataclass
from pathlib import Path

import numpy as np

from eval.frames.truth import AnnotatedVideo
from hivau70k_dataset.videos import VideoFolder
from modeling_holmes_vau.base.commands import first_line
from modeling_holmes_vau.base.errors import RunError
from modeling_holmes_vau.base.files import write_whole
from modeling_holmes_vau.base.progress import Progress
from modeling_holmes_vau.base.share import do_all
from modeling_holmes_vau.spans_holmes_vau import is_even_clock


DIGESTED = ("config.json", "processor_config.json", "*.safetensors", "*.bin")  # what of a checkpoint decides scores
SNIPPET_FRAMES = 16  # what a score stands for where its file does not tell: I3D's, C3D's and VadCLIP's snippets


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
        event_classes (`list[str]`, *optional*): The class of each predicted event.
        times_s (`np.ndarray` of shape `(n_frames,)`, *optional*): Time of each frame in seconds, where `fps` does not
            tell it.
    """

    scores: np.ndarray
    n_frames: int | None
    fps: float | None
    stride: int
    events: list[list[float]] | None
    event_rule: tuple[float, ...] | None
    event_classes: list[str] | None
    times_s: np.ndarray | None


def read_scores(path: Path) -> VideoScores:
    """Read one `.npz`.

    Raises:
        `ValueError`: one line that names the file, if it is none, or does not hold scores.
    """
    arrays = _read_arrays(path)
    numbers = _read_numbers(path, arrays)
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
        arrays["scores"].astype(np.float64),
        n_frames=int(numbers["n_frames"]) if "n_frames" in numbers else None,
        fps=numbers.get("fps"),
        stride=int(numbers.get("frame_stride", SNIPPET_FRAMES)),
        events=None if events is None else events.tolist(),
        event_rule=None if rule is None else tuple(rule.tolist()),
        event_classes=_read_classes(path, arrays.get("event_classes"), events),
        times_s=times_s,
    )


def _read_arrays(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a file, of which `scores` are finite numbers."""
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (ValueError, OSError, EOFError, zipfile.BadZipFile, TypeError) as error:  # of an .npy: no `with`
        raise ValueError(f"{path}: not an .npz of arrays ({first_line(error)}). Write it with `np.savez`.") from error
    if "scores" not in arrays:
        raise ValueError(f"{path}: got the arrays {', '.join(arrays) or 'none'}, expected one named `scores`.")
    scores = arrays["scores"]
    if scores.ndim != 1 or not len(scores) or not _are_numbers(scores):
        raise ValueError(
            f"{path}: `scores` is {scores.dtype} of shape {scores.shape}, expected finite numbers of shape (n,)."
        )
    return arrays


def _read_classes(path: Path, classes: np.ndarray | None, events: np.ndarray | None) -> list[str] | None:
    """The class of each event, where a file tells them."""
    if classes is None:
        return None
    texts = classes.dtype.kind == "U" or not classes.size  # an empty array is one of numbers
    fits = texts and events is not None and classes.shape == (len(events),)
    if not fits or not all(map(str.strip, classes.tolist())):
        there = "no `events`" if events is None else f"{len(events)} `events`"
        raise ValueError(
            f"{path}: `event_classes` is {classes.dtype} of shape {classes.shape} beside {there}, expected the name "
            "of a class for each of `events`."
        )
    return classes.tolist()


def _read_numbers(path: Path, arrays: dict[str, np.ndarray]) -> dict[str, float]:
    """What a file tells of its video in one number."""
    numbers = {}
    for field in ("n_frames", "fps", "frame_stride"):
        if field in arrays:
            value, least = arrays[field], 0 if field == "fps" else 1
            if value.size != 1 or not _are_numbers(value) or not (value.item() >= least and value.item() > 0):
                wanted = "one number above 0" if field == "fps" else "one number, 1 or more"
                raise ValueError(f"{path}: `{field}` is {value}, expected {wanted}.")
            numbers[field] = value.item()
    return numbers


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


def score_missing(
    tests: dict[str, AnnotatedVideo], videos: str, folder: Path, model: str, device: str | None, dtype: str
) -> dict[str, str]:
    """
    Score the videos that have no scores yet.

    Args:
        tests (`dict[str, AnnotatedVideo]`): The test set.
        videos (`str`): Folder of the videos.
        folder (`Path`): Of the scores; made if missing.
        model (`str`), device (`str`, *optional*), dtype (`str`): As for `checkpoint.load.load_on_device`.

    Returns:
        `dict[str, str]`: The reason for each video that could not be scored.
    """
    from modeling_holmes_vau.checkpoint.load import load_on_device

    problems = {}
    folder.mkdir(exist_ok=True)
    paths = _to_score(tests, videos, folder, problems)
    if not paths:
        return problems
    model, processor = load_on_device(model, device, dtype)
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
