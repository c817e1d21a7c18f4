"""One span of a video -> a file of its own, checked by decoding it. `segments.py` does it for many."""

import hashlib
import math
import os
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
from av.video.frame import PictureType
from av.video.reformatter import VideoReformatter

from modeling_holmes_vau.spans_holmes_vau import TIME_EPS_S, segment_frame_range
from modeling_holmes_vau.video_packets_holmes_vau import VideoReadError, data_packets, open_stream
from modeling_holmes_vau.video_reader_holmes_vau import VideoReader


MODES = ("auto", "copy", "encode")
RULES = ("time", "release")
# CRF 18 is what x264's authors call visually lossless. Without the macroblock tree and with one thread (below) x264
# makes the same file from run to run, and looks few frames ahead, which is most of its memory.
X264_OPTIONS = {"crf": "18", "preset": "veryfast", "x264-params": "mbtree=0"}
VFR_TICKS_PER_S = 90_000  # of videos with variable frame rate, as in MPEG-TS; common rates divide it
MAX_RATE_DENOMINATOR = 10_000  # 30000/1001 and its like are found, and no rate is off by more than 1e-8
# Seconds that a good file may be longer or shorter: half a frame, since containers round times, but of a file of a
# few frames not so much that another rate would pass.
DURATION_TOLERANCE_FRAMES, DURATION_TOLERANCE = 0.5, 0.05


@dataclass(frozen=True)
class Cut:
    """
    One file to make.

    Args:
        source (`Path`): The video to cut from.
        output (`Path`): The MP4 file to write; its folder is made if missing.
        start_s (`float`), end_s (`float`): The span, in seconds from the first frame of the source.
        rule (`str`, *optional*, defaults to `"time"`): Which frames those are, one of `RULES`: see
            [`span_frame_range`].

    Raises `ValueError` for another rule.
    """

    source: Path
    output: Path
    start_s: float
    end_s: float
    rule: str = "time"

    def __post_init__(self):
        if self.rule not in RULES:
            raise ValueError(f"`rule` must be one of {', '.join(map(repr, RULES))}, got {self.rule!r}.")
        object.__setattr__(self, "source", Path(self.source))
        object.__setattr__(self, "output", Path(self.output))


class CutError(ValueError):
    """A span cannot be cut. One line: what is wrong, what to do."""


class Span(NamedTuple):
    """Frames `first` up to but without `stop` of a video, and how long a file of them may last, in seconds."""

    first: int
    stop: int
    durations_s: tuple[float, ...]


class CopyPlan(NamedTuple):
    """
    Packets to copy.

    Args:
        pts (`np.ndarray` of shape `(num_packets,)`): Presentation times in ticks, in decoding order.
        last_ticks (`int`): How long the last of them is shown.
        duration_s (`float`): How long all are shown, in seconds.
    """

    pts: np.ndarray
    last_ticks: int
    duration_s: float


def has_even_rate(video) -> bool:
    """Whether every frame is shown within one frame of `frame_idx / fps` seconds."""
    drift_s = np.abs(video.timestamps_s - np.arange(video.num_frames) / video.fps)
    return bool(drift_s.max() < 1 / video.fps)


def span_frame_range(
    video, start_s: float | None = None, end_s: float | None = None, rule: str = "time"
) -> tuple[int, int]:
    """
    The frames of a span of an opened video.

    Args:
        video (`VideoReader` or `ArrayVideo`): The opened video.
        start_s (`float`, *optional*, defaults to the video's start): In seconds from the first frame.
        end_s (`float`, *optional*, defaults to the video's end): May lie beyond the end of the video.
        rule (`str`, *optional*, defaults to `"time"`): `"time"` is that of `segment_frame_range`, which everything
            uses; `"release"` gives the frames of the released files: `int(start_s * fps)` up to but without
            `int(end_s * fps)`.

    Returns:
        `tuple[int, int]`: First frame, and the one after the last.

    Raises `ValueError` if the span is negative, backwards, empty, not a number, wholly outside the video, or one in
    which the recording stood still.
    """
    try:
        first, count = segment_frame_range(video.timestamps_s, start_s or 0.0, end_s, video.duration_s)
    except ValueError as error:
        raise CutError(f"{video.path}: {error}") from None
    if rule == "time":
        return first, first + count
    fps = float(frame_rate(video))
    first = min(int((start_s or 0.0) * fps), video.num_frames - 1)
    stop = video.num_frames if end_s is None or end_s >= video.duration_s else int(end_s * fps)
    return first, max(first + 1, min(stop, video.num_frames))


