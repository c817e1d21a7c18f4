"""Pretraining, its training: the vision tower with two layers on top, through transformers' `Trainer`."""

import math
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from transformers import Trainer, TrainingArguments

from modeling_holmes_vau.modeling_holmes_vau import IMAGE_MEAN, IMAGE_STD
from training.options import VisionTrainerDefaults
from training.runs import TrainerBars, has_fast_bfloat16
from training.word_frames import EpochOrder, WordFrames, augment


MAX_WORD_WEIGHT = 4.0
POOLING = 4.0  # how close the pooling over patches is to the maximum
REGION_WORD_WEIGHT = 3.0  # how much more a word of a patch counts where it is than where it is not
HELD_OUT_BATCH = 256  # frames measured together


@dataclass
class VisionTrainingArguments(TrainerBars, VisionTrainerDefaults, TrainingArguments):
    """All of `Trainer`'s options."""

    remove_unused_columns: bool = field(default=False, metadata={"help": "the batches are made here"})
    ddp_timeout: int = field(default=7 * 24 * 3600, metadata={"help": "seconds processes wait for each other"})

    def __post_init__(self):
        if self.bf16 is None:
            self.bf16 = not self.fp16 and has_fast_bfloat16(self.use_cpu)
        super().__post_init__()


class WordModel(nn.Module):
    """The vision tower, a linear layer from its class token to words, and one from each of its patch tokens: a word is
    there if some patch shows it, which teaches the patches what the class token then gathers. A third layer tells the
    words of what shows in each patch."""

    def __init__(self, tower: nn.Module, width: int, num_words: int, num_region_words: int = 0):
        super().__init__()
        self.tower = tower.to(memory_format=torch.channels_last)
        self.head, self.patch_head = nn.Linear(width, num_words), nn.Linear(width, num_words)
        self.region_head = nn.Linear(width, num_region_words)
        for head in (self.head, self.patch_head):
            nn.init.constant_(head.bias, -2.0)  # most words are absent
        nn.init.constant_(self.region_head.bias, -4.0)
        self.register_buffer("mean", torch.tensor(IMAGE_MEAN)[:, None, None])
        self.register_buffer("std", torch.tensor(IMAGE_STD)[:, None, None])
        self.register_state_dict_post_hook(contiguous)

    def train(self, mode: bool = True) -> "WordModel":
        """The tower's batch statistics are learned here and nowhere else."""
        super().train(mode)
        for part in (self.tower.embedder, self.tower.encoder):
            part.train(mode)
        return self

    def forward(self, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Frames `(B, 3, S, S)` in [0, 1] -> logits `(B, words)` of the class token, and of the patches together; and
        of each patch, `(B, patches, words of regions)`."""
        normalized = ((pixels - self.mean) / self.std).contiguous(memory_format=torch.channels_last)
        tokens = self.tower(pixel_values=normalized).last_hidden_state
        of_patches, of_regions = self.patch_head(tokens[:, 1:]).float(), self.region_head(tokens[:, 1:]).float()
        with torch.autocast(pixels.device.type, enabled=False):  # what is left is little, and loses by half precision
            highest = torch.logsumexp(POOLING * of_patches, dim=1) - math.log(of_patches.shape[1])
            return self.head(tokens[:, 0].float()), highest / POOLING, of_regions


def contiguous(module: nn.Module, state: dict[str, torch.Tensor], *_) -> None:
    """Weights as files hold them, wherever their channels are in memory."""
    state.update({name: value.contiguous() for name, value in state.items()})


def average_precision(scores: np.ndarray, labels: np.ndarray) -> float:
    """Mean over words of the average precision over frames `(N, words)`, of the words that some frame has."""
    order = np.argsort(-scores, axis=0)
    hits = np.take_along_axis(labels, order, axis=0).astype(np.float64)
    precision = hits.cumsum(0) / np.arange(1, len(hits) + 1)[:, None]
    present = hits.sum(0) > 0
    return float(((precision * hits).sum(0)[present] / hits.sum(0)[present]).mean())


def word_weights(targets: np.ndarray) -> torch.Tensor:
    """How much more a word counts where it is than where it is not, `(words,)`, by how rare it is."""
    share = targets.mean(0)
    return torch.from_numpy(np.sqrt((1 - share) / share).clip(1, MAX_WORD_WEIGHT).astype(np.float32))


def word_loss(
    logits: tuple[torch.Tensor, torch.Tensor], labels: torch.Tensor, known: torch.Tensor, weight: torch.Tensor
) -> torch.Tensor:
    """Cross-entropy of both `logits` with the words that are known of each frame, all `(B, words)`."""
    both = [F.binary_cross_entropy_with_logits(part, labels, pos_weight=weight, reduction="none") for part in logits]
    return ((both[0] + both[1]) * known).sum() / known.sum()


def region_loss(logits: torch.Tensor, labels: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
    """Cross-entropy of each patch with the words of what it shows, all `(B, patches, words)`, summed over words; mean
    over the patches that are `known`."""
    labels = labels.to(logits.dtype)
    weight = torch.tensor(REGION_WORD_WEIGHT, device=logits.device)
    loss = F.binary_cross_entropy_with_logits(logits, labels, pos_weight=weight, reduction="none").sum(-1)
    return (loss * known).sum() / known.sum().clamp(min=1)


def cosine(step: int, steps: int, warmup: int) -> float:
    """Share of the learning rate at a step: it rises to all of the cosine, which falls from the first step on."""
    return min(1, (step + 1) / max(1, warmup)) * 0.5 * (1 + math.cos(math.pi * step / steps))


class WordTrainer(Trainer):
    """`Trainer` that takes the frames in their order, and measures on held-out videos."""

    def __init__(self, model: WordModel, args: VisionTrainingArguments, frames: WordFrames, **kwargs):
        # What the dataset gives for a list of places is the batch.
        super().__init__(
            model, args, train_dataset=frames, eval_dataset=frames, data_collator=lambda batch: batch, **kwargs
        )
        self.weight = word_weights(frames.targets).to(args.device)

    def _get_train_sampler(self, train_dataset: WordFrames | None = None) -> EpochOrder:
        return EpochOrder(self.train_dataset if train_dataset is None else train_dataset)

    def get_decay_parameter_names(self, model: nn.Module) -> list[str]:
        """All weights decay, biases too."""
        return [name for name, _ in model.named_parameters()]

    def create_scheduler(self, num_training_steps: int, optimizer: torch.optim.Optimizer | None = None):
        """[`cosine`], unless another schedule is asked for."""
        if self.args.lr_scheduler_type != "cosine" or self.lr_scheduler is not None:
            return super().create_scheduler(num_training_steps, optimizer)
        warmup = self.args.warmup_steps
        warmup = int(warmup if warmup >= 1 else warmup * num_training_steps)
        self.lr_scheduler = torch.optim.lr_scheduler.LambdaLR(
            optimizer or self.optimizer, lambda step: cosine(step, num_training_steps, warmup)
        )
        return self.lr_scheduler

    def compute_loss(self, model, inputs, return_outputs: bool = False, num_items_in_batch=None):
        """[`word_loss`] and [`region_loss`] of a batch."""
        *logits, of_regions = model(augment(inputs["pixels"].float() / 255, inputs["changes"]))
        loss = word_loss(logits, inputs["labels"], inputs["known"], self.weight)
        loss = loss + region_loss(of_regions, inputs["region_labels"], inputs["region_known"])
        return (loss, {"logits": logits}) if return_outputs else loss

    @torch.no_grad()
    def held_out_precision(self) -> float:
        """Mean average precision of the words on clips of held-out videos."""
        model, device = self.model.eval(), self.args.device
        frames, labels = self.eval_dataset.held_out()
        scores = [model(batch.to(device).float() / 255)[0].cpu() for batch in frames.split(HELD_OUT_BATCH)]
        return average_precision(torch.cat(scores).numpy(), labels)

    def evaluate(self, eval_dataset=None, ignore_keys=None, metric_key_prefix: str = "eval") -> dict[str, float]:
        """See [`held_out_precision`]."""
        metrics = {f"{metric_key_prefix}_ap": self.held_out_precision()}
        self.log(metrics)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics
