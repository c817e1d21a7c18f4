"""Videos for other checkpoints where torchvision is missing, which transformers' video processors need.

What a video processor does to a frame, a picture processor on PIL does as well; what is left is how the frames of a
video are put together. `tests/test_rivals.py` holds both against each other where torchvision is installed.
"""

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
from transformers import BatchFeature, CLIPImageProcessorPil, Qwen2VLImageProcessorPil
from transformers.processing_utils import VideosKwargs
from transformers.video_processing_utils import BaseVideoProcessor
from transformers.video_utils import make_batched_metadata, make_batched_videos


class PilVideos(ABC):
    """
    In the place of a video processor, for frames that are chosen already.

    Args:
        settings (`dict`): Those of the checkpoint's video processor.
    """

    kind: type  # the picture processor that does the same to a frame
    defaults: dict[str, Any] = {}  # of the video processor, where they are not those of `kind`
    model_input_names = ["pixel_values_videos"]
    valid_kwargs = VideosKwargs
    num_frames = fps = None  # how it would choose frames; some processors ask

    def __init__(self, settings: dict[str, Any]):
        self.frames = self.kind(**self._known({**self.defaults, **settings}))

    def __call__(
        self, videos, video_metadata=None, return_metadata: bool = False, return_tensors: str | None = None, **changes
    ) -> BatchFeature:
        """Videos of (frames, height, width, 3) in uint8, as the model takes them."""
        videos = make_batched_videos(videos)
        changes = {**self._known(changes), "return_tensors": "np", "input_data_format": "channels_last"}
        data = self.join([self.frames(list(video), **changes) for video in videos])
        features = BatchFeature(data, tensor_type=return_tensors)
        if return_metadata:
            features["video_metadata"] = make_batched_metadata(videos, video_metadata)
        return features

    def _known(self, settings: dict[str, Any]) -> dict[str, Any]:
        """The settings that the picture processor has too."""
        return {name: value for name, value in settings.items() if name in self.kind.valid_kwargs.__annotations__}

    @abstractmethod
    def join(self, videos: list[BatchFeature]) -> dict[str, Any]:
        """What the model takes, of the frames of each video."""


class CroppedFrames(PilVideos):
    """LLaVA-NeXT-Video and Video-LLaVA: the middle of each frame."""

    kind = CLIPImageProcessorPil

    def join(self, videos: list[BatchFeature]) -> dict[str, Any]:
        """`pixel_values_videos` of shape (videos, frames, 3, height, width)."""
        return {"pixel_values_videos": np.stack([video["pixel_values"] for video in videos])}


class SquareFrames(CroppedFrames):
    """LLaVA-OneVision and InternVL: each frame whole, as a square."""

    defaults = {"size": {"height": 384, "width": 384}, "do_center_crop": None, "crop_size": None}


class PatchedFrames(PilVideos):
    """Qwen2-VL and Qwen2.5-VL: patches of frames of any size, each of `temporal_patch_size` frames in a row."""

    kind = Qwen2VLImageProcessorPil
    defaults = {"size": {"shortest_edge": 128 * 28 * 28, "longest_edge": 768 * 28 * 28}}
    model_input_names = ["pixel_values_videos", "video_grid_thw"]

    @property
    def merge_size(self) -> int:
        """Patches a side that make one token."""
        return self.frames.merge_size

    @property
    def temporal_patch_size(self) -> int:
        """Frames of a patch."""
        return self.frames.temporal_patch_size

    def join(self, videos: list[BatchFeature]) -> dict[str, Any]:
        """`pixel_values_videos` of shape (patches, values) and `video_grid_thw` of shape (videos, 3)."""
        patches, grids = zip(*map(self._in_time, videos))
        return {"pixel_values_videos": np.concatenate(patches), "video_grid_thw": np.array(grids)}

    def _in_time(self, video: BatchFeature) -> tuple[np.ndarray, list[int]]:
        """The patches of a video and how many they are in time, height and width. A patch of a picture has the picture
        `temporal_patch_size` times; the last frame is repeated until the number fits."""
        depth, (_, height, width) = self.temporal_patch_size, video["image_grid_thw"][0]
        values = video["pixel_values"].reshape(-1, height * width, 3, depth, self.frames.patch_size**2)
        frames = values[:, :, :, 0]  # (frames, patches, 3, pixels)
        frames = np.concatenate([frames, *[frames[-1:]] * (-len(frames) % depth)])
        frames = frames.reshape(-1, depth, *frames.shape[1:])  # (steps, depth, patches, 3, pixels)
        patches = np.moveaxis(frames, 1, 3)  # (steps, patches, 3, depth, pixels)
        return patches.reshape(len(patches) * height * width, -1), [len(patches), int(height), int(width)]


class NeedsTorchvision:
    """In the place of a video processor that is none of these: takes no videos."""

    model_input_names: list[str] = []
    num_frames = fps = None


# By the processor of transformers that the video processor is part of.
ON_PIL: dict[str, type[PilVideos]] = {
    "LlavaNextVideoProcessor": CroppedFrames,
    "VideoLlavaProcessor": CroppedFrames,
    "LlavaOnevisionProcessor": SquareFrames,
    "InternVLProcessor": SquareFrames,
    "Qwen2VLProcessor": PatchedFrames,
    "Qwen2_5_VLProcessor": PatchedFrames,
}


def video_processor_on_pil(name: str, processor: str) -> PilVideos | NeedsTorchvision:
    """
    What stands in for the video processor of a checkpoint.

    Args:
        name (`str`): Folder or Hub name of the checkpoint.
        processor (`str`): Name of the class of its processor.
    """
    if processor not in ON_PIL:
        return NeedsTorchvision()
    settings, _ = BaseVideoProcessor.get_video_processor_dict(name)
    return ON_PIL[processor](settings)
