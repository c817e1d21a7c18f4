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

import json
import logging
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path

import numpy as np
import torch
from accelerate import PartialState
from accelerate.utils import gather_object
from safetensors.torch import save_file
from transformers import EarlyStoppingCallback, TrainingArguments, set_seed

from hivau70k_dataset.ground_truth import (
    at_frame_rate,
    check_spans,
    frame_labels,
    hivau_frame_annotations,
    on_clock,
)
from hivau70k_dataset.reading import digest, read_annotation_files
from hivau70k_dataset.schema import VideoAnnotation, is_synthetic
from hivau70k_dataset.videos import VideoFolder
from modeling_holmes_vau.base.files import NAMED_PROBLEMS, few_of, write_whole
from modeling_holmes_vau.base.runs import sole_run
from modeling_holmes_vau.checkpoint import load
from modeling_holmes_vau.checkpoint.build import warning_after_scorer
from modeling_holmes_vau.checkpoint.folder import OURS
from training.feature_cache import FeatureCache, VideoFeatures, module_digest
from training.runs import (
    JsonLinesLog,
    SettingsInCheckpoints,
    TrainerBars,
    TrainingParser,
    alone,
    check_devices,
    find_checkpoint,
    run_script,
)
from training.scorer_loss import PRESETS, LossWeights
from training.scorer_trainer import (
    LabelledVideo,
    PairedSegments,
    ScorerForTraining,
    ScorerTrainer,
    collate_pairs,
    measure,
)


logger = logging.getLogger(__name__)

VIDEOS = "videos.json"  # in the output folder: the names of what a run trains and validates on


@dataclass
class ScorerTrainingArguments(TrainerBars, ScorerTrainerDefaults, TrainingArguments):
    """All of `Trainer`'s options; `per_device_train_batch_size` counts pairs of videos."""

    load_best_model_at_end: bool = field(default=True, metadata={"help": "end with the best validated scorer"})
    metric_for_best_model: str | None = field(default="eval_auc", metadata={"help": "what is best"})
    greater_is_better: bool | None = field(default=True, metadata={"help": "higher is better"})
    remove_unused_columns: bool = field(default=False, metadata={"help": "the batches are made here"})
    ddp_timeout: int = field(default=7 * 24 * 3600, metadata={"help": "seconds processes wait for each other"})
    restore_callback_states_from_checkpoint: bool = field(
        default=True, metadata={"help": "a resumed run has the patience that was left"}
    )


class Patience(EarlyStoppingCallback):
    """Early stopping that ends a run again which it had ended before."""

    def on_step_end(self, args, state, control, **kwargs):
        """Training that goes on may have none left: the step that `Trainer` makes all the same leaves no trace."""
        if self.early_stopping_patience_counter >= self.early_stopping_patience:
            control.should_training_stop = True
            control.should_evaluate = control.should_save = control.should_log = False


def check_arguments(args: ScorerArguments, training_args: ScorerTrainingArguments) -> None:
    """Mistakes that show before anything is read."""
    check_devices(training_args)
    load.open_folder(args.model, OURS, weights=False)
    choose_weights(args)
    if args.max_snippets < 1 or args.patience < 0 or not 0 < args.validation_share < 1:
        raise ValueError(
            f"--max-snippets {args.max_snippets} --patience {args.patience} --validation-share "
            f"{args.validation_share}: expected at least 1, at least 0, and a share between 0 and 1."
        )
    if args.patience and training_args.eval_strategy == "no":
        raise ValueError("--patience stops by the validations: pass --patience 0, or leave evaluation on.")


def load_checkpoint(args: ScorerArguments, training_args: ScorerTrainingArguments):
    """The checkpoint to train in, its scorer fresh unless `--scratch false`."""
    with training_args.main_process_first(desc="the files of the checkpoint"):
        model, processor = load.load_checkpoint(args.model)
    model.requires_grad_(False)
    scorer = model.anomaly_scorer.requires_grad_(True)
    if args.scratch:
        scorer.reset_parameters()
    if args.scorer_dropout is not None:
        scorer.config.dropout = args.scorer_dropout
        for module in scorer.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = args.scorer_dropout
    return model, processor


