"""Does a video look like those that the model was trained on? A distance of its pictures to theirs."""

import torch
from torch import nn


KEPT_PICTURES = 256  # of a video, evenly spread, however long it is


class Familiarity(nn.Module):
    """
    How far the pictures of a video lie from those of the training videos (ours; neither paper nor original has it).

    A picture is described by mean and standard deviation of its patch tokens over the positions: what is where does
    not matter, how it looks does. The distance is Mahalanobis', with the covariance in low rank: its strongest
    directions, and one variance for all that is left. Class tokens, which are maxima, tell less.

    Args:
        width (`int`): Of the vision tower's tokens.
        rank (`int`): Directions that are kept.

    Example:

    ```python
    >>> familiarity = Familiarity(width=8, rank=4).fit([torch.randn(16, 16) for _ in range(20)])
    >>> familiarity.distance(torch.randn(16, 16)) < familiarity.distance(torch.randn(16, 16) + 9)
    True

    ```
    """

    def __init__(self, width: int, rank: int):
        super().__init__()
        self.register_buffer("mean", torch.zeros(2 * width))
        self.register_buffer("directions", torch.zeros(rank, 2 * width))
        self.register_buffer("spread", torch.ones(rank))
        self.register_buffer("rest", torch.ones(1))
        self.register_buffer("limit", torch.full((1,), 1e4))

    @staticmethod
    def statistics(patch_tokens: torch.Tensor) -> torch.Tensor:
        """Patch tokens `(frames, positions, width)` -> `(frames, 2 * width)`, float32 on the CPU."""
        tokens = patch_tokens.float()
        return torch.cat((tokens.mean(1), tokens.std(1)), dim=1).cpu()

    @torch.no_grad()
    def distance(self, statistics: torch.Tensor) -> float:
        """The median distance of pictures `(frames, 2 * width)`."""
        away = statistics.to(self.mean.device).float() - self.mean.float()
        along = away @ self.directions.float().T
        rest = (away.square().sum(1) - along.square().sum(1)).clamp(min=0) / self.rest.float().square()
        return float(((along / self.spread.float()).square().sum(1) + rest).sqrt().median())

    @torch.no_grad()
    def fit(self, videos: list[torch.Tensor]) -> "Familiarity":
        """
        Learn from videos, each the statistics of some of its pictures `(frames, 2 * width)`; at least two.

        `limit` is the largest distance of a video of either half from the other half, which has not seen it.
        """
        halves = videos[::2], videos[1::2]
        far = [self._take(half).distance(video) for half, others in (halves, halves[::-1]) for video in others]
        self._take(videos)
        self.limit.fill_(max(far))
        return self

    def _take(self, videos: list[torch.Tensor]) -> "Familiarity":
        pictures = torch.cat(videos).double()
        mean = pictures.mean(0)
        values, directions = torch.linalg.eigh(torch.cov(pictures.T))
        rank = len(self.spread)
        self.mean.copy_(mean)
        self.directions.copy_(directions[:, -rank:].T)
        self.spread.copy_(values[-rank:].clamp(min=1e-12).sqrt())
        left = values[:-rank].clamp(min=0)
        self.rest.fill_(float(left.mean().clamp(min=1e-12).sqrt()) if len(left) else 1.0)
        return self

    def warning(self, statistics: torch.Tensor | None) -> str:
        """What is to be said of a video with these pictures; nothing of one that looks familiar."""
        if statistics is None or (far := self.distance(statistics)) <= float(self.limit):
            return ""
        return (
            f"UNLIKE ANYTHING THE MODEL WAS TRAINED ON: its pictures lie {far:.0f} away from those of the training, "
            f"whose videos stay below {float(self.limit):.0f}"
        )


class Pictures:
    """Some pictures of a video as it comes, evenly spread over what came; never more than twice `KEPT_PICTURES`."""

    def __init__(self):
        self._kept: list[torch.Tensor] = []
        self._every, self._count = 1, 0

    def add(self, statistics: torch.Tensor) -> None:
        """More pictures `(frames, 2 * width)`, in order."""
        for row in statistics:
            if self._count % self._every == 0:
                self._kept.append(row)
            self._count += 1
        while len(self._kept) > 2 * KEPT_PICTURES:
            self._kept, self._every = self._kept[::2], 2 * self._every

    @property
    def statistics(self) -> torch.Tensor | None:
        """Those that are kept, `(frames, 2 * width)`; `None` of no pictures."""
        return torch.stack(self._kept) if self._kept else None
