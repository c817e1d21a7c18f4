"""What an annotation is: the typed form of the three levels of a video, and of an instruction row.

A video is annotated at three levels (paper, section 3.2): clips have a caption, events and the whole video a summary
in three parts (judgement, description, analysis).
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath


SPLITS = ("train", "validation", "test")
LEVELS = ("clip", "event", "video")
TASKS = ("caption", "judgement", "description", "analysis")
SUMMARY_TASKS = TASKS[1:]
BENCHMARKS = ("ucf-crime", "xd-violence")  # the sources whose classes are known
SYNTHETIC_SOURCE = "miniature"  # the source of videos that this package rendered

SEGMENT_NAME = {
    "clip": re.compile(r"(?P<name>.+)_E(?P<event>\d+)C(?P<clip>\d+)"),
    "event": re.compile(r"(?P<name>.+)_E(?P<event>\d+)"),
    "video": re.compile(r"(?P<name>.+)"),
}


def sources_of(paths: Iterable[str]) -> list[str]:
    """The sources of segments, given by their paths in the layout of the release, each once and in order.

    Example:

    >>> from hivau70k_dataset.schema import sources_of
    >>> sources_of(["xd-violence/videos/train/a.mp4", "ucf-crime/videos/train/b.mp4", "ucf-crime/videos/train/c.mp4"])
    ['ucf-crime', 'xd-violence']
    """
    return sorted({PurePosixPath(path).parts[0] for path in paths})


def is_synthetic(paths: Iterable[str]) -> bool:
    """Whether all of these segments, paths in the layout of the release, are of rendered videos.

    Example:

    >>> from hivau70k_dataset.schema import is_synthetic
    >>> is_synthetic(["miniature/clips/train/a_E0C0.mp4"]), is_synthetic(["ucf-crime/videos/train/Arson016_x264.mp4"])
    (True, False)
    """
    return all(source == SYNTHETIC_SOURCE for source in sources_of(paths))


class AnnotationError(ValueError):
    """An annotation that can't be read: names the file, the video or row, and the field."""


class SplitError(AnnotationError):
    """An annotation of another split than its file's name tells."""


@dataclass(frozen=True)
class Remark:
    """Something odd in a file, in spite of which it is read.

    Args:
        code (`str`): A key of `findings.MEANING`.
        subject (`str`): The video or the row, as errors name it.
        field (`str`): The field.
        message (`str`): What is odd.
        is_row (`bool`): Whether it is about an instruction row.
    """

    code: str
    subject: str
    field: str
    message: str
    is_row: bool


@dataclass(frozen=True)
class SummaryParts:
    """A summary in its three parts (paper, section 3.2); a normal segment has no analysis."""

    judgement: str
    description: str | None = None
    analysis: str | None = None


@dataclass(frozen=True)
class Clip:
    """A span of the video in seconds, and its caption."""

    start_s: float
    end_s: float
    caption: str


@dataclass(frozen=True)
class Event:
    """A span of the video in seconds, its clips and its summary; in a normal video an ordinary stretch of it."""

    start_s: float
    end_s: float
    clips: tuple[Clip, ...]
    summary: str
    parts: SummaryParts | None = None


@dataclass(frozen=True)
class VideoAnnotation:
    """The hierarchical annotation of one video.

    Args:
        video (`str`): Name without folder and extension.
        source (`str`): The benchmark it comes from: "ucf-crime", "xd-violence", or your own.
        split (`str`): "train", "validation" or "test".
        n_frames (`int`): Number of frames.
        fps (`float`): Frames per second.
        labels (`tuple[str, ...]`): The classes of the video as the file spells them; empty when normal.
        events (`tuple[Event, ...]`): In the order of the file.
        summary (`str`): The summary of the whole video.
        parts (`SummaryParts`, *optional*): The summary in its three parts.
        event_frames (`tuple[tuple[int, int], ...]`, *optional*): First and last frame of each event as the file gives
            them beside the seconds (`events(frame)` of the released XD-Violence). The seconds are what counts.
    """

    video: str
    source: str
    split: str
    n_frames: int
    fps: float
    labels: tuple[str, ...]
    events: tuple[Event, ...]
    summary: str
    parts: SummaryParts | None = None
    event_frames: tuple[tuple[int, int], ...] | None = None

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return self.n_frames / self.fps

    @property
    def whole_path(self) -> str:
        """The path of the whole video in the released layout."""
        return self.path("video")

    def path(self, level: str, event: int = 0, clip: int = 0) -> str:
        """The path of a segment's file in the released layout."""
        suffix = {"video": "", "event": f"_E{event}", "clip": f"_E{event}C{clip}"}[level]
        return f"{self.source}/{level}s/{self.split}/{self.video}{suffix}.mp4"

    def segments(self) -> Iterator[tuple[str, int, int, tuple[float, float]]]:
        """Level, event, clip (0 where the level has none) and span of every segment below the whole video."""
        for i, event in enumerate(self.events):
            yield "event", i, 0, (event.start_s, event.end_s)
            for j, clip in enumerate(event.clips):
                yield "clip", i, j, (clip.start_s, clip.end_s)

    def span_s(self, level: str, event: int | None, clip: int | None) -> tuple[float, float] | None:
        """Start and end of a segment in seconds; `None` when the annotation has no such segment."""
        if level == "video":
            return 0.0, self.duration_s
        if event is None or event >= len(self.events):
            return None
        found = self.events[event]
        if level == "clip":
            if clip is None or clip >= len(found.clips):
                return None
            found = found.clips[clip]
        return found.start_s, found.end_s


@dataclass(frozen=True)
class Instruction:
    """One question about one segment and its answer.

    Args:
        id (`str`): As the file has it; the turns of one conversation share it.
        level (`str`): "clip", "event" or "video".
        task (`str`): "caption", "judgement", "description" or "analysis".
        video (`str`): Path of the segment in the released layout,
            `{source}/{level}s/{split}/{name}[_E{event}[C{clip}]].mp4`.
        question (`str`): The released field `prompt`.
        answer (`str`): The released field `anwser`.
        turn (`int`, *optional*, defaults to 0): Place in its conversation.
    """

    id: str
    level: str
    task: str
    video: str
    question: str
    answer: str
    turn: int = 0

    @property
    def source(self) -> str:
        """The benchmark the video comes from."""
        return self.video.split("/", 1)[0]

    @property
    def split(self) -> str:
        """ "train", "validation" or "test"."""
        return self.video.split("/")[2]

    @property
    def name(self) -> str:
        """The name of the whole video."""
        return self._named("name")

    @property
    def whole_path(self) -> str:
        """The path of the whole video in the released layout."""
        return f"{self.source}/videos/{self.split}/{self.name}.mp4"

    @property
    def event(self) -> int | None:
        """Which event of the video, from 0; `None` for the whole video."""
        return None if self.level == "video" else int(self._named("event"))

    @property
    def clip(self) -> int | None:
        """Which clip of the event, from 0; `None` above clip level."""
        return int(self._named("clip")) if self.level == "clip" else None

    def _named(self, group: str) -> str:
        return SEGMENT_NAME[self.level].fullmatch(PurePosixPath(self.video).stem)[group]
