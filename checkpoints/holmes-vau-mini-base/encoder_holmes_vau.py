"""Frames of one video as they come -> class tokens, scores, and the features of the frames the language model sees."""

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from .familiarity_holmes_vau import Familiarity, Pictures
from .static_holmes_vau import StillFrames


@dataclass
class EncodedVideo:
    """
    One video after the vision tower, the anomaly scorer and the sampler: all that further questions about it need.

    Args:
        anomaly_scores (`torch.FloatTensor` of shape `(num_dense,)`):
            Anomaly probability of each dense frame, in [0, 1], float32 on the CPU.
        dense_frame_indices (`torch.LongTensor` of shape `(num_dense,)`):
            Frame numbers of the dense frames in the video.
        frame_indices (`torch.LongTensor` of shape `(num_frames,)`):
            Frame numbers of the frames the language model sees, non-decreasing.
        image_features (`torch.FloatTensor` of shape `(num_frames, tokens, hidden_size)`):
            Those frames after pixel shuffle and projector.
    """

    anomaly_scores: torch.Tensor
    dense_frame_indices: torch.Tensor
    frame_indices: torch.Tensor
    image_features: torch.Tensor


def wait_for(tensor: torch.Tensor) -> None:
    """Wait until a GPU has computed `tensor`, so that the seconds of a stage are its own."""
    if tensor.is_cuda:
        torch.cuda.synchronize(tensor.device)


