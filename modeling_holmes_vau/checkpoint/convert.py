"""Original Holmes-VAU weights (InternVL2 format and `anomaly_scorer.pth`) -> one folder that the Auto classes load.

Weights stream shard by shard; the plan of all keys and shapes is checked before anything is written.
"""

import json
import os
import re
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import AutoConfig, InternVLVisionConfig, LlamaConfig
from transformers.dynamic_module_utils import custom_object_save

from ..base.files import check_new_folder, whole_folder
from ..base.progress import Progress
from ..configuration_holmes_vau import HolmesVAUConfig
from ..modeling_holmes_vau import HolmesVAUForConditionalGeneration, set_auto_map
from ..processing_holmes_vau import HolmesVAUProcessor
from ..scorer_holmes_vau import AnomalyScorer
from .build import (
    UNTRAINED_SCORER_WARNING,
    build_processor,
    generation_config_for,
    write_model_card,
)
from .folder import ORIGINAL, part_of, read_object, told_in_a_line
from .hub import fetch_file
from .load import check_vocabulary, open_folder
from .tokenizer import convert_tokenizer
from .weights import check_type, open_weights, weight_files


# Frames the released HolmesVAU-2B was trained with (original `holmesvau_utils.py`, `select_frames=12`).
ORIGINAL_NUM_FRAMES = 12
# Chat templates of InternVL2 that share the layout of `CHAT_TEMPLATE` (original `conversation.py`).
TEMPLATES = ("internlm2-chat", "Hermes-2")
# Output shards stay below this many bytes, which also bounds the memory of a conversion.
SHARD_BYTES = 1_000_000_000

# Original name -> ours, one regular expression each. The qkv matrices are split after renaming.
VISION_KEYS = [
    (r"^vision_model\.embeddings\.class_embedding$", "model.vision_tower.embeddings.cls_token"),
    (r"^vision_model\.embeddings\.position_embedding$", "model.vision_tower.embeddings.position_embeddings"),
    (r"^vision_model\.embeddings\.patch_embedding\.", "model.vision_tower.embeddings.patch_embeddings.projection."),
    (r"^vision_model\.encoder\.layers\.(\d+)\.ls([12])$", r"model.vision_tower.encoder.layer.\1.lambda_\2"),
    (r"^vision_model\.encoder\.layers\.(\d+)\.norm1\.", r"model.vision_tower.encoder.layer.\1.layernorm_before."),
    (r"^vision_model\.encoder\.layers\.(\d+)\.norm2\.", r"model.vision_tower.encoder.layer.\1.layernorm_after."),
    (r"^vision_model\.encoder\.layers\.(\d+)\.mlp\.", r"model.vision_tower.encoder.layer.\1.mlp."),
    (
        r"^vision_model\.encoder\.layers\.(\d+)\.attn\.proj\.",
        r"model.vision_tower.encoder.layer.\1.attention.projection_layer.",
    ),
    (
        r"^vision_model\.encoder\.layers\.(\d+)\.attn\.(q_norm|k_norm|qkv)\.",
        r"model.vision_tower.encoder.layer.\1.attention.\2.",
    ),
    (r"^mlp1\.0\.", "model.multi_modal_projector.layer_norm."),
    (r"^mlp1\.1\.", "model.multi_modal_projector.linear_1."),
    (r"^mlp1\.3\.", "model.multi_modal_projector.linear_2."),
]
INTERNLM2_KEYS = [
    (r"^language_model\.output\.", "lm_head."),
    (r"^language_model\.model\.tok_embeddings\.", "model.language_model.embed_tokens."),
    (r"^language_model\.model\.norm\.", "model.language_model.norm."),
    (
        r"^language_model\.model\.layers\.(\d+)\.attention\.wqkv\.",
        r"model.language_model.layers.\1.self_attn.wqkv.",
    ),
    (r"^language_model\.model\.layers\.(\d+)\.attention\.wo\.", r"model.language_model.layers.\1.self_attn.o_proj."),
    (r"^language_model\.model\.layers\.(\d+)\.feed_forward\.w1\.", r"model.language_model.layers.\1.mlp.gate_proj."),
    (r"^language_model\.model\.layers\.(\d+)\.feed_forward\.w2\.", r"model.language_model.layers.\1.mlp.down_proj."),
    (r"^language_model\.model\.layers\.(\d+)\.feed_forward\.w3\.", r"model.language_model.layers.\1.mlp.up_proj."),
    (r"^language_model\.model\.layers\.(\d+)\.attention_norm\.", r"model.language_model.layers.\1.input_layernorm."),
    (
        r"^language_model\.model\.layers\.(\d+)\.ffn_norm\.",
        r"model.language_model.layers.\1.post_attention_layernorm.",
    ),
]
QWEN2_KEYS = [
    (r"^language_model\.lm_head\.", "lm_head."),
    (r"^language_model\.model\.", "model.language_model."),
]
SCORER_KEYS = [
    (r"^embedding\.conv_1\.0\.", "anomaly_scorer.embedding."),
    (r"^self_attn\.layers\.(\d+)\.0\.norm\.", r"anomaly_scorer.layers.\1.attention_norm."),
    (r"^self_attn\.layers\.(\d+)\.0\.fn\.to_qkv\.", r"anomaly_scorer.layers.\1.attention.qkvt."),
    (r"^self_attn\.layers\.(\d+)\.0\.fn\.to_out\.0\.", r"anomaly_scorer.layers.\1.attention.out_proj."),
    (r"^self_attn\.layers\.(\d+)\.1\.norm\.", r"anomaly_scorer.layers.\1.mlp_norm."),
    (r"^self_attn\.layers\.(\d+)\.1\.fn\.net\.0\.", r"anomaly_scorer.layers.\1.fc1."),
    (r"^self_attn\.layers\.(\d+)\.1\.fn\.net\.3\.", r"anomaly_scorer.layers.\1.fc2."),
    (r"^cls_head\.mlp\.", "anomaly_scorer.classifier."),
    (r"^Amemory\.memory_block$", "anomaly_scorer.abnormal_memory.prototypes"),
    (r"^Nmemory\.memory_block$", "anomaly_scorer.normal_memory.prototypes"),
    (r"^encoder_mu\.0\.", "anomaly_scorer.mean_proj."),
    (r"^encoder_var\.0\.", "anomaly_scorer.variance_proj."),
    (r"^", "anomaly_scorer."),  # a scorer of our own training has our names
]


