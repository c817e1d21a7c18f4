"""Annotations that other tools wrote mean here what they mean there; what is broken gives one clear line."""

import json
from dataclasses import replace

import pytest

from hivau70k_dataset.engine.formats import read_format, write_format
from hivau70k_dataset.schema import AnnotationError, Clip, Event, SummaryParts
from tests.annotations import write_json
from tests.formats import HAND_MADE, OWN, fiftyone, of_id, region, spans, task, write_videos, written
from tests.videos import write_video


@pytest.fixture
def videos(tmp_path):
    return write_videos(tmp_path / "videos")


# ---- foreign files --------------------------------------------------------------------------------------------------


def test_tasks_that_people_made_in_label_studio(tmp_path, videos):
    old = ([region(1, 50, "Wrong")], {"updated_at": "2025-03-01T08:00:00.000000Z"})
    skipped = ([], {"was_cancelled": True, "updated_at": "2025-03-09T08:00:00.000000Z"})
    new = ([region(31, 45, OWN, name="b"), region(6, 6, "Intruder", name="a")], {})
    tasks = [
        task("/data/upload/3/1a2b3c4d-monday.mp4", new, old, skipped, predictions=[{"result": [region(1, 9, "No")]}]),
        task("s3://bucket/cams/v_tuesday.mp4", ([region(0, 10, "Normal")], {})),
        task("https://host/nobody.mp4"),
    ]
    monday, tuesday = read_format(write_json(tmp_path / "project-3.json", tasks), videos=videos, split="test")
    assert (monday.video, monday.n_frames, monday.fps) == ("monday", 50, 10.0)
    assert spans(monday) == [(0.5, 0.6), (3.0, 4.5)]
    assert [event.summary for event in monday.events] == ["Intruder", OWN] and monday.labels == ("Intruder", OWN)
    assert (monday.source, monday.split, monday.summary) == ("mine", "test", "no description")
    assert monday.events[0].clips == () and monday.parts is None
    assert (tuesday.labels, spans(tuesday), tuesday.events[0].summary) == ((), [(0.0, 1.0)], "Normal")


@pytest.mark.parametrize(
    "written",
    [
        "monday.mp4",
        "/data/local-files/?d=cams/gate/monday.mp4",
        "http://localhost:8080/data/local-files/?d=a%20b/monday.mp4",
        "https://host/videos/monday.mp4?X-Amz-Signature=a.b#t=1",
        "s3://bucket/gate/monday.mp4",
        "gs://bucket/monday.mp4",
        "C:\\cams\\gate\\monday.mp4",
        "/mnt/disk/monday.mp4",
        "/data/upload/12/0f9e8d7c-monday.mp4",
    ],
)
def test_videos_as_label_studio_names_them(tmp_path, videos, written):
    path = write_json(tmp_path / "tasks.json", [task(written, ([region(1, 10, OWN)], {}))])
    (found,) = read_format(path, videos=videos)
    assert found.video == "monday" and spans(found) == [(0.0, 1.0)]


def test_a_project_of_normal_videos(tmp_path, videos):
    path = write_json(tmp_path / "tasks.json", [task("monday.mp4", ([], {})), task("v_tuesday.mp4", ([], {}))])
    assert [(found.labels, found.events) for found in read_format(path, videos=videos)] == [((), ()), ((), ())]


def test_an_upload_may_really_have_such_a_name(tmp_path, videos):
    write_video(videos / "0f9e8d7c-monday.mp4", num_frames=20, rate=10)
    path = write_json(tmp_path / "tasks.json", task("/data/upload/1/0f9e8d7c-monday.mp4", ([region(1, 10, OWN)], {})))
    assert read_format(path, videos=videos)[0].video == "0f9e8d7c-monday"


def test_new_videos_in_our_labelling_setup(tmp_path, videos):
    """Texts count where no annotation of ours was before; a video without spans is normal."""

    def text(control, line, name="e"):
        return {"id": name, "type": "textarea", "from_name": control, "to_name": "video", "value": {"text": [line]}}

    clip = {**region(12, 20, "(clip)", name="c"), "from_name": "levels", "parentID": "e"}
    results = [region(11, 30, OWN, name="e"), text("event_summary", "A fire."), text("event_judgement", "Fire."), clip]
    results += [text("clip_caption", "Smoke.", "c"), text("video_summary", "A bad day.", "v")]
    tasks = [task("monday.mp4", (results, {})), task("v_tuesday.mp4", ([], {}))]
    tasks[0]["data"]["fps"] = 20  # what the project counts frames by; the video has 10 a second
    monday, tuesday = read_format(write_json(tmp_path / "tasks.json", tasks), videos=videos)
    assert monday.events == (Event(0.5, 1.5, (Clip(11 / 20, 1.0, "Smoke."),), "A fire.", SummaryParts("Fire.")),)
    assert (monday.summary, monday.fps, tuesday.events, tuesday.labels) == ("A bad day.", 10.0, (), ())


