"""Video files and videos in memory -> any of their frames, and the timestamps of all in seconds.

Frame `i` is the i-th frame in presentation order (B-frames reordered, edit lists applied, rotation undone), as uint8
RGB, whichever library decodes it. PyAV is the default, since it can leave out frames that are neither wanted nor
referred to: on two CPU cores it decodes and resizes every 16th frame of a 2730-frame HEVC clip 1.4 times as fast as
decord, and 4 times as fast as decord, PIL and float conversion one frame at a time do (twice as fast where PyTorch is
held to one thread, which does not then get in the way of decord's). decord is there on request.
"""

import logging
import operator
import os
import re
from array import array
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import chain, pairwise, repeat
from typing import NamedTuple

import numpy as np
import torch


try:
    import av
    from av.video.reformatter import VideoReformatter

    # Until PyAV 19, a title that is not UTF-8 is otherwise an error.
    OPEN_OPTIONS = {"metadata_errors": "replace"} if int(av.__version__.split(".")[0]) < 19 else {}
except ImportError:
    av = None

logger = logging.getLogger(__name__)

DEFAULT_FPS = 30.0  # frames per second of an array that states none
SEEK_GAP_FRAMES = 48  # a jump that saves fewer frames is decoded through
MAX_THREADS = 8  # more gain little: a frame waits for the frames it refers to
NO_PTS = -(2**63)  # ticks of a packet without a presentation time, as in FFmpeg
DECORD_BATCH = 4  # frames per call
DECORD_KINDS = (("mov", "matroska"), ("h264", "hevc"), ("yuv420p", "yuvj420p"))  # container, codec, pixels: compared
# Containers and codecs with one packet for every frame, marked with its presentation time. Others (MPEG-TS, raw
# streams, VP8 with its invisible frames) are decoded once from end to end to learn their frames.
INDEXED_CONTAINERS = ("mov", "matroska", "avi")
INDEXED_CODECS = ("h264", "hevc", "vp9", "av1", "libdav1d", "mpeg4", "mjpeg")
PROGRESSIVE = (0, 1)  # AVFieldOrder unknown, progressive: a packet of interlaced video may hold half a frame


class VideoReadError(ValueError):
    """A video file cannot be read. One line: the file, what is wrong, what to do."""


class PacketTable(NamedTuple):
    """What is kept of the packets of a file, an array of shape `(num_packets,)` each, in file order.

    Args:
        pts (`np.ndarray`): Presentation time in ticks; `NO_PTS` where there is none.
        duration (`np.ndarray`): Duration in ticks.
        is_key (`np.ndarray`): Whether the container calls it a keyframe.
        is_start (`np.ndarray`): Whether decoding may start with it: no frame shown from there on needs an earlier one.
        is_hidden (`np.ndarray`): Whether an edit list hides it.
    """

    pts: np.ndarray
    duration: np.ndarray
    is_key: np.ndarray
    is_start: np.ndarray
    is_hidden: np.ndarray


@contextmanager
def open_stream(path: str) -> Iterator[tuple]:
    """PyAV's container and video stream of a file; its errors become `VideoReadError`."""
    ffmpeg_error = av.FFmpegError  # looked up now: a generator that is left may end when `av` is gone
    try:
        # The absolute path keeps a name like `pipe:0.mp4` from being taken for a protocol.
        container = av.open(os.path.abspath(path), **OPEN_OPTIONS)
    except ffmpeg_error as error:
        problem = f"{path}: not a video, or empty or cut off before its index ({error.strerror})"
        raise VideoReadError(f"{problem}. Download or export it again.") from error
    with container:
        stream = container.streams.best("video")
        if stream is None or stream.disposition & av.stream.Disposition.attached_pic:
            raise VideoReadError(f"{path}: has no video stream (audio only?). Pass a file with pictures.")
        if stream.codec_context is None:
            raise VideoReadError(f"{path}: no decoder for its video codec. Convert it to H.264 with ffmpeg.")
        try:
            yield container, stream
        except ffmpeg_error as error:
            problem = f"{path}: damaged, or of an unsupported kind ({error.strerror})"
            raise VideoReadError(f"{problem}. Export it again, as H.264.") from error