def check_whole(video, first: int, end_s: float | None) -> None:
    """Raise [`VideoReadError`] if frames of a span that begins with frame `first` are missing, or of those from the
    keyframe on that they may refer to."""
    if not video.warning:
        return
    end_s, start = math.inf if end_s is None else end_s, video.find_start(first)
    begin_s = video.timestamps_s[np.searchsorted(video.pts, video.start_pts[start])] if start >= 0 else -math.inf
    last_s = end_s - TIME_EPS_S  # what begins later is not in the span
    missing = [span for span in video.damaged_s if span[0] < last_s and span[1] > begin_s]
    if missing or (video.is_cut and last_s > video.duration_s):
        raise VideoReadError(f"{video.path}: {video.warning}. The span is not whole; copy or export the video again.")


def shown_s(video: VideoReader, first: int, stop: int) -> float:
    """How long the frames are shown, by their times, in seconds."""
    return float(video.shown_until_s(stop - 1) - video.timestamps_s[first])


def read_packets(video: VideoReader, span: Span) -> Iterator:
    """
    Packets of a video in decoding order, from the keyframe at or before a span until all of its frames have come. A
    B-frame of the span may refer to a frame beyond it, which then comes too, and with it those in between. What comes
    after the keyframe but is shown before it is left out: it refers to frames further back, and nothing refers to it.

    Raises [`CutError`] where packets do not tell the frames apart, or come in another order than the index says.
    """
    start = video.find_start(span.first)
    if start < 0:
        raise CutError(f"{video.path}: its frames cannot be copied one by one. Use mode='encode'.")
    key_pts, started, latest = int(video.start_pts[start]), False, span.stop - 1
    missing = span.stop - int(np.searchsorted(video.pts, key_pts))  # frames up to `latest` that have not come
    with open_stream(video.path) as (container, stream):
        if start:
            container.seek(key_pts, stream=stream)
        for packet in data_packets(container, stream):
            started = started or (packet is not None and packet.pts == key_pts)
            if packet is None or not started or packet.pts < key_pts:
                continue
            yield packet
            if not packet.is_discard:  # else an edit list hides it
                frame_idx = int(np.searchsorted(video.pts, packet.pts))
                missing += max(0, frame_idx - latest) - 1
                latest = max(latest, frame_idx)
                if not missing:
                    return
    raise CutError(f"{video.path}: its index is wrong, so it cannot be copied from the middle. Use mode='encode'.")


def plan_copy(video: VideoReader, span: Span, exact: bool) -> CopyPlan | None:
    """What to copy; `None` where `exact` asks for the packets of the span alone and a copy would need others."""
    if exact and video.pts[span.first] not in video.start_pts:
        return None
    try:
        pts, tick_s = [], 0.0
        for packet in read_packets(video, span):
            pts.append(packet.pts)
            tick_s = float(packet.time_base)
    except CutError:
        if exact:
            return None
        raise
    if exact and len(pts) != span.stop - span.first:
        return None
    after = int(np.searchsorted(video.pts, max(pts), side="right"))
    last_s = shown_s(video, after - 1, after)
    duration_s = (max(pts) - pts[0]) * tick_s + last_s
    return CopyPlan(np.array(pts, dtype=np.int64), max(1, round(last_s / tick_s)), duration_s)


