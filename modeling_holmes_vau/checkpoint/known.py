"""Checkpoints that this package knows by name: the small one in the box, and HolmesVAU-2B's sizes."""

from pathlib import Path

from ..base.installed import installed_folder
from .folder import CheckpointError


MINI = "holmes-vau-mini"
# How attention is computed, by transformers' names, and what command lines say of it.
ATTENTIONS = ("sdpa", "flash_attention_2", "eager")
ATTENTION_HELP = (
    "how attention is computed: sdpa (default), flash_attention_2 (a GPU of NVIDIA, 16 bits and flash-attn), eager"
)
ROOT = Path(__file__).resolve().parents[2]
# config.json of OpenGVLab/InternVL2-2B, the base of the paper: InternViT-300M-448px and InternLM2-chat-1.8B.
INTERNVL2_2B = {
    "vision_config": {
        "hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24, "num_attention_heads": 16,
        "image_size": 448, "patch_size": 14, "num_channels": 3, "qkv_bias": True, "qk_normalization": False,
        "hidden_act": "gelu", "layer_norm_eps": 1e-6, "norm_type": "layer_norm",
    },
    "llm_config": {
        "model_type": "internlm2", "hidden_size": 2048, "intermediate_size": 8192, "num_hidden_layers": 24,
        "num_attention_heads": 16, "num_key_value_heads": 8, "vocab_size": 92553, "max_position_embeddings": 32768,
        "rms_norm_eps": 1e-5, "rope_theta": 1000000, "rope_scaling": {"type": "dynamic", "factor": 2.0},
        "bias": False, "tie_word_embeddings": False, "hidden_act": "silu", "bos_token_id": 1, "eos_token_id": 2,
        "pad_token_id": 2,
    },
    "downsample_ratio": 0.5,
}  # fmt: skip
INTERNVL2_2B_IMAGE_TOKEN = 92546  # <IMG_CONTEXT> of InternVL2-2B


def default_checkpoint(name: str = MINI, root: Path = ROOT) -> Path:
    """The small checkpoint that comes with this package: in the repository at `root`, or where the package was
    installed.

    Raises:
        [`CheckpointError`]: one line, if it is in neither place.
    """
    folder = root / "checkpoints"
    if (folder / name / "config.json").is_file():
        return folder / name
    if found := installed_folder(name, "config.json"):
        return found
    raise CheckpointError(f"{name} is missing from {folder}: pass --model, or train it with `make mini`")


def config_2b():
    """The configuration of HolmesVAU-2B, the paper's size."""
    from .convert import convert_config  # not before it is asked for: a usage imports this file

    return convert_config(INTERNVL2_2B, INTERNVL2_2B_IMAGE_TOKEN)
