"""Who answers: a Holmes-VAU checkpoint, another vision-language checkpoint of transformers, or a server.

Each has the same three methods: `look` decodes a segment once, `answer` answers questions about segments looked at
before, several at a time, each with its place among them, and `prompt_length` tells how long a question is. `warning`
says what of the model is untrained, and `asks_together` whether questions answered together share a computation, whose
rounding may then differ.
"""

import argparse
import base64
import io
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed

from modeling_holmes_vau.answering.client import ChatClient, EndpointError, RefusedRequest
from modeling_holmes_vau.base.commands import CommandError, first_line
from modeling_holmes_vau.spans_holmes_vau import Segment, check_segment


RIVAL_FRAMES = 16  # as Holmes-VAU sees (paper, section 5.1)
RIVAL_NEW_TOKENS = 1024  # Holmes-VAU's limit; checkpoints of others often say 20
JPEG_QUALITY = 90
# What image processors call cutting one picture into many (InternVL, SmolVLM and Idefics3, Gemma 3): a frame is one.
TILING = ("crop_to_patches", "do_image_splitting", "do_pan_and_scan")


# A reply is a text, or the error that stands in its place.
Reply = str | Exception


def middle_frames(segment: Segment, num_frames: int) -> list:
    """The middle frame of each of `num_frames` equal parts of a segment, as PIL images."""
    from PIL import Image

    from modeling_holmes_vau.frame_rule_holmes_vau import frames_of_span, middle_frame_indices
    from modeling_holmes_vau.video_reader_holmes_vau import open_video

    with open_video(segment.path) as reader:
        first, count = frames_of_span(reader, segment.span_s)
        check_segment(segment.span_s, reader.duration_s, reader.fps)
        frames = reader.read(middle_frame_indices(count, num_frames, first))
    return [Image.fromarray(frame) for frame in frames]


class HolmesVAUAnswerer:
    """
    A Holmes-VAU checkpoint: dense frames, scorer, sampler, answer, as `analyze_video` does for a segment.

    Args:
        model (`HolmesVAUForConditionalGeneration`), processor (`HolmesVAUProcessor`): The checkpoint.
        num_frames (`int`, *optional*), sampler (`str`, *optional*): Default to those of the checkpoint.
        max_new_tokens (`int`, *optional*): Longest answer; defaults to that of the checkpoint.
    """

    asks_together = True

    def __init__(
        self,
        model,
        processor,
        num_frames: int | None = None,
        sampler: str | None = None,
        max_new_tokens: int | None = None,
    ):
        self.model, self.processor, self.sampler = model, processor, sampler
        self.warning = model.config.warning
        self.num_frames = processor.num_frames if num_frames is None else num_frames
        self.options = {} if max_new_tokens is None else {"max_new_tokens": max_new_tokens}

    def look(self, segment: Segment):
        """Decode, score, sample and encode a segment: [`EncodedVideo`]."""
        from modeling_holmes_vau.frame_rule_holmes_vau import frames_of_span
        from modeling_holmes_vau.session_holmes_vau import VideoSession
        from modeling_holmes_vau.video_reader_holmes_vau import open_video

        reader = open_video(segment.path, self.processor.video_backend)
        frames_of_span(reader, segment.span_s)
        check_segment(segment.span_s, reader.duration_s, reader.fps)
        options = {"num_frames": self.num_frames, "segment_s": segment.span_s, "sampler": self.sampler}
        return VideoSession(reader, self.model, self.processor, **options, strict=True).encoded()

    def prompt_length(self, question: str) -> int:
        """Tokens of a question."""
        return len(self.processor.tokenizer(question)["input_ids"])

    def answer(self, seen: list, questions: list[str]) -> Iterator[tuple[int, Reply]]:
        """Greedy answers by place; `seen[i]` is what question `i` is about."""
        for_pictures = (self.processor.video_token, self.processor.image_token)
        replies, fine = _only_texts(questions, for_pictures)
        if not fine:
            return enumerate(replies)
        inputs = self.processor.conversation_inputs([[(questions[i], None)] for i in fine], self.num_frames)
        inputs = inputs.to(self.model.get_input_embeddings().weight.device)
        ids = self.model.generate(
            **inputs, encoded_videos=[seen[i] for i in fine], do_sample=False, num_beams=1, **self.options
        )
        new = ids[:, inputs["input_ids"].shape[1] :]  # (batch, new)
        for i, tokens in zip(fine, new):
            text = self.processor.decode(tokens, skip_special_tokens=True)
            for token in for_pictures:
                text = text.replace(token, "")
            replies[i] = text.strip()
        return enumerate(replies)