@dataclass
class Piece:
    """One original tensor and what becomes of it: target names and the split that gives their tensors."""

    file: Path
    key: str
    targets: list[str]
    split: Callable[[torch.Tensor], tuple[torch.Tensor, ...]]
    num_bytes: int


# ---- configuration ------------------------------------------------------------------------------------------------


def convert_text_config(llm_config: dict):
    """`llm_config` of an InternVL2 `config.json` -> the native configuration of the same language model."""
    kind = llm_config.get("model_type")
    if kind == "qwen2":
        skipped = {"model_type", "architectures", "auto_map", "attn_implementation", "_name_or_path"}
        return AutoConfig.for_model("qwen2", **{k: v for k, v in llm_config.items() if k not in skipped})
    if kind != "internlm2":
        raise ValueError(f"`llm_config.model_type` must be 'internlm2' or 'qwen2', got {kind!r}.")
    rope = {"rope_theta": float(llm_config.get("rope_theta", 10_000)), "rope_type": "default"}
    scaling = llm_config.get("rope_scaling")
    if scaling and scaling != {"rope_type": "default"}:
        # Named `rope_type` from transformers 4.43 on; some files have both.
        kind = scaling.get("rope_type", scaling.get("type")) if isinstance(scaling, dict) else None
        if not isinstance(kind, str) or not isinstance(scaling.get("factor"), int | float):
            raise ValueError(
                "`llm_config.rope_scaling` must have a `type` (or `rope_type`) and a number as `factor`, "
                f"got {json.dumps(scaling)}."
            )
        rope |= {"rope_type": kind, "factor": float(scaling["factor"])}
    same = ("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads")
    same += ("num_key_value_heads", "hidden_act", "max_position_embeddings", "rms_norm_eps", "initializer_range")
    same += ("bos_token_id", "eos_token_id", "pad_token_id", "tie_word_embeddings")
    return LlamaConfig(
        **{name: llm_config[name] for name in same if name in llm_config},
        rope_parameters=rope,
        attention_bias=llm_config.get("bias", False),
    )