def data_packets(container, stream) -> Iterator:
    """The packets of a stream, then `None`, at which a decoder gives up the frames it still holds."""
    with suppress(IndexError):  # PyAV's, after the last packet of damaged MPEG-TS in which streams show up late
        # Empty packets stand for dropped frames in AVI; decoders take them for the end.
        yield from (packet for packet in container.demux(stream) if packet.size)
    yield None


def holds_idr(packet: bytes, extradata: bytes) -> bool:
    """Whether an H.264 packet holds an IDR picture (NAL unit type 5), across which no frame refers.

    Containers also mark recovery points as keyframes, after which the picture may build up only gradually.
    """
    if len(extradata) < 5 or extradata[0] != 1:  # no `avcC` header: NAL units follow start codes
        return any(unit[0] & 31 == 5 for unit in packet.split(b"\0\0\1")[1:] if unit)
    start, length_size = 0, (extradata[4] & 3) + 1
    while start + length_size < len(packet):
        if packet[start + length_size] & 31 == 5:
            return True
        start += length_size + int.from_bytes(packet[start : start + length_size], "big")
    return False


def scan_packets(path: str, container, stream) -> tuple[PacketTable, "av.VideoFrame"]:
    """Read through a file: its packets in file order, and its first frame, the only one to be decoded."""
    # 40 bytes a packet, where tuples of a long video take tens of megabytes.
    rows, whole, first, fault = array("q"), 0, None, None
    is_h264, extradata = stream.codec_context.name == "h264", stream.codec_context.extradata or b""
    for packet in data_packets(container, stream):
        if first is None and fault is None:
            try:
                first = next(iter(stream.decode(packet)), None)
            except av.FFmpegError as error:  # told below, unless the file turns out to be cut short
                fault = error
        if packet is not None:
            whole += not packet.is_corrupt
            is_start = packet.is_keyframe and (not is_h264 or holds_idr(bytes(packet), extradata))
            pts = NO_PTS if packet.pts is None else packet.pts
            rows.extend((pts, packet.duration or 0, packet.is_keyframe, is_start, packet.is_discard))
    # MP4 lists its samples up front, so missing ones show; the one that the file ends in comes out as corrupt.
    listed = len(stream.index_entries) if container.format.name.startswith("mov") else 0
    if whole < listed:
        raise VideoReadError(f"{path}: cut short, {whole} of {listed} frames could be read. Download it again.")
    if first is None:
        raise VideoReadError(f"{path}: no frame can be decoded. Export it again, as H.264.") from fault
    pts, duration, *marks = np.frombuffer(rows, dtype=np.int64).reshape(-1, len(PacketTable._fields)).T
    return PacketTable(pts, duration, *(mark.astype(bool) for mark in marks)), first


def is_indexed(packets: PacketTable, container: str, context) -> bool:
    """Whether frames and packets match one to one by presentation time."""
    pts = packets.pts
    if container not in INDEXED_CONTAINERS or context.name not in INDEXED_CODECS or (pts == NO_PTS).any():
        return False
    if context.field_order not in PROGRESSIVE or (container == "avi" and context.has_b_frames):  # AVI: decoding times
        return False
    # What is shown before the first keyframe cannot be decoded.
    return bool(packets.is_start[0] and pts[0] == pts.min() and len(np.unique(pts)) == len(pts))


def is_decord_exact(packets: PacketTable, container: str, codec: str, frame) -> bool:
    """Whether decord returns the right frames, as comparing all frames of many files has shown.

    It does not once it has left out frames, unless every keyframe is a clean start (no open GOP, no intra-refresh);
    it shows what an edit list hides, misreads MPEG-TS and rounds 10-bit video otherwise.
    """
    key_number = np.maximum.accumulate(np.where(packets.is_key, np.arange(len(packets.pts)), 0))  # latest in the file
    shown_before_key = packets.pts < packets.pts[key_number]
    if packets.is_hidden.any() or (packets.is_key != packets.is_start).any() or shown_before_key.any():
        return False
    kind = (container, codec, frame.format.name)
    known = all(a in b for a, b in zip(kind, DECORD_KINDS, strict=True))
    return known and frame.width % 2 == frame.height % 2 == frame.rotation == 0


