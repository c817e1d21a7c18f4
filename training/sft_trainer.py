"""Stage 2, its training: what learns, TRL's trainer on batches of segments, sample answers, and the plan of a run."""

import copy
import importlib.util
import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import wraps
from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model
from peft.utils import ModulesToSaveWrapper
from transformers import BitsAndBytesConfig, InternVLConfig, InternVLForConditionalGeneration, get_scheduler
from transformers.modeling_outputs import BaseModelOutputWithPooling
from trl import SFTTrainer

from modeling_holmes_vau.base.share import do_all
from modeling_holmes_vau.checkpoint.folder import NATIVE, OURS, readable, told_in_a_line
from modeling_holmes_vau.checkpoint.known import config_2b
from modeling_holmes_vau.checkpoint.load import open_folder
from modeling_holmes_vau.configuration_holmes_vau import HolmesVAUConfig
from modeling_holmes_vau.modeling_holmes_vau import HolmesVAUForConditionalGeneration
from training.runs import JsonLinesLog
from training.sft_batch import normalize_pixels, prompt_ids


logger = logging.getLogger(__name__)

PROJECTIONS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
# The vision tower has projections of the same names: only those of the language model are adapted.
LORA_TARGETS = rf"(?:.*\.)?language_model\..*\.(?:{'|'.join(PROJECTIONS)})"
EMBEDDINGS = ["embed_tokens", "lm_head"]
NOT_QUANTIZED = ["vision_tower", "multi_modal_projector", "anomaly_scorer", "lm_head"]


# ---- what learns ----------------------------------------------------------------------------------------------------


def lora_config(
    r: int = 64, alpha: int | None = None, dropout: float = 0.05, train_embeddings: bool = False
) -> LoraConfig:
    """LoRA on the seven projections of each layer of the language model.

    Args:
        r (`int`, *optional*, defaults to 64): Rank.
        alpha (`int`, *optional*, defaults to `2 * r`): Scale (InternVL's `wrap_llm_lora` takes twice the rank).
        dropout (`float`, *optional*, defaults to 0.05): In front of the adapters.
        train_embeddings (`bool`, *optional*, defaults to `False`): Let copies of the token embeddings and of the
            output layer learn in full.
    """
    return LoraConfig(
        r=r,
        lora_alpha=2 * r if alpha is None else alpha,
        lora_dropout=dropout,
        target_modules=LORA_TARGETS,
        modules_to_save=EMBEDDINGS if train_embeddings else None,
        task_type="CAUSAL_LM",
    )


def four_bits() -> BitsAndBytesConfig:
    """QLoRA: the language model in 4-bit normal floats, computing in bfloat16.

    Raises:
        `ImportError`: without bitsandbytes.
    """
    if importlib.util.find_spec("bitsandbytes") is None:
        raise ImportError("--load-in-4bit needs bitsandbytes: pip install bitsandbytes (and a GPU it supports)")
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16,
        llm_int8_skip_modules=NOT_QUANTIZED,
    )


def unfreeze(model, train_vision: bool = False) -> None:
    """Full-parameter training: language model and projector learn, the scorer does not, the vision tower if asked."""
    model.requires_grad_(False)
    for module in (model.model.language_model, model.model.multi_modal_projector, model.lm_head):
        module.requires_grad_(True)
    model.model.vision_tower.requires_grad_(train_vision)


def freeze_tower(model) -> None:
    """
    Keep the vision tower out of the gradient graph, and let it pass its own stored outputs through.

    PEFT with gradient checkpointing makes the outputs of all embeddings require gradients, those of the frozen vision
    tower included, and would go back through all of it for nothing. `pixel_values` of three dimensions are features
    `(frames, 1 + patches, vision_hidden_size)` that the tower gave before.
    """
    tower = model.model.vision_tower
    encode = tower.forward

    @wraps(encode)
    def forward(pixel_values, *args, **kwargs):
        if pixel_values.ndim == 3:
            return BaseModelOutputWithPooling(last_hidden_state=pixel_values)
        with torch.no_grad():
            return encode(pixel_values, *args, **kwargs)

    tower.forward = forward


# ---- the trainer ----------------------------------------------------------------------------------------------------


