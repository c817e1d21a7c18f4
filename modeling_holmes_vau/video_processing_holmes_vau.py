"""Video files and in-memory videos -> dense frames and their timestamps in seconds.

Frame `i` is the i-th frame in presentation order (B-frames reordered, edit lists applied, rotation undone), as uint8
RGB, whichever library decodes it. PyAV is the default: it may skip frames that are neither wanted nor referenced, and
so decodes and resizes every 16th frame of a 2730-frame HEVC clip 1.8 times as fast as decord on two CPU cores (4 times
as fast as decord, PIL and float conversion frame by frame). decord is used on request, for files that it reads right.
"""

import logging
import os
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, pairwise
from typing import NamedTuple

import numpy as np
import torch
from torch.nn import functional


try:
    import av
    from av.video.reformatter import VideoReformatter

    # Until PyAV 19, a title that is not UTF-8 is otherwise an error.
    OPEN_OPTIONS = {"metadata_errors": "replace"} if int(av.__version__.split(".")[0]) < 19 else {}
except ImportError:
    av = None


logger = logging.getLogger(__name__)

DENSE_STRIDE = 16  # frames; the original release scores every 16th frame
DEFAULT_FPS = 30.0  # frames per second of an array that states none
TIME_EPS_S = 1e-6  # absorbs the rounding of `frame / fps` against `ticks / ticks_per_s`
SEEK_GAP_FRAMES = 48  # a jump that saves fewer frames is decoded through
MAX_REORDER_FRAMES = 16  # H.264 and HEVC: how far decoding time may lag behind presentation time
MAX_THREADS = 8  # more gain little: a frame waits for the frames it refers to
# Containers that give every frame one packet with its presentation time. Others (MPEG-TS, raw streams) are decoded
# once from end to end to learn their frames; so are codecs left out here: a VP8 packet may show no frame at all.
INDEXED_CONTAINERS = ("mov", "matroska", "avi")
INDEXED_CODECS = ("h264", "hevc", "vp9", "av1", "libdav1d", "mpeg4", "mjpeg")
PROGRESSIVE = (0, 1)  # AVFieldOrder unknown, progressive: a packet of interlaced video may hold half a frame
# Where decord's frames were found equal to PyAV's. Its older swscale, for one, rounds 10-bit video differently.
DECORD_CONTAINERS = ("mov", "matroska")
DECORD_CODECS = ("h264", "hevc")
DECORD_PIXEL_FORMATS = ("yuv420p", "yuvj420p")
DECORD_BATCH = 4  # frames per decord call


class VideoReadError(ValueError):
    """A video file cannot be read. One line: the file, what is wrong, what to do."""


def dense_frame_indices(num_frames: int, stride: int = DENSE_STRIDE, first: int = 0) -> list[int]:
    """Every `stride`-th of the `num_frames` frames that begin at frame `first`.

    Example:

    ```python
    >>> dense_frame_indices(40, stride=16, first=100)
    [100, 116, 132]
    ```
    """
    if num_frames < 1 or stride < 1:
        raise ValueError(f"`num_frames` and `stride` must be at least 1, got {num_frames} and {stride}.")
    return list(range(first, first + num_frames, stride))


def middle_frame_indices(num_frames: int, num_segments: int, first: int = 0) -> list[int]:
    """The middle frame of each of `num_segments` equal segments: InternVL's rule. Repeats when frames are fewer.

    Example:

    ```python
    >>> middle_frame_indices(120, 8)
    [7, 22, 37, 52, 67, 81, 96, 111]
    ```
    """
    if num_frames < 1 or num_segments < 1:
        raise ValueError(f"`num_frames` and `num_segments` must be at least 1, got {num_frames} and {num_segments}.")
    segment = (num_frames - 1) / num_segments
    return [int(first + segment / 2 + np.round(segment * k)) for k in range(num_segments)]