def convert_vision_config(vision_config: dict) -> InternVLVisionConfig:
    """`vision_config` of an InternVL2 `config.json` -> the native one, without a final norm."""
    same = (
        "hidden_size",
        "num_hidden_layers",
        "num_attention_heads",
        "intermediate_size",
        "hidden_act",
        "num_channels",
    )
    same += ("attention_dropout", "initializer_range", "layer_norm_eps", "image_size", "patch_size")
    return InternVLVisionConfig(
        **{name: vision_config[name] for name in same if name in vision_config},
        attention_bias=vision_config.get("qkv_bias", True),
        use_qk_norm=vision_config.get("qk_normalization", False),
        norm_type=vision_config.get("norm_type", "layer_norm"),
        hidden_dropout_prob=vision_config.get("dropout", 0.0),
        use_mean_pooling=True,
    )


def convert_config(original: dict, image_token_id: int) -> HolmesVAUConfig:
    """
    InternVL2's `config.json` -> [`HolmesVAUConfig`].

    Raises:
        `ValueError`: for a language model other than InternLM2 or Qwen2, or vision features that it does not use.
    """
    missing = [name for name in ("llm_config", "vision_config") if name not in original]
    if missing:
        raise ValueError(f"config.json has no {' and no '.join(missing)}: expected an InternVL2-format checkpoint.")
    if original.get("select_layer", -1) != -1 or original.get("ps_version", "v2") != "v2":
        raise ValueError(
            "Only `select_layer` -1 and `ps_version` 'v2' are supported, got "
            f"{original.get('select_layer')!r} and {original.get('ps_version')!r}."
        )
    if original.get("template", TEMPLATES[0]) not in TEMPLATES:
        raise ValueError(f"The prompt layout is known for templates {TEMPLATES}, got {original['template']!r}.")
    vision = convert_vision_config(original["vision_config"])
    text = convert_text_config(original["llm_config"])
    ratio = original.get("downsample_ratio", 0.5)
    patches = (vision.image_size[0] // vision.patch_size[0]) * (vision.image_size[1] // vision.patch_size[1])
    return HolmesVAUConfig(
        vision_config=vision.to_dict(),
        text_config=text.to_dict(),
        image_token_id=image_token_id,
        image_seq_length=int(patches * ratio**2),
        downsample_ratio=ratio,
        tie_word_embeddings=text.tie_word_embeddings,
    )


# ---- weights ------------------------------------------------------------------------------------------------------


def split_wqkv(weight: torch.Tensor, num_kv_heads: int, head_dim: int) -> tuple[torch.Tensor, ...]:
    """InternLM2's `wqkv`: for each key/value head its query heads, then its key, then its value."""
    groups = weight.unflatten(0, (num_kv_heads, -1, head_dim))  # (kv heads, group + 2, head_dim, ...)
    return groups[:, :-2].flatten(0, 2), groups[:, -2].flatten(0, 1), groups[:, -1].flatten(0, 1)


def rename(key: str, rules: list[tuple[str, str]]) -> str | None:
    """The new name of `key` by the first rule that matches, or `None`."""
    for pattern, replacement in rules:
        renamed, count = re.subn(pattern, replacement, key)
        if count:
            return renamed
    return None


def targets_of(name: str, config: HolmesVAUConfig) -> tuple[list[str], Callable]:
    """Target names of a renamed tensor and the function that splits it."""
    names = [name.replace(".qkv.", f".{part}_proj.").replace(".wqkv.", f".{part}_proj.") for part in "qkv"]
    if ".wqkv." in name:
        text = config.text_config
        head_dim = text.hidden_size // text.num_attention_heads
        return names, lambda tensor: split_wqkv(tensor, text.num_key_value_heads, head_dim)
    if ".attention.qkv." in name:
        return names, lambda tensor: tensor.chunk(3)
    if ".attention.qkvt." in name:
        parts = ("q_proj", "k_proj", "v_proj", "distance_proj")
        return [name.replace(".qkvt.", f".{part}.") for part in parts], lambda tensor: tensor.chunk(4)
    return [name], lambda tensor: (tensor,)


def plan_conversion(files: dict[Path, list[tuple[str, str]]], config: HolmesVAUConfig) -> list[Piece]:
    """
    What becomes of every tensor of every file.

    Args:
        files (`dict[Path, list[tuple[str, str]]]`):
            Weight files with their renaming rules.

    Raises:
        `ValueError`: that lists every original key without a rule, and every missing, repeated or misshapen target.
    """
    with torch.device("meta"):
        expected = {k: tuple(v.shape) for k, v in HolmesVAUForConditionalGeneration(config).state_dict().items()}
    tied = config.tie_word_embeddings
    problems, pieces, seen = [], [], set()
    for path, rules in files.items():
        with open_weights(path) as (keys, read):
            for key in keys:
                name, tensor = rename(key, rules), read(key)
                check_type(path, key, tensor)
                if name is None:
                    problems.append(f"unmapped: {key} {tuple(tensor.shape)}")
                    continue
                if tied and name == "lm_head.weight":
                    continue
                targets, split = targets_of(name, config)
                problems += check_targets(key, tensor, targets, split, expected, seen)
                seen.update(targets)
                pieces.append(Piece(path, key, targets, split, tensor.numel() * tensor.element_size()))
    missing = sorted(expected.keys() - seen - ({"lm_head.weight"} if tied else set()))
    problems += [f"missing: {name} {expected[name]}" for name in missing]
    if problems:
        raise ValueError(
            f"{len(problems)} weight(s) do not fit this configuration:\n  "
            + "\n  ".join(problems)
            + "\nCheck that the "
            "checkpoint is InternVL2-format, the scorer is Holmes-VAU's, and both belong together."
        )
    return pieces


def check_targets(key, tensor, targets, split, expected, seen) -> list[str]:
    """Problems of one original tensor: targets unknown, already written, or of another shape."""
    try:
        parts = split(torch.empty(tensor.shape, device="meta"))
    except RuntimeError:
        return [f"misshapen: {key} {tuple(tensor.shape)} cannot be split into {', '.join(targets)}"]
    problems = []
    for name, part in zip(targets, parts):
        if name not in expected:
            problems.append(f"unmapped: {key} {tuple(tensor.shape)} (the model has no {name})")
        elif name in seen:
            problems.append(f"repeated: {key} (gives {name} again)")
        elif tuple(part.shape) != expected[name]:
            problems.append(f"misshapen: {key} gives {name} {tuple(part.shape)}, expected {expected[name]}")
    return problems


def write_weights(pieces: list[Piece], output: Path, shard_bytes: int) -> None:
    """Write the planned tensors as safetensors shards with an index, holding one shard in memory."""
    shards, size = [[]], 0
    for piece in pieces:
        if shards[-1] and size + piece.num_bytes > shard_bytes:
            shards.append([])
            size = 0
        shards[-1].append(piece)
        size += piece.num_bytes
    weight_map, total = {}, 0
    progress = Progress(total=sum(piece.num_bytes for piece in pieces), unit="B", unit_scale=True, desc="weights")
    for number, shard in enumerate(shards):
        name = "model.safetensors" if len(shards) == 1 else f"model-{number + 1:05d}-of-{len(shards):05d}.safetensors"
        tensors = {}
        # Files are opened anew for each shard: closing them gives their mapped pages back.
        for path in dict.fromkeys(piece.file for piece in shard):
            with open_weights(path) as (_, read):
                for piece in (piece for piece in shard if piece.file == path):
                    tensors |= convert_piece(piece, read(piece.key))
                    progress.update(piece.num_bytes)
        save_file(tensors, output / name, metadata={"format": "pt"})
        weight_map |= dict.fromkeys(tensors, name)
        total += sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())
    progress.close()
    if len(shards) > 1:
        index = {"metadata": {"total_size": total}, "weight_map": dict(sorted(weight_map.items()))}
        (output / "model.safetensors.index.json").write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")


