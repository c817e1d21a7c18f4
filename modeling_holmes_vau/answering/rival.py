"""Answers of other vision-language checkpoints of transformers, on this machine."""

from collections.abc import Iterator

from ..base.commands import first_line
from ..checkpoint.folder import CheckpointError
from ..spans_holmes_vau import Segment
from .answerer import NEW_TOKENS, NUM_FRAMES, Answerer, Reply, middle_frames, only_texts


# What image processors call cutting one picture into many (InternVL, SmolVLM and Idefics3, Gemma 3): a frame is one.
TILING = ("crop_to_patches", "do_image_splitting", "do_pan_and_scan")


class RivalAnswerer(Answerer):
    """
    Any image-text-to-text checkpoint of transformers with a chat template: evenly spread frames as pictures, then the
    question. Frames are decoded once a segment; the model's own vision tower runs for each question.

    Args:
        model (`PreTrainedModel`), processor (`ProcessorMixin`): The checkpoint.
        num_frames (`int`, *optional*, defaults to 16): Frames of a segment.
        max_new_tokens (`int`, *optional*, defaults to 1024): Longest answer.
        processor_kwargs (`dict`, *optional*): For the call of the processor.
    """

    def __init__(
        self,
        model,
        processor,
        num_frames: int | None = None,
        max_new_tokens: int | None = None,
        processor_kwargs: dict | None = None,
    ):
        self.model, self.processor = model, processor
        self.num_frames = NUM_FRAMES if num_frames is None else num_frames
        self.max_new_tokens = NEW_TOKENS if max_new_tokens is None else max_new_tokens
        settings = processor.image_processor.to_dict()
        one_tile = {name: False for name in TILING if name in settings}
        self.processor_kwargs = {**one_tile, **(processor_kwargs or {})}
        words = (getattr(processor, name, None) for name in ("image_token", "video_token"))
        self.for_pictures = tuple(word for word in words if isinstance(word, str) and word)
        self.tokenizer = processor.tokenizer
        self.tokenizer.padding_side = "left"
        if self.tokenizer.pad_token is None:
            self.tokenizer.pad_token = self.tokenizer.eos_token

    def look(self, segment: Segment) -> list:
        """The frames of a segment."""
        return middle_frames(segment, self.num_frames)

    def prompt_length(self, question: str) -> int:
        """Tokens of a question."""
        return len(self.tokenizer(question)["input_ids"])

    def prepare(self, seen: list, questions: list[str]):
        """The inputs of the model."""
        return self.processor.apply_chat_template(
            [_pictures_and(question, frames) for frames, question in zip(seen, questions)],
            add_generation_prompt=True,
            tokenize=True,
            return_dict=True,
            processor_kwargs={"return_tensors": "pt", "padding": True, **self.processor_kwargs},
        )

    def answer(self, seen: list, questions: list[str]) -> Iterator[tuple[int, Reply]]:
        """Greedy answers by place; `seen[i]` is what question `i` is about."""
        replies, fine = only_texts(questions, self.for_pictures)
        if not fine:
            return enumerate(replies)
        inputs = self.prepare([seen[i] for i in fine], [questions[i] for i in fine])
        inputs = inputs.to(self.model.device, self.model.dtype)
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


def _pictures_and(question: str, frames: list) -> list[dict]:
    content = [*({"type": "image", "image": frame} for frame in frames), {"type": "text", "text": question}]
    return [{"role": "user", "content": content}]


# ---- loading --------------------------------------------------------------------------------------------------------


def load_rival(
    name: str,
    device: str | None = None,
    dtype: str = "auto",
    num_frames: int | None = None,
    max_new_tokens: int | None = None,
    processor_kwargs: dict | None = None,
    trust_remote_code: bool = False,
) -> RivalAnswerer:
    """
    The answerer of another checkpoint than Holmes-VAU.

    Args:
        name (`str`): Folder or Hub name.
        device (`str`, *optional*), dtype (`str`, *optional*): As for `checkpoint.load.load_on_device`.
        num_frames, max_new_tokens, processor_kwargs: As for [`RivalAnswerer`].
        trust_remote_code (`bool`, *optional*, defaults to `False`): Run code that comes with the checkpoint.

    Raises:
        [`CheckpointError`]: one line, if it cannot be loaded, or takes no pictures.
    """
    from ..checkpoint.load import check_device, quiet_transformers

    device = check_device(device)
    quiet_transformers()
    try:
        model, processor = _load(name, dtype, trust_remote_code)
        answerer = RivalAnswerer(model.to(device).eval(), processor, num_frames, max_new_tokens, processor_kwargs)
    except CheckpointError:
        raise
    except Exception as error:  # whatever transformers, safetensors or the device say, it is about this checkpoint
        hint = "; --trust-remote-code runs it" if "trust_remote_code=True" in str(error) else ""
        raise CheckpointError(f"--model {name}: cannot be used on {device}: {first_line(error)}{hint}") from error
    _check_template(name, processor)
    _check_picture(name, answerer)
    return answerer


def _load(name: str, dtype: str, trust_remote_code: bool) -> tuple:
    from transformers import AutoModelForImageTextToText, ProcessorMixin

    options = {"trust_remote_code": trust_remote_code}
    processor = load_rival_processor(name, **options)
    if not isinstance(processor, ProcessorMixin):
        raise CheckpointError(f"--model {name}: has no picture processor; expected a vision-language one")
    model, loaded = AutoModelForImageTextToText.from_pretrained(name, dtype=dtype, output_loading_info=True, **options)
    missing = sorted({*loaded["missing_keys"], *(str(key) for key in loaded["mismatched_keys"])})
    if missing:
        raise CheckpointError(f"--model {name}: {len(missing)} weights are missing or misshapen, such as {missing[0]}")
    return model, processor


def load_rival_processor(name: str, trust_remote_code: bool = False):
    """
    The processor of a checkpoint. Many have a video processor, which needs torchvision; where that is missing, they
    are put together without it, which is all that pictures need.
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

    class WithoutVideos(known):
        def check_argument_for_proper_class(self, argument_name, argument):
            if argument_name != "video_processor":
                return super().check_argument_for_proper_class(argument_name, argument)

    parts = {
        "image_processor": AutoImageProcessor.from_pretrained(name, backend="pil", **options),
        "tokenizer": AutoTokenizer.from_pretrained(name, **options),
        "video_processor": None,
    }
    settings, _ = known.get_processor_dict(name)
    return WithoutVideos.from_args_and_dict([parts[part] for part in known.get_attributes()], settings)


def _check_template(name: str, processor) -> None:
    """Refuses a checkpoint whose chat template is missing or takes no pictures."""
    if not processor.chat_template:
        raise CheckpointError(f"--model {name}: has no chat template; expected a checkpoint tuned to chat")
    try:
        processor.apply_chat_template(_pictures_and("?", [None]), add_generation_prompt=True)
    except Exception as error:  # templates raise what they like
        raise CheckpointError(f"--model {name}: its chat template takes no pictures: {first_line(error)}") from error


def _check_picture(name: str, answerer: RivalAnswerer) -> None:
    """Refuses a checkpoint whose processor fails on a picture and a question."""
    from PIL import Image

    try:
        answerer.prepare([[Image.new("RGB", (64, 64))]], ["?"])
    except Exception as error:  # of processor and image library, which know their own arguments
        raise CheckpointError(
            f"--model {name}: its processor cannot take a picture and a question: {first_line(error)}; "
            "see --processor-kwargs"
        ) from error
