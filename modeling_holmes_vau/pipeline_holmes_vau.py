"""`analyze_video` and the pipeline: a video in, frame scores, events with times and an answer out."""

import logging
import os
import time
from collections.abc import Callable, Iterable, Sequence

import numpy as np
import torch
from PIL import Image
from transformers import Pipeline

from .analysis_holmes_vau import Analysis
from .asking_holmes_vau import Question, answer_all
from .levels_holmes_vau import LevelQuestions, check_levels
from .session_holmes_vau import VideoSession, check_room
from .video_reader_holmes_vau import ArrayVideo, VideoReader


logger = logging.getLogger(__name__)

# The question of the original notebook (a Description prompt of paper Sec. A.3).
DEFAULT_PROMPT = "Could you specify the anomaly events present in the video?"


def analyze_video(
    video,
    model,
    processor,
    prompt: str | Sequence[str] | None = None,
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
    granularity: Sequence[str] = (),
    on_answer: Callable[[int, int], None] | None = None,
    batch_size: int | None = None,
    scored: bool = True,
    skip_static: bool = False,
    open_session: Callable[..., VideoSession] = VideoSession,
    **generate_kwargs,
) -> Analysis:
    """
    Analyse one video of any length in bounded memory.

    Args:
        video (`str` or array): A path, or a video as [`HolmesVAUProcessor`] takes it.
        model (`HolmesVAUForConditionalGeneration`), processor (`HolmesVAUProcessor`): The checkpoint.
        prompt (`str` or `list[str]`, *optional*): The question, or several, each asked by itself; by default which
            anomaly events the video holds.
        question (`str`, *optional*): Another word for `prompt`.
        granularity (`list[str]`, *optional*): Levels to describe beside, some of `"video"`, `"event"` and `"clip"`:
            judgement, description and analysis of the whole and of each event, a caption for each clip of an event, in
            `annotation` of the result. See [`describe_levels`].
        on_answer (`Callable[[int, int], None]`, *optional*): Called with answers given and answers in all.
        batch_size (`int`, *optional*): How many questions are answered together, see [`answer_all`].
        scored (`bool`, *optional*, defaults to `True`): As for [`VideoSession`]; without scores `granularity` is
            `"video"` at most, and there is no `event_threshold`.
        skip_static (`bool`, *optional*, defaults to `False`): As for [`VideoEncoder`].
        open_session (`Callable`, *optional*, defaults to [`VideoSession`]): Or another with the same arguments, whose
            `encoded` and `answer_batch` show frames to who answers elsewhere.
        generate_kwargs: `max_new_tokens` and the like, for `generate`.

        The others are those of [`VideoSession`].

    Returns:
        [`Analysis`]: Scores, events with their times, the frames the language model saw and its answer.

    Raises:
        `ValueError`: one line that names the file, if it cannot be read, or is damaged and `strict` is on; or for an
            argument out of range, among them more frames than the language model holds.
    """
    if prompt is not None and question is not None:
        raise ValueError("`question` and `prompt` are two words for one thing: pass one of them.")
    asked = next(words for words in (prompt, question, DEFAULT_PROMPT) if words is not None)
    prompts = [asked] if isinstance(asked, str) else list(asked)
    if not prompts:
        raise ValueError("`prompt` holds no question: pass one, or leave it out for the usual one.")
    levels = check_levels(granularity)
    if not scored:
        check_without_scores(levels, event_threshold, skip_static)
    longest = generate_kwargs.get("max_new_tokens", model.generation_config.max_new_tokens)
    number = processor.num_frames if num_frames is None else num_frames
    check_room(model, processor, number, max(prompts, key=len), longest or 1)
    session = open_session(
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
        scored,
        skip_static,
    )
    return analyze_session(session, prompts, levels, on_answer, batch_size, **generate_kwargs)


def check_without_scores(levels: Sequence[str], event_threshold: float | None, skip_static: bool) -> None:
    """
    Events are found in scores, and frames are skipped that would be scored.

    Raises:
        `ValueError`: if without scores something is asked for that needs them.
    """
    asked = ["`granularity` event"] if "event" in levels else []
    asked += ["`event_threshold`"] if event_threshold is not None else []
    asked += ["`skip_static`"] if skip_static else []
    if asked:
        raise ValueError(f"{asked[0]} needs scores: leave it out, or `scored=False`.")


def analyze_session(
    session: VideoSession,
    prompts: Sequence[str] = (DEFAULT_PROMPT,),
    levels: Sequence[str] = (),
    on_answer: Callable[[int, int], None] | None = None,
    batch_size: int | None = None,
    **generate_kwargs,
) -> Analysis:
    """
    Ask about a video that is encoded.

    Args:
        session ([`VideoSession`]): The video.
        prompts (`list[str]`): Questions, each asked by itself.
        levels (`list[str]`), on_answer (`Callable`), batch_size (`int`), generate_kwargs: As `granularity` and the
            others of [`analyze_video`].
    """
    encoded, start = session.encoded(), time.perf_counter()
    asked = LevelQuestions(session, levels)
    questions = [*map(Question, prompts), *asked.questions]
    answered = answer_all(session, questions, batch_size, on_answer, encoded, **generate_kwargs)
    answers = [answered[Question(words)] for words in prompts]
    annotation = asked.annotation(answered) if levels else None
    pairs = [{"question": words, "answer": answer} for words, answer in zip(prompts, answers)]
    return session.analysis(
        encoded,
        prompts[0],
        answers[0],
        time.perf_counter() - start,
        answers=pairs if len(pairs) > 1 else None,
        annotation=annotation,
    )


class VideoAnomalyUnderstandingPipeline(Pipeline):
    """
    `pipeline("video-anomaly-understanding", model=..., trust_remote_code=True)`: a video in, the result of
    [`analyze_video`] out. Arguments of [`analyze_video`] go to the call or to `pipeline(...)`; `question` is another
    word for `prompt`.

    Several videos, as a list or a tuple, give a list of results; a generator, a dataset or a column of one gives them
    one after the other, as they are asked for. A video that cannot be analysed does not end the others: its result is
    `{"video": ..., "error": ...}`, the error in one line. Videos are analysed one at a time: `batch_size` says how
    many questions about a video are answered together, and `num_workers` changes nothing.

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
        options |= {} if batch_size is None else {"batch_size": batch_size}
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
        return Analysis.of(analysis)  # between the two, pipelines make a plain output of any


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
