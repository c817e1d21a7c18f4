"""What the training scripts share: checks, going on with a run, its log, and mistakes told in a line."""

import argparse
import json
import logging
import math
import os
import shutil
import sys
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
import yaml
from safetensors import SafetensorError, safe_open
from transformers import TrainerCallback, set_seed
from trl import TrlParser

from modeling_holmes_vau.base.commands import check_output_folder, first_line, run_command
from modeling_holmes_vau.base.files import read_json_lines, write_whole
from modeling_holmes_vau.base.parser import Parser


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
    """A base of training arguments: outside a terminal `Trainer` prints its logs and draws no bars."""

    def __post_init__(self):
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


def _read_settings(output: Path) -> dict | None:
    """The settings of the run that an output folder holds: its own file, else the copy in its newest checkpoint."""
    for path in (output / SETTINGS, *(folder / SETTINGS for folder in reversed(_checkpoints(output)))):
        try:
            if isinstance(settings := json.loads(path.read_text(encoding="utf-8")), dict):
                return settings
        except (ValueError, OSError):
            pass
        if path.is_file():
            logger.warning(f"{path} is cut off or damaged: the settings are taken from a checkpoint's copy, if any")
    return None


def check_run(output: str | os.PathLike, settings: dict) -> None:
    """
    Make sure that what an output folder holds, checkpoints or results, is of a run with these settings.

    Args:
        output (`str` or `os.PathLike`): The output folder of the run.
        settings (`dict`): What decides the course of the run, as JSON can hold it.

    Raises:
        `ValueError`: if the folder holds a run of other settings, or of a version with other options.
        [`CommandError`]: if it is a file.
    """
    check_output_folder(output, "--output-dir")
    output = Path(output)
    held = [*_checkpoints(output), *(output / name for name in RESULTS if (output / name).exists())]
    if not held:
        return
    if (found := _read_settings(output)) is None:
        problem = f"a damaged {SETTINGS}" if (output / SETTINGS).exists() else f"no {SETTINGS}"
        raise ValueError(
            f"{output} holds {held[-1].name} but {problem} to tell of what run. Choose another --output-dir."
        )
    asked = json.loads(json.dumps(settings))
    if untold := [name for name in {**asked, **found} if name not in asked or name not in found]:
        raise ValueError(
            f"{output} holds a run of another version, whose {SETTINGS} tells other options ({untold[0]!r} is in one "
            "alone). Choose another --output-dir, or delete it."
        )
    for name, value in asked.items():
        if found[name] != value:
            raise ValueError(
                f"{output} holds a run with {name} {found[name]!r}, this one has {value!r}. "
                "Choose another --output-dir, or delete it."
            )


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
        write_whole(output / SETTINGS, json.dumps(settings, indent=2) + "\n")
    found = _last_whole_checkpoint(output, is_main)
    return None if found is None else str(found)


class SettingsInCheckpoints(TrainerCallback):
    """A copy of the run's settings in each checkpoint."""

    def on_save(self, args, state, control, **kwargs):
        """Copies them from the output folder."""
        folder = Path(args.output_dir, f"checkpoint-{state.global_step}")
        if state.is_world_process_zero and folder.is_dir():
            write_whole(folder / SETTINGS, Path(args.output_dir, SETTINGS).read_bytes())


class JsonLinesLog(TrainerCallback):
    """Every log as a line of JSON. What a resumed run does again is taken out first, so that each step stands once."""

    def __init__(self, path: Path):
        self.path, self.finished = path, False

    def on_train_begin(self, args, state, control, **kwargs):
        """Keeps the lines up to the step training starts from."""
        if not state.is_world_process_zero:
            return
        lines = read_json_lines(self.path) if self.path.is_file() else []
        kept = [line for line in lines if isinstance(line, dict) and line.get("step", math.inf) <= state.global_step]
        self.finished = any("train_runtime" in line for line in kept)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(self.path, "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in kept))

    def on_log(self, args, state, control, logs=None, **kwargs):
        """Appends one line; a run that had ended has told its seconds already."""
        if state.is_world_process_zero and not (self.finished and "train_runtime" in logs):
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"step": state.global_step, **logs}) + "\n")
