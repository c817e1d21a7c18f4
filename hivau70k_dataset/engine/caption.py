"""Step 2: a caption for each clip (paper, appendix A.2), by a video language model on this machine or behind a
server."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modeling_holmes_vau.answering import Answerer, Completion
from modeling_holmes_vau.base.runs import write_settings
from modeling_holmes_vau.spans_holmes_vau import Segment

from .calls import Asked, Budget, Call, CallBook, Outcome, make_calls
from .state import State, caption_call
from .work import SETTINGS


@dataclass(frozen=True)
class Clips:
    """The clips that want a caption: what to ask about each, and where it is read."""

    calls: tuple[Call, ...]
    segments: dict[str, Segment]  # by item
    given: int  # clips that have a caption already, given or written by a person


def find_clips(state: State, prompt: str, is_own: Callable[[str], bool] = lambda video: True) -> Clips:
    """The clips of a work folder, of the videos of this share."""
    calls, segments, given = [], {}, 0
    for video in state.videos():
        if not is_own(video.video):
            continue
        file = str(state.work.file_of(video))
        for event in video.events:
            for clip in event.clips:
                if state.caption(video, event, clip).by in ("given", "person"):
                    given += 1
                    continue
                call = caption_call(video, event, clip, prompt)
                calls.append(call)
                segments[call.item] = Segment(file, (clip.start_s, clip.end_s))
    return Clips(tuple(calls), segments, given)


def keep_settings(folder: Path, **settings: Any) -> None:
    """Remember how a step was asked last: the texts of these calls are those that count."""
    folder.mkdir(parents=True, exist_ok=True)
    write_settings(folder / SETTINGS, settings)


def ask_about(answerer: Answerer, clips: Clips) -> Callable[[Call], Completion]:
    """What asks a model about a clip."""

    def ask(call: Call) -> Completion:
        return answerer.complete(answerer.look(clips.segments[call.item]), call.prompt)

    return ask


def caption_all(state: State, asked: Asked, clips: Clips, prompt: str, budget: Budget, book: CallBook) -> Outcome:
    """
    Ask for the captions that are missing.

    Raises:
        [`RunError`]: if the server is gone.
    """
    with book.alone():
        keep_settings(state.work.captions, model=asked.model, settings=asked.settings, prompt=prompt)
        outcome = make_calls(book, clips.calls, asked, budget, "captions")
    state.load_texts()
    return outcome