def read_videos(
    args: ScorerArguments, model, processor, began_with: set[str] | None = None, output: Path | None = None
) -> tuple[list[LabelledVideo], list[LabelledVideo]]:
    """Features and labels of the training and the validation videos; features that are not cached are made first.

    Videos that are missing, can't be read or do not fit their annotation are named, counted and left out. A run that
    goes on has the videos that it `began_with`, by their names: of what can't be read any more the cached features.
    Of many, the names are in a file in `output`.
    """
    files = read_annotation_files(args.annotations)
    folder, cache = VideoFolder(args.videos), FeatureCache(args.features_dir, model, processor)
    for note in folder.notes:
        logger.warning(note)
    entries = {entry.whole_path: entry for entry in files.annotations if entry.split in ("train", "validation")}
    if began_with is not None:
        entries = {path: entry for path, entry in entries.items() if path in began_with}
    found = {path: folder.find(entry) for path, entry in entries.items()}
    problems = {path: "not under the folder of videos" for path in entries if found[path] is None}
    state = PartialState()
    model.to(state.device)
    kept = {path for path in began_with or () if cache.path(path).is_file()}  # whatever became of the file
    to_read = [(path, video.path) for path, video in found.items() if video is not None and path not in kept]
    with sole_run(cache.folder, waits=True) if state.is_main_process else nullcontext():
        problems |= cache.extract_all(to_read, state.process_index, state.num_processes)
        state.wait_for_everyone()
    problems = dict(gather_object(list(problems.items())))
    videos = {"train": [], "validation": []}
    for path, entry in entries.items():
        if path in kept or (found[path] is not None and cache.path(path).is_file()):
            loaded = cache.load(path)
            try:
                labels = label_frames(entry, loaded, args.supervision)
            except ValueError as error:
                problems[path] = str(error)
                continue
            video = LabelledVideo(path, loaded.features, labels, bool(entry.labels), processor.frame_stride)
            videos[entry.split].append(video)
    there = {video.name for part in videos.values() for video in part}
    if began_with and (gone := sorted(began_with - there)):
        raise ValueError(
            f"{len(gone)} videos of this run can't be read now and have no features in {args.features_dir}: "
            f"{', '.join(gone[:NAMED_PROBLEMS])}. Put them back, or choose another --output-dir."
        )
    told = [
        f"{'its stored features are used' if path in there else 'left out'}: {path}: {problems[path]}"
        for path in entries
        if path in problems
    ]
    for line in few_of(told, output if state.is_main_process else None):
        logger.warning(line)
    if left_out := len(problems.keys() - there):
        logger.warning(f"{left_out} of {len(entries)} videos are left out")
    return videos["train"], videos["validation"]


def take_videos(
    args: ScorerArguments, training_args: ScorerTrainingArguments, model, processor, goes_on: bool
) -> tuple[list[LabelledVideo], list[LabelledVideo]]:
    """The videos to train and to validate on; their names are kept for a run that goes on."""
    path = Path(training_args.output_dir) / VIDEOS
    train, validation = read_videos(args, model, processor, read_names(path) if goes_on else None, path.parent)
    if not goes_on and training_args.process_index == 0:
        write_whole(path, json.dumps([video.name for video in (*train, *validation)], indent=1) + "\n")
    return (train, validation) if validation else hold_out(train, args.validation_share, training_args.seed)


def read_names(path: Path) -> set[str]:
    """The videos that a run began with."""
    try:
        return set(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError, OSError) as error:
        raise ValueError(
            f"{path} is missing or damaged: nothing tells the videos of this run. Choose another --output-dir."
        ) from error


def label_frames(entry: VideoAnnotation, video: VideoFeatures, supervision: str) -> np.ndarray:
    """The labels of a video's frames.

    Raises:
        `ValueError`: If a span is past the end of the video, or an abnormal video has no abnormal frame to learn from.
    """
    if video.times_s is not None:
        truth = on_clock(entry, video.times_s.numpy(), video.fps)
    else:
        (truth,) = hivau_frame_annotations([at_frame_rate(entry, video.fps)]).values()
        check_spans(truth, video.num_frames, video.fps)
    labels = frame_labels(truth, video.num_frames)
    if supervision == "frame" and entry.labels and not labels.any():
        raise ValueError("annotated as abnormal without a span: train with --supervision video, or add one")
    return labels


def hold_out(videos: list[LabelledVideo], share: float, seed: int) -> tuple[list[LabelledVideo], list[LabelledVideo]]:
    """Split off a share of the normal and of the abnormal videos, at least one of each, to validate on."""
    rng, kept, held = np.random.default_rng(seed), [], []
    for is_abnormal in (False, True):
        group = [video for video in videos if video.is_abnormal == is_abnormal]
        if len(group) < 2:
            kind = "abnormal" if is_abnormal else "normal"
            raise ValueError(
                f"There are {len(group)} {kind} training videos, expected at least 2: one to train on, one to "
                "validate on."
            )
        chosen = set(rng.permutation(len(group))[: max(1, round(share * len(group)))].tolist())
        held += [video for i, video in enumerate(group) if i in chosen]
        kept += [video for i, video in enumerate(group) if i not in chosen]
    return kept, held