def convert_piece(piece: Piece, tensor: torch.Tensor) -> dict[str, torch.Tensor]:
    """Target tensors of one original tensor, copied out of the mapped file; the scorer's in float32."""
    parts = dict(zip(piece.targets, piece.split(tensor)))
    return {
        name: part.to(torch.float32 if name.startswith("anomaly_scorer.") else part.dtype, copy=True).contiguous()
        for name, part in parts.items()
    }


# ---- folders ------------------------------------------------------------------------------------------------------


def write_code_and_configs(folder: Path, config: HolmesVAUConfig, processor: HolmesVAUProcessor) -> None:
    """Everything of a checkpoint folder but the weights and the card."""
    with torch.device("meta"):
        model = HolmesVAUForConditionalGeneration(config)
    config.architectures = [type(model).__name__]
    set_auto_map(config)
    custom_object_save(model, folder, config=config)
    config.save_pretrained(folder)
    processor.save_pretrained(folder)
    generation_config_for(processor.tokenizer).save_pretrained(folder)


def read_original(folder: Path, num_frames: int, label: str) -> tuple[HolmesVAUConfig, HolmesVAUProcessor]:
    """Configuration and processor of a folder of the original layout."""
    original = read_object(folder / "config.json")
    for name in ("llm_config", "vision_config"):
        part_of(original, name, folder / "config.json")
    with told_in_a_line(label, "its tokenizer cannot be converted"):
        tokenizer = convert_tokenizer(folder)
    with told_in_a_line(label, "its config.json cannot be converted"):
        config = convert_config(original, tokenizer.convert_tokens_to_ids("<IMG_CONTEXT>"))
    check_vocabulary(tokenizer, config.text_config.vocab_size, label)
    return config, build_processor(tokenizer, config, num_frames=num_frames)


