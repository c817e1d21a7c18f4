"""Stage 2, its options: TRL's with our defaults, and mistakes that show before anything is read."""

import logging
import os
from dataclasses import dataclass, field
from typing import Any

import torch
from trl import SFTConfig

from hivau70k_dataset.general import GENERAL_LEVELS
from hivau70k_dataset.schema import LEVELS, TASKS
from modeling_holmes_vau.sampler_holmes_vau import check_sampler
from training.options import SFTArguments, SFTTrainerDefaults
from training.runs import TrainerBars, check_devices, cpu_has_bfloat16


logger = logging.getLogger(__name__)


@dataclass
class SFTTrainingArguments(TrainerBars, SFTTrainerDefaults, SFTConfig):
    """All of TRL's options; accumulation follows from `--global-batch-size`."""

    max_length: int | None = field(default=None, metadata={"help": "None: frames take thousands of tokens"})
    dataset_kwargs: dict[str, Any] | str | None = field(
        default_factory=lambda: {"skip_prepare_dataset": True}, metadata={"help": "batches are made here"}
    )
    remove_unused_columns: bool = field(default=False, metadata={"help": "batches are made here"})
    dataloader_prefetch_factor: int | None = field(default=None, metadata={"help": "batches each is ahead (2)"})
    ddp_find_unused_parameters: bool | None = field(default=False, metadata={"help": "all that learns is used"})
    ddp_timeout: int = field(default=7 * 24 * 3600, metadata={"help": "seconds processes wait for each other"})

    def __post_init__(self):
        if self.bf16 is None:
            on_gpu = not self.use_cpu and torch.cuda.is_available()
            self.bf16 = on_gpu and not self.fp16 and torch.cuda.is_bf16_supported()
        super().__post_init__()


def is_sharded() -> bool:
    """Whether FSDP shares the weights out."""
    return os.environ.get("ACCELERATE_USE_FSDP", "false") == "true"


def check_arguments(args: SFTArguments, training_args: SFTTrainingArguments) -> None:
    """Mistakes that show before anything is read; sets the accumulation."""
    if not args.dry_run:
        check_devices(training_args)
    for name, known in (("levels", LEVELS), ("tasks", TASKS), ("general", GENERAL_LEVELS), ("texts", LEVELS)):
        if unknown := [value for value in getattr(args, name) if value not in known]:
            raise ValueError(f"--{name} has {unknown[0]!r}, expected some of {', '.join(known)}.")
    if any(most < 1 for most in args.general_spans) or (args.general_spans and not args.general):
        raise ValueError("--general-spans is for --general, and 1 or more: leave it out.")
    if len(args.general_spans) not in (0, 1, len(args.general)):
        raise ValueError(
            f"--general-spans has {len(args.general_spans)} numbers for {len(args.general)} levels of --general: "
            "pass one for all, or one for each."
        )
    if args.sampler is not None:
        check_sampler(args.sampler)
    if args.train_vision and not args.full:
        raise ValueError("--train-vision is for --full true: adapters are on the language model alone.")
    if args.full and args.train_embeddings:
        raise ValueError("--train-embeddings is for LoRA: --full true trains them anyway.")
    if args.full and args.load_in_4bit:
        raise ValueError("--load-in-4bit freezes the language model: it is for LoRA, not for --full true.")
    if args.feature_cache and (args.train_vision or args.frame_policy == "original"):
        raise ValueError("--feature-cache needs a frozen vision tower and the same frames each time: leave it out.")
    if not args.dry_run and not (args.annotations and args.videos):
        raise ValueError("Pass --annotations and --videos, or --dry-run true.")
    if args.dry_run and bool(args.annotations) != bool(args.videos):
        raise ValueError("A dry run counts rows by --annotations and --videos: pass both, or neither.")
    if args.num_rows is not None and (args.annotations or args.num_rows < 1 or not args.dry_run):
        raise ValueError("--num-rows is for a dry run without --annotations, and 1 or more: leave it out.")
    if args.sample_steps and is_sharded() and not args.dry_run:
        raise ValueError("Sample answers need whole weights, which FSDP shares out: pass --sample-steps 0.")
    if training_args.bf16 and training_args.use_cpu and not cpu_has_bfloat16():
        logger.warning("This CPU computes in bfloat16 many times slower than in float32: pass --bf16 false.")
    if training_args.gradient_accumulation_steps != 1:
        raise ValueError("--gradient-accumulation-steps follows from --global-batch-size: leave it out.")
    training_args.gradient_accumulation_steps = accumulation_for(
        args.global_batch_size, training_args.per_device_train_batch_size, training_args.world_size
    )


def accumulation_for(global_batch_size: int, per_device: int, processes: int) -> int:
    """How many batches of each process make a step of `global_batch_size` rows.

    Raises:
        `ValueError`: if it does not divide.

    Example:

    ```python
    >>> accumulation_for(512, per_device=4, processes=8)
    16

    ```
    """
    at_once = per_device * processes
    if global_batch_size < 1 or global_batch_size % at_once:
        raise ValueError(
            f"--global-batch-size {global_batch_size} is no multiple of {at_once} (--per-device-train-batch-size "
            f"{per_device} in {processes} process(es)). Choose sizes that divide it."
        )
    return global_batch_size // at_once
