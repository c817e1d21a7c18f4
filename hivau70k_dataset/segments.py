"""Segments of videos: read them where they are, or cut them into files of their own.

A segment is `(video, start_s, end_s)`. Nothing needs cutting to be read; files are for those who want the layout
of the original release.
"""

import multiprocessing
import os
import signal
import threading
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing, suppress
from dataclasses import dataclass

import numpy as np

from modeling_holmes_vau.base.progress import Progress
from modeling_holmes_vau.video_reader_holmes_vau import open_video

from .cutting import MODES, Cut, check_whole, cut_group, span_frame_range, temporary_prefix


__all__ = ["Cut", "CutReport", "cut_segments", "read_segment", "span_frame_range"]

CHUNK_FRAMES = 16
MAX_CUTS_PER_TASK = 16  # of one source, which is opened once for them
TASKS_PER_WORKER = 4  # at least, where there are cuts enough, so that none waits long for the last
DIED = "the process that cut it died: too little memory, or a damaged video. Use fewer workers or repair the video."


def read_segment(
    video: str | os.PathLike | np.ndarray,
    start_s: float | None = None,
    end_s: float | None = None,
    *,
    stride: int = 1,
    chunk_frames: int = CHUNK_FRAMES,
    backend: str = "auto",
    fps: float | None = None,
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """
    Read the frames of a span of a video, a chunk at a time, from the keyframe before it.

    Args:
        video (`str`, `os.PathLike`, or what `open_video` takes): The video.
        start_s (`float`, *optional*, defaults to the video's start): Start of the span in seconds.
        end_s (`float`, *optional*, defaults to the video's end): End of the span in seconds. One beyond the end of
            the video is taken for it.
        stride (`int`, *optional*, defaults to 1): Read every `stride`-th frame of the span.
        chunk_frames (`int`, *optional*, defaults to 16): Most frames in memory at a time.
        backend (`str`, *optional*, defaults to `"auto"`): `"pyav"`, `"decord"` or `"auto"`.
        fps (`float`, *optional*): Frame rate of a video in memory, which needs one.

    Returns:
        Iterator of `(frames, times_s)`: uint8 RGB `(T, height, width, 3)` with T <= `chunk_frames`, and the time of
        each frame `(T,)` in seconds from the first frame of the video. Which frames: see `span_frame_range`.

    Raises `ValueError` if the span is negative, backwards, empty, not a number or wholly outside the video, and
    `VideoReadError`, one too, if the video cannot be read, or frames of the span are missing from a damaged one.

    Example:

    ```python
    >>> video = np.zeros((50, 32, 48, 3), dtype=np.uint8)  # or "street.mp4", without fps
    >>> for frames, times_s in read_segment(video, 0.5, 1.2, fps=30):
    ...     print(frames.shape, times_s[[0, -1]].round(3))
    (16, 32, 48, 3) [0.5 1. ]
    (5, 32, 48, 3) [1.033 1.167]

    ```
    """
    if stride < 1 or chunk_frames < 1:
        raise ValueError(f"`stride` and `chunk_frames` must be at least 1, got {stride} and {chunk_frames}.")
    opened = open_video(video, backend, fps, strict=False)
    first, stop = span_frame_range(opened, start_s, end_s)
    check_whole(opened, first, end_s)
    return _read_chunks(opened, range(first, stop, stride), chunk_frames)


def _read_chunks(video, frame_indices: range, chunk_frames: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    frames = video.frames(frame_indices)  # one decoding run for all chunks
    for start in range(0, len(frame_indices), chunk_frames):
        chunk = frame_indices[start : start + chunk_frames]
        pixels = np.empty((len(chunk), video.height, video.width, 3), dtype=np.uint8)
        for slot in pixels:
            slot[...] = next(frames)
        yield pixels, video.timestamps_s[chunk.start : chunk.stop : chunk.step]


@dataclass(frozen=True)
class CutReport:
    """
    What became of the files asked for.

    Args:
        copied (`int`), encoded (`int`): Files written without and with encoding them again.
        skipped (`int`): Files that were there already, and right.
        failures (`tuple[tuple[Cut, str], ...]`): What was not made, and why, in one line that names the file.
    """

    copied: int
    encoded: int
    skipped: int
    failures: tuple[tuple[Cut, str], ...]

    @property
    def written(self) -> int:
        """Files written."""
        return self.copied + self.encoded

    def __str__(self) -> str:
        done = f"{self.written} written ({self.copied} copied, {self.encoded} encoded), {self.skipped} already there"
        return f"{done}, {len(self.failures)} failed"


def cut_segments(
    cuts: Iterable[Cut], workers: int | None = None, mode: str = "auto", progress: bool = True
) -> CutReport:
    """
    Cut videos into MP4 files, without sound, in memory that does not grow with their length.

    Each file holds exactly the frames of its span (see `span_frame_range`), at the rate of the source, and is decoded
    to check it before it takes its name. Files that are already there with the right frame count, size and rate are
    left alone, so a run that was interrupted goes on where it stopped. Of a damaged video the spans that are whole are
    cut; the others fail.

    Args:
        cuts (iterable of [`Cut`]): The files to make.
        workers (`int`, *optional*, defaults to the number of CPUs): Processes; 1 works in this one. Programs that use
            more need the `if __name__ == "__main__":` of `multiprocessing`.
        mode (`str`, *optional*, defaults to `"auto"`): `"encode"` makes H.264 (yuv420p, CRF 18, sides rounded down to
            even, turned upright). `"copy"` copies from the keyframe at or before the span: fast and without loss, but
            there may be more frames, in front and, with B-frames, at the end. `"auto"` copies, in the codec and at the
            times of the source, where exactly the frames of the span come out, and encodes elsewhere.
        progress (`bool`, *optional*, defaults to `True`): Show a progress bar on stderr.

    Returns:
        [`CutReport`]: Counts, and failures. One failure does not stop the others.

    Raises `ValueError` for a wrong `mode` or number of workers.
    """
    if mode not in MODES:
        raise ValueError(f"`mode` must be one of {', '.join(map(repr, MODES))}, got {mode!r}.")
    workers = os.cpu_count() or 1 if workers is None else workers
    if workers < 1:
        raise ValueError(f"`workers` must be at least 1, got {workers}.")
    cuts, failures = _drop_repeated(cuts)
    _remove_unfinished(cuts)
    groups = _group(cuts, workers)
    counts = {"copied": 0, "encoded": 0, "skipped": 0}
    try:
        with (
            closing(_run(groups, mode, min(workers, len(groups)))) as results,
            Progress(total=len(cuts), unit="file", desc="cut", disable=not progress) as bar,
        ):
            for group, outcomes in results:
                for cut, (outcome, reason) in zip(group, outcomes, strict=True):
                    if outcome == "failed":
                        failures.append((cut, reason))
                    else:
                        counts[outcome] += 1
                bar.update(len(group))
    finally:
        _remove_unfinished(cuts)  # of processes that died
    return CutReport(**counts, failures=tuple(failures))


def _drop_repeated(cuts: Iterable[Cut]) -> tuple[list[Cut], list[tuple[Cut, str]]]:
    """Two processes must not write one file: the first cut for it is made, others have failed, unless they ask for
    the same."""
    kept, failures = {}, []
    for cut in cuts:
        other = kept.setdefault(os.path.abspath(cut.output), cut)
        if other != cut:
            problem = f"{cut.output}: asked for twice, also from {other.start_s} to {other.end_s} s of {other.source}"
            failures.append((cut, f"{problem}. Give each span a name of its own."))
    return list(kept.values()), failures


def _remove_unfinished(cuts: list[Cut]) -> None:
    """Remove what a run that was killed left of these outputs. Files of other outputs may be in the making."""
    prefixes = defaultdict(set)
    for cut in cuts:
        prefixes[cut.output.parent].add(temporary_prefix(cut.output))
    for folder, wanted in prefixes.items():
        for path in folder.glob(".cut-*.part"):
            if path.name[: path.name.rindex("-") + 1] in wanted:
                with suppress(OSError):  # told by the cut itself, if it cannot be made
                    path.unlink()


def _group(cuts: list[Cut], workers: int) -> list[list[Cut]]:
    """Cuts of one source, in order of time, in tasks of not too many."""
    by_source = defaultdict(list)
    for cut in cuts:
        by_source[cut.source].append(cut)
    size = max(1, min(MAX_CUTS_PER_TASK, len(cuts) // (workers * TASKS_PER_WORKER)))
    groups = []
    for same in by_source.values():
        same.sort(key=lambda cut: cut.start_s)
        groups += [same[start : start + size] for start in range(0, len(same), size)]
    return groups


def _run(groups: list[list[Cut]], mode: str, workers: int) -> Iterator[tuple[list[Cut], list[tuple[str, str]]]]:
    """Groups and their outcomes, as they get done."""
    if workers <= 1:
        for group in groups:
            yield group, cut_group(group, mode, num_threads=0)
        return
    waiting = deque(groups)
    while waiting:
        suspects = yield from _run_in_pool(waiting, mode, workers)
        for cut in suspects:  # one of them ends the process that cuts it: find out which
            alone = deque([[cut]])
            if (yield from _run_in_pool(alone, mode, 1)):
                yield [cut], [("failed", f"{cut.output}: {DIED}")]


def _run_in_pool(waiting: deque[list[Cut]], mode: str, workers: int) -> Iterator:
    """Yield groups and their outcomes until none is waiting, or a process dies. Returns the cuts that were then being
    made."""
    running = {}
    try:
        with _open_pool(workers) as pool:
            _check_start(pool)
            while waiting or running:
                while waiting and len(running) < 2 * workers:
                    running[pool.submit(cut_group, waiting[0], mode, 1)] = waiting[0]
                    waiting.popleft()
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    outcomes = future.result()
                    yield running.pop(future), outcomes
    except BrokenProcessPool:
        for future in [future for future in running if future.done() and future.exception() is None]:
            yield running.pop(future), future.result()
        return [cut for group in running.values() for cut in group]
    return []


def _open_pool(workers: int) -> ProcessPoolExecutor:
    if "forkserver" in multiprocessing.get_all_start_methods():
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload([__name__])  # PyTorch, which the video reader imports, is loaded once for all
    else:
        context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(workers, mp_context=context, initializer=_start_worker)


def _check_start(pool: ProcessPoolExecutor) -> None:
    try:
        pool.submit(os.getpid).result()
    except BrokenProcessPool as error:
        advice = "Call it under `if __name__ == '__main__':` (see `multiprocessing`), or pass workers=1"
        raise RuntimeError(f"`cut_segments` cannot start processes. {advice}.") from error


def _start_worker() -> None:
    """End this process at Ctrl-C without a word, and with the process that started it, even if that is killed."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    multiprocessing.parent_process().join()
    os._exit(1)