def segment_frame_range(
    timestamps_s: Sequence[float] | np.ndarray, start_s: float = 0.0, end_s: float | None = None
) -> tuple[int, int]:
    """Frames shown in `start_s <= t < end_s`.

    Args:
        timestamps_s (`np.ndarray` of shape `(num_frames,)`): Time of each frame in seconds, increasing from 0.
        start_s (`float`, *optional*, defaults to 0.0): Start of the segment in seconds, within the video.
        end_s (`float`, *optional*): End of the segment in seconds, clipped to the end of the video (the default).

    Returns:
        `tuple[int, int]`: First frame and number of frames; of a segment that falls between two frames, the frame
        nearest to its middle.

    Example:

    ```python
    >>> segment_frame_range([0.0, 0.5, 1.0, 1.5], start_s=0.5, end_s=1.5)
    (1, 2)
    ```
    """
    times_s = np.asarray(timestamps_s, dtype=np.float64)
    frame_s = times_s[-1] / (len(times_s) - 1) if len(times_s) > 1 else 1 / DEFAULT_FPS
    video_end_s = float(times_s[-1] + frame_s)
    if not 0 <= start_s < video_end_s:
        raise ValueError(f"`start_s` must lie within the video, 0 to {video_end_s:.3f} seconds, got {start_s}.")
    end_s = video_end_s if end_s is None or end_s > video_end_s else end_s
    if not end_s > start_s:
        raise ValueError(f"`end_s` must be greater than `start_s` ({start_s} seconds), got {end_s}.")
    first, stop = np.searchsorted(times_s, (start_s - TIME_EPS_S, end_s - TIME_EPS_S))
    if first == stop:
        return int(np.abs(times_s - (start_s + end_s) / 2).argmin()), 1
    return int(first), int(stop - first)


def resize_frames(frames: np.ndarray, image_size: int) -> torch.Tensor:
    """Resize to a square as `PIL.Image.resize((image_size, image_size), BICUBIC)` does, in a sixth of the time.

    Args:
        frames (`np.ndarray` of shape `(n, height, width, 3)`): uint8 RGB frames.
        image_size (`int`): Side of the output in pixels.

    Returns:
        `torch.ByteTensor` of shape `(n, 3, image_size, image_size)` in channels-last memory. One value in a few
        hundred differs from PIL's by one level, one in a hundred thousand by two (filter weights have 16 bits).
    """
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[-1] != 3:
        raise ValueError(f"`frames` must be uint8 (n, height, width, 3), got {frames.dtype} {frames.shape}.")
    pixels = torch.from_numpy(np.require(frames, requirements=("C", "W"))).permute(0, 3, 1, 2)  # (n, 3, H, W)
    return functional.interpolate(pixels, size=(image_size, image_size), mode="bicubic", antialias=True)


class PacketInfo(NamedTuple):
    """What is kept of a packet. Times are in ticks of the stream."""

    pts: int | None
    duration: int
    is_key: bool  # as the container says
    is_start: bool  # decoding may start here: no frame shown from here on needs an earlier one
    is_hidden: bool  # by an edit list


@dataclass(frozen=True)
class VideoIndex:
    """What one pass over the packets of a file tells, which is all that decoding needs to know."""

    pts: np.ndarray  # (num_frames,) presentation times in ticks, increasing
    start_pts: np.ndarray  # ticks at which decoding may start; empty if frames are told by counting from the beginning
    timestamps_s: np.ndarray  # (num_frames,) seconds from the first frame
    duration_s: float  # until the last frame is over
    fps: float  # average
    size: tuple[int, int]  # width and height in pixels before rotation
    quarter_turns: int  # counterclockwise, to the displayed picture
    droppable: bool  # whether decoders may drop a non-reference frame without a trace in the others
    decord_exact: bool  # whether decord returns the same frames as PyAV


