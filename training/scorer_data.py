"""Stage 1, what is learned from: annotated videos -> features and labels of their frames; what is held out."""

import json
import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from accelerate import PartialState
from accelerate.utils import gather_object

from hivau70k_dataset.ground_truth import (
    at_frame_rate,
    check_spans,
    frame_labels,
    hivau_frame_annotations,
    on_clock,
)
from hivau70k_dataset.reading import read_annotation_files
from hivau70k_dataset.schema import VideoAnnotation, sources_of
from hivau70k_dataset.videos import VideoFolder
from modeling_holmes_vau.base.files import NAMED_PROBLEMS, few_of, write_whole
from training.feature_cache import FeatureCache, VideoFeatures
from training.options import ScorerArguments
from training.runs import in_turn
from training.scorer_trainer import LabelledVideo


logger = logging.getLogger(__name__)

VIDEOS = "videos.json"  # in the output folder: the names of what a run trains and validates on
SPLITS = ("train", "validation")


# ---- what is there --------------------------------------------------------------------------------------------------


def take_videos(
    args: ScorerArguments, output: Path, model, processor, goes_on: bool, seed: int
) -> tuple[list[LabelledVideo], list[LabelledVideo]]:
    """
    The videos to train and to validate on. Their names are kept in `output` for a run that goes on.

    Args:
        args ([`ScorerArguments`]): Where videos and annotations are, and which labels may be looked at.
        output (`Path`): Output folder of the run.
        model, processor: The checkpoint, whose vision tower the features are of.
        goes_on (`bool`): Whether the run began before: it has the videos it began with.
        seed (`int`): Of what is held out where there is no validation split.
    """
    began_with = read_names(output / VIDEOS) if goes_on else None
    train, validation = read_videos(args, model, processor, began_with, output)
    if not goes_on and PartialState().is_main_process:
        names = [video.name for video in (*train, *validation)]
        write_whole(output / VIDEOS, json.dumps(names, indent=1) + "\n")
    return (train, validation) if validation else hold_out(train, args.validation_share, seed)


def read_videos(
    args: ScorerArguments, model, processor, began_with: set[str] | None = None, output: Path | None = None
) -> tuple[list[LabelledVideo], list[LabelledVideo]]:
    """
    Features and labels of the training and the validation videos; features that are not cached are made first.

    Videos that are missing, can't be read or do not fit their annotation are named, counted and left out. A run that
    goes on has the videos that it `began_with`, by their names: of what can't be read any more the cached features.
    Of many, the names are in a file in `output`.

    Raises:
        `ValueError`: if a video that the run began with is gone, and its features too; if a source that is asked for
            has no training videos.
    """
    entries = _entries(args, began_with)
    cache = FeatureCache(args.features_dir, model.to(PartialState().device), processor)
    kept = {path for path in began_with or () if cache.path(path).is_file()}  # whatever became of the file
    problems = make_features(cache, args.videos, entries, kept)
    videos = {split: [] for split in SPLITS}
    for path, entry in entries.items():
        if path in kept or path not in problems:
            features = cache.load(path)
            try:
                labels = label_frames(entry, features, args.supervision)
            except ValueError as error:
                problems[path] = str(error)
                continue
            video = LabelledVideo(path, features.features, labels, bool(entry.labels), processor.frame_stride)
            videos[entry.split].append(video)
    there = {video.name for part in videos.values() for video in part}
    if began_with and (gone := sorted(began_with - there)):
        raise ValueError(
            f"{len(gone)} videos of this run can't be read now and have no features in {args.features_dir}: "
            f"{', '.join(gone[:NAMED_PROBLEMS])}. Put them back, or choose another --output-dir."
        )
    _tell(entries, there, problems, output)
    check_sources(args.sources, sources_of(video.name for video in videos["train"]), f"can be read from {args.videos}")
    return videos["train"], videos["validation"]


