"""Which frames of a segment each model saw, as the settings beside its predictions tell, and pictures of them."""

import json
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from eval.answers.predict import Output
from eval.paper.qualitative_rows import Answers
from modeling_holmes_vau.answering import load_answerer, model_type
from modeling_holmes_vau.answering.answerer import NUM_FRAMES, middle_indices
from modeling_holmes_vau.base.commands import first_line
from modeling_holmes_vau.checkpoint.folder import DIGESTED, OURS
from modeling_holmes_vau.frame_rule_holmes_vau import FrameRule
from modeling_holmes_vau.report.frames import to_jpeg
from modeling_holmes_vau.spans_holmes_vau import Segment


PICTURE_SIZE = (160, 120)  # pixels, at most
STAND_IN = 8  # evenly spread frames, where nothing tells which a model saw

Look = Callable[[Segment], list[int]]


@dataclass(frozen=True)
class Sight:
    """How a model looked at segments.

    Args:
        how (`str`): In words, for the page; where `look` is `None`, why that is not known.
        look (`Callable`, *optional*): A segment -> the numbers of the frames that the model saw.
    """

    how: str
    look: Look | None = None


@dataclass(frozen=True)
class Strip:
    """Frames of a segment that several models saw.

    Args:
        models (`tuple[str, ...]`): Whose frames they are.
        times_s (`tuple[float, ...]`): Time of each different frame in the video, increasing.
        pictures (`tuple[bytes, ...]`): A JPEG file of each.
        seen (`int`): How many frames a model saw, with those that a short segment repeats.
        known (`bool`): Whether these are the frames that the models saw; else they stand in for them.
    """

    models: tuple[str, ...]
    times_s: tuple[float, ...]
    pictures: tuple[bytes, ...]
    seen: int
    known: bool


def read_settings(predictions: Path) -> dict | None:
    """What `predict` says that the predictions were made with; `None` where nothing does."""
    try:
        settings = json.loads(Output(predictions).settings.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    is_ours = isinstance(settings, dict) and {"num_frames", "max_new_tokens"} <= settings.keys()
    return settings if is_ours and ("endpoint" in settings or isinstance(settings.get("model"), str)) else None


def sight_of(model: Answers, device: str | None) -> Sight:
    """How a model looked, by the settings beside its predictions. Of a Holmes-VAU checkpoint that is still there the
    frames are chosen once more by its rule, and where that asks for scores, by its scorer."""
    settings = read_settings(model.path) if model.path else None
    if settings is None:
        return Sight(f"there is no {Output(model.path).settings.name}" if model.path else "it sees no video")
    num_frames = settings["num_frames"] or NUM_FRAMES
    evenly = Sight(f"{num_frames} frames, evenly spread", lambda segment: look_evenly(segment, num_frames))
    if "endpoint" in settings:
        return evenly
    name = settings["model"]
    try:
        if model_type(name) != OURS:
            return evenly
        from modeling_holmes_vau.checkpoint.load import checkpoint_digest

        digest = checkpoint_digest(name, DIGESTED)
        if settings.get("digest") not in (None, digest):
            return Sight(f"the checkpoint {Path(name).name} is another one now")
        return our_sight(name, settings, device)
    except (ValueError, OSError, ImportError) as error:
        return Sight(first_line(error))


def look_evenly(segment: Segment, num_frames: int) -> list[int]:
    """Numbers of the frames that every model but Holmes-VAU is shown."""
    from modeling_holmes_vau.video_reader_holmes_vau import open_video

    with open_video(segment.path) as reader:
        return middle_indices(reader, segment, num_frames)


def our_sight(name: str, settings: dict, device: str | None) -> Sight:
    """How a Holmes-VAU checkpoint looks; it is loaded once the scorer is needed."""
    from modeling_holmes_vau.checkpoint.load import errors_alone, open_folder
    from modeling_holmes_vau.configuration_holmes_vau import HolmesVAUConfig
    from modeling_holmes_vau.processing_holmes_vau import HolmesVAUProcessor
    from modeling_holmes_vau.video_reader_holmes_vau import open_video

    folder, _ = open_folder(name, OURS, weights=False)
    with errors_alone():
        config, processor = HolmesVAUConfig.from_pretrained(folder), HolmesVAUProcessor.from_pretrained(folder)
    rule = FrameRule.of(config, processor, settings["num_frames"], sampler=settings.get("sampler"))
    loaded: list = []

    def look(segment: Segment) -> list[int]:
        with open_video(segment.path, processor.video_backend) as reader:
            plan = rule.plan(reader, segment.span_s)
        if plan.shown is not None:
            return plan.shown
        if not rule.needs_scores:
            return rule.choose(plan.count, plan.first)
        if not loaded:
            options = {"num_frames": rule.num_frames, "sampler": rule.sampler, "device": device}
            loaded.append(load_answerer(name, dtype=settings.get("dtype") or "auto", **options))
        return loaded[0].look(segment).frame_indices.tolist()

    short = rule.frame_stride * rule.num_frames
    return Sight(
        f"{rule.num_frames} frames, by {rule.sampler}; of segments of up to {short} frames evenly spread", look
    )


def strips_of(segment: Segment, sights: dict[str, Sight]) -> list[Strip]:
    """The frames of a segment, once for all models that saw the same.

    Args:
        segment (`Segment`): What was asked about.
        sights (`dict[str, Sight]`): By the name of the model.

    Raises:
        `ValueError`, `OSError`: One line, if the segment cannot be read.
    """
    from modeling_holmes_vau.video_reader_holmes_vau import open_video

    groups: dict[tuple[bool, tuple[int, ...]], list[str]] = {}
    for name, sight in sights.items():
        look = sight.look or (lambda segment: look_evenly(segment, STAND_IN))
        groups.setdefault((sight.look is not None, tuple(look(segment))), []).append(name)
    with open_video(segment.path) as reader:
        wanted = sorted({index for _, indices in groups for index in indices})
        pictures = dict(zip(wanted, map(_picture, reader.frames(wanted))))
        times_s = reader.timestamps_s
        strips = []
        for (known, indices), models in groups.items():
            different = sorted({*indices})
            times = tuple(float(times_s[index]) for index in different)
            found = tuple(pictures[index] for index in different)
            strips.append(Strip(tuple(models), times, found, Counter(indices).total(), known))
    return sorted(strips, key=lambda strip: not strip.known)


def _picture(frame) -> bytes:
    return to_jpeg(frame, PICTURE_SIZE)


def sights_of(models: Iterable[Answers], device: str | None) -> dict[str, Sight]:
    """How each model looked, of those that see videos."""
    return {model.name: sight_of(model, device) for model in models if model.path is not None}
