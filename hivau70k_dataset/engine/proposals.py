"""Events that the anomaly scorer proposes, for a person to accept, move or reject."""

from dataclasses import dataclass
from pathlib import Path

from modeling_holmes_vau.events_holmes_vau import EventRule
from modeling_holmes_vau.judgement_holmes_vau import parse_judgement
from modeling_holmes_vau.levels_holmes_vau import JUDGEMENT, UNNAMED
from modeling_holmes_vau.session_holmes_vau import VideoSession

from .division import rounded
from .work import PROPOSED, WorkEvent


DIGITS = 4  # of a score in the work folder


@dataclass(frozen=True)
class Scored:
    """What the scorer says of a video: the times of its scores, the scores, and the events it proposes."""

    times_s: tuple[float, ...]
    scores: tuple[float, ...]
    events: tuple[WorkEvent, ...] = ()


class Proposer:
    """
    A Holmes-VAU checkpoint that scores videos and proposes events by its event rule.

    Args:
        model, processor: The checkpoint.
        threshold (`float`, *optional*): Score that makes an event; the checkpoint's by default.
        names_classes (`bool`, *optional*, defaults to `True`): Ask the language model for the class of an event in a
            video whose classes nobody has told. An event whose class it does not name is called "Anomaly".
    """

    def __init__(self, model, processor, threshold: float | None = None, names_classes: bool = True):
        self.model, self.processor, self.threshold, self.names_classes = model, processor, threshold, names_classes
        self.rule = EventRule.of(model.config, threshold)

    def score(self, file: Path) -> Scored:
        """The scores of a video alone.

        Raises:
            `ValueError`, `OSError`: if it can't be read.
        """
        return Scored(*self._curve(self._session(file)))

    def propose(self, file: Path, labels: tuple[str, ...] | None) -> Scored:
        """
        Scores and events of a video.

        Args:
            file (`Path`): The video.
            labels (`tuple[str, ...]`, *optional*): Its classes; an event is of all of them, as nothing tells which
                it is.
        """
        session = self._session(file)
        events = tuple(
            WorkEvent(
                "",
                *rounded((event["start_s"], event["end_s"])),
                labels or self._classes(session, (event["start_s"], event["end_s"])),
                PROPOSED,
                score=round(event["peak_score"], DIGITS),
            )
            for event in session.events()
        )
        return Scored(*self._curve(session), events)

    def _session(self, file: Path) -> VideoSession:
        return VideoSession(str(file), self.model, self.processor, event_threshold=self.threshold)

    def _curve(self, session: VideoSession) -> tuple[tuple[float, ...], tuple[float, ...]]:
        return (
            tuple(round(float(time_s), 3) for time_s in session.encoder.dense_times_s),
            tuple(round(float(score), DIGITS) for score in session.scores),
        )

    def _classes(self, session: VideoSession, span_s: tuple[float, float]) -> tuple[str, ...]:
        if not self.names_classes:
            return (UNNAMED,)
        judged = parse_judgement(session.chat(span_s).ask(JUDGEMENT))
        return judged.classes or (UNNAMED,)
