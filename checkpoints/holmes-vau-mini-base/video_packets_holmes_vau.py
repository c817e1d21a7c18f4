"""Packets of a video file -> its frames' times, whether the file is sound, and what of it is missing."""

import os
from array import array
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from fractions import Fraction
from typing import NamedTuple

import numpy as np


try:
    import av
    from av.bitstream import bitstream_filters_available

    # Until PyAV 19, a title that is not UTF-8 is otherwise an error.
    OPEN_OPTIONS = {"metadata_errors": "replace"} if int(av.__version__.split(".")[0]) < 19 else {}
except ImportError:
    av = None

NO_PTS = -(2**63)  # ticks of a packet without a presentation time, as in FFmpeg
# Containers and codecs with one packet for every frame, marked with its presentation time. Others (MPEG-TS, raw
# streams, VP8 with its invisible frames) are decoded once from end to end to learn their frames.
INDEXED_CONTAINERS = ("mov", "matroska", "avi")
INDEXED_CODECS = ("h264", "hevc", "vp9", "av1", "libdav1d", "mpeg4", "mjpeg")
PROGRESSIVE = (0, 1)  # AVFieldOrder unknown, progressive: a packet of interlaced video may hold half a frame
# FFmpeg's filters that read the headers of every packet, down to those of slices, without decoding anything.
HEADER_READERS = {
    "h264": "h264_metadata",
    "hevc": "hevc_metadata",
    "vp9": "vp9_metadata",
    "av1": "av1_metadata",
    "libdav1d": "av1_metadata",
    "mpeg2video": "mpeg2_metadata",
}
HOLE = 0.75  # intervals between frames; a packet this far from every frame has given none
NEAR_S = 1.0  # spans of damage that lie nearer are told of as one
MAX_SPANS = 5  # told of, one by one
MAX_REORDERED = 16  # frames that H.264 and HEVC may send ahead of one shown before them
MP4_BOXES = (b"ftyp", b"styp", b"moov", b"moof", b"mdat", b"mfra", b"sidx", b"free", b"skip", b"wide", b"uuid")
EBML = b"\x1a\x45\xdf\xa3"  # what Matroska and WebM begin with
STATED = ("matroska", "flv", "mxf")  # containers whose stated duration is that of the whole file
ASF = bytes.fromhex("3026b2758e66cf11")  # what ASF and WMV begin with
MXF = bytes.fromhex("060e2b34")  # what each part of MXF begins with
GIF_END = b"\x3b"
TS_SYNC = 0x47
TS_PACKETS = ((188, 0), (192, 4))  # bytes a packet, and before its sync byte: MPEG-TS, and as Blu-ray has it


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
        is_broken (`np.ndarray`): Whether its headers cannot be read.
    """

    pts: np.ndarray
    duration: np.ndarray
    is_key: np.ndarray
    is_start: np.ndarray
    is_hidden: np.ndarray
    is_broken: np.ndarray


class Scan(NamedTuple):
    """What reading through a file, without decoding it, has shown.

    Args:
        packets (`PacketTable`): Its packets.
        first (`av.VideoFrame`, *optional*): Its first frame; `None` if the decoder gave none.
        is_sound (`bool`): Whether its packets look as they should. Damage within the data of a picture does not show.
        is_cut (`bool`): Whether the file ends too early.
    """

    packets: PacketTable
    first: "av.VideoFrame | None"
    is_sound: bool
    is_cut: bool


@contextmanager
def open_stream(path: str) -> Iterator[tuple]:
    """PyAV's container and video stream of a file; its errors become `VideoReadError`."""
    ffmpeg_error = av.FFmpegError  # looked up now: a generator that is left may end when `av` is gone
    with open_container(path) as container:
        stream = container.streams.best("video")
        if stream is None or stream.codec_context is None:
            check_mp4_index(path)
        if stream is None or stream.disposition & av.stream.Disposition.attached_pic:
            raise VideoReadError(f"{path}: has no video stream (audio only?). Pass a file with pictures.")
        if stream.codec_context is None:
            raise VideoReadError(f"{path}: no decoder for its video codec. Convert it to H.264 with ffmpeg.")
        try:
            yield container, stream
        except ffmpeg_error as error:
            problem = f"{path}: damaged, or of an unsupported kind ({error.strerror})"
            raise VideoReadError(f"{problem}. Export it again, as H.264.") from error


