"""Tiny random checkpoints whose answers differ from question to question: Holmes-VAU and rivals of it."""

import json
from pathlib import Path

import torch
from transformers import (
    AutoConfig,
    AutoModelForImageTextToText,
    LlavaConfig,
    LlavaForConditionalGeneration,
    Qwen2VLConfig,
    Qwen2VLForConditionalGeneration,
)
from transformers.utils import is_torchvision_available

from modeling_holmes_vau import HolmesVAUForConditionalGeneration
from modeling_holmes_vau.checkpoint.build import build_processor, generation_config_for
from modeling_holmes_vau.checkpoint.small import build_small_tokenizer, small_config


if is_torchvision_available():
    from transformers import CLIPImageProcessor, Qwen2VLImageProcessor
else:
    from transformers import CLIPImageProcessorPil as CLIPImageProcessor
    from transformers import Qwen2VLImageProcessorPil as Qwen2VLImageProcessor

QWEN_TOKENS = ("<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>")
CHAT_TEMPLATE = (
    "{%- for message in messages -%}{{- '<|im_start|>' + message['role'] + '\n' -}}"
    "{%- for block in message['content'] -%}"
    "{%- if block['type'] == 'image' -%}{{- 'PICTURE' -}}{%- elif block['type'] == 'video' -%}{{- 'VIDEO' -}}"
    "{%- else -%}{{- block['text'] -}}{%- endif -%}"
    "{%- endfor -%}{{- '<|im_end|>\n' -}}{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\n' -}}{%- endif -%}"
)


def write_holmes_vau(folder: Path) -> Path:
    """Random weights, larger than usual: small ones say nearly the same to everything."""
    tokenizer = build_small_tokenizer()
    config = small_config(tokenizer, image_size=28, width=32)
    torch.manual_seed(0)
    model = HolmesVAUForConditionalGeneration(config)
    model.generation_config = generation_config_for(tokenizer)
    with torch.no_grad():
        for weight in (*model.model.language_model.parameters(), *model.model.multi_modal_projector.parameters()):
            if weight.ndim == 2:
                weight.mul_(10)
    model.save_pretrained(folder)
    build_processor(tokenizer, config).save_pretrained(folder)
    return folder


def _tokenizer(*tokens: str):
    tokenizer = build_small_tokenizer()
    tokenizer.add_tokens(list(tokens), special_tokens=True)
    return tokenizer


def _text(tokenizer, **settings) -> dict:
    """A language model whose random answers differ from question to question."""
    return {
        "vocab_size": len(tokenizer),
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "intermediate_size": 64,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.convert_tokens_to_ids("<|im_end|>"),
        "pad_token_id": tokenizer.pad_token_id,
        "initializer_range": 0.2,
        **settings,
    }


def _save(model, tokenizer, picture: str, folder: Path, video: str = "") -> Path:
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    (folder / "chat_template.jinja").write_text(CHAT_TEMPLATE.replace("PICTURE", picture).replace("VIDEO", video))
    return folder


def write_qwen2_vl(folder: Path) -> Path:
    """Qwen2-VL: patches of two frames, and a file of settings for pictures and videos alike."""
    tokenizer = _tokenizer(*QWEN_TOKENS)
    start, end, image, video = tokenizer.convert_tokens_to_ids(list(QWEN_TOKENS))
    rope = {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [1, 1, 2]}
    config = Qwen2VLConfig(
        text_config=_text(tokenizer, rope_parameters=rope),
        vision_config={"depth": 2, "embed_dim": 32, "hidden_size": 32, "num_heads": 4, "mlp_ratio": 2},
        image_token_id=image,
        video_token_id=video,
        vision_start_token_id=start,
        vision_end_token_id=end,
        initializer_range=0.2,
    )
    torch.manual_seed(0)
    Qwen2VLImageProcessor(size={"shortest_edge": 28 * 28, "longest_edge": 56 * 56}).save_pretrained(folder)
    picture, video = (f"{QWEN_TOKENS[0]}{word}{QWEN_TOKENS[1]}" for word in QWEN_TOKENS[2:])
    return _save(Qwen2VLForConditionalGeneration(config), tokenizer, picture, folder, video)