def import_decord():
    """decord, silenced. Imported when asked for: it brings an FFmpeg of its own."""
    try:
        import decord
    except (ImportError, OSError) as error:  # OSError: its libraries do not fit the system
        raise ImportError("backend='decord' needs decord: pip install decord, or use backend='pyav'.") from error
    decord.logging.set_level(decord.logging.QUIET)
    return decord


def check_indices(frame_indices: Sequence[int] | np.ndarray, num_frames: int) -> list[int]:
    """`frame_indices` as a list, all within the video."""
    indices = [operator.index(i) for i in frame_indices]
    if indices and not 0 <= min(indices) <= max(indices) < num_frames:
        raise ValueError(f"Frame indices must lie in 0..{num_frames - 1}, got {min(indices)}..{max(indices)}.")
    return indices


class _Video:
    """What a file and a video in memory share. Subclasses set the attributes and write `frames`."""

    def __enter__(self):
        return self

    def close(self, *exception) -> None:
        """Nothing to do: no file stays open from one read to the next."""

    __exit__ = close

    def read(self, frame_indices: Sequence[int] | np.ndarray) -> np.ndarray:
        """uint8 RGB frames `(len(frame_indices), height, width, 3)` at any indices, in any order, repeated or not."""
        indices = check_indices(frame_indices, self.num_frames)
        unique, inverse = np.unique(np.array(indices, dtype=np.int64), return_inverse=True)
        pixels = np.empty((len(unique), self.height, self.width, 3), dtype=np.uint8)
        for slot, frame in zip(pixels, self.frames(unique.tolist()), strict=True):
            slot[...] = frame
        return pixels if unique.tolist() == indices else pixels[inverse]


