"""One visitor's video: read once, then shown, asked about and described with whatever settings."""

import shutil
import tempfile
import threading
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from transformers import TextIteratorStreamer

from ..analysis_holmes_vau import Analysis
from ..levels_holmes_vau import CONTEXT
from ..pipeline_holmes_vau import DEFAULT_PROMPT, analyze_session
from ..report.events import list_events
from ..report.frames import shown_frames
from ..report.page import build_view
from ..report.words import format_span
from ..report.write import write_report
from ..session_holmes_vau import VideoChat, VideoSession
from .limits import Limits, open_within


WHOLE = "The whole video"


@dataclass(frozen=True)
class Settings:
    """
    How a video is read and which frames are shown. `None` is the checkpoint's.

    Args:
        num_frames (`int`, *optional*), stride (`int`, *optional*), sampler (`str`, *optional*): Frames that the
            language model sees, distance between scored ones, and how they are chosen.
        threshold (`float`, *optional*): Score that makes an event.
    """

    num_frames: int | None = None
    stride: int | None = None
    sampler: str | None = None
    threshold: float | None = None


class Viewing:
    """
    A video that somebody looks at, with what was found in it and the conversations about it.

    Args:
        path (`str`): The file.
        model (`HolmesVAUForConditionalGeneration`), processor (`HolmesVAUProcessor`): The checkpoint.
        model_name (`str`): What an analysis calls it.
        settings ([`Settings`]), limits ([`Limits`]): How it is read, and what is refused.
        on_progress (`Callable[[int, int], None]`, *optional*): Called with frames done and frames in all.

    Raises:
        `ValueError`: one line, if it is refused or cannot be read.
    """

    def __init__(
        self,
        path: str,
        model,
        processor,
        model_name: str,
        settings: Settings,
        limits: Limits,
        on_progress: Callable[[int, int], None] | None = None,
    ):
        self.path, self.name, self.model_name, self.settings = path, Path(path).name, model_name, settings
        self.session = VideoSession(
            open_within(path, limits, processor.video_backend),
            model,
            processor,
            settings.num_frames,
            settings.stride,
            sampler=settings.sampler,
            event_threshold=settings.threshold,
            on_progress=on_progress,
        )
        self.analysis = self._outline()
        self._chats: dict[str, VideoChat] = {}
        self._folder: str | None = None

    def _outline(self) -> Analysis:
        """Scores and events with the chosen frames, and of what was said before what is about the same spans."""
        analysis = self.session.analysis(self.session.encoded(), DEFAULT_PROMPT, "", 0.0)
        return self._named(analysis)

    def _named(self, analysis: Analysis) -> Analysis:
        return replace(analysis, video=self.name, model=self.model_name)

    def change(self, settings: Settings) -> None:
        """Choose frames and events anew, by the scores that are there; the stride stays what the video was read with.
        What was said of an event stays with it while it has the same span.

        Raises:
            `ValueError`: if the settings do not fit; what was there stays.
        """
        settings = replace(settings, stride=self.settings.stride)
        self.session.choose_again(settings.num_frames, settings.sampler, event_threshold=settings.threshold)
        self.settings, before = settings, self.analysis
        self.analysis = replace(self._outline(), annotation=before.annotation)
        self._chats.clear()

    def describe(
        self,
        prompts: Sequence[str] = (DEFAULT_PROMPT,),
        levels: Sequence[str] = ("video", "event"),
        on_answer: Callable[[int, int], None] | None = None,
    ) -> Analysis:
        """Ask about the video, and describe it at these levels: see `analyze_video`."""
        self.analysis = self._named(analyze_session(self.session, list(prompts), levels, on_answer))
        return self.analysis

    # ---- shown ------------------------------------------------------------------------------------------------------

    def _frames(self) -> list:
        analysis, reader = self.analysis, self.session.reader
        events = list_events(analysis)
        spans = [(clip["start_s"], clip["end_s"]) for event in events for clip in event.clips]
        spans += [(event.start_s, event.end_s) for event in events if not event.clips]
        return shown_frames(analysis, reader.read(analysis.sampled_frame_indices), spans, reader.frames)

    def view(self) -> tuple[str, str]:
        """What was found, as HTML: the curve; words and frames. What the page says of the model is not repeated."""
        known = self.session.model.config.warning or ""
        rest = (self.analysis.warning or "").removeprefix(known).lstrip(" |")
        shown = replace(self.analysis, warning=rest or None)
        return build_view(shown, list_events(self.analysis), self._frames())

    def files(self) -> tuple[Path, Path]:
        """The report with all its files in one archive, and the analysis alone. They are there until `close`."""
        if self._folder is None:
            self._folder = tempfile.mkdtemp(prefix="holmes-vau-")
        stem, folder = Path(self.name).stem, Path(self._folder)
        reader = self.session.reader
        written = write_report(
            self.analysis,
            reader.read(self.analysis.sampled_frame_indices),
            folder / "report",
            self.name,
            reader.frames,
        )
        archive = folder / f"{stem}_report.zip"
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
            for path in written.values():
                file.write(path, f"{stem}_report/{path.name}")
        return archive, Path(shutil.copy(written["analysis"], folder / f"{stem}_analysis.json"))

    def close(self) -> None:
        """Delete what was written."""
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    # ---- conversations ----------------------------------------------------------------------------------------------

    @property
    def parts(self) -> list[str]:
        """What can be talked about: the whole, and each event."""
        events = enumerate(self.analysis.events, start=1)
        return [WHOLE, *(f"Event {n}: {format_span(event['start_s'], event['end_s'])}" for n, event in events)]

    def chat(self, part: str) -> VideoChat:
        """The conversation about a part.

        Raises:
            `ValueError`: if there is no such part.
        """
        if part not in self.parts:
            raise ValueError(f"{part!r} is no part of this video; there are {', '.join(self.parts)}.")
        if part not in self._chats:
            number = self.parts.index(part)
            event = self.analysis.events[number - 1] if number else None
            span_s = event and (event["start_s"], event["end_s"])
            self._chats[part] = self.session.chat(span_s, CONTEXT if event else 0.0)
        return self._chats[part]

    def ask(self, question: str, part: str) -> Iterator[str]:
        """The answer as it grows; the conversation so far about this part is known.

        Raises:
            `ValueError`: for a question that is empty or holds what stands for pictures.
        """
        if not question.strip():
            raise ValueError("The question is empty: write one.")
        chat = self.chat(part)
        streamer = TextIteratorStreamer(self.session.processor.tokenizer, skip_prompt=True, skip_special_tokens=True)
        failed: list[Exception] = []

        def answer() -> None:
            try:
                chat.ask(question.strip(), streamer=streamer)
            except Exception as error:  # told where the answer is read
                failed.append(error)
                streamer.end()

        thread = threading.Thread(target=answer)
        thread.start()
        said = ""
        for words in streamer:
            said += words
            yield said.strip()
        thread.join()
        if failed:
            raise failed[0]
        yield chat.turns[-1][1]