def open_container(path: str):
    """PyAV's container of a file; `VideoReadError` if there is none."""
    # The absolute path keeps a name like `pipe:0.mp4` from being taken for a protocol.
    url = os.path.abspath(path)
    try:
        try:
            return av.open(url, **OPEN_OPTIONS)
        except av.FFmpegError:
            if not (end := whole_fragments(path)):
                raise
            return av.open(f"subfile,,start,0,end,{end},,:{url}", **OPEN_OPTIONS)
    except av.FFmpegError as error:
        check_mp4_index(path)
        problem = f"{path}: not a video, or empty or cut off before its first frame ({error.strerror})"
        raise VideoReadError(f"{problem}. Download or export it again.") from error


def data_packets(container, stream, skip_damage: bool = False) -> Iterator:
    """The packets of a stream, then `None`, at which a decoder gives up the frames it still holds.

    With `skip_damage` an error ends the file, and what the file ends in the middle of is left out.
    """
    ends = (av.FFmpegError,) if skip_damage else ()
    with suppress(IndexError, *ends):  # PyAV's, after the last packet of damaged MPEG-TS in which streams show up late
        for packet in container.demux(stream):
            # Empty packets stand for dropped frames in AVI; decoders take them for the end.
            if packet.size and not (skip_damage and is_half(packet, container)):
                yield packet
    yield None


def is_half(packet, container) -> bool:
    """Whether the file ends in the middle of a packet. MPEG-TS marks those that lack transport packets, too."""
    return packet.is_corrupt and container.format.name.split(",")[0] in INDEXED_CONTAINERS


def decode_packet(stream, packet, skip_damage: bool = False) -> list | None:
    """The frames that a decoder gives up at a packet; with `skip_damage`, `None` if it fails."""
    try:
        return stream.decode(packet)
    except av.FFmpegError:
        if skip_damage:
            return None
        raise


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


class HeaderCheck:
    """Whether the headers in packets of a stream can be read. That of a sound packet always can; that of one
    overwritten with zeros never, with random bytes hardly ever. It takes a few hundredths of the time of decoding."""

    def __init__(self, stream):
        name = HEADER_READERS.get(stream.codec_context.name)
        self.filter, self.is_open = None, True
        if name in bitstream_filters_available:
            try:
                self.filter = av.BitStreamFilterContext(name, stream)
            except av.FFmpegError:  # the headers of the stream itself
                self.is_open = False

    def passes(self, packet) -> bool:
        """Check a packet, which is used up by it."""
        if self.filter is None:
            return self.is_open
        try:
            self.filter.filter(packet)
        except av.FFmpegError:
            return False
        return True


def scan_packets(path: str, container, stream) -> Scan:
    """Read through a file; its first frame is the only one to be decoded."""
    # 48 bytes a packet, where tuples of a long video take tens of megabytes.
    rows, whole, first, is_sound, is_cut = array("q"), 0, None, True, is_cut_short(path)
    check, is_h264 = HeaderCheck(stream), stream.codec_context.name == "h264"
    extradata = stream.codec_context.extradata or b""
    try:
        for packet in data_packets(container, stream):
            if packet is not None and is_half(packet, container):
                is_cut = True
                continue
            if first is None:
                frames = decode_packet(stream, packet, skip_damage=True)
                first, is_sound = next(iter(frames or ()), None), is_sound and frames is not None
            if packet is not None:
                whole += 1
                is_start = packet.is_keyframe and (not is_h264 or holds_idr(bytes(packet), extradata))
                pts = NO_PTS if packet.pts is None else packet.pts
                row = (pts, packet.duration or 0, packet.is_keyframe, is_start, packet.is_discard)
                is_broken = packet.is_corrupt or not check.passes(packet)
                rows.extend((*row, is_broken))
                is_sound = is_sound and not is_broken
    except av.FFmpegError:  # the container itself is damaged; what comes after that cannot be read
        is_sound, is_cut = False, True
    pts, duration, *marks = np.frombuffer(rows, dtype=np.int64).reshape(-1, len(PacketTable._fields)).T
    # MP4 lists its samples up front, so missing ones show.
    listed = len(stream.index_entries) if container.format.name.startswith("mov") else 0
    is_cut = is_cut or whole < listed
    return Scan(PacketTable(pts, duration, *(mark.astype(bool) for mark in marks)), first, is_sound, is_cut)


