"""Pretraining, what is learned from: single frames of annotated videos, the words of their clips, augmentation."""

import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional as F
from torch.utils.data import Dataset, Sampler

from hivau70k_dataset.regions import Region, VideoRegions
from hivau70k_dataset.schema import Clip, VideoAnnotation
from hivau70k_dataset.videos import VideoFolder
from modeling_holmes_vau.base.progress import Progress
from modeling_holmes_vau.spans_holmes_vau import check_segment, segment_frame_range
from modeling_holmes_vau.video_processing_holmes_vau import resize_frames
from modeling_holmes_vau.video_reader_holmes_vau import VideoReader, open_video
from training.region_targets import RegionTargets


MIN_CLIPS = 20  # a word of fewer clips is not learned
ABNORMAL_SHARE = 0.8  # a word of whose clips this share is abnormal is absent where no event is
STOP_WORDS = frozenset(
    "a an and are as at before by for from his her in into is it of off on one out the their then to "
    "while who with up down another that them this".split()
)
# Augmentation, each to both sides: size, aspect, shift (of half the side), light, colour and contrast.
SCALE, ASPECT, SHIFT, LIGHT, COLOUR, CONTRAST = 0.25, 0.07, 0.16, 0.3, 0.1, 0.2


# ---- words ----------------------------------------------------------------------------------------------------------


def words_of(caption: str) -> set[str]:
    """The content words of a caption, in lower case."""
    return {word for word in re.findall(r"[a-z]+", caption.lower()) if word not in STOP_WORDS}


def build_targets(
    videos: list[VideoAnnotation], min_clips: int = MIN_CLIPS
) -> tuple[list[str], np.ndarray, np.ndarray]:
    """
    The words to learn, and which clip has which; a word of fewer than `min_clips` clips is not learned.

    Returns:
        `tuple[list[str], np.ndarray, np.ndarray]`: The words; `(clips, words)` uint8; and `(words,)`, whether a word
        is one of abnormal clips, which frames outside of events do not show.
    """
    clips = [(words_of(clip.caption), bool(v.labels)) for v in videos for event in v.events for clip in event.clips]
    counts, abnormal = Counter(), Counter()
    for words, is_abnormal in clips:
        counts.update(words)
        abnormal.update(words if is_abnormal else ())
    vocabulary = sorted(word for word, count in counts.items() if count >= min_clips)
    position = {word: i for i, word in enumerate(vocabulary)}
    targets = np.zeros((len(clips), len(vocabulary)), np.uint8)
    for row, (words, _) in zip(targets, clips):
        row[[position[word] for word in words if word in position]] = 1
    return vocabulary, targets, np.array([abnormal[word] >= ABNORMAL_SHARE * counts[word] for word in vocabulary])


# ---- frames ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Frames:
    """Frames and what is known of the words that describe them.

    Args:
        pixels (`np.ndarray` of shape `(N, 3, S, S)`): uint8.
        clips (`np.ndarray` of shape `(N,)`): Which clip each frame belongs to; -1 for none.
        held_out (`np.ndarray` of shape `(N,)`): Whether the frame is of a video that is only measured with.
        regions (`Sequence[tuple[Region, ...] | None]`, *optional*): What shows where in each frame, if it is known.
    """

    pixels: np.ndarray
    clips: np.ndarray
    held_out: np.ndarray
    regions: Sequence[tuple[Region, ...] | None] = ()


def read_frames(
    videos: list[VideoAnnotation],
    folder: VideoFolder,
    clip_stride: int,
    other_stride: int,
    image_size: int,
    held_out_every: int = 10,
    regions: Mapping[str, VideoRegions] | None = None,
) -> Frames:
    """Read every few frames of each video, with the clip each belongs to and the `regions` of its path, if there are
    any; every tenth video is held out."""
    if len(videos) < 2:
        raise ValueError(
            f"One video to learn from and one to measure with are needed, got {len(videos)} train videos."
        )
    pixels, clips, held_out, shown, number = [], [], [], [], 0
    held_out_every = min(held_out_every, len(videos))

    def read(entry: VideoAnnotation) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return read_video(entry, folder, clip_stride, other_stride, image_size)

    with ThreadPoolExecutor(os.cpu_count()) as pool:  # decoding leaves Python's lock
        parts = Progress(pool.map(read, videos), "reading", len(videos), unit="video")
        for place, (entry, (frames, kept, of_frame)) in enumerate(zip(videos, parts)):
            pixels.append(frames)
            clips.append(np.where(of_frame >= 0, of_frame + number, -1))
            held_out.append(np.full(len(kept), place % held_out_every == held_out_every - 1))
            looks = regions[entry.whole_path].frames if regions and entry.whole_path in regions else {}
            shown += [looks.get(int(frame)) for frame in kept]
            number += sum(len(event.clips) for event in entry.events)
    return Frames(np.concatenate(pixels), np.concatenate(clips), np.concatenate(held_out), shown)


