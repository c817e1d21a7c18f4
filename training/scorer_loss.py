"""The losses of the anomaly scorer: UR-DMU's terms (Zhou et al., AAAI 2023), the paper's Eq. 5 and 6, and presets.

Eq. 5 of the paper writes the cross-entropy with score and label exchanged, -(s log y + (1 - s) log(1 - y)), which is
infinite for hard labels; it is written the right way round here. It is a sum over the snippets of a video, as the KL
term is: the term `frame_sum`. `frame` is the mean over them.
"""

import json
from dataclasses import dataclass, fields, replace

import torch
from torch.nn import functional as F

from modeling_holmes_vau.scorer_holmes_vau import AnomalyScorer, MemoryBank, snippet_mask


TOP_K_DIVISOR = 16  # UR-DMU takes the T // 16 + 1 strongest snippets of a video, and likewise of its prototypes
TRIPLET_MARGIN = 1.0
DISTANCE_MARGIN = 100.0


@dataclass(frozen=True)
class LossWeights:
    """
    How much each term counts; a term of weight 0 is left out.

    Args:
        frame (`float`): Cross-entropy of every snippet's score with its label, the mean over the snippets of a video.
        frame_sum (`float`): The same, summed over the snippets of a video (paper Eq. 5).
        video (`float`): Cross-entropy of the mean of a video's top scores with the video's label (UR-DMU; all that
            is known when only videos are labelled).
        triplet (`float`): Triplet loss of normal, pseudo-normal and abnormal snippets (UR-DMU).
        kl (`float`): Divergence of the normal branch's Gaussian from the standard one (UR-DMU).
        distance (`float`): Margin between the norms of normal and abnormal readings of the memories (UR-DMU).
        abnormal_memory (`float`): Abnormal videos have snippets that read the abnormal memory (UR-DMU).
        abnormal_not_normal (`float`): Abnormal videos have snippets that do not read the normal memory (UR-DMU).
        normal_memory (`float`): Every snippet of a normal video reads the normal memory (UR-DMU).
        normal_not_abnormal (`float`): No snippet of a normal video reads the abnormal memory (UR-DMU).
    """

    frame: float = 1.0
    frame_sum: float = 0.0
    video: float = 0.0
    triplet: float = 0.0
    kl: float = 0.0
    distance: float = 0.0
    abnormal_memory: float = 0.0
    abnormal_not_normal: float = 0.0
    normal_memory: float = 0.0
    normal_not_abnormal: float = 0.0


_MEMORY = dict.fromkeys(("abnormal_memory", "abnormal_not_normal", "normal_memory", "normal_not_abnormal"), 0.1)
# The weights of UR-DMU's `train.py`, with its video term replaced by the frame term where frames are labelled.
_URDMU = LossWeights(triplet=0.1, kl=0.001, distance=0.0001, **_MEMORY)
PRESETS = {
    "default": _URDMU,  # best on the miniature, see docs/scorer.md
    # Eq. 6: L_AS + L_triplet + L_KL, unweighted, L_AS summed over time as in Eq. 5.
    "paper": LossWeights(frame=0.0, frame_sum=1.0, triplet=1.0, kl=1.0),
    "urdmu": _URDMU,
}
# What the reference calls the memory terms, and the attention each is taken of.
_MEMORY_TERMS = {
    "abnormal_memory": "abnormal_video_vs_abnormal_memory_target_1",
    "abnormal_not_normal": "abnormal_video_vs_normal_memory_some_target_0",
    "normal_memory": "normal_video_vs_normal_memory_target_1",
    "normal_not_abnormal": "normal_video_vs_abnormal_memory_target_0",
}


def choose_weights(preset: str, changes: dict | str | None = None, supervision: str = "frame") -> LossWeights:
    """
    The preset and what differs from it; with video labels alone, the video term gets the weight of the frame terms.

    Args:
        preset (`str`): One of `PRESETS`.
        changes (`dict` or `str`, *optional*): Weights by the name of their term, or JSON of them.
        supervision (`str`, *optional*, defaults to `"frame"`): Which labels are known, `"frame"` or `"video"`.

    Raises:
        `ValueError`: if `changes` is no object of numbers, or names no term.
    """
    changes = json.loads(changes) if isinstance(changes, str) else changes or {}
    if not isinstance(changes, dict) or not all(type(value) in (int, float) for value in changes.values()):
        raise ValueError(f"`loss_weights` must be a JSON object of numbers, got {json.dumps(changes)}.")
    known = [field.name for field in fields(LossWeights)]
    if unknown := sorted(set(changes) - set(known)):
        raise ValueError(f"`loss_weights` has {unknown[0]!r}, expected some of {', '.join(known)}.")
    weights = replace(PRESETS[preset], **changes)
    if supervision == "video":
        video = changes.get("video", weights.frame + weights.frame_sum)
        weights = replace(weights, frame=0.0, frame_sum=0.0, video=video)
    return weights