@contextmanager
def open_stream(path: str) -> Iterator[tuple]:
    """PyAV's container and video stream of a file; its errors become `VideoReadError`."""
    try:
        # The absolute path keeps a name like `pipe:0.mp4` from being taken for a protocol.
        container = av.open(os.path.abspath(path), **OPEN_OPTIONS)
    except av.FFmpegError as error:
        raise VideoReadError(
            f"{path}: not a readable video ({error.strerror}): damaged, cut off before its index, or no video at all. "
            "Download or export it again."
        ) from error
    with container:
        stream = container.streams.best("video")
        if stream is None or stream.disposition & av.stream.Disposition.attached_pic:
            raise VideoReadError(f"{path}: has no video stream (audio only?). Pass a file with pictures.")
        if stream.codec_context is None:
            raise VideoReadError(f"{path}: no decoder for its video codec. Convert it to H.264 with ffmpeg.")
        try:
            yield container, stream
        except av.FFmpegError as error:
            raise VideoReadError(
                f"{path}: cannot be decoded ({error.strerror}): damaged, or of an unsupported kind. "
                "Export it again, as H.264."
            ) from error


def data_packets(container, stream) -> Iterator:
    """The packets of a stream, then `None`, at which a decoder gives up the frames it still holds.

    Left out are empty packets, which stand for dropped frames in AVI: decoders take them for the end.
    """
    yield from (packet for packet in container.demux(stream) if packet.size)
    yield None


def holds_idr(packet: bytes, extradata: bytes | None) -> bool:
    """Whether an H.264 packet holds an IDR picture (NAL unit type 5), across which nothing refers.

    Containers also mark recovery points as keyframes, after which a picture may build up only gradually.
    """
    if not extradata or extradata[0] != 1:  # no `avcC` header: NAL units follow start codes
        return any(unit[0] & 31 == 5 for unit in packet.split(b"\0\0\1")[1:] if unit)
    start, length_size = 0, (extradata[4] & 3) + 1
    while start + length_size < len(packet):
        if packet[start + length_size] & 31 == 5:
            return True
        start += length_size + int.from_bytes(packet[start : start + length_size], "big")
    return False


def drops_without_trace(codec: str, extradata: bytes | None) -> bool:
    """Whether what decoders drop as non-reference frames is referred to by no frame whatever.

    H.264 promises so. HEVC does within one temporal layer, so there must be one (`numTemporalLayers` of `hvcC`).
    """
    if codec == "hevc":
        return extradata is not None and len(extradata) > 21 and extradata[0] == 1 and extradata[21] >> 3 & 7 == 1
    return codec == "h264"


def scan_packets(path: str, container, stream) -> tuple[list[PacketInfo], "av.VideoFrame"]:
    """Read through a file: its packets in file order, and its first frame, the only one to be decoded."""
    context, packets, damaged = stream.codec_context, [], 0
    first = fault = None
    for packet in data_packets(container, stream):
        if first is None and fault is None:
            try:
                first = next(iter(stream.decode(packet)), None)
            except av.FFmpegError as error:
                fault = error
        if packet is not None:
            damaged += packet.is_corrupt
            is_start = packet.is_keyframe and (context.name != "h264" or holds_idr(bytes(packet), context.extradata))
            marks = (packet.is_keyframe, is_start, packet.is_discard)
            packets.append(PacketInfo(packet.pts, packet.duration or 0, *marks))
    # MP4 lists its samples up front, so missing ones show; the one that the file ends in comes out as corrupt.
    if container.format.name.startswith("mov") and len(packets) - damaged < len(stream.index_entries):
        raise VideoReadError(
            f"{path}: cut short: {len(packets) - damaged} of {len(stream.index_entries)} frames could be read. "
            "Download or export it again."
        )
    if first is None:
        raise VideoReadError(
            f"{path}: no frame of its {context.name} video can be decoded. Export it again."
        ) from fault
    return packets, first


def is_indexed(packets: list[PacketInfo], container_name: str, context) -> bool:
    """Whether frames and packets match one to one by presentation time."""
    pts = [packet.pts for packet in packets]
    return (
        container_name in INDEXED_CONTAINERS
        and context.name in INDEXED_CODECS
        and context.field_order in PROGRESSIVE
        and not (container_name == "avi" and context.has_b_frames)  # AVI has decoding times only
        and None not in pts
        and len(set(pts)) == len(pts)
        and packets[0].is_start
        and pts[0] == min(pts)  # what is shown before the first keyframe cannot be decoded
    )


