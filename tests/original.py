"""Checkpoints in the layout of the original release, with weights drawn from their names by `recipe.py`."""

import importlib.util
import json
import shutil
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

from modeling_holmes_vau.checkpoint.small import build_small_tokenizer


REFERENCE = Path(__file__).parent / "fixtures" / "reference"

spec = importlib.util.spec_from_file_location("recipe", REFERENCE / "recipe.py")
recipe = importlib.util.module_from_spec(spec)
spec.loader.exec_module(recipe)


def read_json(name: str):
    return json.loads((REFERENCE / name).read_text(encoding="utf-8"))


def widen(key: str, shape: list[int], width: int) -> list[int]:
    """Shape of a vision entry when the tiny width of 64 becomes `width`."""
    sizes = {64: width, 192: 3 * width} if key.startswith("vision_model") else {256: 4 * width}
    return [sizes.get(n, n) for n in shape] if key.startswith(("vision_model", "mlp1")) else shape


def scorer_state(width: int, seed: int = 0) -> dict[str, torch.Tensor]:
    """State dict of the original scorer for class tokens of `width`."""
    shapes = read_json("scorer_state_dict_keys.json")["keys"]
    shapes["embedding.conv_1.0.weight"] = [512, width, 3]
    return {key: torch.from_numpy(recipe.weight(key, shape, seed)) for key, shape in shapes.items()}


def model_state(image_size: int, width: int = 64, seed: int = 0) -> dict[str, torch.Tensor]:
    """State dict of the original tiny model."""
    keys = read_json(f"internvl2_tiny{image_size}_state_dict_keys.json")["keys"]
    shapes = {key: widen(key, shape, width) for key, shape in keys.items()}
    # torch.tensor copies: safetensors and .bin want memory of their own
    return {key: torch.tensor(recipe.weight(key, shape, seed)) for key, shape in shapes.items()}


def write_original_checkpoint(
    folder: Path, image_size: int = 56, width: int = 64, tokenizer: str = "tokenizer", weights: str = "safetensors"
) -> Path:
    """Write `config.json`, weights (`safetensors`, `sharded` or `bin`), tokenizer and `anomaly_scorer.pth`."""
    folder.mkdir(parents=True, exist_ok=True)
    config = read_json(f"internvl2_tiny{image_size}_config.json")
    config["vision_config"]["hidden_size"] = width
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    state = model_state(image_size, width)
    if weights == "bin":
        torch.save(state, folder / "pytorch_model.bin")
    elif weights == "sharded":
        names = sorted(state)
        half = len(names) // 2
        for number, part in enumerate((names[:half], names[half:]), start=1):
            save_file({name: state[name] for name in part}, folder / f"model-0000{number}-of-00002.safetensors")
    else:
        save_file(state, folder / "model.safetensors")
    for file in (REFERENCE / tokenizer).iterdir():
        if file.name != "encodings.json":
            shutil.copy(file, folder / file.name)
    torch.save(scorer_state(width), folder / "anomaly_scorer.pth")
    return folder


def widen_heads(folder: Path) -> Path:
    """Give the language model 3 heads of 32 for 4 of 24, which engines do not compute."""
    config = json.loads((folder / "config.json").read_text())
    config["llm_config"] |= {"num_attention_heads": 3, "num_key_value_heads": 3}
    (folder / "config.json").write_text(json.dumps(config))
    state = load_file(folder / "model.safetensors")
    for key in [key for key in state if key.endswith(".wqkv.weight")]:
        state[key] = torch.tensor(recipe.weight(key, [3 * 96, 96], 0))
    save_file(state, folder / "model.safetensors")
    return folder


def write_qwen2_checkpoint(folder: Path) -> tuple[Path, PreTrainedModel]:
    """The same in the layout of InternVL2-1B: a Qwen2 language model under its own names, which is returned too, and a
    tokenizer.json."""
    tokenizer = build_small_tokenizer()
    write_original_checkpoint(folder)
    config = json.loads((folder / "config.json").read_text())
    sizes = {k: config["llm_config"][k] for k in ("hidden_size", "intermediate_size", "num_hidden_layers")}
    heads = {"num_attention_heads": 3, "num_key_value_heads": 1, "tie_word_embeddings": False}
    config["llm_config"] = {"model_type": "qwen2", "vocab_size": len(tokenizer), **sizes, **heads}
    (folder / "config.json").write_text(json.dumps(config))
    state = {k: v for k, v in model_state(56).items() if not k.startswith("language_model")}
    torch.manual_seed(0)
    language = AutoModelForCausalLM.from_config(AutoConfig.for_model(initializer_range=0.2, **config["llm_config"]))
    state |= {f"language_model.{name}": value.clone() for name, value in language.state_dict().items()}
    save_file(state, folder / "model.safetensors")
    for name in ("tokenizer.model", "tokenizer_config.json", "added_tokens.json", "special_tokens_map.json"):
        (folder / name).unlink()
    tokenizer.save_pretrained(folder)
    return folder, language