def write_copy(video: VideoReader, span: Span, plan: CopyPlan, target: Path, comment: str) -> None:
    """Copy packets, with decoding times of our own: containers such as AVI and Matroska state none, and those of MP4
    have a gap where leading frames are left out."""
    pts, shown = plan.pts - plan.pts[0], np.sort(plan.pts) - plan.pts[0]
    dts = shown - (shown - pts).max()  # evenly late, so that no frame is shown before it is decoded
    durations = np.append(np.diff(shown), plan.last_ticks)
    with av.open(str(target), "w", format="mp4") as container, closing(read_packets(video, span)) as packets:
        container.metadata["comment"] = comment
        with open_stream(video.path) as (_, template):
            stream = container.add_stream_from_template(template)
        for packet, *times in zip(packets, pts.tolist(), dts.tolist(), durations.tolist(), strict=True):
            copy = av.Packet(bytes(packet))  # without side data, such as what an edit list of the source would hide
            copy.pts, copy.dts, copy.duration = times
            copy.time_base, copy.stream, copy.is_keyframe = packet.time_base, stream, packet.is_keyframe
            container.mux(copy)


def prepare_frame(reformatter: VideoReformatter, frame, video: VideoReader):
    """A decoded frame as displayed, in yuv420p. That has no odd sizes: an odd last row or column is left out."""
    width, height = video.coded_size
    if not video.quarter_turns and not video.is_mirrored and width % 2 == height % 2 == 0:
        return reformatter.reformat(frame, width, height, "yuv420p")
    planes = reformatter.reformat(frame, width, height, "yuv444p").to_ndarray()  # (3, H, W)
    planes = planes[:, :, ::-1] if video.is_mirrored else planes
    planes = np.rot90(planes, video.quarter_turns, axes=(1, 2))
    planes = planes[:, : video.height & ~1, : video.width & ~1]
    turned = av.VideoFrame.from_ndarray(np.ascontiguousarray(planes), format="yuv444p")
    turned.color_range, turned.colorspace = frame.color_range, frame.colorspace
    return turned.reformat(format="yuv420p")


def describe_pixels(context, frame, video: VideoReader, aspect: Fraction | None) -> None:
    """Tell an encoder the size, the colours and the pixel aspect of the frames to come."""
    context.width, context.height = video.width & ~1, video.height & ~1
    context.pix_fmt = "yuv420p"
    context.colorspace, context.color_range = frame.colorspace, frame.color_range
    if aspect:
        context.sample_aspect_ratio = 1 / aspect if video.quarter_turns % 2 else aspect


def encode_times(video: VideoReader, span: Span) -> tuple[np.ndarray, Fraction]:
    """When frames of the span begin, and the last ends, in ticks `(num_frames + 1,)`; and the tick in seconds.

    A constant rate comes out exactly, however the source rounds its times; variable times are kept.
    """
    if has_even_rate(video):
        return np.arange(span.stop - span.first + 1), 1 / frame_rate(video)
    times_s = np.append(video.timestamps_s[span.first : span.stop], video.shown_until_s(span.stop - 1))
    return np.round((times_s - times_s[0]) * VFR_TICKS_PER_S).astype(np.int64), Fraction(1, VFR_TICKS_PER_S)


def frame_rate(video: VideoReader) -> Fraction:
    return Fraction(video.fps).limit_denominator(MAX_RATE_DENOMINATOR)


def write_encoded(video: VideoReader, span: Span, target: Path, comment: str) -> None:
    """Decode the span and encode it as H.264, one frame at a time."""
    ticks, time_base = encode_times(video, span)
    reformatter, muxed = VideoReformatter(), 0  # kept: setting it up takes longer than using it
    with open_stream(video.path) as (_, source_stream):
        aspect = source_stream.sample_aspect_ratio
    with av.open(str(target), "w", format="mp4") as container:
        container.metadata["comment"] = comment
        stream = container.add_stream("libx264", rate=frame_rate(video), options=X264_OPTIONS)
        stream.codec_context.time_base, stream.thread_count = time_base, 1
        if time_base.numerator == 1 and time_base.denominator == VFR_TICKS_PER_S:
            stream.codec_context.max_b_frames = 0  # then decoding times are those of showing, and durations right
        with closing(video.decode_run([*range(span.first, span.stop)])) as frames:
            for i, decoded in enumerate(frames):
                frame = prepare_frame(reformatter, decoded, video)
                if i == 0:
                    describe_pixels(stream.codec_context, frame, video, aspect)
                frame.pts, frame.time_base = int(ticks[i]), time_base
                frame.pict_type = PictureType.NONE  # else the encoder repeats the frame types of the source
                muxed = mux(container, stream.encode(frame), ticks, muxed)
        mux(container, stream.encode(), ticks, muxed)


