"""A checkpoint folder beside its weights: processor, generation settings, card."""

from pathlib import Path

from transformers import GenerationConfig
from transformers.utils import is_torchvision_available

from ..configuration_holmes_vau import HolmesVAUConfig
from ..frame_rule_holmes_vau import DENSE_STRIDE
from ..modeling_holmes_vau import IMAGE_MEAN, IMAGE_STD
from ..processing_holmes_vau import CHAT_TEMPLATE, HolmesVAUProcessor


if is_torchvision_available():
    from transformers import GotOcr2ImageProcessor
else:
    from transformers import GotOcr2ImageProcessorPil as GotOcr2ImageProcessor

UNTRAINED_SCORER_WARNING = "untrained anomaly scorer: scores, events and the choice of frames mean nothing"
UNTRAINED_LANGUAGE_WARNING = "untrained language model: answers mean nothing"
UNTRAINED_BUT_VISION_WARNING = "untrained anomaly scorer and language model: scores, events and answers mean nothing"
SYNTHETIC_SCORER_WARNING = (
    "anomaly scorer trained on synthetic videos alone: scores, events and the choice of frames mean nothing about "
    "real video"
)
SYNTHETIC_LANGUAGE_WARNING = "language model trained on synthetic videos alone: answers mean nothing about real video"
SYNTHETIC_WARNING = "trained on synthetic videos alone: scores, events and answers mean nothing about real video"

UNTRAINED, SYNTHETIC, TRAINED = "untrained", "synthetic", "trained"
# The warning of a checkpoint by what its scorer and its language model have learned from. Saved checkpoints hold these
# texts, and are known by them: one that is reworded must stay readable.
WARNINGS = {
    (UNTRAINED, UNTRAINED): UNTRAINED_BUT_VISION_WARNING,
    (UNTRAINED, SYNTHETIC): f"{UNTRAINED_SCORER_WARNING} | {SYNTHETIC_LANGUAGE_WARNING}",
    (UNTRAINED, TRAINED): UNTRAINED_SCORER_WARNING,
    (SYNTHETIC, UNTRAINED): f"{SYNTHETIC_SCORER_WARNING} | {UNTRAINED_LANGUAGE_WARNING}",
    (SYNTHETIC, SYNTHETIC): SYNTHETIC_WARNING,
    (SYNTHETIC, TRAINED): SYNTHETIC_SCORER_WARNING,
    (TRAINED, UNTRAINED): UNTRAINED_LANGUAGE_WARNING,
    (TRAINED, SYNTHETIC): SYNTHETIC_LANGUAGE_WARNING,
    (TRAINED, TRAINED): None,
}
# Longest answer of the original notebook's generation settings.
MAX_NEW_TOKENS = 1024


def build_processor(
    tokenizer,
    config: HolmesVAUConfig,
    chat_template: str = CHAT_TEMPLATE,
    num_frames: int = 16,
    frame_stride: int = DENSE_STRIDE,
    **tokens,
) -> HolmesVAUProcessor:
    """The processor that belongs to `config`, with InternVL's image processor for still images; it owns the number of
    frames that the language model sees (16 in paper Sec. 5.3) and the distance between scored frames."""
    size = config.vision_config.image_size[0]
    image_processor = GotOcr2ImageProcessor(
        size={"height": size, "width": size},
        image_mean=list(IMAGE_MEAN),
        image_std=list(IMAGE_STD),
        crop_to_patches=False,
        max_patches=12,
        min_patches=1,
    )
    return HolmesVAUProcessor(
        image_processor,
        tokenizer,
        chat_template=chat_template,
        image_size=size,
        image_seq_length=config.image_seq_length,
        num_frames=num_frames,
        frame_stride=frame_stride,
        **tokens,
    )


def generation_config_for(tokenizer) -> GenerationConfig:
    """Greedy answers that end with the turn, as the original generates."""
    end = tokenizer.convert_tokens_to_ids("<|im_end|>")
    pad = tokenizer.eos_token_id if tokenizer.pad_token_id is None else tokenizer.pad_token_id
    return GenerationConfig(
        do_sample=False,
        max_new_tokens=MAX_NEW_TOKENS,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=end,
        pad_token_id=pad,
    )