class SegmentTrainer(SFTTrainer):
    """
    TRL's trainer on batches of [`SFTCollator`]: frames are normalised on the device, and segments that could not be
    read are named, counted (`skipped`, in all processes) and have no weight.
    """

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.skipped = 0
        for module in self.model.modules():  # PEFT keeps adapters in float32, but not copies that learn
            if isinstance(module, ModulesToSaveWrapper):
                module.modules_to_save.float()

    def train(self, *args, **kwargs):
        """As TRL's; the special tokens of the checkpoint stay its own (`Trainer` sets those of the tokenizer, and
        `</s>` does not end InternVL's turns)."""
        model, text_config = self.model, self.model.config.get_text_config()
        generation_config = copy.deepcopy(model.generation_config)
        ids = {name: getattr(text_config, name) for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
        result = super().train(*args, **kwargs)
        model.generation_config = generation_config
        for name, value in ids.items():
            setattr(text_config, name, value)
        return result

    def compute_loss(self, model, inputs, return_outputs: bool = False, num_items_in_batch=None):
        """TRL's loss: cross-entropy of the learned tokens, over their number in all of the step's batches."""
        problems = [problem for problem in inputs.pop("problems") if problem]
        for problem in problems:
            logger.warning(f"skipped: {problem}")
        count = torch.tensor(len(problems), device=self.accelerator.device)
        self.skipped += int(self.accelerator.gather(count).sum())
        if inputs["pixel_values"].dtype == torch.uint8:
            inputs["pixel_values"] = normalize_pixels(inputs["pixel_values"])
        return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Adds the number of skipped samples since the run began or went on."""
        if "loss" in logs:
            logs = {**logs, "skipped": self.skipped}
        super().log(logs, start_time)

    def create_model_card(self, *args, **kwargs) -> None:
        """Checkpoints on the way get no card."""

    def get_batch_samples(self, epoch_iterator, num_batches: int, device: torch.device):
        """Tells the collator the epoch, before workers start for the next one."""
        self.data_collator.epoch = int(self.state.epoch or 0)
        return super().get_batch_samples(epoch_iterator, num_batches, device)


class SampleAnswers(JsonLinesLog):
    """
    Answers to a few rows every so many steps, a line of JSON each: `step`, `video`, `question`, `reference`,
    `answer`.

    Args:
        path (`Path`): The file.
        rows (`Sequence[dict]`): Of the training set; the last turn of each is asked.
        collator ([`SFTCollator`]), processor (`HolmesVAUProcessor`): Those of the training.
        every (`int`): Steps.
        max_new_tokens (`int`, *optional*, defaults to 64): Longest answer.
        bf16 (`bool`, *optional*, defaults to `False`): Whether the training computes in bfloat16.
    """

    def __init__(
        self,
        path: Path,
        rows: Sequence[dict],
        collator,
        processor,
        every: int,
        max_new_tokens: int = 64,
        bf16: bool = False,
    ):
        super().__init__(path)
        self.bf16 = bf16
        self.rows, self.collator, self.processor = rows, collator, processor
        self.every, self.max_new_tokens = every, max_new_tokens

    def on_log(self, args, state, control, **kwargs):
        """Losses are for another file."""

    def on_step_end(self, args, state, control, model=None, **kwargs):
        """Appends the answers, in the main process."""
        if state.global_step % self.every or not state.is_world_process_zero:
            return
        was_training = model.training
        model.eval()
        for row in self.rows:
            turns = [(turn["question"], turn["answer"]) for turn in row["turns"]]
            fields = {"step": state.global_step, "video": row["video"], "question": turns[-1][0]}
            fields |= {"reference": turns[-1][1], "answer": self._answer(model, row, turns)}
            self.journal.append(fields)
        model.train(was_training)

    @torch.no_grad()
    def _answer(self, model, row: dict, turns: list[tuple[str, str]]) -> str | None:
        try:
            pixels = self.collator.visual(row)
        except (ValueError, OSError):
            return None
        pixels = pixels.to(model.device)
        ids = prompt_ids(self.processor, [*turns[:-1], (turns[-1][0], None)], self.collator.num_frames)
        input_ids = torch.tensor([ids], device=model.device)
        # Weights of two precisions: `generate` goes around the autocast of the forward pass.
        with torch.autocast(model.device.type, torch.bfloat16, enabled=self.bf16):
            output = model.generate(
                input_ids=input_ids,
                attention_mask=torch.ones_like(input_ids),
                pixel_values=normalize_pixels(pixels) if pixels.dtype == torch.uint8 else pixels,
                do_sample=False,
                max_new_tokens=self.max_new_tokens,
                pad_token_id=self.collator.pad_id,
            )
        return self.processor.decode(output[0, len(ids) :], skip_special_tokens=True).strip()


# ---- before the training --------------------------------------------------------------------------------------------


def encode_segments(features, tower, rows: Sequence[dict], process: int = 0, num_processes: int = 1) -> dict[str, str]:
    """Encode what is not stored yet, this process's share of the segments.

    Returns:
        `dict[str, str]`: Why segments can't be read, by name.
    """
    unique = {(row["key"], *row["frames"]): row for row in rows}.values()
    return do_all(
        unique,
        lambda row: features.make(tower, row["path"], row["key"], row["frames"]),
        lambda row: row["video"],
        "features",
        "segment",
        process,
        num_processes,
    )


# ---- the plan of a run ----------------------------------------------------------------------------------------------


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
