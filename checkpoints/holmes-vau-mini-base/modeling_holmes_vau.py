"""Holmes-VAU: an InternVL model whose `generate` scores every dense frame, samples those that matter and answers."""

from collections.abc import Callable, Iterator

import torch
from transformers import GenerationMixin, InternVLForConditionalGeneration

from .configuration_holmes_vau import HolmesVAUConfig
from .decoding_holmes_vau import FrameDecodingMixin, PromptFeatures, check_prompt, frames_per_video
from .encoder_holmes_vau import EncodedVideo, VideoEncoder
from .familiarity_holmes_vau import Familiarity
from .sampler_holmes_vau import sample_frames
from .scorer_holmes_vau import AnomalyScorer
from .video_processing_holmes_vau import FrameChunk
from .vision_tower_holmes_vau import ResNetVisionTower


# ImageNet statistics of InternViT's input (InternVL `conversation`/`preprocess` code and model cards).
IMAGE_MEAN = (0.485, 0.456, 0.406)
IMAGE_STD = (0.229, 0.224, 0.225)

PIPELINE_TASK = "video-anomaly-understanding"


def check_frames(frames: torch.Tensor) -> None:
    """Dense frames are uint8 `(frames, 3, height, width)`: normalisation happens here, on the device."""
    if frames.ndim != 4 or frames.shape[1] != 3 or frames.dtype != torch.uint8 or frames.shape[0] == 0:
        raise ValueError(
            f"Video frames must be uint8 (frames >= 1, 3, height, width), got {frames.dtype} {tuple(frames.shape)}. "
            "Let `HolmesVAUProcessor(videos=...)` build them; normalised floats go in as `pixel_values`."
        )


def normalize_pixels(frames: torch.Tensor) -> torch.Tensor:
    """uint8 frames `(N, 3, H, W)` -> what the vision tower takes, float32, on their device."""
    scaled = frames.float() / 255.0
    return (scaled - scaled.new_tensor(IMAGE_MEAN)[:, None, None]) / scaled.new_tensor(IMAGE_STD)[:, None, None]


