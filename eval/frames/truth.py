"""The test sets of frame-level detection: their videos and abnormal spans, as each protocol defines them."""

import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from hivau70k_dataset.ground_truth import (
    FrameAnnotation,
    hivau_frame_annotations,
    read_ucf_annotation,
    read_xd_annotation,
)
from hivau70k_dataset.reading import read_annotation_files
from hivau70k_dataset.schema import VideoAnnotation
from modeling_holmes_vau.base.scan import VIDEO_SUFFIXES, scan_folder


PROTOCOLS = ("hivau", "ucf-crime", "xd-violence")
XD_NORMAL_VIDEOS = 300  # of the 800 of XD-Violence's test set (Wu et al., ECCV 2020)


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


def read_tests(
    protocol: str,
    annotations: str,
    split: str = "test",
    videos: str | os.PathLike | None = None,
    scores: str | os.PathLike | None = None,
) -> dict[str, AnnotatedVideo]:
    """
    The test videos by name, as a protocol defines them.

    Args:
        protocol (`str`): One of `PROTOCOLS`.
        annotations (`str`): The ground truth: a folder or a file for "hivau", the test annotation file for others.
        split (`str`, *optional*, defaults to `"test"`): Of the "hivau" annotations.
        videos, scores (`str` or `os.PathLike`, *optional*): Folders that hold the normal videos of XD-Violence, which
            its annotations leave out, or their scores.

    Raises:
        `ValueError`: one line, if there are none, or a name is no name of a video.
    """
    if protocol == "hivau":
        return read_hivau(annotations, split)
    if not os.path.isfile(annotations):
        raise ValueError(
            f"--annotations {annotations}: no such file; --protocol {protocol} reads its test annotation file"
        )
    truths = (read_ucf_annotation if protocol == "ucf-crime" else read_xd_annotation)(annotations)
    if protocol == "xd-violence":
        for name in _normal_xd_names(videos, scores):
            truths.setdefault(name, FrameAnnotation(name, ()))
    check_names(truths, annotations)
    return {name: AnnotatedVideo(truth, _entry(name, protocol)) for name, truth in truths.items()}


def check_names(names: Iterable[str], annotations: str) -> None:
    """Each becomes the name of a file of scores, which must not lie elsewhere; those of HIVAU are checked as read."""
    for name in names:
        if name != Path(name).name:
            raise ValueError(f"--annotations {annotations}: {name!r} is no name of a video: it names a folder too")


def read_hivau(annotations: str, split: str) -> dict[str, AnnotatedVideo]:
    """The videos of a split of hierarchical annotations, by name."""
    everything = read_annotation_files(annotations).annotations
    entries = {entry.video: entry for entry in everything if entry.split == split}
    if not entries:
        found = ", ".join(sorted({entry.split for entry in everything})) or "no hierarchical annotations"
        raise ValueError(f"--annotations {annotations}: no videos of the split {split!r}; it has {found}")
    if len(entries) < sum(entry.split == split for entry in everything):
        raise ValueError(f"--annotations {annotations}: a video of {split!r} is in two files; pass one of the files")
    truths = hivau_frame_annotations(entries.values())
    return {name: AnnotatedVideo(truths[name], entry, entry.fps) for name, entry in entries.items()}


def _entry(name: str, source: str) -> VideoAnnotation:
    """What `VideoFolder.find` needs to look for a video of which the name alone is known."""
    return VideoAnnotation(name, source, "test", n_frames=0, fps=0.0, labels=(), events=(), summary="")


def _normal_xd_names(videos: str | os.PathLike | None, scores: str | os.PathLike | None) -> list[str]:
    """XD-Violence lists only its abnormal test videos: the normal ones are those that are there."""
    names = set()
    for root, suffixes in ((videos, VIDEO_SUFFIXES), (scores, (".npz",))):
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
