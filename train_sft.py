"""Stage 2: tune the language model on instructions (paper, section 5.1) with TRL and LoRA, or all of it.

accelerate launch train_sft.py --config configs/sft.yaml --model base --annotations DIR --videos DIR --output-dir out
python train_sft.py --dry-run true --model 2b --num-rows 70000
"""

from modeling_holmes_vau.base.libraries import quiet_libraries
from training.options import SFTArguments, SFTTrainerDefaults, answer_help


OPTIONS = ("train_sft.py", __doc__, SFTArguments, SFTTrainerDefaults)
if __name__ == "__main__":  # the imports below take long
    answer_help(*OPTIONS)
    quiet_libraries()

import json
import logging
import os
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from accelerate.utils import gather_object
from datasets import Dataset
from transformers import set_seed
from trl import SFTConfig

from hivau70k_dataset.reading import digest
from hivau70k_dataset.schema import LEVELS, TASKS, is_synthetic
from modeling_holmes_vau.base.files import few_of
from modeling_holmes_vau.base.runs import sole_run
from modeling_holmes_vau.checkpoint.build import (
    config_from_native,
    processor_from_native,
    warning_after_language,
    write_model_card,
)
from modeling_holmes_vau.checkpoint.folder import NATIVE, OURS
from modeling_holmes_vau.checkpoint.load import load_checkpoint, load_native, open_folder
from modeling_holmes_vau.checkpoint.merge import copy_companions, write_adapter_notes
from modeling_holmes_vau.checkpoint.weights import language_digest
from modeling_holmes_vau.frame_rule_holmes_vau import FrameRule
from training.feature_cache import module_digest
from training.runs import (
    JsonLinesLog,
    SettingsInCheckpoints,
    TrainerBars,
    TrainingParser,
    alone,
    check_devices,
    cpu_has_bfloat16,
    find_checkpoint,
    run_script,
)
from training.sft_batch import SFTCollator, TowerFeatures
from training.sft_data import (
    Conversation,
    FrameChooser,
    find_again,
    read_conversations,
    read_rows,
    write_rows,
)
from training.sft_trainer import (
    SampleAnswers,
    Schedule,
    SegmentTrainer,
    accumulation_for,
    build_on_meta,
    describe_trainable,
    encode_segments,
    four_bits,
    freeze_tower,
    lora_config,
    unfreeze,
)


logger = logging.getLogger(__name__)

DRY_RUN_ROWS = 70_000  # about as many as HIVAU-70k has
ROWS = "rows.jsonl"  # in the output folder: what a run trains on, in order
UNSTORED = "errors-features.txt"  # in the output folder: of many segments whose features could not be stored


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
    for name, known in (("levels", LEVELS), ("tasks", TASKS)):
        if unknown := [value for value in getattr(args, name) if value not in known]:
            raise ValueError(f"--{name} has {unknown[0]!r}, expected some of {', '.join(known)}.")
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


def count_rows(args: SFTArguments) -> int:
    """Rows of the schedule of a dry run: those that are there, of which no video is opened, or `--num-rows`."""
    if not args.annotations:
        return DRY_RUN_ROWS if args.num_rows is None else args.num_rows
    found, problems = read_conversations(
        args.annotations, args.videos, args.levels, args.tasks, args.split, args.conversations
    )
    if problems:
        logger.warning(f"{len(problems)} segments are left out; {len(found)} conversations remain")
    if not found:
        raise ValueError(f"No segment of {args.annotations} is under {args.videos}.")
    return len(found)


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


def load(args: SFTArguments, training_args: SFTTrainingArguments):
    """The model, frozen or not, and its processor, which carries the number of frames."""
    name = os.path.abspath(args.model) if os.path.isdir(args.model) else args.model
    options = {}
    if args.load_in_4bit:
        options |= {"quantization_config": four_bits(), "dtype": torch.bfloat16}
        options["device_map"] = {"": training_args.device}
    with training_args.main_process_first(desc="the files of the checkpoint"):
        if open_folder(name, OURS, NATIVE, weights=False)[1] == OURS:
            model, processor = load_checkpoint(name, **options)
        else:
            model, tokenizer = load_native(name, **options)
            processor = processor_from_native(tokenizer, config_from_native(model.config))
    if args.num_frames is not None:
        processor.num_frames = args.num_frames
    if not args.load_in_4bit:
        model.to(training_args.device)
    return model, processor


def frame_rule(args: SFTArguments, model, processor) -> FrameRule:
    """How frames are chosen: as told, else as the checkpoint does. Random frames need no scores."""
    ours = model.config.model_type == "holmes_vau"
    sampler = args.sampler or (model.config.sampler if ours else "ats")
    sampler = "uniform" if args.frame_policy == "original" else sampler
    tau = model.config.sampler_tau if ours else 0.0
    return FrameRule(processor.num_frames, processor.frame_stride, sampler, float(tau))


