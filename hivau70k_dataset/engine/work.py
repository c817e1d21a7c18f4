"""The work folder of the engine: what it was begun with, and what each step has written.

    DIR/work.json                 the collection: where its videos are, its name, its split
    DIR/decouple/videos.jsonl     step 1: a video a line, its events and their clips
    DIR/caption/calls.jsonl       step 2: every call of the captioner
    DIR/summarise/calls.jsonl     step 3: every call of the summariser
    DIR/review/decisions.jsonl    step 4: every decision of a person
    DIR/annotations/              step 5: annotations and instruction rows

Steps 2 to 5 hold no copy of what a step before decided: they read it. So a step can be done again, and what follows
pays for what changed alone.
"""

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from modeling_holmes_vau.base.errors import RunError
from modeling_holmes_vau.base.files import write_whole
from modeling_holmes_vau.base.journal import Journal

from ..schema import SPLITS


# The forms of boundaries that are read, the last four written too.
FORMS = ("csv", "ucf", "xd", "hivau", "label-studio", "fiftyone", "activitynet")
SETTINGS = "settings.json"  # of a step, in its folder
DIGEST_BYTES = 2**20  # read of either end of a file
GIVEN, PROPOSED, RANDOM, ADDED = "given", "proposed", "random", "added"


@dataclass(frozen=True)
class WorkClip:
    """A clip of an event, in seconds; `caption` where one was given with the video."""

    start_s: float
    end_s: float
    caption: str | None = None


@dataclass(frozen=True)
class WorkEvent:
    """An event of a video, in seconds.

    Args:
        id (`str`): Of this event in its video: of the span it had first, so that it keeps it when it is moved and
            when step 1 is done again, and what people decided about it is about no other.
        start_s (`float`), end_s (`float`): Its span.
        labels (`tuple[str, ...]`): Its classes; empty for an ordinary stretch of a normal video.
        origin (`str`): `"given"`, `"proposed"` by the scorer, `"random"` or `"added"` by a reviewer.
        clips (`tuple[WorkClip, ...]`): In the order of time.
        score (`float`, *optional*): Highest anomaly score inside, of a proposal.
        summary (`str`, *optional*), parts (`dict`, *optional*): Where a text was given with the boundaries.
    """

    id: str
    start_s: float
    end_s: float
    labels: tuple[str, ...]
    origin: str
    clips: tuple[WorkClip, ...] = ()
    score: float | None = None
    summary: str | None = None
    parts: dict[str, str | None] | None = None


@dataclass(frozen=True)
class WorkVideo:
    """A video as step 1 leaves it.

    Args:
        video (`str`): Its name in the annotations.
        path (`str`): Its file, below the folder of the videos.
        digest (`str`): Of the file, so that captions of another file under this name are not taken for its own.
        n_frames (`int`), fps (`float`): As the file has them.
        labels (`tuple[str, ...]`): Its classes; empty when normal.
        events (`tuple[WorkEvent, ...]`): In the order of time.
        times_s (`tuple[float, ...]`, *optional*), scores (`tuple[float, ...]`, *optional*): The anomaly scores.
        summary (`str`, *optional*), parts (`dict`, *optional*): Where a text was given with the boundaries.
    """

    video: str
    path: str
    digest: str
    n_frames: int
    fps: float
    labels: tuple[str, ...]
    events: tuple[WorkEvent, ...]
    times_s: tuple[float, ...] = ()
    scores: tuple[float, ...] = ()
    summary: str | None = None
    parts: dict[str, str | None] | None = None

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return self.n_frames / self.fps

    def peak(self, start_s: float, end_s: float) -> float | None:
        """The highest score of a span; `None` where nothing was scored."""
        inside = [score for time_s, score in zip(self.times_s, self.scores) if start_s <= time_s < end_s]
        return max(inside, default=None)


def file_digest(path: Path) -> str:
    """Tells a file from another, whatever it is called and whenever it was copied: of its length and both its ends."""
    with open(path, "rb") as file:
        total = hashlib.sha256(file.read(DIGEST_BYTES))
        length = file.seek(0, 2)
        file.seek(max(0, length - DIGEST_BYTES))
        total.update(file.read() + str(length).encode())
    return total.hexdigest()[:16]


