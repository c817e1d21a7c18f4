"""Which frames of a video, or of a span of it, are scored, and which of them the language model sees."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from .sampler_holmes_vau import BLIND_SAMPLERS, check_sampler, sample_frames
from .spans_holmes_vau import segment_frame_range


DENSE_STRIDE = 16  # frames; the original release scores every 16th frame


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
    The frames of one video, or of a span of it, that the model needs.

    Args:
        first (`int`), count (`int`): The frames the plan is for: the first, and how many.
        frame_indices (`list[int]`): Frame numbers to read, increasing.
        dense_mask (`list[bool]`): Which of them are on the dense grid, and scored.
        shown (`list[int]`, *optional*): Frame numbers that the language model sees, where the video is so short that
            the sampler is not asked.
        num_frames (`int`): How many frames the language model sees.
        end_s (`float`, *optional*): Time at which the last of the planned frames is over, in seconds; `None` of frames
            in memory without a frame rate.
    """

    first: int
    count: int
    frame_indices: list[int]
    dense_mask: list[bool]
    shown: list[int] | None
    num_frames: int
    end_s: float | None

    @property
    def dense(self) -> list[int]:
        """Frame numbers of the dense grid."""
        return [index for index, is_dense in zip(self.frame_indices, self.dense_mask) if is_dense]

    @property
    def selected(self) -> list[int] | None:
        """Positions of `shown` among `frame_indices`."""
        if self.shown is None:
            return None
        position = {index: i for i, index in enumerate(self.frame_indices)}
        return [position[index] for index in self.shown]


@dataclass(frozen=True)
class FrameRule:
    """
    How frames are chosen, the same in inference, training and evaluation (paper, section 4.2).

    As in the original release, a video of at most `frame_stride * num_frames` frames shows the middle frame of each of
    `num_frames` equal parts, whatever the sampler; its dense grid is scored all the same.

    Args:
        num_frames (`int`): How many frames the language model sees, N.
        frame_stride (`int`): Distance between scored frames.
        sampler (`str`, *optional*, defaults to `"ats"`), tau (`float`, *optional*, defaults to 0.1): See
            [`sample_frames`].
        scored (`bool`, *optional*, defaults to `True`): Whether the dense grid is read and scored. Without scores the
            frames are the middle ones of equal parts of all frames, however long the video (the "Uniform" of the
            paper's Table 4), and nothing else is decoded.

    Example:

    ```python
    >>> rule = FrameRule(num_frames=2, frame_stride=16)
    >>> rule.choose(count=32), rule.choose(count=80, scores=[0.0, 0.0, 0.0, 0.9, 0.9])
    ([7, 23], [48, 64])

    ```
    """

    num_frames: int
    frame_stride: int
    sampler: str = "ats"
    tau: float = 0.1
    scored: bool = True

    def __post_init__(self):
        if self.num_frames < 1 or self.frame_stride < 1:
            raise ValueError(
                f"`num_frames` and `frame_stride` must be at least 1, got {self.num_frames} and {self.frame_stride}."
            )
        check_sampler(self.sampler)
        if self.needs_scores and not self.scored:
            raise ValueError(
                f"The sampler {self.sampler!r} chooses by scores: without them pass "
                f"{' or '.join(map(repr, BLIND_SAMPLERS))}."
            )

    @classmethod
    def of(
        cls,
        config,
        processor,
        num_frames: int | None = None,
        frame_stride: int | None = None,
        sampler: str | None = None,
        tau: float | None = None,
        scored: bool = True,
    ) -> "FrameRule":
        """The rule of a checkpoint where no other is given: N and stride of its processor, sampler and tau of its
        configuration. Without scores the sampler is "uniform" where no other is given."""
        sampler = "uniform" if sampler is None and not scored else sampler
        return cls(
            processor.num_frames if num_frames is None else num_frames,
            processor.frame_stride if frame_stride is None else frame_stride,
            config.sampler if sampler is None else sampler,
            config.sampler_tau if tau is None else tau,
            scored,
        )

    @property
    def needs_scores(self) -> bool:
        """Whether the sampler looks at scores."""
        return self.sampler not in BLIND_SAMPLERS

    def shown(self, count: int, first: int = 0) -> list[int] | None:
        """The frames that are shown of so short a video, or without scores; `None` where the sampler chooses."""
        if self.scored and count > self.frame_stride * self.num_frames:
            return None
        return middle_frame_indices(count, self.num_frames, first)

    def choose(
        self,
        count: int,
        first: int = 0,
        scores: torch.Tensor | Sequence[float] | None = None,
        dense: Sequence[int] | None = None,
    ) -> list[int]:
        """
        The frames that the language model sees.

        Args:
            count (`int`), first (`int`, *optional*, defaults to 0): The frames to choose from: how many, and the
                first.
            scores (`torch.FloatTensor` of shape `(num_dense,)`, *optional*): Anomaly probability of each dense frame;
                needed where a sampler is asked that looks at them.
            dense (`list[int]`, *optional*): Frame numbers of the dense frames; by default every `frame_stride`-th from
                `first` on.

        Returns:
            `list[int]`: `num_frames` frame numbers, non-decreasing.
        """
        if (shown := self.shown(count, first)) is not None:
            return shown
        dense = dense_frame_indices(count, self.frame_stride, first) if dense is None else dense
        if scores is None:
            if self.needs_scores:
                raise ValueError(
                    f"The sampler {self.sampler!r} chooses by `scores`, got none: pass one a dense frame."
                )
            scores = torch.zeros(len(dense))
        if len(scores) != len(dense):
            raise ValueError(f"`scores` must have one entry per dense frame ({len(dense)}), got {len(scores)}.")
        return [dense[i] for i in sample_frames(scores, self.num_frames, self.sampler, self.tau).tolist()]

    def plan(self, video, segment_s: tuple[float, float | None] | None = None) -> FramePlan:
        """
        Plan the frames to read of an opened video.

        Args:
            video (`VideoReader` or `ArrayVideo`): The opened video.
            segment_s (`tuple[float, float]`, *optional*): The span to read, in seconds; an end of `None` is the
                video's.

        Raises:
            `ValueError`: if the span is outside the video, or all its frames are missing from a damaged one.
        """
        first, count = frames_of_span(video, segment_s)
        dense = dense_frame_indices(count, self.frame_stride, first) if self.scored else []
        shown = self.shown(count, first)
        indices, scored = sorted({*dense, *(shown or [])}), {*dense}
        return FramePlan(
            first=first,
            count=count,
            frame_indices=indices,
            dense_mask=[index in scored for index in indices],
            shown=shown,
            num_frames=self.num_frames,
            end_s=None if video.fps is None else video.shown_until_s(first + count - 1),
        )


def frames_of_span(video, segment_s: tuple[float, float | None] | None) -> tuple[int, int]:
    """First frame and number of frames of a span of an opened video, or of all of it; see [`segment_frame_range`]."""
    if segment_s is None:
        return 0, video.num_frames
    if len(segment_s) != 2 or segment_s[0] is None:
        raise ValueError(f"`segment_s` must be (start, end) in seconds, the end may be None, got {segment_s}.")
    for start_s, end_s in video.damaged_s:
        if start_s <= segment_s[0] and (video.duration_s if segment_s[1] is None else segment_s[1]) <= end_s:
            raise ValueError(
                f"{video.path}: frames are missing in {start_s:.2f} to {end_s:.2f} s, which is all of the segment "
                f"asked for, {segment_s[0]:g} s on. Choose another."
            )
    return segment_frame_range(video.timestamps_s, *segment_s, video.duration_s)
