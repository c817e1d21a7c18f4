"""The one way to a checkpoint: a folder or a Hub name -> its files, checked; and model and processor of them.

A Holmes-VAU checkpoint is loaded with the installed classes, whatever code lies in its folder, so that one of an older
version can be trained, and what is saved carries the code of today.
"""

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from transformers import AutoTokenizer, GenerationConfig, InternVLForConditionalGeneration
from transformers.utils import is_flash_attn_2_available
from transformers.utils import logging as hf_logging

from ..configuration_holmes_vau import HolmesVAUConfig
from ..modeling_holmes_vau import HolmesVAUForConditionalGeneration
from ..processing_holmes_vau import HolmesVAUProcessor
from .folder import (
    EYES,
    NATIVE,
    OURS,
    SMALL_FILES,
    CheckpointError,
    check_format,
    check_small_files,
    is_local,
    read_object,
    readable,
    told_in_a_line,
)
from .hub import fetch_folder
from .known import default_checkpoint
from .weights import check_weights, open_weights, weight_files


SAFETENSORS, PICKLES = ("model.safetensors", "model-*.safetensors"), ("pytorch_model.bin", "pytorch_model-*.bin")

# What of a checkpoint looks at videos.
EYES_WEIGHTS = ("model.vision_tower.", "anomaly_scorer.", "familiarity.")


def open_folder(
    name: str | os.PathLike, *kinds: str, option: str = "--model", weights: bool = True
) -> tuple[Path, str]:
    """
    The local folder of a checkpoint. Of a Hub name, configuration and tokenizer are downloaded first, and the weights
    only of a format that is wanted; code never is.

    Args:
        name (`str` or `os.PathLike`): Folder or Hub name.
        kinds (`str`): Formats that are wanted, `model_type`s; any but the original layout where there are none.
        option (`str`, *optional*, defaults to `"--model"`): What a message calls the checkpoint.
        weights (`bool`, *optional*, defaults to `True`): Whether weights are needed too.

    Returns:
        `tuple[Path, str]`: The folder and its format.

    Raises:
        [`CheckpointError`]: one line, if there is none, it is of another format, or its files cannot be used.
    """
    name = os.fspath(name)
    label = f"{option} {name}"
    folder, is_here = Path(name), is_local(name, label, "a checkpoint folder")
    if not is_here:
        folder = fetch_folder(name, label, SMALL_FILES)
    kind = check_format(folder, name, label, kinds)
    if weights:
        if not is_here:
            folder = fetch_folder(name, label, (*SMALL_FILES, *SAFETENSORS))
            if not [*folder.glob("model*.safetensors")]:
                folder = fetch_folder(name, label, (*SMALL_FILES, *PICKLES))
        check_small_files(folder)
        check_weights(folder)
    return folder, kind


def load_checkpoint(name: str | os.PathLike, option: str = "--model", **options):
    """
    A Holmes-VAU checkpoint.

    Args:
        name (`str` or `os.PathLike`): Folder or Hub name.
        option (`str`, *optional*, defaults to `"--model"`): What a message calls the checkpoint.
        options: For `from_pretrained` of the model, such as `dtype` (that of the checkpoint by default).

    Returns:
        `tuple[HolmesVAUForConditionalGeneration, HolmesVAUProcessor]`: In evaluation mode.

    Raises:
        [`CheckpointError`]: one line, if there is none, or it cannot be used.
    """
    folder, _ = open_folder(name, OURS, option=option)
    model, processor = _load(
        folder, name, option, HolmesVAUForConditionalGeneration, HolmesVAUProcessor.from_pretrained, options
    )
    check_vocabulary(processor.tokenizer, model.config.text_config.vocab_size, f"{option} {os.fspath(name)}")
    return model, processor


def load_native(name: str | os.PathLike, option: str = "--model", **options):
    """
    A native InternVL checkpoint: model, in evaluation mode, and tokenizer. Arguments and errors are those of
    [`load_checkpoint`].
    """
    folder, _ = open_folder(name, NATIVE, option=option)
    model, tokenizer = _load(folder, name, option, InternVLForConditionalGeneration, load_tokenizer, options)
    check_vocabulary(tokenizer, model.config.text_config.vocab_size, f"{option} {os.fspath(name)}")
    return model, tokenizer


class HolmesVAUEyes(HolmesVAUForConditionalGeneration):
    """A checkpoint without its language model and projector: it scores and chooses frames, and says nothing."""

    def __init__(self, config: HolmesVAUConfig):
        super().__init__(config)
        self.model.language_model = self.model.multi_modal_projector = self.lm_head = torch.nn.Module()

    def generate(self, *args, **kwargs):
        """Raises `ValueError`: there is no language model."""
        raise ValueError(
            "These are the eyes of a checkpoint, without a language model: pass --endpoint URL, where one answers, or "
            "load the whole checkpoint."
        )

    def forward(self, *args, **kwargs):
        """Raises `ValueError`: there is no language model."""
        self.generate()


