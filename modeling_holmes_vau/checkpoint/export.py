"""`holmes-vau export`: a checkpoint as engines take it that know nothing of a scorer. The language model becomes a
native InternVL folder, and what chooses the frames, vision tower and scorer, goes into `eyes/` within it.

All of it is planned, and every problem told, before anything is written; weights stream shard by shard.
"""

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tokenizers import AddedToken, Tokenizer
from transformers import (
    AutoConfig,
    GenerationConfig,
    InternVLConfig,
    InternVLForConditionalGeneration,
    PreTrainedTokenizerFast,
)

from ..base.files import check_new_folder, whole_folder
from ..configuration_holmes_vau import HolmesVAUConfig
from ..modeling_holmes_vau import IMAGE_MEAN, IMAGE_STD
from ..processing_holmes_vau import HolmesVAUProcessor
from .build import generation_config_for
from .convert import SHARD_BYTES, Piece, check_targets, write_weights
from .folder import EYES, OURS, SMALL_FILES, CheckpointError, read_object, readable, told_in_a_line
from .load import EYES_WEIGHTS, errors_alone, load_tokenizer, open_folder
from .weights import check_type, open_weights, weight_files


EYES_FOLDER = "eyes"
# Of a configuration: whose code it is loaded with.
OF_OUR_CODE = ("model_type", "architectures", "auto_map", "custom_pipelines")
# Of the weights, what native InternVL has no place for.
OURS_ALONE = ("anomaly_scorer.", "familiarity.")
# What InternLM2's vocabulary calls the tokens that it keeps for later.
UNUSED = "[UNUSED_TOKEN_"
# Which token has which use, by the names that `InternVLProcessor` asks its tokenizer for.
NATIVE_TOKENS = {
    "start_image_token": "image_start",
    "end_image_token": "image_end",
    "context_image_token": "image_token",
    "video_token": "video_token",
}
SAMPLE = "Are there any anomaly events detected in the video? Why? 视频中发生了爆炸。"


@dataclass
class ExportPlan:
    """
    What will be written.

    Args:
        source (`Path`): The checkpoint.
        config ([`HolmesVAUConfig`]): Its configuration.
        processor ([`HolmesVAUProcessor`]): Its processor.
        native (`InternVLConfig`): The configuration of the language model's folder.
        generation (`GenerationConfig`): How it answers.
        tokenizer (`PreTrainedTokenizerFast`): The tokenizer of that folder, with a token for a video.
        words (`list[Piece]`), eyes (`list[Piece]`): Weights of that folder and of `eyes/`.
    """

    source: Path
    config: HolmesVAUConfig
    processor: HolmesVAUProcessor
    native: InternVLConfig
    generation: GenerationConfig
    tokenizer: PreTrainedTokenizerFast
    words: list[Piece]
    eyes: list[Piece]


# ---- configuration --------------------------------------------------------------------------------------------------


