"""The options of the trainings, and their `--help`, which is answered before anything that takes long is imported."""

import sys
import types
from argparse import RawDescriptionHelpFormatter
from dataclasses import MISSING, dataclass, field, fields
from typing import Any, Literal, Union, get_args, get_origin

from modeling_holmes_vau.base.parser import Parser


@dataclass
class VisionArguments:
    """What to pretrain on."""

    annotations: str = field(metadata={"help": "folder of annotation files (hivau70k_dataset)"})
    videos: str = field(metadata={"help": "folder of the videos"})
    clip_stride: int = field(default=4, metadata={"help": "read every so many frames of a clip"})
    other_stride: int = field(default=16, metadata={"help": "and of what no clip describes"})


@dataclass
class VisionTrainerDefaults:
    """Options of transformers' `Trainer` that matter here, with the defaults of the recipe."""

    output_dir: str | None = field(
        default=None, metadata={"help": "folder to write; a begun run goes on there", "aliases": ["-o"]}
    )
    learning_rate: float = field(default=1e-3, metadata={"help": "at its highest"})
    lr_scheduler_type: str = field(default="cosine", metadata={"help": "schedule of the learning rate"})
    warmup_steps: float = field(default=0.05, metadata={"help": "share of the steps, or their number"})
    weight_decay: float = field(default=0.05, metadata={"help": "of AdamW, on all weights"})
    optim: str = field(default="adamw_torch", metadata={"help": "optimizer"})
    num_train_epochs: float = field(default=8, metadata={"help": "passes over the frames"})
    per_device_train_batch_size: int = field(default=128, metadata={"help": "frames a process takes at once"})
    bf16: bool | None = field(default=None, metadata={"help": "default: where the device computes fast in it"})
    logging_steps: float = field(default=10, metadata={"help": "steps between logs"})
    eval_strategy: str = field(default="epoch", metadata={"help": "when to measure on held-out videos"})
    save_strategy: str = field(default="epoch", metadata={"help": "when to write a checkpoint to go on from"})
    save_total_limit: int | None = field(default=2, metadata={"help": "checkpoints kept"})
    report_to: list[str] | str | None = field(default="tensorboard", metadata={"help": "where logs go"})
    seed: int = field(default=0, metadata={"help": "of weights, order and augmentation"})
    use_cpu: bool = field(default=False, metadata={"help": "leave the GPU alone"})


@dataclass
class ScorerArguments:
    """What to train on and with which loss."""

    model: str = field(metadata={"help": "checkpoint whose vision tower is used and whose scorer is trained"})
    annotations: str = field(metadata={"help": "folder of annotation files (hivau70k_dataset)"})
    videos: str = field(metadata={"help": "folder of the videos"})
    features_dir: str | None = field(
        default=None, metadata={"help": "folder of the cached features (default: <output-dir>/features)"}
    )
    preset: Literal["default", "paper", "urdmu"] = field(
        default="default", metadata={"help": "loss; paper: Eq. 5 and 6"}
    )
    loss_weights: dict | str | None = field(
        default=None, metadata={"help": 'weights that differ from the preset, as JSON: {"kl": 0.01}'}
    )
    supervision: Literal["frame", "video"] = field(
        default="frame", metadata={"help": "frame: labels of frames; video: labels of whole videos alone"}
    )
    sources: list[str] = field(
        default_factory=list, metadata={"help": "train on videos of these alone: ucf-crime, xd-violence, others (all)"}
    )
    lengths: Literal["crop", "average"] = field(
        default="crop",
        metadata={
            "help": "crop: of a longer video a crop of --max-snippets; average: each whole video averaged to so many"
        },
    )
    max_snippets: int = field(
        default=200, metadata={"help": "longest crop, or what videos are averaged to, in snippets (UR-DMU: 200)"}
    )
    cut_share: float = field(
        default=0.0,
        metadata={
            "help": "share of the training videos of which a random stretch is cut out; for events at both ends"
        },
    )
    validation_share: float = field(
        default=0.1, metadata={"help": "share of the training videos to validate on where there is no such split"}
    )
    patience: int = field(
        default=10, metadata={"help": "evaluations without a better validation AUC before training stops; 0: never"}
    )
    familiarity_videos: int = field(
        default=0,
        metadata={"help": "training videos that the checkpoint is to know the looks of, to tell others; 0: none"},
    )
    scratch: bool = field(default=True, metadata={"help": "start from a fresh scorer, not from the checkpoint's"})
    scorer_dropout: float | None = field(default=None, metadata={"help": "dropout of the scorer (checkpoint's: 0.5)"})


