"""Frame samplers: anomaly scores of the dense frames -> indices of the frames the language model sees.

Pure functions of the scores. They compute in float64 on the CPU, so that the same scores give the same frames on every
device.
"""

import difflib

import torch


# The original density rule is left for uniform sampling when the scores add up to less than this
# (HolmesVAU `holmesvau_utils.py`); the original then raises a TypeError, we do not.
MIN_SCORE_SUM = 1.0


def sample_uniform(scores: torch.Tensor, num_frames: int) -> torch.Tensor:
    """Evenly spaced indices from the first to the last frame, rounded half to even; repeats when frames are few."""
    last = scores.shape[0] - 1
    return torch.linspace(0, last, num_frames, dtype=torch.float64).round().long()


def sample_top_k(scores: torch.Tensor, num_frames: int) -> torch.Tensor:
    """The frames of highest score (paper Table 4, Top-K), in time order; of equal scores the earlier frame."""
    if scores.shape[0] <= num_frames:
        return sample_uniform(scores, num_frames)
    return torch.sort(scores, descending=True, stable=True).indices[:num_frames].sort().values


def sample_by_density(scores: torch.Tensor, num_frames: int, tau: float = 0.1) -> torch.Tensor:
    """Keep more frames where anomaly mass is dense: the rule of the original release.

    Evenly spaced points from 1 to the rounded total of `scores + tau` are read off the piecewise-linear inverse of
    their cumulative sum, extrapolated past its end, truncated to an integer and clamped. Few frames
    (`num_dense <= num_frames`) or low scores (sum below 1) fall back to uniform sampling.

    Args:
        scores (`torch.FloatTensor` of shape `(num_dense,)`): Anomaly probability of each dense frame, in [0, 1].
        num_frames (`int`): How many frames to keep.
        tau (`float`, *optional*, defaults to 0.1): Floor added to each score; larger is closer to uniform.

    Returns:
        `torch.LongTensor` of shape `(num_frames,)`: Non-decreasing indices into the dense frames.
    """
    num_dense = scores.shape[0]
    if num_dense <= num_frames or scores.sum() < MIN_SCORE_SUM:
        return sample_uniform(scores, num_frames)
    cumulative = torch.cat((scores.new_zeros(1), torch.cumsum(scores + tau, dim=0)))  # (T + 1,)
    points = torch.linspace(1.0, round(float(cumulative[-1])), num_frames, dtype=torch.float64)
    # Left knot of the segment a point falls into; points past the end extrapolate the last segment.
    left = (torch.searchsorted(cumulative, points) - 1).clamp(0, num_dense - 1)
    fraction = (points - cumulative[left]) / (cumulative[left + 1] - cumulative[left])
    # Clamped before truncation: past a flat end (tau = 0 and scores of 0) the extrapolation is infinite.
    return (left + fraction).clamp(0, num_dense - 1).floor().long()


def sample_nearest(scores: torch.Tensor, num_frames: int, tau: float = 0.1) -> torch.Tensor:
    """The rule in the paper's words (Eq. 2 and below): points evenly spaced along the cumulative axis, from its first
    to its last value, each mapped to the frame whose cumulative score is closest (the earlier one of two)."""
    cumulative = torch.cumsum(scores + tau, dim=0)
    points = torch.linspace(float(cumulative[0]), float(cumulative[-1]), num_frames, dtype=torch.float64)
    right = torch.searchsorted(cumulative, points).clamp(max=scores.shape[0] - 1)
    left = (right - 1).clamp(min=0)
    return torch.where(points - cumulative[left] <= cumulative[right] - points, left, right)


# Every sampler by its name. A new one is a function above and a line here.
SAMPLERS = {
    "ats": sample_by_density,
    "nearest": sample_nearest,
    "uniform": lambda scores, num_frames, tau: sample_uniform(scores, num_frames),
    "top_k": lambda scores, num_frames, tau: sample_top_k(scores, num_frames),
}
BLIND_SAMPLERS = ("uniform",)  # those that do not look at the scores


def check_sampler(name: str) -> str:
    """The name of a sampler, if it is one.

    Raises:
        `ValueError`: if it is none.
    """
    if name not in SAMPLERS:
        meant = "".join(f" Did you mean {known}?" for known in difflib.get_close_matches(name, SAMPLERS, 1))
        raise ValueError(f"`sampler` must be one of {', '.join(SAMPLERS)}, got {name!r}.{meant}")
    return name


def sample_frames(
    scores: torch.Tensor | list[float], num_frames: int, sampler: str = "ats", tau: float = 0.1
) -> torch.Tensor:
    """
    Choose the dense frames the language model sees.

    Args:
        scores (`torch.FloatTensor` of shape `(num_dense,)` or `list[float]`):
            Anomaly probability of each dense frame, in [0, 1].
        num_frames (`int`):
            How many frames to choose, N. Frames repeat where the video has fewer.
        sampler (`str`, *optional*, defaults to `"ats"`):
            `"ats"`: the original density rule; `"nearest"`: the density rule in the paper's words; `"uniform"`: evenly
            spaced; `"top_k"`: the highest scores.
        tau (`float`, *optional*, defaults to 0.1):
            Floor added to each score by `"ats"` and `"nearest"` (paper Eq. 2).

    Returns:
        `torch.LongTensor` of shape `(num_frames,)`: Non-decreasing indices into the dense frames.

    Raises:
        `ValueError`: if an argument is outside the ranges above.

    Example:

    ```python
    >>> sample_frames([0.1, 0.1, 0.9, 0.9, 0.9, 0.1, 0.1, 0.1], num_frames=4).tolist()
    [2, 3, 4, 7]

    ```
    """
    scores = torch.as_tensor(scores).detach().to(device="cpu", dtype=torch.float64)
    if scores.ndim != 1 or scores.numel() == 0:
        raise ValueError(f"`scores` must be (num_dense >= 1,), got {tuple(scores.shape)}. Pass one video at a time.")
    if not ((scores >= 0) & (scores <= 1)).all():
        raise ValueError(f"`scores` must lie in [0, 1], got {scores.min():.4g} to {scores.max():.4g}.")
    if isinstance(num_frames, bool) or not isinstance(num_frames, int) or num_frames < 1:
        raise ValueError(f"`num_frames` must be an integer of at least 1, got {num_frames!r}.")
    if not 0 <= tau < float("inf"):
        raise ValueError(f"`tau` must be 0 or more and finite, got {tau!r}.")
    return SAMPLERS[check_sampler(sampler)](scores, num_frames, tau)
