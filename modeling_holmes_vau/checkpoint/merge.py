"""An adapter of `train_sft.py` and its base -> one checkpoint with weights, code, processor and configuration."""

import json
import logging
import os
import shutil
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from ..base.files import check_new_folder, whole_folder, write_whole
from ..processing_holmes_vau import HolmesVAUProcessor
from .build import warning_after_language, write_model_card
from .folder import (
    NATIVE,
    OURS,
    SMALL_FILES,
    CheckpointError,
    check_no_pointer,
    is_local,
    read_object,
    readable,
    told_in_a_line,
)
from .hub import fetch_folder
from .load import errors_alone, load_checkpoint, load_native, load_tokenizer, open_folder
from .weights import language_digest


logger = logging.getLogger(__name__)

NOTES = "training.json"  # beside an adapter: what the merged configuration takes from its training
COMPANIONS = ("*.json", "*.jinja", "*.txt", "*.model")  # files of a checkpoint beside its weights


def copy_companions(base: Path, folder: Path) -> None:
    """Copy what a native checkpoint has beside its weights (its own processor) and `folder` has not yet."""
    for path in sorted({path for pattern in COMPANIONS for path in base.glob(pattern)}):
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


def open_adapter(name: str) -> Path:
    """
    The folder of an adapter of `train_sft.py`.

    Args:
        name (`str`): Folder or Hub name.

    Raises:
        [`CheckpointError`]: one line, if it is none.
    """
    label, folder = f"--adapter {name}", Path(name)
    if not is_local(name, label, "the folder `adapter` of train_sft.py"):
        folder = fetch_folder(name, label, (*SMALL_FILES, "adapter_model.*"))
    if not (folder / "adapter_config.json").is_file():
        raise CheckpointError(f"{label}: no adapter_config.json in it; expected the folder `adapter` of train_sft.py")
    weights = [path for path in folder.glob("adapter_model.*") if path.suffix in (".safetensors", ".bin")]
    if not weights:
        raise CheckpointError(f"{label}: no adapter_model.safetensors in it; expected a whole adapter of train_sft.py")
    for path in weights:
        check_no_pointer(path)
    return folder


def base_of(adapter: Path, name: str) -> str:
    """The base that an adapter names."""
    base = read_object(adapter / "adapter_config.json").get("base_model_name_or_path")
    if not isinstance(base, str) or not base:
        raise CheckpointError(f"--adapter {name}: does not tell its base: pass the --base it was trained on")
    return base


def check_base(folder: Path, adapter: Path, base: str, name: str) -> None:
    """
    Make sure that the base is the one the adapter was trained on: LoRA is a difference, and means nothing elsewhere.

    Args:
        folder (`Path`), adapter (`Path`): Folders of base and adapter.
        base (`str`), name (`str`): What messages call them.

    Raises:
        [`CheckpointError`]: if the language model is another, or has an adapter merged into it already.
    """
    notes = adapter / NOTES
    expected = read_object(notes).get("base_digest") if notes.is_file() else None
    if expected is None:
        logger.warning(f"--adapter {name}: does not tell what it was trained on, so {base} could not be checked")
    elif expected != language_digest(folder):
        raise CheckpointError(
            f"--base {base}: its language model is not the one that {name} was trained on; it may be another base, a "
            "copy in fewer bits, or have this adapter merged into it already. Pass the --base it was trained on"
        )