@dataclass
class ScorerTrainerDefaults:
    """Options of transformers' `Trainer` that matter here, with the paper's defaults."""

    output_dir: str | None = field(
        default=None, metadata={"help": "folder to write; a begun run goes on there", "aliases": ["-o"]}
    )
    learning_rate: float = field(default=1e-4, metadata={"help": "paper, section 5.1"})
    optim: str = field(default="adamw_torch", metadata={"help": "without weight decay it is Adam"})
    lr_scheduler_type: str = field(default="constant", metadata={"help": "schedule of the learning rate"})
    max_steps: int = field(default=1000, metadata={"help": "optimisation steps"})
    per_device_train_batch_size: int = field(default=32, metadata={"help": "pairs of a normal and an abnormal video"})
    logging_steps: float = field(default=10, metadata={"help": "steps between logs"})
    eval_strategy: str = field(default="steps", metadata={"help": "when to validate"})
    eval_steps: float | None = field(default=50, metadata={"help": "steps between validations"})
    save_steps: float = field(default=50, metadata={"help": "steps between checkpoints"})
    save_total_limit: int | None = field(default=2, metadata={"help": "checkpoints kept"})
    report_to: list[str] | str | None = field(default="tensorboard", metadata={"help": "where logs go"})
    seed: int = field(default=42, metadata={"help": "of weights, order and crops"})
    bf16: bool = field(default=False, metadata={"help": "compute in bfloat16"})
    use_cpu: bool = field(default=False, metadata={"help": "leave the GPU alone"})


@dataclass
class SFTArguments:
    """What to train, on what, and which frames are seen."""

    model: str = field(metadata={"help": "checkpoint to train: Holmes-VAU, or any native InternVL; 2b in a dry run"})
    annotations: str | None = field(default=None, metadata={"help": "folder of annotations and instruction rows"})
    videos: str | None = field(default=None, metadata={"help": "folder of the videos, whole or cut"})
    split: str = field(default="train", metadata={"help": "of the annotations"})
    levels: list[str] = field(
        default_factory=lambda: ["clip", "event", "video"], metadata={"help": "some of clip, event, video (all)"}
    )
    tasks: list[str] = field(
        default_factory=lambda: ["caption", "judgement", "description", "analysis"],
        metadata={"help": "some of caption, judgement, description, analysis (all)"},
    )
    general: list[str] = field(
        default_factory=list,
        metadata={"help": "general questions that are learned too, of some of moment, clip, video, cut (none)"},
    )
    general_spans: list[int] = field(
        default_factory=list,
        metadata={
            "help": "at most so many spans, evenly taken, of each of these levels: one number, or one a level (all)"
        },
    )
    texts: list[str] = field(
        default_factory=list,
        metadata={"help": "levels whose answers are read as plain text too, without frames, for their words (none)"},
    )
    conversations: bool = field(
        default=False, metadata={"help": "ask all about a segment in one conversation, not each question on its own"}
    )
    sampler: str | None = field(
        default=None,
        metadata={"help": "how frames are chosen: ats, ats_norm, nearest, top_k, uniform (the checkpoint's: ats)"},
    )
    num_frames: int | None = field(default=None, metadata={"help": "frames of a segment (the checkpoint's)"})
    frame_policy: Literal["sampler", "original"] = field(
        default="sampler", metadata={"help": "sampler: as inference chooses; original: random frames, evenly spread"}
    )
    frames_dir: str | None = field(
        default=None, metadata={"help": "folder where scores and choices are kept (default: <output-dir>/frames)"}
    )
    feature_cache: str | None = field(
        default=None, metadata={"help": "folder of stored outputs of the vision tower; none: encode each time"}
    )
    lora_r: int = field(default=64, metadata={"help": "rank of LoRA"})
    lora_alpha: int | None = field(default=None, metadata={"help": "scale of LoRA (twice the rank)"})
    lora_dropout: float = field(default=0.05, metadata={"help": "dropout of LoRA"})
    train_embeddings: bool = field(
        default=False, metadata={"help": "with LoRA, token embeddings and output layer learn in full: for new words"}
    )
    full: bool = field(default=False, metadata={"help": "train all of language model and projector, without LoRA"})
    train_vision: bool = field(default=False, metadata={"help": "with --full, the vision tower too"})
    load_in_4bit: bool = field(default=False, metadata={"help": "QLoRA: the frozen language model in 4 bits"})
    global_batch_size: int = field(default=512, metadata={"help": "rows of an optimisation step, all processes"})
    sample_steps: int = field(default=20, metadata={"help": "steps between sample answers; 0: none"})
    num_samples: int = field(default=4, metadata={"help": "rows to answer each time"})
    sample_tokens: int = field(default=64, metadata={"help": "longest sample answer"})
    dry_run: bool = field(default=False, metadata={"help": "print what would learn and the schedule, and stop"})
    num_rows: int | None = field(
        default=None, metadata={"help": "rows of a dry run without --annotations and --videos (70000)"}
    )


