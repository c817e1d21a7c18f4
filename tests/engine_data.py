"""Work folders of the engine for tests: videos that were taken apart, without files where none is read."""

from pathlib import Path

from hivau70k_dataset.engine.work import Collection, Work, WorkClip, WorkEvent, WorkVideo, video_to_json


def work_video(number: int, labels: tuple[str, ...] = (), captions: bool = True, events: int = 2) -> WorkVideo:
    """A video of 40 s with events of 12 s, each of two clips, with captions of their own if asked for."""
    name = f"{labels[0] if labels else 'Normal'}{number}"

    def clip(event: int, place: int) -> WorkClip:
        start_s = 20.0 * event + 6.0 * place
        said = f"Person {number} does thing {2 * event + place}." if captions else None
        return WorkClip(start_s, start_s + 6.0, said)

    made = tuple(
        WorkEvent(f"e{i}", 20.0 * i, 20.0 * i + 12.0, labels, "given", (clip(i, 0), clip(i, 1))) for i in range(events)
    )
    return WorkVideo(name, f"{name}.mp4", f"digest{number}", 1000, 25.0, labels, made)


def work_folder(root: Path, videos: list[WorkVideo], folder: Path | None = None) -> Work:
    """A work folder that holds these videos."""
    work = Work(root)
    work.begin(Collection(str(folder or root), "mine", "train"))
    work.decoupled.append(*map(video_to_json, videos))
    return work
