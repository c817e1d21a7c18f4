"""Eyes here, words there: frames are scored and chosen on this machine, and a server answers about them."""

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import torch
from PIL import Image

from ..encoder_holmes_vau import EncodedVideo
from ..session_holmes_vau import VideoSession
from .answerer import NEW_TOKENS, VIDEO
from .endpoint import ChatClient
from .pictures import JPEG_QUALITY, frame_parts


@dataclass
class ShownVideo(EncodedVideo):
    """
    A video, or a span of it, as a server is shown it; `image_features` is empty.

    Args:
        parts (`list[dict]`): The frames as parts of a message.
    """

    parts: list[dict]


class ServedWords:
    """
    A language model behind a server that answers about frames chosen here.

    Args:
        client ([`ChatClient`]): The server.
        max_new_tokens (`int`, *optional*, defaults to 1024): Longest answer.
        frames_as (`str`, *optional*, defaults to `"video"`): Or `"images"`, with `Frame1: ` and so on between them,
            for servers that take no videos.
        quality (`int` or `"png"`, *optional*, defaults to 90): Of the frames' JPEGs.
        concurrency (`int`, *optional*, defaults to 8): Requests under way at a time, about all videos together.
    """

    def __init__(
        self,
        client: ChatClient,
        max_new_tokens: int | None = None,
        frames_as: str = VIDEO,
        quality: int | str = JPEG_QUALITY,
        concurrency: int = 8,
    ):
        self.client, self.frames_as, self.quality, self.concurrency = client, frames_as, quality, concurrency
        self.max_new_tokens = NEW_TOKENS if max_new_tokens is None else max_new_tokens
        self.looking = threading.Lock()  # of several videos, one goes through the vision tower at a time
        self._pool = ThreadPoolExecutor(concurrency)

    def parts(self, frames: torch.Tensor) -> list[dict]:
        """Resized frames, uint8 `(n, 3, height, width)`, as parts of a message."""
        pictures = [Image.fromarray(frame) for frame in frames.permute(0, 2, 3, 1).numpy()]
        return frame_parts(pictures, self.frames_as, self.quality, labels=True)

    def answer(
        self,
        conversations: Sequence[Sequence[tuple[str, str | None]]],
        videos: Sequence[ShownVideo],
        max_new_tokens: int | None = None,
    ) -> list[str]:
        """
        The next answer of each conversation, greedily; several are asked at a time.

        Args:
            conversations (`list[list[tuple[str, str]]]`): Questions and answers of each; the last answer is `None`.
            videos (`list[ShownVideo]`): What each is about.
            max_new_tokens (`int`, *optional*): Longest answer.

        Raises:
            `EndpointError`: the first of those of [`ChatClient.ask`]; what was not asked by then is not.
        """
        longest = max_new_tokens or self.max_new_tokens
        futures = [
            self._pool.submit(self.client.complete, messages_about(video.parts, turns), longest)
            for turns, video in zip(conversations, videos, strict=True)
        ]
        try:
            return [future.result().strip() for future in futures]
        finally:
            for future in futures:
                future.cancel()


def messages_about(parts: list[dict], turns: Sequence[tuple[str, str | None]]) -> list[dict]:
    """A conversation in OpenAI's form, the frames before the first question."""
    messages = []
    for question, answer in turns:
        shown = [] if messages else parts
        messages.append({"role": "user", "content": [*shown, {"type": "text", "text": question}]})
        if answer is not None:
            messages.append({"role": "assistant", "content": answer})
    return messages


class ServedSession(VideoSession):
    """
    A [`VideoSession`] whose questions a server answers. Its model may be eyes alone, see `checkpoint.load.load_eyes`.

    Args:
        words ([`ServedWords`]): The server.

        The others are those of [`VideoSession`].
    """

    keeps_features = False

    def __init__(self, *args, words: ServedWords, **kwargs):
        self.words = words
        super().__init__(*args, **kwargs)

    def _encode(self) -> None:
        with self.words.looking:
            super()._encode()

    def encoded(self, span_s: tuple[float, float | None] | None = None, context: float = 0.0) -> ShownVideo:
        """What the server is shown of all that was read, or of a span within it: the same frames."""

        def show() -> ShownVideo:
            frames = self.shown(span_s, context)
            return ShownVideo(
                anomaly_scores=self.scores,
                dense_frame_indices=torch.tensor(self.encoder.dense_frame_indices),
                frame_indices=torch.tensor(frames),
                image_features=torch.empty(0),
                parts=self.words.parts(self.stream.read(frames)),
            )

        return self._read(show)

    def answer_batch(self, conversations, videos, max_new_tokens: int | None = None) -> list[str]:
        """The next answer of each conversation, of the server."""
        return self.words.answer(conversations, videos, max_new_tokens)