def test_a_span_of_two_labels_and_one_of_two_ranges(tmp_path, videos):
    two = region(1, 10, OWN, "Normal", "Smoke", name="a")
    twice = region(21, 30, OWN, name="b")
    twice["value"]["ranges"].append({"start": 41.0, "end": 50, "enabled": True})
    path = write_json(tmp_path / "tasks.json", [task("monday.mp4", ([two, twice], {}))])
    (found,) = read_format(path, videos=videos)
    assert [event.summary for event in found.events] == ["Fire, Smoke", OWN, OWN] and found.labels == (OWN, "Smoke")
    assert spans(found) == [(0.0, 1.0), (2.0, 3.0), (4.0, 5.0)]


def test_an_export_of_fiftyone(tmp_path, videos):
    whole = fiftyone(
        monday=[
            {"label": 0, "support": [31, 45], "confidence": 0.9, "attributes": {"weather": "rain"}},
            {"label": "Smoke", "timestamps": [0.25, 1.5]},
        ],
        v_tuesday=[{"label": 1, "support": [1, 30]}],
        wednesday=None,
    )
    folder = tmp_path / "export"
    (videos / "gate" / "monday.mp4").rename(videos / "monday.mp4")
    path = write_json(folder / "labels.json", whole)
    videos.rename(folder / "data")
    monday, tuesday = read_format(folder)
    assert read_format(path, "fiftyone") == [monday, tuesday]
    assert spans(monday) == [(0.25, 1.5), (3.0, 4.5)] and monday.labels == ("Smoke", "Fire")
    assert [event.summary for event in monday.events] == ["Smoke", "Fire"]
    assert (tuesday.labels, tuesday.n_frames, spans(tuesday)) == ((), 30, [(0.0, 3.0)])


def test_a_database_as_others_write_it(tmp_path, videos, caplog):
    def entry(subset, *segments):
        found = [{"segment": [*times], "label": label} for *times, label in segments]
        url = "https://www.youtube.com/watch?v=x"
        return {"duration": 5.0, "subset": subset, "resolution": "320x240", "url": url, "annotations": found}

    database = {
        "monday": entry("training", (3, 5.4, "Fire"), (0.5, 1.25, "Smoke")),
        "tuesday": entry("validation"),
        "unseen": entry("testing"),
    }
    path = write_json(tmp_path / "anet.json", {"version": "VERSION 1.3", "taxonomy": [], "database": database})
    monday, tuesday = read_format(path, videos=videos, source="anet")
    assert spans(monday) == [(0.5, 1.25), (3.0, 5.0)] and monday.labels == ("Smoke", "Fire")  # cut at its end
    assert (monday.split, tuesday.split, tuesday.source) == ("train", "validation", "anet")
    assert (tuesday.video, tuesday.labels, tuesday.n_frames) == ("v_tuesday", (), 30)
    assert "no segments in all 1 videos of `testing`: withheld" in caplog.text


# ---- what is broken -------------------------------------------------------------------------------------------------


def labelled(change=None, **fields):
    """One task, its first region changed."""
    first = region(1, 10, OWN)
    if change:
        change(first)
    return [task("monday.mp4", ([first], {}), **fields)]


def put(*keys, to):
    def apply(whole):
        for key in keys[:-1]:
            whole = whole[key]
        whole[keys[-1]] = to

    return apply


def net(annotations, **fields):
    return {"database": {"monday": {"subset": "training", "annotations": annotations, **fields}}}


