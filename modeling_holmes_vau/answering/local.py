"""Answers of a Holmes-VAU checkpoint on this machine."""

from collections.abc import Iterator

from ..asking_holmes_vau import answer_batch
from ..spans_holmes_vau import Segment, check_segment
from .answerer import Answerer, Reply, only_texts


class HolmesVAUAnswerer(Answerer):
    """
    A Holmes-VAU checkpoint: dense frames, scorer, sampler, answer, as `analyze_video` does for a segment.

    Args:
        model (`HolmesVAUForConditionalGeneration`), processor (`HolmesVAUProcessor`): The checkpoint.
        num_frames (`int`, *optional*), sampler (`str`, *optional*): Default to those of the checkpoint.
        max_new_tokens (`int`, *optional*): Longest answer; defaults to that of the checkpoint.
        scored (`bool`, *optional*, defaults to `True`): Whether frames are scored; without scores they are evenly
            spread, and no other is decoded.
    """

    def __init__(
        self,
        model,
        processor,
        num_frames: int | None = None,
        sampler: str | None = None,
        max_new_tokens: int | None = None,
        scored: bool = True,
    ):
        self.model, self.processor, self.sampler, self.scored = model, processor, sampler, scored
        self.warning = model.config.warning
        self.num_frames = processor.num_frames if num_frames is None else num_frames
        self.options = {} if max_new_tokens is None else {"max_new_tokens": max_new_tokens}

    def look(self, segment: Segment):
        """Decode, score, sample and encode a segment: [`EncodedVideo`]."""
        from ..frame_rule_holmes_vau import frames_of_span
        from ..session_holmes_vau import VideoSession
        from ..video_reader_holmes_vau import open_video

        reader = open_video(segment.path, self.processor.video_backend)
        frames_of_span(reader, segment.span_s)
        check_segment(segment.span_s, reader.duration_s, reader.fps)
        options = {"num_frames": self.num_frames, "segment_s": segment.span_s, "sampler": self.sampler}
        options["scored"] = self.scored
        return VideoSession(reader, self.model, self.processor, **options, strict=True).encoded()

    def prompt_length(self, question: str) -> int:
        """Tokens of a question."""
        return len(self.processor.tokenizer(question)["input_ids"])

    def answer(self, seen: list, questions: list[str]) -> Iterator[tuple[int, Reply]]:
        """Greedy answers by place; `seen[i]` is what question `i` is about."""
        for_pictures = (self.processor.video_token, self.processor.image_token)
        replies, fine = only_texts(questions, for_pictures)
        if not fine:
            return enumerate(replies)
        answers = answer_batch(
            self.model,
            self.processor,
            [[(questions[i], None)] for i in fine],
            [seen[i] for i in fine],
            do_sample=False,
            num_beams=1,
            **self.options,
        )
        for i, answer in zip(fine, answers, strict=True):
            replies[i] = answer
        return enumerate(replies)


def load_local(
    name: str,
    device: str | None = None,
    dtype: str = "auto",
    num_frames: int | None = None,
    sampler: str | None = None,
    max_new_tokens: int | None = None,
    scored: bool = True,
) -> HolmesVAUAnswerer:
    """
    The answerer of a Holmes-VAU checkpoint.

    Args:
        name (`str`): Folder or Hub name.
        device (`str`, *optional*), dtype (`str`, *optional*): As for `checkpoint.load.load_on_device`.
        num_frames, sampler, max_new_tokens, scored: As for [`HolmesVAUAnswerer`].

    Raises:
        `ValueError`: one line, if it cannot be loaded.
    """
    from ..checkpoint.load import load_on_device

    model, processor = load_on_device(name, device, dtype)
    return HolmesVAUAnswerer(model, processor, num_frames, sampler, max_new_tokens, scored)
