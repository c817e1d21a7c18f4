"""The prompts of the engine, word for word those of the paper's appendix A.2, in files that can be replaced."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..schema import AnnotationError


FOLDER = Path(__file__).parent / "prompts"
# The words that each file must hold, in braces.
PLACES = {
    "caption": (),
    "event": ("clip captions", "abnormal events"),
    "video": ("event summaries", "abnormal events"),
    "abnormal": ("video-level label",),
    "normal": (),
}


@dataclass(frozen=True)
class Prompts:
    """
    The prompts of a run.

    The paper writes "There are (is no) abnormal events ({video-level label}) in the video." for both kinds. Read
    here as "There are abnormal events (Arson) in the video." and "There is no abnormal events in the video.": a
    normal video has no label to name, and the grammar of the second is the paper's.

    Captions and summaries are joined by spaces; the full stop of the last is the prompt's own.
    """

    caption: str
    event_text: str
    video_text: str
    abnormal: str
    normal: str

    @classmethod
    def read(cls, folder: Path | None = None) -> "Prompts":
        """The prompts of a folder with `caption.txt`, `event.txt`, `video.txt`, `abnormal.txt` and `normal.txt`;
        those that are missing there are the paper's.

        Raises:
            `AnnotationError`: if one lacks the place of what is to be filled in.
        """
        if folder is not None and not folder.is_dir():
            raise AnnotationError(
                f"--prompts {folder}: no such folder; expected some of {', '.join(PLACES)}, each .txt"
            )
        texts = {}
        for name, places in PLACES.items():
            own = folder / f"{name}.txt" if folder is not None else None
            path = own if own is not None and own.is_file() else FOLDER / f"{name}.txt"
            text = texts[name] = path.read_text(encoding="utf-8").strip()
            if lacking := [place for place in places if f"{{{place}}}" not in text]:
                raise AnnotationError(f"{path}: lacks {{{lacking[0]}}}, where that is filled in")
        return cls(texts["caption"], texts["event"], texts["video"], texts["abnormal"], texts["normal"])

    def event(self, captions: Sequence[str], labels: Sequence[str]) -> str:
        """What is asked about an event.

        Example:

        >>> Prompts.read().event(["A bin burns.", "People run."], ["Arson"])[:98]
        'The dense caption of the video is: A bin burns. People run. There are abnormal events (Arson) in t'
        """
        return self._fill(self.event_text, "clip captions", captions, labels)

    def video(self, summaries: Sequence[str], labels: Sequence[str]) -> str:
        """What is asked about a video, from the summaries of its events."""
        return self._fill(self.video_text, "event summaries", summaries, labels)

    def _fill(self, prompt: str, place: str, texts: Sequence[str], labels: Sequence[str]) -> str:
        kind = self.abnormal.replace("{video-level label}", ", ".join(labels)) if labels else self.normal
        joined = " ".join(" ".join(text.split()) for text in texts).rstrip(".")
        return prompt.replace("{abnormal events}", kind).replace(f"{{{place}}}", joined)
