"""Answers of other vision-language checkpoints of transformers, on this machine."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..base.commands import first_line
from ..checkpoint.folder import CheckpointError
from ..spans_holmes_vau import Segment
from .answerer import (
    AUTO,
    FRAMES_AS,
    IMAGES,
    NEW_TOKENS,
    NUM_FRAMES,
    VIDEO,
    Answerer,
    Reply,
    SeenFrames,
    only_texts,
    see_middle_frames,
)


# What image processors call cutting one picture into many (InternVL, SmolVLM and Idefics3, Gemma 3): a frame is one.
TILING = ("crop_to_patches", "do_image_splitting", "do_pan_and_scan")
SECONDS = ("second_per_grid_ts",)  # inputs of models (Qwen2.5-VL) that tell the time between frames


class RivalAnswerer(Answerer):
    """
    Any image-text-to-text checkpoint of transformers with a chat template: evenly spread frames, as one video or as
    pictures, then the question. Frames are decoded once a segment; the model's vision tower runs for each question.

    Args:
        model (`PreTrainedModel`), processor (`ProcessorMixin`): The checkpoint.
        num_frames (`int`, *optional*, defaults to 16): Frames of a segment.
        max_new_tokens (`int`, *optional*, defaults to 1024): Longest answer.
        processor_kwargs (`dict`, *optional*): For the call of the processor.
        frames_as (`str`, *optional*, defaults to `"images"`): Or `"video"`, where the processor takes videos.
    """

    def __init__(
        self,
        model,
        processor,
        num_frames: int | None = None,
        max_new_tokens: int | None = None,
        processor_kwargs: dict | None = None,
        frames_as: str = IMAGES,
    ):
        self.model, self.processor, self.frames_as = model, processor, frames_as
        self.num_frames = NUM_FRAMES if num_frames is None else num_frames
        self.max_new_tokens = NEW_TOKENS if max_new_tokens is None else max_new_tokens
        settings = processor.image_processor.to_dict()
        one_tile = {name: False for name in TILING if name in settings and frames_as == IMAGES}
        self.processor_kwargs = {**one_tile, **(processor_kwargs or {})}
        words = (getattr(processor, name, None) for name in ("image_token", "video_token"))
        self.for_pictures = tuple(word for word in words if isinstance(word, str) and word)
        self.tokenizer = processor.tokenizer
        self.tokenizer.padding_side = "left"
        if self.tokenizer.pad_token is None:
            self.tokenizer.pad_token = self.tokenizer.eos_token

    def look(self, segment: Segment) -> SeenFrames:
        """The frames of a segment."""
        return see_middle_frames(segment, self.num_frames)

    def prompt_length(self, question: str) -> int:
        """Tokens of a question."""
        return len(self.tokenizer(question)["input_ids"])

    def prepare(self, seen: list[SeenFrames], questions: list[str]):
        """The inputs of the model."""
        options = {"padding": True, **self.processor_kwargs}
        if self.frames_as == VIDEO:
            options |= {"do_sample_frames": False, "video_metadata": [_metadata(frames) for frames in seen]}
        shown = _as_video if self.frames_as == VIDEO else _as_pictures
        return self.processor.apply_chat_template(
            [_asked(shown(frames), question) for frames, question in zip(seen, questions)],
            add_generation_prompt=True,
            tokenize=True,
            return_dict=True,
            return_tensors="pt",  # here: SmolVLM's overrides what `processor_kwargs` says
            processor_kwargs=options,
        )

    def answer(self, seen: list, questions: list[str]) -> Iterator[tuple[int, Reply]]:
        """Greedy answers by place; `seen[i]` is what question `i` is about."""
        replies, fine = only_texts(questions, self.for_pictures)
        if not fine:
            return enumerate(replies)
        inputs = self.prepare([seen[i] for i in fine], [questions[i] for i in fine])
        inputs = inputs.to(self.model.device)
        seconds = {name: inputs[name] for name in SECONDS if name in inputs}  # half precision is too coarse for them
        inputs = {**inputs.to(self.model.dtype), **seconds}
        ids = self.model.generate(
            **inputs,
            do_sample=False,
            num_beams=1,
            max_new_tokens=self.max_new_tokens,
            pad_token_id=self.tokenizer.pad_token_id,
        )
        new = ids[:, inputs["input_ids"].shape[1] :]  # (batch, new)
        for i, text in zip(fine, self.tokenizer.batch_decode(new, skip_special_tokens=True)):
            replies[i] = text.strip()
        return enumerate(replies)


def _asked(shown: list[dict], question: str) -> list[dict]:
    """A conversation of one question."""
    return [{"role": "user", "content": [*shown, {"type": "text", "text": question}]}]


def _as_pictures(frames: SeenFrames) -> list[dict]:
    return [{"type": "image", "image": frame} for frame in frames.pictures]


def _as_video(frames: SeenFrames) -> list[dict]:
    return [{"type": "video", "video": np.stack([np.asarray(frame) for frame in frames.pictures])}]


def _metadata(frames: SeenFrames) -> dict[str, Any]:
    """What transformers' processors want to know of a video, the segment being the whole of it."""
    width, height = frames.pictures[0].size
    return {
        "total_num_frames": frames.count,
        "fps": frames.fps,
        "duration": frames.count / frames.fps,
        "frames_indices": frames.indices,
        "width": width,
        "height": height,
    }