def has_frame_a_packet(packets: PacketTable, container: str, context) -> bool:
    """Whether each packet stands for the frame with its presentation time, if that can be decoded."""
    pts = packets.pts
    if container not in INDEXED_CONTAINERS or context.name not in INDEXED_CODECS or (pts == NO_PTS).any():
        return False
    if context.field_order not in PROGRESSIVE or (container == "avi" and context.has_b_frames):  # AVI: decoding times
        return False
    return len(pts) > 0 and len(np.unique(pts)) == len(pts)


class StreamFacts(NamedTuple):
    """What a file states about its video stream.

    Args:
        container (`str`), codec (`str`), extradata (`bytes`): FFmpeg's names, and the codec's headers.
        ticks_per_s (`Fraction`): Of its times.
        num_frames (`int`): As stated; 0 if it is not.
        fps (`float`, *optional*): Frames per second.
        duration_s (`float`, *optional*): In seconds.
        frame_a_packet (`bool`): See [`has_frame_a_packet`].
    """

    container: str
    codec: str
    extradata: bytes
    ticks_per_s: Fraction
    num_frames: int
    fps: float | None
    duration_s: float | None
    frame_a_packet: bool

    @classmethod
    def read(cls, container, stream, packets: PacketTable) -> "StreamFacts":
        """Of an opened file."""
        name, context, duration_s = container.format.name.split(",")[0], stream.codec_context, None
        fps = float(stream.average_rate or stream.guessed_rate or 0) or None
        if name == "mov" and stream.frames and stream.duration:  # of fragmented MP4 only what is there is known
            duration_s = float(stream.duration * stream.time_base)
        elif name in STATED and container.duration:
            duration_s = container.duration / av.time_base
        elif name == "avi" and stream.frames and fps:
            duration_s = stream.frames / fps
        frame_a_packet = has_frame_a_packet(packets, name, context)
        extradata, ticks_per_s = context.extradata or b"", 1 / stream.time_base
        return cls(name, context.name, extradata, ticks_per_s, stream.frames, fps, duration_s, frame_a_packet)


def decode_all(path: str, skip_damage: bool) -> tuple[list[int | None], "av.VideoFrame | None", int]:
    """Decode a file from end to end: the times of its frames in ticks, its first frame, and how many packets after it
    could not be decoded. With `skip_damage` in one thread, so that what comes out is the same everywhere."""
    pts, first, lost = [], None, 0
    with open_stream(path) as (container, stream):
        if skip_damage:
            stream.codec_context.thread_count = 1
        for packet in data_packets(container, stream, skip_damage=True):
            frames = decode_packet(stream, packet, skip_damage=True)
            lost += frames is None and first is not None
            for frame in frames or ():
                first = first or frame
                pts.append(frame.pts)
    return pts, first, lost


# ---- what is missing ------------------------------------------------------------------------------------------------


