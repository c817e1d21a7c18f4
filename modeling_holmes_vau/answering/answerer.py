"""What all answerers have in common: their methods, evenly spread frames, and questions without words for pictures."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ..spans_holmes_vau import Segment, check_segment


NUM_FRAMES = 16  # as Holmes-VAU sees (paper, section 5.1)
AUTO, VIDEO, IMAGES = FRAMES_AS = ("auto", "video", "images")  # how a model is shown them; auto: as it is made for
NEW_TOKENS = 1024  # Holmes-VAU's limit; checkpoints of others often say 20

# A reply is a text, or the error that stands in its place.
Reply = str | Exception


@dataclass(frozen=True)
class Completion:
    """A model's answer, and how many tokens prompt and answer took, where that is counted."""

    text: str
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


class Answerer(ABC):
    """
    What answers questions about segments of videos.

    `warning` says what of the model is untrained, if anything, and `asks_together` whether questions answered together
    share a computation, whose rounding may then differ.
    """

    warning: str | None = None
    asks_together = True

    @abstractmethod
    def look(self, segment: Segment) -> Any:
        """Decode a segment once, for all that is asked about it.

        Raises:
            `ValueError`, `OSError`: if it can't be read.
        """

    @abstractmethod
    def prompt_length(self, question: str) -> int:
        """How long a question is, to put questions of a length together."""

    @abstractmethod
    def answer(self, seen: list, questions: list[str]) -> Iterator[tuple[int, Reply]]:
        """Greedy answers, each with the place of its question, as they come; an error in the place of a text where a
        question cannot be answered. `seen[i]` is what [`Answerer.look`] gave for the segment of question `i`."""

    def ask(self, seen: Any, question: str) -> str:
        """The answer to one question; raises what stands in its place."""
        ((_, reply),) = self.answer([seen], [question])
        if isinstance(reply, Exception):
            raise reply
        return reply

    def complete(self, seen: Any, question: str) -> Completion:
        """The answer to one question, with the tokens that it took, where they are counted."""
        return Completion(self.ask(seen, question))


@dataclass(frozen=True)
class SeenFrames:
    """
    Frames of a segment.

    Args:
        pictures (`list[PIL.Image.Image]`): The frames.
        indices (`list[int]`): Their numbers, counted from the segment's first frame.
        count (`int`): Frames that the segment has.
        fps (`float`): Of the video.
    """

    pictures: list
    indices: list[int]
    count: int
    fps: float


def middle_frames(segment: Segment, num_frames: int) -> list:
    """The middle frame of each of `num_frames` equal parts of a segment, as PIL images."""
    return see_middle_frames(segment, num_frames).pictures


def see_middle_frames(segment: Segment, num_frames: int) -> SeenFrames:
    """The middle frame of each of `num_frames` equal parts of a segment, and where they are in it."""
    from PIL import Image

    from ..frame_rule_holmes_vau import frames_of_span
    from ..video_reader_holmes_vau import open_video

    with open_video(segment.path) as reader:
        first, count = frames_of_span(reader, segment.span_s)
        indices, fps = middle_indices(reader, segment, num_frames), reader.fps
        frames = reader.read(indices)
    pictures = [Image.fromarray(frame) for frame in frames]
    return SeenFrames(pictures, [index - first for index in indices], count, fps)


def middle_indices(reader, segment: Segment, num_frames: int) -> list[int]:
    """The numbers of these frames in the opened video of the segment."""
    from ..frame_rule_holmes_vau import frames_of_span, middle_frame_indices

    first, count = frames_of_span(reader, segment.span_s)
    check_segment(segment.span_s, reader.duration_s, reader.fps)
    return middle_frame_indices(count, num_frames, first)


def only_texts(questions: list[str], for_pictures: Sequence[str]) -> tuple[list[Reply], list[int]]:
    """An error for each question, and the places of those that hold no word for pictures and need none."""
    words = " or ".join(for_pictures)
    errors: list[Reply] = [
        ValueError(f"the question holds {words}, which stand for pictures in a prompt") for _ in questions
    ]
    fine = [i for i, question in enumerate(questions) if not any(word in question for word in for_pictures)]
    return errors, fine
