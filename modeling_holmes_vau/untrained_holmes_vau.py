"""A tiny seeded checkpoint with random weights: it shows that everything runs, and its answers mean nothing."""

import hashlib
import os
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from .checkpoint_holmes_vau import build_processor, generation_config_for, write_model_card
from .configuration_holmes_vau import HolmesVAUConfig
from .files_holmes_vau import whole_folder
from .modeling_holmes_vau import HolmesVAUForConditionalGeneration


UNTRAINED_WARNING = "untrained model (random weights): scores, events and answer mean nothing"
UNTRAINED_SEED = 0

VISUAL_TOKENS = ["<img>", "</img>", "<IMG_CONTEXT>"]
CHAT_TOKENS = ["<|im_start|>", "<|im_end|>"]
CORPUS = """A street seen by a fixed camera. People walk along the pavement and cars pass in both directions.
The anomaly exists, specifically an explosion. A flash is followed by a fireball and rising smoke, and people run.
The video shows no abnormal event: the traffic is ordinary and nobody is hurt.
Could you specify the anomaly events present in the video? Why do you judge this event to be anomalous?
Two men fight near a parked van. A robbery takes place in a shop. A car hits another car at the crossing and stops.
system user assistant Frame1: Frame2: Frame10: 0123456789"""


def build_small_tokenizer(corpus: str = CORPUS, vocab_size: int = 512) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer with InternVL's special tokens, trained on `corpus`; the same every time."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = ["<s>", "</s>", *CHAT_TOKENS, *VISUAL_TOKENS]
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(corpus.splitlines(), trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<s>",
        eos_token="</s>",
        pad_token="</s>",
        additional_special_tokens=[*CHAT_TOKENS, *VISUAL_TOKENS],
        clean_up_tokenization_spaces=False,
        padding_side="left",
    )


def small_config(tokenizer, image_size: int = 112, width: int = 64, layers: int = 2, **kwargs) -> HolmesVAUConfig:
    """Configuration of a model of about a million weights that fits `tokenizer`; `kwargs` go to `HolmesVAUConfig`."""
    vision = {
        "hidden_size": width,
        "num_hidden_layers": layers,
        "num_attention_heads": 4,
        "intermediate_size": 2 * width,
        "image_size": image_size,
        "patch_size": 14,
        "attention_bias": True,
    }
    text = {
        "model_type": "llama",
        "vocab_size": len(tokenizer),
        "hidden_size": width,
        "num_hidden_layers": layers,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "intermediate_size": 2 * width,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.convert_tokens_to_ids("<|im_end|>"),
        "tie_word_embeddings": False,
    }
    scorer = {
        "hidden_size": width,
        "head_dim": width // 4,
        "intermediate_size": width,
        "classifier_hidden_size": width,
    }
    kwargs.setdefault("scorer_config", scorer)
    return HolmesVAUConfig(
        vision_config=vision,
        text_config=text,
        image_token_id=tokenizer.convert_tokens_to_ids("<IMG_CONTEXT>"),
        image_seq_length=(image_size // 14) ** 2 // 4,
        tie_word_embeddings=False,
        **kwargs,
    )


def untrained_folder() -> Path:
    """Where the untrained checkpoint is kept: `$XDG_CACHE_HOME/holmes-vau`, else `~/.cache/holmes-vau`, under a name
    that changes with the code, since the folder holds a copy of it."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    code = b"".join(file.read_bytes() for file in sorted(Path(__file__).parent.glob("*_holmes_vau.py")))
    return cache / "holmes-vau" / f"untrained-{hashlib.sha256(code).hexdigest()[:12]}"


def build_untrained(output: str | os.PathLike | None = None) -> Path:
    """
    Build the untrained checkpoint, or find the one built before.

    Args:
        output (`str`, *optional*): Folder to write. Defaults to [`untrained_folder`].

    Returns:
        `Path`: The checkpoint folder.
    """
    output = untrained_folder() if output is None else Path(output)
    if (output / "config.json").exists():
        return output
    tokenizer = build_small_tokenizer()
    config = small_config(tokenizer, warning=UNTRAINED_WARNING)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(UNTRAINED_SEED)
        model = HolmesVAUForConditionalGeneration(config)
    model.generation_config = generation_config_for(tokenizer)
    # Random weights rarely end a turn: the answer is cut instead of filling a thousand tokens.
    model.generation_config.max_new_tokens = 32
    try:
        with whole_folder(output) as folder:
            model.save_pretrained(folder)
            build_processor(tokenizer, config).save_pretrained(folder)
            note = f"random weights, seed {UNTRAINED_SEED}; it shows that the code runs and knows nothing"
            write_model_card(folder, note, config.num_frames, "random weights")
    except (OSError, ValueError):
        if not (output / "config.json").exists():  # else another process built the same at the same time
            raise
    return output