class VideoEncoder:
    """
    The vision side of one video, fed chunk by chunk: a file, a span of it, or a camera.

    Class tokens of all frames are kept, and patch tokens within a budget. Frames that are shown to the language model
    and whose patch tokens are gone, or that never came, are read again where the source can do that.

    Args:
        model (`HolmesVAUForConditionalGeneration`): The model.
        read (`Callable`, *optional*): Frame numbers -> resized frames, uint8 `(n, 3, height, width)`. A camera has
            none: then the patch tokens of all frames are kept.
        keep (`Collection[int]`, *optional*): Frame numbers of the frames that will be shown, where that is known
            before: only theirs are kept.
        skip_static (`bool`, *optional*, defaults to `False`): Dense frames that show nothing new, by the rule of
            [`StillFrames`], are not encoded: each takes the class token of the last one that was. This changes scores.

    The attributes `encode_s` and `score_s` are the seconds spent in vision tower and anomaly scorer.

    Example:

    ```python
    >>> encoder = VideoEncoder(model, stream.read)  # doctest: +SKIP
    >>> for chunk in stream:  # doctest: +SKIP
    ...     encoder.push(chunk)
    >>> frames = encoder.chosen(rule, count=reader.num_frames)  # doctest: +SKIP
    >>> encoder.features(frames).shape  # doctest: +SKIP
    torch.Size([16, 256, 2048])
    ```
    """

    def __init__(
        self,
        model,
        read: Callable[[list[int]], torch.Tensor] | None = None,
        keep: Collection[int] | None = None,
        skip_static: bool = False,
    ):
        self.model, self._read, self._keep = model, read, None if keep is None else {*keep}
        self.encode_s = self.score_s = 0.0
        self._class_tokens: torch.Tensor | None = None  # of all frames, in a block that grows
        self._patch_tokens: dict[int, torch.Tensor] = {}  # by frame number
        self._frames: list[int] = []
        self._dense: list[int] = []  # positions among them
        self._times_s: list[float] = []  # of the dense frames
        self._scores: torch.Tensor | None = None
        self._pictures = Pictures()
        self._still = StillFrames() if skip_static else None
        self._last: int | None = None  # frame number of the last one that was encoded, where none is read again

    @property
    def skipped_share(self) -> float | None:
        """Share of the frames so far that were not encoded, since they show nothing new; `None` where all are."""
        return None if self._still is None else self._still.still / max(1, self._still.seen)

    @property
    def warning(self) -> str:
        """What is to be said of how the video looks; nothing where the checkpoint does not know what is familiar."""
        familiarity = self.model.familiarity
        return "" if familiarity is None else familiarity.warning(self._pictures.statistics)

    @property
    def dense_frame_indices(self) -> list[int]:
        """Frame numbers of the dense frames so far."""
        return [self._frames[i] for i in self._dense]

    @property
    def dense_times_s(self) -> list[float]:
        """Times in seconds of the dense frames so far; empty of frames without times."""
        return self._times_s

    @property
    def class_tokens(self) -> torch.Tensor:
        """Class tokens of the dense frames so far, `(num_dense, vision_hidden_size)`, float32."""
        if not self._dense:
            raise ValueError("The video has no frames to encode: got an empty iterable, expected at least one chunk.")
        tokens = self._class_tokens[: len(self._frames)]
        return tokens if len(self._dense) == len(tokens) else tokens[torch.tensor(self._dense, device=tokens.device)]

    @torch.no_grad()
    def push(self, chunk) -> None:
        """Encode the frames of a [`FrameChunk`]."""
        before = len(self._frames)
        self._scores = None
        self._dense += (torch.nonzero(chunk.is_dense).flatten() + before).tolist()
        if chunk.times_s is not None:
            self._times_s += chunk.times_s[chunk.is_dense].tolist()
        size = self.model.config.encode_batch_size
        parts = zip(chunk.frames.split(size), chunk.indices.split(size), chunk.is_dense.split(size))
        for frames, numbers, is_dense in parts:
            start = time.perf_counter()
            self._encode(frames, numbers.tolist(), is_dense.tolist())
            self.encode_s += time.perf_counter() - start

    def _encode(self, frames: torch.Tensor, numbers: list[int], is_dense: list[bool]) -> None:
        """Keep the tokens of one batch of frames; of those that show nothing new, those of the last one that did."""
        is_new = [self._is_new(*frame) for frame in zip(frames, numbers, is_dense)]
        new = [number for number, is_encoded in zip(numbers, is_new) if is_encoded]
        if not new:
            self._keep_class_tokens(self._last_class_token.expand(len(frames), -1))
        else:
            tokens = self.model.encode_frames(frames if all(is_new) else frames[torch.tensor(is_new)])
            self._keep_class_tokens(tokens[:, 0] if all(is_new) else self._spread(tokens[:, 0], is_new))
            if self.model.familiarity is not None:
                self._pictures.add(Familiarity.statistics(tokens[:, 1:]))
        self._frames += numbers
        if new:
            self._keep_patch_tokens(new, tokens[:, 1:])
            wait_for(tokens)
        if self._read is None and self._keep is None:  # frames that cannot be read again share what was kept
            for number, is_encoded in zip(numbers, is_new):
                self._last = number if is_encoded else self._last
                self._patch_tokens[number] = self._patch_tokens[self._last]

    @property
    def _last_class_token(self) -> torch.Tensor:
        """That of the last frame, `(1, vision_hidden_size)`."""
        return self._class_tokens[len(self._frames) - 1 : len(self._frames)]

    def _spread(self, class_tokens: torch.Tensor, is_new: list[bool]) -> torch.Tensor:
        """The class tokens of the new frames of a batch -> those of all its frames, `(frames, vision_hidden_size)`."""
        before = self._last_class_token if self._frames else class_tokens[:1].float()
        places = torch.tensor(is_new).cumsum(0)  # 0 is the last one of before
        return torch.cat((before, class_tokens.float()))[places.to(before.device)]

    def _is_new(self, frame: torch.Tensor, number: int, is_dense: bool) -> bool:
        if self._still is None:
            return True
        return self._still.is_new(frame, not is_dense or (self._keep is not None and number in self._keep))

    def _keep_class_tokens(self, tokens: torch.Tensor) -> None:
        """One growing block: small ones between the large ones of the tower would keep the heap from shrinking."""
        begin, end, block = len(self._frames), len(self._frames) + len(tokens), self._class_tokens
        if block is None:
            block = tokens.new_empty((2 * end, tokens.shape[-1]), dtype=torch.float32)
        elif end > len(block):
            block = torch.cat((block[:begin], block.new_empty(2 * end, tokens.shape[-1])))
        block[begin:end] = tokens
        self._class_tokens = block

    def _keep_patch_tokens(self, numbers: list[int], tokens: torch.Tensor) -> None:
        if self._keep is not None:
            self._patch_tokens.update((i, part.clone()) for i, part in zip(numbers, tokens) if i in self._keep)
        elif self._read is None or len(self._frames) <= self.model.config.max_cached_frames:
            self._patch_tokens.update(zip(numbers, tokens))
        else:  # the few that are chosen are read again
            self._patch_tokens.clear()

    def scores(self) -> torch.Tensor:
        """Anomaly probability of each dense frame so far, `(num_dense,)`, float32 on the CPU; empty where other frames
        came, but none to score."""
        if self._frames and not self._dense:
            return torch.empty(0)
        if self._scores is None:
            start = time.perf_counter()
            self._scores = self.model.score_features(self.class_tokens)
            self.score_s += time.perf_counter() - start
        return self._scores

    def chosen(self, rule, count: int, first: int = 0) -> list[int]:
        """
        The frames that the language model sees of the video or of a span of it.

        Args:
            rule ([`FrameRule`]): How to choose.
            count (`int`), first (`int`, *optional*, defaults to 0): The frames to choose from: how many, and the
                first, see [`frames_of_span`].

        Returns:
            `list[int]`: `rule.num_frames` frame numbers. Where frames cannot be read again, the nearest of those that
            came.
        """
        dense = np.array(self.dense_frame_indices)
        if not len(dense) and (frames := rule.shown(count, first)) is not None:
            return frames
        within = np.flatnonzero((dense >= first) & (dense < first + count))
        if not len(within):
            within = np.abs(dense - (first + (count - 1) / 2)).argmin(keepdims=True)
        frames = rule.choose(count, first, self.scores()[within], dense[within].tolist())
        if self._read is None:
            came = np.array(self._frames)
            frames = [int(came[np.abs(came - index).argmin()]) for index in frames]
        return frames

    @torch.no_grad()
    def features(self, frames: Sequence[int]) -> torch.Tensor:
        """Projected features `(len(frames), tokens, hidden_size)` of frames by their numbers, repeated or not."""
        unique, inverse = torch.unique(torch.tensor(frames), return_inverse=True)
        missing = [index for index in unique.tolist() if index not in self._patch_tokens]
        if missing and self._read is None:
            raise ValueError(f"The frames {missing} were not pushed, and this source cannot read them again.")
        again = self._read(missing) if missing else None
        start = time.perf_counter()
        tokens = self._patch_tokens
        if missing:
            size = self.model.config.encode_batch_size
            encoded = torch.cat([self.model.encode_frames(batch)[:, 1:] for batch in again.split(size)])
            tokens = {**tokens, **dict(zip(missing, encoded))}
        features = self.model.project_frames(torch.stack([tokens[index] for index in unique.tolist()]))
        wait_for(features)
        self.encode_s += time.perf_counter() - start
        return features[inverse.to(features.device)]

    def encoded(self, frames: Sequence[int]) -> EncodedVideo:
        """The video, or a span of it, as the language model is shown it: by these frames."""
        return EncodedVideo(
            anomaly_scores=self.scores(),
            dense_frame_indices=torch.tensor(self.dense_frame_indices),
            frame_indices=torch.tensor(frames),
            image_features=self.features(frames),
        )
