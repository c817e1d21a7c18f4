"""Video files and videos in memory -> any of their frames, and the timestamps of all in seconds.

Frame `i` is the i-th frame in presentation order (B-frames reordered, edit lists applied, rotation undone), as uint8
RGB, whichever library decodes it. PyAV is the default, since it can leave out frames that are neither wanted nor
referred to: on two CPU cores it decodes and resizes every 16th frame of a 2730-frame HEVC clip 1.4 times as fast as
decord, and 4 times as fast as decord, PIL and float conversion one frame at a time do (twice as fast where PyTorch is
held to one thread, which does not then get in the way of decord's). decord is there on request.
"""

import logging
import math
import operator
import os
import re
import struct
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from itertools import chain, pairwise, repeat

import numpy as np
import torch

from .spans_holmes_vau import find_gaps, usual_interval_s
from .video_packets_holmes_vau import (
    MAX_REORDERED,
    PacketTable,
    Scan,
    StreamFacts,
    VideoReadError,
    data_packets,
    decode_all,
    decode_packet,
    describe_damage,
    missing_spans,
    open_stream,
    scan_packets,
)


try:
    import av
    from av.video.reformatter import VideoReformatter
except ImportError:
    av = None

logger = logging.getLogger(__name__)

DEFAULT_FPS = 30.0  # frames per second of a file that states none
SEEK_GAP_FRAMES = 48  # a jump that saves fewer frames is decoded through
MAX_THREADS = 8  # more gain little: a frame waits for the frames it refers to
RATE_TOLERANCE = 0.1  # between the average rate of a video and that of its usual intervals
DECORD_BATCH = 4  # frames per call
DECORD_KINDS = (("mov", "matroska"), ("h264", "hevc"), ("yuv420p", "yuvj420p"))  # container, codec, pixels: compared


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
    return known and frame.width % 2 == frame.height % 2 == 0 and orientation_of(frame) == (0, False)