def choose_weights(args: ScorerArguments) -> LossWeights:
    """The preset and what differs from it; with video labels alone, the video term gets the frame term's weight."""
    weights = PRESETS[args.preset]
    changes = json.loads(args.loss_weights) if isinstance(args.loss_weights, str) else args.loss_weights or {}
    if not isinstance(changes, dict) or not all(type(value) in (int, float) for value in changes.values()):
        raise ValueError(f"`loss_weights` must be a JSON object of numbers, got {json.dumps(changes)}.")
    known = [field.name for field in fields(LossWeights)]
    if unknown := sorted(set(changes) - set(known)):
        raise ValueError(f"`loss_weights` has {unknown[0]!r}, expected some of {', '.join(known)}.")
    weights = replace(weights, **changes)
    if args.supervision == "video":
        weights = replace(weights, frame=0.0, video=changes.get("video", weights.frame))
    return weights


def settings_of(args: ScorerArguments, training_args: ScorerTrainingArguments, model) -> dict:
    """What decides the course of a run, but for the videos that can be read."""
    free = ("features_dir", "videos")
    names = ("seed", "learning_rate", "max_steps", "per_device_train_batch_size", "world_size", "max_grad_norm")
    names += ("gradient_accumulation_steps", "weight_decay", "bf16", "fp16", "eval_steps", "load_best_model_at_end")
    settings = {name: value for name, value in asdict(args).items() if name not in free}
    settings |= {name: getattr(training_args, name) for name in names}
    settings |= {"optim": str(training_args.optim), "lr_scheduler_type": str(training_args.lr_scheduler_type)}
    settings |= {"model": module_digest(model), "annotations": digest(args.annotations)}
    return {**settings, "weights": asdict(choose_weights(args))}


def save(model, processor, output: Path, on_synthetic: bool, from_scratch: bool) -> None:
    """Write the checkpoint with the trained scorer, and the scorer alone."""
    model.config.warning = warning_after_scorer(model.config.warning, on_synthetic, from_scratch)
    model.save_pretrained(output / "checkpoint")
    processor.save_pretrained(output / "checkpoint")
    state = {name: tensor.contiguous() for name, tensor in model.anomaly_scorer.state_dict().items()}
    save_file(state, output / "anomaly_scorer.safetensors", metadata={"format": "pt"})
    logger.info(f"wrote {output / 'checkpoint'} and {output / 'anomaly_scorer.safetensors'}")


def main(argv: list[str] | None = None) -> dict[str, float]:
    """Extract features, train, write the checkpoint; returns the validation figures of the scorer that is written."""
    answer_help(*OPTIONS, argv=argv)
    args, training_args = TrainingParser((ScorerArguments, ScorerTrainingArguments)).parse_args_and_config(argv)
    logging.basicConfig(level=logging.INFO if training_args.process_index == 0 else logging.ERROR)
    set_seed(training_args.seed)
    check_arguments(args, training_args)
    with alone(training_args):
        return train(args, training_args)


def train(args: ScorerArguments, training_args: ScorerTrainingArguments) -> dict[str, float]:
    """The run, with the output folder to itself; returns the validation figures of the scorer that is written."""
    output = Path(training_args.output_dir)
    args.features_dir = args.features_dir or str(output / "features")
    model, processor = load_checkpoint(args, training_args)
    settings = settings_of(args, training_args, model)
    last = find_checkpoint(output, settings, training_args.process_index == 0)
    train, validation = take_videos(args, training_args, model, processor, bool(last))
    pairs_per_step = (
        training_args.per_device_train_batch_size
        * training_args.world_size
        * training_args.gradient_accumulation_steps
    )
    pairs = PairedSegments(
        [video for video in train if not video.is_abnormal],
        [video for video in train if video.is_abnormal],
        num_pairs=training_args.max_steps * pairs_per_step,
        max_snippets=args.max_snippets,
        frame_labels=args.supervision == "frame",
        noise_size=model.anomaly_scorer.config.hidden_size,
        seed=training_args.seed,
    )
    trainer = ScorerTrainer(
        ScorerForTraining(model.anomaly_scorer, choose_weights(args)),
        training_args,
        train_dataset=pairs,
        eval_dataset=validation,
        data_collator=collate_pairs,
        callbacks=[JsonLinesLog(output / "log.jsonl"), SettingsInCheckpoints()],
        validation=validation,
        supervision=args.supervision,
    )
    if args.patience:
        trainer.add_callback(Patience(args.patience))
    trainer.train(resume_from_checkpoint=training_args.resume_from_checkpoint or last)
    metrics = measure(model.anomaly_scorer, validation, args.supervision)
    if trainer.is_world_process_zero():
        logger.info(f"validation: {metrics}")
        save(model, processor, output, is_synthetic(video.name for video in train), args.scratch)
    return metrics


if __name__ == "__main__":
    raise SystemExit(run_script(main))
