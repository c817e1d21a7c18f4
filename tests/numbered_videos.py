"""Made videos whose frames show their numbers, in many containers, codecs and states of damage."""

import struct
import threading
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from modeling_holmes_vau.video_processing_holmes_vau import THREAD_NAME


REFERENCE = Path(__file__).parent / "fixtures" / "reference"


MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])


BLOCK = 16  # pixels; a frame shows its number in binary, in black and white blocks


try:
    import decord  # noqa: F401

    BACKENDS = ["pyav", "decord"]
except (ImportError, OSError):
    BACKENDS = ["pyav"]


def numbered_frame(number: int, width: int = 64, height: int = 48) -> np.ndarray:
    """A frame that shows `number`, over a colour gradient that leaves the rounding of colours to be seen."""
    y, x = np.mgrid[:height, :width]
    frame = np.stack([60 + x % 64, 60 + y % 64, 60 + (x + y + 5 * number) % 64], axis=-1).astype(np.uint8)
    for bit in range(8):
        top, left = bit // 4 * BLOCK, bit % 4 * BLOCK
        frame[top : top + BLOCK, left : left + BLOCK] = 250 if number >> bit & 1 else 5
    return frame


def number_of(frame: np.ndarray) -> int:
    blocks = frame[: 2 * BLOCK, : 4 * BLOCK].reshape(2, BLOCK, 4, BLOCK, 3).mean((1, 3, 4)).ravel()
    return sum(1 << bit for bit, level in enumerate(blocks) if level > 128)


def numbers_of(frames: np.ndarray) -> list[int]:
    return [number_of(frame) for frame in frames]


def silence(container):
    stream = container.add_stream("aac", rate=16000)
    stream.layout = "mono"
    return stream


def mux_silence(container, stream):
    for i in range(40):
        chunk = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        chunk.sample_rate, chunk.pts = 16000, i * 1024
        container.mux(stream.encode(chunk))
    container.mux(stream.encode())


def write(
    path: Path,
    num_frames: int = 60,
    codec: str = "libx264",
    size: tuple[int, int] = (64, 48),
    pix_fmt: str = "yuv420p",
    rate: int | Fraction = 25,
    ticks: list[int] | None = None,
    audio: bool = False,
    colors: tuple[int, int] | None = None,
    b_frames: int | None = None,
    container_options: dict | None = None,
    **options,
) -> Path:
    """Write numbered frames; `ticks` are their times in 1/90 s, `colors` their colour space and range."""
    with av.open(str(path), "w", options=container_options or {}) as container:
        stream = container.add_stream(codec, rate=rate, options={k: str(v) for k, v in options.items()})
        (stream.width, stream.height), stream.pix_fmt = size, pix_fmt
        time_base = 1 / Fraction(rate) if ticks is None else Fraction(1, 90)
        stream.codec_context.time_base = time_base
        if colors is not None:
            stream.codec_context.colorspace, stream.codec_context.color_range = colors
        if b_frames is not None:
            stream.codec_context.max_b_frames = b_frames
        sound = silence(container) if audio else None
        for i in range(num_frames):
            frame = av.VideoFrame.from_ndarray(numbered_frame(i, *size), "rgb24").reformat(format=pix_fmt)
            frame.pts, frame.time_base = (i if ticks is None else ticks[i]), time_base
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
        if audio:
            mux_silence(container, sound)
    return path


def shift_start(source: Path, target: Path, num_frames: int) -> Path:
    """Move all frames earlier, so that MP4 hides the first `num_frames` with an edit list, or later if negative."""
    with av.open(str(source)) as old, av.open(str(target), "w") as new:
        stream = new.add_stream_from_template(old.streams.video[0])
        ticks = int(num_frames / 25 / old.streams.video[0].time_base)
        for packet in old.demux(video=0):
            if packet.dts is not None:
                packet.pts, packet.dts, packet.stream = packet.pts - ticks, packet.dts - ticks, stream
                new.mux(packet)
    return target


# Where the display matrix (a, b, c, d) shows (x, y), y downwards: at (a x + c y, b x + d y).
ORIENTATIONS = {
    "plain": (1, 0, 0, 1),
    "90": (0, 1, -1, 0),  # degrees clockwise
    "180": (-1, 0, 0, -1),
    "270": (0, -1, 1, 0),
    "mirrored": (-1, 0, 0, 1),
    "mirrored, 90": (0, -1, -1, 0),
    "mirrored, 180": (1, 0, 0, -1),
    "mirrored, 270": (0, 1, 1, 0),
}


def orient(source: Path, target: Path, name: str, matrix: tuple[float, ...] | None = None) -> Path:
    """Set the display matrix of an MP4 file."""
    data = bytearray(source.read_bytes())
    a, b, c, d = (round(number * (1 << 16)) for number in matrix or ORIENTATIONS[name])
    start = data.index(b"tkhd") + 4 + 4 + 20 + 16  # name, version and flags, times and duration, layer and volume
    data[start : start + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    target.write_bytes(data)
    return target


def as_shown(frames: np.ndarray, name: str) -> np.ndarray:
    """Stored frames `(T, H, W, 3)` in an orientation: each pixel moved to where the matrix shows it."""
    a, b, c, d = ORIENTATIONS[name]
    y, x = np.mgrid[: frames.shape[1], : frames.shape[2]]
    to_x, to_y = a * x + c * y, b * x + d * y
    to_x, to_y = to_x - to_x.min(), to_y - to_y.min()
    shown = np.empty((len(frames), to_y.max() + 1, to_x.max() + 1, 3), np.uint8)
    shown[:, to_y, to_x] = frames
    return shown


# MPEG-4 and x264's open GOPs and intra-refresh are what decord reads wrong once it skips frames.
KINDS = {
    "h264.mp4": {},
    "h264.mkv": {},
    "h264-pyramid.mp4": {"bf": 5, "b_strategy": 0, "b-pyramid": "normal", "g": 20},
    "h264-open-gop.mp4": {"x264-params": "open-gop=1:keyint=12:bframes=3"},
    "h264-intra-refresh.mp4": {"x264-params": "intra-refresh=1:keyint=12:bframes=2"},
    "h264-tiny-gop.mp4": {"g": 2, "bf": 0},
    "h264-interlaced.mp4": {"x264-params": "interlaced=1"},
    "h264.ts": {},
    "h264.h264": {},
    "h264.avi": {},
    "hevc.mp4": {"codec": "libx265", "x265-params": "log-level=none:bframes=4:b-pyramid=1:keyint=20:open-gop=1"},
    "mpeg4.mp4": {"codec": "mpeg4", "b_frames": 2},
    "mpeg4.avi": {"codec": "mpeg4", "b_frames": 0},
    "vp9.webm": {"codec": "libvpx-vp9", "deadline": "realtime", "cpu-used": 8},
    "vp8.webm": {"codec": "libvpx", "deadline": "realtime"},
}


def streams_running() -> int:
    """Decoding threads that are alive."""
    return sum(thread.name == THREAD_NAME for thread in threading.enumerate())
