"""What the training scripts share: checks, going on with a run, its log, and mistakes told in a line."""

import argparse
import json
import logging
import os
import shutil
import sys
import zipfile
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path
from typing import Any

import torch
import yaml
from accelerate import PartialState
from safetensors import SafetensorError, safe_open
from transformers import TrainerCallback, set_seed
from trl import TrlParser

from modeling_holmes_vau.base.commands import check_output_folder, first_line, run_command
from modeling_holmes_vau.base.files import write_whole
from modeling_holmes_vau.base.journal import Journal
from modeling_holmes_vau.base.parser import Parser
from modeling_holmes_vau.base.runs import check_settings, sole_run, write_settings


logger = logging.getLogger(__name__)

SETTINGS = "settings.json"
STATE = "trainer_state.json"
RESULTS = ("checkpoint", "adapter")  # what a finished run leaves


class TrainingParser(Parser, TrlParser):
    """TRL's parser of dataclasses and `--config`, with mistakes told as our other programs do."""

    def __init__(self, kinds: tuple[type, ...]):
        super().__init__(kinds)
        self.add_argument("--help-all", action="help", help="show all options and end")

    def parse_args_and_config(self, args: list[str] | None = None) -> tuple[Any, ...]:
        """As that of TRL; a configuration that cannot be read is one line."""
        words = list(sys.argv[1:] if args is None else args)
        words = [part for word in words for part in (word.split("=", 1) if word.startswith("--config=") else [word])]
        if words[-1:] == ["--config"]:
            self.error("argument --config: expected the name of a YAML file")
        try:
            return super().parse_args_and_config(words)
        except yaml.YAMLError as error:
            file = words[words.index("--config") + 1]
            raise ValueError(
                f"--config {file}: not YAML of options, a line each as `seed: 0`: {first_line(error)}"
            ) from error


class TrainerBars:
    """A base of training arguments: outside a terminal `Trainer` prints its logs and draws no bars; where there is no
    accelerator the CPU computes, in bfloat16 too, which `Trainer` refuses unless it is told so."""

    def __post_init__(self):
        self.use_cpu = self.use_cpu or not (torch.cuda.is_available() or torch.backends.mps.is_available())
        if self.disable_tqdm is None:
            self.disable_tqdm = not sys.stderr.isatty()
        super().__post_init__()


def read_options(kinds: tuple[type, ...], argv: list[str] | None = None) -> tuple[Any, Any]:
    """Our options and the trainer's; the main process alone tells how things go, and chance has the run's seed."""
    args, training_args = TrainingParser(kinds).parse_args_and_config(argv)
    logging.basicConfig(level=logging.INFO if training_args.process_index == 0 else logging.ERROR)
    set_seed(training_args.seed)
    return args, training_args


def run_script(main: Callable[[], Any]) -> int:
    """Run the `main` of a script; the caller's mistakes become a line on stderr and status 1."""

    def run(_: argparse.Namespace) -> int:
        main()
        if torch.distributed.is_initialized():  # its threads would abort a process that ends with them
            torch.distributed.destroy_process_group()
        return 0

    return run_command(run, argparse.Namespace())


def alone(training_args) -> AbstractContextManager:
    """The output folder is this run's alone, which its main process sees to.

    Raises:
        [`RunError`]: if another run has it.
        [`CommandError`]: if it is a file.
    """
    check_output_folder(training_args.output_dir, "--output-dir")
    return sole_run(Path(training_args.output_dir)) if training_args.process_index == 0 else nullcontext()


def in_turn(folder: Path) -> AbstractContextManager:
    """Runs that fill one folder with the same things wait for each other, by their main processes."""
    return sole_run(folder, waits=True) if PartialState().is_main_process else nullcontext()


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


def has_fast_bfloat16(use_cpu: bool = False) -> bool:
    """Whether bfloat16 pays where a training computes: on the GPU if there is one, else on the CPU."""
    if not use_cpu and torch.cuda.is_available():
        return torch.cuda.is_bf16_supported()
    return cpu_has_bfloat16()


def _checkpoints(output: Path) -> list[Path]:
    """The finished checkpoints of a run, in order."""
    # `Trainer` writes the state last: a checkpoint without it is what a kill left.
    whole = [state.parent for state in output.glob(f"checkpoint-*/{STATE}")]
    numbers = {int(number): folder for folder in whole if (number := folder.name[len("checkpoint-") :]).isdigit()}
    return [numbers[number] for number in sorted(numbers)]


