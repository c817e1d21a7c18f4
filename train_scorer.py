"""Stage 1: train the anomaly scorer on frame labels (paper, section 4.2), on features of the frozen vision tower.

python train_scorer.py --config configs/scorer.yaml --model base --annotations DIR --videos DIR --output-dir out
accelerate launch train_scorer.py --config configs/scorer.yaml ...
"""

from modeling_holmes_vau.base.libraries import quiet_libraries
from training.options import ScorerArguments, ScorerTrainerDefaults, answer_help


OPTIONS = ("train_scorer.py", __doc__, ScorerArguments, ScorerTrainerDefaults)
if __name__ == "__main__":  # the imports below take long
    answer_help(*OPTIONS)
    quiet_libraries()

import logging
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

from safetensors.torch import save_file

from hivau70k_dataset.schema import is_synthetic, sources_of
from modeling_holmes_vau.checkpoint import load
from modeling_holmes_vau.checkpoint.build import warning_after_scorer
from training.looks import learn_looks
from training.runs import (
    JsonLinesLog,
    SettingsInCheckpoints,
    alone,
    find_checkpoint,
    read_options,
    run_script,
)
from training.scorer_arguments import ScorerTrainingArguments, check_arguments
from training.scorer_data import take_videos
from training.scorer_loss import LossWeights
from training.scorer_trainer import (
    LabelledVideo,
    PairedSegments,
    Patience,
    ScorerForTraining,
    ScorerTrainer,
    collate_pairs,
    measure,
    set_dropout,
)
from training.settings import settings_of


logger = logging.getLogger(__name__)

KINDS = (ScorerArguments, ScorerTrainingArguments)


def load_checkpoint(args: ScorerArguments, training_args: ScorerTrainingArguments):
    """The checkpoint to train in, its scorer fresh unless `--scratch false`."""
    with training_args.main_process_first(desc="the files of the checkpoint"):
        model, processor = load.load_checkpoint(args.model)
    model.requires_grad_(False)
    scorer = model.anomaly_scorer.requires_grad_(True)
    if args.scratch:
        scorer.reset_parameters()
    if args.scorer_dropout is not None:
        set_dropout(scorer, args.scorer_dropout)
    return model, processor


def build_trainer(
    args: ScorerArguments,
    training_args: ScorerTrainingArguments,
    scorer,
    weights: LossWeights,
    train: list[LabelledVideo],
    validation: list[LabelledVideo],
) -> ScorerTrainer:
    """The trainer on as many pairs of a normal and an abnormal video as its steps take, and its log."""
    pairs_per_step = training_args.train_batch_size * training_args.world_size
    pairs = PairedSegments(
        [video for video in train if not video.is_abnormal],
        [video for video in train if video.is_abnormal],
        num_pairs=training_args.max_steps * pairs_per_step * training_args.gradient_accumulation_steps,
        max_snippets=args.max_snippets,
        frame_labels=args.supervision == "frame",
        noise_size=scorer.config.hidden_size,
        seed=training_args.seed,
        cut_share=args.cut_share,
        averages=args.lengths == "average",
    )
    callbacks = [JsonLinesLog(Path(training_args.output_dir) / "log.jsonl"), SettingsInCheckpoints()]
    return ScorerTrainer(
        ScorerForTraining(scorer, weights),
        training_args,
        train_dataset=pairs,
        eval_dataset=validation,
        data_collator=collate_pairs,
        callbacks=[*callbacks, Patience(args.patience)] if args.patience else callbacks,
        validation=validation,
        supervision=args.supervision,
    )


def note_sources(config, names: Iterable[str], from_scratch: bool) -> None:
    """Keep in a checkpoint's configuration of which sources its scorer knows videos, by the names of those that it was
    trained and validated on. What went before counts too unless training began from scratch; if that is not known,
    nothing is."""
    known = [] if from_scratch else config.scorer_sources
    config.scorer_sources = None if known is None else sorted({*known, *sources_of(names)})


def save(model, processor, output: Path, on_synthetic: bool, from_scratch: bool) -> None:
    """Write the checkpoint with the trained scorer, and the scorer alone."""
    model.config.warning = warning_after_scorer(model.config.warning, on_synthetic, from_scratch)
    model.save_pretrained(output / "checkpoint")
    processor.save_pretrained(output / "checkpoint")
    state = {name: tensor.contiguous() for name, tensor in model.anomaly_scorer.state_dict().items()}
    save_file(state, output / "anomaly_scorer.safetensors", metadata={"format": "pt"})
    logger.info(f"wrote {output / 'checkpoint'} and {output / 'anomaly_scorer.safetensors'}")


def train(args: ScorerArguments, training_args: ScorerTrainingArguments, weights: LossWeights) -> dict[str, float]:
    """Extract features, train, write the checkpoint; returns the validation figures of the scorer that is written."""
    output = Path(training_args.output_dir)
    args.features_dir = args.features_dir or str(output / "features")
    model, processor = load_checkpoint(args, training_args)
    settings = settings_of(args, training_args, model, weights=asdict(weights), sources=sorted(set(args.sources)))
    last = find_checkpoint(output, settings, training_args.process_index == 0)
    videos, held_out = take_videos(args, output, model, processor, bool(last), training_args.seed)
    trainer = build_trainer(args, training_args, model.anomaly_scorer, weights, videos, held_out)
    trainer.train(resume_from_checkpoint=training_args.resume_from_checkpoint or last)
    metrics = measure(model.anomaly_scorer, held_out, args.supervision)
    if trainer.is_world_process_zero():
        logger.info(f"validation: {metrics}")
        if args.familiarity_videos:
            learn_looks(model, processor, [video.name for video in videos], args)
        note_sources(model.config, (video.name for video in (*videos, *held_out)), args.scratch)
        save(model, processor, output, is_synthetic(video.name for video in videos), args.scratch)
    return metrics


def main(argv: list[str] | None = None) -> dict[str, float]:
    """The run that the arguments ask for, with the output folder to itself."""
    answer_help(*OPTIONS, argv=argv)
    args, training_args = read_options(KINDS, argv)
    weights = check_arguments(args, training_args)
    with alone(training_args):
        return train(args, training_args, weights)


if __name__ == "__main__":
    raise SystemExit(run_script(main))
