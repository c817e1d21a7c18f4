"""Processor of Holmes-VAU: questions and videos (or images) in, prompt tokens and frames out."""

import logging
import os
import re
from collections.abc import Sequence

import numpy as np
import torch
from transformers.feature_extraction_utils import BatchFeature
from transformers.image_utils import make_flat_list_of_images
from transformers.processing_utils import ProcessorMixin, TextKwargs

from .frame_rule_holmes_vau import FramePlan, FrameRule
from .video_processing_holmes_vau import FrameStream, read_what_is_there
from .video_reader_holmes_vau import ArrayVideo, VideoReader, open_video


logger = logging.getLogger(__name__)

# InternVL2's system message (`conversation.py`, template internlm2-chat); the released weights were trained with it.
SYSTEM_MESSAGE = (
    "你是由上海人工智能实验室联合商汤科技开发的书生多模态大模型，英文名叫InternVL, 是一个有用无害的人工智能助手。"
)
# InternVL2's layout: turns joined by <|im_end|> alone, without a newline; visual placeholders on lines of their own.
CHAT_TEMPLATE = (
    "{%- if messages[0]['role'] != 'system' -%}"
    "{{- '<|im_start|>system\n" + SYSTEM_MESSAGE + "<|im_end|>' -}}"
    "{%- endif -%}"
    "{%- for message in messages -%}"
    "{{- '<|im_start|>' + message['role'] + '\n' -}}"
    "{%- if message['content'] is string -%}{{- message['content'] -}}{%- else -%}"
    "{%- for block in message['content'] -%}"
    "{%- if block['type'] == 'video' -%}{{- '<video>\n' -}}"
    "{%- elif block['type'] == 'image' -%}{{- '<IMG_CONTEXT>\n' -}}"
    "{%- else -%}{{- block['text'] -}}{%- endif -%}"
    "{%- endfor -%}{%- endif -%}"
    "{{- '<|im_end|>' -}}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\n' -}}{%- endif -%}"
)

IGNORED = -100  # label of a token that is not learned
# Dense frames above which one call is told to use `analyze_video`: 4096 frames of 448 x 448 are 2.5 GB.
MANY_FRAMES = 4096


def is_one_video(item) -> bool:
    """A path, an opened video, a (T, H, W, 3) array or a list of frames, as opposed to a list of videos."""
    if isinstance(item, (str, os.PathLike, VideoReader, ArrayVideo)):
        return True
    if isinstance(item, (np.ndarray, torch.Tensor)):
        return item.ndim == 4
    # A list of frames holds PIL images or (H, W, 3) arrays.
    first = item[0] if isinstance(item, (list, tuple)) and len(item) else None
    return hasattr(first, "getbands") or (isinstance(first, (np.ndarray, torch.Tensor)) and first.ndim == 3)


def flatten_videos(videos) -> tuple[list, list[int] | None]:
    """All videos in order, and how many belong to each prompt where a nested list says so."""
    if is_one_video(videos):
        return [videos], None
    if not isinstance(videos, (list, tuple, np.ndarray, torch.Tensor)) or len(videos) == 0:
        raise ValueError(
            f"`videos` must be a path, a (T, H, W, 3) array, a list of frames or a list of these, got {videos!r}."
        )
    if all(is_one_video(video) for video in videos):
        return list(videos), None
    if not all(is_one_video(row) or isinstance(row, (list, tuple)) for row in videos):
        raise ValueError(f"`videos` must hold paths, (T, H, W, 3) arrays or lists of these, got {videos!r}.")
    rows = [flatten_videos(row)[0] if len(row) else [] for row in videos]
    if not any(rows):
        raise ValueError("`videos` holds no video: leave it out, or pass at least one.")
    return [video for row in rows for video in row], [len(row) for row in rows]