def problems_of(config: HolmesVAUConfig, processor: HolmesVAUProcessor) -> list[str]:
    """What of a checkpoint a native InternVL folder cannot express, a line each."""
    vision = config.vision_config
    if vision.model_type != "internvl_vision":
        return [
            f"its vision tower is a {vision.model_type}, but the native InternVL of transformers and vLLM has "
            "InternViT (internvl_vision) alone; without its tower, the language model means nothing"
        ]
    problems = []
    if len(set(vision.image_size)) > 1 or len(set(vision.patch_size)) > 1:
        problems.append(f"frames and patches must be square, got {vision.image_size} and {vision.patch_size}")
    if processor.image_size != vision.image_size[0]:
        problems.append(
            f"its processor makes frames of {processor.image_size} px, its vision tower has positions for "
            f"{vision.image_size[0]} px"
        )
    patches = (vision.image_size[0] // vision.patch_size[0]) * (vision.image_size[1] // vision.patch_size[1])
    if (tokens := int(patches * config.downsample_ratio**2)) != processor.image_seq_length:
        problems.append(f"a frame has {tokens} tokens, but its processor counts {processor.image_seq_length}")
    if not vision.use_mean_pooling:
        problems.append(
            "its vision tower ends in a norm (use_mean_pooling false), which its scorer and projector skip"
        )
    tokenizer, tokens = processor.tokenizer, [getattr(processor, name) for name in NATIVE_TOKENS.values()]
    for token in tokens[:3]:
        if token not in tokenizer.get_vocab():
            problems.append(f"its tokenizer has no token {token}")
    if not isinstance(tokenizer, PreTrainedTokenizerFast):
        problems.append(f"its tokenizer is a {type(tokenizer).__name__}, a fast one (tokenizer.json) is needed")
    return problems


def native_config(config: HolmesVAUConfig, vocab_size: int) -> InternVLConfig:
    """The configuration of the language model's folder; `vocab_size` are the rows of its embeddings."""
    kept = ("image_token_id", "image_seq_length", "downsample_ratio", "projector_hidden_act")
    kept += ("vision_feature_layer", "vision_feature_select_strategy", "tie_word_embeddings", "dtype")
    text = config.text_config.to_dict()
    rope = text.get("rope_parameters") or {}
    if rope.get("rope_type") == "dynamic":
        # What grows with the prompt in transformers, engines settle once, by the longest that they serve. Up to
        # `max_position_embeddings`, where ours stop too, nothing is scaled.
        text["rope_parameters"] = {"rope_theta": rope["rope_theta"], "rope_type": "default"}
    text |= {"vocab_size": vocab_size, "tie_word_embeddings": config.tie_word_embeddings}
    whole = config.to_dict()
    native = InternVLConfig(
        vision_config=config.vision_config.to_dict(),
        text_config=AutoConfig.for_model(**text),
        **{name: whole[name] for name in kept if name in whole},
    )
    native.architectures = [InternVLForConditionalGeneration.__name__]
    return native


def processor_settings(processor: HolmesVAUProcessor) -> dict[str, Any]:
    """`processor_config.json` of a native folder: each frame whole, as a picture or of a video, resized and normalised
    as ours are. The defaults of both parts are others."""
    side = {"height": processor.image_size, "width": processor.image_size}
    frames = {
        "size": side,
        "image_mean": list(IMAGE_MEAN),
        "image_std": list(IMAGE_STD),
        "resample": 3,  # bicubic
        "rescale_factor": 1 / 255,
        **dict.fromkeys(("do_convert_rgb", "do_normalize", "do_rescale", "do_resize"), True),
    }
    tiles = {"crop_to_patches": False, "min_patches": 1, "max_patches": 12}
    return {
        "processor_class": "InternVLProcessor",
        "image_seq_length": processor.image_seq_length,
        "image_processor": {"image_processor_type": "GotOcr2ImageProcessor", **frames, **tiles},
        "video_processor": {
            "video_processor_type": "InternVLVideoProcessor",
            **frames,
            "do_sample_frames": False,  # they are chosen already
        },
    }


# ---- tokenizer ------------------------------------------------------------------------------------------------------


def with_video_token(
    processor: HolmesVAUProcessor, vocab_size: int, end: int | list[int] | None
) -> PreTrainedTokenizerFast:
    """
    The tokenizer with a token of its own for a video: one that it has, an unused one renamed, or a new one behind the
    others, which may be one more than the embeddings have rows.

    Args:
        processor ([`HolmesVAUProcessor`]): Names the token, which is no token in ours.
        vocab_size (`int`): Rows of the embeddings.
        end (`int`): The token that ends an answer. An engine also ends answers at the tokenizer's own, where ours go
            on, so that it becomes the tokenizer's.
    """
    tokenizer, token = processor.tokenizer, processor.video_token
    vocab = tokenizer.get_vocab()
    state = json.loads(tokenizer.backend_tokenizer.to_str())
    words = state["model"]["vocab"]
    unused = [name for name in words if name.startswith(UNUSED)] if isinstance(words, dict) else []
    if token not in vocab and len(vocab) >= vocab_size and unused:
        last = max(unused, key=words.get)
        words[token] = words.pop(last)
        state["added_tokens"] = [added for added in state["added_tokens"] if added["content"] != last]
    backend = Tokenizer.from_str(json.dumps(state))
    backend.add_special_tokens([AddedToken(token, normalized=False)])
    names = ("bos_token", "eos_token", "pad_token", "unk_token")
    named = {name: tokenizer.special_tokens_map.get(name) for name in names}
    if isinstance(end, int):
        named["eos_token"] = tokenizer.convert_ids_to_tokens(end)
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        **{name: value for name, value in named.items() if value is not None},
        clean_up_tokenization_spaces=False,
        model_max_length=tokenizer.model_max_length,
        padding_side="left",
    )


def native_template(processor: HolmesVAUProcessor) -> str:
    """The chat template, with the token in front that our tokenizer puts before each prompt: servers tokenize what a
    template makes as it is."""
    tokenizer, template = processor.tokenizer, processor.chat_template
    begins = tokenizer("")["input_ids"]
    first = tokenizer.bos_token
    if not begins or begins != [tokenizer.bos_token_id] or first in template or "bos_token" in template:
        return template
    return "{{- " + json.dumps(first) + " -}}" + template