def orientation_of(frame) -> tuple[int, bool]:
    """How a decoded frame is displayed, by its display matrix: mirrored left to right or not, and after that turned by
    quarter turns counterclockwise, to the nearest."""
    matrix = frame.side_data.get("DISPLAYMATRIX")
    if matrix is None:
        return 0, False
    a, b, _, c, d, *_ = struct.unpack("=9i", bytes(matrix))  # (x, y) is shown at (a x + c y, b x + d y), y downwards
    if a * d == b * c:  # shows nothing: not meant
        return 0, False
    is_mirrored = a * d < b * c
    degrees = math.degrees(math.atan2(-b, -a) if is_mirrored else math.atan2(b, a))  # clockwise
    return round(-degrees / 90) % 4, is_mirrored


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

    damaged_s: list[tuple[float, float]] = []
    warning = ""
    is_surveyed = False

    @property
    def gaps_s(self) -> list[tuple[float, float]]:
        """Where the recording stood still, see [`find_gaps`]."""
        return find_gaps(self.timestamps_s, self.duration_s)

    def shown_until_s(self, frame_idx: int) -> float:
        """When a frame is over, in seconds: at the next one, at the end, or where a gap or missing frames begin."""
        last = frame_idx + 1 == self.num_frames
        end_s = self.duration_s if last else float(self.timestamps_s[frame_idx + 1])
        begun_s = (start_s for start_s, _ in [*self.gaps_s, *self.damaged_s])
        return min([end_s, *(start_s for start_s in begun_s if start_s > self.timestamps_s[frame_idx])])

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
        path (`str` or `os.PathLike`): A video file.
        backend (`str`, *optional*, defaults to `"auto"`): `"pyav"`, `"decord"`, or `"auto"`, which is PyAV, the
            faster. Frames are the same: files that decord would read wrong are read with PyAV all the same.
        num_threads (`int`, *optional*, defaults to 0): Decoding threads; 0 is one for every CPU core but one.
        strict (`bool`, *optional*, defaults to `True`): Refuse a file that is damaged or cut short. Else its frames
            are those that can be decoded, at the times the file gives them, and `warning` says what is missing.

    Attributes:
        path (`str`), backend (`str`): As given; as used, `"pyav"` or `"decord"`.
        num_frames (`int`), fps (`float`), duration_s (`float`): Frames shown, their rate, and when they end. The rate
            is the average, unless that is none, as in a recording with gaps: then that of the usual intervals.
        width (`int`), height (`int`): Size in pixels as displayed, after rotation.
        timestamps_s (`np.ndarray` of shape `(num_frames,)`): Time of each frame in seconds from the file's first.
        damaged_s (`list[tuple[float, float]]`), warning (`str`): Spans in seconds of which frames are missing, and
            what is wrong with the file in one line; empty for a sound one.
        is_cut (`bool`), is_surveyed (`bool`): Whether it is cut short; whether all of it was decoded for its frames.
        gaps_s (`list[tuple[float, float]]`): Spans in seconds in which the recording stood still, see [`find_gaps`].
        pts, start_pts (`np.ndarray`): In ticks of the file, the time of each frame, and those decoding may start at.
        coded_size (`tuple[int, int]`), is_mirrored (`bool`), quarter_turns (`int`): Width and height as stored;
            whether the picture is mirrored left to right; and how it is turned after that, counterclockwise.

    Raises [`VideoReadError`] if the file cannot be read, also later where damage does not show before a frame is
    decoded; what then still can be is known after [`~VideoReader.survey`].
    """

    def __init__(self, path: str | os.PathLike, backend: str = "auto", num_threads: int = 0, strict: bool = True):
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
        if strict:
            check_sound(self)

    def survey(self) -> None:
        """Decode the file from end to end, in one thread, to learn which of its frames can be decoded: for a file that
        looked sound and failed. Frame numbers may change."""
        self._index(survey=True)
        self.backend = "pyav"

    def _index(self, survey: bool = False) -> bool:
        """Read all of the file and decode one frame, or all if packets do not tell the frames apart or do not look
        sound. Returns whether decord reads the file right."""
        with open_stream(self.path) as (container, stream):
            scan = scan_packets(self.path, container, stream)
            facts = StreamFacts.read(container, stream, scan.packets)
        packets, first, lost = scan.packets, scan.first, 0
        self.is_surveyed, self.is_cut = survey or not scan.is_sound, scan.is_cut
        # What is shown before the first keyframe cannot be decoded.
        starts_clean = facts.frame_a_packet and packets.is_start[0] and packets.pts[0] == packets.pts.min()
        # Frames are told apart by their times, or else by counting from the beginning.
        self._is_counted = not starts_clean
        pts = np.sort(packets.pts[~packets.is_hidden])
        if self._is_counted or self.is_surveyed:
            decoded, first, lost = decode_all(self.path, self.is_surveyed)
            if lost and not self.is_surveyed:
                return self._index(survey=True)
            pts = decoded if self._is_counted else later_each(decoded, packets.pts)
        if first is None or not len(pts):
            problem = "cut short, no whole frame is there" if scan.is_cut else "no frame can be decoded"
            raise VideoReadError(f"{self.path}: {problem}. Download or export it again.")
        self._set_times(pts, scan, facts, lost)
        # Ticks to start decoding at.
        self.start_pts = np.sort(packets.pts[packets.is_start & (not self._is_counted)])
        if self.is_surveyed:
            # What stands in for damaged pictures is made of those before, so it starts where nothing up to the next
            # start is damaged.
            bad = packets.pts[packets.is_broken | ~(np.isin(packets.pts, self.pts) | packets.is_hidden)]
            before = np.searchsorted(self.start_pts, bad, "right") - 1
            self.start_pts = np.delete(self.start_pts, before[before >= 0])
        self._droppable = starts_clean and not self.is_surveyed and drops_safely(facts)
        self.coded_size = (first.width, first.height)
        self.quarter_turns, self.is_mirrored = orientation_of(first)
        self.width, self.height = self.coded_size[::-1] if self.quarter_turns % 2 else self.coded_size
        # decord makes room for the stated number of frames, and aborts the process where it is absurd.
        countable = starts_clean and not self.is_surveyed and facts.num_frames in (0, len(packets.pts))
        return countable and is_decord_exact(packets, facts.container, facts.codec, first)

    def _set_times(self, pts: Sequence[int | None], scan: Scan, facts: StreamFacts, lost: int) -> None:
        """Set times, duration and rate, and what is missing, from the times of frames in ticks."""
        stated_fps, ticks_per_s, spans = facts.fps or DEFAULT_FPS, float(facts.ticks_per_s), []
        if None in pts or any(b <= a for a, b in pairwise(pts)):  # no times to be had: evenly spaced ones
            pts, ticks_per_s = range(len(pts)), stated_fps
        elif self.is_surveyed or scan.is_cut:
            # Of MPEG-TS whole packets get lost; in a file that is cut short, frames that come before one shown after.
            suspect = len(pts) if self.is_surveyed and not facts.frame_a_packet else scan.is_cut * (MAX_REORDERED + 1)
            spans = missing_spans(scan.packets, np.array(pts), facts.frame_a_packet, suspect)
        self.pts = np.array(pts, dtype=np.int64)  # ticks, increasing
        begin = min(self.pts[0], spans[0][0]) if spans else self.pts[0]
        self.num_frames, self.timestamps_s = len(self.pts), (self.pts - begin) / ticks_per_s
        interval_s = usual_interval_s(self.timestamps_s) or 1 / stated_fps
        packets, end = scan.packets, 0
        if not self._is_counted:
            order = np.argsort(packets.pts)
            order = order[~packets.is_hidden[order]]
            durations = packets.duration[order]
            # Durations in MP4 are those of decoding, of which only the sum is right; Matroska states nominal ones.
            end = packets.pts[order[-1]] - packets.pts[order[0]] + durations[-1]
            end = int(durations.sum() if facts.container == "mov" else end)
        is_over = end > self.pts[-1] - begin
        self.duration_s = end / ticks_per_s if is_over else float(self.timestamps_s[-1]) + interval_s
        self.damaged_s = [(float(a - begin) / ticks_per_s, float(b - begin) / ticks_per_s) for a, b in spans]
        missing_s = sum(end_s - start_s for start_s, end_s in self.damaged_s)
        self.fps = choose_rate(stated_fps, self.num_frames, self.duration_s - missing_s, interval_s)
        stated_s, end_s = facts.duration_s, self.duration_s if scan.is_cut else None
        if stated_s is not None and stated_s <= self.duration_s + interval_s / 2:
            stated_s = None
        self.warning = describe_damage(self.damaged_s, lost, end_s, stated_s)
        if scan.is_cut and stated_s is not None:
            self.damaged_s.append((self.duration_s, stated_s))

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
        start, number, skip_damage = self.find_start(frame_indices[0]), -1, self.is_surveyed or self.is_cut
        wanted = deque(frame_indices if self._is_counted else self.pts[frame_indices].tolist())
        kept = {*wanted}
        with open_stream(self.path) as (container, stream):
            threads = 1 if self.is_surveyed else self.num_threads
            stream.thread_type, stream.codec_context.thread_count = "AUTO", threads
            packets = data_packets(container, stream, skip_damage)
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
                for frame in decode_packet(stream, packet, skip_damage) or ():
                    number += 1
                    if (number if self._is_counted else frame.pts) == wanted[0]:
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
                pixels = reformatter.reformat(frame, *self.coded_size, "rgb24").to_ndarray()
                yield np.rot90(pixels[:, ::-1] if self.is_mirrored else pixels, self.quarter_turns)

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


def later_each(pts: list[int | None], known: np.ndarray) -> list[int]:
    """Those times of decoded frames that are known and later than all before: a damaged packet may bring any."""
    kept, allowed = [], {*known.tolist()}
    for time in pts:
        if time in allowed and (not kept or time > kept[-1]):
            kept.append(time)
    return kept


def drops_safely(facts: StreamFacts) -> bool:
    """Whether no frame refers to non-reference frames, so that decoders may drop them. HEVC promises it within a
    temporal layer only, so there must be just one (`numTemporalLayers` in the `hvcC` header, which begins with its
    version, 1)."""
    extradata = facts.extradata
    one_layer = len(extradata) > 21 and extradata[0] == 1 and extradata[21] >> 3 & 7 == 1
    return facts.codec == "h264" or (facts.codec == "hevc" and one_layer)


def choose_rate(stated_fps: float, num_frames: int, duration_s: float, interval_s: float) -> float:
    """Frames per second: as stated where that is exact, else the average; where a recording has pauses, neither is its
    rate, but that of its usual intervals."""
    average_fps = num_frames / duration_s
    # Matroska states the nominal rate of variable-rate video.
    fps = stated_fps if abs(stated_fps * duration_s - num_frames) <= 1 else average_fps
    return fps if abs(fps * interval_s - 1) <= RATE_TOLERANCE else 1 / interval_s


def check_sound(video) -> None:
    """Raise [`VideoReadError`] if an opened video is damaged or cut short."""
    if video.warning:
        raise VideoReadError(
            f"{video.path}: {video.warning}. Copy, download or export it again; what is there is read with "
            "strict=False, and by `holmes-vau analyze` without --strict."
        )


class ArrayVideo(_Video):
    """
    A video in memory, with the interface of [`VideoReader`]. Nothing is copied ahead of a read.

    Args:
        video (`np.ndarray`, `torch.Tensor` or `list`): uint8 RGB of shape `(num_frames, height, width, 3)` or
            `(num_frames, 3, height, width)`; or a list of RGB PIL images or `(height, width, 3)` arrays of one size.
            OpenCV's frames are BGR: pass `frame[..., ::-1]`.
        fps (`float`, *optional*): Frame rate; frame `i` is at `i / fps` seconds. Without it frames have no times.

    Raises `TypeError` if pixels are not uint8, `ValueError` for no frames or a wrong shape, and where times are asked
    for that nothing tells.
    """

    path = "<array>"
    backend = "array"

    def __init__(self, video: np.ndarray | torch.Tensor | Sequence, fps: float | None = None):
        if fps is not None and not fps > 0:
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
        self.num_frames, self.fps = len(video), None if fps is None else float(fps)

    def _known_fps(self) -> float:
        if self.fps is None:
            raise ValueError(
                f"The frame rate of these {self.num_frames} frames in memory is not known, so neither are times in "
                "seconds: pass `fps`, their frames per second."
            )
        return self.fps

    @property
    def duration_s(self) -> float:
        """When the last frame ends, in seconds."""
        return self.num_frames / self._known_fps()

    @property
    def timestamps_s(self) -> np.ndarray:
        """Time of each frame in seconds, `(num_frames,)`."""
        return np.arange(self.num_frames) / self._known_fps()

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


def open_video(
    video, backend: str = "auto", fps: float | None = None, strict: bool = True
) -> VideoReader | ArrayVideo:
    """Open a path ([`VideoReader`], `strict` or not) or a video in memory ([`ArrayVideo`], with `fps`, else without
    times); an opened video is returned as it is."""
    if isinstance(video, (VideoReader, ArrayVideo)):
        if strict:
            check_sound(video)
        return video
    if isinstance(video, (str, os.PathLike)):
        if re.match(r"[a-z]+://", os.fsdecode(video), re.IGNORECASE):
            raise ValueError(f"{video}: a URL. Download the video first and pass the path of the file.")
        if fps is not None:
            raise ValueError(f"{video}: got fps={fps}, but a file states its own frame rate. Leave `fps` out.")
        return VideoReader(video, backend, strict=strict)
    if isinstance(video, (np.ndarray, torch.Tensor, list, tuple)):
        return ArrayVideo(video, fps)
    raise TypeError(f"`video` must be a path, an array or a list of frames, got {type(video).__name__}.")