def is_decord_exact(packets: list[PacketInfo], container_name: str, codec: str, frame) -> bool:
    """Whether decord returns the right frames, as far as comparing every frame of many files has told.

    It does not after a seek, which it also does to skip, unless every keyframe is a clean start (no open GOP, no
    intra-refresh); it shows what an edit list hides.
    """
    latest_key = None
    for packet in packets:
        latest_key = packet.pts if packet.is_key else latest_key
        if packet.is_hidden or packet.is_key != packet.is_start or packet.pts < latest_key:
            return False
    return (
        container_name in DECORD_CONTAINERS
        and codec in DECORD_CODECS
        and frame.format.name in DECORD_PIXEL_FORMATS
        and frame.width % 2 == frame.height % 2 == frame.rotation == 0
    )


def count_frames(path: str) -> list[int | None]:
    """Decode a file from end to end; the time of each frame in ticks, where it has one."""
    with open_stream(path) as (container, stream):
        return [frame.pts for packet in data_packets(container, stream) for frame in stream.decode(packet)]


def read_index(path: str) -> VideoIndex:
    """Index a file: reads all of it and decodes one frame, or all if packets do not tell the frames apart."""
    with open_stream(path) as (container, stream):
        packets, first = scan_packets(path, container, stream)
        context, rate = stream.codec_context, stream.average_rate or stream.guessed_rate
        name, codec, extradata = container.format.name.split(",")[0], context.name, context.extradata
        ticks_per_s = stream.time_base.denominator / stream.time_base.numerator
        indexed = is_indexed(packets, name, context)
    fps, last_ticks = float(rate) if rate else DEFAULT_FPS, 0
    if indexed:
        shown = sorted((packet.pts, packet.duration) for packet in packets if not packet.is_hidden)
        pts, last_ticks = [ticks for ticks, _ in shown], shown[-1][1]
    else:
        pts = count_frames(path)
        if None in pts or any(b <= a for a, b in pairwise(pts)):  # no times to be had: evenly spaced ones
            pts, ticks_per_s = list(range(len(pts))), fps
    timestamps_s = (np.array(pts) - pts[0]) / ticks_per_s
    duration_s = float(timestamps_s[-1]) + (last_ticks / ticks_per_s or 1 / fps)
    return VideoIndex(
        pts=np.array(pts, dtype=np.int64),
        start_pts=np.array(sorted(p.pts for p in packets if p.is_start) if indexed else [], dtype=np.int64),
        timestamps_s=timestamps_s,
        duration_s=duration_s,
        # A stated rate is exact where it is right. Matroska states the nominal rate of variable-rate video.
        fps=fps if abs(fps * duration_s - len(pts)) <= 1 else len(pts) / duration_s,
        size=(first.width, first.height),
        quarter_turns=round(first.rotation / 90) % 4,
        droppable=indexed and drops_without_trace(codec, extradata),
        decord_exact=indexed and is_decord_exact(packets, name, codec, first),
    )


def split_runs(index: VideoIndex, frame_indices: list[int]) -> Iterator[list[int]]:
    """Cut increasing frame indices where it pays to start afresh at a keyframe."""
    run = frame_indices[:1]
    for previous, current in pairwise(frame_indices):
        start = np.searchsorted(index.start_pts, index.pts[current], side="right") - 1
        if start > 0 and np.searchsorted(index.pts, index.start_pts[start]) - previous > SEEK_GAP_FRAMES:
            yield run
            run = []
        run.append(current)
    yield run


def seek_packets(container, stream, index: VideoIndex, pts: int, back: int | None) -> Iterator | None:
    """Packets from the keyframe `back` keyframes before the one that frame `pts` needs, or from the beginning if
    `back` is `None`. `None` if the seek ends past the needed one."""
    start = int(np.searchsorted(index.start_pts, pts, side="right")) - 1
    if back is None or start <= back:
        return data_packets(container, stream)
    try:
        container.seek(int(index.start_pts[start - back]), stream=stream)
    except av.FFmpegError:
        return None
    packets = data_packets(container, stream)
    first = next(packets)
    if first is None or first.pts not in index.start_pts or first.pts > index.start_pts[start]:
        return None
    return chain((first,), packets)