@dataclass
class SFTTrainerDefaults:
    """Options of TRL's `SFTTrainer` that matter here, with the paper's defaults."""

    output_dir: str | None = field(
        default=None, metadata={"help": "folder to write; a begun run goes on there", "aliases": ["-o"]}
    )
    learning_rate: float = field(default=4e-5, metadata={"help": "highest learning rate (paper, section 5.1)"})
    lr_scheduler_type: str = field(default="cosine", metadata={"help": "schedule of the learning rate"})
    warmup_steps: float = field(default=0.03, metadata={"help": "share of the steps, or their number"})
    weight_decay: float = field(default=0.01, metadata={"help": "of AdamW"})
    optim: str = field(default="adamw_torch", metadata={"help": "optimizer"})
    num_train_epochs: float = field(default=1.0, metadata={"help": "passes over the rows"})
    per_device_train_batch_size: int = field(default=4, metadata={"help": "rows a process takes at once"})
    bf16: bool | None = field(default=None, metadata={"help": "default: where a GPU supports it"})
    dataloader_num_workers: int = field(default=4, metadata={"help": "processes that decode videos"})
    logging_steps: float = field(default=1, metadata={"help": "steps between logs"})
    save_steps: float = field(default=20, metadata={"help": "steps between checkpoints"})
    save_total_limit: int | None = field(default=2, metadata={"help": "checkpoints kept"})
    report_to: list[str] | str | None = field(default="tensorboard", metadata={"help": "where logs go"})
    gradient_checkpointing: bool = field(default=True, metadata={"help": "compute again, not keep: less memory"})
    seed: int = field(default=42, metadata={"help": "of LoRA's weights and the order of rows"})
    use_cpu: bool = field(default=False, metadata={"help": "leave the GPU alone"})


# ---- --help ---------------------------------------------------------------------------------------------------------

WORDS = {int: "N", float: "X", bool: "true|false", str: "TEXT"}


def answer_help(program: str, description: str, *options: type, argv: list[str] | None = None) -> None:
    """
    If `--help` is asked for, print our options and the trainer's that matter, and end the program.

    Args:
        program (`str`): Name of the script.
        description (`str`): What it does, and examples.
        options (`type`): Dataclasses whose fields are options.
        argv (`list[str]`, *optional*, defaults to those of the program): The arguments.

    Raises:
        `SystemExit`: with status 0, if help was asked for.
    """
    if not {"-h", "--help"} & set(sys.argv[1:] if argv is None else argv):
        return
    usage = f"{program} [--config FILE] [--OPTION VALUE ...]"
    parser = Parser(program, usage, description, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("--help-all", action="store_true", help="also the trainer's options that are not named here")
    parser.add_argument("--config", metavar="FILE", help="YAML file of options, with underscores; see configs/")
    for kind in options:
        group = parser.add_argument_group(kind.__doc__.rstrip("."))
        for option in fields(kind):
            names = (*option.metadata.get("aliases", ()), f"--{option.name.replace('_', '-')}")
            group.add_argument(*names, metavar=_metavar(option.type), help=_describe(option))
    parser.print_help()
    raise SystemExit(0)


def _metavar(kind: Any) -> str:
    if get_origin(kind) in (types.UnionType, Union):
        kind = get_args(kind)[0]
    if get_origin(kind) is Literal:
        return f"{{{','.join(get_args(kind))}}}"
    return "A B" if get_origin(kind) is list else WORDS.get(kind, "TEXT")


def _describe(option) -> str:
    """The help of a field, and its default if that does not tell it."""
    text = option.metadata["help"]
    if option.default is MISSING and option.default_factory is MISSING:
        return f"{text} (needed)"
    if option.default in (MISSING, None) or text.endswith(")"):
        return text.replace("%", "%%")
    return f"{text} ({str(option.default).lower() if isinstance(option.default, bool) else option.default})"
