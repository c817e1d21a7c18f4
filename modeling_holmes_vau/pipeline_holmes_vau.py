"""Video file -> analysis: frame scores, events with times, the frames the language model saw, and its answer."""

import bisect
import logging
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
import torch
from PIL import Image
from torch.nn import functional
from transformers import Pipeline

from .judgement_holmes_vau import compare_verdicts
from .video_processing_holmes_vau import FrameStream, plan_frames, read_what_is_there, resize_frames
from .video_reader_holmes_vau import ArrayVideo, VideoReader, open_video


logger = logging.getLogger(__name__)


# Blocks a side over which a frame is averaged, and the difference between such means, in levels of 255, up to which a
# picture is even, or does not change. In videos of one photograph (x264, crf 18 to 40) they move by up to 0.9.
GRID, SAME_LEVELS = 16, 2.0
TIME_DIGITS = 6  # of a second, in an analysis: 0.96, not 0.9600000000000001
# The question of the original notebook (a Description prompt of paper Sec. A.3).
DEFAULT_PROMPT = "Could you specify the anomaly events present in the video?"


def find_events(
    scores: torch.Tensor | list[float],
    times_s: list[float],
    end_s: float,
    threshold: float = 0.5,
    low_threshold: float = 0.3,
    min_length_s: float = 1.0,
    gaps_s: Sequence[tuple[float, float]] = (),
) -> list[dict[str, float]]:
    """
    Abnormal events: contiguous runs of scores with hysteresis and a minimum length.

    A run lasts as long as scores are at or above `low_threshold` and counts if it reaches `threshold`. Each score
    stands for the time from its frame to the next dense frame. No event lasts through a gap of the recording: where
    one begins, the score before it ends, and the run with it.

    Args:
        scores (`list[float]`): Anomaly probability of each dense frame.
        times_s (`list[float]`): Time of each dense frame, in seconds, increasing.
        end_s (`float`): Time at which the last dense frame's share of the video ends, in seconds.
        threshold (`float`, *optional*, defaults to 0.5): Score that makes an event.
        low_threshold (`float`, *optional*, defaults to 0.3): Score that keeps an event going.
        min_length_s (`float`, *optional*, defaults to 1.0): Shorter events are dropped.
        gaps_s (`list[tuple[float, float]]`, *optional*): Start and end of each gap in seconds, in time order.

    Returns:
        `list[dict]`: `start_s`, `end_s`, `peak_score` of each event, in time order.

    Example:

    ```python
    >>> find_events([0.1, 0.4, 0.9, 0.4, 0.1], [0.0, 1.0, 2.0, 3.0, 4.0], end_s=5.0)
    [{'start_s': 1.0, 'end_s': 4.0, 'peak_score': 0.9}]

    ```
    """
    scores = scores.tolist() if isinstance(scores, torch.Tensor) else list(scores)
    events, start = [], 0
    for i, until_s in enumerate(score_ends(times_s, end_s, gaps_s)):
        if scores[i] < low_threshold:
            start = i + 1
        # The run goes on if the next score does, and follows without a gap.
        elif i + 1 == len(scores) or scores[i + 1] < low_threshold or until_s < times_s[i + 1]:
            event = {"start_s": times_s[start], "end_s": until_s, "peak_score": max(scores[start : i + 1])}
            if event["peak_score"] >= threshold and event["end_s"] - event["start_s"] >= min_length_s:
                events.append(event)
            start = i + 1
    return events


def event_rule(config, threshold: float | None = None) -> dict[str, float]:
    """The arguments of [`find_events`] by a configuration, `threshold` in place of its own if given: `low_threshold`
    is then scaled with it."""
    low_threshold = config.event_low_threshold
    if threshold is None:
        threshold = config.event_threshold
    else:
        low_threshold *= threshold / (config.event_threshold or 1.0)
    if not 0 <= threshold <= 1:
        raise ValueError(f"`event_threshold` must be a score in [0, 1], got {threshold}.")
    return {"threshold": threshold, "low_threshold": low_threshold, "min_length_s": config.event_min_length_s}


