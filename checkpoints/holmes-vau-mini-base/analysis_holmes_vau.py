"""What was found in one video: one typed result, as it is computed, written to `analysis.json`, read and shown."""

import json
from dataclasses import dataclass, fields
from typing import Any

from transformers.utils import ModelOutput

from .events_holmes_vau import Event


TIME_DIGITS = 6  # of a second: 0.96, not 0.9600000000000001
OPTIONAL = ("segment_s", "gaps_s", "damaged_s", "warning", "skipped_share", "answers", "annotation", "options")


@dataclass(eq=False)
class Analysis(ModelOutput):
    """
    The analysis of one video: a dictionary whose values are attributes too. Times are in seconds from the file's first
    frame, with six digits, and frame numbers count from it, also where a span alone was analysed.

    Args:
        video (`str`): The file.
        fps (`float`), num_frames (`int`), duration_s (`float`): Its rate, its frames and its length.
        dense_frame_indices (`list[int]`), dense_times_s (`list[float]`), scores (`list[float]`): Frame number,
            exact time and anomaly probability in [0, 1] of each scored frame; empty where none was scored.
        events (`list[Event]`): `start_s`, `end_s` and `peak_score` of each abnormal event, in time order.
        event_rule (`dict`): What made them, see [`EventRule`].
        sampled_frame_indices (`list[int]`), sampled_times_s (`list[float]`): The frames that the language model saw.
        sampler (`str`): What chose them; `"middle"` for a video of at most `frame_stride * num_frames` frames.
        prompt (`str`), answer (`str`): The question and the answer in words.
        verdict (`dict`): What `scores` and `answer` say of the video, `"abnormal"` or `"normal"` (`None` of an answer
            that says neither, and where nothing was scored), and whether they `agree` (`None` then too).
        model (`str`): The checkpoint.
        seconds (`dict`): Busy time of `decode` (in its own thread, beside the others), `encode`, `score`, `generate`.
        segment_s (`list[float]`, *optional*): The analysed span, its end filled in, where it is not the whole video.
        gaps_s (`list`, *optional*): Spans in which the recording stood still.
        damaged_s (`list`, *optional*): Spans of which frames of a damaged file are missing.
        warning (`str`, *optional*): What stands against scores and answer.
        skipped_share (`float`, *optional*): Share of the frames that were not encoded, since they show nothing new,
            where that was asked for (`skip_static`).
        answers (`list[dict]`, *optional*): `question` and `answer` of all questions that were asked about the whole,
            where there were several; the first are `prompt` and `answer`.
        annotation (`dict`, *optional*): What was said at each level that was asked for, in the form of HIVAU-70k, as
            [`describe_levels`] gives it: a proposal that the dataset tools read.
        options (`dict`, *optional*): What the command line was asked for.

    Raises:
        `ValueError`: if one is missing that is not optional, or there are not as many of one as of another.
    """

    video: str | None = None
    fps: float | None = None
    num_frames: int | None = None
    duration_s: float | None = None
    dense_frame_indices: list[int] | None = None
    dense_times_s: list[float] | None = None
    scores: list[float] | None = None
    events: list[Event] | None = None
    event_rule: dict[str, float] | None = None
    sampled_frame_indices: list[int] | None = None
    sampled_times_s: list[float] | None = None
    sampler: str | None = None
    prompt: str | None = None
    answer: str | None = None
    verdict: dict[str, Any] | None = None
    model: str | None = None
    seconds: dict[str, float] | None = None
    segment_s: list[float] | None = None
    gaps_s: list[list[float]] | None = None
    damaged_s: list[list[float]] | None = None
    warning: str | None = None
    skipped_share: float | None = None
    answers: list[dict[str, str]] | None = None
    annotation: dict[str, Any] | None = None
    options: dict[str, Any] | None = None

    def __post_init__(self):
        for field in fields(self):
            setattr(self, field.name, _round_times(getattr(self, field.name), field.name.endswith("_s")))
        super().__post_init__()
        missing = [field.name for field in fields(self) if field.name not in self and field.name not in OPTIONAL]
        if missing:
            raise ValueError(f"An analysis lacks {', '.join(missing)}. Pass the result of `analyze_video` unchanged.")
        for one, *others in (
            ("dense_frame_indices", "dense_times_s", "scores"),
            ("sampled_frame_indices", "sampled_times_s"),
        ):
            for other in others:
                if len(self[other]) != len(self[one]):
                    raise ValueError(
                        f"An analysis must have as many `{other}` as `{one}` ({len(self[one])}), got "
                        f"{len(self[other])}."
                    )

    @classmethod
    def of(cls, values: dict[str, Any]) -> "Analysis":
        """The analysis that a dictionary holds, as `analysis.json` does; what it has beside is left aside."""
        known = {field.name for field in fields(cls)}
        return cls(**{name: value for name, value in values.items() if name in known})

    def to_json(self) -> str:
        """The content of `analysis.json`."""
        return json.dumps(self, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _round_times(value, is_time: bool = False):
    """`value` with the times in it, which stand under names that end in `_s`, rounded to `TIME_DIGITS`."""
    if isinstance(value, dict):
        return {name: _round_times(part, name.endswith("_s")) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_round_times(part, is_time) for part in value]
    return round(value, TIME_DIGITS) if is_time and value is not None else value