def load_eyes(name: str | os.PathLike, option: str = "--model", dtype: str = "auto"):
    """
    What of a checkpoint scores and chooses frames, the vision tower and the scorer: of the folder `eyes/` that
    `holmes-vau export` writes, or of a whole checkpoint, of which no other weight is read.

    Args:
        name (`str` or `os.PathLike`), option (`str`, *optional*): As for [`load_checkpoint`].
        dtype (`str`, *optional*, defaults to `"auto"`): Of the vision tower; that of the checkpoint by default.

    Returns:
        `tuple[HolmesVAUEyes, HolmesVAUProcessor]`: In evaluation mode.

    Raises:
        [`CheckpointError`]: one line, if there is none, or it cannot be used.
    """
    folder, _ = open_folder(name, OURS, EYES, option=option)
    label = f"{option} {os.fspath(name)}"
    with readable(folder) as path, told_in_a_line(label, "cannot be loaded"), errors_alone():
        settings = {key: value for key, value in read_object(path / "config.json").items() if key != "model_type"}
        config = HolmesVAUConfig.from_dict(settings)
        processor = HolmesVAUProcessor.from_pretrained(path)
        with torch.device("meta"):
            model = HolmesVAUEyes(config)
        if (path / "generation_config.json").is_file():
            model.generation_config = GenerationConfig.from_pretrained(path)
    wanted = {name: tensor.shape for name, tensor in model.state_dict().items()}
    state = _eyes_state(folder, config.dtype if dtype == "auto" else getattr(torch, dtype))
    if missing := sorted(key for key, shape in wanted.items() if key not in state or state[key].shape != shape):
        raise CheckpointError(f"{label}: {len(missing)} weights are missing or misshapen, such as {missing[0]}")
    model.load_state_dict(state, assign=True)
    model.name_or_path = model.config.name_or_path = os.fspath(name)
    return model.eval().requires_grad_(False), processor


def _eyes_state(folder: Path, dtype: torch.dtype | str | None) -> dict[str, torch.Tensor]:
    """The weights of vision tower and scorer; the scorer's in float32, as it computes."""
    dtype = getattr(torch, dtype) if isinstance(dtype, str) else dtype or torch.float32
    state = {}
    for path in weight_files(folder):
        with open_weights(path) as (keys, read):
            for key in keys:
                if key.startswith(EYES_WEIGHTS):
                    tensor = read(key)
                    kind = dtype if key.startswith("model.") else torch.float32
                    state[key] = tensor.to(kind) if tensor.is_floating_point() else tensor
    return state


def checkpoint_digest(name: str | os.PathLike, patterns: Iterable[str], option: str = "--model") -> str:
    """
    A digest of the files of a checkpoint that decide what it says; of a Hub name, its revision.

    Args:
        name (`str` or `os.PathLike`): Folder or Hub name.
        patterns (`Iterable[str]`): Which files, as for `Path.glob`.
        option (`str`, *optional*, defaults to `"--model"`): What a message calls the checkpoint.

    Raises:
        [`CheckpointError`]: one line, if there is none.
    """
    folder, _ = open_folder(name, option=option, weights=False)
    if not is_local(os.fspath(name), f"{option} {os.fspath(name)}", "a checkpoint folder"):
        return folder.name
    total = hashlib.sha256()
    for path in sorted({path for pattern in patterns for path in folder.glob(pattern)}):
        with path.open("rb") as file:
            total.update(path.name.encode() + hashlib.file_digest(file, "sha256").digest())
    return total.hexdigest()[:16]


@contextmanager
def errors_alone() -> Iterator[None]:
    """Without the warnings of transformers."""
    before = hf_logging.get_verbosity()
    hf_logging.set_verbosity_error()
    try:
        yield
    finally:
        hf_logging.set_verbosity(before)


def load_tokenizer(folder: Path):
    """The tokenizer in a folder; code that it brings is neither run nor asked about."""
    return AutoTokenizer.from_pretrained(folder, trust_remote_code=False)