def score_ends(times_s: Sequence[float], end_s: float, gaps_s: Sequence[tuple[float, float]]) -> list[float]:
    """When the time that each dense frame stands for ends, in seconds: at the next one, or before a gap."""
    ends = [*times_s[1:], end_s]
    if gaps_s:
        starts = [start_s for start_s, _ in gaps_s]
        after = [bisect.bisect_right(starts, time_s) for time_s in times_s]
        ends = [min(end, starts[i]) if i < len(starts) else end for end, i in zip(ends, after)]
    return ends


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


def check_room(model, processor, num_frames: int, question: str, max_new_tokens: int) -> None:
    """
    Refuse, before anything is decoded, what the language model cannot hold: frames, question and answer together.

    Raises:
        `ValueError`: one line that tells how many frames fit.
    """
    context, tokens = model.config.text_config.max_position_embeddings, processor.image_seq_length
    prompt = processor.user_prompt(question, num_videos=1)

    def length(number: int) -> int:
        labels = processor.frame_placeholders(number, 0)
        return len(processor.tokenizer(prompt.replace(processor.video_token, labels))["input_ids"]) + number * tokens

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


def _with_progress(
    chunks: FrameStream,
    total: int,
    on_progress: Callable[[int, int], None] | None,
    on_frames: Callable[[torch.Tensor], None] | None,
) -> Iterator[torch.Tensor]:
    done = 0
    for chunk in chunks:
        if on_frames is not None:
            on_frames(chunk)
        yield chunk
        done += len(chunk)
        if on_progress is not None:
            on_progress(done, total)


def encode_file(
    reader,
    plan,
    model,
    processor,
    sampler: str | None = None,
    sampler_tau: float | None = None,
    on_progress: Callable[[int, int], None] | None = None,
    on_frames: Callable[[torch.Tensor], None] | None = None,
):
    """Encode the planned frames of an opened video, decoding ahead of the model in a thread and keeping no frame.

    Returns:
        `tuple[EncodedVideo, float]`: The encoded video and the seconds the decoding thread was busy.
    """
    stream = FrameStream(reader, plan.frame_indices, processor.image_size, model.config.encode_batch_size)

    read_again_s = 0.0

    def read_again(positions: list[int]) -> torch.Tensor:
        nonlocal read_again_s
        start = time.perf_counter()
        frames = resize_frames(reader.read([plan.frame_indices[i] for i in positions]), processor.image_size)
        read_again_s += time.perf_counter() - start
        return frames

    encoded = model.encode_video(
        _with_progress(stream, len(plan.frame_indices), on_progress, on_frames),
        frame_indices=plan.frame_indices,
        dense_mask=plan.dense_mask,
        selected=plan.selected,
        num_frames=plan.num_frames,
        sampler=sampler,
        sampler_tau=sampler_tau,
        read_frames=read_again,
    )
    return encoded, stream.decode_s + read_again_s