def top_k_counts(lengths: torch.Tensor) -> torch.Tensor:
    """How many snippets of each video count as its strongest: `(B,)` lengths -> `(B,)`."""
    return lengths // TOP_K_DIVISOR + 1


def top_k_mask(values: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    """Which snippets are the strongest of each video, `(B, T)` bool; padding is none of them."""
    ranked = values.masked_fill(~snippet_mask(lengths, values.shape[1]), -torch.inf).argsort(dim=1, descending=True)
    chosen = torch.arange(values.shape[1], device=values.device) < top_k_counts(lengths)[:, None]
    return torch.zeros_like(chosen).scatter(1, ranked, chosen)


def masked_mean(values: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Mean over the time steps that `mask` `(B, T)` keeps: `(B, T)` -> `(B,)`, `(B, T, D)` -> `(B, D)`."""
    weights = mask.to(values.dtype).reshape(*mask.shape, *[1] * (values.ndim - 2))
    return (values * weights).sum(1) / weights.sum(1)


def read_memory(memory: MemoryBank, hidden: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """How strongly each snippet reads a memory `(B, T)`: the mean of its strongest gates; and what it reads."""
    gate = memory.gate(hidden)
    strongest = gate.topk(gate.shape[-1] // TOP_K_DIVISOR + 1, dim=-1).values
    return strongest.mean(-1), gate @ memory.prototypes


def urdmu_losses(
    scorer: AnomalyScorer,
    features: torch.Tensor,
    lengths: torch.Tensor | None = None,
    noise: torch.Tensor | None = None,
) -> dict[str, torch.Tensor | dict[str, torch.Tensor]]:
    """
    UR-DMU's training branch: scores with the normal branch's Gaussian noise, and the terms on the memories.

    Args:
        features (`torch.FloatTensor` of shape `(B, T, feature_size)`): The first half of the batch is normal videos,
            the second abnormal ones; pair i of the triplet loss is video i of each half.
        lengths (`torch.LongTensor` of shape `(B,)`, *optional*): Snippets of each video, where some are padded.
        noise (`torch.FloatTensor` of shape `(B / 2, T, hidden_size)`, *optional*): Standard normal, else drawn.

    Returns:
        `dict`: `scores` `(B, T)`; `triplet`, `kl` (summed over time, averaged over the rest) and `distance`, scalars;
        the attentions `A_att` (abnormal videos, abnormal memory), `N_Aatt` (abnormal, normal), `N_att` (normal,
        normal) and `A_Natt` (normal, abnormal), `(B / 2, T)` each; `memory_bce`, their four cross-entropies.

    Raises `ValueError` if the batch has no two halves.

    Example:

    ```python
    >>> from modeling_holmes_vau import AnomalyScorer, AnomalyScorerConfig
    >>> losses = urdmu_losses(AnomalyScorer(AnomalyScorerConfig(feature_size=32)), torch.randn(4, 20, 32))
    >>> losses["scores"].shape, losses["A_att"].shape
    (torch.Size([4, 20]), torch.Size([2, 20]))

    ```
    """
    if features.ndim != 3 or len(features) % 2 or not len(features):
        raise ValueError(
            f"`features` must be (B, T, D) with an even B >= 2, normal videos first, got {tuple(features.shape)}."
        )
    if lengths is None:
        lengths = torch.full((len(features),), features.shape[1], device=features.device)
    hidden = scorer.encode(features.float(), lengths)
    # What mixed precision may lower ends here: CUDA refuses cross-entropies of probabilities under autocast.
    with torch.autocast(features.device.type, enabled=False):
        return _terms_of(scorer, hidden.float(), lengths, noise)


def _terms_of(
    scorer: AnomalyScorer, hidden: torch.Tensor, lengths: torch.Tensor, noise: torch.Tensor | None
) -> dict[str, torch.Tensor | dict[str, torch.Tensor]]:
    """[`urdmu_losses`] from encoded snippets `(B, T, hidden_size)`."""
    half = len(hidden) // 2
    normal, abnormal = hidden[:half], hidden[half:]
    of_normal, of_abnormal = lengths[:half], lengths[half:]
    A_att, A_aug = read_memory(scorer.abnormal_memory, abnormal)
    N_Aatt, N_Aaug = read_memory(scorer.normal_memory, abnormal)
    N_att, N_aug = read_memory(scorer.normal_memory, normal)
    A_Natt, A_Naug = read_memory(scorer.abnormal_memory, normal)

    anchors, negatives = top_k_mask(N_att, of_normal), top_k_mask(A_att, of_abnormal)
    triplet = F.triplet_margin_loss(
        F.normalize(masked_mean(normal, anchors), dim=-1),
        F.normalize(masked_mean(abnormal, top_k_mask(N_Aatt, of_abnormal)), dim=-1),
        F.normalize(masked_mean(abnormal, negatives), dim=-1),
        margin=TRIPLET_MARGIN,
    )
    mean, log_variance = scorer.mean_proj(N_aug), scorer.variance_proj(N_aug)
    noise = torch.randn_like(mean) if noise is None else noise
    sampled = mean + noise * (0.5 * log_variance).exp()
    divergence = -0.5 * (1 + log_variance - mean**2 - log_variance.exp())
    kl = (divergence * snippet_mask(of_normal, hidden.shape[1])[..., None]).sum(1).mean()
    abnormal_reading = scorer.mean_proj(A_aug)
    gap = masked_mean(abnormal_reading, negatives).norm(dim=-1) - masked_mean(sampled, anchors).norm(dim=-1)

    augmented = torch.cat((sampled + scorer.mean_proj(A_Naug), abnormal_reading + scorer.mean_proj(N_Aaug)))
    return {
        "scores": torch.sigmoid(scorer.classifier(torch.cat((hidden, augmented), dim=-1))).squeeze(-1),
        "triplet": triplet,
        "kl": kl,
        "distance": F.relu(DISTANCE_MARGIN - gap).mean(),
        "A_att": A_att,
        "N_Aatt": N_Aatt,
        "N_att": N_att,
        "A_Natt": A_Natt,
        "memory_bce": {
            _MEMORY_TERMS["abnormal_memory"]: video_bce(A_att, of_abnormal, 1.0),
            _MEMORY_TERMS["abnormal_not_normal"]: video_bce(1 - N_Aatt, of_abnormal, 1.0),
            _MEMORY_TERMS["normal_memory"]: frame_bce(N_att, torch.ones_like(N_att), of_normal),
            _MEMORY_TERMS["normal_not_abnormal"]: frame_bce(A_Natt, torch.zeros_like(A_Natt), of_normal),
        },
    }


def frame_sums(scores: torch.Tensor, labels: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    """Cross-entropy of scores `(B, T)` with labels in [0, 1], summed over the snippets of each video, without what is
    padded: `(B,)` (paper Eq. 5)."""
    every = F.binary_cross_entropy(scores, labels, reduction="none")
    return (every * snippet_mask(lengths, scores.shape[1])).sum(1)


def frame_bce(scores: torch.Tensor, labels: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    """Cross-entropy of scores `(B, T)` with labels in [0, 1]: the mean of each video, then of the videos."""
    return (frame_sums(scores, labels, lengths) / lengths).mean()


def video_bce(scores: torch.Tensor, lengths: torch.Tensor, labels: torch.Tensor | float) -> torch.Tensor:
    """Cross-entropy of each video's mean top score with its label `(B,)`, or the label of all."""
    top = masked_mean(scores, top_k_mask(scores, lengths))
    return F.binary_cross_entropy(top, torch.zeros_like(top) + labels)


def scorer_loss(
    scorer: AnomalyScorer,
    features: torch.Tensor,
    labels: torch.Tensor,
    weights: LossWeights,
    lengths: torch.Tensor | None = None,
    noise: torch.Tensor | None = None,
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """
    The weighted loss of a batch.

    Every term is a mean over videos or over pairs of videos: the mean of the losses of equal parts of a batch is the
    loss of the batch, so that several processes make the steps that one makes.

    Args:
        scorer, features, lengths, noise: As for [`urdmu_losses`].
        labels (`torch.FloatTensor` of shape `(B, T)`): The share of each snippet's frames that is abnormal, in [0, 1].
        weights (`LossWeights`): What counts how much.

    Returns:
        `tuple[torch.Tensor, dict[str, torch.Tensor]]`: The loss, and every term of it without its weight.
    """
    if lengths is None:
        lengths = torch.full((len(features),), features.shape[1], device=features.device)
    losses = urdmu_losses(scorer, features, lengths, noise)
    is_abnormal = (torch.arange(len(features), device=features.device) >= len(features) // 2).to(labels.dtype)
    with torch.autocast(features.device.type, enabled=False):
        sums = frame_sums(losses["scores"], labels, lengths)
        of_scores = {
            "frame": (sums / lengths).mean(),
            "frame_sum": sums.mean(),
            "video": video_bce(losses["scores"], lengths, is_abnormal),
        }
    terms = {
        **of_scores,
        **{name: losses[name] for name in ("triplet", "kl", "distance")},
        **{name: losses["memory_bce"][term] for name, term in _MEMORY_TERMS.items()},
    }
    counted = {field.name: getattr(weights, field.name) for field in fields(weights)}
    return sum(weight * terms[name] for name, weight in counted.items() if weight), terms
