"""Small videos for the tests."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np


def moving_square(num_frames: int, height: int = 64, width: int = 80, seed: int = 0) -> np.ndarray:
    """`(num_frames, height, width, 3)` uint8: a bright square that crosses a textured background."""
    rng = np.random.default_rng(seed)
    background = rng.integers(40, 120, (height // 8, width // 8, 3)).repeat(8, 0).repeat(8, 1).astype(np.uint8)
    frames = np.repeat(background[None], num_frames, axis=0)
    for i in range(num_frames):
        x = i * (width - 16) // max(1, num_frames - 1)
        frames[i, 20:36, x : x + 16] = (230, 200, 60)
    return frames


def write_video(
    path: Path, num_frames: int = 100, rate: int | Fraction = 25, frames: np.ndarray | None = None
) -> Path:
    """Write an H.264 file and return its path."""
    frames = moving_square(num_frames) if frames is None else frames
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=rate)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p"
        # Without it x264's macroblock tree makes other frames from run to run.
        stream.options = {"x264-params": "mbtree=0"}
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    return path
