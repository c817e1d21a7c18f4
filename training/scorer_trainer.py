"""Stage 1: train the anomaly scorer on cached features, through the transformers `Trainer`."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.utils.data import Dataset, SequentialSampler
from transformers import EarlyStoppingCallback, Trainer

from modeling_holmes_vau.scorer_holmes_vau import AnomalyScorer
from training.scorer_loss import LossWeights, scorer_loss


SHORTEST_CUT = 4  # snippets of a stretch that is cut out


# ---- pairs of videos ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class LabelledVideo:
    """
    One video to train on or to measure with.

    Args:
        name (`str`): For messages.
        features (`torch.FloatTensor` of shape `(T, feature_size)`): Class tokens of the dense frames.
        frame_labels (`np.ndarray` of shape `(num_frames,)`): 1 where a frame is abnormal.
        is_abnormal (`bool`): The label of the video.
        stride (`int`): Frames from one snippet to the next.
    """

    name: str
    features: torch.Tensor
    frame_labels: np.ndarray
    is_abnormal: bool
    stride: int

    def snippet_frames(self) -> tuple[np.ndarray, np.ndarray]:
        """How many frames of each snippet are abnormal, and how many it has, `(T,)` each: a snippet is a dense frame
        and those up to the next."""
        starts = np.arange(0, len(self.frame_labels), self.stride)
        abnormal = np.add.reduceat(self.frame_labels.astype(np.float64), starts)
        return abnormal, np.diff(np.append(starts, len(self.frame_labels)))

    def snippet_labels(self) -> torch.Tensor:
        """The share of each snippet's frames that is abnormal, `(T,)`."""
        abnormal, frames = self.snippet_frames()
        return torch.from_numpy((abnormal / frames).astype(np.float32))

    def average(self, start: int, stop: int, parts: int) -> tuple[torch.Tensor, torch.Tensor]:
        """
        The snippets from `start` up to `stop` averaged to `parts` parts, in UR-DMU's way (`dataset_loader.py`): evenly
        spaced borders, rounded down; of each part the mean, of one without a snippet the snippet at its border.

        Args:
            start (`int`), stop (`int`): The first snippet, and the one after the last.
            parts (`int`): How many parts; with fewer snippets some of them are repeated.

        Returns:
            `tuple[torch.FloatTensor, torch.FloatTensor]`: Features `(parts, feature_size)`, and the share of each
            part's frames that is abnormal, `(parts,)`.
        """
        borders = np.linspace(0, stop - start, parts + 1, dtype=int)
        sizes = np.maximum(np.diff(borders), 1).astype(np.float32)
        # Where a part is empty, `reduceat` gives what is at its border.
        features = np.add.reduceat(self.features[start:stop].numpy(), borders[:-1]) / sizes[:, None]
        abnormal, frames = (np.add.reduceat(part[start:stop], borders[:-1]) for part in self.snippet_frames())
        return torch.from_numpy(features), torch.from_numpy((abnormal / frames).astype(np.float32))