def video_to_json(video: WorkVideo) -> dict[str, Any]:
    """A line of step 1's journal."""
    return asdict(video)


def video_from_json(fields: dict[str, Any]) -> WorkVideo:
    """What a line of step 1's journal holds."""
    events = tuple(
        WorkEvent(
            **{**event, "labels": tuple(event["labels"]), "clips": tuple(WorkClip(**clip) for clip in event["clips"])}
        )
        for event in fields["events"]
    )
    whole = {**fields, "labels": tuple(fields["labels"]), "events": events}
    return WorkVideo(**{**whole, "times_s": tuple(fields["times_s"]), "scores": tuple(fields["scores"])})


@dataclass(frozen=True)
class Collection:
    """What the videos of a work folder are: their folder, what to call them, which split they are."""

    videos: str
    source: str
    split: str


class Work:
    """
    A work folder.

    Args:
        root (`Path`): The folder; step 1 makes it.
    """

    def __init__(self, root: Path):
        self.root = Path(root)
        self.decoupled = Journal(self.root / "decouple" / "videos.jsonl")
        self.captions = self.root / "caption"
        self.summaries = self.root / "summarise"
        self.decisions = self.root / "review" / "decisions.jsonl"
        self.annotations = self.root / "annotations"

    def begin(self, collection: Collection) -> None:
        """Keep what the videos are.

        Raises:
            [`RunError`]: if the folder was begun with others.
        """
        if collection.split not in SPLITS:
            raise ValueError(f"--split {collection.split}: expected one of {', '.join(SPLITS)}.")
        if collection.source in ("", ".", "..") or set(collection.source) & set("/\\"):
            raise ValueError(f"--source {collection.source!r}: expected a name without folders, such as 'mine'.")
        if self._file.exists():
            earlier = self.collection()
            if earlier != collection:
                was, now = (
                    ", ".join(f"{name} {value}" for name, value in asdict(one).items())
                    for one in (earlier, collection)
                )
                raise RunError(
                    f"--work {self.root}: was begun with {was}, now asked for with {now}; choose another folder"
                )
            return
        self.root.mkdir(parents=True, exist_ok=True)
        write_whole(self._file, json.dumps(asdict(collection), indent=2) + "\n")

    def collection(self) -> Collection:
        """What the videos are.

        Raises:
            [`RunError`]: if step 1 has not been here.
        """
        try:
            return Collection(**json.loads(self._file.read_text(encoding="utf-8")))
        except FileNotFoundError:
            raise RunError(f"--work {self.root}: is no work folder; begin with `annotate decouple`") from None
        except (ValueError, TypeError) as error:
            raise RunError(f"{self._file}: is damaged ({error}); restore it, or choose another folder") from None

    def videos(self) -> list[WorkVideo]:
        """The videos of step 1, in its order; of a video that was decoupled again, the last.

        Raises:
            [`RunError`]: if there is none.
        """
        found = {line["video"]: line for line in self.decoupled.read()}
        if not found:
            raise RunError(f"--work {self.root}: holds no decoupled video; `annotate decouple` comes first")
        return [video_from_json(line) for line in found.values()]

    def file_of(self, video: WorkVideo) -> Path:
        """The file of a video."""
        return Path(self.collection().videos) / video.path

    @property
    def _file(self) -> Path:
        return self.root / "work.json"


def describe(videos: list[WorkVideo]) -> str:
    """How many there are of what, in a line."""
    events = [event for video in videos for event in video.events]
    origins = {
        origin: sum(event.origin == origin for event in events) for origin in dict.fromkeys(e.origin for e in events)
    }
    clips = sum(len(event.clips) for event in events)
    of_these = ", ".join(f"{count} {origin}" for origin, count in origins.items())
    abnormal = sum(bool(video.labels) for video in videos)
    told = f"{len(events)} events ({of_these or 'none'}), {clips} clips"
    return f"{len(videos)} videos, {abnormal} of them abnormal; {told}"