def find_fault(folder: Path) -> str | None:
    """The name of a file of a checkpoint that is cut off or empty, as a power cut leaves files; `None` if all are
    whole."""
    if not (folder / STATE).is_file():  # another process has set it aside
        return STATE
    for path in sorted(folder.rglob("*")):
        try:
            if path.suffix == ".json" and not isinstance(json.loads(path.read_text(encoding="utf-8")), dict):
                return path.name
            if path.suffix == ".safetensors":
                with safe_open(path, "pt"):
                    pass
            if path.suffix in (".pt", ".pth", ".bin"):
                with zipfile.ZipFile(path) as archive:  # as `torch.save` writes, with a checksum for each part
                    if archive.testzip() is not None:
                        return path.name
        except (ValueError, OSError, SafetensorError, zipfile.BadZipFile):
            return path.name
    return None


def _last_whole_checkpoint(output: Path, is_main: bool) -> Path | None:
    """The newest checkpoint whose files are whole; damaged ones are told and set aside."""
    folders = _checkpoints(output)
    for folder in reversed(folders):
        if (fault := find_fault(folder)) is None:
            return folder
        logger.warning(f"{folder}: {fault} is cut off or damaged: it is not used, and set aside as damaged-*")
        if is_main:  # under its name, `Trainer` would count it among those it keeps
            aside = folder.with_name(f"damaged-{folder.name}")
            shutil.rmtree(aside, ignore_errors=True)
            with suppress(OSError):
                folder.rename(aside)
    if folders:
        logger.warning(f"{output}: no checkpoint is whole: the run begins anew")
    return None


def check_run(output: str | os.PathLike, settings: dict) -> None:
    """
    Make sure that what an output folder holds, checkpoints or results, is of a run with these settings.

    Args:
        output (`str` or `os.PathLike`): The output folder of the run.
        settings (`dict`): What decides the course of the run.

    Raises:
        [`RunError`]: if the folder holds a run of other settings.
        [`CommandError`]: if it is a file.
    """
    check_output_folder(output, "--output-dir")
    output = Path(output)
    held = [*_checkpoints(output), *(output / name for name in RESULTS if (output / name).exists())]
    if not held:
        return
    copies = [folder / SETTINGS for folder in reversed(_checkpoints(output))]
    holds = f"--output-dir {output}: holds {held[-1].name}"
    check_settings(output / SETTINGS, settings, holds, "choose another folder, or delete it", copies=copies)


def find_checkpoint(output: str | os.PathLike, settings: dict, is_main: bool) -> str | None:
    """
    Where a run goes on: the last whole checkpoint of its output folder. The settings are kept there.

    Args:
        output, settings: As for [`check_run`], which is called.
        is_main (`bool`): Whether this process writes.
    """
    output = Path(output)
    check_run(output, settings)
    if is_main:
        output.mkdir(parents=True, exist_ok=True)
        write_settings(output / SETTINGS, settings)
    found = _last_whole_checkpoint(output, is_main)
    return None if found is None else str(found)


class SettingsInCheckpoints(TrainerCallback):
    """A copy of the run's settings in each checkpoint."""

    def on_save(self, args, state, control, **kwargs):
        """Copies them from the output folder."""
        folder = Path(args.output_dir, f"checkpoint-{state.global_step}")
        if state.is_world_process_zero and folder.is_dir():
            write_whole(folder / SETTINGS, Path(args.output_dir, SETTINGS).read_bytes())


def _has_step(entry: Any) -> bool:
    return isinstance(entry, dict) and isinstance(entry.get("step"), int)


class JsonLinesLog(TrainerCallback):
    """Every log as a line of JSON. What a resumed run does again is taken out first, so that each step stands once."""

    def __init__(self, path: Path):
        self.journal, self.finished = Journal(path, _has_step), False

    def on_train_begin(self, args, state, control, **kwargs):
        """Keeps the lines up to the step training starts from."""
        if not state.is_world_process_zero:
            return
        kept = [line for line in self.journal.read() if line["step"] <= state.global_step]
        self.finished = any("train_runtime" in line for line in kept)
        self.journal.rewrite(kept)

    def on_log(self, args, state, control, logs=None, **kwargs):
        """Appends one line; a run that had ended has told its seconds already."""
        if state.is_world_process_zero and not (self.finished and "train_runtime" in logs):
            self.journal.append({"step": state.global_step, **logs})
