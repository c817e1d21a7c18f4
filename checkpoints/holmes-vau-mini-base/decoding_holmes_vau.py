"""Where frames enter a prompt: the feature each frame token stands for, whatever part of the prompt a step gets."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch.nn.functional import pad
from transformers.utils import logging


logger = logging.get_logger(__name__)


@dataclass
class PromptFeatures:
    """
    Projected frames and the tokens of one prompt they stand for. `generate` may lengthen the ids before the first step
    (drafts), cut them (chunks, a cache that holds the beginning) or repeat the rows (beams): a feature belongs to a
    position of the prompt, so none of that moves it.

    Args:
        features (`list[torch.FloatTensor]`, each of shape `(frames, tokens, hidden_size)`):
            The frames in the order of their tokens. They are joined when they are used, and no copy is kept.
        index (`torch.LongTensor` of shape `(batch, length)`):
            The feature each token of the prompt stands for, counted through all frames; -1 where it is a word.
        image_token_id (`int`):
            The frame token.
    """

    features: list[torch.Tensor]
    index: torch.Tensor
    image_token_id: int

    @classmethod
    def of(cls, input_ids: torch.Tensor, features: list[torch.Tensor], image_token_id: int) -> "PromptFeatures":
        """Features for the frame tokens of `input_ids` `(batch, length)`, in order of appearance.

        Raises:
            `ValueError`: if there are more of one than of the other.
        """
        placeholders = input_ids == image_token_id
        wanted, given = int(placeholders.sum()), sum(frames.shape[0] * frames.shape[1] for frames in features)
        if wanted != given:
            raise ValueError(
                f"The prompt has {wanted} frame tokens, but the videos give {given}. Build both with one "
                "processor call, or pass every video of the prompt in `encoded_videos`."
            )
        count = placeholders.flatten().cumsum(0).view_as(input_ids)  # (batch, length)
        return cls(features, torch.where(placeholders, count - 1, -1), image_token_id)

    @property
    def length(self) -> int:
        """Tokens of the prompt."""
        return self.index.shape[1]

    def embed(self, embedding: Callable, input_ids: torch.Tensor, start: int) -> torch.Tensor:
        """
        Embed the part of the prompt that begins at position `start`. Frame tokens after the prompt are the model's own
        words or drafts, and stay words.

        Args:
            embedding (`Callable`): Token ids -> `(batch, length, hidden_size)`.
            input_ids (`torch.LongTensor` of shape `(batch * repeats, length)`): The part; rows may be repeated.
            start (`int`): Its first position in the prompt.

        Returns:
            `torch.FloatTensor` of shape `(batch * repeats, length, hidden_size)`.

        Raises:
            `ValueError`: if the frame tokens are no longer where they were, or the features have another width.
        """
        index = self.index.to(input_ids.device).repeat_interleave(len(input_ids) // len(self.index), dim=0)
        index = index[:, start : start + input_ids.shape[1]]
        placeholders = index >= 0
        if not torch.equal(input_ids[:, : index.shape[1]] == self.image_token_id, placeholders):
            raise ValueError(
                "The frame tokens of the prompt are not where they were when the frames were put in: its ids were "
                "rewritten (as `token_healing` does). Leave that option out, or generate from text alone."
            )
        embeds = embedding(input_ids)
        features = torch.cat([frames.flatten(0, 1).to(embeds) for frames in self.features])  # (tokens, hidden_size)
        if features.shape[-1] != embeds.shape[-1]:
            raise ValueError(
                f"The frames were encoded to width {features.shape[-1]}, but this model takes {embeds.shape[-1]}: "
                "encode the video with the model that answers."
            )
        placeholders = pad(placeholders, (0, input_ids.shape[1] - index.shape[1]))
        return embeds.masked_scatter(placeholders[..., None], features[index[index >= 0]])


def check_prompt(input_ids: torch.Tensor | None, config, generation_config, kwargs: dict, is_new: bool) -> None:
    """A prompt and the longest answer that `generate` may give must fit into the context of the language model. Of a
    video that `is_new`, not encoded before, the warning of the checkpoint is logged, once in a program.

    Raises:
        `ValueError`: if they do not.
    """
    if is_new and config.warning:
        logger.warning_once(config.warning)
    context = config.text_config.max_position_embeddings
    answer = kwargs.get("max_new_tokens", generation_config.max_new_tokens)
    answer = 1 if answer is None or "max_length" in kwargs else answer
    if input_ids is not None and input_ids.shape[1] + answer > context:
        raise ValueError(
            f"The prompt has {input_ids.shape[1]} tokens and the answer may have {answer}, but the language model "
            f"holds {context} together: pass fewer frames (`num_frames`), ask in a shorter conversation, or lower "
            "`max_new_tokens`."
        )


def frames_per_video(input_ids: torch.Tensor, num_videos: int, config) -> int:
    """Frames a video that the prompt has frame tokens for.

    Raises:
        `ValueError`: if they are not the same whole number for each video.
    """
    placeholders = int((input_ids == config.image_token_id).sum())
    per_video, rest = divmod(placeholders, config.image_seq_length * num_videos)
    if rest or not per_video:
        raise ValueError(
            f"The prompt has {placeholders} frame tokens for {num_videos} video(s) of {config.image_seq_length} "
            "tokens a frame: not the same whole number of frames for each. Build prompt and frames with one "
            "`HolmesVAUProcessor` call."
        )
    return per_video


class FrameDecodingMixin:
    """Carries the frames of a prompt from `generate` to the `forward` of the steps that read the prompt, so that every
    decoding mode sees the ids alone, and the frames where they belong."""

    def _prompt_features(self, input_ids, features: list, generation_config, kwargs: dict) -> dict:
        """What `generate` hands on so that the frames enter in `forward`; nothing for text alone."""
        if features and kwargs.get("cache_implementation") == "paged":
            raise ValueError(
                "`cache_implementation='paged'` (continuous batching) takes words alone and would answer without the "
                "frames. Leave it out: `generate` takes batches of videos."
            )
        drafting = generation_config is not None and generation_config.is_assistant
        elsewhere = ("inputs_embeds", "past_key_values", "mm_encoder_outputs")
        if not features and (input_ids is None or drafting or any(kwargs.get(name) is not None for name in elsewhere)):
            return {}
        prompt_features = PromptFeatures.of(input_ids, features, self.config.image_token_id)
        return {"prompt_features": prompt_features} if features else {}

    def prepare_inputs_for_generation(
        self,
        input_ids: torch.LongTensor,
        next_sequence_length: int | None = None,
        past_key_values=None,
        attention_mask: torch.Tensor | None = None,
        inputs_embeds: torch.Tensor | None = None,
        is_first_iteration: bool | None = False,
        prompt_features: PromptFeatures | None = None,
        **kwargs,
    ) -> dict:
        """As for any model of transformers; the frames go to the steps that read the prompt: the first one, its
        chunks, and without a cache all of them."""
        model_inputs = super().prepare_inputs_for_generation(
            input_ids,
            next_sequence_length=next_sequence_length,
            past_key_values=past_key_values,
            attention_mask=attention_mask,
            inputs_embeds=inputs_embeds,
            is_first_iteration=is_first_iteration,
            **kwargs,
        )
        if prompt_features is not None:
            reads_prompt = is_first_iteration or input_ids.shape[1] <= prompt_features.length
            if reads_prompt or not kwargs.get("use_cache", True):
                model_inputs["prompt_features"] = prompt_features
        return model_inputs

    def _get_candidate_generator(self, generation_config, model_kwargs: dict, **kwargs):
        """Transformers' choice of who drafts. An assistant drafts from the words alone: its width is another, and most
        assistants see nothing."""
        if generation_config.assistant_early_exit is not None:
            raise ValueError(
                "`assistant_early_exit` works with language models alone, not with this one. Leave it out, or pass an "
                "`assistant_model` or `prompt_lookup_num_tokens`."
            )
        model_kwargs = {name: value for name, value in model_kwargs.items() if name != "prompt_features"}
        return super()._get_candidate_generator(generation_config, model_kwargs=model_kwargs, **kwargs)