class PairedSegments(Dataset):
    """
    Pairs of a normal and an abnormal segment, in an order and with borders that the seed and the index alone decide,
    so that a resumed run and several processes see what one run sees.

    Every normal and every abnormal video comes once before any comes again. A video of more than `max_snippets` gives
    a crop of that length: where frames are labelled, one of an abnormal video holds abnormal snippets. Or every video,
    also a shorter one, is averaged to that length, as UR-DMU does. Of a share of the videos a stretch of random length
    is cut out (and then averaged, where that is asked for), which may begin and end in the middle of an event: else a
    scorer learns of videos whose events lie well within them that nothing happens at an end.

    Args:
        normal, abnormal (`Sequence[LabelledVideo]`): The training videos.
        num_pairs (`int`): How many pairs there are.
        max_snippets (`int`, *optional*, defaults to 200): Longest crop, or the length that videos are averaged to
            (UR-DMU's).
        frame_labels (`bool`, *optional*, defaults to `True`): Whether the labels of frames may be looked at.
        noise_size (`int`, *optional*, defaults to 512): Width of the noise of each normal snippet.
        seed (`int`, *optional*, defaults to 0): Of the order, the borders and the noise.
        cut_share (`float`, *optional*, defaults to 0.0): The share of the videos of which a stretch is cut out.
        averages (`bool`, *optional*, defaults to `False`): Whether videos are averaged to `max_snippets`, not cropped.
    """

    def __init__(
        self,
        normal: Sequence[LabelledVideo],
        abnormal: Sequence[LabelledVideo],
        num_pairs: int,
        max_snippets: int = 200,
        frame_labels: bool = True,
        noise_size: int = 512,
        seed: int = 0,
        cut_share: float = 0.0,
        averages: bool = False,
    ):
        for kind, videos in (("normal", normal), ("abnormal", abnormal)):
            if not videos:
                raise ValueError(f"There are no {kind} videos to train on: the scorer learns from pairs of both.")
        self.halves = (list(normal), list(abnormal))
        self.labels = [[video.snippet_labels() for video in videos] for videos in self.halves]
        self.num_pairs, self.max_snippets, self.frame_labels = num_pairs, max_snippets, frame_labels
        self.noise_size, self.seed, self.cut_share, self.averages = noise_size, seed, cut_share, averages

    def __len__(self) -> int:
        return self.num_pairs

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        item = {}
        for half, kind in enumerate(("normal", "abnormal")):
            videos = self.halves[half]
            turn, place = divmod(index, len(videos))
            chosen = int(np.random.default_rng([self.seed, half, turn]).permutation(len(videos))[place])
            rng = np.random.default_rng([self.seed, 2 + half, index])
            start, stop = self._stretch(self.labels[half][chosen], kind == "abnormal", rng)
            if self.averages:
                features, labels = videos[chosen].average(start, stop, self.max_snippets)
            else:
                features, labels = videos[chosen].features[start:stop], self.labels[half][chosen][start:stop]
            item[f"{kind}_features"], item[f"{kind}_labels"] = features, labels
        generator = torch.Generator().manual_seed(int(np.random.default_rng([self.seed, 4, index]).integers(2**62)))
        item["noise"] = torch.randn(len(item["normal_labels"]), self.noise_size, generator=generator)
        return item

    def _stretch(self, labels: torch.Tensor, abnormal: bool, rng: np.random.Generator) -> tuple[int, int]:
        length = len(labels) if self.averages else min(len(labels), self.max_snippets)
        if self.cut_share and length > SHORTEST_CUT and rng.random() < self.cut_share:
            length = int(rng.integers(SHORTEST_CUT, length))
        low, high = 0, len(labels) - length
        positive = labels.nonzero()[:, 0].tolist()
        if abnormal and self.frame_labels and positive:
            inside = int(rng.choice(positive))
            low, high = max(low, inside - length + 1), min(high, inside)
        start = int(rng.integers(low, high + 1))
        return start, start + length