class RivalAnswerer:
    """
    Any image-text-to-text checkpoint of transformers with a chat template: evenly spread frames as pictures, then the
    question. Frames are decoded once a segment; the model's own vision tower runs for each question.

    Args:
        model (`PreTrainedModel`), processor (`ProcessorMixin`): The checkpoint.
        num_frames (`int`, *optional*, defaults to 16): Frames of a segment.
        max_new_tokens (`int`, *optional*, defaults to 1024): Longest answer.
        processor_kwargs (`dict`, *optional*): For the call of the processor.
    """

    warning, asks_together = None, True

    def __init__(
        self,
        model,
        processor,
        num_frames: int | None = None,
        max_new_tokens: int | None = None,
        processor_kwargs: dict | None = None,
    ):
        self.model, self.processor = model, processor
        self.num_frames = RIVAL_FRAMES if num_frames is None else num_frames
        self.max_new_tokens = RIVAL_NEW_TOKENS if max_new_tokens is None else max_new_tokens
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
        replies, fine = _only_texts(questions, self.for_pictures)
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


def _only_texts(questions: list[str], for_pictures: Sequence[str]) -> tuple[list[Reply], list[int]]:
    """An error for each question, and the places of those that hold no word for pictures and need none."""
    words = " or ".join(for_pictures)
    errors: list[Reply] = [
        ValueError(f"the question holds {words}, which stand for pictures in a prompt") for _ in questions
    ]
    fine = [i for i, question in enumerate(questions) if not any(word in question for word in for_pictures)]
    return errors, fine


def _pictures_and(question: str, frames: list) -> list[dict]:
    content = [*({"type": "image", "image": frame} for frame in frames), {"type": "text", "text": question}]
    return [{"role": "user", "content": content}]


class EndpointAnswerer:
    """
    A model behind a server: evenly spread frames as JPEG pictures, then the question; several requests at a time.

    Args:
        client (`ChatClient`): The server.
        num_frames (`int`, *optional*, defaults to 16): Frames of a segment.
        max_new_tokens (`int`, *optional*, defaults to 1024): Longest answer.
        concurrency (`int`, *optional*, defaults to 8): Requests under way at a time.
    """

    warning, asks_together = None, False

    def __init__(
        self,
        client: ChatClient,
        num_frames: int | None = None,
        max_new_tokens: int | None = None,
        concurrency: int = 8,
    ):
        self.client, self.concurrency = client, concurrency
        self.num_frames = RIVAL_FRAMES if num_frames is None else num_frames
        self.max_new_tokens = RIVAL_NEW_TOKENS if max_new_tokens is None else max_new_tokens

    def look(self, segment: Segment) -> list[dict]:
        """The frames of a segment as parts of a message."""
        return [
            {"type": "image_url", "image_url": {"url": _data_url(frame)}}
            for frame in middle_frames(segment, self.num_frames)
        ]

    def prompt_length(self, question: str) -> int:
        """Characters of a question: the server has the tokenizer."""
        return len(question)

    def answer(self, seen: list, questions: list[str]) -> Iterator[tuple[int, Reply]]:
        """Answers at temperature 0 by place, as they come; `seen[i]` is what question `i` is about.

        Raises:
            `EndpointError`: behind the answers that came, if the server cannot be reached or refuses everything.
        """
        problem = None
        with ThreadPoolExecutor(self.concurrency) as pool:
            futures = [pool.submit(self._answer_one, *asked) for asked in zip(seen, questions)]
            places = {future: place for place, future in enumerate(futures)}
            try:
                for future in as_completed(places):
                    if isinstance(error := future.exception(), EndpointError):
                        problem = problem or error
                    else:
                        yield places[future], future.result()
            except BaseException:  # Ctrl-C, or the caller goes no further
                self.client.stop("stopped")
                raise
        if problem is not None:
            raise problem

    def _answer_one(self, pictures: list[dict], question: str) -> Reply:
        messages = [{"role": "user", "content": [*pictures, {"type": "text", "text": question}]}]
        try:
            return self.client.complete(messages, self.max_new_tokens).strip()
        except RefusedRequest as error:
            return error


