"""Configuration of Holmes-VAU: every tunable number of the anomaly scorer, the frame sampler and the event rule."""

import math

from huggingface_hub.dataclasses import strict
from transformers import InternVLConfig, ResNetConfig
from transformers.configuration_utils import PreTrainedConfig

from .sampler_holmes_vau import check_sampler


@strict
class AnomalyScorerConfig(PreTrainedConfig):
    """
    Sizes of the anomaly scorer, the UR-DMU network on the class tokens of the vision tower (paper Sec. 4.2; sizes from
    the UR-DMU release, `model.py`: `WSAD(input_size, a_nums=60, n_nums=60)` and `Transformer(512, 2, 4, 128, 512)`).

    Args:
        feature_size (`int`, *optional*, defaults to 1024):
            Width of a class token. Within [`HolmesVAUConfig`] it follows the vision tower.
        hidden_size (`int`, *optional*, defaults to 512):
            Width of the snippet embedding and of the transformer.
        num_hidden_layers (`int`, *optional*, defaults to 2):
            Transformer layers.
        num_attention_heads (`int`, *optional*, defaults to 4):
            Attention heads a layer.
        head_dim (`int`, *optional*, defaults to 128):
            Width of one head.
        intermediate_size (`int`, *optional*, defaults to 512):
            Width of the feed-forward layer.
        memory_size (`int`, *optional*, defaults to 60):
            Prototypes in each of the normal and the abnormal memory bank.
        classifier_hidden_size (`int`, *optional*, defaults to 128):
            Width of the hidden layer of the score head.
        distance_scale (`float`, *optional*, defaults to e):
            Snippets `i` and `j` attend to each other with weight exp(-|i - j| / distance_scale) before normalisation.
        dropout (`float`, *optional*, defaults to 0.5):
            Dropout in training, after the attention projection and in the feed-forward layer.
        layer_norm_eps (`float`, *optional*, defaults to 1e-5):
            Epsilon of the layer norms.
    """

    model_type = "holmes_vau_scorer"
    base_config_key = "scorer_config"

    feature_size: int = 1024
    hidden_size: int = 512
    num_hidden_layers: int = 2
    num_attention_heads: int = 4
    head_dim: int = 128
    intermediate_size: int = 512
    memory_size: int = 60
    classifier_hidden_size: int = 128
    distance_scale: float | int = math.e
    dropout: float | int = 0.5
    layer_norm_eps: float = 1e-5


@strict
class HolmesVAUConfig(InternVLConfig):
    """
    Configuration of [`HolmesVAUForConditionalGeneration`]: an InternVL configuration plus the anomaly scorer, the
    frame sampler and the rule that turns scores into events.

    Args:
        vision_config (`dict` or `PreTrainedConfig`, *optional*):
            InternVL's vision transformer by default; with `model_type` "resnet" a small convolutional tower, which
            also needs `hidden_size`, `image_size` and `patch_size` (its stride), the last two as pairs.
        scorer_config (`dict` or `AnomalyScorerConfig`, *optional*):
            Sizes of the anomaly scorer. `feature_size` defaults to the width of the vision tower.
        sampler (`str`, *optional*, defaults to `"ats"`):
            How the N frames are chosen: `"ats"` (the original rule), `"ats_norm"` (ours, for long videos),
            `"uniform"`, `"top_k"` or `"nearest"`.
        sampler_tau (`float`, *optional*, defaults to 0.1):
            Floor added to every score, tau of Eq. 2 (paper Sec. 5.1); by `"ats_norm"` the share of the frames that
            background has.
        encode_batch_size (`int`, *optional*, defaults to 16):
            Dense frames that go through the vision tower at once (original `holmesvau_utils.py`).
        max_cached_frames (`int`, *optional*, defaults to 256):
            Dense frames whose patch tokens are kept while a video is encoded (256 frames of InternVL2-2B in bfloat16
            are 512 MiB). In a longer video only class tokens stay, and the N chosen frames are encoded again.
        event_threshold (`float`, *optional*, defaults to 0.5):
            An event needs a score of at least this (our choice, as are the next two: the paper reports no events).
        event_low_threshold (`float`, *optional*, defaults to 0.3):
            An event lasts as long as scores stay at or above this (hysteresis).
        event_min_length_s (`float`, *optional*, defaults to 1.0):
            Shorter events are dropped, in seconds.
        familiarity_rank (`int`, *optional*, defaults to 0):
            Directions in which the checkpoint keeps how its training videos looked, see [`Familiarity`]; 0: not at
            all, so that nothing is said of videos that look otherwise.
        warning (`str`, *optional*):
            What every analysis made with this checkpoint must say: set where a part of it is untrained, or has learned
            from synthetic videos alone. Training hands on what is left of it.
        scorer_sources (`list[str]`, *optional*):
            The sources of the videos that the anomaly scorer was trained and validated on, as `["ucf-crime"]`; `None`
            where that is not known.

    Example:

    ```python
    >>> config = HolmesVAUConfig(sampler="uniform")
    >>> config.sampler_tau, config.sampler, config.scorer_config.feature_size == config.vision_config.hidden_size
    (0.1, 'uniform', True)

    ```
    """

    model_type = "holmes_vau"

    scorer_config: dict | PreTrainedConfig | None = None
    sampler: str = "ats"
    sampler_tau: float | int = 0.1
    encode_batch_size: int = 16
    max_cached_frames: int = 256
    event_threshold: float | int = 0.5
    event_low_threshold: float | int = 0.3
    event_min_length_s: float | int = 1.0
    familiarity_rank: int = 0
    warning: str | None = None
    scorer_sources: list[str] | None = None

    def __post_init__(self, **kwargs):
        # Checkpoints saved before 0.2 tell here too what their processor tells.
        for name in ("num_frames", "frame_stride"):
            kwargs.pop(name, None)
        if isinstance(self.vision_config, dict) and self.vision_config.get("model_type") == "resnet":
            self.vision_config = ResNetConfig(**self.vision_config)
        super().__post_init__(**kwargs)
        if self.scorer_config is None:
            self.scorer_config = {}
        if isinstance(self.scorer_config, dict):
            width = self.vision_config.hidden_size
            self.scorer_config = AnomalyScorerConfig(**{"feature_size": width, **self.scorer_config})

    def validate_sampler(self):
        check_sampler(self.sampler)

    def validate_positive_numbers(self):
        if self.encode_batch_size < 1:
            raise ValueError(f"`encode_batch_size` must be at least 1, got {self.encode_batch_size}.")
        for name in ("sampler_tau", "max_cached_frames", "event_min_length_s", "familiarity_rank"):
            if getattr(self, name) < 0:
                raise ValueError(f"`{name}` must not be negative, got {getattr(self, name)}.")

    def validate_event_thresholds(self):
        if not 0 <= self.event_low_threshold <= self.event_threshold <= 1:
            raise ValueError(
                "Event thresholds must satisfy 0 <= `event_low_threshold` <= `event_threshold` <= 1, got "
                f"{self.event_low_threshold} and {self.event_threshold}."
            )

    def validate_vision_features(self):
        if self.vision_feature_layer != -1 or self.vision_feature_select_strategy != "default":
            raise ValueError(
                "Holmes-VAU scores and projects the last layer of the vision tower: `vision_feature_layer` must be -1 "
                f"and `vision_feature_select_strategy` 'default', got {self.vision_feature_layer!r} and "
                f"{self.vision_feature_select_strategy!r}."
            )


HolmesVAUConfig.register_for_auto_class()
