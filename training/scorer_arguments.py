"""Stage 1, its options: `Trainer`'s with our defaults, and mistakes that show before anything is read."""

from dataclasses import dataclass, field

from transformers import TrainingArguments

from modeling_holmes_vau.checkpoint import load
from modeling_holmes_vau.checkpoint.folder import OURS
from training.options import ScorerArguments, ScorerTrainerDefaults
from training.runs import TrainerBars, check_devices
from training.scorer_loss import LossWeights, choose_weights


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


def check_arguments(args: ScorerArguments, training_args: ScorerTrainingArguments) -> LossWeights:
    """Mistakes that show before anything is read; returns the weights of the loss."""
    check_devices(training_args)
    load.open_folder(args.model, OURS, weights=False)
    if args.max_snippets < 1 or args.patience < 0 or not 0 < args.validation_share < 1:
        raise ValueError(
            f"--max-snippets {args.max_snippets} --patience {args.patience} --validation-share "
            f"{args.validation_share}: expected at least 1, at least 0, and a share between 0 and 1."
        )
    if not 0 <= args.cut_share <= 1:
        raise ValueError(f"--cut-share must be a share between 0 and 1, got {args.cut_share}.")
    if args.familiarity_videos < 0 or args.familiarity_videos == 1:
        raise ValueError(f"--familiarity-videos must be 0, or 2 and more, got {args.familiarity_videos}.")
    if args.patience and training_args.eval_strategy == "no":
        raise ValueError("--patience stops by the validations: pass --patience 0, or leave evaluation on.")
    return choose_weights(args.preset, args.loss_weights, args.supervision)
