"""What the training scripts share: checks, going on with a run, its log, and mistakes told in a line."""

import argparse
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from transformers import TrainerCallback
from transformers.configuration_utils import PreTrainedConfig

from .cli import run_command
from .files_holmes_vau import write_whole


SETTINGS = "settings.json"


def run_script(main: Callable[[], Any]) -> int:
    """Run the `main` of a script; the caller's mistakes become a line on stderr and status 1."""

    def run(_: argparse.Namespace) -> int:
        main()
        return 0

    return run_command(run, argparse.Namespace())


def check_model(name: str, *kinds: str) -> str:
    """
    The `model_type` of the checkpoint that `--model` names.

    Raises:
        `ValueError`: if there is none, or it is none of `kinds`.
    """
    if not os.path.isdir(name) and (name.startswith((".", "/", "~")) or name.count("/") > 1):
        raise ValueError(f"--model {name}: no such folder; expected a checkpoint folder or a Hub name.")
    kind = PreTrainedConfig.get_config_dict(name)[0].get("model_type")
    if kind not in kinds:
        raise ValueError(f"--model {name}: expected a checkpoint of type {' or '.join(kinds)}, got {kind!r}.")
    return kind


def check_devices(training_args) -> None:
    """Raises `ValueError` where `Trainer` would split batches over several GPUs of one process."""
    if training_args.n_gpu > 1:
        raise ValueError(
            f"{training_args.n_gpu} GPUs in one process: start with `accelerate launch`, or show it one of them "
            "(CUDA_VISIBLE_DEVICES=0)."
        )


def find_checkpoint(output: str, settings: dict, is_main: bool) -> str | None:
    """
    Where a run goes on: the last whole checkpoint of its output folder. The settings are kept there.

    Args:
        output (`str`): The output folder of the run.
        settings (`dict`): What decides the course of the run, as JSON can hold it.
        is_main (`bool`): Whether this process writes.

    Raises:
        `ValueError`: if the folder holds checkpoints of other settings.
    """
    path = Path(output) / SETTINGS
    # `Trainer` writes the state last: a checkpoint without it is what a kill left.
    whole = [state.parent for state in Path(output).glob("checkpoint-*/trainer_state.json")]
    last = max(whole, key=lambda folder: int(folder.name.rpartition("-")[2]), default=None)
    if last is None:
        pass
    elif not path.is_file():
        raise ValueError(f"{output} holds {last.name} but no {SETTINGS} to tell of what run. Choose another folder.")
    elif (found := json.loads(path.read_text(encoding="utf-8"))) != settings:
        name = next(name for name in {**settings, **found} if found.get(name) != settings.get(name))
        raise ValueError(
            f"{output} holds a run with {name} {found.get(name)!r}, this one has {settings.get(name)!r}. "
            "Choose another --output_dir, or delete it."
        )
    if is_main:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, json.dumps(settings, indent=2) + "\n")
    return last and str(last)


class JsonLinesLog(TrainerCallback):
    """Every log as a line of JSON. What a resumed run does again is taken out first, so that each step stands once."""

    def __init__(self, path: Path):
        self.path = path

    def on_train_begin(self, args, state, control, **kwargs):
        """Keeps the lines up to the step training starts from."""
        if not state.is_world_process_zero:
            return
        lines = self.path.read_text(encoding="utf-8").splitlines() if self.path.is_file() else []
        kept = [line for line in lines if line.endswith("}") and json.loads(line)["step"] <= state.global_step]
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(self.path, "".join(f"{line}\n" for line in kept))

    def on_log(self, args, state, control, logs=None, **kwargs):
        """Appends one line."""
        if state.is_world_process_zero:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"step": state.global_step, **logs}) + "\n")
