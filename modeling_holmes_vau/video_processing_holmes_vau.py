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

from .spans_holmes_vau import segment_frame_range
from .video_reader_holmes_vau import VideoReader, VideoReadError, check_indices


DENSE_STRIDE = 16  # frames; the original release scores every 16th frame
THREAD_NAME = "frame-stream"


def dense_frame_indices(num_frames: int, stride: int = DENSE_STRIDE, first: int = 0) -> list[int]:
    """Every `stride`-th of the `num_frames` frames that begin at frame `first`: `first, first + stride, ...`"""
    if num_frames < 1 or stride < 1:
        raise ValueError(f"`num_frames` and `stride` must be at least 1, got {num_frames} and {stride}.")
    return list(range(first, first + num_frames, stride))


def middle_frame_indices(num_frames: int, num_segments: int, first: int = 0) -> list[int]:
    """The middle frame of each of `num_segments` equal segments (InternVL's rule). Repeats when frames are fewer.

    Example:

    ```python
    >>> middle_frame_indices(120, 8)
    [7, 22, 37, 52, 67, 81, 96, 111]

    ```
    """
    if num_frames < 1 or num_segments < 1:
        raise ValueError(f"`num_frames` and `num_segments` must be at least 1, got {num_frames} and {num_segments}.")
    segment = (num_frames - 1) / num_segments
    return [int(first + segment / 2 + np.round(segment * k)) for k in range(num_segments)]


@dataclass(frozen=True)
class FramePlan:
    """
    The frames of one video, or of a segment of it, that the model needs.

    Args:
        frame_indices (`list[int]`): Frame numbers to read, increasing.
        dense_mask (`list[bool]`): Which of them are on the dense grid, and scored.
        selected (`list[int]`, *optional*): Positions among them that the language model sees, where the video is so
            short that the sampler is not asked.
        num_frames (`int`): How many frames the language model sees.
        end_s (`float`, *optional*): Time at which the last of the planned frames is over, in seconds; `None` of frames
            in memory without a frame rate.
    """

    frame_indices: list[int]
    dense_mask: list[bool]
    selected: list[int] | None
    num_frames: int
    end_s: float | None


def plan_frames(video, num_frames: int, stride: int, segment_s: tuple[float, float | None] | None = None) -> FramePlan:
    """
    Plan the frames of an opened video.

    As in the original release, a video of at most `stride * num_frames` frames shows the middle frame of each of
    `num_frames` equal segments; its dense grid is scored all the same.

    Args:
        video (`VideoReader` or `ArrayVideo`): The opened video.
        num_frames (`int`): How many frames the language model sees.
        stride (`int`): Distance between dense frames.
        segment_s (`tuple[float, float]`, *optional*): The span to read, in seconds; an end of `None` is the video's.

    Returns:
        [`FramePlan`]
    """
    if num_frames < 1 or stride < 1:
        raise ValueError(f"`num_frames` and `frame_stride` must be at least 1, got {num_frames} and {stride}.")
    if segment_s is not None and (len(segment_s) != 2 or segment_s[0] is None):
        raise ValueError(f"`segment_s` must be (start, end) in seconds, the end may be None, got {segment_s}.")
    for start_s, end_s in video.damaged_s if segment_s is not None else ():
        if start_s <= segment_s[0] and (video.duration_s if segment_s[1] is None else segment_s[1]) <= end_s:
            raise ValueError(
                f"{video.path}: frames are missing in {start_s:.2f} to {end_s:.2f} s, which is all of the segment "
                f"asked for, {segment_s[0]:g} s on. Choose another."
            )
    first, count = (0, video.num_frames) if segment_s is None else segment_frame_range(video.timestamps_s, *segment_s)
    dense = dense_frame_indices(count, stride, first)
    shown = middle_frame_indices(count, num_frames, first) if count <= stride * num_frames else None
    indices = sorted({*dense, *(shown or [])})
    position = {index: i for i, index in enumerate(indices)}
    scored = set(dense)
    return FramePlan(
        frame_indices=indices,
        dense_mask=[index in scored for index in indices],
        selected=None if shown is None else [position[index] for index in shown],
        num_frames=num_frames,
        end_s=None if video.fps is None else video.shown_until_s(first + count - 1),
    )


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


class FrameStream:
    """
    Chunks of resized frames, decoded and resized in a thread that runs ahead of the loop over them.

    The thread ends when the loop does, however it ends, and its errors are raised in the loop. At most `prefetch`
    chunks wait, so the memory needed does not depend on the length of the video. Each loop decodes anew.

    Args:
        video (`VideoReader` or `ArrayVideo`), frame_indices (`list[int]`): What to read; indices must not decrease.
        image_size (`int`): Side of the resized frames in pixels.
        chunk_size (`int`, *optional*, defaults to 16): Frames per chunk; the last may have fewer.
        prefetch (`int`, *optional*, defaults to 2): How many chunks to be ahead, at least 1.

    The attribute `decode_s` tells for how many seconds the thread of the latest loop was busy.

    Example:

    ```python
    >>> from modeling_holmes_vau import open_video
    >>> video = open_video(np.zeros((50, 48, 64, 3), dtype=np.uint8))
    >>> [tuple(chunk.shape) for chunk in FrameStream(video, [0, 16, 32], image_size=28, chunk_size=2)]
    [(2, 3, 28, 28), (1, 3, 28, 28)]

    ```
    """

    def __init__(self, video, frame_indices: Sequence[int], image_size: int, chunk_size: int = 16, prefetch: int = 2):
        if chunk_size < 1 or prefetch < 1:
            raise ValueError(f"`chunk_size` and `prefetch` must be at least 1, got {chunk_size} and {prefetch}.")
        self.frame_indices = check_indices(frame_indices, video.num_frames)
        if self.frame_indices != sorted(self.frame_indices):
            raise ValueError("`frame_indices` must not decrease: sort them, or use `read`.")
        self.video, self.image_size, self.chunk_size, self.prefetch = video, image_size, chunk_size, prefetch
        self.decode_s = 0.0

    def __len__(self) -> int:
        """Number of chunks."""
        return -(-len(self.frame_indices) // self.chunk_size)

    def __iter__(self) -> Iterator[torch.Tensor]:
        self.decode_s = 0.0
        chunks, slots, stop = queue.SimpleQueue(), threading.Semaphore(self.prefetch), threading.Event()
        thread = threading.Thread(target=self._fill, name=THREAD_NAME, args=(chunks, slots, stop), daemon=True)
        # Also called at interpreter exit, when a thread inside a decoder would abort the process.
        finish = weakref.finalize(self, lambda: (stop.set(), slots.release(), thread.join()))
        thread.start()
        try:
            for _ in range(len(self)):
                chunk = chunks.get()
                if isinstance(chunk, BaseException):
                    raise chunk
                slots.release()
                yield chunk
        finally:
            finish()

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