def warning_after_scorer(warning: str | None, on_synthetic: bool, from_scratch: bool = True) -> str | None:
    """
    What is left of a checkpoint's warning when its scorer has been trained.

    Args:
        warning (`str`, *optional*): The warning before; a text that is none of `WARNINGS` stays.
        on_synthetic (`bool`): Whether it was trained on synthetic videos alone.
        from_scratch (`bool`, *optional*, defaults to `True`): Whether what it knew before was dropped.
    """
    return _narrow(warning, 0, on_synthetic, from_scratch)


def warning_after_language(warning: str | None, on_synthetic: bool) -> str | None:
    """What is left of a checkpoint's warning when its language model has been trained further; see
    [`warning_after_scorer`]."""
    return _narrow(warning, 1, on_synthetic, from_scratch=False)


def _narrow(warning: str | None, part: int, on_synthetic: bool, from_scratch: bool) -> str | None:
    learned_from = next((key for key, text in WARNINGS.items() if text == warning), None)
    if learned_from is None:
        return warning
    # Synthetic videos add nothing about real ones, and take nothing away from what was learned before.
    before = UNTRAINED if from_scratch else learned_from[part]
    after = TRAINED if not on_synthetic else SYNTHETIC if before == UNTRAINED else before
    return WARNINGS[(after, learned_from[1]) if part == 0 else (learned_from[0], after)]


def write_model_card(folder: Path, source: str, num_frames: int, scorer: str, warning: str | None = None) -> None:
    """README.md of a checkpoint folder: what it is, where it comes from, what its warning is, how to load it."""
    warned = f"\n**Warning**: {warning}.\n" if warning else ""
    text = f"""---
library_name: transformers
pipeline_tag: video-text-to-text
tags:
- video-anomaly-understanding
- holmes-vau
---
# Holmes-VAU checkpoint

Language model and vision tower: {source}. Anomaly scorer: {scorer}. The language model sees {num_frames} frames.
{warned}
```python
from transformers import AutoModel, AutoProcessor, pipeline

repo = "path/to/this/folder"
model = AutoModel.from_pretrained(repo, trust_remote_code=True)
processor = AutoProcessor.from_pretrained(repo, trust_remote_code=True)
inputs = processor(videos="street.mp4", text="What happens here?", return_tensors="pt")
output_ids = model.generate(**inputs, max_new_tokens=256)

analysis = pipeline("video-anomaly-understanding", model=repo, trust_remote_code=True)("street.mp4")
```

Method: Holmes-VAU: Towards Long-term Video Anomaly Understanding at Any Granularity (CVPR 2025). The licence is that
of the weights named above.
"""
    (folder / "README.md").write_text(text, encoding="utf-8")


def config_from_native(config, **changes) -> HolmesVAUConfig:
    """The configuration of a native InternVL checkpoint as one of ours."""
    skipped = {"model_type", "architectures", "auto_map", "transformers_version", "_name_or_path"}
    kept = {name: value for name, value in config.to_dict().items() if name not in skipped}
    return HolmesVAUConfig(**kept, **changes)


def processor_from_native(tokenizer, config: HolmesVAUConfig, num_frames: int = 16) -> HolmesVAUProcessor:
    """A processor of videos with the tokenizer of a native InternVL checkpoint, its template and its visual tokens."""
    template = tokenizer.chat_template or CHAT_TEMPLATE
    return build_processor(tokenizer, config, template, num_frames, **visual_tokens(tokenizer))


def visual_tokens(tokenizer) -> dict[str, str]:
    """Names of the visual tokens in a native InternVL tokenizer, checked to exist."""
    extra = tokenizer.init_kwargs.get("extra_special_tokens") or {}
    extra = extra if isinstance(extra, dict) else {}
    tokens = {
        "image_token": extra.get("context_image_token", "<IMG_CONTEXT>"),
        "image_start": extra.get("start_image_token", "<img>"),
        "image_end": extra.get("end_image_token", "</img>"),
        "video_token": extra.get("video_token", "<video>"),
    }
    vocab = tokenizer.get_vocab()
    missing = [token for name, token in tokens.items() if name != "video_token" and token not in vocab]
    if missing:
        raise ValueError(f"The tokenizer has no {', '.join(missing)}: expected that of an InternVL checkpoint.")
    return tokens
