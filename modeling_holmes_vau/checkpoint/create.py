"""`holmes-vau init`: an InternVL base, of transformers or in the layout of InternVL2, plus a fresh anomaly scorer."""

import os
from pathlib import Path

import torch

from ..base.files import check_new_folder, whole_folder
from ..modeling_holmes_vau import HolmesVAUForConditionalGeneration
from ..scorer_holmes_vau import AnomalyScorer
from .build import (
    UNTRAINED_SCORER_WARNING,
    config_from_native,
    processor_from_native,
    visual_tokens,
    write_model_card,
)
from .convert import convert
from .folder import NATIVE, ORIGINAL, readable, told_in_a_line
from .load import load_native, load_tokenizer, open_folder


def init_from_base(base: str | os.PathLike, output: str | os.PathLike, num_frames: int = 16, seed: int = 0) -> Path:
    """
    Any InternVL checkpoint plus a fresh anomaly scorer, ready for scorer training.

    Args:
        base (`str`): Folder or Hub name of an InternVL checkpoint, in transformers' own format (`...-HF`) or in the
            layout of InternVL2.
        output (`str`): Folder to write; it must not exist or be empty.
        num_frames (`int`, *optional*, defaults to 16): Frames the language model sees.
        seed (`int`, *optional*, defaults to 0): Seed of the scorer's weights.

    Returns:
        `Path`: `output`.

    Raises:
        `ValueError`: if `base` is of another format, its files cannot be used, or it lacks the visual tokens.
    """
    output, name = Path(output), os.fspath(base)
    check_new_folder(output)
    folder, kind = open_folder(name, NATIVE, ORIGINAL, option="--base", weights=False)
    if kind == ORIGINAL:
        return convert(name, None, output, num_frames, seed, option="--base")
    with readable(folder) as path, told_in_a_line(f"--base {name}", "its tokenizer cannot be used"):
        visual_tokens(load_tokenizer(path))  # before weights are read
    native, tokenizer = load_native(name, "--base")
    config = config_from_native(native.config, warning=UNTRAINED_SCORER_WARNING)
    with torch.device("meta"):
        model = HolmesVAUForConditionalGeneration(config)
    model.load_state_dict(native.state_dict(), assign=True, strict=False)
    torch.manual_seed(seed)
    model.anomaly_scorer = AnomalyScorer(config.scorer_config)
    config.dtype = native.dtype
    model.generation_config = native.generation_config
    with whole_folder(output) as folder:
        model.save_pretrained(folder)
        processor_from_native(tokenizer, config, num_frames).save_pretrained(folder)
        write_model_card(folder, f"`{base}`", num_frames, f"untrained (seed {seed})", config.warning)
    return output
