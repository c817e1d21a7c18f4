"""Stage 2, its batches: frames or stored features of segments, prompts, and labels on the answers."""

import hashlib
import os
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save

from modeling_holmes_vau.base.files import write_whole
from modeling_holmes_vau.base.runs import settings_digest
from modeling_holmes_vau.modeling_holmes_vau import normalize_pixels
from modeling_holmes_vau.processing_holmes_vau import IGNORED
from modeling_holmes_vau.video_processing_holmes_vau import resize_frames
from modeling_holmes_vau.video_reader_holmes_vau import VideoReader, open_video
from training.feature_cache import StaleFeaturesError, module_digest, open_features
from training.sft_data import random_frames


NO_PROBLEM = ""
OPEN_VIDEOS = 256  # indexed videos a worker remembers; no file stays open


# ---- pixels and features --------------------------------------------------------------------------------------------


@lru_cache(maxsize=OPEN_VIDEOS)
def _indexed(path: str, backend: str) -> VideoReader:
    return open_video(path, backend)


def read_pixels(path: str, frames: list[int], image_size: int, backend: str) -> torch.Tensor:
    """Frames of a file at any indices, resized as inference does: uint8 `(N, 3, image_size, image_size)`."""
    unique, inverse = np.unique(frames, return_inverse=True)
    decoded = _indexed(path, backend).frames(unique.tolist())
    pixels = torch.cat([resize_frames(frame[None], image_size) for frame in decoded])
    return pixels[torch.from_numpy(inverse)]


class TowerFeatures:
    """
    Outputs of the frozen vision tower for the chosen frames of each segment, kept on disk in half precision.

    A file belongs to one tower, image size, segment of one very file, and list of frames.

    Args:
        folder (`str` or `os.PathLike`): Made if missing.
        tower (`torch.nn.Module`): The vision tower.
        processor (`HolmesVAUProcessor`): Prepares the frames.
        batch_size (`int`, *optional*, defaults to 16): Frames encoded together.
    """

    def __init__(self, folder: str | os.PathLike, tower, processor, batch_size: int = 16):
        made_with = {"tower": module_digest(tower), "dtype": str(tower.dtype), "image_size": processor.image_size}
        self.folder = Path(folder) / f"tower-{settings_digest(made_with)}"
        self.dtype = tower.dtype if tower.dtype in (torch.float16, torch.bfloat16) else torch.float16
        self.image_size, self.backend, self.batch_size = processor.image_size, processor.video_backend, batch_size

    def path(self, key: str, frames: list[int]) -> Path:
        """The file of a segment's frames."""
        name = hashlib.sha256(f"{key} {frames}".encode()).hexdigest()[:32]
        return self.folder / name[:2] / f"{name[2:]}.safetensors"

    @torch.no_grad()
    def make(self, tower, video: str, key: str, frames: list[int]) -> None:
        """Encode and store the frames, unless they are there."""
        target = self.path(key, frames)
        if target.is_file():
            return
        pixels = read_pixels(video, sorted(set(frames)), self.image_size, self.backend)
        device = next(tower.parameters()).device
        encoded = [
            tower(pixel_values=normalize_pixels(batch.to(device)).to(tower.dtype)).last_hidden_state.to(self.dtype)
            for batch in pixels.split(self.batch_size)
        ]
        features = torch.cat(encoded).cpu()  # (unique frames, 1 + patches, vision_hidden_size)
        if not torch.isfinite(features).all():
            raise StaleFeaturesError(f"{video}: features are not finite in {self.dtype}. Leave --feature-cache out.")
        target.parent.mkdir(parents=True, exist_ok=True)
        write_whole(target, save({"features": features.contiguous()}))

    def load(self, key: str, frames: list[int]) -> torch.Tensor:
        """Features `(len(frames), 1 + patches, vision_hidden_size)`, a row a frame."""
        target = self.path(key, frames)
        with open_features(target) as file:
            features = file.get_tensor("features")
        return features[torch.from_numpy(np.unique(frames, return_inverse=True)[1])]


# ---- batches --------------------------------------------------------------------------------------------------------


def is_text(row: dict) -> bool:
    """Whether a row is plain text, without frames."""
    return not row["frames"]


class SFTCollator:
    """
    Rows -> a right-padded batch. Videos are decoded here, that is, in the workers of a `DataLoader`.

    A segment that can't be read keeps its place with black frames and no labels, so that it has no weight in the
    loss, and is named in `problems`.

    Args:
        processor (`HolmesVAUProcessor`): Of the checkpoint.
        num_frames (`int`): Frames of a segment.
        features ([`TowerFeatures`], *optional*): Read instead of the videos.
        random_policy (`bool`, *optional*, defaults to `False`): Choose frames at random, as the original does.
        seed (`int`, *optional*, defaults to 0): Of those; the attribute `epoch` counts too.
    """

    def __init__(
        self,
        processor,
        num_frames: int,
        features: TowerFeatures | None = None,
        random_policy: bool = False,
        seed: int = 0,
    ):
        self.processor, self.num_frames, self.features = processor, num_frames, features
        self.random_policy, self.seed, self.epoch = random_policy, seed, 0
        tokenizer = processor.tokenizer
        self.pad_id = tokenizer.eos_token_id if tokenizer.pad_token_id is None else tokenizer.pad_token_id

    def visual(self, row: dict) -> torch.Tensor:
        """What the vision tower gets for a row: uint8 frames `(N, 3, S, S)`, or its stored outputs."""
        frames = row["frames"]
        if self.random_policy:
            rng = np.random.default_rng([self.seed, self.epoch, row["row"]])
            frames = random_frames(row["first"], row["count"], self.num_frames, rng)
        if self.features is not None:
            return self.features.load(row["key"], frames)  # (N, 1 + patches, vision_hidden_size)
        return read_pixels(row["path"], frames, self.processor.image_size, self.processor.video_backend)

    def __call__(self, rows: Sequence[dict]) -> dict:
        """
        Returns:
            `dict`: `input_ids`, `attention_mask`, `labels` `(B, L)`; `pixel_values` of all frames, if there are any;
            `problems`, a line for each row, empty where it could be read.
        """
        samples, visuals, problems = [], [], []
        for row in rows:
            turns = [(turn["question"], turn["answer"]) for turn in row["turns"]]
            if is_text(row):
                ids = self.processor.tokenizer(turns[0][1])["input_ids"]
                samples.append((ids, ids))
                problems.append(NO_PROBLEM)
                continue
            ids, labels = self.processor.encode_turns(turns, self.num_frames)
            try:
                visuals.append(self.visual(row))
                problems.append(NO_PROBLEM)
            except StaleFeaturesError:
                raise
            except (ValueError, OSError) as error:
                size = self.processor.image_size
                visuals.append(torch.zeros(self.num_frames, 3, size, size, dtype=torch.uint8))
                labels = [IGNORED] * len(ids)
                problems.append(f"{row['video']}: {str(error).splitlines()[0]}")
            samples.append((ids, labels))
        length = max(len(ids) for ids, _ in samples)

        def pad(values: list[list[int]], filler: int) -> torch.Tensor:
            return torch.tensor([value + [filler] * (length - len(value)) for value in values])

        return {
            "input_ids": pad([ids for ids, _ in samples], self.pad_id),
            "attention_mask": pad([[1] * len(ids) for ids, _ in samples], 0),
            "labels": pad([labels for _, labels in samples], IGNORED),
            **({"pixel_values": torch.cat(visuals)} if visuals else {}),
            "problems": problems,
        }
