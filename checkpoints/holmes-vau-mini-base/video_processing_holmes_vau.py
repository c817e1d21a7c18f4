"""An opened video -> the frames the model needs, resized, in chunks that a thread decodes ahead."""

import queue
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from .video_reader_holmes_vau import VideoReader, VideoReadError, check_indices


THREAD_NAME = "frame-stream"


def read_what_is_there(video, read: Callable, strict: bool):
    """`read()`, which reads an opened video. Where a file that looked sound fails, and `strict` is off, it is surveyed
    and `read` called once more.

    Raises `VideoReadError` if frames cannot be read all the same.
    """
    try:
        return read()
    except VideoReadError:
        if strict or not isinstance(video, VideoReader) or video.is_surveyed:
            raise
    video.survey()
    return read()


def resize_frames(frames: np.ndarray, image_size: int) -> torch.Tensor:
    """Resize uint8 `(n, height, width, 3)` to `(n, 3, image_size, image_size)`, in channels-last memory.

    Equal to `PIL.Image.resize((image_size, image_size), BICUBIC)`, in a sixth of its time, but for one value in a few
    hundred that is one level off, and one in a hundred thousand that is two (filter weights have 16 bits).
    """
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[-1] != 3:
        raise ValueError(f"`frames` must be uint8 (n, height, width, 3), got {frames.dtype} {frames.shape}.")
    pixels = torch.from_numpy(np.require(frames, requirements=("C", "W"))).permute(0, 3, 1, 2)  # (n, 3, H, W)
    return functional.interpolate(pixels, size=(image_size, image_size), mode="bicubic", antialias=True)


# Blocks a side over which a frame is averaged, and the difference between such means, in levels of 255, up to which a
# picture is even, or does not change. In videos of one photograph (x264, crf 18 to 40) they move by up to 0.9.
GRID, SAME_LEVELS = 16, 2.0


class PictureCheck:
    """Whether frames show anything to judge an event by. `update` takes them as they pass by."""

    def __init__(self):
        self.num_frames, self.unevenness, self.change = 0, 0.0, 0.0
        self.first: torch.Tensor | None = None

    def update(self, frames: torch.Tensor) -> None:
        """Look at the next resized frames, uint8 `(n, 3, S, S)`."""
        means = functional.adaptive_avg_pool2d(frames.float(), GRID)  # (n, 3, GRID, GRID)
        self.first = means[:1] if self.first is None else self.first
        self.num_frames += len(frames)
        self.unevenness = max(self.unevenness, float((means - means.mean((2, 3), keepdim=True)).abs().max()))
        self.change = max(self.change, float((means - self.first).abs().max()))

    @property
    def warning(self) -> str:
        """What is to be said of the frames seen so far; empty if nothing."""
        if self.num_frames == 1:
            return "a single frame: nothing to judge an event by"
        if self.unevenness <= SAME_LEVELS:
            return "the picture is of one colour: nothing to judge an event by"
        return "the picture does not change: nothing to judge an event by" if self.change <= SAME_LEVELS else ""


@dataclass(frozen=True)
class FrameChunk:
    """
    Some frames of a video as they come from a source: a file, a span of it, frames in memory, a camera.

    Args:
        frames (`torch.ByteTensor` of shape `(n, 3, image_size, image_size)`): Resized RGB frames, in time order.
        indices (`torch.LongTensor` of shape `(n,)`): Their frame numbers, increasing from chunk to chunk.
        times_s (`torch.DoubleTensor` of shape `(n,)`, *optional*): Their times in seconds; `None` of frames in memory
            without a frame rate.
        is_dense (`torch.BoolTensor` of shape `(n,)`): Which of them are on the dense grid, and scored.
    """

    frames: torch.Tensor
    indices: torch.Tensor
    times_s: torch.Tensor | None
    is_dense: torch.Tensor

    def __len__(self) -> int:
        return len(self.indices)