def mux(container, packets: list, ticks: np.ndarray, muxed: int) -> int:
    """Write packets, the first of which is number `muxed`, with their durations. Returns the number of the next."""
    for number, packet in enumerate(packets, start=muxed):
        packet.duration = int(ticks[number + 1] - ticks[number])
        container.mux(packet)
    return muxed + len(packets)


def check_file(path: Path, video: VideoReader, num_frames: int, durations_s: tuple[float, ...]) -> VideoReader:
    """Open a file and check its frame count, its size and its duration, which is its frame rate, against one of
    `durations_s`. Raises `ValueError`."""
    made = VideoReader(path, num_threads=video.num_threads)
    if made.num_frames != num_frames:
        raise CutError(f"{path}: came out with {made.num_frames} frames, not {num_frames}. Try mode='encode'.")
    if (made.width & ~1, made.height & ~1) != (video.width & ~1, video.height & ~1):
        raise CutError(f"{path}: came out as {made.width}x{made.height}, not {video.width}x{video.height}.")
    off_s = min(abs(made.duration_s - duration_s) for duration_s in durations_s)
    if off_s > min(DURATION_TOLERANCE_FRAMES / video.fps, DURATION_TOLERANCE * max(durations_s)):
        raise CutError(f"{path}: came out {made.duration_s:.3f} seconds long, not {durations_s[0]:.3f}.")
    return made


def is_same(made: VideoReader, video: VideoReader, first: int, stop: int) -> bool:
    """Whether a copy shows frames `first` up to `stop` of the video, to the bit."""
    pairs = zip(made.frames(range(stop - first)), video.frames(range(first, stop)), strict=True)
    return all(np.array_equal(a, b) for a, b in pairs)


def read_comment(path: Path) -> str:
    with open_stream(str(path)) as (container, _):
        return container.metadata.get("comment", "")


def comment_of(cut: Cut, span: Span) -> str:
    name = os.fsencode(cut.source.name).decode("utf-8", "replace")
    return f"frames {span.first} to {span.stop - 1} of {name}"


def is_done(cut: Cut, video: VideoReader, span: Span, num_frames: int, durations_s: tuple[float, ...]) -> bool:
    """Whether the output is there and right. One that can't be read is not, nor is one of ours of other frames, as
    after a change of the annotations. One of another make, such as a file of the original release, is right when it
    has the wanted frame count, size and duration; else it stays, and [`CutError`] says so."""
    if not cut.output.is_file():
        return False
    try:
        is_ours = (comment := read_comment(cut.output)).startswith("frames ")
        check_file(cut.output, video, num_frames, durations_s)
    except VideoReadError:
        return False
    except CutError as error:
        if is_ours:
            return False
        problem = str(error).removeprefix(f"{cut.output}: ").rstrip(".")
        raise CutError(
            f"{cut.output}: is there, was not made by this command, and is not what was asked for: {problem}. "
            "Move it away, or choose another folder."
        ) from None
    return not is_ours or comment == comment_of(cut, span)


def temporary_prefix(output: Path) -> str:
    """How names of unfinished files for `output` begin. Short, since `output` may have the longest name allowed."""
    return f".cut-{hashlib.sha1(os.fsencode(output.name)).hexdigest()[:16]}-"


def temporary_path(output: Path) -> Path:
    """Where this process writes `output` before it is known to be good."""
    return output.with_name(f"{temporary_prefix(output)}{os.getpid()}.part")


def decode_all(made: VideoReader) -> None:
    """Decode every frame. Raises `VideoReadError` if one cannot be."""
    for _ in made.frames(range(made.num_frames)):
        pass


