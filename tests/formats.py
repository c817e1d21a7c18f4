"""Annotations and files of other tools, for the tests of formats."""

from pathlib import Path

from hivau70k_dataset.engine.formats import FORMATS, write_format
from hivau70k_dataset.schema import Clip, Event, SummaryParts, VideoAnnotation
from tests.videos import write_video


FILES = {name: f"{name}.json" for name in FORMATS} | {"hivau": "mine_database_train.json"}
JUDGED = SummaryParts("An anomaly exists, specifically an Arson anomaly.", "A bin burns.", "It endangers people.")
HAND_MADE = (
    VideoAnnotation(
        "abnormal",
        "mine",
        "train",
        900,
        30.0,
        ("Arson",),
        (
            Event(2.0, 9.0, (Clip(2.0, 4.0, "A man walks."), Clip(4.5, 9.0, "It burns.")), "A bin burns.", JUDGED),
            Event(12.0, 20.5, (), "Arson"),  # as from a table of spans
        ),
        "An anomaly exists. A bin burns.",
        JUDGED,
    ),
    VideoAnnotation(
        "normal",
        "mine",
        "train",
        250,
        25.0,
        (),
        (Event(1.0, 6.0, (Clip(1.0, 6.0, "People wait."),), "Nothing.", SummaryParts("No anomaly exists.")),),
        "No anomaly exists.",
        SummaryParts("No anomaly exists.", "People wait."),
    ),
    VideoAnnotation(
        "v=2rfyeR-YaJw__#1_label_B2-B4-0 é ü 監視 & <b> 100%?",
        "mine",
        "train",
        1798,
        29.97,
        ("Shooting", "Riot"),
        (  # not in order of time, borders between frames, past the end by less than a frame, shorter than a frame
            Event(
                30.0171,
                59.999,
                (),
                'The anomaly is "Riot".\nA crowd runs.',
                SummaryParts("A Riot.", None, "It’s loud."),
            ),
            Event(0.001, 7.3333333333, (Clip(0.001, 1 / 3, "Un \u2028coup."), Clip(5.58, 7.1, "Fin.")), "Shots."),
            Event(10.101, 10.102, (), "Shooting"),
        ),
        "A crowd runs.",
        None,
        ((900, 1799), (0, 220), (303, 304)),
    ),
    VideoAnnotation("no events", "mine", "train", 1, 0.5, (), (), "no description"),
    VideoAnnotation(
        "abnormal, no events.mp4", "mine", "train", 100, 24.0, ("Fire in the hall",), (), "Fire.", None, ()
    ),
)
OWN = "Fire"


def write_videos(folder: Path) -> Path:
    """Two videos of 10 frames per second: `monday`, of 5 s, in a folder of its own, and `v_tuesday`, of 3 s."""
    (folder / "gate").mkdir(parents=True)
    write_video(folder / "gate" / "monday.mp4", num_frames=50, rate=10)
    write_video(folder / "v_tuesday.mp4", num_frames=30, rate=10)
    return folder


def spans(annotation):
    return [(round(event.start_s, 6), round(event.end_s, 6)) for event in annotation.events]


def written(tmp_path, name, annotations=HAND_MADE):
    return write_format(annotations, name, tmp_path / FILES[name])


def region(start, end, *labels, name="Zp4"):
    value = {"ranges": [{"start": start, "end": end}], "labels": [*labels], "timelinelabels": [*labels]}
    tags = {"from_name": "videoLabels", "to_name": "video", "type": "timelinelabels", "origin": "manual"}
    return {"value": value, "id": name, **tags}


def task(video, *annotations, **more):
    """A task as Label Studio exports it."""
    done = []
    for i, (results, fields) in enumerate(annotations):
        entry = {"id": 40 + i, "completed_by": 1, "result": results, "was_cancelled": False, "ground_truth": False}
        entry |= {"created_at": "2025-03-01T10:00:00.000000Z", "updated_at": "2025-03-01T10:00:00.000000Z"}
        done.append({**entry, "lead_time": 33.2, "prediction": {}, "task": 7, "parent_annotation": None, **fields})
    entry = {"id": 7, "annotations": done, "file_upload": "x.mp4", "drafts": [], "predictions": [], "meta": {}}
    entry |= {"data": {"video": video}, "created_at": "2025-03-01T09:00:00.000000Z", "inner_id": 1, "project": 3}
    return {**entry, "total_annotations": len(done), "comment_authors": [], **more}


def fiftyone(**labels):
    return {"classes": ["Fire", "normal"], "labels": labels}


def of_id(results, name, kind="timelinelabels"):
    """The result of this name that is of this type, or of this text area."""
    return next(result for result in results if result["id"] == name and kind in (result["type"], result["from_name"]))
