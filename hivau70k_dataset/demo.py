"""A synthetic stand-in for surveillance video: real mp4 files whose truth is known to the frame.

A scene is a fixed camera over a street (drawn once), actors that move on it, and at most one event, which is a process
in time. Everything is placed in metres on the street and projected, so that sizes and occlusions come out right.
"""

import argparse
import math
import os
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from tqdm import tqdm

from .demo_explosion import Event
from .demo_street import StreetScene


EVENT_SPAN = (0.4, 0.65)  # where the event lies, as shares of the video
MIN_DURATION_S, MIN_FPS, MIN_SIDE_PX = 4.0, 1.0, 64


@dataclass(frozen=True)
class SceneTruth:
    """What a rendered video shows: its events, its timing and one sentence in plain words."""

    events: tuple[Event, ...]
    fps: float
    num_frames: int
    caption: str


def render_demo_video(
    path: str | os.PathLike,
    seed: int = 0,
    duration_s: float = 40.0,
    fps: float = 25.0,
    width: int = 640,
    height: int = 360,
    explosion: bool = True,
    progress: bool = False,
) -> SceneTruth:
    """Render a surveillance video of a street, H.264 in mp4, in which a parked car explodes.

    The file appears whole or not at all. The same arguments give the same frames.

    Args:
        path (`str` or `os.PathLike`): The .mp4 file to write; an existing one is replaced.
        seed (`int`, *optional*, defaults to 0): Chooses houses, people, cars, and the details of the explosion.
        duration_s (`float`, *optional*, defaults to 40.0): Length in seconds, at least 4.
        fps (`float`, *optional*, defaults to 25.0): Frames per second, at least 1.
        width (`int`, *optional*, defaults to 640): In pixels, even, at least 64.
        height (`int`, *optional*, defaults to 360): In pixels, even, at least 64.
        explosion (`bool`, *optional*, defaults to `True`): `False` renders the same street on an ordinary day.
        progress (`bool`, *optional*, defaults to `False`): Show a progress bar.

    Returns:
        `SceneTruth`: The event (none on an ordinary day), the timing, and a sentence on what is seen.

    Example:

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     truth = render_demo_video(f"{folder}/street.mp4", duration_s=4, fps=5, width=128, height=72)
    >>> truth.num_frames, [event.label for event in truth.events]
    (20, ['Explosion'])
    """
    path = Path(path)
    _check_arguments(path, seed, duration_s, fps, width, height)
    rng = np.random.default_rng(seed)
    num_frames = round(duration_s * fps)
    start_s, end_s = (round(duration_s * (share + rng.uniform(-0.01, 0.01)), 2) for share in EVENT_SPAN)
    event = Event("Explosion", start_s, end_s) if explosion else None
    scene = StreetScene(width, height, duration_s, event, rng)
    frames = (scene.frame(index, index / fps) for index in range(num_frames))
    shown = tqdm(frames, "rendering", num_frames, unit="frame", disable=not progress)
    write_video(path, shown, fps, width, height)
    return SceneTruth((event,) if event else (), float(fps), num_frames, _caption(event))


def _check_arguments(path: Path, seed: int, duration_s: float, fps: float, width: int, height: int) -> None:
    if path.suffix.lower() != ".mp4":
        raise ValueError(f"`path` must name an .mp4 file, got {str(path)!r}. End the name in .mp4.")
    if not path.parent.is_dir():
        raise ValueError(f"The folder of `path` does not exist: {str(path.parent)!r}. Create it first.")
    if seed < 0:
        raise ValueError(f"`seed` must be 0 or more, got {seed}. Pass a non-negative whole number.")
    if not MIN_DURATION_S <= duration_s < math.inf:
        raise ValueError(
            f"`duration_s` must be at least {MIN_DURATION_S:g} seconds, got {duration_s}. "
            "A shorter video has no room for ordinary life before and after the event."
        )
    if not MIN_FPS <= fps < math.inf:
        raise ValueError(
            f"`fps` must be at least {MIN_FPS:g} frame per second, got {fps}. Surveillance runs at 10 to 30."
        )
    for name, side in (("width", width), ("height", height)):
        if side < MIN_SIDE_PX or side % 2:
            raise ValueError(
                f"`{name}` must be an even number of pixels, at least {MIN_SIDE_PX}, got {side}. "
                "H.264 stores colour at half resolution; round to an even number."
            )


def _caption(event: Event | None) -> str:
    street = "A fixed camera shows a street with shops: people walk on both pavements, cars pass in both directions."
    if event is None:
        return f"{street} Nothing unusual happens."
    return (
        f"{street} At {event.start_s:g} s a parked car explodes with a flash and a fireball that throws debris. "
        "People run away and cars stop. The wreck burns under a column of dark smoke until about "
        f"{event.end_s:g} s and smoulders on."
    )


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


def main(argv: list[str] | None = None) -> None:
    """Command line: renders one video and prints its truth."""
    description = "Render a surveillance video of a street in which a parked car explodes."
    parser = argparse.ArgumentParser("python -m hivau70k_dataset.demo", description=description)
    parser.add_argument("--output", required=True, help="the .mp4 file to write")
    parser.add_argument("--seed", type=int, default=0, help="another seed, another street (default: %(default)s)")
    parser.add_argument("--duration_s", type=float, default=40.0, help="length in seconds (default: %(default)s)")
    parser.add_argument("--normal", action="store_true", help="an ordinary day: no explosion")
    args = parser.parse_args(argv)
    try:
        Path(args.output).parent.mkdir(parents=True, exist_ok=True)
        truth = render_demo_video(args.output, args.seed, args.duration_s, explosion=not args.normal, progress=True)
    except (ValueError, OSError) as error:
        parser.error(str(error))
    events = ", ".join(f"{event.label} from {event.start_s:g} s to {event.end_s:g} s" for event in truth.events)
    print(f"{args.output}: {truth.num_frames} frames at {truth.fps:g} fps; {events or 'no abnormal event'}")


if __name__ == "__main__":
    main()
