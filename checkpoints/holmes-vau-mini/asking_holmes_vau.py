"""Questions about videos that are encoded: several answered in one batch, the same one asked once."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass


# Tokens of frames that are answered about at a time where no batch size is given. The keys and values of so many take
# 1.6 GB in the 2B (24 layers, 8 key-value heads of 128, 16 bits): 4 questions of 16 frames, 5 of 12, 1 of 64.
BATCH_TOKENS, MOST_AT_A_TIME = 16384, 8
CHUNK_BATCHES = 4  # batches whose spans are in memory at a time
# What transformers does for one row alone.
ONE_AT_A_TIME = ("streamer", "assistant_model", "prompt_lookup_num_tokens")


@dataclass(frozen=True)
class Question:
    """
    A question about a video or a span of it.

    Args:
        words (`str`): The question.
        span_s (`tuple[float, float]`, *optional*): Start and end in seconds; by default all that was read.
        context (`float`, *optional*, defaults to 0.0): As for [`VideoSession.encoded`].
    """

    words: str
    span_s: tuple[float, float] | None = None
    context: float = 0.0


def check_words(question: str, processor) -> None:
    """What stands for pictures can be no part of a question.

    Raises:
        `ValueError`: if it is.
    """
    for token in (processor.video_token, processor.image_token):
        if token in question:
            raise ValueError(f"The question holds {token}, which stands for pictures in a prompt: leave it out.")


def answer_batch(
    model, processor, conversations: Sequence[Sequence[tuple[str, str | None]]], videos: Sequence, **generate_kwargs
) -> list[str]:
    """
    The next answer of each conversation, all in one batch.

    Args:
        model (`HolmesVAUForConditionalGeneration`), processor (`HolmesVAUProcessor`): The checkpoint.
        conversations (`list[list[tuple[str, str]]]`): Questions and answers of each; the last answer is `None`.
        videos (`list[EncodedVideo]`): What each is about, of equally many frames.
        generate_kwargs: For `generate`.
    """
    inputs = processor.conversation_inputs(conversations, len(videos[0].frame_indices))
    inputs = inputs.to(model.get_input_embeddings().weight.device)
    output = model.generate(**inputs, encoded_videos=list(videos), **generate_kwargs)
    sequences = output["sequences"] if isinstance(output, Mapping) else output
    new = sequences[:: len(sequences) // len(videos), inputs["input_ids"].shape[1] :]  # of several a row, the first
    answers = []
    for tokens in new:
        answer = processor.decode(tokens, skip_special_tokens=True)
        for token in (processor.video_token, processor.image_token):
            answer = answer.replace(token, "")  # it would ask for pictures when the conversation goes on
        answers.append(answer.strip())
    return answers


def default_batch_size(processor, num_frames: int) -> int:
    """Questions about `num_frames` frames each that are answered together: see `BATCH_TOKENS`."""
    return max(1, min(MOST_AT_A_TIME, BATCH_TOKENS // (num_frames * processor.image_seq_length)))


def answer_all(
    session,
    questions: Sequence[Question],
    batch_size: int | None = None,
    on_answer: Callable[[int, int], None] | None = None,
    whole=None,
    **generate_kwargs,
) -> dict[Question, str]:
    """
    Answer questions about one video and spans of it, each by itself. Those in one batch are answered as they would be
    alone: decoded greedily, with equal answers but for the rounding of half precision.

    Args:
        session ([`VideoSession`]): The video.
        questions (`list[Question]`): Questions; one that is there twice is asked once.
        batch_size (`int`, *optional*): How many are answered together; by default as many as have 16,384 tokens of
            frames, at least 1 and at most 8. It is 1 for what transformers does for one row alone, as `streamer`.
        on_answer (`Callable[[int, int], None]`, *optional*): Called with answers given and answers in all.
        whole ([`EncodedVideo`], *optional*): All that was read, where it is encoded: `session.encoded()`.
        generate_kwargs: `max_new_tokens` and the like, for `generate`.

    Returns:
        `dict[Question, str]`: The answer to each.

    Raises:
        `ValueError`: for a batch size below 1, or a question that holds what stands for pictures.
    """
    if batch_size is not None and batch_size < 1:
        raise ValueError(f"`batch_size` must be at least 1, got {batch_size}.")
    size = batch_size or default_batch_size(session.processor, session.rule.num_frames)
    if any(generate_kwargs.get(name) is not None for name in ONE_AT_A_TIME):
        size = 1
    asked, answers = list(dict.fromkeys(questions)), {}
    for question in asked:
        check_words(question.words, session.processor)
    for start in range(0, len(asked), size * CHUNK_BATCHES):
        shown = {} if whole is None else {(None, 0.0): whole}
        for batch, videos in _batches(session, asked[start : start + size * CHUNK_BATCHES], size, shown):
            conversations = [[(question.words, None)] for question in batch]
            replies = session.answer_batch(conversations, videos, **generate_kwargs)
            for question, reply in zip(batch, replies, strict=True):
                answers[question] = reply
                if on_answer is not None:
                    on_answer(len(answers), len(asked))
    return answers


def _batches(session, questions: list[Question], size: int, shown: dict) -> Iterator[tuple[list[Question], list]]:
    """Batches of questions, and what each is about, taken from `shown` or encoded into it. Equal words come together:
    a batch takes as long as its longest answer, and answers to one question are about equally long."""
    order = list(dict.fromkeys(question.words for question in questions))
    ordered = sorted(questions, key=lambda question: order.index(question.words))
    for start in range(0, len(ordered), size):
        batch = ordered[start : start + size]
        for question in batch:
            part = (question.span_s, question.context)
            if part not in shown:
                shown[part] = session.encoded(*part)
        yield batch, [shown[question.span_s, question.context] for question in batch]
