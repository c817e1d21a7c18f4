"""Tiny random checkpoints whose answers differ from question to question: Holmes-VAU and two rivals of it."""

from pathlib import Path

import torch
from transformers import LlavaConfig, LlavaForConditionalGeneration, Qwen2VLConfig, Qwen2VLForConditionalGeneration
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
    "{%- if block['type'] == 'image' -%}{{- 'PICTURE' -}}{%- else -%}{{- block['text'] -}}{%- endif -%}"
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


def _save(model, tokenizer, picture: str, folder: Path) -> Path:
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    (folder / "chat_template.jinja").write_text(CHAT_TEMPLATE.replace("PICTURE", picture))
    return folder


def write_qwen2_vl(folder: Path) -> Path:
    """Qwen2-VL: its processor has a part for videos, which needs torchvision."""
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
    picture = "".join((QWEN_TOKENS[0], QWEN_TOKENS[2], QWEN_TOKENS[1]))
    return _save(Qwen2VLForConditionalGeneration(config), tokenizer, picture, folder)


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
