"""Stage 2, what learns: the language model by LoRA, or all of it; how it is loaded, and what stays frozen."""

import importlib.util
import os
from functools import wraps

import torch
from peft import LoraConfig
from transformers import BitsAndBytesConfig
from transformers.modeling_outputs import BaseModelOutputWithPooling

from modeling_holmes_vau.checkpoint.build import config_from_native, processor_from_native
from modeling_holmes_vau.checkpoint.folder import NATIVE, OURS
from modeling_holmes_vau.checkpoint.load import load_checkpoint, load_native, open_folder
from training.options import SFTArguments
from training.sft_arguments import SFTTrainingArguments


PROJECTIONS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
# The vision tower has projections of the same names: only those of the language model are adapted.
LORA_TARGETS = rf"(?:.*\.)?language_model\..*\.(?:{'|'.join(PROJECTIONS)})"
EMBEDDINGS = ["embed_tokens", "lm_head"]
NOT_QUANTIZED = ["vision_tower", "multi_modal_projector", "anomaly_scorer", "lm_head"]


def load_model(args: SFTArguments, training_args: SFTTrainingArguments):
    """The model, frozen or not, and its processor, which carries the number of frames."""
    name = os.path.abspath(args.model) if os.path.isdir(args.model) else args.model
    options = {}
    if args.load_in_4bit:
        options |= {"quantization_config": four_bits(), "dtype": torch.bfloat16}
        options["device_map"] = {"": training_args.device}
    with training_args.main_process_first(desc="the files of the checkpoint"):
        if open_folder(name, OURS, NATIVE, weights=False)[1] == OURS:
            model, processor = load_checkpoint(name, **options)
        else:
            model, tokenizer = load_native(name, **options)
            processor = processor_from_native(tokenizer, config_from_native(model.config))
    if args.num_frames is not None:
        processor.num_frames = args.num_frames
    if not args.load_in_4bit:
        model.to(training_args.device)
    return model, processor


def lora_config(
    r: int = 64, alpha: int | None = None, dropout: float = 0.05, train_embeddings: bool = False
) -> LoraConfig:
    """LoRA on the seven projections of each layer of the language model.

    Args:
        r (`int`, *optional*, defaults to 64): Rank.
        alpha (`int`, *optional*, defaults to `2 * r`): Scale (InternVL's `wrap_llm_lora` takes twice the rank).
        dropout (`float`, *optional*, defaults to 0.05): In front of the adapters.
        train_embeddings (`bool`, *optional*, defaults to `False`): Let copies of the token embeddings and of the
            output layer learn in full.
    """
    return LoraConfig(
        r=r,
        lora_alpha=2 * r if alpha is None else alpha,
        lora_dropout=dropout,
        target_modules=LORA_TARGETS,
        modules_to_save=EMBEDDINGS if train_embeddings else None,
        task_type="CAUSAL_LM",
    )


def four_bits() -> BitsAndBytesConfig:
    """QLoRA: the language model in 4-bit normal floats, computing in bfloat16.

    Raises:
        `ImportError`: without bitsandbytes.
    """
    if importlib.util.find_spec("bitsandbytes") is None:
        raise ImportError("--load-in-4bit needs bitsandbytes: pip install bitsandbytes (and a GPU it supports)")
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16,
        llm_int8_skip_modules=NOT_QUANTIZED,
    )


def unfreeze(model, train_vision: bool = False) -> None:
    """Full-parameter training: language model and projector learn, the scorer does not, the vision tower if asked."""
    model.requires_grad_(False)
    for module in (model.model.language_model, model.model.multi_modal_projector, model.lm_head):
        module.requires_grad_(True)
    model.model.vision_tower.requires_grad_(train_vision)


def freeze_tower(model) -> None:
    """
    Keep the vision tower out of the gradient graph, and let it pass its own stored outputs through.

    PEFT with gradient checkpointing makes the outputs of all embeddings require gradients, those of the frozen vision
    tower included, and would go back through all of it for nothing. `pixel_values` of three dimensions are features
    `(frames, 1 + patches, vision_hidden_size)` that the tower gave before.
    """
    tower = model.model.vision_tower
    encode = tower.forward

    @wraps(encode)
    def forward(pixel_values, *args, **kwargs):
        if pixel_values.ndim == 3:
            return BaseModelOutputWithPooling(last_hidden_state=pixel_values)
        with torch.no_grad():
            return encode(pixel_values, *args, **kwargs)

    tower.forward = forward
