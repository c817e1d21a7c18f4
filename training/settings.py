"""What decides the course of a run: every option but those that are named here."""

from dataclasses import fields
from typing import Any

import torch

from hivau70k_dataset.reading import digest
from training.feature_cache import module_digest


VERSION = 2  # of this list: version 1 named what counts, and runs begun with it are refused
# Of our options: where videos and caches lie, and what is told on the way. A run keeps a list of the videos it began
# with, and its caches tell what they were made of.
OURS_FREE = frozenset("dry_run features_dir frames_dir num_rows num_samples sample_steps sample_tokens videos".split())

# Of transformers' and TRL's options: whatever changes no step that is taken.
TRAINER_FREE = frozenset(
    (
        # where results and logs go, and how often
        "output_dir resume_from_checkpoint run_name report_to project trackio_space_id trackio_bucket_id "
        "trackio_static_space_id logging_strategy logging_steps logging_first_step log_level "
        "log_level_replica log_on_each_node logging_nan_inf_filter include_num_input_tokens_seen "
        "disable_tqdm push_to_hub hub_token hub_private_repo hub_model_id hub_strategy "
        "hub_always_push hub_revision "
        # checkpoints on the way
        "save_strategy save_steps save_total_limit save_only_model save_on_each_node enable_jit_checkpoint "
        # machine and memory
        "use_cpu local_rank debug skip_memory_metrics torch_empty_cache_steps ddp_backend ddp_timeout "
        "gradient_checkpointing gradient_checkpointing_kwargs activation_checkpointing "
        "activation_checkpointing_kwargs activation_offloading dataloader_num_workers dataloader_pin_memory "
        "dataloader_persistent_workers dataloader_prefetch_factor dataloader_multiprocessing_context "
        "dataset_num_proc per_device_eval_batch_size eval_accumulation_steps "
        # read by no training: which parts of a script run
        "do_train do_eval do_predict"
    ).split()
)
# The best checkpoint is one of those that were saved.
CHOOSES_THE_BEST = frozenset({"save_strategy", "save_steps"})


def settings_of(args: Any, training_args: Any, model: torch.nn.Module, **facts: Any) -> dict:
    """
    What decides the course of a run; two runs with the same are the same run.

    Args:
        args (dataclass): Our options, of which all count but those in `OURS_FREE`.
        training_args (`TrainingArguments`): The trainer's, of which all count but those in `TRAINER_FREE`.
        model (`torch.nn.Module`): As training begins with it; by its weights, wherever they came from.
        facts: What else counts, in place of an option of the same name.
    """
    free_of_trainer = TRAINER_FREE - (CHOOSES_THE_BEST if training_args.load_best_model_at_end else set())
    settings: dict[str, Any] = {"version": VERSION}
    settings |= {option.name: getattr(args, option.name) for option in fields(args) if option.name not in OURS_FREE}
    settings |= {
        option.name: getattr(training_args, option.name)
        for option in fields(training_args)
        if option.init and option.name not in free_of_trainer
    }
    settings |= {"model": module_digest(model), "annotations": digest(args.annotations)}
    settings |= {"world_size": training_args.world_size, **facts}
    return settings
