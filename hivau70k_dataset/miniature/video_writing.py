"""Frames -> an mp4 file, the same one every time."""

import os
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np


def write_video(path: Path, frames: Iterable[np.ndarray], fps: float, width: int, height: int) -> None:
    """Write RGB frames `(height, width, 3)`, uint8, as H.264 in mp4: the same frames give the same file, and the file
    appears whole or not at all."""
    partial = path.with_name(f".{path.stem}.{os.getpid()}.partial.mp4")
    try:
        with av.open(str(partial), "w", format="mp4", options={"movflags": "faststart"}) as container:
            stream = container.add_stream("libx264", rate=Fraction(fps).limit_denominator(1001))
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
            # One thread and no macroblock tree: with either, x264's choices vary from run to run on the same frames.
            stream.thread_count = 1
            stream.options = {"crf": "23", "preset": "veryfast", "x264-params": "mbtree=0"}
            for frame in frames:
                container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
            container.mux(stream.encode())
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