def _entries(args: ScorerArguments, began_with: set[str] | None) -> dict[str, VideoAnnotation]:
    """The annotations to learn from, by the path of their video in the layout of the release."""
    annotations = read_annotation_files(args.annotations).annotations
    annotated = sources_of(entry.whole_path for entry in annotations if entry.split == "train")
    check_sources(args.sources, annotated, f"are annotated in {args.annotations}")
    entries = {entry.whole_path: entry for entry in annotations if entry.split in SPLITS}
    return {
        path: entry
        for path, entry in entries.items()
        if (not args.sources or entry.source in args.sources) and (began_with is None or path in began_with)
    }


def check_sources(asked: Sequence[str], there: Sequence[str], how: str) -> None:
    """Raises `ValueError` if training videos of a source that is asked for are not `there`."""
    if missing := sorted(set(asked) - set(there)):
        others = f"of these sources there are some: {', '.join(there)}" if there else "nor of any other source"
        raise ValueError(f"--sources: no training videos of {', '.join(missing)} {how}; {others}.")


def make_features(
    cache: FeatureCache, videos: str, entries: dict[str, VideoAnnotation], kept: set[str]
) -> dict[str, str]:
    """Make the features that are missing, each process its share; returns why videos can't be read, by path. Those
    `kept` are not made again."""
    folder = VideoFolder(videos)
    for note in folder.notes:
        logger.warning(note)
    found = {path: folder.find(entry) for path, entry in entries.items()}
    problems = {path: "not under the folder of videos" for path, video in found.items() if video is None}
    to_read = [(path, video.path) for path, video in found.items() if video is not None and path not in kept]
    state = PartialState()
    with in_turn(cache.folder):
        problems |= cache.extract_all(to_read, state.process_index, state.num_processes)
        state.wait_for_everyone()
    return dict(gather_object(list(problems.items())))


def _tell(entries: dict, there: set[str], problems: dict[str, str], output: Path | None) -> None:
    """Name what can't be read, and count what is left out."""
    told = [
        f"{'its stored features are used' if path in there else 'left out'}: {path}: {problems[path]}"
        for path in entries
        if path in problems
    ]
    for line in few_of(told, output if PartialState().is_main_process else None):
        logger.warning(line)
    if left_out := len(problems.keys() - there):
        logger.warning(f"{left_out} of {len(entries)} videos are left out")


def read_names(path: Path) -> set[str]:
    """The videos that a run began with.

    Raises:
        `ValueError`: if nothing tells them.
    """
    try:
        return set(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError, OSError) as error:
        raise ValueError(
            f"{path} is missing or damaged: nothing tells the videos of this run. Choose another --output-dir."
        ) from error


# ---- labels ---------------------------------------------------------------------------------------------------------


def label_frames(entry: VideoAnnotation, video: VideoFeatures, supervision: str) -> np.ndarray:
    """The labels of a video's frames.

    Raises:
        `ValueError`: If a span is past the end of the video, or an abnormal video has no abnormal frame to learn from.
    """
    if video.times_s is not None:
        truth = on_clock(entry, video.times_s.numpy(), video.fps)
    else:
        (truth,) = hivau_frame_annotations([at_frame_rate(entry, video.fps)]).values()
        check_spans(truth, video.num_frames, video.fps)
    labels = frame_labels(truth, video.num_frames)
    if supervision == "frame" and entry.labels and not labels.any():
        raise ValueError("annotated as abnormal without a span: train with --supervision video, or add one")
    return labels


def hold_out(videos: list[LabelledVideo], share: float, seed: int) -> tuple[list[LabelledVideo], list[LabelledVideo]]:
    """Split off a share of the normal and of the abnormal videos, at least one of each, to validate on."""
    rng, kept, held = np.random.default_rng(seed), [], []
    for is_abnormal in (False, True):
        group = [video for video in videos if video.is_abnormal == is_abnormal]
        if len(group) < 2:
            kind = "abnormal" if is_abnormal else "normal"
            raise ValueError(
                f"There are {len(group)} {kind} training videos, expected at least 2: one to train on, one to "
                "validate on."
            )
        chosen = set(rng.permutation(len(group))[: max(1, round(share * len(group)))].tolist())
        held += [video for i, video in enumerate(group) if i in chosen]
        kept += [video for i, video in enumerate(group) if i not in chosen]
    return kept, held