def decode_run(path: str, index: VideoIndex, frame_indices: list[int], num_threads: int) -> Iterator:
    """PyAV frames at increasing `frame_indices`, decoded in one go."""
    by_number = not len(index.start_pts)
    wanted = deque(frame_indices if by_number else index.pts[frame_indices].tolist())
    undroppable = {*wanted, None}
    for back in (0, MAX_REORDER_FRAMES, None):  # MP4 seeks by decoding time, so it may land too late
        with open_stream(path) as (container, stream):
            stream.thread_type, stream.codec_context.thread_count = "AUTO", num_threads
            packets = seek_packets(container, stream, index, wanted[0], back)
            if packets is None:
                continue
            frames = (f for packet in packets for f in decode_packet(stream, packet, index.droppable, undroppable))
            for number, frame in enumerate(frames):
                if (number if by_number else frame.pts) == wanted[0]:
                    yield frame
                    wanted.popleft()
                    if not wanted:
                        return
        break
    missing = frame_indices[-len(wanted)]
    raise VideoReadError(f"{path}: damaged: frame {missing} of {len(index.pts)} cannot be decoded. Export it again.")


def decode_packet(stream, packet, droppable: bool, undroppable: set) -> list:
    """Frames that a packet brings forth. If `droppable`, non-reference frames not in `undroppable` are not decoded."""
    if droppable and packet is not None:
        stream.codec_context.skip_frame = "DEFAULT" if packet.pts in undroppable else "NONREF"
    return stream.decode(packet)


def decode_with_pyav(path: str, index: VideoIndex, frame_indices: list[int], num_threads: int) -> Iterator[np.ndarray]:
    """Displayed RGB frames `(height, width, 3)` at increasing `frame_indices`."""
    reformatter = VideoReformatter()  # kept, for setting it up takes longer than using it
    for run in split_runs(index, frame_indices):
        for frame in decode_run(path, index, run, num_threads):
            yield np.rot90(reformatter.reformat(frame, *index.size, "rgb24").to_ndarray(), index.quarter_turns)


def import_decord():
    """decord, silenced. Imported when asked for: it brings an FFmpeg of its own."""
    try:
        import decord
    except (ImportError, OSError) as error:  # OSError: its libraries do not fit the system
        raise ImportError("backend='decord' needs decord: pip install decord, or use backend='pyav'.") from error
    decord.logging.set_level(decord.logging.QUIET)
    return decord


def decode_with_decord(path: str, frame_indices: list[int], num_threads: int) -> Iterator[np.ndarray]:
    """RGB frames `(height, width, 3)` at increasing `frame_indices`."""
    decord = import_decord()
    try:
        # Lives no longer than this call: one that is left at interpreter exit aborts the process.
        video = decord.VideoReader(os.path.abspath(path), num_threads=num_threads)
        for start in range(0, len(frame_indices), DECORD_BATCH):
            batch = video.get_batch(frame_indices[start : start + DECORD_BATCH])
            # Another type than decord's own if the program has set a "bridge".
            yield from batch.asnumpy() if isinstance(batch, decord.nd.NDArray) else np.asarray(batch)
    except (decord.DECORDError, RuntimeError) as error:
        raise VideoReadError(f"{path}: decord failed: {str(error).splitlines()[0]}") from error


def check_file(path: str) -> None:
    """Faults of a path that are better told before a decoder sees it."""
    if not os.path.exists(path):
        raise VideoReadError(f"{path}: no such file. Check the path.")
    if not os.path.isfile(path):
        raise VideoReadError(f"{path}: not a file but a folder or device. Pass the path of a video file.")
    if os.path.getsize(path) == 0:
        raise VideoReadError(f"{path}: empty file. Download or export it again.")