def collate_pairs(items: Sequence[dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    """Pairs -> a padded batch, normal segments first: `features` `(B, T, D)`, `labels` `(B, T)`, `lengths` `(B,)` and
    `noise` `(B / 2, T, hidden_size)`."""
    features = [item[f"{kind}_features"] for kind in ("normal", "abnormal") for item in items]
    labels = [item[f"{kind}_labels"] for kind in ("normal", "abnormal") for item in items]
    size = max(map(len, features))

    def pad(rows: list[torch.Tensor]) -> torch.Tensor:
        return torch.stack([torch.cat((row, row.new_zeros(size - len(row), *row.shape[1:]))) for row in rows])

    return {
        "features": pad(features),
        "labels": pad(labels),
        "lengths": torch.tensor([len(row) for row in features]),
        "noise": pad([item["noise"] for item in items]),
    }


# ---- training and measuring -----------------------------------------------------------------------------------------


class ScorerForTraining(nn.Module):
    """The scorer and its loss as one module, so that processes share its gradients."""

    def __init__(self, scorer: AnomalyScorer, weights: LossWeights):
        super().__init__()
        self.scorer, self.weights = scorer, weights

    def forward(
        self, features: torch.Tensor, labels: torch.Tensor, lengths: torch.Tensor, noise: torch.Tensor
    ) -> dict[str, torch.Tensor]:
        """See [`scorer_loss`]; returns `loss` and each term, unweighted and detached, under its name."""
        loss, terms = scorer_loss(self.scorer, features, labels, self.weights, lengths, noise)
        return {"loss": loss, **{name: term.detach() for name, term in terms.items()}}


def set_dropout(scorer: AnomalyScorer, share: float) -> None:
    """Give all dropout of a scorer, and its configuration, this share."""
    scorer.config.dropout = share
    for module in scorer.modules():
        if isinstance(module, nn.Dropout):
            module.p = share


def measure(scorer: AnomalyScorer, videos: Sequence[LabelledVideo], supervision: str = "frame") -> dict[str, float]:
    """
    Frame AUC and average precision over whole videos, each score standing for the frames up to the next; with
    `supervision="video"` those of the videos' highest scores against the labels of the videos.

    Returns:
        `dict`: `auc`, `ap` (step rule), and of frames `auc_within`, the mean AUC within the videos with both kinds.
    """
    from sklearn.metrics import average_precision_score, roc_auc_score

    device = next(scorer.parameters()).device
    was_training = scorer.training
    scorer.eval()
    scores, labels = [], []
    with torch.no_grad():
        for video in videos:
            snippets = scorer(video.features[None].to(device))[0].cpu().numpy()
            if supervision == "video":
                scores.append(snippets.max(keepdims=True))
                labels.append(np.array([video.is_abnormal], dtype=np.uint8))
            else:
                scores.append(np.repeat(snippets, video.stride)[: len(video.frame_labels)])
                labels.append(video.frame_labels)
    scorer.train(was_training)
    within = [roc_auc_score(label, score) for label, score in zip(labels, scores) if 0 < label.mean() < 1]
    truth, everything = np.concatenate(labels), np.concatenate(scores)
    if truth.min() == truth.max():
        raise ValueError("All that is validated on has the same label: validate on normal and on abnormal videos.")
    metrics = {
        "auc": float(roc_auc_score(truth, everything)),
        "ap": float(average_precision_score(truth, everything)),
    }
    if supervision == "frame":
        metrics["auc_within"] = float(np.mean(within)) if within else math.nan
    return metrics


class ScorerTrainer(Trainer):
    """`Trainer` that takes the pairs in their order, logs every term of the loss, and evaluates on whole videos."""

    def __init__(self, *args, validation: Sequence[LabelledVideo] = (), supervision: str = "frame", **kwargs):
        super().__init__(*args, **kwargs)
        self.validation, self.supervision = validation, supervision
        self._terms: dict[str, list[float]] = {}

    def _get_train_sampler(self, train_dataset: Dataset | None = None) -> SequentialSampler:
        return SequentialSampler(self.train_dataset if train_dataset is None else train_dataset)

    def compute_loss(self, model, inputs, return_outputs: bool = False, num_items_in_batch=None):
        """The loss of a batch; keeps its terms for the next log."""
        outputs = model(**inputs)
        for name in outputs.keys() - {"loss"}:
            self._terms.setdefault(name, []).append(outputs[name].item())
        return (outputs["loss"], outputs) if return_outputs else outputs["loss"]

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Adds the terms since the last log, of this process."""
        if "loss" in logs:
            logs = {**logs, **{f"term_{name}": float(np.mean(values)) for name, values in sorted(self._terms.items())}}
            self._terms = {}
        super().log(logs, start_time)

    def evaluate(self, eval_dataset=None, ignore_keys=None, metric_key_prefix: str = "eval") -> dict[str, float]:
        """AUC and AP on the validation videos, see [`measure`]."""
        scorer = self.accelerator.unwrap_model(self.model).scorer
        measured = measure(scorer, self.validation, self.supervision)
        metrics = {f"{metric_key_prefix}_{name}": value for name, value in measured.items()}
        self.log(metrics)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics


class Patience(EarlyStoppingCallback):
    """Early stopping that ends a run again which it had ended before."""

    def on_step_end(self, args, state, control, **kwargs):
        """Training that goes on may have none left: the step that `Trainer` makes all the same leaves no trace."""
        if self.early_stopping_patience_counter >= self.early_stopping_patience:
            control.should_training_stop = True
            control.should_evaluate = control.should_save = control.should_log = False