def write_tokenizer(plan: ExportPlan, folder: Path) -> None:
    """The tokenizer's files, with the names that `InternVLProcessor` asks for, and the chat template."""
    plan.tokenizer.save_pretrained(folder)
    path = folder / "tokenizer_config.json"
    settings = read_object(path)
    for name in ("auto_map", "is_local", "local_files_only", "backend"):
        settings.pop(name, None)
    settings["tokenizer_class"] = "PreTrainedTokenizerFast"  # a name that earlier releases of transformers know too
    settings["processor_class"] = "InternVLProcessor"
    settings["extra_special_tokens"] = {name: getattr(plan.processor, ours) for name, ours in NATIVE_TOKENS.items()}
    _write_json(path, settings)
    (folder / "chat_template.jinja").write_text(native_template(plan.processor), encoding="utf-8")


def check_tokenizer(plan: ExportPlan, folder: Path) -> None:
    """Raises [`CheckpointError`] if what was written reads a prompt in other tokens than ours does."""
    written, processor = load_tokenizer(folder), plan.processor
    text = processor.user_prompt(SAMPLE, num_videos=1)
    text = text.replace(processor.video_token, processor.frame_placeholders(2))
    if written(text)["input_ids"] != processor.tokenizer(text)["input_ids"]:
        raise CheckpointError(
            f"{plan.source}: its tokenizer cannot be written without code of its own: saved and loaded, it reads "
            "a prompt in other tokens"
        )


# ---- weights --------------------------------------------------------------------------------------------------------


def plan_weights(source: Path, native: InternVLConfig, copied_row: int | None) -> tuple[list[Piece], list[Piece]]:
    """
    Which weights go into the language model's folder, and which into `eyes/`: the vision tower into both.

    Args:
        source (`Path`): The checkpoint.
        native (`InternVLConfig`): Of the language model's folder.
        copied_row (`int`, *optional*): The row of the embeddings that is there twice, where the new token is one more.

    Raises:
        `ValueError`: that lists every weight that is unknown, missing or misshapen.
    """
    with torch.device("meta"):
        expected = {
            name: tuple(weight.shape) for name, weight in InternVLForConditionalGeneration(native).state_dict().items()
        }
    words, eyes, problems, seen = [], [], [], set()
    rows = {"model.language_model.embed_tokens.weight", "lm_head.weight"} if copied_row is not None else set()
    for path in weight_files(source):
        with open_weights(path) as (keys, read):
            for key in keys:
                tensor = read(key)
                check_type(path, key, tensor)
                split = (
                    (lambda weight: (_with_row(weight, copied_row),)) if key in rows else (lambda weight: (weight,))
                )
                size = tensor.numel() * tensor.element_size()
                if key.startswith(EYES_WEIGHTS):
                    eyes.append(Piece(path, key, [key], _as_it_is, size))
                if key.startswith(OURS_ALONE) or (native.tie_word_embeddings and key == "lm_head.weight"):
                    continue
                problems += check_targets(key, tensor, [key], split, expected, seen)
                seen.add(key)
                words.append(Piece(path, key, [key], split, size))
    tied = {"lm_head.weight"} if native.tie_word_embeddings else set()
    problems += [f"missing: {name} {expected[name]}" for name in sorted(expected.keys() - seen - tied)]
    if problems:
        raise ValueError(
            f"{len(problems)} weight(s) do not fit the configuration of {source}:\n  " + "\n  ".join(problems)
        )
    return words, eyes


def _as_it_is(weight: torch.Tensor) -> tuple[torch.Tensor]:
    return (weight,)


def _with_row(weight: torch.Tensor, row: int) -> torch.Tensor:
    """A table with one of its rows once more at the end: a token that is never said, as the one it copies is not."""
    return torch.cat((weight, weight[row : row + 1]))


# ---- folders --------------------------------------------------------------------------------------------------------