def check_indices(frame_indices: Sequence[int] | np.ndarray, num_frames: int) -> list[int]:
    """`frame_indices` as a list, all within the video."""
    indices = np.asarray(frame_indices)
    if indices.ndim != 1 or (indices.size and indices.dtype.kind not in "iu"):
        raise TypeError(f"`frame_indices` must be a list of integers, got {indices.dtype} of shape {indices.shape}.")
    if indices.size and not 0 <= indices.min() <= indices.max() < num_frames:
        raise ValueError(f"Frame indices must lie in 0..{num_frames - 1}, got {indices.min()}..{indices.max()}.")
    return [int(i) for i in indices]


class _Video:
    """What a file and a video in memory share. Subclasses set the attributes and write `frames`."""

    def __enter__(self):
        return self

    def __exit__(self, *exception) -> None:
        self.close()

    def close(self) -> None:
        """Nothing to do: no file stays open from one read to the next."""

    def read(self, frame_indices: Sequence[int] | np.ndarray) -> np.ndarray:
        """Frames at any indices, in any order, repeated or not.

        Returns:
            `np.ndarray` of shape `(len(frame_indices), height, width, 3)`: uint8 RGB.

        Raises:
            `VideoReadError`: if the file is damaged there. `ValueError`: if an index is not in the video.
        """
        indices = check_indices(frame_indices, self.num_frames)
        unique, inverse = np.unique(np.array(indices, dtype=np.int64), return_inverse=True)
        pixels = np.empty((len(unique), self.height, self.width, 3), dtype=np.uint8)
        for slot, frame in zip(pixels, self.frames(unique.tolist())):
            slot[...] = frame
        return pixels if unique.tolist() == indices else pixels[inverse]


class VideoReader(_Video):
    """
    A video file, read frame by frame.

    Every read opens the file and closes it again, so readers may be shared by threads, pickled and simply dropped.

    Args:
        path (`str` or `os.PathLike`): A video file. MP4 is known to be complete when it opens; Matroska and MPEG-TS,
            which state no number of frames, are read up to where they end.
        backend (`str`, *optional*, defaults to `"auto"`): `"pyav"`, `"decord"`, or `"auto"`, which is PyAV, the
            faster. Frames are the same: files that decord would read wrong are read with PyAV all the same.
        num_threads (`int`, *optional*, defaults to 0): Decoding threads; 0 is one for every CPU core but one.

    Attributes:
        path (`str`), backend (`str`): As given; as used, `"pyav"` or `"decord"`.
        num_frames (`int`), fps (`float`), duration_s (`float`): Number of frames shown, their average rate, and the
            time in seconds at which the last one is over.
        width (`int`), height (`int`): Size in pixels as displayed, after rotation.
        timestamps_s (`np.ndarray` of shape `(num_frames,)`): Time of each frame in seconds from the first.

    Raises:
        `VideoReadError`: if the file cannot be read, in one line.

    Example:

    ```python
    >>> with VideoReader("street.mp4") as video:  # doctest: +SKIP
    ...     frames = video.read(dense_frame_indices(video.num_frames))
    ```
    """

    def __init__(self, path: str | os.PathLike, backend: str = "auto", num_threads: int = 0):
        if backend not in ("auto", "pyav", "decord"):
            raise ValueError(f"`backend` must be 'auto', 'pyav' or 'decord', got {backend!r}.")
        if av is None:
            raise ImportError("Reading video files needs PyAV: pip install av")
        if backend == "decord":
            import_decord()
        self.path = os.fsdecode(path)
        check_file(self.path)
        self.index = read_index(self.path)
        self.backend = "decord" if backend == "decord" and self.index.decord_exact else "pyav"
        self.num_threads = num_threads or max(1, min((os.cpu_count() or 1) - 1, MAX_THREADS))
        self.num_frames = len(self.index.pts)
        self.fps, self.duration_s = self.index.fps, self.index.duration_s
        self.width, self.height = self.index.size[:: -1 if self.index.quarter_turns % 2 else 1]
        self.timestamps_s = self.index.timestamps_s

    def frames(self, frame_indices: Sequence[int]) -> Iterator[np.ndarray]:
        """Frames `(height, width, 3)` at non-decreasing `frame_indices`, one at a time."""
        times = Counter(check_indices(frame_indices, self.num_frames))
        remaining = deque(sorted(times))
        if self.backend == "decord":
            try:
                for frame in decode_with_decord(self.path, list(remaining), self.num_threads):
                    yield from repeat(frame, times[remaining.popleft()])
            except VideoReadError as error:
                logger.warning("%s. Read with PyAV instead.", error)
                self.backend = "pyav"
        if remaining:
            for frame in decode_with_pyav(self.path, self.index, list(remaining), self.num_threads):
                yield from repeat(frame, times[remaining.popleft()])