def make_copy(cut: Cut, video: VideoReader, span: Span, plan: CopyPlan, target: Path, exact: bool) -> bool:
    """Copy and check. Returns whether the copy is good; where it need not be `exact`, raises `ValueError` if not."""
    try:
        write_copy(video, span, plan, target, comment_of(cut, span))
        made = check_file(target, video, len(plan.pts), (plan.duration_s,))
        if exact:
            return is_same(made, video, span.first, span.stop)
        decode_all(made)
    except (ValueError, av.FFmpegError):  # such as a codec that MP4 cannot hold
        if exact:
            return False
        raise
    return True


def make_file(cut: Cut, video: VideoReader, span: Span, plan: CopyPlan | None, mode: str) -> str:
    """Write the output of a cut and check it before it takes its name. Returns `"copied"` or `"encoded"`."""
    cut.output.parent.mkdir(parents=True, exist_ok=True)
    target = temporary_path(cut.output)
    try:
        copied = plan is not None and make_copy(cut, video, span, plan, target, exact=mode == "auto")
        if not copied:
            write_encoded(video, span, target, comment_of(cut, span))
            decode_all(check_file(target, video, span.stop - span.first, span.durations_s))
        os.replace(target, cut.output)
    finally:
        target.unlink(missing_ok=True)
    return "copied" if copied else "encoded"


def cut_video(cut: Cut, video: VideoReader, mode: str) -> str:
    """
    Make one file, unless it is there and right.

    Args:
        cut ([`Cut`]): What to make.
        video (`VideoReader`): Its source, opened.
        mode (`str`): One of `MODES`, see `cut_segments`.

    Returns:
        `str`: `"copied"`, `"encoded"` or `"skipped"`.

    Raises `ValueError` if the span is outside the video or the file made is not right, `OSError` if it cannot be
    written. The output is then as it was, and no other file is left.
    """
    if cut.output.suffix.lower() != ".mp4":
        raise CutError(f"{cut.output}: only MP4 files are written. Let the name end in .mp4.")
    if cut.output.exists() and cut.output.samefile(cut.source):
        raise CutError(f"{cut.output}: is the source itself. Choose another name.")
    first, stop = span_frame_range(video, cut.start_s, cut.end_s, cut.rule)
    check_whole(video, first, cut.end_s)
    # An even rate is made exactly even when encoded, but copied as it is.
    by_rate = ((stop - first) / video.fps,) if has_even_rate(video) else ()
    span = Span(first, stop, (*by_rate, shown_s(video, first, stop)))
    plan = None if mode == "encode" else plan_copy(video, span, exact=mode == "auto")
    expected = (len(plan.pts), (plan.duration_s,)) if mode == "copy" else (stop - first, span.durations_s)
    return "skipped" if is_done(cut, video, span, *expected) else make_file(cut, video, span, plan, mode)


def cut_group(cuts: list[Cut], mode: str, num_threads: int) -> list[tuple[str, str]]:
    """Make the files of one source. Returns for each what became of it (`"failed"`, or as in [`cut_video`]) and, if
    it failed, why, in one line."""
    try:
        # Spans that damage leaves whole are cut all the same.
        video, reason = VideoReader(cuts[0].source, num_threads=num_threads, strict=False), None
    except Exception as error:
        reason = one_line(error, cuts[0].source)
    if reason is not None:
        return [("failed", reason)] * len(cuts)
    outcomes = []
    for cut in cuts:
        try:
            outcomes.append((cut_video(cut, video, mode), ""))
        except Exception as error:  # whatever it is, the other files are still to be made
            outcomes.append(("failed", one_line(error, cut.output)))
    return outcomes


def one_line(error: Exception, path: Path) -> str:
    """An error in one line that begins with the file it is about."""
    text = " ".join(str(error).replace(str(temporary_path(path)), str(path)).split())
    if isinstance(error, OSError) and not isinstance(error, ValueError):  # PyAV's errors may be both
        about = "" if error.filename in (None, str(temporary_path(path))) else f": {error.filename}"
        return f"{path}: cannot be written ({error.strerror or text}{about}). Check its folder, or choose another."
    return text if isinstance(error, (CutError, VideoReadError)) else f"{path}: {text or type(error).__name__}"