class VideoReader(_Video):
    """
    A video file, read frame by frame. Every read opens the file and closes it again.

    Args:
        path (`str` or `os.PathLike`): A video file. MP4 is known to be complete when it opens; files of other
            kinds, Matroska, AVI and MPEG-TS among them, are read up to where they end.
        backend (`str`, *optional*, defaults to `"auto"`): `"pyav"`, `"decord"`, or `"auto"`, which is PyAV, the
            faster. Frames are the same: files that decord would read wrong are read with PyAV all the same.
        num_threads (`int`, *optional*, defaults to 0): Decoding threads; 0 is one for every CPU core but one.

    Attributes:
        path (`str`), backend (`str`): As given; as used, `"pyav"` or `"decord"`.
        num_frames (`int`), fps (`float`), duration_s (`float`): Frames shown, their average rate, and when they end.
        width (`int`), height (`int`): Size in pixels as displayed, after rotation.
        timestamps_s (`np.ndarray` of shape `(num_frames,)`): Time of each frame in seconds from the first.
        pts, start_pts (`np.ndarray`): In ticks of the file, the time of each frame, and those decoding may start at.
        coded_size (`tuple[int, int]`), quarter_turns (`int`): Width and height before the display rotation, and that
            rotation, counterclockwise.

    Raises [`VideoReadError`] if the file cannot be read; damage in its middle shows when it is read there.
    """

    def __init__(self, path: str | os.PathLike, backend: str = "auto", num_threads: int = 0):
        if backend not in ("auto", "pyav", "decord"):
            raise ValueError(f"`backend` must be 'auto', 'pyav' or 'decord', got {backend!r}.")
        if av is None:
            raise ImportError("Reading video files needs PyAV: pip install av")
        if backend == "decord":
            import_decord()
        self.path = os.fsdecode(path)
        if not os.path.isfile(self.path):
            problem = "a folder or device" if os.path.exists(self.path) else "no such file"
            raise VideoReadError(f"{self.path}: {problem}. Pass the path of a video file.")
        self.num_threads = num_threads or max(1, min((os.cpu_count() or 1) - 1, MAX_THREADS))
        self.backend = "decord" if self._index() and backend == "decord" else "pyav"

    def _index(self) -> bool:
        """Read all of the file and decode one frame, or all if packets do not tell the frames apart. Returns whether
        decord reads the file right."""
        with open_stream(self.path) as (container, stream):
            packets, first = scan_packets(self.path, container, stream)
            context, rate = stream.codec_context, stream.average_rate or stream.guessed_rate
            name, codec, extradata = container.format.name.split(",")[0], context.name, context.extradata or b""
            ticks_per_s = stream.time_base.denominator / stream.time_base.numerator
            indexed, stated = is_indexed(packets, name, context), stream.frames
        fps, end = float(rate) if rate else DEFAULT_FPS, 0
        if indexed:
            order = np.argsort(packets.pts)
            order = order[~packets.is_hidden[order]]
            pts, durations = packets.pts[order], packets.duration[order]
            # Durations in MP4 are those of decoding, of which only the sum is right; Matroska states nominal ones.
            end = int(durations.sum() if name == "mov" else pts[-1] - pts[0] + durations[-1])
        else:
            with open_stream(self.path) as (container, stream):
                pts = [frame.pts for packet in data_packets(container, stream) for frame in stream.decode(packet)]
            if None in pts or any(b <= a for a, b in pairwise(pts)):  # no times to be had: evenly spaced ones
                pts, ticks_per_s = list(range(len(pts))), fps
        self.pts = np.array(pts, dtype=np.int64)  # ticks, increasing
        # Ticks to start decoding at. None if frames are told only by counting from the beginning.
        self.start_pts = np.sort(packets.pts[packets.is_start]) if indexed else np.array([], dtype=np.int64)
        # No frame refers to non-reference frames, so decoders may drop them. HEVC promises it within a temporal layer
        # only, so there must be just one (`numTemporalLayers` in the `hvcC` header, which begins with its version, 1).
        one_layer = len(extradata) > 21 and extradata[0] == 1 and extradata[21] >> 3 & 7 == 1
        self._droppable = indexed and (codec == "h264" or (codec == "hevc" and one_layer))
        self.num_frames = len(pts)
        self.timestamps_s = (self.pts - pts[0]) / ticks_per_s
        self.duration_s = end / ticks_per_s if end > pts[-1] - pts[0] else float(self.timestamps_s[-1]) + 1 / fps
        # A stated rate is exact where it is right. Matroska states the nominal rate of variable-rate video.
        self.fps = fps if abs(fps * self.duration_s - len(pts)) <= 1 else len(pts) / self.duration_s
        self.coded_size = (first.width, first.height)
        self.quarter_turns = round(first.rotation / 90) % 4  # counterclockwise, to the displayed picture
        self.width, self.height = self.coded_size[::-1] if self.quarter_turns % 2 else self.coded_size
        # decord makes room for the stated number of frames, and aborts the process where it is absurd.
        return indexed and stated in (0, len(packets.pts)) and is_decord_exact(packets, name, codec, first)

    def find_start(self, frame_idx: int) -> int:
        """Which of `start_pts` to decode from; 0, or -1 if there are none, is the beginning."""
        return int(np.searchsorted(self.start_pts, self.pts[frame_idx], side="right")) - 1

    def _split_runs(self, frame_indices: list[int]) -> Iterator[list[int]]:
        """Cut increasing frame indices where it pays to start afresh at a keyframe."""
        run = []
        for frame_idx in frame_indices:
            start = self.find_start(frame_idx)
            if run and start > 0 and np.searchsorted(self.pts, self.start_pts[start]) - run[-1] > SEEK_GAP_FRAMES:
                yield run
                run = []
            run.append(frame_idx)
        if run:
            yield run

    def decode_run(self, frame_indices: list[int], seek: bool = True) -> Iterator:
        """PyAV frames at increasing `frame_indices`, decoded in one go."""
        by_number, start, number = not len(self.start_pts), self.find_start(frame_indices[0]), -1
        wanted = deque(frame_indices if by_number else self.pts[frame_indices].tolist())
        kept = {*wanted}
        with open_stream(self.path) as (container, stream):
            stream.thread_type, stream.codec_context.thread_count = "AUTO", self.num_threads
            packets = data_packets(container, stream)
            if seek and start > 0:
                container.seek(int(self.start_pts[start]), stream=stream)
                packet = next(packets)
                if packet is None or packet.pts not in self.start_pts[: start + 1]:  # the file's own index is wrong
                    yield from self.decode_run(frame_indices, seek=False)
                    return
                packets = chain((packet,), packets)
            for packet in packets:
                if self._droppable and packet is not None:
                    stream.codec_context.skip_frame = "DEFAULT" if packet.pts in kept else "NONREF"
                for frame in stream.decode(packet):
                    number += 1
                    if (number if by_number else frame.pts) == wanted[0]:
                        yield frame
                        wanted.popleft()
                        if not wanted:
                            return
        missing = f"frame {frame_indices[-len(wanted)]} of {self.num_frames}"
        raise VideoReadError(f"{self.path}: damaged, {missing} cannot be decoded. Export it again.")

    def _decode_with_pyav(self, frame_indices: list[int]) -> Iterator[np.ndarray]:
        reformatter = VideoReformatter()  # kept: setting it up takes longer than using it
        for run in self._split_runs(frame_indices):
            for frame in self.decode_run(run):
                yield np.rot90(reformatter.reformat(frame, *self.coded_size, "rgb24").to_ndarray(), self.quarter_turns)

    def _decode_with_decord(self, frame_indices: list[int]) -> Iterator[np.ndarray]:
        decord, done = import_decord(), 0
        decord_errors = (decord.DECORDError, RuntimeError)
        try:
            # Lives no longer than this call: one that is left at interpreter exit aborts the process.
            video = decord.VideoReader(os.path.abspath(self.path), num_threads=self.num_threads)
            if len(video) != self.num_frames:  # of a damaged file
                raise RuntimeError(f"it counts {len(video)} frames")
            while done < len(frame_indices):
                batch = video.get_batch(frame_indices[done : done + DECORD_BATCH])
                # Another type than decord's own if the program has set a "bridge".
                for frame in batch.asnumpy() if isinstance(batch, decord.nd.NDArray) else np.asarray(batch):
                    yield frame
                    done += 1
        except decord_errors as error:
            logger.warning("%s: decord failed, PyAV takes over (%s)", self.path, str(error).splitlines()[0])
            self.backend = "pyav"
            yield from self._decode_with_pyav(frame_indices[done:])

    def frames(self, frame_indices: Sequence[int]) -> Iterator[np.ndarray]:
        """Frames `(height, width, 3)` at non-decreasing `frame_indices`, one at a time."""
        times = Counter(check_indices(frame_indices, self.num_frames))
        decode = self._decode_with_decord if self.backend == "decord" else self._decode_with_pyav
        for frame_idx, frame in zip(times, decode([*times]), strict=True):
            yield from repeat(frame, times[frame_idx])


