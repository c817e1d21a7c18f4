"""Step 1: videos into events and clips (paper, section 3.2 and appendix A.1)."""

import logging
import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from modeling_holmes_vau.base.runs import check_settings, write_settings
from modeling_holmes_vau.base.share import do_all
from modeling_holmes_vau.video_reader_holmes_vau import open_video

from .boundaries import GivenVideo, given_events
from .division import Division, clips_inside
from .proposals import Proposer, Scored
from .work import RANDOM, SETTINGS, Work, WorkClip, WorkEvent, WorkVideo, file_digest, video_to_json


logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Decoupler:
    """
    Takes videos apart.

    Args:
        root (`Path`): Folder of the videos.
        division ([`Division`]): How.
        clips (`dict[str, list[WorkClip]]`, *optional*): Clips that are given, by video.
        proposer ([`Proposer`], *optional*): Scores the videos.
        proposes (`bool`, *optional*, defaults to `False`): Whether events are its proposals, where no span is given.
    """

    root: Path
    division: Division
    clips: dict[str, list[WorkClip]]
    proposer: Proposer | None = None
    proposes: bool = False

    def decouple(self, given: GivenVideo) -> WorkVideo:
        """
        One video.

        Raises:
            `ValueError`, `OSError`: if it can't be read, or a span is past its end.
        """
        with open_video(given.file) as reader:
            n_frames, fps, duration_s = reader.num_frames, reader.fps, reader.duration_s
        clips = self.clips.get(given.video, [])
        events, scored, labels = self._events(given, fps, duration_s)
        last_s = math.floor(duration_s * 1000) / 1000  # of the times to the millisecond the last that is in the video
        cut = [replace(event, end_s=min(event.end_s, last_s)) for event in events]
        named = [replace(event, id=f"e{event.start_s:.3f}-{event.end_s:.3f}") for event in cut]
        annotation = given.annotation
        told = annotation is not None and (annotation.parts is not None or annotation.summary != "no description")
        return WorkVideo(
            video=given.video,
            path=Path(given.file).relative_to(self.root).as_posix(),
            digest=file_digest(Path(given.file)),
            n_frames=n_frames,
            fps=fps,
            labels=labels,
            events=tuple(self._divide(given.video, event, clips) for event in named),
            times_s=scored.times_s,
            scores=scored.scores,
            summary=annotation.summary if told else None,
            parts=vars(annotation.parts) if told and annotation.parts else None,
        )

    def _events(
        self, given: GivenVideo, fps: float, duration_s: float
    ) -> tuple[list[WorkEvent], Scored, tuple[str, ...]]:
        """Events, scores and classes of a video."""
        labels, scored = given.labels, Scored((), ())
        if self.proposer is not None:
            asks = self.proposes and not given.spans and labels != ()
            scored = self.proposer.propose(Path(given.file), labels) if asks else self.proposer.score(Path(given.file))
        if given.spans:
            events = given_events(given, fps, duration_s)
        else:
            events = list(scored.events)
        if labels is None:
            labels = tuple(dict.fromkeys(label for event in events for label in event.labels))
        if not events and not labels:
            events = [WorkEvent("", *span, (), RANDOM) for span in self.division.normal_spans(given.video, duration_s)]
        return events, scored, labels

    def _divide(self, video: str, event: WorkEvent, clips: list[WorkClip]) -> WorkEvent:
        span_s = (event.start_s, event.end_s)
        return replace(
            event,
            clips=clips_inside(span_s, event.clips) if event.clips else self.division.clips(video, span_s, clips),
        )


def decouple_all(work: Work, videos: Iterable[GivenVideo], decoupler: Decoupler, settings: dict) -> dict[str, str]:
    """
    Take all videos apart that were not, each a line of the journal as soon as it is done.

    Args:
        work ([`Work`]): The folder.
        videos (`Iterable[GivenVideo]`): The videos.
        decoupler ([`Decoupler`]): How.
        settings (`dict`): What decides the result, so that a run that goes on is the same run.

    Returns:
        `dict[str, str]`: Why videos could not be taken apart, by name.
    """
    file = work.root / "decouple" / SETTINGS
    done = {line["video"]: line["digest"] for line in work.decoupled.read()}
    if done:
        holds = f"--work {work.root}: holds {len(done)} decoupled videos"
        check_settings(file, settings, holds, "pass --redo to take them apart again, or choose another folder")
    else:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_settings(file, settings)

    def decouple(given: GivenVideo) -> None:
        if done.get(given.video) != file_digest(Path(given.file)):
            work.decoupled.append(video_to_json(decoupler.decouple(given)))

    return do_all(videos, decouple, lambda given: given.video, "decouple", "video")