def missing_spans(
    packets: PacketTable, frame_pts: np.ndarray, frame_a_packet: bool, num_suspect: int
) -> list[tuple[int, int]]:
    """The times of packets that gave no frame, from each to the next one, in ticks; spans that adjoin are one.

    Args:
        packets (`PacketTable`): The packets of the file.
        frame_pts (`np.ndarray` of shape `(num_frames,)`): Times of all frames that can be decoded, increasing, in
            ticks; at least one.
        frame_a_packet (`bool`): Whether every packet should give a frame. Else a packet is missed where its frame
            leaves a hole; and before the first frame, where a recording joins a stream, none is.
        num_suspect (`int`): Among so many frames at the end a hole is damage, although no packet tells of it.
    """
    interval = np.median(np.diff(frame_pts)) if len(frame_pts) > 1 else 0
    shown = packets.pts[~packets.is_hidden & (packets.pts != NO_PTS)]
    lost = np.setdiff1d(shown, frame_pts)
    if frame_a_packet:
        # What is shown before the first keyframe cannot be decoded in a sound file either.
        lost = lost[lost >= packets.pts[packets.is_key | packets.is_broken].min(initial=frame_pts[0])]
    else:
        lost = lost[lost > frame_pts[0]]
        after = np.searchsorted(frame_pts, lost)
        to_next = np.append(frame_pts, lost.max(initial=0) + interval)[after] - lost
        lost = lost[np.minimum(lost - frame_pts[after - 1], to_next) >= HOLE * interval]
    times = np.union1d(shown, frame_pts)
    last_ticks = packets.duration[packets.pts == times[-1]].max(initial=0)
    ends = np.append(times[1:], times[-1] + last_ticks)[np.searchsorted(times, lost)]
    spans = list(zip(lost.tolist(), ends.tolist()))
    if num_suspect:
        tail = frame_pts[-num_suspect:]
        holes = tail[:-1][np.diff(tail) > (1 + HOLE) * interval]
        spans += [(int(pts + interval), int(times[np.searchsorted(times, pts, "right")])) for pts in holes.tolist()]
    return join_spans(sorted(span for span in spans if span[0] < span[1]), 0)


def join_spans(spans: list[tuple], apart: float) -> list[tuple]:
    """Spans, increasing, of which those no further `apart` are made one."""
    joined: list[tuple] = []
    for start, end in spans:
        if joined and start - joined[-1][1] <= apart:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, end))
    return joined


def describe_damage(spans_s: list[tuple[float, float]], lost: int, end_s: float | None, stated_s: float | None) -> str:
    """One line about a damaged file; empty for a sound one.

    Args:
        spans_s (`list[tuple[float, float]]`): What is missing, in seconds, increasing.
        lost (`int`): Packets that could not be decoded.
        end_s (`float`, *optional*): When a file that is cut short ends, in seconds; `None` if it is not.
        stated_s (`float`, *optional*): When it should, if that is known.
    """
    near = join_spans(spans_s, NEAR_S)
    told = ", ".join(f"{start:.2f} to {end:.2f} s" for start, end in near[:MAX_SPANS])
    more = f" and {len(near) - MAX_SPANS} more spans" if len(near) > MAX_SPANS else ""
    parts = []
    if end_s is not None:
        parts.append(f"cut short: the video ends at {end_s:.2f} s" + (f" of {stated_s:.2f} s" if stated_s else ""))
    if near:
        parts.append(f"damaged: frames are missing in {told}{more}")
    elif lost:
        parts.append(f"damaged: {lost} packets could not be decoded")
    return "; ".join(parts)


# ---- files that end too early ---------------------------------------------------------------------------------------


def is_cut_short(path: str) -> bool:
    """Whether a file ends before its outermost parts do: boxes of MP4, elements of Matroska and WebM, chunks of AVI,
    packets of MPEG-TS, tags of FLV, objects of ASF, pages of Ogg, parts of MXF. A cut between two of them does not
    show. A GIF says where it ends."""
    size = os.path.getsize(path)
    with open(path, "rb") as file:
        head = file.read(256)
        for packet_bytes, sync in TS_PACKETS:
            if len(head) > packet_bytes + sync and head[sync] == head[packet_bytes + sync] == TS_SYNC:
                return size % packet_bytes > 0
        if head[4:8] in MP4_BOXES:
            return any(name in MP4_BOXES and end > size for name, end in _parts(file, size, _box))
        for begin, read_header in PARTS:
            if head.startswith(begin):
                return any(end > size for _, end in _parts(file, size, read_header))
        if head.startswith(b"GIF8"):
            file.seek(max(0, size - len(head)))
            return not file.read().rstrip(b"\0").endswith(GIF_END)
    return False