class VideoChat:
    """
    Questions about one video, which is decoded, scored and encoded once.

    Args:
        video (`str` or array): A path, or a video as [`HolmesVAUProcessor`] takes it.
        model (`HolmesVAUForConditionalGeneration`), processor (`HolmesVAUProcessor`): The checkpoint.
        num_frames (`int`, *optional*), frame_stride (`int`, *optional*), segment_s (`tuple`, *optional*):
            As for [`HolmesVAUProcessor`].
        sampler (`str`, *optional*), sampler_tau (`float`, *optional*): As for [`sample_frames`].
        fps (`float`, *optional*): Frame rate of a video in memory, which needs one: frames alone have no times.
        strict (`bool`, *optional*, defaults to `False`): Refuse a file that is damaged or cut short. Else what can be
            decoded is analysed, and `warning` says what is missing.
        event_threshold (`float`, *optional*, defaults to `config.event_threshold`): Score that makes an event; the
            score that keeps one going is scaled with it.
        on_progress (`Callable[[int, int], None]`, *optional*): Called with frames done and frames in all.

    `warning` says what stands against scores and answers: of the checkpoint, the number of frames, the file, the
    picture; it is empty if nothing does.

    Raises `ValueError` for more frames than the language model holds, before any is decoded.

    Example:

    ```python
    >>> chat = VideoChat("street.mp4", model, processor)  # doctest: +SKIP
    >>> chat.ask("Are there any anomaly events detected in the video?")  # doctest: +SKIP
    >>> chat.ask("Why do you judge this event to be anomalous?")  # doctest: +SKIP
    ```
    """

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
    ):
        self.model = model
        self.processor = processor
        self.messages: list[dict] = []
        config = model.config
        self.event_rule = event_rule(config, event_threshold)
        number = processor.num_frames if num_frames is None else num_frames
        stride = processor.frame_stride if frame_stride is None else frame_stride
        check_room(model, processor, number, "", 1)
        with open_video(video, processor.video_backend, fps, strict) as reader:
            self.duration_s = reader.duration_s  # asks for `fps` where nothing tells it

            def encode() -> None:
                self.picture = PictureCheck()
                self.plan = plan_frames(reader, number, stride, segment_s)
                self.encoded, self.decode_s = encode_file(
                    reader, self.plan, model, processor, sampler, sampler_tau, on_progress, self.picture.update
                )

            read_what_is_there(reader, encode, strict)
            # A short video shows its middle frames, whatever the sampler.
            self.sampler = "middle" if self.plan.selected is not None else sampler or config.sampler
            self.path, self.fps, self.num_frames = reader.path, reader.fps, reader.num_frames
            self.duration_s, self.gaps_s = reader.duration_s, reader.gaps_s
            self.damaged_s = reader.damaged_s
            said = (config.warning, config.frames_warning(number), reader.warning, self.picture.warning)
            self.warning = " | ".join(part for part in said if part)
            self.dense_times_s = reader.timestamps_s[self.encoded.dense_frame_indices.numpy()].tolist()
            self.sampled_times_s = reader.timestamps_s[self.encoded.frame_indices.numpy()].tolist()

    def ask(self, question: str, **generate_kwargs) -> str:
        """Answer `question`, with the conversation so far; `generate_kwargs` go to `generate`."""
        for token in (self.processor.video_token, self.processor.image_token):
            if token in question:
                raise ValueError(f"The question holds {token}, which stands for pictures in a prompt: leave it out.")
        first = [] if self.messages else [{"type": "video"}]
        asked = [*self.messages, {"role": "user", "content": [*first, {"type": "text", "text": question}]}]
        prompt = self.processor.apply_chat_template(asked, add_generation_prompt=True)
        inputs = self.processor(text=prompt, num_frames=self.plan.num_frames, return_tensors="pt")
        inputs = inputs.to(self.model.get_input_embeddings().weight.device)
        output = self.model.generate(**inputs, encoded_videos=[self.encoded], **generate_kwargs)
        sequences = output if isinstance(output, torch.Tensor) else output.sequences
        answer = self.processor.decode(sequences[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
        for token in (self.processor.video_token, self.processor.image_token):
            answer = answer.replace(token, "")  # it would ask for pictures when the conversation goes on
        self.messages = [*asked, {"role": "assistant", "content": [{"type": "text", "text": answer.strip()}]}]
        return answer.strip()

    def events(self) -> list[dict[str, float]]:
        """Abnormal events by `event_rule`, see [`find_events`]."""
        return find_events(
            self.encoded.anomaly_scores, self.dense_times_s, self.plan.end_s, **self.event_rule, gaps_s=self.gaps_s
        )


def analyze_video(
    video,
    model,
    processor,
    prompt: str | None = None,
    num_frames: int | None = None,
    frame_stride: int | None = None,
    segment_s: tuple[float, float | None] | None = None,
    sampler: str | None = None,
    sampler_tau: float | None = None,
    fps: float | None = None,
    on_progress: Callable[[int, int], None] | None = None,
    strict: bool = False,
    question: str | None = None,
    event_threshold: float | None = None,
    **generate_kwargs,
) -> dict:
    """
    Analyse one video of any length in bounded memory.

    Args:
        video (`str` or array): A path, or a video as [`HolmesVAUProcessor`] takes it.
        model (`HolmesVAUForConditionalGeneration`), processor (`HolmesVAUProcessor`): The checkpoint.
        prompt (`str`, *optional*): The question; by default which anomaly events the video holds.
        question (`str`, *optional*): Another word for `prompt`.
        generate_kwargs: `max_new_tokens` and the like, for `generate`.

        The others are those of [`VideoChat`].

    Returns:
        `dict`: `video`, `fps`, `num_frames` and `duration_s` of the file; `dense_frame_indices`, `dense_times_s` (in
        seconds from the file's first frame) and `scores` of the scored frames; `events` (`start_s`, `end_s`,
        `peak_score`) and the `event_rule` that made them; `sampled_frame_indices`, `sampled_times_s` and the `sampler`
        that chose them (`"middle"` for a video of at most `frame_stride * num_frames` frames); `prompt`, `answer`,
        `model`; `verdict`: what `scores` and `answer` say of the video, `"abnormal"` or `"normal"` (`None` of an
        answer that says neither), and whether they `agree` (`None` then too); and `seconds`, busy time of `decode`
        (in its own thread, beside the others), `encode`, `score` and `generate`. Times have six digits.
        With `segment_s`, also `segment_s`: the analysed span, its end filled in. Where the recording stood still, also
        `gaps_s`, and where frames of a damaged file are missing `damaged_s`: spans in seconds. Where the checkpoint
        knows nothing of real video or saw fewer frames in training, the file is damaged or cut short, or its picture
        does not change, also `warning`, which says so.

    Raises:
        `ValueError`: one line that names the file, if it cannot be read, or is damaged and `strict` is on; or for an
            argument out of range, among them more frames than the language model holds.
    """
    if prompt is not None and question is not None:
        raise ValueError("`question` and `prompt` are two words for one thing: pass one of them.")
    prompt = next(words for words in (prompt, question, DEFAULT_PROMPT) if words is not None)
    number = processor.num_frames if num_frames is None else num_frames
    longest = generate_kwargs.get("max_new_tokens", model.generation_config.max_new_tokens)
    check_room(model, processor, number, prompt, longest or 1)
    chat = VideoChat(
        video,
        model,
        processor,
        num_frames,
        frame_stride,
        segment_s,
        sampler,
        sampler_tau,
        fps,
        on_progress,
        strict,
        event_threshold,
    )
    start = time.perf_counter()
    answer = chat.ask(prompt, **generate_kwargs)
    generate_s = time.perf_counter() - start
    events = chat.events()
    analysis = {
        "video": chat.path,
        "fps": chat.fps,
        "num_frames": chat.num_frames,
        "duration_s": chat.duration_s,
        "dense_frame_indices": chat.encoded.dense_frame_indices.tolist(),
        "dense_times_s": chat.dense_times_s,
        "scores": chat.encoded.anomaly_scores.tolist(),
        "events": events,
        "event_rule": chat.event_rule,
        "sampled_frame_indices": chat.encoded.frame_indices.tolist(),
        "sampled_times_s": chat.sampled_times_s,
        "sampler": chat.sampler,
        "prompt": prompt,
        "answer": answer,
        "verdict": compare_verdicts(events, prompt, answer),
        "model": os.fspath(model.name_or_path) or type(model).__name__,
        "seconds": {
            "decode": chat.decode_s,
            "encode": chat.encoded.encode_s,
            "score": chat.encoded.score_s,
            "generate": generate_s,
        },
    }
    if segment_s is not None:
        analysis["segment_s"] = [float(segment_s[0]), chat.plan.end_s]
    for name, spans_s in (("gaps_s", chat.gaps_s), ("damaged_s", chat.damaged_s)):
        if spans_s:
            analysis[name] = [list(span) for span in spans_s]
    if chat.warning:
        analysis["warning"] = chat.warning
    return _round_times(analysis)


def _round_times(value, is_time: bool = False):
    """`value` with the times in it, which stand under names that end in `_s`, rounded to `TIME_DIGITS`."""
    if isinstance(value, dict):
        return {name: _round_times(part, name.endswith("_s")) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_round_times(part, is_time) for part in value]
    return round(value, TIME_DIGITS) if is_time else value


class VideoAnomalyUnderstandingPipeline(Pipeline):
    """
    `pipeline("video-anomaly-understanding", model=..., trust_remote_code=True)`: a video in, the result of
    [`analyze_video`] out. Arguments of [`analyze_video`] go to the call or to `pipeline(...)`; `question` is another
    word for `prompt`.

    Several videos, as a list or a tuple, give a list of results; a generator, a dataset or a column of one gives them
    one after the other, as they are asked for. A video that cannot be analysed does not end the others: its result is
    `{"video": ..., "error": ...}`, the error in one line. Videos are analysed one at a time: `batch_size` and
    `num_workers` change nothing.

    Example:

    ```python
    >>> analyze = pipeline("video-anomaly-understanding", model=repo, trust_remote_code=True)  # doctest: +SKIP
    >>> analyze("street.mp4", prompt="What happens here?", max_new_tokens=128)["events"]  # doctest: +SKIP
    >>> for analysis in analyze(path for path in paths):  # doctest: +SKIP
    ...     print(analysis["video"], analysis.get("error") or analysis["answer"])
    ```
    """

    _load_processor = True
    _load_image_processor = False
    _load_video_processor = False
    _load_feature_extractor = False
    _load_tokenizer = False

    def __call__(self, videos, num_workers: int | None = None, batch_size: int | None = None, **kwargs):
        options = {**self._forward_params, **self._sanitize_parameters(**kwargs)[1]}
        if is_one_video(videos):
            return self.run_single(videos, {}, options, {})
        if isinstance(videos, bytes) or not isinstance(videos, Iterable):
            raise TypeError(f"`videos` must be a path, frames, or several of them, got {type(videos).__name__}.")
        analyses = (self._analyze(video, options) for video in videos)
        return list(analyses) if isinstance(videos, (list, tuple, np.ndarray, torch.Tensor)) else analyses

    def _analyze(self, video, options: dict) -> dict:
        try:
            return self.run_single(video, {}, options, {})
        except (ValueError, TypeError, OSError, RuntimeError, MemoryError) as error:
            said = (str(error).strip() or type(error).__name__).splitlines()[0]
            logger.warning("a video is left out: %s", said)
            return {"video": _path_of(video) or "<array>", "error": said}

    def _sanitize_parameters(self, question: str | None = None, **kwargs):
        if question is not None and "prompt" in kwargs:
            raise ValueError("`question` and `prompt` are two words for one thing: pass one of them.")
        return {}, kwargs if question is None else {**kwargs, "prompt": question}, {}

    def preprocess(self, video):
        return {"video": _path_of(video) or video}

    def _forward(self, inputs, **kwargs):
        return analyze_video(inputs["video"], self.model, self.processor, **kwargs)

    def postprocess(self, analysis):
        return analysis


def _path_of(video) -> str | None:
    """The path of a video given as one, or as a row of a dataset's `Video` column; `None` of any other."""
    if isinstance(video, dict):
        video = video.get("path")
    return os.fspath(video) if isinstance(video, (str, os.PathLike)) else None


def is_one_video(videos) -> bool:
    """Whether the input of the pipeline is one video: a path, an opened video, frames; else it holds several."""
    if isinstance(videos, (str, os.PathLike, dict, VideoReader, ArrayVideo)):
        return True
    if isinstance(videos, (np.ndarray, torch.Tensor)):
        return videos.ndim == 4
    if isinstance(videos, (list, tuple)) and videos:
        return isinstance(videos[0], Image.Image) or np.ndim(videos[0]) == 3
    return False