def read_video(
    entry: VideoAnnotation, folder: VideoFolder, clip_stride: int, other_stride: int, image_size: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Every few frames of a video `(N, 3, S, S)`, uint8; their numbers; and which of its clips each is of, or -1."""
    found = folder.find(entry)
    if found is None:
        raise ValueError(f"{entry.whole_path} is not under {folder.root}: every annotated video is needed.")
    spans = [clip for event in entry.events for clip in event.clips]
    with open_video(found.path) as reader:
        of_frame = clips_of_frames(reader, spans, found.path)
        index = np.arange(reader.num_frames)
        kept = index[np.where(of_frame >= 0, index % clip_stride == 0, index % other_stride == 0)]
        frames = resize_frames(reader.read(kept.tolist()), image_size).contiguous().numpy()
    return frames, kept, of_frame[kept]


def clips_of_frames(reader: VideoReader, spans: list[Clip], path: str) -> np.ndarray:
    """Which of the clips each frame of a video belongs to, -1 for none.

    Raises:
        `ValueError`: if a clip is past the end of the video.
    """
    of_frame = np.full(reader.num_frames, -1)
    for i, span in enumerate(spans):
        try:
            check_segment((span.start_s, span.end_s), reader.duration_s, reader.fps)
            first, count = segment_frame_range(reader.timestamps_s, span.start_s, span.end_s, reader.duration_s)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None
        of_frame[first : first + count] = i
    return of_frame


# ---- augmentation ---------------------------------------------------------------------------------------------------


def draw_changes(count: int, generator: torch.Generator) -> torch.Tensor:
    """How to change `count` frames, `(count, 10)`: sides, width, height, shift (2), contrast, light and colour (3)."""

    def around(middle: float, spread: float, *shape: int) -> torch.Tensor:
        drawn = middle + spread * (2 * torch.rand(count, *shape, generator=generator) - 1)
        return drawn.reshape(count, -1)

    mirrored = torch.where(torch.rand(count, generator=generator) < 0.5, -1.0, 1.0)[:, None]
    scale, aspect, shift = around(1.0, SCALE), around(1.0, ASPECT), around(0.0, SHIFT, 2)
    contrast, light, colour = around(1.0, CONTRAST), around(1.0, LIGHT), around(1.0, COLOUR, 3)
    return torch.cat([mirrored, scale, scale * aspect, shift, contrast, light, colour], dim=1)


def augment(pixels: torch.Tensor, changes: torch.Tensor) -> torch.Tensor:
    """Mirror, scale, move, light and tint frames `(B, 3, S, S)`, floats in [0, 1], each by its row of
    [`draw_changes`]."""
    mirrored, width, height, shift, contrast, light, colour = changes.split([1, 1, 1, 2, 1, 1, 3], dim=1)
    affine = torch.zeros(len(pixels), 2, 3, device=pixels.device)
    affine[:, 0, 0], affine[:, 1, 1] = (width * mirrored)[:, 0], height[:, 0]
    affine[:, :, 2] = shift
    grid = F.affine_grid(affine, list(pixels.shape), align_corners=False)
    moved = F.grid_sample(pixels, grid, padding_mode="reflection", align_corners=False)
    mean = moved.mean((1, 2, 3), keepdim=True)
    contrasted = (moved - mean) * contrast[..., None, None] + mean
    return (contrasted * light[..., None, None] * colour[..., None, None]).clamp(0, 1)


# ---- batches --------------------------------------------------------------------------------------------------------


class WordFrames(Dataset):
    """
    Augmented frames and their words, in an order that the seed and the epoch alone decide, so that a resumed run and
    several processes see what one run sees. Places go through the epochs: of `len(self)` frames each.

    Args:
        frames ([`Frames`]): All frames; those held out are left out here.
        targets (`np.ndarray` of shape `(clips, words)`), is_abnormal (`np.ndarray` of shape `(words,)`): Of
            [`build_targets`].
        batch_size (`int`): Frames of a step of all processes; what is left of an epoch behind the last whole step is
            not shown in it.
        seed (`int`): Of the order and the augmentation.
        region_words (`Sequence[str]`, *optional*): The words of regions that are learned.
        side (`int`, *optional*, defaults to 8): Patches along a side of the frame.

    Raises:
        `ValueError`: if there are fewer frames than one step takes.
    """

    def __init__(
        self,
        frames: Frames,
        targets: np.ndarray,
        is_abnormal: np.ndarray,
        batch_size: int,
        seed: int,
        region_words: Sequence[str] = (),
        side: int = 8,
    ):
        self.frames, self.targets, self.is_abnormal = frames, targets, is_abnormal
        self.batch_size, self.seed, self.epoch = batch_size, seed, None
        self.regions = RegionTargets(frames.regions or [None] * len(frames.clips), region_words)
        self.side = side
        self.rows = np.flatnonzero(~frames.held_out)
        if len(self.rows) < batch_size:
            raise ValueError(
                f"There are {len(self.rows)} frames to train on, fewer than a step takes: {batch_size} "
                "(--per-device-train-batch-size, all processes)."
            )

    def __len__(self) -> int:
        return len(self.rows) // self.batch_size * self.batch_size

    def plan(self, epoch: int) -> None:
        """Order the frames of an epoch, step by step, and draw how each is changed."""
        order = np.random.default_rng([self.seed, epoch]).permutation(self.rows)
        self.order = np.sort(order[: len(self)].reshape(-1, self.batch_size), axis=1).reshape(-1)
        generator = torch.Generator().manual_seed(self.seed * 1000 + epoch)
        steps = len(self) // self.batch_size
        self.changes = torch.cat([draw_changes(self.batch_size, generator) for _ in range(steps)])
        self.epoch = epoch

    def __getitems__(self, places: list[int]) -> dict[str, torch.Tensor]:
        """A batch of one epoch: `pixels` `(B, 3, S, S)`, uint8, and how to change them, `changes` `(B, 10)`; `labels`
        and `known` `(B, words)`: of a frame without a clip only abnormal words are known; `region_labels`
        `(B, patches, words of regions)` and `region_known` `(B, patches)`."""
        epoch, places = places[0] // len(self), np.array(places) % len(self)
        if epoch != self.epoch:
            self.plan(epoch)
        chosen = self.order[places]
        clips = self.frames.clips[chosen]
        labels = np.where(clips[:, None] >= 0, self.targets[clips], 0).astype(np.float32)
        known = ((clips[:, None] >= 0) | self.is_abnormal).astype(np.float32)
        changes = self.changes[places]
        region_labels, region_known = self.regions.paint(chosen, changes, self.side)
        return {
            "pixels": torch.from_numpy(self.frames.pixels[chosen]),
            "changes": changes,
            "labels": torch.from_numpy(labels),
            "known": torch.from_numpy(known),
            "region_labels": region_labels,
            "region_known": region_known,
        }

    def held_out(self) -> tuple[torch.Tensor, np.ndarray]:
        """Frames of clips of the held-out videos `(N, 3, S, S)`, uint8, and which words each has `(N, words)`."""
        rows = np.flatnonzero(self.frames.held_out & (self.frames.clips >= 0))
        return torch.from_numpy(self.frames.pixels[rows]), self.targets[self.frames.clips[rows]]


class EpochOrder(Sampler[int]):
    """The places of a dataset's epochs, one epoch after another, as the trainer tells which."""

    def __init__(self, dataset: Dataset):
        self.dataset, self.epoch = dataset, 0

    def set_epoch(self, epoch: int) -> None:
        """Called by the trainer."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.dataset)

    def __iter__(self) -> Iterator[int]:
        return iter(range(self.epoch * len(self), (self.epoch + 1) * len(self)))
