"""Stage 2, before it: what would learn, and when, told without weights and without opening a video."""

import logging
import math
from dataclasses import dataclass

import torch
from peft import LoraConfig, get_peft_model
from transformers import InternVLConfig, InternVLForConditionalGeneration, get_scheduler

from modeling_holmes_vau.checkpoint.folder import NATIVE, OURS, readable, told_in_a_line
from modeling_holmes_vau.checkpoint.known import config_2b
from modeling_holmes_vau.checkpoint.load import open_folder
from modeling_holmes_vau.configuration_holmes_vau import HolmesVAUConfig
from modeling_holmes_vau.modeling_holmes_vau import HolmesVAUForConditionalGeneration
from training.options import SFTArguments
from training.sft_arguments import SFTTrainingArguments
from training.sft_data import read_conversations
from training.sft_model import PROJECTIONS, lora_config, unfreeze
from training.sft_rows import text_rows


logger = logging.getLogger(__name__)

DRY_RUN_ROWS = 70_000  # about as many as HIVAU-70k has


def dry_run(args: SFTArguments, training_args: SFTTrainingArguments) -> None:
    """Print what would learn, and when."""
    if args.model != "2b":
        open_folder(args.model, OURS, NATIVE, weights=False)
    lora = lora_config(args.lora_r, args.lora_alpha, args.lora_dropout, args.train_embeddings)
    for line in describe_trainable(build_on_meta(args.model), args.full, args.train_vision, lora):
        print(line)
    number = count_rows(args)
    schedule = Schedule.of(training_args, number)
    print(
        f"rows: {number:,}; global batch {args.global_batch_size} = {training_args.per_device_train_batch_size}"
        f" rows x {training_args.gradient_accumulation_steps} batches x {training_args.world_size} process(es)"
    )
    print(f"optimisation steps: {schedule.steps}, of which warm-up: {schedule.warmup_steps}")
    rates = ", ".join(f"step {step}: {rate:.3g}" for step, rate in schedule.rates.items())
    print(f"learning rate ({training_args.lr_scheduler_type.value}): {rates}")


def count_rows(args: SFTArguments) -> int:
    """Rows of the schedule of a dry run: those that are there, of which no video is opened, or `--num-rows`."""
    if not args.annotations:
        return DRY_RUN_ROWS if args.num_rows is None else args.num_rows
    which = (args.levels, args.tasks, args.split, args.conversations, (), args.general, args.general_spans)
    found, problems = read_conversations(args.annotations, args.videos, *which)
    if problems:
        logger.warning(f"{len(problems)} segments are left out; {len(found)} conversations remain")
    if not found:
        raise ValueError(f"No segment of {args.annotations} is under {args.videos}.")
    return len(found) + len(text_rows(args, len(found)))


def build_on_meta(model: str):
    """The model of a configuration without weights: `"2b"`, or a folder or Hub name with a `config.json`."""
    if model == "2b":
        with torch.device("meta"):
            return HolmesVAUForConditionalGeneration(config_2b())
    folder, kind = open_folder(model, OURS, NATIVE, weights=False)
    with readable(folder) as path, told_in_a_line(f"--model {model}", "cannot be built"), torch.device("meta"):
        if kind == OURS:
            return HolmesVAUForConditionalGeneration(HolmesVAUConfig.from_pretrained(path))
        return InternVLForConditionalGeneration(InternVLConfig.from_pretrained(path))


def describe_trainable(model, full: bool, train_vision: bool, lora: LoraConfig) -> list[str]:
    """What would learn, in lines: numbers of parameters, and of adapted modules by name."""
    total = sum(parameter.numel() for parameter in model.parameters())
    if full:
        unfreeze(model, train_vision)
        modules = {}
    else:
        model = get_peft_model(model, lora, low_cpu_mem_usage=True)
        adapted = [name for name, module in model.named_modules() if name.endswith("lora_A.default")]
        modules = {part: sum(f".{part}." in name for name in adapted) for part in PROJECTIONS}
    learned = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    lines = [f"parameters of the model: {total:,}", f"trainable parameters: {learned:,} ({learned / total:.2%})"]
    if modules:
        per_module = ", ".join(f"{name} {count}" for name, count in modules.items())
        lines.append(f"adapted modules: {sum(modules.values())} ({per_module}), r {lora.r}, alpha {lora.lora_alpha}")
    return lines


@dataclass(frozen=True)
class Schedule:
    """
    Steps and learning rates of a run.

    Args:
        steps (`int`): Optimisation steps in all.
        warmup_steps (`int`): Those of them in which the rate rises.
        rates (`dict[int, float]`): Learning rate at some steps, counted from 1.
    """

    steps: int
    warmup_steps: int
    rates: dict[int, float]

    @classmethod
    def of(cls, args, num_rows: int) -> "Schedule":
        """The schedule of training arguments, accumulation set, for a number of rows; counted as `Trainer` does."""
        batches = math.ceil(math.ceil(num_rows / args.per_device_train_batch_size) / args.world_size)
        per_epoch = max(1, math.ceil(batches / args.gradient_accumulation_steps))
        steps = args.max_steps if args.max_steps > 0 else math.ceil(args.num_train_epochs * per_epoch)
        warmup = args.get_warmup_steps(steps)
        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=args.learning_rate)
        kwargs = {"scheduler_specific_kwargs": args.lr_scheduler_kwargs or {}}
        scheduler = get_scheduler(args.lr_scheduler_type, optimizer, warmup, steps, **kwargs)
        shown = {1, warmup, warmup + 1, steps // 2, steps} & set(range(1, steps + 1))
        rates = {}
        for step in range(1, steps + 1):
            if step in shown:
                rates[step] = scheduler.get_last_lr()[0]
            optimizer.step()
            scheduler.step()
        return cls(steps, warmup, rates)
