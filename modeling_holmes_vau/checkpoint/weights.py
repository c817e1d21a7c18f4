"""Weight files of a checkpoint folder: which there are, what they hold, and a digest of the language model's."""

import hashlib
import pickle
import re
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open

from ..base.commands import first_line
from .folder import CheckpointError, check_no_pointer, part_of, read_object


SHARD = re.compile(r"-(\d+)-of-(\d+)$")
# Types of quantised weights, which mean nothing without their scales.
QUANTISED = {torch.int8, torch.uint8, torch.float8_e4m3fn, torch.float8_e5m2, torch.float8_e4m3fnuz}
QUANTISED |= {torch.float8_e5m2fnuz, torch.float8_e8m0fnu}
# A matrix that LoRA adapts, in the original's way to name it, or in either of transformers'.
ADAPTED = re.compile(
    r"(?:^|\.)language_model\.(?:model\.)?layers\.(\d+)\."
    r"((?:self_attn\.[qkvo]|mlp\.(?:gate|up|down))_proj)\.weight$"
)
DIGESTED_VALUES = 4096


def load_pickle(path: Path):
    """What `torch.save` wrote to `path`, mapped where the format allows it; tensors only."""
    try:
        # Files of torch < 1.6 are no zip archives and cannot be mapped.
        return torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{path}: refused, it holds more than tensors (torch.load, weights_only=True). Save its state dict alone."
        ) from error
    except Exception as error:  # of a file that is none of torch's, its unpickler raises what it stumbles on
        said = f"{type(error).__name__}: {first_line(error)}"
        raise CheckpointError(
            f"{path}: not a whole file of torch.save ({said}): copy or download it again."
        ) from error


@contextmanager
def open_weights(path: Path) -> Iterator[tuple[list[str], Callable[[str], torch.Tensor]]]:
    """Keys of a weights file and a function that reads one, without reading the whole file."""
    check_no_pointer(path)
    if path.suffix == ".safetensors":
        try:
            handle = safe_open(path, framework="pt")
        except SafetensorError as error:
            raise CheckpointError(
                f"{path}: not a whole safetensors file ({first_line(error)}): copy or download it again."
            ) from error
        with handle:
            yield list(handle.keys()), handle.get_tensor
        return
    state = load_pickle(path)
    if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise CheckpointError(f"{path}: expected a state dict (name -> tensor), got {type(state).__name__}.")
    yield list(state), state.__getitem__


def weight_files(folder: Path) -> list[Path]:
    """
    The weight files of a checkpoint folder, under the names transformers gives them; safetensors before .bin.

    Raises:
        [`CheckpointError`]: if there are none, or it is not clear which are the model's.
    """
    for stem, suffix in (("model", ".safetensors"), ("pytorch_model", ".bin")):
        whole, index = folder / f"{stem}{suffix}", folder / f"{stem}{suffix}.index.json"
        shards = [path for path in sorted(folder.glob(f"{stem}-*{suffix}")) if SHARD.search(path.stem)]
        if index.is_file():
            shards = _indexed(index, shards)
        elif shards:
            _check_numbers(shards)
        if shards and whole.is_file():
            raise CheckpointError(
                f"{folder}: {whole.name} lies beside {shards[0].name}, and only one of them can be the model: "
                "remove the other"
            )
        if files := shards or [whole] * whole.is_file():
            return files
    raise CheckpointError(f"{folder}: no weights found, expected model*.safetensors or pytorch_model*.bin.")


def _indexed(index: Path, shards: list[Path]) -> list[Path]:
    """The files that an index names, which must be there, and no other shards."""
    names = part_of(read_object(index), "weight_map", index).values()
    if not names or not all(isinstance(name, str) for name in names):
        raise CheckpointError(f"{index}: expected a `weight_map` of weights to files: copy or download it again")
    files = sorted({index.parent / name for name in names})
    if missing := [path.name for path in files if not path.is_file()]:
        raise CheckpointError(f"{index}: names {missing[0]}, which is not there: copy or download it again")
    if others := [path.name for path in shards if path not in files]:
        raise CheckpointError(f"{index}: does not name {others[0]}, which lies beside it: remove what is left over")
    return files


def _check_numbers(shards: list[Path]) -> None:
    """Shards without an index: all of one set."""
    found = [SHARD.search(path.stem) for path in shards]
    totals = {int(match[2]) for match in found}
    missing = sorted(set(range(1, max(totals) + 1)) - {int(match[1]) for match in found})
    if len(totals) > 1 or missing:
        what = f"shard {missing[0]} is missing" if missing else "they are of two sets"
        raise CheckpointError(f"{shards[0].parent}: {what}, of {shards[0].name} and what lies beside it")


def check_type(path: Path, key: str, tensor: torch.Tensor) -> None:
    """Raises [`CheckpointError`] for a quantised weight."""
    if tensor.dtype in QUANTISED:
        raise CheckpointError(
            f"{path}: {key} is stored as {str(tensor.dtype).removeprefix('torch.')}, which is quantised: take the "
            "weights in float32, bfloat16 or float16"
        )


def check_weights(folder: Path) -> None:
    """
    Make sure, before anything is built, that transformers will find weights here that mean something.

    Raises:
        [`CheckpointError`]: as [`weight_files`]; for git-lfs pointers, files that are cut off, and weights that are
            quantised without a `quantization_config` to tell how.
    """
    is_told = bool(read_object(folder / "config.json").get("quantization_config"))
    for path in weight_files(folder):
        with open_weights(path) as (keys, read):
            for key in () if is_told else keys:
                check_type(path, key, read(key))


def language_digest(folder: Path) -> str:
    """
    A digest of the matrices of the language model that LoRA adapts: of the first 4096 values of each, as stored.

    It is the same for float32, bfloat16 or float16 copies as long as the values are the same (so not for a float32
    checkpoint rounded to 16 bits), for any sharding, and for a native checkpoint and the one `holmes-vau init` makes
    of it; scorer, vision tower, projector and embeddings do not count. A merged adapter changes nearly every value.

    Args:
        folder (`Path`): Checkpoint folder, Holmes-VAU or native InternVL.
    """
    parts = {}
    for path in weight_files(folder):
        with open_weights(path) as (keys, read):
            for key in keys:
                if found := ADAPTED.search(key):
                    values = read(key).flatten()[:DIGESTED_VALUES].float().numpy().tobytes()
                    parts[found[2], int(found[1])] = hashlib.sha256(values).digest()
    return hashlib.sha256(b"".join(parts[name] for name in sorted(parts))).hexdigest()[:16]