def _data_url(frame) -> str:
    file = io.BytesIO()
    frame.save(file, "JPEG", quality=JPEG_QUALITY)
    return f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode('ascii')}"


# ---- loading --------------------------------------------------------------------------------------------------------


def model_type(name: str) -> str:
    """The `model_type` of a checkpoint folder or Hub name, of any that needs no conversion."""
    from modeling_holmes_vau.checkpoint.load import open_folder

    try:
        return open_folder(name, weights=False)[1]
    except ValueError as error:
        raise CommandError(str(error)) from error


def load_answerer(args: argparse.Namespace, device: str):
    """The answerer that the arguments of `predict` name, on a device."""
    if args.endpoint:
        api_key = os.environ[args.api_key_env] if args.api_key_env else None
        client = ChatClient(args.endpoint, args.model, api_key, args.timeout, args.retries)
        return EndpointAnswerer(client, args.num_frames, args.max_new_tokens, args.concurrency)

    from transformers.utils import logging as hf_logging

    hf_logging.set_verbosity_error()
    hf_logging.disable_progress_bar()
    if model_type(args.model) == "holmes_vau":
        from modeling_holmes_vau.checkpoint.load import load_on_device

        model, processor = load_on_device(args.model, device, args.dtype)
        return HolmesVAUAnswerer(model, processor, args.num_frames, args.sampler, args.max_new_tokens)
    try:
        model, processor = _load(args)
        model = model.to(device).eval()
        answerer = RivalAnswerer(model, processor, args.num_frames, args.max_new_tokens, args.processor_kwargs)
    except CommandError:
        raise
    except Exception as error:  # whatever transformers, safetensors or the device say, it is about this checkpoint
        hint = "; --trust-remote-code runs it" if "trust_remote_code=True" in str(error) else ""
        raise CommandError(f"--model {args.model}: cannot be used on {device}: {first_line(error)}{hint}") from error
    _check_template(args.model, processor)
    from PIL import Image

    try:
        answerer.prepare([[Image.new("RGB", (64, 64))]], ["?"])
    except Exception as error:  # of processor and image library, which know their own arguments
        raise CommandError(
            f"--model {args.model}: its processor cannot take a picture and a question: {first_line(error)}; "
            "see --processor-kwargs"
        ) from error
    return answerer


def _load(args: argparse.Namespace):
    from transformers import AutoModelForImageTextToText, ProcessorMixin

    options = {"trust_remote_code": args.trust_remote_code}
    processor = load_rival_processor(args.model, **options)
    if not isinstance(processor, ProcessorMixin):
        raise CommandError(f"--model {args.model}: has no picture processor; expected a vision-language one")
    model, loaded = AutoModelForImageTextToText.from_pretrained(
        args.model, dtype=args.dtype, output_loading_info=True, **options
    )
    missing = sorted({*loaded["missing_keys"], *(str(key) for key in loaded["mismatched_keys"])})
    if missing:
        raise CommandError(
            f"--model {args.model}: {len(missing)} weights are missing or misshapen, such as {missing[0]}"
        )
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
        raise CommandError(f"--model {name}: has no chat template; expected a checkpoint tuned to chat")
    try:
        processor.apply_chat_template(_pictures_and("?", [None]), add_generation_prompt=True)
    except Exception as error:  # templates raise what they like
        raise CommandError(f"--model {name}: its chat template takes no pictures: {first_line(error)}") from error
