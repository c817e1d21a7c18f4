"""Which frames of a video are read: the dense grid that is scored and, for short videos, the frames that are shown."""

from dataclasses import dataclass

from .video_processing_holmes_vau import dense_frame_indices, middle_frame_indices, segment_frame_range


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
        end_s (`float`): Time at which the last of the planned frames is over, in seconds.
    """

    frame_indices: list[int]
    dense_mask: list[bool]
    selected: list[int] | None
    num_frames: int
    end_s: float


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
    first, count = (0, video.num_frames) if segment_s is None else segment_frame_range(video.timestamps_s, *segment_s)
    dense = dense_frame_indices(count, stride, first)
    shown = middle_frame_indices(count, num_frames, first) if count <= stride * num_frames else None
    indices = sorted({*dense, *(shown or [])})
    position = {index: i for i, index in enumerate(indices)}
    scored = set(dense)
    after = first + count
    return FramePlan(
        frame_indices=indices,
        dense_mask=[index in scored for index in indices],
        selected=None if shown is None else [position[index] for index in shown],
        num_frames=num_frames,
        end_s=float(video.timestamps_s[after]) if after < video.num_frames else video.duration_s,
    )