class ArrayVideo(_Video):
    """
    A video in memory, with the interface of [`VideoReader`]. Nothing is copied ahead of a read.

    Args:
        video (`np.ndarray`, `torch.Tensor` or `list`): uint8 RGB of shape `(num_frames, height, width, 3)` or
            `(num_frames, 3, height, width)`; or a list of RGB PIL images or `(height, width, 3)` arrays of one size.
        fps (`float`, *optional*, defaults to 30.0): Frame rate; frame `i` is at `i / fps` seconds.

    Raises `TypeError` if pixels are not uint8, `ValueError` for no frames or a wrong shape.
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
        self.num_frames, self.fps, self.duration_s = len(video), float(fps), len(video) / float(fps)
        self.timestamps_s = np.arange(self.num_frames) / self.fps

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
        if re.match(r"[a-z]+://", os.fsdecode(video), re.IGNORECASE):
            raise ValueError(f"{video}: a URL. Download the video first and pass the path of the file.")
        if fps is not None:
            raise ValueError(f"{video}: got fps={fps}, but a file states its own frame rate. Leave `fps` out.")
        return VideoReader(video, backend)
    if isinstance(video, (np.ndarray, torch.Tensor, list, tuple)):
        return ArrayVideo(video, DEFAULT_FPS if fps is None else fps)
    raise TypeError(f"`video` must be a path, an array or a list of frames, got {type(video).__name__}.")