BROKEN = {
    "none of them": ([1, 2], "got a list of 1, 2, expected one of the formats hivau, label-studio"),
    "other JSON": ({"a": 1}, "got a dict of 'a', expected one of the formats"),
    "nothing": ([], r"got a \[\], expected one of the formats"),
    "tasks without data": ([{"annotations": []}], "task 0: `data`: got None, expected a task of Label Studio"),
    "JSON-MIN": ([{"video": "a.mp4", "l": [{"timelinelabels": ["Fire"]}]}], "Export as JSON, not as JSON-MIN"),
    "tasks of nobody": ([task("monday.mp4")], "no annotations stand in it. Expected at least one video"),
    "no video": (labelled(data={"x": "y"}), "task 0: `data`: `video`: got None, expected the path or URL"),
    "a result that is none": (labelled(annotations=[{"result": [3]}]), r"`result\[0\]`: got 3, expected an object"),
    "no result": (labelled(annotations=[{}]), r"`annotations\[0\]`: `result`: got None, expected a list"),
    "no timeline": (
        labelled(put("type", to="videorectangle")),
        "got results of the type videorectangle, expected `timelinelabels`",
    ),
    "no label": (
        labelled(put("value", "timelinelabels", to=[])),
        r"`result\[0\]`: `timelinelabels`: got \[\], expected",
    ),
    "no value": (labelled(put("value", to=None)), r"`result\[0\]`: `value`: got None, expected an object"),
    "backwards": (
        labelled(put("value", "ranges", 0, "end", to=0)),
        r"`ranges\[0\]`: `frames end`: got 0, expected a whole",
    ),
    "a frame in words": (
        labelled(put("value", "ranges", 0, "start", to="1")),
        "`frames start`: got '1', expected a whole",
    ),
    "past the end": (
        labelled(put("value", "ranges", 0, "end", to=500)),
        "got '0.000 to 50.000 s', expected a span within",
    ),
    "a rate in words": (
        labelled(data={"video": "monday.mp4", "fps": "x"}),
        "`data`: `fps`: got 'x', expected a finite",
    ),
    "no such video": (labelled(data={"video": "friday.mp4"}), "task 0, video 'friday.mp4': friday is not under"),
    "detections of no class": (
        fiftyone(monday=[{"label": 7, "support": [1, 2]}]),
        r"video 'monday': `labels\[0\]`: `label`: got 7",
    ),
    "no support": (
        fiftyone(monday=[{"label": 0}]),
        r"`labels\[0\]`: `support`: got None, expected a first and a last",
    ),
    "support of three": (
        fiftyone(monday=[{"label": 0, "support": [1, 2, 3]}]),
        r"`support`: got \[1, 2, 3\], expected a pair",
    ),
    "support backwards": (
        fiftyone(monday=[{"label": 0, "support": [9, 2]}]),
        "`support end`: got 2, expected a whole",
    ),
    "times backwards": (
        fiftyone(monday=[{"label": 0, "timestamps": [2, 1]}]),
        r"`timestamps`: got \[2, 1\], expected 0 <=",
    ),
    "labels as text": (fiftyone(monday="Fire"), "video 'monday': `labels`: got 'Fire', expected a list"),
    "no segment": (
        net([{"label": "Fire"}]),
        r"video 'monday': `annotations\[0\]`: `segment`: got None, expected a pair",
    ),
    "segment backwards": (
        net([{"label": "Fire", "segment": [4, 3]}]),
        r"`segment`: got \[4, 3\], expected 0 <= start < end",
    ),
    "segment past the end": (net([{"label": "Fire", "segment": [4, 30]}]), "got '4.000 to 30.000 s', expected a span"),
    "segment without label": (net([{"segment": [1, 2]}]), r"`annotations\[0\]`: `label`: got None, expected a text"),
    "a subset of its own": (
        net([], subset="holdout"),
        "`subset`: got 'holdout', expected one of training, validation",
    ),
    "a raw annotation": ({"monday": {"n_frames": 3, "events": []}}, "video 'monday': `clips` is missing"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_broken_gives_one_clear_line(tmp_path, videos, name):
    whole, expected = BROKEN[name]
    path = write_json(tmp_path / "mine_train.json", whole)
    with pytest.raises(AnnotationError, match=expected) as raised:
        read_format(path, videos=videos)
    assert str(raised.value).startswith(f"{path}: ") and "\n" not in str(raised.value)


BROKEN_OF_OURS = {
    "label-studio": {
        "no frames": (
            put(0, "data", "holmes_vau", "n_frames", to=0),
            "task 0: `data`: `holmes_vau`: `n_frames`: got 0",
        ),
        "kept as text": (put(0, "data", "holmes_vau", to="x"), "`data`: `holmes_vau`: got 'x', expected an object"),
        "no source": (
            lambda whole: whole[0]["data"]["holmes_vau"].pop("source"),
            "video 'abnormal': `source` is missing",
        ),
        "no caption": (
            lambda whole: whole[0]["annotations"][0]["result"].remove(
                of_id(whole[0]["annotations"][0]["result"], "event-0-clip-0", "clip_caption")
            ),
            r"`result\[\d+\]`: `clip_caption`: got None, expected a caption. Write what the clip shows, or delete it",
        ),
        "no judgement": (
            lambda whole: whole[0]["annotations"][0]["result"].remove(
                of_id(whole[0]["annotations"][0]["result"], "event-0", "event_judgement")
            ),
            "`event_judgement`: got None, expected a text where a description or an analysis is written",
        ),
        "a clip of no event": (
            lambda whole: of_id(whole[0]["annotations"][0]["result"], "event-0-clip-0").update(
                parentID="gone", value={"ranges": [{"start": 700, "end": 710}], "timelinelabels": ["(clip)"]}
            ),
            r"`ranges`: got \[700, 710\], expected a clip within an event",
        ),
        "twice": (lambda whole: whole.append(whole[0]), "video 'abnormal' stands there twice. Keep one"),
    },
    "fiftyone": {
        "no rate": (put("holmes_vau", "abnormal", "fps", to=0), "video 'abnormal': `holmes_vau`: `fps`: got 0.0"),
        "clips as text": (
            put("labels", "abnormal", 0, "attributes", "clips", to="x"),
            r"`events\[0\]`: `clips`: got 'x'",
        ),
        "kept time in words": (
            put("labels", "abnormal", 0, "attributes", "start_s", to="x"),
            r"`labels\[0\]`: `attributes`: `start_s, end_s start`: got 'x', expected a finite number",
        ),
    },
    "activitynet": {
        "a split of its own": (
            put("database", "abnormal", "holmes_vau", "split", to="x"),
            "video 'abnormal': `split`: got 'x', expected one of train",
        ),
        "summary of number": (
            put("database", "abnormal", "annotations", 0, "holmes_vau", "summary", to=3),
            r"`events\[0\]`: `summary`: got 3, expected a text",
        ),
    },
}


@pytest.mark.parametrize(("name", "case"), [(name, case) for name, cases in BROKEN_OF_OURS.items() for case in cases])
def test_what_was_broken_of_ours_gives_one_clear_line(tmp_path, name, case):
    change, expected = BROKEN_OF_OURS[name][case]
    path = written(tmp_path, name)
    whole = json.loads(path.read_text(encoding="utf-8"))
    change(whole)
    write_json(path, whole)
    with pytest.raises(AnnotationError, match=expected) as raised:
        read_format(path)
    assert str(raised.value).startswith(f"{path}: ") and "\n" not in str(raised.value)


@pytest.mark.parametrize("whole", [labelled(), fiftyone(monday=[]), net([])])
def test_without_videos_nothing_tells_the_frames(tmp_path, whole):
    path = write_json(tmp_path / "some.json", whole)
    with pytest.raises(
        AnnotationError, match="monday.*: the file does not tell its frames and their rate. Pass the folder"
    ):
        read_format(path)


def test_files_that_are_no_json(tmp_path):
    path = tmp_path / "some.json"
    for text, expected in (
        ("{", "not JSON"),
        ("", "the file is empty"),
        ('{"database": {"a": {}, "a": {}}}', "stands there twice"),
    ):
        path.write_text(text, encoding="utf-8")
        with pytest.raises(AnnotationError, match=expected):
            read_format(path)
    with pytest.raises(AnnotationError, match="labels.json: can't be read"):
        read_format(tmp_path)
    with pytest.raises(AnnotationError, match="got list, expected an object"):
        path.write_text("[]", encoding="utf-8")
        read_format(path, "fiftyone")
    rows = [
        {
            "id": 1,
            "type": "event",
            "task": "judgement",
            "video": "a/events/train/b_E0.mp4",
            "prompt": "?",
            "anwser": "!",
        }
    ]
    with pytest.raises(AnnotationError, match="id '1': got an instruction row, expected annotations"):
        read_format(write_json(path, rows), "hivau")


def test_what_cannot_be_written(tmp_path):
    first = HAND_MADE[0]
    for annotations, name, output, expected in (
        (
            [first],
            "hivau",
            "some.json",
            "its name has to tell the source and the split .* Name it mine_database_train.json",
        ),
        ([first], "hivau", "mine_test.json", "its name has to tell"),
        (
            [first, replace(HAND_MADE[1], split="test")],
            "hivau",
            "mine_train.json",
            "got annotations of mine/test, mine/train",
        ),
        ([], "fiftyone", "labels.json", "got no annotations"),
        ([first, first], "label-studio", "a.json", "video 'abnormal' stands there twice. Keep one"),
        (
            [replace(first, labels=("normal video",))],
            "fiftyone",
            "a.json",
            "got the classes normal video, expected those",
        ),
        (
            [replace(first, labels=("(clip)",))],
            "label-studio",
            "a.json",
            "is the label of clips here. Rename the class",
        ),
        (
            [replace(first, summary="")],
            "activitynet",
            "a.json",
            "video 'abnormal': `summary`: got '', expected a text",
        ),
        ([replace(first, split="all")], "activitynet", "a.json", "`split`: got 'all', expected one of train"),
    ):
        with pytest.raises(AnnotationError, match=expected):
            write_format(annotations, name, tmp_path / output)
    with pytest.raises(ValueError, match="got the ending '.csv', expected .json"):
        write_format([first], "fiftyone", tmp_path / "a.csv")
    for call in (lambda: write_format([first], "coco", tmp_path / "a.json"), lambda: read_format(tmp_path, "coco")):
        with pytest.raises(ValueError, match="got the format 'coco', expected one of hivau, label-studio"):
            call()
    with pytest.raises(ValueError, match="got the split 'all', expected one of train"):
        read_format(tmp_path, split="all")
    assert not list(tmp_path.iterdir())