class ArrayVideo(_Video):
    """
    A video in memory, with the interface of [`VideoReader`]. Nothing is copied ahead of a read.

    Args:
        video (`np.ndarray`, `torch.Tensor` or `list`): uint8 RGB of shape `(num_frames, height, width, 3)` or
            `(num_frames, 3, height, width)`; or a list of RGB PIL images or `(height, width, 3)` arrays of one size.
        fps (`float`, *optional*, defaults to 30.0): Frame rate; frame `i` is at `i / fps` seconds.

    Raises:
        `TypeError`: if pixels are not uint8. `ValueError`: for no frames, or a wrong shape or `fps`.

    Example:

    ```python
    >>> video = ArrayVideo(np.zeros((50, 48, 64, 3), dtype=np.uint8), fps=25)
    >>> video.num_frames, video.width, video.height, video.duration_s
    (50, 64, 48, 2.0)
    ```
    """

    path = "<array>"
    backend = "array"

    def __init__(self, video: np.ndarray | torch.Tensor | Sequence, fps: float = DEFAULT_FPS):
        if not fps > 0:
            raise ValueError(f"`fps` must be greater than 0 frames per second, got {fps}.")
        if not len(video):
            raise ValueError("`video` has no frames, pass at least one.")
        video = video.detach().cpu().numpy() if isinstance(video, torch.Tensor) else video
        if isinstance(video, np.ndarray) and video.ndim == 4 and video.shape[-1] != 3 and video.shape[1] == 3:
            video = video.transpose(0, 2, 3, 1)  # (T, 3, H, W) -> (T, H, W, 3)
        self._video = video
        self.height, self.width = (*np.shape(video[0]), 0, 0)[:2]
        for i in range(1 if isinstance(video, np.ndarray) else len(video)):
            self._frame(i)
        self.num_frames, self.fps = len(video), float(fps)
        self.timestamps_s = np.arange(self.num_frames) / self.fps
        self.duration_s = self.num_frames / self.fps

    def _frame(self, i: int) -> np.ndarray:
        frame = np.asarray(self._video[i])
        if frame.dtype != np.uint8:
            raise TypeError(f"Frames must be uint8 RGB, 0 to 255, got {frame.dtype} in frame {i}. Convert them first.")
        if frame.shape != (self.height, self.width, 3):
            raise ValueError(
                f"Frames must be RGB, (height, width, 3), and of one size, got {frame.shape} in frame {i}."
            )
        return frame

    def frames(self, frame_indices: Sequence[int]) -> Iterator[np.ndarray]:
        """Frames `(height, width, 3)` at `frame_indices`, one at a time."""
        yield from map(self._frame, check_indices(frame_indices, self.num_frames))


def open_video(video, backend: str = "auto", fps: float | None = None) -> VideoReader | ArrayVideo:
    """Open a path ([`VideoReader`]) or a video in memory ([`ArrayVideo`], with `fps`, by default 30.0 frames per
    second); an opened video is returned as it is."""
    if isinstance(video, (VideoReader, ArrayVideo)):
        return video
    if isinstance(video, (str, os.PathLike)):
        if re.match(r"[a-z]+://", os.fspath(video), re.IGNORECASE):
            raise ValueError(f"{video}: a URL. Download the video first and pass the path of the file.")
        if fps is not None:
            raise ValueError(f"{video}: got fps={fps}, but a file states its own frame rate. Leave `fps` out.")
        return VideoReader(video, backend)
    if isinstance(video, (np.ndarray, torch.Tensor, list, tuple)):
        return ArrayVideo(video, DEFAULT_FPS if fps is None else fps)
    raise TypeError(f"`video` must be a path, an array or a list of frames, got {type(video).__name__}.")


