"""Class tokens of the dense frames of many videos, computed once and kept on disk.

A folder of features belongs to one vision tower and one way of preparing frames, told by its `settings.json`, and each
file in it to one video, told by the digest of that video. What does not fit is refused, not used.
"""

import hashlib
import os
from collections.abc import Iterable
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from modeling_holmes_vau.base.errors import RunError
from modeling_holmes_vau.base.files import write_whole
from modeling_holmes_vau.base.names import fitting_name
from modeling_holmes_vau.base.runs import check_settings, write_settings
from modeling_holmes_vau.base.share import do_all
from modeling_holmes_vau.frame_rule_holmes_vau import dense_frame_indices
from modeling_holmes_vau.spans_holmes_vau import is_even_clock
from modeling_holmes_vau.video_processing_holmes_vau import FrameStream
from modeling_holmes_vau.video_reader_holmes_vau import VideoReadError, open_video


FORMAT = 1
TIMES = "times_s"  # in a file of features, where there are any
HASH_CHUNK_BYTES = 2**20


class StaleFeaturesError(RunError):
    """Features on disk that were made of another video, with another model, or in another way."""


@dataclass(frozen=True)
class VideoFeatures:
    """
    What the scorer sees of one video.

    Args:
        features (`torch.FloatTensor` of shape `(num_dense, feature_size)`): Class tokens, float32.
        num_frames (`int`): Frames of the video.
        fps (`float`): Frames per second.
        times_s (`torch.DoubleTensor` of shape `(num_frames,)`, *optional*): Time of each frame in seconds, where the
            rate does not tell it: it varies, the recording stood still, or the file rounds times.
    """

    features: torch.Tensor
    num_frames: int
    fps: float
    times_s: torch.Tensor | None = None


def file_digest(path: str | os.PathLike) -> str:
    """SHA-256 of a file's content."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(HASH_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def module_digest(module: torch.nn.Module) -> str:
    """SHA-256 of a module's weights, names and values, as they are in memory."""
    digest = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()