def write_fresh_scorer(config: HolmesVAUConfig, seed: int, path: Path) -> Path:
    """A scorer with weights of a seed, as a file to convert beside those of the checkpoint."""
    torch.manual_seed(seed)
    save_file(AnomalyScorer(config.scorer_config).state_dict(), path)
    return path


def convert(
    checkpoint: str | os.PathLike,
    scorer: str | os.PathLike | None,
    output: str | os.PathLike,
    num_frames: int = ORIGINAL_NUM_FRAMES,
    seed: int = 0,
    option: str = "--checkpoint",
    shard_bytes: int = SHARD_BYTES,
) -> Path:
    """
    Convert a checkpoint in the layout of InternVL2, and an anomaly scorer, to one folder for the Auto classes.

    Args:
        checkpoint (`str`): Folder or Hub name, with `config.json`, weights (safetensors or .bin) and tokenizer.
        scorer (`str`, *optional*): The scorer's state dict, a file or URL: `.pth` (read with `weights_only=True`) or
            safetensors. `None` gives an untrained one, and a warning in the configuration.
        output (`str`): Folder to write; it must not exist or be empty.
        num_frames (`int`, *optional*, defaults to 12): Frames the language model sees.
        seed (`int`, *optional*, defaults to 0): Seed of an untrained scorer's weights.
        option (`str`, *optional*, defaults to `"--checkpoint"`): What a message calls the checkpoint.
        shard_bytes (`int`, *optional*, defaults to 1 GB): Size of the weights' files; one at a time is held in memory.

    Returns:
        `Path`: `output`.

    Raises:
        `ValueError`: if a file is missing or broken, or if any weight is unmapped, missing or misshapen; the message
            lists them.
    """
    output, name = Path(output), os.fspath(checkpoint)
    check_new_folder(output)
    scorer_file = None if scorer is None else fetch_file(os.fspath(scorer), f"--scorer {os.fspath(scorer)}")
    source, _ = open_folder(name, ORIGINAL, option=option)
    config, processor = read_original(source, num_frames, f"{option} {name}")
    card = (f"converted from `{source.resolve().name if os.path.isdir(name) else name}`", num_frames)
    if scorer_file is not None:
        _write(source, scorer_file, output, config, processor, (*card, f"`{scorer_file.name}`"), shard_bytes)
        return output
    config.warning = UNTRAINED_SCORER_WARNING
    with tempfile.TemporaryDirectory() as temporary:
        fresh = write_fresh_scorer(config, seed, Path(temporary, "anomaly_scorer.safetensors"))
        _write(source, fresh, output, config, processor, (*card, f"untrained (seed {seed})"), shard_bytes)
    return output


def _write(
    source: Path, scorer: Path, output: Path, config, processor, card: tuple[str, int, str], shard_bytes: int
) -> None:
    rules = VISION_KEYS + (INTERNLM2_KEYS if config.text_config.model_type == "llama" else QWEN2_KEYS)
    pieces = plan_conversion({**dict.fromkeys(weight_files(source), rules), scorer: SCORER_KEYS}, config)
    config.dtype = stored_dtype(pieces)
    with whole_folder(output) as folder:
        write_weights(pieces, folder, shard_bytes)
        write_code_and_configs(folder, config, processor)
        write_model_card(folder, *card, config.warning)


def stored_dtype(pieces: list[Piece]) -> torch.dtype:
    """Dtype of the token embeddings, which the configuration names as the model's."""
    piece = next(piece for piece in pieces if piece.targets == ["model.language_model.embed_tokens.weight"])
    with open_weights(piece.file) as (_, read):
        return read(piece.key).dtype