class HolmesVAUProcessor(ProcessorMixin):
    """
    Builds the inputs of [`HolmesVAUForConditionalGeneration`]: the prompt with N frame placeholders a video, and the
    dense frames, resized, in uint8.

    Args:
        image_processor (`BaseImageProcessor`):
            InternVL's image processor, for still images.
        tokenizer (`PreTrainedTokenizerBase`):
            Tokenizer of the language model.
        chat_template (`str`, *optional*):
            Jinja template that turns messages into the prompt.
        image_size (`int`, *optional*, defaults to 448):
            Side of a frame after resizing, in pixels.
        image_seq_length (`int`, *optional*, defaults to 256):
            Tokens a frame takes in the prompt.
        num_frames (`int`, *optional*, defaults to 16):
            Frames of a video that the language model sees, N.
        frame_stride (`int`, *optional*, defaults to 16):
            Distance between scored frames, in frames of the video.
        image_token (`str`, *optional*, defaults to `"<IMG_CONTEXT>"`):
            Token that each visual feature replaces, and placeholder of an image in a prompt.
        image_start (`str`, *optional*, defaults to `"<img>"`), image_end (`str`, *optional*, defaults to `"</img>"`):
            Tokens around the features of a frame.
        video_token (`str`, *optional*, defaults to `"<video>"`):
            Placeholder of a video in a prompt; not a token.
        video_backend (`str`, *optional*, defaults to `"auto"`):
            `"decord"`, `"pyav"` or `"auto"`.

    Example:

    ```python
    >>> inputs = processor(videos="street.mp4", text="What happens here?", return_tensors="pt")  # doctest: +SKIP
    >>> inputs["pixel_values_videos"].dtype, inputs["pixel_values_videos"].shape[1:]  # doctest: +SKIP
    (torch.uint8, torch.Size([3, 448, 448]))

    ```
    """

    def __init__(
        self,
        image_processor=None,
        tokenizer=None,
        chat_template=None,
        image_size: int = 448,
        image_seq_length: int = 256,
        num_frames: int = 16,
        frame_stride: int = 16,
        image_token: str = "<IMG_CONTEXT>",
        image_start: str = "<img>",
        image_end: str = "</img>",
        video_token: str = "<video>",
        video_backend: str = "auto",
    ):
        for name, value in (("num_frames", num_frames), ("frame_stride", frame_stride)):
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ValueError(f"`{name}` must be a whole number of at least 1, got {value!r}.")
        super().__init__(image_processor, tokenizer, chat_template=chat_template)
        self.image_size = image_size
        self.image_seq_length = image_seq_length
        self.num_frames = num_frames
        self.frame_stride = frame_stride
        self.image_token = image_token
        self.image_start = image_start
        self.image_end = image_end
        self.video_token = video_token
        self.video_backend = video_backend
        self.image_token_id = tokenizer.convert_tokens_to_ids(image_token)

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path, **kwargs):
        """As for any processor. Whoever calls this class has its code, so none is taken from the checkpoint by default
        (`AutoProcessor` passes its own `trust_remote_code`)."""
        kwargs.setdefault("trust_remote_code", False)
        return super().from_pretrained(pretrained_model_name_or_path, **kwargs)

    @property
    def model_input_names(self) -> list[str]:
        return [
            *self.tokenizer.model_input_names,
            "pixel_values",
            "pixel_values_videos",
            "video_num_frames",
            "video_frame_indices",
            "video_dense_mask",
            "video_selected",
        ]

    def frames_warning(self, num_frames: int) -> str:
        """What is to be said of showing the language model this many frames of a video; empty if nothing."""
        if num_frames <= self.num_frames:
            return ""
        return f"{num_frames} frames shown, but trained with {self.num_frames}: answers may be worse"

    def frame_placeholders(self, num_frames: int, tokens_per_frame: int | None = None) -> str:
        """The prompt's part for one video: `Frame1: <img>...</img>` and so on, a line a frame, each with
        `image_seq_length` frame tokens by default."""
        tokens = self.image_seq_length if tokens_per_frame is None else tokens_per_frame
        image = f"{self.image_start}{self.image_token * tokens}{self.image_end}"
        return "\n".join(f"Frame{i + 1}: {image}" for i in range(num_frames))

    def user_prompt(self, text: str, num_videos: int = 0, num_images: int = 0) -> str:
        """The chat template with one user turn: the visual placeholders, then `text`."""
        visuals = [{"type": "video"}] * num_videos + [{"type": "image"}] * num_images
        messages = [{"role": "user", "content": [*visuals, {"type": "text", "text": text}]}]
        return self.apply_chat_template(messages, add_generation_prompt=True)

    # ---- conversations: the one place where questions and answers about a video become tokens -----------------------

    @staticmethod
    def to_messages(turns: Sequence[tuple[str, str | None]]) -> list[dict]:
        """Messages of a conversation about one video, for chat templates; an answer of `None` is yet to come."""
        messages = []
        for question, answer in turns:
            video = [] if messages else [{"type": "video"}]
            messages.append({"role": "user", "content": [*video, {"type": "text", "text": question}]})
            if answer is not None:
                messages.append({"role": "assistant", "content": [{"type": "text", "text": answer}]})
        return messages

    def conversation_text(self, turns: Sequence[tuple[str, str | None]]) -> str:
        """A conversation as the chat template writes it: up to the answer that is yet to come, or to the token that
        ends the last one. The video is `video_token`."""
        if not turns or any(answer is None for _, answer in turns[:-1]):
            raise ValueError(f"`turns` must be questions with answers, of which the last may be None, got {turns!r}.")
        is_open = turns[-1][1] is None
        text = self.apply_chat_template(self.to_messages(turns), add_generation_prompt=is_open)
        return text if is_open else text.rstrip()

    def conversation_inputs(
        self, conversations: Sequence[Sequence[tuple[str, str | None]]], num_frames: int | None = None
    ) -> BatchFeature:
        """
        Inputs of `generate` for the next answer of each conversation about a video that was encoded before.

        Args:
            conversations (`list[list[tuple[str, str]]]`): Questions and answers of each; the last answer is `None`.
            num_frames (`int`, *optional*): Frames that the language model sees of each video.

        Returns:
            [`BatchFeature`]: `input_ids` and `attention_mask`, left-padded.

        Example:

        ```python
        >>> turns = [("Is there an anomaly?", "Yes."), ("Why?", None)]
        >>> inputs = processor.conversation_inputs([turns], num_frames=16)  # doctest: +SKIP
        >>> model.generate(**inputs, encoded_videos=[encoded])  # doctest: +SKIP

        ```
        """
        text = [self.conversation_text(turns) for turns in conversations]
        return self(text=text, num_frames=num_frames, return_tensors="pt")

    def encode_turns(
        self, turns: Sequence[tuple[str, str | None]], num_frames: int | None = None
    ) -> tuple[list[int], list[int]]:
        """
        Tokens of a conversation, and labels: the answers and the tokens that end them; everything else is -100.

        The tokens before each answer are those of its prompt in inference. Where a tokenizer would merge over such a
        border, it is asked for both sides apart, as generation meets them.

        Args:
            turns (`list[tuple[str, str]]`): Questions and answers; the last answer may be `None`, which is a prompt.
            num_frames (`int`, *optional*): Frames that the language model sees.

        Returns:
            `tuple[list[int], list[int]]`: `input_ids` and `labels`, of the same length.
        """
        ids: list[int] = []
        labels: list[int] = []
        done = 0  # characters of the conversation that are tokens already

        def append(text: str, is_learned: bool) -> None:
            nonlocal done
            whole = self(text=text, num_frames=num_frames)["input_ids"][0]
            if whole[: len(ids)] == ids:
                new = whole[len(ids) :]
            else:
                new = self(text=text[done:], num_frames=num_frames, add_special_tokens=False)["input_ids"][0]
            ids.extend(new)
            labels.extend(new if is_learned else [IGNORED] * len(new))
            done = len(text)

        if turns[-1][1] is None:
            append(self.conversation_text(turns), False)
            return ids, labels
        for number, (question, _) in enumerate(turns):
            append(self.conversation_text([*turns[:number], (question, None)]), False)
            append(self.conversation_text(turns[: number + 1]), True)
        return ids, labels

    def count_tokens(self, turns: Sequence[tuple[str, str | None]], num_frames: int) -> int:
        """How many tokens a conversation takes; those of frames are counted, not made."""
        labels = self.frame_placeholders(num_frames, 0)
        text = self.conversation_text(turns).replace(self.video_token, labels)
        return len(self.tokenizer(text)["input_ids"]) + num_frames * self.image_seq_length

    # ---- videos and images ------------------------------------------------------------------------------------------

    def read_video(
        self,
        video,
        num_frames: int | None = None,
        frame_stride: int | None = None,
        segment_s: tuple[float, float | None] | None = None,
        fps: float | None = None,
    ) -> dict[str, torch.Tensor | None]:
        """
        The frames of one video that the model needs; of a damaged file, those that can be decoded, after a warning.

        Returns:
            `dict`: `pixel_values` (uint8, `(frames, 3, image_size, image_size)`), `frame_indices`, `dense_mask` and
            `selected` of its [`FramePlan`].
        """
        number = self.num_frames if num_frames is None else num_frames
        rule = FrameRule(number, self.frame_stride if frame_stride is None else frame_stride)
        with open_video(video, self.video_backend, fps, strict=False) as reader:

            def read() -> tuple[FramePlan, torch.Tensor]:
                plan = rule.plan(reader, segment_s)
                if len(plan.frame_indices) > MANY_FRAMES:
                    logger.warning(
                        "%s has %d dense frames, which are all held in memory here; `analyze_video` streams them.",
                        reader.path,
                        len(plan.frame_indices),
                    )
                stream = FrameStream(reader, plan.frame_indices, self.image_size)
                return plan, torch.cat([chunk.frames for chunk in stream])

            plan, pixels = read_what_is_there(reader, read, strict=False)
            if reader.warning:
                logger.warning("%s: %s", reader.path, reader.warning)
        return {
            "pixel_values": pixels,
            "frame_indices": torch.tensor(plan.frame_indices),
            "dense_mask": torch.tensor(plan.dense_mask),
            "selected": None if plan.selected is None else torch.tensor(plan.selected),
        }

    def _videos_per_prompt(self, text: list[str], num_videos: int, per_row: list[int] | None) -> list[int]:
        """How many videos belong to each prompt, from the nesting, the placeholders, or one each."""
        counts = [sample.count(self.video_token) for sample in text]
        if any(counts):
            per_row = counts
        elif per_row is None:
            per_row = [num_videos] if len(text) == 1 else [1] * len(text)
        if len(per_row) != len(text) or sum(per_row) != num_videos:
            raise ValueError(
                f"Got {num_videos} video(s) for {len(text)} prompt(s) that ask for {per_row}. Pass one video a "
                f"prompt, or one {self.video_token} placeholder a video."
            )
        return per_row

    def _video_inputs(self, videos: list, num_frames: int, **kwargs) -> dict[str, torch.Tensor]:
        read = [self.read_video(video, num_frames, **kwargs) for video in videos]
        no_choice = torch.full((num_frames,), -1)
        return {
            "pixel_values_videos": torch.cat([video["pixel_values"] for video in read]),
            "video_num_frames": torch.tensor([len(video["pixel_values"]) for video in read]),
            "video_frame_indices": torch.cat([video["frame_indices"] for video in read]),
            "video_dense_mask": torch.cat([video["dense_mask"] for video in read]),
            "video_selected": torch.stack(
                [no_choice if video["selected"] is None else video["selected"] for video in read]
            ),
        }

    def _image_inputs(self, images: list, text: list[str], **kwargs) -> tuple[dict[str, torch.Tensor], list[str]]:
        """Pixel values of still images, and the prompts with their placeholders expanded (InternVL's layout)."""
        counts = [sample.count(self.image_token) for sample in text]
        if not any(counts) and len(text) in (1, len(images)):
            counts = [len(images)] if len(text) == 1 else [1] * len(text)
            text = [self.user_prompt(sample, num_images=count) for sample, count in zip(text, counts)]
        if sum(counts) != len(images):
            raise ValueError(
                f"Got {len(images)} image(s) for prompts with {counts} {self.image_token} placeholders. Pass one "
                "placeholder an image, or plain questions and one image each."
            )
        features = self.image_processor(images, return_tensors="pt", **{"crop_to_patches": True, **kwargs})
        patches = iter(torch.as_tensor(features.pop("num_patches")).tolist())

        def expand(_) -> str:
            return f"{self.image_start}{self.image_token * (self.image_seq_length * next(patches))}{self.image_end}"

        text = [re.sub(re.escape(self.image_token), expand, sample) for sample in text]
        return {"pixel_values": features["pixel_values"]}, text

    def __call__(
        self,
        images=None,
        text: str | list[str] | None = None,
        videos=None,
        audio=None,
        num_frames: int | None = None,
        frame_stride: int | None = None,
        segment_s: tuple[float, float | None] | None = None,
        fps: float | None = None,
        **kwargs,
    ) -> BatchFeature:
        """
        Args:
            images (*optional*):
                Still images (InternVL's own use), not together with videos.
            text (`str` or `list[str]`):
                Plain questions, which are put into the chat template after the frames, or prompts that hold a
                `video_token` (`image_token`) for each video (image), as `apply_chat_template` makes them. Prompts with
                `video_token` and no `videos` get the frame placeholders alone: a further question about a video that
                the model has encoded before.
            videos (*optional*):
                A path, a `(T, H, W, 3)` uint8 RGB array or a list of frames; or a list of these, one a prompt (all in
                one prompt if there is one); or a list of lists. OpenCV's frames are BGR: pass `frame[..., ::-1]`.
            num_frames (`int`, *optional*), frame_stride (`int`, *optional*):
                Override those of the processor.
            segment_s (`tuple[float, float]`, *optional*):
                Read only this span of each video, in seconds; an end of `None` is the end of the video.
            fps (`float`, *optional*):
                Frame rate of videos given as arrays; needed with `segment_s` alone.
            kwargs:
                Arguments of the tokenizer (`return_tensors`, `padding`, ...); `images_kwargs`, those of the image
                processor.

        Returns:
            [`BatchFeature`]: `input_ids` and `attention_mask` (left-padded); `pixel_values` of images; or
            `pixel_values_videos`, `video_num_frames`, `video_frame_indices`, `video_dense_mask`, `video_selected` as
            [`~HolmesVAUForConditionalGeneration.encode_videos`] takes them.

        Raises:
            `ValueError`: for missing text, audio, images together with videos, counts that do not match, or a video
            that cannot be read.
        """
        if text is None:
            raise ValueError("`text` is required: pass a question or a prompt.")
        if audio is not None:
            raise ValueError("`audio` is not supported: Holmes-VAU reads frames only. Leave it out.")
        if images is not None and videos is not None:
            raise ValueError("Got both `images` and `videos` in one call: pass one of the two.")
        images_kwargs, tokenizer_kwargs = self._split_kwargs(kwargs)
        text = [text] if isinstance(text, str) else list(text)
        number = self.num_frames if num_frames is None else num_frames
        if number < 1:
            raise ValueError(f"`num_frames` must be at least 1, got {number}.")
        if warning := self.frames_warning(number):
            logger.warning(warning)
        data = {}
        if videos is not None:
            videos, per_row = flatten_videos(videos)
            per_row = self._videos_per_prompt(text, len(videos), per_row)
            text = [
                sample if self.video_token in sample or not count else self.user_prompt(sample, num_videos=count)
                for sample, count in zip(text, per_row)
            ]
            data = self._video_inputs(videos, number, frame_stride=frame_stride, segment_s=segment_s, fps=fps)
        elif images is not None:
            images = make_flat_list_of_images(self.image_processor.fetch_images(images))
            data, text = self._image_inputs(images, text, **images_kwargs)
        text = [sample.replace(self.video_token, self.frame_placeholders(number)) for sample in text]
        tokenizer_kwargs = {"padding": len(text) > 1, "padding_side": "left", **tokenizer_kwargs}
        return BatchFeature({**self.tokenizer(text, **tokenizer_kwargs), **data})

    @staticmethod
    def _split_kwargs(kwargs: dict) -> tuple[dict, dict]:
        """Arguments of the image processor and of the tokenizer."""
        images_kwargs = kwargs.pop("images_kwargs", {})
        # `apply_chat_template` adds this beside `num_frames`; frames are always sampled here.
        kwargs.pop("do_sample_frames", None)
        tokenizer_kwargs = {**kwargs.pop("common_kwargs", {}), **kwargs.pop("text_kwargs", {}), **kwargs}
        unknown = set(tokenizer_kwargs) - set(TextKwargs.__annotations__)
        if unknown:
            raise TypeError(
                f"Unknown argument(s) {', '.join(sorted(unknown))}: expected num_frames, frame_stride, segment_s, "
                "fps, images_kwargs or an argument of the tokenizer."
            )
        return images_kwargs, tokenizer_kwargs


HolmesVAUProcessor.register_for_auto_class()
