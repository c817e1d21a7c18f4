"""Step 3: a summary in three parts of each event, then of each video (paper, appendix A.2), by a language model."""

from collections.abc import Callable, Iterator
from dataclasses import asdict

from modeling_holmes_vau.answering import Completion, Writer

from .calls import Asked, Budget, Call, CallBook, Outcome, make_calls
from .caption import keep_settings
from .prompts import Prompts
from .replies import SCHEMA
from .state import ATTEMPTS, EMPTY, NO_EVENT, UNREAD, State, Told, event_id


Calls = list[tuple[Call, ...]]  # of each segment, the same question time and again


def event_calls(state: State, is_own: Callable[[str], bool] = lambda video: True) -> Calls:
    """What is asked about the events that have no given summary and none by a person."""
    return [
        tuple(state.event_calls(video, event))
        for video in state.videos()
        if is_own(video.video)
        for event in video.events
        if state.event_summary(video, event).by not in ("given", "person")
    ]


def video_calls(state: State, is_own: Callable[[str], bool] = lambda video: True) -> Calls:
    """What is asked about the videos, likewise."""
    return [
        tuple(state.video_calls(video))
        for video in state.videos()
        if is_own(video.video) and state.video_summary(video).by not in ("given", "person")
    ]


def write_with(writer: Writer) -> Callable[[Call], Completion]:
    """What asks a language model for a summary, in JSON where it can be held to it."""
    return lambda call: writer.write(call.prompt, SCHEMA)


def summarise_all(state: State, asked: Asked, prompts: Prompts, budget: Budget, book: CallBook) -> Outcome:
    """
    Ask for the summaries that are missing: of all events, then of the videos whose events have one. A reply whose
    parts can't be read is asked for once more.

    Raises:
        [`RunError`]: if the server is gone.
    """
    whole = Outcome()
    with book.alone():
        keep_settings(state.work.summaries, model=asked.model, settings=asked.settings, prompts=asdict(prompts))
        state.load_texts()
        for calls_of, what in ((event_calls, "events"), (video_calls, "videos")):
            for attempt in range(ATTEMPTS):
                if whole.stopped:
                    return whole
                wanted = [calls[attempt] for calls in calls_of(state, book.is_own) if calls]
                if attempt:
                    wanted = [call for call in wanted if _is_unread(state, call)]
                outcome = make_calls(book, wanted, asked, budget, what if attempt == 0 else f"{what} again")
                whole.problems |= outcome.problems
                whole.stopped = outcome.stopped
                state.load_texts()
    return whole


def _is_unread(state: State, call: Call) -> bool:
    """Whether the reply to the first asking of a segment was there and could not be read."""
    video = state.edited(state.decoupled[call.item.split("/", 1)[0]])
    for event in video.events:
        if event_id(video.video, event) == call.item:
            return _needs_another(state.event_summary(video, event, by_people=False))
    return _needs_another(state.video_summary(video, by_people=False))


def _needs_another(told: Told) -> bool:
    return told.why in (EMPTY, UNREAD)


def unfinished(state: State) -> Iterator[tuple[str, str]]:
    """The events and videos without a summary, and why: a person writes it, or the step is run again."""
    for video in state.videos():
        told = [(event_id(video.video, event), state.event_summary(video, event)) for event in video.events]
        if not video.events:
            told = [(video.video, Told(problem="has no event", why=NO_EVENT))]
        elif all(summary.is_there for _, summary in told):
            told = [(video.video, state.video_summary(video))]
        yield from ((item, summary.problem) for item, summary in told if not summary.is_there)