def write_llava(folder: Path) -> Path:
    """LLaVA: the form many have, loaded by the Auto classes without torchvision."""
    tokenizer = _tokenizer("<image>")
    config = LlavaConfig(
        text_config={"model_type": "llama", **_text(tokenizer)},
        vision_config={
            "model_type": "clip_vision_model",
            "hidden_size": 32,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "intermediate_size": 64,
            "image_size": 28,
            "patch_size": 14,
            "projection_dim": 32,
        },
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        initializer_range=0.2,
    )
    torch.manual_seed(0)
    side = {"height": 28, "width": 28}
    pictures = CLIPImageProcessor(size=side, crop_size=side)
    from transformers import LlavaProcessor

    LlavaProcessor(
        pictures, tokenizer, patch_size=14, vision_feature_select_strategy="default", num_additional_image_tokens=1
    ).save_pretrained(folder)
    return _save(LlavaForConditionalGeneration(config), tokenizer, "<image>", folder)


# ---- video models ---------------------------------------------------------------------------------------------------

SIDE = 56  # of a frame: 4 x 4 patches
SQUARE = {"height": SIDE, "width": SIDE}
VISION = {"num_hidden_layers": 2, "num_attention_heads": 4, "hidden_size": 32, "intermediate_size": 64}
VISION |= {"image_size": SIDE, "patch_size": 14}
CROPPED = {"size": {"shortest_edge": SIDE}, "crop_size": SQUARE}
TILES = {"image_grid_pinpoints": [[SIDE, 2 * SIDE], [2 * SIDE, SIDE], [2 * SIDE, 2 * SIDE]]}
INTERNVL_WORDS = {
    "start_image_token": "<img>",
    "end_image_token": "</img>",
    "context_image_token": "<IMG_CONTEXT>",
    "video_token": "<video>",
}


def _write_video_model(folder: Path, kind: str, pictures: dict, videos: dict, processor: dict, **config) -> Path:
    """A checkpoint whose processors are settings in files, as on the Hub."""
    internvl = kind == "internvl"
    tokenizer = _tokenizer("<video>") if internvl else _tokenizer("<image>", "<video>")
    picture = "<IMG_CONTEXT>" if internvl else "<image>"
    image_id, video_id = tokenizer.convert_tokens_to_ids([picture, "<video>"])
    ids = {"image_token_id": image_id} if internvl else {"image_token_index": image_id, "video_token_index": video_id}
    config = AutoConfig.for_model(kind, **ids, **config)
    config.text_config.initializer_range = 0.2
    torch.manual_seed(1)
    model = AutoModelForImageTextToText.from_config(config)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.ndim == 2 and "projector" in name:
                weight.mul_(3)
    _save(model, tokenizer, picture, folder, "<video>")
    if internvl:
        path = folder / "tokenizer_config.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), "extra_special_tokens": INTERNVL_WORDS}))
    for file, settings in (
        ("preprocessor_config", pictures),
        ("video_preprocessor_config", videos),
        ("processor_config", processor),
    ):
        (folder / f"{file}.json").write_text(json.dumps(settings))
    return folder


def _llama() -> dict:
    return {"model_type": "llama", **_text(_tokenizer("<image>", "<video>"))}


def write_llava_next_video(folder: Path) -> Path:
    """LLaVA-NeXT-Video: a picture is cut into tiles, a frame of a video is 2 x 2 pooled patches."""
    return _write_video_model(
        folder,
        "llava_next_video",
        {"image_processor_type": "LlavaNextImageProcessor", **CROPPED, **TILES},
        {"video_processor_type": "LlavaNextVideoVideoProcessor", **CROPPED},
        {
            "processor_class": "LlavaNextVideoProcessor",
            "patch_size": 14,
            "vision_feature_select_strategy": "default",
            "num_additional_image_tokens": 1,
        },
        text_config=_llama(),
        vision_config={"model_type": "clip_vision_model", "projection_dim": 32, **VISION},
        image_seq_length=16,
        video_seq_length=4,
        **TILES,
    )


def write_video_llava(folder: Path) -> Path:
    """Video-LLaVA: the 4 x 4 patches and the class token of each frame."""
    return _write_video_model(
        folder,
        "video_llava",
        {"image_processor_type": "VideoLlavaImageProcessor", **CROPPED},
        {"video_processor_type": "VideoLlavaVideoProcessor", **CROPPED},
        {
            "processor_class": "VideoLlavaProcessor",
            "patch_size": 14,
            "vision_feature_select_strategy": "default",
            "num_additional_image_tokens": 1,
        },
        text_config=_llama(),
        vision_config={"model_type": "clip_vision_model", "projection_dim": 32, **VISION},
        image_seq_length=16,
    )