def _stop_thread(stop: threading.Event, slots: threading.Semaphore, thread: threading.Thread) -> None:
    stop.set()
    slots.release()
    thread.join()


class FrameStream:
    """
    Chunks of resized frames, decoded and resized in a thread that runs ahead of the loop over them.

    The thread ends when the loop does, however it ends, and its errors are raised in the loop. At most `prefetch`
    chunks wait, so the memory needed does not depend on the length of the video. Each loop decodes anew.

    Args:
        video (`VideoReader` or `ArrayVideo`): An opened video.
        frame_indices (`list[int]`): Non-decreasing frame indices.
        image_size (`int`): Side of the resized frames in pixels, see [`resize_frames`].
        chunk_size (`int`, *optional*, defaults to 16): Frames per chunk; the last may have fewer.
        prefetch (`int`, *optional*, defaults to 2): How many chunks to be ahead, at least 1.

    Attributes:
        decode_s (`float`): Seconds the thread of the latest loop was busy.

    Yields:
        `torch.ByteTensor` of shape `(chunk_size, 3, image_size, image_size)` in channels-last memory.

    Example:

    ```python
    >>> video = ArrayVideo(np.zeros((50, 48, 64, 3), dtype=np.uint8))
    >>> [tuple(chunk.shape) for chunk in FrameStream(video, [0, 16, 32], image_size=28, chunk_size=2)]
    [(2, 3, 28, 28), (1, 3, 28, 28)]
    ```
    """

    def __init__(self, video, frame_indices: Sequence[int], image_size: int, chunk_size: int = 16, prefetch: int = 2):
        if chunk_size < 1 or prefetch < 1:
            raise ValueError(f"`chunk_size` and `prefetch` must be at least 1, got {chunk_size} and {prefetch}.")
        self.frame_indices = check_indices(frame_indices, video.num_frames)
        if self.frame_indices != sorted(self.frame_indices):
            raise ValueError("`frame_indices` must not decrease: sort them, or use `read`.")
        self.video, self.image_size, self.chunk_size, self.prefetch = video, image_size, chunk_size, prefetch
        self.decode_s = 0.0

    def __len__(self) -> int:
        """Number of chunks."""
        return -(-len(self.frame_indices) // self.chunk_size)

    def __iter__(self) -> Iterator[torch.Tensor]:
        self.decode_s = 0.0
        chunks, slots, stop = queue.SimpleQueue(), threading.Semaphore(self.prefetch), threading.Event()
        thread = threading.Thread(target=self._fill, args=(chunks, slots, stop), daemon=True)
        # Also called at interpreter exit, when a thread inside a decoder would abort the process.
        finish = weakref.finalize(self, _stop_thread, stop, slots, thread)
        thread.start()
        try:
            for _ in range(len(self)):
                chunk = chunks.get()
                if isinstance(chunk, BaseException):
                    raise chunk
                slots.release()
                yield chunk
        finally:
            finish()

    def _fill(self, chunks: queue.SimpleQueue, slots: threading.Semaphore, stop: threading.Event) -> None:
        try:
            with closing(self.video.frames(self.frame_indices)) as frames:
                for start in range(0, len(self.frame_indices), self.chunk_size):
                    slots.acquire()
                    begin_s = time.perf_counter()
                    num_frames = min(self.chunk_size, len(self.frame_indices) - start)
                    pixels = np.empty((num_frames, self.image_size, self.image_size, 3), dtype=np.uint8)
                    for slot in pixels:
                        if stop.is_set():
                            return
                        slot[...] = resize_frames(next(frames)[None], self.image_size)[0].permute(1, 2, 0).numpy()
                    self.decode_s += time.perf_counter() - begin_s
                    chunks.put(torch.from_numpy(pixels).permute(0, 3, 1, 2))  # (num_frames, 3, S, S)
        except BaseException as error:  # for the loop to raise
            chunks.put(error)
