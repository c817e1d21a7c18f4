"""`validate` on what lies beside the annotations: the videos, and the ground truth of the benchmarks."""

from collections.abc import Iterator

from modeling_holmes_vau.base.progress import Progress
from modeling_holmes_vau.video_reader_holmes_vau import VideoReadError, open_video

from .findings import LOW_IOU, Finding
from .ground_truth import FrameAnnotation, frame_labels, hivau_frame_annotations, temporal_iou
from .labels import canonical_class
from .schema import Instruction, VideoAnnotation
from .videos import VideoFolder


RATE_TOLERANCE = 0.01  # of the annotated frame rate: 29.97 is written as 30
Entries = list[tuple[str, VideoAnnotation | Instruction]]  # each with the name of its file


def check_videos(everything: Entries, folder: VideoFolder, progress: bool) -> Iterator[Finding]:
    """Open each whole video once, and each file of one event or clip that is there."""
    whole: dict[str, tuple[str, VideoAnnotation | Instruction]] = {}
    segments: dict[str, tuple[str, float | None]] = {}  # file and annotated seconds
    needed = set()  # whole videos that are asked for themselves or have segments without a file
    for file, entry in sorted(everything, key=lambda pair: isinstance(pair[1], Instruction)):
        whole.setdefault(entry.whole_path, (file, entry))
        if isinstance(entry, VideoAnnotation):
            needed.add(entry.whole_path)
            for level, event, clip, (start_s, end_s) in entry.segments():
                segments.setdefault(entry.path(level, event, clip), (file, end_s - start_s))
        elif entry.level == "video" or not (folder.root / entry.video).is_file():
            needed.add(entry.whole_path)
        else:
            segments.setdefault(entry.video, (file, None))
    present = {path: of for path, of in segments.items() if (folder.root / path).is_file()}
    with Progress(total=len(whole) + len(present), desc="videos", unit="file", disable=not progress) as shown:
        for path, (file, entry) in whole.items():
            yield from _check_whole(file, path, entry, folder, path in needed)
            shown.update()
        for path, (file, seconds) in present.items():
            yield from _check_segment(file, path, seconds, folder)
            shown.update()


def _check_whole(
    file: str, path: str, entry: VideoAnnotation | Instruction, folder: VideoFolder, needed: bool
) -> Iterator[Finding]:
    try:
        found = folder.find_whole(entry)
        if found is None:
            if needed:
                yield Finding("videos", "missing_video", file, path, "", f"not under {folder.root}")
            return
        with open_video(found.path) as reader:
            n_frames, fps = reader.num_frames, reader.fps
    except ValueError as error:  # VideoReadError is one
        yield Finding("videos", "unreadable_video", file, path, "", str(error))
        return
    if not isinstance(entry, VideoAnnotation):
        return
    if n_frames != entry.n_frames:
        message = f"the file has {n_frames} frames, the annotation {entry.n_frames}"
        yield Finding("videos", "frame_count", file, path, "", message)
    if abs(fps - entry.fps) > RATE_TOLERANCE * entry.fps:
        message = f"the file runs at {fps:g} frames per second, the annotation at {entry.fps:g}"
        yield Finding("videos", "frame_rate", file, path, "", message)


def _check_segment(file: str, path: str, seconds: float | None, folder: VideoFolder) -> Iterator[Finding]:
    try:
        with open_video(folder.root / path) as reader:
            off_s, frame_s = abs(reader.duration_s - (seconds or reader.duration_s)), 1 / reader.fps
    except VideoReadError as error:
        yield Finding("videos", "unreadable_video", file, path, "", str(error))
        return
    if off_s > 1.5 * frame_s:  # both ends are rounded to frames
        message = f"the file lasts {reader.duration_s:.3f} s, the annotated span {seconds:.3f} s"
        yield Finding("videos", "segment_length", file, path, "", message)


def check_ground_truth(
    everything: Entries,
    ground_truth: dict[str, FrameAnnotation],
    agreement: dict[str, float],
) -> Iterator[Finding]:
    """Compare each annotated video with the ground truth; fills `agreement` with the IoU of the abnormal ones."""
    for file, entry in everything:
        if not isinstance(entry, VideoAnnotation):
            continue
        truth = ground_truth.get(entry.video)
        if truth is None and not entry.labels:
            continue  # some list abnormal videos alone
        if truth is None:
            yield Finding("ground truth", "no_ground_truth", file, entry.video, "", "not in the ground truth")
            continue
        ours_are, theirs_are = ({canonical_class(x) or x for x in labels} for labels in (entry.labels, truth.labels))
        if ours_are != theirs_are:
            message = " but ".join(", ".join(sorted(names)) or "normal" for names in (ours_are, theirs_are))
            yield Finding("ground truth", "truth_class", file, entry.video, "labels", f"{message} in the ground truth")
        if truth.n_frames not in (None, entry.n_frames):
            message = f"{entry.n_frames} frames, {truth.n_frames} in the ground truth"
            yield Finding("ground truth", "truth_frames", file, entry.video, "n_frames", message)
        if not entry.labels:
            continue
        ours = hivau_frame_annotations([entry])[entry.video]
        iou = temporal_iou(frame_labels(ours), frame_labels(truth, entry.n_frames))
        agreement[entry.video] = iou
        if iou < LOW_IOU:
            yield Finding("ground truth", "low_agreement", file, entry.video, "", f"temporal IoU {iou:.3f}")
        if len(ours.spans) != len(truth.spans):
            code = "lost_segment" if len(ours.spans) < len(truth.spans) else "extra_segment"
            message = f"{len(ours.spans)} events, {len(truth.spans)} segments, temporal IoU {iou:.3f}"
            yield Finding("ground truth", code, file, entry.video, "", message)