def _load(folder: Path, name: str | os.PathLike, option: str, kind, load_processor, options: dict) -> tuple:
    label = f"{option} {os.fspath(name)}"
    with readable(folder) as path, told_in_a_line(label, "cannot be loaded"):
        model, loaded = kind.from_pretrained(path, output_loading_info=True, **{"dtype": "auto", **options})
        with errors_alone():  # it wonders at every processor of a type that transformers does not know
            processor = load_processor(path)
    missing = sorted({*loaded["missing_keys"], *(key[0] for key in loaded["mismatched_keys"])})
    if missing:
        raise CheckpointError(f"{label}: {len(missing)} weights are missing or misshapen, such as {missing[0]}")
    # Adapters, analyses and what is saved name the checkpoint as it was asked for, not a folder of a cache.
    model.name_or_path = model.config.name_or_path = os.fspath(name)
    return model.eval(), processor


def check_vocabulary(tokenizer, vocab_size: int, label: str) -> None:
    """
    Every token must have an embedding.

    Args:
        tokenizer: The tokenizer.
        vocab_size (`int`): Rows of the embedding table.
        label (`str`): What a message calls the checkpoint.

    Raises:
        [`CheckpointError`]: if one has none.
    """
    token, last = max(tokenizer.get_vocab().items(), key=lambda item: item[1])
    if last >= vocab_size:
        raise CheckpointError(
            f"{label}: the tokenizer has {last + 1} tokens, such as {token!r}, but the model has embeddings of "
            f"{vocab_size}: they do not belong together, or the embeddings were not resized"
        )


def check_device(device: str | None) -> str:
    """
    The device that `--device` names, or the fastest there is.

    Raises:
        [`CheckpointError`]: one line, if PyTorch knows no such device or has none here.
    """
    cuda, mps = torch.cuda.is_available(), torch.backends.mps.is_available()
    if device is None:
        return "cuda" if cuda else "mps" if mps else "cpu"
    try:
        kind, number = torch.device(device).type, torch.device(device).index or 0
    except RuntimeError:
        kind, number = "", 0
    if kind not in ("cpu", "cuda", "mps"):
        raise CheckpointError(f"--device {device}: no such device, expected cpu, cuda, cuda:1 or mps; or leave it out")
    if (kind == "cuda" and not cuda) or (kind == "mps" and not mps):
        raise CheckpointError(f"--device {device}: PyTorch finds none here; leave --device out to use the CPU")
    if kind == "cuda" and number >= torch.cuda.device_count():
        last = torch.cuda.device_count() - 1
        raise CheckpointError(f"--device {device}: the last GPU is cuda:{last}; pass that or less, or leave it out")
    return device


def check_attention(attention: str | None, device: str) -> None:
    """
    Refuse an attention that cannot be computed here, before anything is loaded.

    Raises:
        [`CheckpointError`]: one line.
    """
    if attention == "flash_attention_2" and not (device.startswith("cuda") and is_flash_attn_2_available()):
        missing = "the package flash-attn is missing" if device.startswith("cuda") else f"not {device}"
        raise CheckpointError(f"--attention {attention}: needs a GPU of NVIDIA and flash-attn; {missing}: pass sdpa")


def quiet_transformers() -> None:
    """From here on only errors of transformers are shown, and no bars."""
    hf_logging.set_verbosity_error()
    hf_logging.disable_progress_bar()


def load_on_device(
    name: str | None,
    device: str | None,
    dtype: str,
    option: str = "--model",
    load: Callable = load_checkpoint,
    attention: str | None = None,
):
    """
    A Holmes-VAU checkpoint, quietly, on its device.

    Args:
        name (`str`, *optional*): Folder or Hub name; by default the checkpoint in the box.
        device (`str`, *optional*): As torch names it; the fastest there is by default.
        dtype (`str`): `"auto"` for that of the checkpoint, or a name of torch's.
        option (`str`, *optional*, defaults to `"--model"`): What a message calls the checkpoint.
        load (`Callable`, *optional*, defaults to [`load_checkpoint`]): What of it; [`load_eyes`] is the other.
        attention (`str`, *optional*): One of `ATTENTIONS`; that of transformers by default, which is `"sdpa"`.

    Returns, raises: As [`load_checkpoint`].
    """
    name, device = name or str(default_checkpoint()), check_device(device)
    check_attention(attention, device)
    quiet_transformers()
    # sdpa is what transformers takes wherever there is attention; asked for by name, a tower without any refuses it.
    options = {} if attention in (None, "sdpa") else {"attn_implementation": attention}
    model, processor = load(name, option, dtype=dtype, **options)
    if attention == "flash_attention_2" and model.dtype == torch.float32:
        raise CheckpointError(f"--attention {attention}: needs 16 bits, but {name} is float32: pass --dtype bfloat16")
    with told_in_a_line(f"{option} {name}", f"cannot be used on {device}"):
        model = model.to(device)
    return model, processor