def plan_export(checkpoint: str | os.PathLike, option: str = "--checkpoint") -> ExportPlan:
    """
    What an export will write.

    Args:
        checkpoint (`str`): Folder or Hub name of a Holmes-VAU checkpoint.
        option (`str`, *optional*, defaults to `"--checkpoint"`): What a message calls it.

    Raises:
        [`CheckpointError`]: that lists what cannot be expressed, with the reason.
    """
    name = os.fspath(checkpoint)
    source, _ = open_folder(name, OURS, option=option)
    with readable(source) as path, told_in_a_line(f"{option} {name}", "cannot be exported"), errors_alone():
        config = HolmesVAUConfig.from_pretrained(path)
        processor = HolmesVAUProcessor.from_pretrained(path)
        is_told = (path / "generation_config.json").is_file()
        generation = GenerationConfig.from_pretrained(path) if is_told else generation_config_for(processor.tokenizer)
    if problems := problems_of(config, processor):
        raise CheckpointError(f"{option} {name}: cannot be served as native InternVL: " + "; ".join(problems))
    rows = config.text_config.vocab_size
    tokenizer = with_video_token(processor, rows, generation.eos_token_id)
    needed = max(rows, tokenizer.convert_tokens_to_ids(processor.video_token) + 1)
    native = native_config(config, needed)
    words, eyes = plan_weights(source, native, config.image_token_id if needed > rows else None)
    return ExportPlan(source, config, processor, native, generation, tokenizer, words, eyes)


def write_words(plan: ExportPlan, folder: Path, shard_bytes: int) -> None:
    """The native InternVL folder."""
    write_weights(plan.words, folder, shard_bytes)
    _write_json(folder / "config.json", _plain(plan.native.to_dict()))
    _write_json(folder / "processor_config.json", processor_settings(plan.processor))
    write_tokenizer(plan, folder)
    check_tokenizer(plan, folder)
    plan.generation.save_pretrained(folder)


def write_eyes(plan: ExportPlan, folder: Path, shard_bytes: int) -> None:
    """The folder of vision tower, scorer and processor, which [`load_eyes`] reads."""
    folder.mkdir()
    write_weights(plan.eyes, folder, shard_bytes)
    settings = {name: value for name, value in plan.config.to_dict().items() if name not in OF_OUR_CODE}
    _write_json(folder / "config.json", _plain({"model_type": EYES, **settings}))
    with readable(plan.source) as source:
        for name in SMALL_FILES:
            if (source / name).is_file() and not name.endswith("index.json") and not (folder / name).exists():
                shutil.copy(source / name, folder / name)


def write_card(plan: ExportPlan, folder: Path, checkpoint: str) -> None:
    """README.md of an exported folder."""
    warned = f"\n**Warning**: {plan.config.warning}.\n" if plan.config.warning else ""
    text = f"""---
library_name: transformers
pipeline_tag: image-text-to-text
---
# The words of a Holmes-VAU checkpoint

Exported from `{checkpoint}`: a native InternVL, for engines that serve language models. It does not choose frames:
`{EYES_FOLDER}/` holds the vision tower and the anomaly scorer, which do.
{warned}
```bash
vllm serve path/to/this/folder --media-io-kwargs '{{"video": {{"num_frames": -1}}}}'
holmes-vau analyze VIDEO --model path/to/this/folder/{EYES_FOLDER} --endpoint http://localhost:8000/v1 \\
  --endpoint-model path/to/this/folder
```

It was trained on {plan.processor.num_frames} frames. The licence is that of the checkpoint.
"""
    (folder / "README.md").write_text(text, encoding="utf-8")


def export(checkpoint: str | os.PathLike, output: str | os.PathLike, shard_bytes: int = SHARD_BYTES) -> Path:
    """
    Export a checkpoint for an engine that serves native InternVL, vLLM or `transformers serve`.

    Args:
        checkpoint (`str`): Folder or Hub name of a Holmes-VAU checkpoint.
        output (`str`): Folder to write; it must not exist or be empty.
        shard_bytes (`int`, *optional*, defaults to 1 GB): Size of the weights' files; one at a time is held in memory.

    Returns:
        `Path`: `output`.

    Raises:
        `ValueError`: if the checkpoint cannot be used, or cannot be expressed; the message lists why.
    """
    output = Path(output)
    check_new_folder(output)
    plan = plan_export(checkpoint)
    with whole_folder(output) as folder:
        write_words(plan, folder, shard_bytes)
        write_eyes(plan, folder / EYES_FOLDER, shard_bytes)
        write_card(plan, folder, os.fspath(checkpoint))
    return output


def _plain(settings: dict[str, Any]) -> dict[str, Any]:
    """Settings without what tells of this machine, or of nothing."""
    left_out = ("_name_or_path", "_commit_hash", "transformers_version")
    return {
        name: _plain(value) if isinstance(value, dict) else value
        for name, value in settings.items()
        if name not in left_out and value is not None
    }


def _write_json(path: Path, settings: dict[str, Any]) -> None:
    text = json.dumps(settings, indent=2, ensure_ascii=False, default=lambda value: str(value).removeprefix("torch."))
    path.write_text(text + "\n", encoding="utf-8")
