"""Frame samplers: anomaly scores of the dense frames -> indices of the frames the language model sees.

Pure functions of the scores. They compute in float64 on the CPU, so that the same scores give the same frames on every
device.
"""

import difflib
from typing import NamedTuple

import torch


# The original density rule is left for uniform sampling when the scores add up to less than this
# (HolmesVAU `holmesvau_utils.py`); the original then raises a TypeError, we do not.
MIN_SCORE_SUM = 1.0

# The numbers of `ats_norm`, which is ours; `docs/sampling.md` says how each was come by.
# What makes an event, in shares of the rise from the noise floor to the highest score: the numbers of `EventRule`,
# whose scores rise from 0 to 1.
EVENT_RISE = 0.5  # a run of scores must reach it
RUN_RISE = 0.3  # and lasts as long as scores are at or above it
GAUSSIAN_MAD = 1.4826  # standard deviation of Gaussian noise, in median absolute deviations
# Scores up to so many standard deviations above the floor are background: of Gaussian noise, 740 of 741 are.
FLOOR_DEVIATIONS = 3.0
# The sum of a run must be so many standard deviations of the sum of as many scores of background. Gaussian noise has
# such a score once in 31,574, and about three times as many such runs, which are chosen by their height.
RUN_DEVIATIONS = 4.0


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


class ScoreRuns(NamedTuple):
    """
    Runs of scores that stand out of the background, in time order.

    Args:
        starts (`torch.LongTensor` of shape `(num_runs,)`), stops (`torch.LongTensor` of shape `(num_runs,)`): First
            frame of each run, and the one after its last.
        masses (`torch.DoubleTensor` of shape `(num_runs,)`): Sum of its rises.
        rises (`torch.DoubleTensor` of shape `(num_dense,)`): Scores of the video less its noise floor.
    """

    starts: torch.Tensor
    stops: torch.Tensor
    masses: torch.Tensor
    rises: torch.Tensor


def noise_floor(scores: torch.Tensor) -> tuple[float, float]:
    """
    The level of the background of a video, and how far it strays.

    Background are the scores of the lower half of the range, and then all within three standard deviations above the
    floor, until there are no more of them: so the share of events does not matter as a quantile's would, and a
    video of noise alone is background as a whole.

    Args:
        scores (`torch.DoubleTensor` of shape `(num_dense,)`): Anomaly probability of each dense frame.

    Returns:
        `tuple[float, float]`: The median of the background, and its standard deviation by the median absolute
        deviation, which single high scores do not move.

    Example:

    ```python
    >>> noise_floor(torch.tensor([0.25, 0.25, 0.25, 0.75, 0.75, 0.75, 0.75]))
    (0.25, 0.0)

    ```
    """
    limit, count = float(scores.min() + scores.max()) / 2, 0
    while (background := scores[scores <= limit]).numel() > count:
        count = background.numel()
        floor = float(background.quantile(0.5))  # between the middle two, as `median` is not
        deviation = GAUSSIAN_MAD * float((background - floor).abs().quantile(0.5))
        limit = max(limit, floor + FLOOR_DEVIATIONS * deviation)
    return floor, deviation


def find_runs(scores: torch.Tensor, least_rise: float) -> ScoreRuns:
    """
    The events that scores tell of, whatever their calibration and the length of the video.

    A run lasts as long as scores are at or above `RUN_RISE` of the rise from the noise floor to the highest score. It
    counts if it reaches `EVENT_RISE`, and its sum is more than noise makes.

    Args:
        scores (`torch.DoubleTensor` of shape `(num_dense,)`): Anomaly probability of each dense frame.
        least_rise (`float`): Where the highest score is not more than this above the floor, there are no runs.
    """
    floor, deviation = noise_floor(scores)
    rises = scores - floor
    highest = rises.max()
    inside = (rises >= RUN_RISE * highest) & (highest > least_rise)
    edges = torch.diff(inside.long(), prepend=torch.zeros(1).long(), append=torch.zeros(1).long())  # (T + 1,)
    starts, stops = (edges == 1).nonzero()[:, 0], (edges == -1).nonzero()[:, 0]
    run = (edges == 1).cumsum(0)[:-1][inside] - 1  # of each frame inside, its run
    masses = rises.new_zeros(len(starts)).index_add(0, run, rises[inside])
    peaks = rises.new_zeros(len(starts)).scatter_reduce(0, run, rises[inside], "amax")
    noise = deviation * (stops - starts).double().sqrt()
    kept = (peaks >= EVENT_RISE * highest) & (masses > RUN_DEVIATIONS * noise)
    return ScoreRuns(starts[kept], stops[kept], masses[kept], rises)


def divide(weights: torch.Tensor, room: torch.Tensor, count: int) -> torch.Tensor:
    """
    Into how many parts to divide each weight, so that the largest part is as small as it can be.

    Args:
        weights (`torch.Tensor` of shape `(n,)`): What is divided. It begins as one part each.
        room (`torch.LongTensor` of shape `(n,)`): How many parts each may become.
        count (`int`): How many parts to add.

    Returns:
        `torch.LongTensor` of shape `(n,)`: The parts of each; of equal ones the earlier is divided first.

    Example:

    ```python
    >>> divide(torch.tensor([6.0, 1.0, 3.0]), room=torch.tensor([9, 9, 9]), count=3).tolist()
    [3, 1, 2]

    ```
    """
    parts = torch.ones(len(weights), dtype=torch.int64)
    for _ in range(count):
        parts[torch.where(parts < room, weights.double() / parts, -1.0).argmax()] += 1
    return parts