class FrameStream:
    """
    An opened video as chunks of frames, decoded and resized in a thread that runs ahead of the loop over them.

    The thread ends when the loop does, however it ends, and its errors are raised in the loop. At most `prefetch`
    chunks wait, so the memory needed does not depend on the length of the video. Each loop decodes anew.

    Args:
        video (`VideoReader` or `ArrayVideo`), frame_indices (`list[int]`): What to read; indices must not decrease.
        image_size (`int`): Side of the resized frames in pixels.
        chunk_size (`int`, *optional*, defaults to 16): Frames per chunk; the last may have fewer.
        prefetch (`int`, *optional*, defaults to 2): How many chunks to be ahead, at least 1.
        dense_mask (`list[bool]`, *optional*): Which of the frames are on the dense grid; all by default.

    The attribute `decode_s` tells for how many seconds the latest loop, and `read` since then, were busy.

    Example:

    ```python
    >>> from modeling_holmes_vau import open_video
    >>> video = open_video(np.zeros((50, 48, 64, 3), dtype=np.uint8), fps=25)
    >>> for chunk in FrameStream(video, [0, 16, 32], image_size=28, chunk_size=2):
    ...     print(tuple(chunk.frames.shape), chunk.indices.tolist(), chunk.times_s.tolist())
    (2, 3, 28, 28) [0, 16] [0.0, 0.64]
    (1, 3, 28, 28) [32] [1.28]

    ```
    """

    def __init__(
        self,
        video,
        frame_indices: Sequence[int],
        image_size: int,
        chunk_size: int = 16,
        prefetch: int = 2,
        dense_mask: Sequence[bool] | None = None,
    ):
        if chunk_size < 1 or prefetch < 1:
            raise ValueError(f"`chunk_size` and `prefetch` must be at least 1, got {chunk_size} and {prefetch}.")
        self.frame_indices = check_indices(frame_indices, video.num_frames)
        if self.frame_indices != sorted(self.frame_indices):
            raise ValueError("`frame_indices` must not decrease: sort them, or use `read`.")
        self.dense_mask = [True] * len(self.frame_indices) if dense_mask is None else list(dense_mask)
        self.video, self.image_size, self.chunk_size, self.prefetch = video, image_size, chunk_size, prefetch
        self.decode_s = 0.0

    def __len__(self) -> int:
        """Number of chunks."""
        return -(-len(self.frame_indices) // self.chunk_size)

    def read(self, frame_indices: Sequence[int]) -> torch.Tensor:
        """Resized frames, uint8 `(n, 3, image_size, image_size)`, at any indices of the video."""
        start = time.perf_counter()
        frames = resize_frames(self.video.read(frame_indices), self.image_size)
        self.decode_s += time.perf_counter() - start
        return frames

    def __iter__(self) -> Iterator[FrameChunk]:
        self.decode_s = 0.0
        chunks, slots, stop = queue.SimpleQueue(), threading.Semaphore(self.prefetch), threading.Event()
        thread = threading.Thread(target=self._fill, name=THREAD_NAME, args=(chunks, slots, stop), daemon=True)
        # Also called at interpreter exit, when a thread inside a decoder would abort the process.
        finish = weakref.finalize(self, lambda: (stop.set(), slots.release(), thread.join()))
        thread.start()
        try:
            for start in range(0, len(self.frame_indices), self.chunk_size):
                frames = chunks.get()
                if isinstance(frames, BaseException):
                    raise frames
                slots.release()
                yield self._chunk(frames, slice(start, start + len(frames)))
        finally:
            finish()

    def _chunk(self, frames: torch.Tensor, part: slice) -> FrameChunk:
        indices = torch.tensor(self.frame_indices[part])
        times_s = None if self.video.fps is None else torch.from_numpy(self.video.timestamps_s[indices.numpy()])
        return FrameChunk(frames, indices, times_s, torch.tensor(self.dense_mask[part]))

    def _fill(self, chunks: queue.SimpleQueue, slots: threading.Semaphore, stop: threading.Event) -> None:
        try:
            with closing(self.video.frames(self.frame_indices)) as frames:
                for start in range(0, len(self.frame_indices), self.chunk_size):
                    slots.acquire()
                    begin_s = time.perf_counter()
                    num_frames = min(self.chunk_size, len(self.frame_indices) - start)
                    pixels = np.empty((num_frames, self.image_size, self.image_size, 3), dtype=np.uint8)
                    for slot in pixels:
                        if stop.is_set():
                            return
                        slot[...] = resize_frames(next(frames)[None], self.image_size)[0].permute(1, 2, 0).numpy()
                    self.decode_s += time.perf_counter() - begin_s
                    chunks.put(torch.from_numpy(pixels).permute(0, 3, 1, 2))  # (num_frames, 3, S, S)
        except BaseException as error:  # for the loop to raise
            chunks.put(error)
