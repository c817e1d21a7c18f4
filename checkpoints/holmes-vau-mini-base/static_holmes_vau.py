"""Which frames show nothing new: each is compared with the last one that was encoded, against the recording's noise.

The rule, on frames as the vision tower gets them, in grey levels of 0 to 255:

- A frame is cut into 32 x 32 blocks. The difference of two frames in a block is that of its mean colours, the mean of
  the three: noise of pixels averages out, and what moves leaves one block and enters another.
- The noise of the recording is the median over its consecutive frames so far of the median difference of their blocks:
  what moves is in fewer than half of the blocks, or for less than half of the time. It counts as at most 1, so that a
  camera which moves all the time is not taken for a noisy one.
- A frame is still if no block differs from the last encoded frame by more than 6 times the noise and 2 beside.
"""

import torch
from torch.nn.functional import adaptive_avg_pool2d


BLOCKS = 32  # a side; 14 pixels of 448, a patch of InternViT
NOISE_FACTOR, LEAST_CHANGE, MOST_NOISE = 6.0, 2.0, 1.0  # grey levels but for the first; see above


def block_differences(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """
    How much two frames differ in each block.

    Args:
        one (`torch.ByteTensor` of shape `(3, height, width)`), other (`torch.ByteTensor`): The frames.

    Returns:
        `torch.FloatTensor` of shape `(blocks,)`: Differences of the mean colours in grey levels.
    """
    sides = [min(BLOCKS, side) for side in one.shape[-2:]]
    difference = adaptive_avg_pool2d(one.float() - other.float(), sides)  # (3, blocks, blocks)
    return difference.abs().mean(0).flatten()


class StillFrames:
    """
    Tells of one frame after the other whether it shows something new.

    `seen` and `still` count the frames so far, and those that showed nothing new.

    Example:

    ```python
    >>> still = StillFrames()
    >>> grey = torch.full((3, 64, 64), 100, dtype=torch.uint8)
    >>> [still.is_new(frame) for frame in (grey, grey + 2, grey + 9)]
    [True, False, True]

    ```
    """

    def __init__(self):
        self.seen = self.still = 0
        self._encoded: torch.Tensor | None = None  # the last frame that showed something new
        self._before: torch.Tensor | None = None
        self._medians: list[float] = []  # of consecutive frames

    @property
    def noise(self) -> float:
        """Noise of the recording so far, in grey levels."""
        if not self._medians:
            return 0.0
        return min(MOST_NOISE, float(torch.tensor(self._medians).median()))

    def is_new(self, frame: torch.Tensor, is_needed: bool = False) -> bool:
        """
        Whether a frame must be encoded.

        Args:
            frame (`torch.ByteTensor` of shape `(3, height, width)`): The next frame.
            is_needed (`bool`, *optional*, defaults to `False`): It will be encoded in any case.
        """
        self.seen += 1
        if self._before is not None:
            self._medians.append(float(block_differences(frame, self._before).median()))
        self._before = frame
        is_new = is_needed or self._encoded is None
        if not is_new:
            change = float(block_differences(frame, self._encoded).max())
            is_new = change > NOISE_FACTOR * self.noise + LEAST_CHANGE
        if is_new:
            self._encoded = frame
        else:
            self.still += 1
        return is_new