def find_conversations(args: SFTArguments, processor) -> tuple[list[Conversation], dict[str, str]]:
    """The conversations to train on, and why segments are left out."""
    placeholders = (processor.video_token, processor.image_token)
    return read_conversations(
        args.annotations, args.videos, args.levels, args.tasks, args.split, args.conversations, placeholders
    )


def build_rows(args: SFTArguments, model, processor, output: Path | None = None) -> list[dict]:
    """Conversations with their frames; segments that are missing or can't be read are named, counted, left out. Of
    many, the names are in a file in `output`."""
    state = PartialState()
    found, missing = find_conversations(args, processor)
    segments = [conversation.segment for conversation in found]
    chooser = FrameChooser(Path(args.frames_dir), frame_rule(args, model, processor), model, processor)
    problems = missing | chooser.choose_all(segments, state.process_index, state.num_processes)
    state.wait_for_everyone()
    problems = dict(gather_object(list(problems.items())))
    chooser.frames.load()
    rows = [row for i, talk in enumerate(found) if (row := make_row(i, talk, chooser.frames.entries))]
    names = dict.fromkeys([*missing, *(segment.name for segment in segments)])  # whichever process found it first
    told = [f"left out: {name}: {problems[name]}" for name in names if name in problems]
    for line in few_of(told, output if state.is_main_process else None):
        logger.warning(line)
    if len(rows) < len(found) or problems:
        logger.warning(f"{len(problems)} segments are left out; {len(rows)} conversations remain")
    if not rows:
        raise ValueError(f"No segment of {args.annotations} can be read under {args.videos}.")
    return rows


def make_row(number: int, conversation: Conversation, choices: dict[str, dict]) -> dict | None:
    """A row of the training set; `None` if no frames could be chosen."""
    segment = conversation.segment
    try:
        choice = choices.get(key := segment.key())
    except OSError:
        return None
    if choice is None:
        return None
    turns = [{"question": question, "answer": answer} for question, answer in conversation.turns]
    return {"row": number, "video": segment.name, "path": segment.path, "key": key, "turns": turns, **choice}


def store_features(
    args: SFTArguments, model, processor, rows: list[dict], output: Path | None = None
) -> tuple[TowerFeatures | None, list[dict]]:
    """With a feature cache, encode what is missing from it; rows whose frames can't be read are left out."""
    if not args.feature_cache:
        return None, rows
    state, tower = PartialState(), model.model.vision_tower
    features = TowerFeatures(args.feature_cache, tower, processor)
    with sole_run(features.folder, waits=True) if state.is_main_process else nullcontext():
        problems = encode_segments(features, tower, rows, state.process_index, state.num_processes)
        problems = dict(gather_object(list(problems.items())))
    names = dict.fromkeys(row["video"] for row in rows)
    told = [f"left out: {name}: {problems[name]}" for name in names if name in problems]
    for line in few_of(told, output if state.is_main_process else None, UNSTORED):
        logger.warning(line)
    state.wait_for_everyone()
    stored = [row for row in rows if features.path(row["key"], row["frames"]).is_file()]
    if not stored:
        raise ValueError(f"--feature-cache {args.feature_cache}: none of the segments could be encoded; see above.")
    if len(stored) < len(rows):
        logger.warning(f"{len(rows) - len(stored)} conversations are left out, whose frames can't be read")
    return features, stored


def take_rows(
    args: SFTArguments, training_args: SFTTrainingArguments, model, processor, goes_on: bool
) -> tuple[TowerFeatures | None, list[dict]]:
    """The rows to train on and their stored features. A run that goes on has the rows it began with, in their order:
    what can't be read any more is skipped, as it is when that happens on the way."""
    path = Path(training_args.output_dir) / ROWS
    if not goes_on:
        rows = build_rows(args, model, processor, path.parent)
        features, rows = store_features(args, model, processor, rows, path.parent)
        if training_args.process_index == 0:
            write_rows(path, rows)
        return features, rows
    there, problems = find_conversations(args, processor)
    rows, missing = find_again(read_rows(path), there, problems)
    told = [f"skipped from here on: {name}: {problem}" for name, problem in missing.items()]
    for line in few_of(told, path.parent if training_args.process_index == 0 else None):
        logger.warning(line)
    if missing:
        logger.warning(
            f"{len(missing)} segments of this run can't be read now: put their videos back to train on them"
        )
    features, stored = store_features(args, model, processor, rows, path.parent)
    if len(stored) < len(rows):
        raise ValueError(
            f"--feature-cache {args.feature_cache} lacks {len(rows) - len(stored)} rows of this run, whose videos "
            "can't be read now: put the videos or the cache back."
        )
    return features, rows


