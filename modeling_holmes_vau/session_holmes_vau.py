"""Questions about a video, or a span of it, that is decoded, scored and encoded once."""

import bisect
import dataclasses
import functools
import os
from collections.abc import Callable

import torch

from .analysis_holmes_vau import Analysis
from .asking_holmes_vau import answer_batch, check_words
from .encoder_holmes_vau import EncodedVideo, VideoEncoder
from .events_holmes_vau import Event, EventRule, find_events
from .frame_rule_holmes_vau import FrameRule, frames_of_span, middle_frame_indices
from .judgement_holmes_vau import compare_verdicts
from .video_processing_holmes_vau import FrameStream, PictureCheck, read_what_is_there
from .video_reader_holmes_vau import open_video


def check_room(model, processor, num_frames: int, question: str, max_new_tokens: int) -> None:
    """
    Refuse, before anything is decoded, what the language model cannot hold: frames, question and answer together.

    Raises:
        `ValueError`: one line that tells how many frames fit.
    """
    context, tokens = model.config.text_config.max_position_embeddings, processor.image_seq_length

    def length(number: int) -> int:
        return processor.count_tokens([(question, None)], number)

    # No more are counted than the context holds of their features alone.
    numbers = range(min(num_frames, context // tokens + 1) + 1)
    fitting = bisect.bisect_right(numbers, context - max_new_tokens, key=length) - 1
    if fitting < num_frames:
        much = f"`num_frames` is {num_frames}, but at most {fitting} fit"
        if fitting < 1:
            much = f"`max_new_tokens` is {max_new_tokens}, but no frame fits beside such an answer"
        raise ValueError(
            f"{much}: the language model holds {context} tokens, {tokens} and a label a frame, beside the question "
            f"and an answer of up to {max_new_tokens} (`max_new_tokens`)."
        )


class VideoChat:
    """
    A conversation about an encoded video, or about a span of one.

    Args:
        encoded ([`EncodedVideo`]): The video, as [`VideoSession.encoded`] or `model.encode_video` gives it.
        model (`HolmesVAUForConditionalGeneration`), processor (`HolmesVAUProcessor`): The checkpoint.
        answer (`Callable`, *optional*): [`VideoSession.answer_batch`] of who answers; by default the model does.

    `turns` are the questions and answers so far.

    Example:

    ```python
    >>> chat = VideoChat.open("street.mp4", model, processor)  # doctest: +SKIP
    >>> chat.ask("Are there any anomaly events detected in the video?")  # doctest: +SKIP
    >>> chat.ask("Why do you judge this event to be anomalous?")  # doctest: +SKIP
    ```
    """

    def __init__(self, encoded: EncodedVideo, model, processor, answer: Callable | None = None):
        if isinstance(encoded, (str, os.PathLike)):
            raise TypeError(
                f"{encoded}: a conversation needs an encoded video: `VideoChat.open(path, ...)` makes one."
            )
        self.encoded, self.model, self.processor = encoded, model, processor
        self._answer = answer or functools.partial(answer_batch, model, processor)
        self.turns: list[tuple[str, str]] = []

    @property
    def messages(self) -> list[dict]:
        """The conversation so far, in the form of chat templates."""
        return self.processor.to_messages(self.turns)

    @classmethod
    def open(cls, video, model, processor, **options) -> "VideoChat":
        """A conversation about a file or frames in memory; `options` are those of [`VideoSession`]."""
        return VideoSession(video, model, processor, **options).chat()

    def ask(self, question: str, **generate_kwargs) -> str:
        """Answer `question`, with the conversation so far; `generate_kwargs` go to `generate`."""
        check_words(question, self.processor)
        asked = [*self.turns, (question, None)]
        (answer,) = self._answer([asked], [self.encoded], **generate_kwargs)
        self.turns.append((question, answer))
        return answer


class VideoSession:
    """
    One video, decoded, scored and encoded once: its events, an analysis, and chats about all of it or any span.

    Args:
        video (`str` or array): A path, an opened video, or frames as [`HolmesVAUProcessor`] takes them.
        model (`HolmesVAUForConditionalGeneration`), processor (`HolmesVAUProcessor`): The checkpoint.
        num_frames (`int`, *optional*), frame_stride (`int`, *optional*), segment_s (`tuple`, *optional*):
            As for [`HolmesVAUProcessor`].
        sampler (`str`, *optional*), sampler_tau (`float`, *optional*): As for [`sample_frames`].
        fps (`float`, *optional*): Frame rate of a video in memory, which needs one: frames alone have no times.
        strict (`bool`, *optional*, defaults to `False`): Refuse a file that is damaged or cut short. Else what can be
            decoded is analysed, and `warning` says what is missing.
        event_threshold (`float`, *optional*, defaults to `config.event_threshold`): Score that makes an event; the
            score that keeps one going is scaled with it.
        scored (`bool`, *optional*, defaults to `True`): Whether frames are scored. Without scores there are no events,
            only the few frames that the language model sees are decoded, and they are evenly spread.
        skip_static (`bool`, *optional*, defaults to `False`): As for [`VideoEncoder`].
        on_progress (`Callable[[int, int], None]`, *optional*): Called with frames done and frames in all.

    The attributes `reader`, `rule` ([`FrameRule`]), `event_rule` ([`EventRule`]), `plan` ([`FramePlan`]) and `encoder`
    ([`VideoEncoder`]) are what the video was read and scored with.

    Raises `ValueError` for more frames than the language model holds, before any is decoded.

    Example:

    ```python
    >>> session = VideoSession("street.mp4", model, processor)  # doctest: +SKIP
    >>> for event in session.events():  # doctest: +SKIP
    ...     print(event, session.chat((event["start_s"], event["end_s"])).ask("What happens here?"))
    ```
    """

    keeps_features = True  # of the frames that come by; another who answers may need none

    def __init__(
        self,
        video,
        model,
        processor,
        num_frames: int | None = None,
        frame_stride: int | None = None,
        segment_s: tuple[float, float | None] | None = None,
        sampler: str | None = None,
        sampler_tau: float | None = None,
        fps: float | None = None,
        on_progress: Callable[[int, int], None] | None = None,
        strict: bool = False,
        event_threshold: float | None = None,
        scored: bool = True,
        skip_static: bool = False,
    ):
        self.model, self.processor, self.segment_s, self.strict = model, processor, segment_s, strict
        self.skip_static = skip_static
        self.rule = FrameRule.of(model.config, processor, num_frames, frame_stride, sampler, sampler_tau, scored)
        self.event_rule = EventRule.of(model.config, event_threshold)
        check_room(model, processor, self.rule.num_frames, "", 1)
        self.reader = open_video(video, processor.video_backend, fps, strict)
        _ = self.reader.duration_s  # asks for `fps` where nothing tells it
        self._on_progress, self._was_surveyed = on_progress, None
        self._read(lambda: None)

    def _read(self, read: Callable):
        """`read()`; where the file turns out to be damaged, it is surveyed, encoded anew, and `read` once more."""

        def attempt():
            if self._was_surveyed is not self.reader.is_surveyed:
                self._was_surveyed = self.reader.is_surveyed
                self._encode()
            return read()

        return read_what_is_there(self.reader, attempt, self.strict)

    def _encode(self) -> None:
        self.plan, self.picture = self.rule.plan(self.reader, self.segment_s), PictureCheck()
        size, batch = self.processor.image_size, self.model.config.encode_batch_size
        frames = self.plan.frame_indices
        self.stream = FrameStream(self.reader, frames, size, batch, dense_mask=self.plan.dense_mask)
        keep = self.plan.shown if self.keeps_features else ()
        self.encoder = VideoEncoder(self.model, self.stream.read, keep, self.skip_static)
        done = 0
        for chunk in self.stream:
            self.picture.update(chunk.frames)
            self.encoder.push(chunk)
            done += len(chunk)
            if self._on_progress is not None:
                self._on_progress(done, len(frames))

    def choose_again(
        self,
        num_frames: int | None = None,
        sampler: str | None = None,
        sampler_tau: float | None = None,
        event_threshold: float | None = None,
    ) -> None:
        """
        Other frames and other events from the scores that are there: `rule`, `plan` and `event_rule` become those of
        a session with these arguments and the stride of this one. No frame is scored again.

        Raises:
            `ValueError`: as for the session; it then stays as it was.
        """
        rule = FrameRule.of(
            self.model.config,
            self.processor,
            num_frames,
            self.rule.frame_stride,
            sampler,
            sampler_tau,
            self.rule.scored,
        )
        event_rule = EventRule.of(self.model.config, event_threshold)
        check_room(self.model, self.processor, rule.num_frames, "", 1)
        self.rule, self.event_rule, self.plan = rule, event_rule, rule.plan(self.reader, self.segment_s)

    @property
    def scores(self) -> torch.Tensor:
        """Anomaly probability of each dense frame, `(num_dense,)`."""
        return self.encoder.scores()

    @property
    def sampler(self) -> str:
        """What chooses the frames: a short video shows its middle frames, whatever the sampler."""
        return self.rule.sampler if self.plan.shown is None else "middle"

    @property
    def warning(self) -> str:
        """What stands against scores and answers: of the checkpoint, the number of frames, the file, the picture."""
        frames = self.processor.frames_warning(self.rule.num_frames)
        said = (self.model.config.warning, frames, self.reader.warning, self.picture.warning, self.encoder.warning)
        return " | ".join(part for part in said if part)

    def encoded(self, span_s: tuple[float, float | None] | None = None, context: float = 0.0) -> EncodedVideo:
        """
        What the language model is shown of all that was read, or of a span within it, chosen by `rule`.

        Args:
            span_s (`tuple[float, float]`, *optional*): Start and end in seconds.
            context (`float`, *optional*, defaults to 0.0): Share of the frames that are of what is before and behind
                the span, for as long as it lasts on each side.

        Raises:
            `ValueError`: if the span is not within what was read.
        """
        return self._read(lambda: self.encoder.encoded(self.shown(span_s, context)))

    def shown(self, span_s: tuple[float, float | None] | None = None, context: float = 0.0) -> list[int]:
        """The frame numbers of what `encoded` gives."""
        first, count = self.plan.first, self.plan.count
        if span_s is not None:
            first, count = frames_of_span(self.reader, span_s)
            if first < self.plan.first or first + count > self.plan.first + self.plan.count:
                raise ValueError(f"The span {span_s} is not within what was read, {self.segment_s} (in seconds).")
        around = self._around(first, count, round(context * self.rule.num_frames))
        rule = dataclasses.replace(self.rule, num_frames=self.rule.num_frames - len(around))
        return sorted(self.encoder.chosen(rule, count, first) + around)

    def _around(self, first: int, count: int, number: int) -> list[int]:
        """Frames of what is before and behind a span, evenly spread over as many as it has on each side."""
        begin, end = self.plan.first, self.plan.first + self.plan.count
        before = range(max(begin, first - count), first)
        around = [*before, *range(first + count, min(end, first + 2 * count))]
        return [around[i] for i in middle_frame_indices(len(around), number)] if around and number else []

    def chat(self, span_s: tuple[float, float | None] | None = None, context: float = 0.0) -> VideoChat:
        """A conversation about all that was read, or about a span within it, see `encoded`."""
        return VideoChat(self.encoded(span_s, context), self.model, self.processor, self.answer_batch)

    def answer_batch(self, conversations, videos: list[EncodedVideo], **generate_kwargs) -> list[str]:
        """The next answer of each conversation about what `encoded` gave: see [`answer_batch`]."""
        return answer_batch(self.model, self.processor, conversations, videos, **generate_kwargs)

    def events(self) -> list[Event]:
        """Abnormal events by `event_rule`, see [`find_events`]; none without scores."""
        if not self.rule.scored:
            return []
        return find_events(
            self.scores,
            self.encoder.dense_times_s,
            self.plan.end_s,
            self.event_rule.threshold,
            self.event_rule.low_threshold,
            self.event_rule.min_length_s,
            self.reader.gaps_s,
        )

    def analysis(
        self, encoded: EncodedVideo, prompt: str, answer: str, generate_s: float, **more: list | dict | None
    ) -> Analysis:
        """All that was found, with the answer to a question about `encoded`, which took `generate_s` seconds; `more`
        are further fields of an [`Analysis`]."""
        reader, events = self.reader, self.events()
        return Analysis(
            video=reader.path,
            fps=reader.fps,
            num_frames=reader.num_frames,
            duration_s=reader.duration_s,
            dense_frame_indices=self.encoder.dense_frame_indices,
            dense_times_s=self.encoder.dense_times_s,
            scores=self.scores.tolist(),
            events=events,
            event_rule=dataclasses.asdict(self.event_rule),
            sampled_frame_indices=encoded.frame_indices.tolist(),
            sampled_times_s=reader.timestamps_s[encoded.frame_indices.numpy()].tolist(),
            sampler=self.sampler,
            prompt=prompt,
            answer=answer,
            verdict=compare_verdicts(events if self.rule.scored else None, prompt, answer),
            model=os.fspath(self.model.name_or_path) or type(self.model).__name__,
            seconds={
                "decode": self.stream.decode_s,
                "encode": self.encoder.encode_s,
                "score": self.encoder.score_s,
                "generate": generate_s,
            },
            segment_s=None if self.segment_s is None else [float(self.segment_s[0]), self.plan.end_s],
            gaps_s=reader.gaps_s or None,
            damaged_s=reader.damaged_s or None,
            warning=self.warning or None,
            skipped_share=self.encoder.skipped_share,
            **more,
        )