def whole_fragments(path: str) -> int:
    """Bytes of a fragmented MP4 up to the end of its last whole box: FFmpeg opens none whose last `moof` box is cut.
    0 for any other file."""
    size = os.path.getsize(path)
    with open(path, "rb") as file:
        if file.read(8)[4:] not in MP4_BOXES:
            return 0
        boxes = list(_parts(file, size, _box))
    whole = [end for _, end in boxes if end <= size]
    return whole[-1] if whole and boxes[-1][0] == b"moof" and len(whole) < len(boxes) else 0


def check_mp4_index(path: str) -> None:
    """Raise `VideoReadError` if a file is an MP4 whose index is missing or cut."""
    size = os.path.getsize(path)
    with open(path, "rb") as file:
        if file.read(8)[4:] not in MP4_BOXES:
            return
        if any(name == b"moov" and end <= size for name, end in _parts(file, size, _box)):
            return
    raise VideoReadError(
        f"{path}: an MP4 without its index (`moov`), which is written last: cut off before that, it cannot be read. "
        "Copy or download it again; of a recording that broke off, a tool such as untrunc may restore it."
    )


HEADER_BYTES = 27 + 255  # of a page of Ogg; the others are shorter


def _parts(file, size: int, read_header) -> Iterator[tuple[bytes, int]]:
    """Name and end of each outermost part, which may lie beyond the file."""
    start = 0
    while start < size:
        file.seek(start)
        name, length = read_header(file.read(HEADER_BYTES), size - start)
        if not length:
            return
        start += length
        yield name, start


def _box(head: bytes, rest: int) -> tuple[bytes, int]:
    length = int.from_bytes(head[:4], "big")
    if length == 1:
        length = int.from_bytes(head[8:16], "big")
    elif length == 0:  # up to the end of the file
        length = rest
    return head[4:8], length if length >= 8 else 0


def _chunk(head: bytes, rest: int) -> tuple[bytes, int]:
    length = int.from_bytes(head[4:8], "little")  # 0 in a recording that was never finished
    return head[:4], 8 + length + length % 2 if head[:4] == b"RIFF" and length else 0


def _element(head: bytes, rest: int) -> tuple[bytes, int]:
    """An element of Matroska. One of unknown length, as in live recordings, is looked into."""
    id_bytes = 9 - head[0].bit_length()
    size_bytes = 9 - head[id_bytes].bit_length() if len(head) > id_bytes else 1
    if id_bytes > 4 or size_bytes > 8:
        return b"", 0
    if len(head) < id_bytes + size_bytes:  # it ends within its header
        return head[:id_bytes], id_bytes + size_bytes
    bits = (1 << 7 * size_bytes) - 1
    length = int.from_bytes(head[id_bytes : id_bytes + size_bytes], "big") & bits
    return head[:id_bytes], id_bytes + size_bytes + (0 if length == bits else length)


def _tag(head: bytes, rest: int) -> tuple[bytes, int]:
    """The header of FLV, or one of its tags with the length of it that follows."""
    if head[:3] == b"FLV":
        return head[:3], 9 + 4
    return head[:1], 11 + int.from_bytes(head[1:4], "big") + 4 if head[:1] in (b"\x08", b"\x09", b"\x12") else 0


def _object(head: bytes, rest: int) -> tuple[bytes, int]:
    length = int.from_bytes(head[16:24], "little")  # of a live stream that of an empty object
    return head[:16], length if length > 24 + 26 else 0


def _page(head: bytes, rest: int) -> tuple[bytes, int]:
    if head[:4] != b"OggS":
        return b"", 0
    segments = head[26] if len(head) > 26 else 1  # else it ends within its header
    return head[:4], 27 + segments + sum(head[27 : 27 + segments])


def _part(head: bytes, rest: int) -> tuple[bytes, int]:
    """A part of MXF: a key of 16 bytes, and a length of up to 9."""
    if head[:4] != MXF:
        return b"", 0
    if len(head) < 17:  # it ends within its key
        return head[:16], 17
    more = head[16] & 0x7F if head[16] & 0x80 else 0
    length = int.from_bytes(head[17 : 17 + more], "big") if more else head[16]
    return head[:16], 17 + more + length


PARTS = ((EBML, _element), (b"RIFF", _chunk), (b"FLV", _tag), (ASF, _object), (b"OggS", _page), (MXF, _part))
