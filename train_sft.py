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

import logging
import os
from pathlib import Path

import torch
from datasets import Dataset

from hivau70k_dataset.schema import is_synthetic
from modeling_holmes_vau.checkpoint.build import warning_after_language, write_model_card
from modeling_holmes_vau.checkpoint.load import open_folder
from modeling_holmes_vau.checkpoint.merge import copy_companions, write_adapter_notes
from modeling_holmes_vau.checkpoint.weights import language_digest
from training.runs import JsonLinesLog, SettingsInCheckpoints, alone, find_checkpoint, read_options, run_script
from training.settings import settings_of
from training.sft_arguments import SFTTrainingArguments, check_arguments, is_sharded
from training.sft_batch import SFTCollator, is_text
from training.sft_dry_run import dry_run
from training.sft_model import freeze_tower, load_model, lora_config, unfreeze
from training.sft_rows import take_rows
from training.sft_trainer import SampleAnswers, SegmentTrainer


logger = logging.getLogger(__name__)

KINDS = (SFTArguments, SFTTrainingArguments)


def build_trainer(
    args: SFTArguments, training_args: SFTTrainingArguments, model, processor, rows: list[dict], features=None
) -> SegmentTrainer:
    """The trainer, its logs, and the model in the precision of training, frozen but for what learns."""
    output, at_random = Path(training_args.output_dir), args.frame_policy == "original"
    collator = SFTCollator(processor, processor.num_frames, features, at_random, training_args.seed)
    if model.config.model_type == "holmes_vau":
        model.config.sampler = args.sampler or model.config.sampler
    if not args.load_in_4bit:  # only now: frames are chosen in the precision of inference
        half = training_args.bf16 and not args.full and not is_sharded()  # shards are float32, computing is not
        model.to(torch.bfloat16 if half else torch.float32)
    if args.full:
        unfreeze(model, args.train_vision)
    if not args.train_vision:
        freeze_tower(model)
    callbacks = [JsonLinesLog(output / "log.jsonl"), SettingsInCheckpoints()]
    if args.sample_steps and args.num_samples:
        shown = [row for row in rows if not is_text(row)]
        few, path = shown[:: max(1, len(shown) // args.num_samples)][: args.num_samples], output / "samples.jsonl"
        often = (args.sample_steps, args.sample_tokens, training_args.bf16)
        callbacks.append(SampleAnswers(path, few, collator, processor, *often))
    lora = lora_config(args.lora_r, args.lora_alpha, args.lora_dropout, args.train_embeddings)
    return SegmentTrainer(
        model,
        training_args,
        data_collator=collator,
        train_dataset=Dataset.from_list(rows),
        processing_class=processor,
        callbacks=callbacks,
        peft_config=None if args.full else lora,
    )


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


def train(args: SFTArguments, training_args: SFTTrainingArguments) -> dict[str, float]:
    """Choose frames, train, write the result; returns the figures of the training."""
    output = Path(training_args.output_dir)
    args.frames_dir = args.frames_dir or str(output / "frames")
    model, processor = load_model(args, training_args)
    base_digest = language_digest(open_folder(args.model, weights=False)[0])
    settings = settings_of(args, training_args, model, feature_cache=bool(args.feature_cache))
    last = find_checkpoint(output, settings, training_args.process_index == 0)
    features, rows = take_rows(args, output, model, processor, bool(last))
    trainer = build_trainer(args, training_args, model, processor, rows, features)
    result = trainer.train(resume_from_checkpoint=training_args.resume_from_checkpoint or last)
    seen = (row["video"] for row in rows if not is_text(row))
    save(args, trainer, processor, base_digest, is_synthetic(seen))
    if trainer.skipped:
        logger.warning(f"{trainer.skipped} samples were skipped: their videos could not be read")
    return {**result.metrics, "rows": len(rows), "skipped": trainer.skipped}


def main(argv: list[str] | None = None) -> dict[str, float]:
    """The run that the arguments ask for, with the output folder to itself."""
    answer_help(*OPTIONS, argv=argv)
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # workers are forked
    args, training_args = read_options(KINDS, argv)
    check_arguments(args, training_args)
    if args.dry_run:
        dry_run(args, training_args)
        return {}
    with alone(training_args):
        return train(args, training_args)


if __name__ == "__main__":
    raise SystemExit(run_script(main))