# ---- loading --------------------------------------------------------------------------------------------------------


def load_rival(
    name: str,
    device: str | None = None,
    dtype: str = "auto",
    num_frames: int | None = None,
    max_new_tokens: int | None = None,
    processor_kwargs: dict | None = None,
    trust_remote_code: bool = False,
    frames_as: str = AUTO,
) -> RivalAnswerer:
    """
    The answerer of another checkpoint than Holmes-VAU.

    Args:
        name (`str`): Folder or Hub name.
        device (`str`, *optional*), dtype (`str`, *optional*): As for `checkpoint.load.load_on_device`.
        num_frames, max_new_tokens, processor_kwargs: As for [`RivalAnswerer`].
        trust_remote_code (`bool`, *optional*, defaults to `False`): Run code that comes with the checkpoint.
        frames_as (`str`, *optional*, defaults to `"auto"`): How frames go in: `"video"`, as one video; `"images"`, as
            a picture each; `"auto"`, as a video if the checkpoint takes videos.

    Raises:
        [`CheckpointError`]: one line, if it cannot be loaded, or does not take what it is to be shown.
    """
    from ..checkpoint.load import check_device

    device = check_device(device)
    processor, frames_as = open_processor(name, frames_as, trust_remote_code)
    try:
        model = _load_model(name, dtype, trust_remote_code).to(device).eval()
        answerer = RivalAnswerer(model, processor, num_frames, max_new_tokens, processor_kwargs, frames_as)
    except CheckpointError:
        raise
    except Exception as error:  # whatever transformers, safetensors or the device say, it is about this checkpoint
        raise _cannot_be_used(name, error, f" on {device}") from error
    _try_out(name, answerer)
    return answerer


def open_processor(name: str, frames_as: str = AUTO, trust_remote_code: bool = False) -> tuple[Any, str]:
    """
    The processor of a checkpoint and how frames go into it, `"video"` or `"images"`. Arguments are those of
    [`load_rival`].

    Raises:
        [`CheckpointError`]: one line, if it has none, or does not take what it is to be shown.
    """
    from transformers import ProcessorMixin

    from ..checkpoint.load import quiet_transformers

    quiet_transformers()
    if frames_as not in FRAMES_AS:
        raise CheckpointError(f"`frames_as` must be one of {', '.join(FRAMES_AS)}, got {frames_as!r}")
    try:
        processor = load_rival_processor(name, trust_remote_code)
    except Exception as error:  # as above
        raise _cannot_be_used(name, error) from error
    if not isinstance(processor, ProcessorMixin):
        raise CheckpointError(f"--model {name}: has no picture processor; expected a vision-language one")
    if not processor.chat_template:
        raise CheckpointError(f"--model {name}: has no chat template; expected a checkpoint tuned to chat")
    takes_videos = _takes_videos(processor)
    if frames_as == VIDEO and not takes_videos:
        raise CheckpointError(
            f"--model {name}: its processor or its chat template takes no videos; leave out --frames-as video"
        )
    if frames_as == VIDEO or (frames_as == AUTO and takes_videos):
        _check_torchvision(name, processor)
        return processor, VIDEO
    try:
        processor.apply_chat_template(_asked([{"type": "image"}], "?"), add_generation_prompt=True)
    except Exception as error:  # templates raise what they like
        raise CheckpointError(f"--model {name}: its chat template takes no pictures: {first_line(error)}") from error
    return processor, IMAGES