def to_weights(tensor: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """`tensor` on the device of `weight`; as it is where the weight is offloaded, and accelerate's hooks move both."""
    return tensor if weight.device.type == "meta" else tensor.to(weight.device)


def as_chunks(frames, dense_mask: torch.Tensor | list[bool] | None = None) -> Iterator[FrameChunk]:
    """Frames `(n, 3, height, width)`, or chunks of them, as chunks whose frame numbers are positions."""
    mask, begin = None if dense_mask is None else torch.as_tensor(dense_mask, dtype=torch.bool).cpu(), 0
    for part in [frames] if isinstance(frames, torch.Tensor) else frames:
        part = part if isinstance(part, torch.Tensor) else part.frames
        check_frames(part)
        end = begin + len(part)
        if mask is not None and end > len(mask):
            raise ValueError(f"`dense_mask` speaks of {len(mask)} frames, but {end} or more came.")
        is_dense = torch.ones(len(part), dtype=torch.bool) if mask is None else mask[begin:end]
        yield FrameChunk(part, torch.arange(begin, end), None, is_dense)
        begin = end


def set_auto_map(config) -> None:
    """Name the Auto classes and the pipeline that load a folder saved with `config`."""
    target = "modeling_holmes_vau.HolmesVAUForConditionalGeneration"
    config.auto_map = dict.fromkeys(("AutoModel", "AutoModelForImageTextToText", "AutoModelForMultimodalLM"), target)
    pipeline = "pipeline_holmes_vau.VideoAnomalyUnderstandingPipeline"
    config.custom_pipelines = {
        PIPELINE_TASK: {"impl": pipeline, "pt": ["AutoModelForImageTextToText"], "type": "multimodal"}
    }


class HolmesVAUForConditionalGeneration(FrameDecodingMixin, InternVLForConditionalGeneration, GenerationMixin):
    """
    Holmes-VAU (paper Sec. 4): InternVL, the anomaly scorer on its class tokens and the frame sampler.

    Two visual inputs exist. `pixel_values` (float, normalised) are frames already chosen and go to the language model
    as they are: InternVL's own path, used in training. `pixel_values_videos` (uint8, dense, resized) are encoded once,
    scored and sampled; the chosen frames replace the frame placeholders of the prompt.

    Example:

    ```python
    >>> inputs = processor(videos="street.mp4", text="What happens here?", return_tensors="pt")  # doctest: +SKIP
    >>> output = model.generate(**inputs, max_new_tokens=256, return_dict_in_generate=True)  # doctest: +SKIP
    >>> output.sequences, output.anomaly_scores, output.frame_indices  # doctest: +SKIP
    ```
    """

    config_class = HolmesVAUConfig
    _no_split_modules = ["InternVLVisionLayer", "AnomalyScorer"]
    _keep_in_fp32_modules_strict = ["anomaly_scorer", "familiarity"]

    def __init__(self, config):
        super().__init__(config)
        if config.vision_config.model_type == "resnet":
            self.model.vision_tower = ResNetVisionTower(config.vision_config)
        self.anomaly_scorer = AnomalyScorer(config.scorer_config).float()
        self.familiarity = None
        if config.familiarity_rank:
            self.familiarity = Familiarity(config.vision_config.hidden_size, config.familiarity_rank).float()

    def _init_weights(self, module):
        super()._init_weights(module)
        if isinstance(module, AnomalyScorer):
            module.reset_parameters()

    def save_pretrained(self, save_directory, *args, **kwargs):
        """Save weights, configuration and code, for every Auto class; keys are written as the model names them."""
        set_auto_map(self.config)
        kwargs.setdefault("save_original_format", False)
        super().save_pretrained(save_directory, *args, **kwargs)

    # ---- vision ---------------------------------------------------------------------------------------------------

    def encode_frames(self, frames: torch.Tensor) -> torch.Tensor:
        """
        One pass through the vision tower.

        Args:
            frames (`torch.ByteTensor` of shape `(frames, 3, height, width)`):
                Resized RGB frames.

        Returns:
            `torch.FloatTensor` of shape `(frames, 1 + patches, vision_hidden_size)`: Class token, then patch tokens,
            of the last layer without a final norm.
        """
        check_frames(frames)
        tower = self.model.vision_tower
        pixels = normalize_pixels(to_weights(frames, next(tower.parameters())))
        return tower(pixel_values=pixels.to(tower.dtype)).last_hidden_state

    def project_frames(self, patch_tokens: torch.Tensor) -> torch.Tensor:
        """Pixel shuffle and projector: `(frames, patches, vision_hidden_size)` -> `(frames, tokens, hidden_size)`."""
        side = int(patch_tokens.shape[1] ** 0.5)
        grid = patch_tokens.unflatten(1, (side, side))  # (frames, side, side, vision_hidden_size)
        shuffled = self.model.pixel_shuffle(grid, scale_factor=self.config.downsample_ratio)
        return self.model.multi_modal_projector(shuffled.flatten(1, 2))

    @torch.no_grad()
    def score_features(self, class_tokens: torch.Tensor) -> torch.Tensor:
        """Class tokens of one video's dense frames `(num_dense, vision_hidden_size)` -> probabilities `(num_dense,)`,
        float32 on the CPU."""
        features = to_weights(class_tokens, self.anomaly_scorer.embedding.weight)
        return self.anomaly_scorer(features[None])[0].cpu()

    @torch.no_grad()
    def score_frames(self, frames) -> torch.Tensor:
        """
        Anomaly probability of each dense frame of one video.

        Args:
            frames (`torch.ByteTensor` of shape `(num_dense, 3, height, width)` or an iterable of such chunks):
                Dense frames in time order, resized, RGB. Chunks may be those of a [`FrameStream`].

        Returns:
            `torch.FloatTensor` of shape `(num_dense,)`, float32 on the CPU.
        """
        encoder = VideoEncoder(self, keep=())
        for chunk in as_chunks(frames):
            encoder.push(chunk)
        return encoder.scores()

    @torch.no_grad()
    def encode_video(
        self,
        frames,
        frame_indices: torch.Tensor | list[int] | None = None,
        dense_mask: torch.Tensor | list[bool] | None = None,
        selected: torch.Tensor | list[int] | None = None,
        num_frames: int | None = None,
        sampler: str | None = None,
        sampler_tau: float | None = None,
        read_frames: Callable[[list[int]], torch.Tensor] | None = None,
    ) -> EncodedVideo:
        """
        Encode one video once: class tokens to the scorer, scores to the sampler, chosen patch tokens to the projector.
        It is a [`VideoEncoder`] over frames that are all there.

        Args:
            frames (`torch.ByteTensor` of shape `(frames, 3, height, width)` or an iterable of such chunks):
                Resized RGB frames in time order. Chunks are dropped as soon as they are encoded.
            frame_indices (`torch.LongTensor` of shape `(frames,)`, *optional*):
                Frame number of each frame in the video. Counted from 0 by default.
            dense_mask (`torch.BoolTensor` of shape `(frames,)`, *optional*):
                Which frames are on the dense grid and scored. All by default.
            selected (`torch.LongTensor` of shape `(num_frames,)`, *optional*):
                Positions among `frames` that the language model sees (short videos); the sampler chooses by default.
            num_frames (`int`, *optional*):
                How many frames the sampler chooses; needed without `selected`.
            sampler (`str`, *optional*), sampler_tau (`float`, *optional*):
                Default to those of the configuration. See [`sample_frames`].
            read_frames (`Callable`, *optional*):
                Reads frames again, positions among `frames` -> uint8 `(n, 3, height, width)`. It is called for videos
                of more than `config.max_cached_frames` frames, whose patch tokens are dropped. A tensor reads itself;
                an iterable without it keeps the patch tokens of all frames.

        Returns:
            [`EncodedVideo`]
        """
        if selected is None and num_frames is None:
            raise ValueError("`num_frames` says how many frames to choose: pass it, as `processor.num_frames`.")
        if read_frames is None and isinstance(frames, torch.Tensor):
            read_frames = frames.__getitem__
        encoder = VideoEncoder(self, read_frames, None if selected is None else torch.as_tensor(selected).tolist())
        count = 0
        for chunk in as_chunks(frames, dense_mask):
            encoder.push(chunk)
            count += len(chunk)
        scores, dense = encoder.scores(), encoder.dense_frame_indices
        if selected is None:
            rule = self.config.sampler if sampler is None else sampler
            tau = self.config.sampler_tau if sampler_tau is None else sampler_tau
            selected = [dense[i] for i in sample_frames(scores, num_frames, rule, tau).tolist()]
        numbers = torch.arange(count) if frame_indices is None else torch.as_tensor(frame_indices).cpu()
        if len(numbers) != count:
            raise ValueError(f"`frame_indices` names {len(numbers)} frames, but {count} frames came.")
        encoded = encoder.encoded(torch.as_tensor(selected).tolist())
        encoded.dense_frame_indices = numbers[encoded.dense_frame_indices]
        encoded.frame_indices = numbers[encoded.frame_indices]
        return encoded

    @torch.no_grad()
    def encode_videos(
        self,
        pixel_values_videos: torch.Tensor,
        video_num_frames: torch.Tensor | None = None,
        video_frame_indices: torch.Tensor | None = None,
        video_dense_mask: torch.Tensor | None = None,
        video_selected: torch.Tensor | None = None,
        **kwargs,
    ) -> list[EncodedVideo]:
        """
        Encode the videos of one [`HolmesVAUProcessor`] call.

        Args:
            pixel_values_videos (`torch.ByteTensor` of shape `(total_frames, 3, height, width)`):
                Frames of all videos, one video after the other, each in time order.
            video_num_frames (`torch.LongTensor` of shape `(num_videos,)`, *optional*):
                How many of them belong to each video. One video by default.
            video_frame_indices (`torch.LongTensor` of shape `(total_frames,)`, *optional*):
                Their frame numbers.
            video_dense_mask (`torch.BoolTensor` of shape `(total_frames,)`, *optional*):
                Which of them are on the dense grid.
            video_selected (`torch.LongTensor` of shape `(num_videos, num_frames)`, *optional*):
                Positions within each video that the language model sees, or a row of -1 to let the sampler choose.
            kwargs:
                `num_frames`, `sampler` and `sampler_tau` of [`~HolmesVAUForConditionalGeneration.encode_video`].

        Returns:
            `list[EncodedVideo]`, one a video.
        """
        check_frames(pixel_values_videos)
        total = len(pixel_values_videos)
        counts = [total] if video_num_frames is None else video_num_frames.tolist()
        if sum(counts) != total:
            raise ValueError(
                f"`video_num_frames` adds up to {sum(counts)}, but `pixel_values_videos` has {total} frames: pass "
                "what one call of the processor gives; pipelines of transformers' own take one video at a time."
            )
        videos, start = [], 0
        for row, count in enumerate(counts):
            span = slice(start, start + count)
            selected = None if video_selected is None or bool((video_selected[row] < 0).all()) else video_selected[row]
            videos.append(
                self.encode_video(
                    pixel_values_videos[span],
                    frame_indices=None if video_frame_indices is None else video_frame_indices[span],
                    dense_mask=None if video_dense_mask is None else video_dense_mask[span],
                    selected=selected,
                    **kwargs,
                )
            )
            start += count
        return videos

    # ---- language -------------------------------------------------------------------------------------------------

    def _videos(
        self, input_ids, pixel_values_videos, encoded_videos, pixel_values, inputs_embeds, **kwargs
    ) -> list[EncodedVideo]:
        """The videos of a prompt, encoded unless that is done."""
        if input_ids is None or inputs_embeds is not None:
            got = "none" if inputs_embeds is None else "`inputs_embeds`"
            raise ValueError(f"Videos need `input_ids` with frame placeholders, got {got}. Use `HolmesVAUProcessor`.")
        if pixel_values is not None:
            raise ValueError("Got both images (`pixel_values`) and videos in one call: pass one of the two.")
        if encoded_videos is None:
            counts = kwargs.get("video_num_frames")
            kwargs["num_frames"] = frames_per_video(input_ids, 1 if counts is None else len(counts), self.config)
            return self.encode_videos(pixel_values_videos, **kwargs)
        if pixel_values_videos is not None:
            raise ValueError("Got both `pixel_values_videos` and `encoded_videos`: pass one of the two.")
        if not isinstance(encoded_videos, (list, tuple)):
            raise TypeError(
                f"`encoded_videos` must be a list with an `EncodedVideo` a video, got {type(encoded_videos).__name__}."
            )
        return list(encoded_videos)

    def forward(
        self,
        input_ids: torch.LongTensor | None = None,
        pixel_values: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        position_ids: torch.LongTensor | None = None,
        past_key_values=None,
        inputs_embeds: torch.Tensor | None = None,
        labels: torch.LongTensor | None = None,
        logits_to_keep: int | torch.Tensor = 0,
        pixel_values_videos: torch.Tensor | None = None,
        video_num_frames: torch.Tensor | None = None,
        video_frame_indices: torch.Tensor | None = None,
        video_dense_mask: torch.Tensor | None = None,
        video_selected: torch.Tensor | None = None,
        encoded_videos: list[EncodedVideo] | None = None,
        prompt_features: PromptFeatures | None = None,
        **kwargs,
    ):
        """InternVL's forward; with `pixel_values_videos` and its companions (see
        [`~HolmesVAUForConditionalGeneration.encode_videos`]) the videos are scored and sampled first, without gradient
        through the vision tower and the projector. `encoded_videos` are videos of which that is done;
        `prompt_features` is what `generate` hands to the steps that read the prompt."""
        start = 0  # of `input_ids` in the prompt
        if pixel_values_videos is not None or encoded_videos is not None:
            videos = self._videos(
                input_ids,
                pixel_values_videos,
                encoded_videos,
                pixel_values,
                inputs_embeds,
                video_num_frames=video_num_frames,
                video_frame_indices=video_frame_indices,
                video_dense_mask=video_dense_mask,
                video_selected=video_selected,
            )
            prompt_features = PromptFeatures.of(
                input_ids, [video.image_features for video in videos], self.config.image_token_id
            )
        elif prompt_features is not None and past_key_values is not None:
            start = int(past_key_values.get_seq_length())
        if prompt_features is not None:
            inputs_embeds = prompt_features.embed(self.get_input_embeddings(), input_ids, start)
            input_ids = None
        return super().forward(
            input_ids=input_ids,
            pixel_values=pixel_values,
            attention_mask=attention_mask,
            position_ids=position_ids,
            past_key_values=past_key_values,
            inputs_embeds=inputs_embeds,
            labels=labels,
            logits_to_keep=logits_to_keep,
            **kwargs,
        )

    @torch.no_grad()
    def generate(
        self,
        inputs: torch.Tensor | None = None,
        generation_config=None,
        pixel_values_videos: torch.Tensor | None = None,
        video_num_frames: torch.Tensor | None = None,
        video_frame_indices: torch.Tensor | None = None,
        video_dense_mask: torch.Tensor | None = None,
        video_selected: torch.Tensor | None = None,
        encoded_videos: list[EncodedVideo] | None = None,
        sampler: str | None = None,
        sampler_tau: float | None = None,
        **kwargs,
    ):
        """
        Score, sample and answer: `generate(**processor(videos=..., text=...))`.

        Args:
            inputs (`torch.LongTensor` of shape `(batch, length)`, *optional*):
                Prompt tokens, left-padded; `input_ids` is the same.
            pixel_values_videos, video_num_frames, video_frame_indices, video_dense_mask, video_selected:
                The videos, as [`HolmesVAUProcessor`] returns them. See
                [`~HolmesVAUForConditionalGeneration.encode_videos`].
            encoded_videos (`list[EncodedVideo]`, *optional*):
                Videos encoded before (`output.encoded_videos` of an earlier call), instead of `pixel_values_videos`:
                further questions do not encode them again.
            sampler (`str`, *optional*), sampler_tau (`float`, *optional*):
                Override those of the configuration. See [`sample_frames`].
            generation_config, kwargs:
                As for any `generate` of transformers.

        Returns:
            `torch.LongTensor` of shape `(batch, length + new)`. With `return_dict_in_generate=True` transformers'
            output with `anomaly_scores`, `frame_indices` and `encoded_videos` beside it: lists with an entry a video.
        """
        input_ids = kwargs.pop("input_ids", None) if inputs is None else inputs
        videos = None
        if pixel_values_videos is not None or encoded_videos is not None:
            is_new, settings = pixel_values_videos is not None, generation_config or self.generation_config
            check_prompt(input_ids, self.config, settings, kwargs, is_new)
            videos = self._videos(
                input_ids,
                pixel_values_videos,
                encoded_videos,
                kwargs.get("pixel_values"),
                kwargs.get("inputs_embeds"),
                video_num_frames=video_num_frames,
                video_frame_indices=video_frame_indices,
                video_dense_mask=video_dense_mask,
                video_selected=video_selected,
                sampler=sampler,
                sampler_tau=sampler_tau,
            )
            features = [video.image_features for video in videos]
        else:
            features = self._image_features(input_ids, kwargs)
        kwargs.update(self._prompt_features(input_ids, features, generation_config, kwargs))
        output = super().generate(input_ids, generation_config=generation_config, **kwargs)
        if videos is not None and not isinstance(output, torch.Tensor):
            output["anomaly_scores"] = [video.anomaly_scores for video in videos]
            output["frame_indices"] = [video.frame_indices for video in videos]
            output["encoded_videos"] = videos
        return output

    def _image_features(self, input_ids, kwargs: dict) -> list[torch.Tensor]:
        """Projected features of the chosen frames or still images in `pixel_values`, taken out of `kwargs`; where
        there are embeddings in place of ids, finding their places is left to InternVL."""
        if kwargs.get("pixel_values") is None or kwargs.get("inputs_embeds") is not None or input_ids is None:
            return []
        options = ("pixel_values", "vision_feature_layer", "vision_feature_select_strategy")
        options = {name: kwargs.pop(name) for name in options if name in kwargs}
        return [self.get_image_features(**options, return_dict=True).pooler_output]

    def analyze(self, video, processor, **kwargs) -> dict:
        """Analyse a video file of any length in bounded memory: [`analyze_video`] with this model."""
        # Imported here because it sits above this file; the import also makes `save_pretrained` ship the pipeline.
        from .pipeline_holmes_vau import analyze_video

        return analyze_video(video, self, processor, **kwargs)


HolmesVAUForConditionalGeneration.register_for_auto_class("AutoModelForImageTextToText")