class FeatureCache:
    """
    A folder of features.

    Args:
        folder (`str` or `os.PathLike`): Made if missing.
        model (`HolmesVAUForConditionalGeneration`), processor (`HolmesVAUProcessor`): The checkpoint whose vision
            tower and frame preparation the features are of.

    Raises:
        [`RunError`]: if the folder holds features of another vision tower or frame preparation.
    """

    def __init__(self, folder: str | os.PathLike, model, processor):
        self.folder, self.model, self.processor = Path(folder), model, processor
        tower = model.model.vision_tower
        self.settings = {
            "format": FORMAT,
            "vision_tower": module_digest(tower),
            "dtype": str(tower.dtype).removeprefix("torch."),
            "feature_size": model.config.vision_config.hidden_size,
            "image_size": processor.image_size,
            "frame_stride": processor.frame_stride,
        }
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / "settings.json"
        if path.is_file():
            remedy = "choose another folder, or delete it to make them anew"
            check_settings(path, self.settings, f"{self.folder}: holds features", remedy)
        else:
            write_settings(path, self.settings)

    def path(self, name: str) -> Path:
        """The file of a video's features; `name` is its path in the layout of the release."""
        path = self.folder / name
        return path.with_name(fitting_name(path.stem, ".safetensors"))

    def extract(self, name: str, video: str | os.PathLike) -> bool:
        """
        Make the features of a video, unless they are there and of this very file.

        Memory does not grow with the length of the video, but for its class tokens.

        Args:
            name (`str`): Path of the video in the layout of the release.
            video (`str` or `os.PathLike`): The file to read.

        Returns:
            `bool`: Whether they were made, `False` when they were there.

        Raises:
            `VideoReadError`: if the video can't be read.
            `StaleFeaturesError`: if the features there are of another file.
            [`RunError`]: if they can't be written, or are not finite.
        """
        target = self.path(name)
        if target.is_file():
            check_made_of(target, video)
            return False
        content = self._encode(video)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            write_whole(target, content)
        except OSError as error:  # a full disk is no fault of the video
            raise RunError(f"{target} cannot be written: {error.strerror}. Choose another folder.") from error
        return True

    def _encode(self, video: str | os.PathLike) -> bytes:
        """The file of a video's features."""
        stat = os.stat(video)
        with open_video(video, self.processor.video_backend) as reader:
            indices = dense_frame_indices(reader.num_frames, self.processor.frame_stride)
            frames = FrameStream(reader, indices, self.processor.image_size, self.model.config.encode_batch_size)
            with torch.no_grad():
                features = torch.cat([self.model.encode_frames(chunk.frames)[:, 0].float().cpu() for chunk in frames])
            metadata = {
                "sha256": file_digest(video),
                "size": str(stat.st_size),
                "mtime_ns": str(stat.st_mtime_ns),
                "num_frames": str(reader.num_frames),
                "fps": repr(float(reader.fps)),
            }
            clock = clock_of(reader)
        if not torch.isfinite(features).all():
            raise RunError(f"{video}: the vision tower gives features that are not finite in {self.model.dtype}.")
        return save({"features": features.contiguous(), **clock}, metadata)

    def extract_all(
        self, videos: Iterable[tuple[str, str | os.PathLike]], process: int = 0, num_processes: int = 1
    ) -> dict[str, str]:
        """
        Make the features of this process's share of the videos.

        Returns:
            `dict[str, str]`: Why videos can't be read, a line each, by name.
        """
        return do_all(
            videos,
            lambda video: self.extract(*video),
            lambda video: video[0],
            "features",
            "video",
            process,
            num_processes,
            own_errors=(VideoReadError, OSError),
        )

    def load(self, name: str) -> VideoFeatures:
        """
        Read the features of a video and check them.

        Raises:
            `FileNotFoundError`: if they are not there.
            `StaleFeaturesError`: if the file is damaged or of another shape than it should be.
        """
        target = self.path(name)
        if not target.is_file():
            raise FileNotFoundError(f"{target} is not there. Extract the features of {name} first.")
        with open_features(target) as file:
            features, metadata = file.get_tensor("features"), file.metadata()
            times_s = file.get_tensor(TIMES) if TIMES in file.keys() else None
        num_frames = int(metadata["num_frames"])
        expected = (len(dense_frame_indices(num_frames, self.processor.frame_stride)), self.settings["feature_size"])
        if tuple(features.shape) != expected or not torch.isfinite(features).all():
            raise StaleFeaturesError(
                f"{target} holds features {tuple(features.shape)}, expected finite {expected}. Delete it to make it "
                "anew."
            )
        return VideoFeatures(features, num_frames, float(metadata["fps"]), times_s)


def check_made_of(target: Path, video: str | os.PathLike) -> None:
    """Raises [`StaleFeaturesError`] if stored features were made of another file than `video`."""
    with open_features(target) as file:
        made_of = file.metadata()
    if made_of is None:
        raise StaleFeaturesError(f"{target} does not tell of what it was made. Delete it to make it anew.")
    stat = os.stat(video)
    if made_of["size"] == str(stat.st_size) and made_of["mtime_ns"] == str(stat.st_mtime_ns):
        return
    if made_of["sha256"] != file_digest(video):
        raise StaleFeaturesError(
            f"{target} was made of another file than {video}. Delete it to make it anew, or choose another folder."
        )


def clock_of(video) -> dict[str, torch.Tensor]:
    """The times of an opened video's frames under their name in a file, where they are not those of its rate."""
    times_s = np.ascontiguousarray(video.timestamps_s, dtype=np.float64)
    return {} if is_even_clock(times_s, video.fps) else {TIMES: torch.from_numpy(times_s)}


@contextmanager
def open_features(path: Path):
    """A safetensors file of stored features; [`StaleFeaturesError`] if it is damaged or gone."""
    try:
        with safe_open(str(path), "pt") as file:
            yield file
    except (SafetensorError, FileNotFoundError) as error:
        raise StaleFeaturesError(f"{path} is damaged or gone ({error}). Delete it to make it anew.") from None