def _check_torchvision(name: str, processor) -> None:
    from .rival_videos import NeedsTorchvision

    if isinstance(processor.video_processor, NeedsTorchvision):
        raise CheckpointError(
            f"--model {name}: its video processor needs torchvision, which is not installed; run "
            "`pip install torchvision` (the version for the installed torch), or pass --frames-as images"
        )


def _cannot_be_used(name: str, error: Exception, where: str = "") -> CheckpointError:
    hint = "; --trust-remote-code runs it" if "trust_remote_code=True" in str(error) else ""
    return CheckpointError(f"--model {name}: cannot be used{where}: {first_line(error)}{hint}")


def _load_model(name: str, dtype: str, trust_remote_code: bool):
    from transformers import AutoModelForImageTextToText

    options = {"dtype": dtype, "trust_remote_code": trust_remote_code}
    model, loaded = AutoModelForImageTextToText.from_pretrained(name, output_loading_info=True, **options)
    missing = sorted({*loaded["missing_keys"], *(str(key) for key in loaded["mismatched_keys"])})
    if missing:
        raise CheckpointError(f"--model {name}: {len(missing)} weights are missing or misshapen, such as {missing[0]}")
    return model


def load_rival_processor(name: str, trust_remote_code: bool = False):
    """
    The processor of a checkpoint. Many have a video processor, which needs torchvision; where that is missing, another
    takes its place, see `rival_videos.py`.
    """
    from transformers import PROCESSOR_MAPPING, AutoConfig, AutoImageProcessor, AutoProcessor, AutoTokenizer
    from transformers.utils import is_torchvision_available

    options = {"trust_remote_code": trust_remote_code}
    # A configuration of remote code is no key of the mapping.
    kind = None if trust_remote_code else type(AutoConfig.from_pretrained(name, **options))
    if is_torchvision_available() or kind not in PROCESSOR_MAPPING:
        return AutoProcessor.from_pretrained(name, **options)
    known = PROCESSOR_MAPPING[kind]
    if "video_processor" not in known.get_attributes():
        return AutoProcessor.from_pretrained(name, **options)

    class WithoutTorchvision(known):
        def check_argument_for_proper_class(self, argument_name, argument):
            if argument_name != "video_processor":
                return super().check_argument_for_proper_class(argument_name, argument)

    parts = {
        "image_processor": AutoImageProcessor.from_pretrained(name, backend="pil", **options),
        "tokenizer": AutoTokenizer.from_pretrained(name, **options),
        "video_processor": None,
    }
    settings, _ = known.get_processor_dict(name)
    processor = WithoutTorchvision.from_args_and_dict([parts[part] for part in known.get_attributes()], settings)
    from .rival_videos import video_processor_on_pil

    processor.video_processor = video_processor_on_pil(name, known.__name__)
    return processor


def _takes_videos(processor) -> bool:
    """Whether a processor has a part for videos, and a chat template with a place for one."""
    if getattr(processor, "video_processor", None) is None:
        return False
    try:
        prompts = [
            processor.apply_chat_template(_asked(shown, "?"), add_generation_prompt=True)
            for shown in ([{"type": "video"}], [])
        ]
    except Exception:  # templates raise what they like
        return False
    word = getattr(processor, "video_token", None)
    return prompts[0] != prompts[1] and (not word or word in prompts[0])


def _try_out(name: str, answerer: RivalAnswerer) -> None:
    """Refuses a checkpoint whose processor fails on two frames and a question."""
    from PIL import Image

    frames = SeenFrames([Image.new("RGB", (64, 64))] * 2, [0, 1], 2, 1.0)
    try:
        answerer.prepare([frames], ["?"])
    except Exception as error:  # of processor and image library, which know their own arguments
        what, advice = "pictures", "see --processor-kwargs"
        if answerer.frames_as == VIDEO:
            what, advice = "a video", "or pass --frames-as images, or see --processor-kwargs"
        raise CheckpointError(
            f"--model {name}: its processor cannot take {what} and a question: {first_line(error)}; {advice}"
        ) from error