def merge(
    adapter: str | os.PathLike,
    output: str | os.PathLike,
    base: str | None = None,
    half: bool = False,
    scale: float = 1.0,
) -> Path:
    """
    Merge an adapter into its base. The scorer, the vision tower and the projector stay those of the base; the number
    of frames and the sampler become those of the training.

    With a `scale` below 1 the weights lie on the line from the base (0) to the tuned model (1), as in WiSE-FT
    (Wortsman et al., CVPR 2022): more of what the base knew is kept, for less of what the tuning taught.

    Args:
        adapter (`str`): Folder that `train_sft.py` wrote, or Hub name.
        output (`str`): Folder to write; it must not exist or be empty.
        base (`str`, *optional*): Folder or Hub name of the base; by default the one the adapter names.
        half (`bool`, *optional*, defaults to `False`): Store the weights in 16 bits. They are loaded in the precision
            that the configuration names, as without.
        scale (`float`, *optional*, defaults to 1.0): How much of the adapter is added, above 0 and at most 1.

    Returns:
        `Path`: `output`.

    Raises:
        `ImportError`: without peft.
        `ValueError`: if `adapter` is no adapter, the base is not the one it was trained on, or none of ours and no
            native InternVL checkpoint.
    """
    try:
        from peft import PeftModel  # only needed here, and not by those who merely look at videos
    except ImportError as error:
        raise ImportError('Merging needs peft: pip install -c constraints.txt -e ".[train]"') from error

    name, output = os.fspath(adapter), Path(output)
    if not 0 < scale <= 1:
        raise ValueError(f"`scale` must be above 0 and at most 1, got {scale:g}.")
    check_new_folder(output)
    folder = open_adapter(name)
    if scale < 1 and (whole := read_object(folder / "adapter_config.json").get("modules_to_save")):
        raise CheckpointError(
            f"--adapter {name}: {', '.join(whole)} learned in full, and no scale of an adapter takes that back: merge "
            "it without --scale"
        )
    base = os.fspath(base or base_of(folder, name))
    source, kind = open_folder(base, OURS, NATIVE, option="--base")
    with readable(folder) as path:
        check_base(source, folder, base, name)
        model, rest = load_checkpoint(base, "--base") if kind == OURS else load_native(base, "--base")
        with told_in_a_line(f"--adapter {name}", f"does not fit {base}; pass the --base it was trained on"):
            model = _merged(PeftModel.from_pretrained(model, str(path)), scale)
        with whole_folder(output) as written, told_in_a_line(f"--adapter {name}", f"cannot be merged into {base}"):
            if kind == OURS:
                _save_ours(model, path, rest, base, written)
            else:
                model.save_pretrained(written)
                load_tokenizer(path).save_pretrained(written)
                copy_companions(source, written)
            if half:
                store_half(written)
    return output


def _merged(model, scale: float):
    """The base of a PEFT model with `scale` of the adapter added to its weights."""
    from peft.tuners.lora import LoraLayer

    for module in model.modules():
        if isinstance(module, LoraLayer):
            module.scale_layer(scale)
    return model.merge_and_unload()


def store_half(folder: Path) -> None:
    """Rewrite the weights of a folder in 16 bits; integers stay."""
    for path in sorted(folder.glob("*.safetensors")):
        tensors = load_file(path)
        halved = {name: weight.half() if weight.dtype == torch.float32 else weight for name, weight in tensors.items()}
        if beyond := [name for name, weight in halved.items() if weight.isinf().any()]:
            raise ValueError(f"{beyond[0]} holds values beyond 65504, which 16 bits cannot: merge without --half.")
        save_file(halved, path, metadata={"format": "pt"})


def _save_ours(model, adapter: Path, processor: HolmesVAUProcessor, base: str, folder: Path) -> None:
    notes = adapter / NOTES
    settings = read_object(notes) if notes.is_file() else {}
    if (adapter / "processor_config.json").is_file():
        with told_in_a_line(str(adapter), "its processor cannot be loaded"), errors_alone():
            processor = HolmesVAUProcessor.from_pretrained(adapter)
    model.config.sampler = settings.get("sampler") or model.config.sampler
    warning = model.config.warning = warning_after_language(model.config.warning, settings.get("synthetic", False))
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    source, scorer = f"`{base}`, tuned on instructions (LoRA)", f"that of `{base}`"
    write_model_card(folder, source, processor.num_frames, scorer, warning)
