"""What the training scripts share: checks, going on with a run, its log, and mistakes told in a line."""

import argparse
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback

from .cli import run_command
from .files_holmes_vau import write_whole


SETTINGS = "settings.json"
RESULTS = ("checkpoint", "adapter")  # what a finished run leaves


def run_script(main: Callable[[], Any]) -> int:
    """Run the `main` of a script; the caller's mistakes become a line on stderr and status 1."""

    def run(_: argparse.Namespace) -> int:
        main()
        return 0

    return run_command(run, argparse.Namespace())


def check_devices(training_args) -> None:
    """Raises `ValueError` where `Trainer` would split batches over several GPUs of one process."""
    if training_args.n_gpu > 1:
        raise ValueError(
            f"{training_args.n_gpu} GPUs in one process: start with `accelerate launch`, or show it one of them "
            "(CUDA_VISIBLE_DEVICES=0)."
        )


def cpu_has_bfloat16() -> bool:
    """Whether bfloat16 pays on this CPU: without AVX-512 a matrix product takes many times as long as in float32."""
    return torch.backends.cpu.get_cpu_capability().startswith("AVX512")


def _checkpoints(output: Path) -> list[Path]:
    """The whole checkpoints of a run, in order."""
    # `Trainer` writes the state last: a checkpoint without it is what a kill left.
    whole = [state.parent for state in output.glob("checkpoint-*/trainer_state.json")]
    numbers = {int(number): folder for folder in whole if (number := folder.name[len("checkpoint-") :]).isdigit()}
    return [numbers[number] for number in sorted(numbers)]


def check_run(output: str | os.PathLike, settings: dict) -> None:
    """
    Make sure that what an output folder holds, checkpoints or results, is of a run with these settings.

    Args:
        output (`str` or `os.PathLike`): The output folder of the run.
        settings (`dict`): What decides the course of the run, as JSON can hold it, or a part of that.

    Raises:
        `ValueError`: if the folder holds a run of other settings.
    """
    path = Path(output) / SETTINGS
    held = [*_checkpoints(Path(output)), *(Path(output) / name for name in RESULTS if (Path(output) / name).exists())]
    if not held:
        return
    if not path.is_file():
        raise ValueError(
            f"{output} holds {held[-1].name} but no {SETTINGS} to tell of what run. Choose another --output_dir."
        )
    found = json.loads(path.read_text(encoding="utf-8"))
    for name, value in json.loads(json.dumps(settings)).items():
        if found.get(name) != value:
            raise ValueError(
                f"{output} holds a run with {name} {found.get(name)!r}, this one has {value!r}. "
                "Choose another --output_dir, or delete it."
            )


def find_checkpoint(output: str | os.PathLike, settings: dict, is_main: bool) -> str | None:
    """
    Where a run goes on: the last whole checkpoint of its output folder. The settings are kept there.

    Args:
        output, settings: As for [`check_run`], which is called.
        is_main (`bool`): Whether this process writes.
    """
    check_run(output, settings)
    if is_main:
        Path(output).mkdir(parents=True, exist_ok=True)
        write_whole(Path(output) / SETTINGS, json.dumps(settings, indent=2) + "\n")
    return str(checkpoints[-1]) if (checkpoints := _checkpoints(Path(output))) else None


class JsonLinesLog(TrainerCallback):
    """Every log as a line of JSON. What a resumed run does again is taken out first, so that each step stands once."""

    def __init__(self, path: Path):
        self.path, self.finished = path, False

    def on_train_begin(self, args, state, control, **kwargs):
        """Keeps the lines up to the step training starts from."""
        if not state.is_world_process_zero:
            return
        # What stands behind the last line break is part of a line that a kill cut off.
        lines = self.path.read_bytes().split(b"\n")[:-1] if self.path.is_file() else []
        kept = [line.decode("utf-8") for line in lines if json.loads(line)["step"] <= state.global_step]
        self.finished = any("train_runtime" in line for line in kept)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(self.path, "".join(f"{line}\n" for line in kept))

    def on_log(self, args, state, control, logs=None, **kwargs):
        """Appends one line; a run that had ended has told its seconds already."""
        if state.is_world_process_zero and not (self.finished and "train_runtime" in logs):
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"step": state.global_step, **logs}) + "\n")