def write_llava_onevision(folder: Path) -> Path:
    """LLaVA-OneVision: 2 x 2 pooled patches a frame, and one token at the end."""
    return _write_video_model(
        folder,
        "llava_onevision",
        {"image_processor_type": "LlavaOnevisionImageProcessor", "size": SQUARE, **TILES},
        {"video_processor_type": "LlavaOnevisionVideoProcessor", "size": SQUARE},
        {
            "processor_class": "LlavaOnevisionProcessor",
            "num_image_tokens": 16,
            "vision_feature_select_strategy": "full",
        },
        text_config={"model_type": "qwen2", **_text(_tokenizer("<image>", "<video>"))},
        vision_config={"model_type": "siglip_vision_model", "vision_use_head": False, **VISION},
        **TILES,
    )


def write_internvl(folder: Path) -> Path:
    """InternVL in transformers' own format: 2 x 2 tokens a frame between words of its own."""
    return _write_video_model(
        folder,
        "internvl",
        {"image_processor_type": "GotOcr2ImageProcessor", "size": SQUARE, "crop_to_patches": True, "max_patches": 6},
        {"video_processor_type": "InternVLVideoProcessor", "size": SQUARE},
        {"processor_class": "InternVLProcessor", "image_seq_length": 4},
        text_config={"model_type": "qwen2", **_text(_tokenizer("<video>"))},
        vision_config={"model_type": "internvl_vision", **VISION},
        image_seq_length=4,
    )


def write_qwen2_5_vl(folder: Path) -> Path:
    """Qwen2.5-VL: as Qwen2-VL, and it is told the seconds between frames."""
    tokenizer = _tokenizer(*QWEN_TOKENS)
    start, end, image, video = tokenizer.convert_tokens_to_ids(list(QWEN_TOKENS))
    rope = {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [1, 1, 2]}
    config = AutoConfig.for_model(
        "qwen2_5_vl",
        text_config=_text(tokenizer, rope_parameters=rope),
        vision_config={
            "depth": 2,
            "hidden_size": 32,
            "out_hidden_size": 32,
            "num_heads": 4,
            "intermediate_size": 64,
            "window_size": 56,
            "fullatt_block_indexes": [1],
        },
        image_token_id=image,
        video_token_id=video,
        vision_start_token_id=start,
        vision_end_token_id=end,
        initializer_range=0.2,
    )
    torch.manual_seed(0)
    Qwen2VLImageProcessor(size={"shortest_edge": 28 * 28, "longest_edge": 56 * 56}).save_pretrained(folder)
    picture, video = (f"{QWEN_TOKENS[0]}{word}{QWEN_TOKENS[1]}" for word in QWEN_TOKENS[2:])
    return _save(AutoModelForImageTextToText.from_config(config), tokenizer, picture, folder, video)


def write_smolvlm(folder: Path) -> Path:
    """SmolVLM: its processor tells the time of each frame in words, by the package num2words."""
    words = ("<image>", "<video>", "<fake_token_around_image>", "<global-img>", "<end_of_utterance>")
    tokenizer = _tokenizer(*words)
    config = AutoConfig.for_model(
        "smolvlm",
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        scale_factor=2,
        text_config={"model_type": "llama", **_text(tokenizer)},
        vision_config={"model_type": "smolvlm_vision", **VISION},
    )
    torch.manual_seed(0)
    _save(AutoModelForImageTextToText.from_config(config), tokenizer, "<image>", folder, "<video>")
    pictures = {"image_processor_type": "SmolVLMImageProcessor", "do_image_splitting": True}
    pictures |= {"max_image_size": {"longest_edge": SIDE}, "size": {"longest_edge": 2 * SIDE}}
    pictures["video_sampling"] = {"fps": 1, "max_frames": 64, "video_size": {"longest_edge": SIDE}}
    (folder / "preprocessor_config.json").write_text(json.dumps(pictures))
    settings = {"processor_class": "SmolVLMProcessor", "image_seq_len": 4}
    (folder / "processor_config.json").write_text(json.dumps(settings))
    return folder
