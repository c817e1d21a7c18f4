"""An adapter of `train_sft.py` and its base -> one checkpoint with weights, code, processor and configuration."""

import json
import os
import shutil
from pathlib import Path

import torch
from huggingface_hub import snapshot_download
from safetensors.torch import load_file, save_file
from transformers import AutoModelForImageTextToText, AutoTokenizer
from transformers.configuration_utils import PreTrainedConfig

from .checkpoint_holmes_vau import AFTER_LANGUAGE, write_model_card
from .files_holmes_vau import check_new_folder, whole_folder, write_whole
from .modeling_holmes_vau import HolmesVAUForConditionalGeneration
from .processing_holmes_vau import HolmesVAUProcessor


NOTES = "training.json"  # beside an adapter: what the merged configuration takes from its training
COMPANIONS = ("*.json", "*.jinja", "*.txt", "*.model")  # files of a checkpoint beside its weights


def copy_companions(base: str | os.PathLike, folder: Path) -> None:
    """Copy what a native checkpoint has beside its weights (its own processor) and `folder` has not yet."""
    if not os.path.isdir(base):
        base = snapshot_download(str(base), allow_patterns=list(COMPANIONS))
    for path in sorted({path for pattern in COMPANIONS for path in Path(base).glob(pattern)}):
        if not path.name.endswith(".index.json") and not (folder / path.name).exists():
            shutil.copy(path, folder / path.name)


def write_adapter_notes(folder: Path, base: str, settings: dict, ours: bool = True) -> None:
    """Card and settings of an adapter folder; the settings last, so that with them it is whole. `ours` is whether the
    base is a Holmes-VAU checkpoint, else it is a native InternVL one."""
    trust, processor = (", trust_remote_code=True", "folder") if ours else ("", f'"{base}"')
    further = "" if ours else ", and `holmes-vau init --base merged --output mine` one with a scorer of that"
    text = f"""---
library_name: peft
base_model: {base}
tags:
- video-anomaly-understanding
- holmes-vau
---
# Holmes-VAU adapter

LoRA on the language model of `{base}`. The language model saw {settings["num_frames"]} frames in training.

```python
from peft import PeftModel
from transformers import AutoModelForImageTextToText, AutoProcessor

folder = "path/to/this/folder"
base = AutoModelForImageTextToText.from_pretrained("{base}"{trust})
model = PeftModel.from_pretrained(base, folder)
processor = AutoProcessor.from_pretrained({processor}{trust})
```

`holmes-vau merge --adapter {folder.name} --output merged` makes one checkpoint of both{further}.
"""
    write_whole(folder / "README.md", text)
    write_whole(folder / NOTES, json.dumps(settings, indent=2) + "\n")


def merge(adapter: str | os.PathLike, output: str | os.PathLike, base: str | None = None, half: bool = False) -> Path:
    """
    Merge an adapter into its base. The scorer, the vision tower and the projector stay those of the base; the number
    of frames and the sampler become those of the training.

    Args:
        adapter (`str`): Folder that `train_sft.py` wrote.
        output (`str`): Folder to write; it must not exist or be empty.
        base (`str`, *optional*): Folder or Hub name of the base; by default the one the adapter names.
        half (`bool`, *optional*, defaults to `False`): Store the weights in 16 bits. They are loaded in the precision
            that the configuration names, as without.

    Returns:
        `Path`: `output`.

    Raises:
        `ImportError`: without peft.
        `ValueError`: if `adapter` is no adapter, or the base is none of ours and no native InternVL checkpoint.
    """
    try:
        from peft import PeftConfig, PeftModel  # only needed here, and not by those who merely look at videos
    except ImportError as error:
        raise ImportError('Merging needs peft: pip install -c constraints.txt -e ".[train]"') from error

    adapter, output = Path(adapter), Path(output)
    check_new_folder(output)
    if not (adapter / "adapter_config.json").is_file():
        raise ValueError(f"{adapter}: no adapter_config.json in it; expected the folder `adapter` of train_sft.py.")
    base = base or PeftConfig.from_pretrained(str(adapter)).base_model_name_or_path
    kind = PreTrainedConfig.get_config_dict(base)[0].get("model_type")
    if kind not in ("holmes_vau", "internvl"):
        raise ValueError(f"{base}: expected a Holmes-VAU or a native InternVL checkpoint, got {kind!r}.")
    ours = kind == "holmes_vau"
    loader = HolmesVAUForConditionalGeneration if ours else AutoModelForImageTextToText
    model = loader.from_pretrained(base, dtype="auto")
    try:
        model = PeftModel.from_pretrained(model, str(adapter)).merge_and_unload()
    except RuntimeError as error:
        said = str(error).strip().splitlines()[-1].strip()
        raise ValueError(f"{adapter} does not fit {base}: {said} Pass the --base it was trained on.") from error
    with whole_folder(output) as folder:
        if ours:
            _save_ours(model, adapter, str(base), folder)
        else:
            model.save_pretrained(folder)
            AutoTokenizer.from_pretrained(adapter).save_pretrained(folder)
            copy_companions(base, folder)
        if half:
            _store_half(folder)
    return output


def _store_half(folder: Path) -> None:
    """Rewrite the weights of a folder in 16 bits; integers stay."""
    for path in sorted(folder.glob("*.safetensors")):
        tensors = load_file(path)
        halved = {name: weight.half() if weight.dtype == torch.float32 else weight for name, weight in tensors.items()}
        if beyond := [name for name, weight in halved.items() if weight.isinf().any()]:
            raise ValueError(f"{beyond[0]} holds values beyond 65504, which 16 bits cannot: merge without --half.")
        save_file(halved, path, metadata={"format": "pt"})


def _save_ours(model, adapter: Path, base: str, folder: Path) -> None:
    notes = adapter / NOTES
    settings = json.loads(notes.read_text(encoding="utf-8")) if notes.is_file() else {}
    has_processor = (adapter / "processor_config.json").is_file()
    processor = HolmesVAUProcessor.from_pretrained(str(adapter) if has_processor else base)
    model.config.num_frames = processor.num_frames
    model.config.sampler = settings.get("sampler") or model.config.sampler
    model.config.warning = AFTER_LANGUAGE.get(model.config.warning, model.config.warning)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    write_model_card(folder, f"`{base}`, tuned on instructions (LoRA)", processor.num_frames, f"that of `{base}`")