def mass_frames(masses: torch.Tensor, count: int) -> torch.Tensor:
    """The frames in the middle of `count` parts of equal mass (inverse CDF), moved where two would be one; `masses`
    above 0 and at least as many as `count`."""
    cumulative, order = masses.cumsum(0), torch.arange(count)
    frames = torch.searchsorted(cumulative, (order.double() + 0.5) * cumulative[-1] / count)
    frames = (frames - order).cummax(0).values + order  # each after the one before it
    return torch.minimum(frames, len(masses) - count + order)


def even_frames(length: int, count: int) -> torch.Tensor:
    """`count` frames that leave stretches of equal length between them, and before and after; at most `length`."""
    return torch.arange(1, count + 1) * (length + 1) // (count + 1) - 1


def share_frames(
    masses: torch.Tensor, lengths: torch.Tensor, gaps: torch.Tensor, num_frames: int, tau: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """
    How many frames each event has, and how many each stretch of background, none more than it is long.

    Args:
        masses (`torch.DoubleTensor` of shape `(num_runs,)`), lengths (`torch.LongTensor` of shape `(num_runs,)`): Of
            the events, at most `num_frames` of them.
        gaps (`torch.LongTensor` of shape `(num_runs + 1,)`): Lengths of the stretches before, between and after them.
        num_frames (`int`): How many frames there are to share, fewer than the video has.
        tau (`float`): The share of background.
    """
    in_events = min(num_frames - round(tau * num_frames), int(lengths.sum()))
    in_events = max(in_events, len(masses), num_frames - int(gaps.sum()))
    event_counts = divide(masses, lengths, in_events - len(masses))
    gap_counts = divide(gaps, gaps + 1, num_frames - in_events) - 1  # n frames divide a gap into n + 1 parts
    return event_counts, gap_counts


def sample_by_event(scores: torch.Tensor, num_frames: int, tau: float = 0.1) -> torch.Tensor:
    """
    Keep frames of every event, and a fixed share for background, however long the video: our normalised ATS.

    1. A run of scores that stands out of the noise floor is an event, see [`find_runs`].
    2. Each event has a frame; where there are more events than frames, those of most mass have.
    3. Background has `round(tau * num_frames)` frames, fewer if step 2 needs them, more where the events have not as
       many frames as would be theirs. They divide the longest stretches before, between and after the events.
    4. All others go to the events by their mass, and within one to parts of equal mass.

    No frame is chosen twice. Few frames (`num_dense <= num_frames`) are taken evenly; where nothing stands out, by
    more than `tau` and more than noise does, the original rule decides.

    Args:
        scores (`torch.FloatTensor` of shape `(num_dense,)`): Anomaly probability of each dense frame, in [0, 1].
        num_frames (`int`): How many frames to keep.
        tau (`float`, *optional*, defaults to 0.1): Share of the frames that background has; larger is closer to
            uniform.

    Returns:
        `torch.LongTensor` of shape `(num_frames,)`: Increasing indices into the dense frames, if they are enough.
    """
    num_dense = scores.shape[0]
    if num_dense <= num_frames:
        return sample_uniform(scores, num_frames)
    runs = find_runs(scores, tau)
    if not len(runs.masses):
        return sample_by_density(scores, num_frames, tau)
    strongest = torch.sort(runs.masses, descending=True, stable=True).indices[:num_frames].sort().values
    starts, stops = runs.starts[strongest], runs.stops[strongest]
    gap_starts, gap_stops = (
        torch.cat((starts.new_zeros(1), stops)),
        torch.cat((starts, starts.new_tensor([num_dense]))),
    )
    gaps = gap_stops - gap_starts
    event_counts, gap_counts = share_frames(runs.masses[strongest], stops - starts, gaps, num_frames, tau)
    chosen = [a + mass_frames(runs.rises[a:b], int(n)) for a, b, n in zip(starts, stops, event_counts)]
    chosen += [a + even_frames(int(length), int(n)) for a, length, n in zip(gap_starts, gaps, gap_counts)]
    return torch.cat(chosen).sort().values


# Every sampler by its name. A new one is a function above and a line here.
SAMPLERS = {
    "ats": sample_by_density,
    "ats_norm": sample_by_event,
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
            `"ats"`: the original density rule; `"ats_norm"`: a frame for every event and a fixed share for the
            background, however long the video (ours); `"nearest"`: the density rule in the paper's words;
            `"uniform"`: evenly spaced; `"top_k"`: the highest scores.
        tau (`float`, *optional*, defaults to 0.1):
            Floor added to each score by `"ats"` and `"nearest"` (paper Eq. 2); the share of the frames that
            background has by `"ats_norm"`.

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