def build_trainer(
    args: SFTArguments, training_args: SFTTrainingArguments, model, processor, rows: list[dict], features=None
) -> SegmentTrainer:
    """The trainer, its logs, and the model frozen but for what learns."""
    output, at_random = Path(training_args.output_dir), args.frame_policy == "original"
    collator = SFTCollator(processor, processor.num_frames, features, at_random, training_args.seed)
    if model.config.model_type == "holmes_vau":
        model.config.sampler = args.sampler or model.config.sampler
    if args.full:
        unfreeze(model, args.train_vision)
    if not args.train_vision:
        freeze_tower(model)
    callbacks = [JsonLinesLog(output / "log.jsonl"), SettingsInCheckpoints()]
    if args.sample_steps and args.num_samples:
        chosen = rows[:: max(1, len(rows) // args.num_samples)][: args.num_samples]
        path = output / "samples.jsonl"
        callbacks.append(
            SampleAnswers(path, chosen, collator, processor, args.sample_steps, args.sample_tokens, training_args.bf16)
        )
    return SegmentTrainer(
        model,
        training_args,
        data_collator=collator,
        train_dataset=Dataset.from_list(rows),
        processing_class=processor,
        callbacks=callbacks,
        peft_config=None
        if args.full
        else lora_config(args.lora_r, args.lora_alpha, args.lora_dropout, args.train_embeddings),
    )


def settings_of(args: SFTArguments, training_args: SFTTrainingArguments, model) -> dict:
    """What decides the course of a run, but for the rows that can be read."""
    free = ("frames_dir", "sample_steps", "num_samples", "sample_tokens", "videos", "dry_run", "num_rows")
    names = ("seed", "learning_rate", "lr_scheduler_type", "warmup_steps", "weight_decay", "num_train_epochs")
    names += ("max_steps", "per_device_train_batch_size", "world_size", "max_grad_norm", "bf16", "fp16", "optim")
    names += ("lr_scheduler_kwargs",)
    settings = {name: value for name, value in asdict(args).items() if name not in free}
    settings |= {name: getattr(training_args, name) for name in names}
    settings |= {"model": module_digest(model), "annotations": digest(args.annotations)}
    settings["feature_cache"] = bool(args.feature_cache)
    return json.loads(json.dumps(settings, default=str))


def save(args: SFTArguments, trainer: SegmentTrainer, processor, base_digest: str, on_synthetic: bool) -> Path:
    """Write the trained checkpoint, or the adapter with what merging it must know."""
    folder = Path(trainer.args.output_dir) / ("checkpoint" if args.full else "adapter")
    config = trainer.accelerator.unwrap_model(trainer.model).config
    ours = config.model_type == "holmes_vau"
    if args.full and ours:
        config.warning = warning_after_language(config.warning, on_synthetic)
    if not ours:
        trainer.processing_class = processor.tokenizer  # a native checkpoint has a processor of its own
    trainer.save_model(str(folder))
    if not trainer.is_world_process_zero():
        return folder
    (folder / "training_args.bin").unlink(missing_ok=True)
    if not args.full:
        notes = {"sampler": config.sampler if ours else None, "num_frames": processor.num_frames}
        notes |= {"base_digest": base_digest, "synthetic": on_synthetic}
        write_adapter_notes(folder, args.model, notes, ours)
    elif ours:
        source, scorer = f"`{args.model}`, tuned in full on instructions", "that of the same checkpoint"
        write_model_card(folder, source, processor.num_frames, scorer, config.warning)
    else:
        copy_companions(open_folder(args.model, weights=False)[0], folder)
    logger.info(f"wrote {folder}")
    return folder


def main(argv: list[str] | None = None) -> dict[str, float]:
    """Choose frames, train, write the result; returns the figures of the training."""
    answer_help(*OPTIONS, argv=argv)
    args, training_args = TrainingParser((SFTArguments, SFTTrainingArguments)).parse_args_and_config(argv)
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # workers are forked
    logging.basicConfig(level=logging.INFO if training_args.process_index == 0 else logging.ERROR)
    check_arguments(args, training_args)
    if args.dry_run:
        dry_run(args, training_args)
        return {}
    with alone(training_args):
        return train(args, training_args)


def train(args: SFTArguments, training_args: SFTTrainingArguments) -> dict[str, float]:
    """The run, with the output folder to itself; returns the figures of the training."""
    set_seed(training_args.seed)
    args.frames_dir = args.frames_dir or str(Path(training_args.output_dir) / "frames")
    model, processor = load(args, training_args)
    base_digest = language_digest(open_folder(args.model, weights=False)[0])
    settings = settings_of(args, training_args, model)
    last = find_checkpoint(training_args.output_dir, settings, training_args.process_index == 0)
    features, rows = take_rows(args, training_args, model, processor, bool(last))
    if not args.load_in_4bit:  # only now: frames are chosen in the precision of inference
        half = training_args.bf16 and not args.full and not is_sharded()  # shards are float32, computing is not
        model.to(torch.bfloat16 if half else torch.float32)
    trainer = build_trainer(args, training_args, model, processor, rows, features)
    result = trainer.train(resume_from_checkpoint=training_args.resume_from_checkpoint or last)
    save(args, trainer, processor, base_digest, is_synthetic(row["video"] for row in rows))
    if trainer.skipped:
        logger.warning(f"{trainer.skipped} samples were skipped: their videos could not be read")
    return {**result.metrics, "rows": len(rows), "skipped": trainer.skipped}


if __name__ == "__main__":
    raise SystemExit(run_script(main))
