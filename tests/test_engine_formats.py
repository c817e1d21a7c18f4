"""Annotations in the formats of other tools come back as they were, and as somebody changed them there."""

import json
from dataclasses import replace
from xml.etree import ElementTree

import pytest

from hivau70k_dataset.engine.formats import FORMATS, common, guess_format, hivau, read_format, write_format
from hivau70k_dataset.engine.formats.label_studio import labelling_setup
from hivau70k_dataset.reading import read_annotation_file
from hivau70k_dataset.schema import AnnotationError, Clip, Event, SummaryParts, VideoAnnotation
from tests.annotations import raw_annotations, write_json
from tests.formats import HAND_MADE, JUDGED, of_id, spans, write_videos, written


# ---- there and back -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("is_named", [True, False])
def test_what_is_written_reads_back(tmp_path, name, is_named):
    path = written(tmp_path, name)
    assert read_format(path, name if is_named else None) == list(HAND_MADE)
    assert {found.name for found in tmp_path.iterdir()} <= {path.name, "label-studio.xml"}


@pytest.mark.parametrize("name", FORMATS)
def test_the_release_reads_back(tmp_path, released, name):
    path = released / "raw_annotations" / "ucf_database_test.json"
    annotations = read_annotation_file(path)
    output = write_format(annotations, name, tmp_path / path.name)
    assert len(annotations) == 251 and read_format(output) == annotations
    if name == "hivau":
        assert json.loads(output.read_text(encoding="utf-8")) == json.loads(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", ["label-studio", "fiftyone", "activitynet"])
def test_sources_and_splits_are_kept(tmp_path, name):
    annotations = [
        replace(entry, split=("test", "validation")[i % 2], source=f"s{i}") for i, entry in enumerate(HAND_MADE)
    ]
    assert read_format(written(tmp_path, name, annotations), source="x", split="train") == annotations


def test_the_papers_spelling(tmp_path):
    output = tmp_path / "mine_train.json"
    hivau.write(HAND_MADE, output, spelling="paper")
    record = json.loads(output.read_text(encoding="utf-8"))[0]
    assert record["video"] == "abnormal" and record["event_summary"] == ["A bin burns.", "Arson"]
    assert record["clip_captions"] == [["A man walks.", "It burns."], []] and "clips_caption" not in record
    assert read_format(output) == list(HAND_MADE)
    with pytest.raises(ValueError, match="got the spelling 'mine', expected one of released, paper"):
        hivau.write(HAND_MADE, output, spelling="mine")


def test_the_raw_form_is_told_from_the_others(tmp_path):
    path = write_json(tmp_path / "ucf_database_test.json", raw_annotations())
    assert guess_format(raw_annotations(), path) == "hivau"
    assert read_format(path) == read_annotation_file(path)
    other = write_json(tmp_path / "some.json", raw_annotations())
    assert read_format(other, split="test") == read_annotation_file(path)


def test_a_video_may_be_of_two_sources_in_label_studio(tmp_path):
    both = [HAND_MADE[0], replace(HAND_MADE[0], source="yours")]
    assert read_format(written(tmp_path, "label-studio", both)) == both
    for name in ("fiftyone", "activitynet"):
        with pytest.raises(AnnotationError, match="video 'abnormal' stands there twice. Write a file for each source"):
            written(tmp_path, name, both)


# ---- what tools see of ours -----------------------------------------------------------------------------------------


def test_classes_of_events():
    two, odd = HAND_MADE[0], HAND_MADE[2]
    assert [common.class_of(event, two.labels) for event in two.events] == ["Arson", "Arson"]
    assert [common.class_of(event, odd.labels) for event in odd.events] == ["Riot", "Shooting", "Shooting"]
    assert common.class_of(HAND_MADE[1].events[0], ()) == "Normal"


def test_frames_are_counted_from_1_and_inclusive():
    assert common.frames_of((33.333, 59.867), 30.0, 2000) == (1001, 1796)  # frames 1000 to 1795, counted from 0
    assert common.frames_of((0.0, 2.0), 25.0, 50) == (1, 50)
    assert common.seconds_of((1, 50), 25.0, None) == (0.0, 2.0)
    for span_s in ((0.0, 0.04), (0.5, 0.54), (1.001, 1.002), (3.96, 9.0)):
        first, last = common.frames_of(span_s, 25.0, 100)
        assert 1 <= first <= last <= 100 and common.frames_of(
            common.seconds_of((first, last), 25.0, None), 25.0, 100
        ) == (first, last)


def test_tasks_of_label_studio(tmp_path):
    path = written(tmp_path, "label-studio")
    tasks = json.loads(path.read_text(encoding="utf-8"))
    task = tasks[0]
    assert (
        task["data"]["video"] == "/data/local-files/?d=mine/videos/train/abnormal.mp4" and task["data"]["fps"] == 30.0
    )
    results = task["annotations"][0]["result"]
    regions = [result for result in results if result["type"] == "timelinelabels"]
    assert [(region["id"], region.get("parentID")) for region in regions] == [
        ("event-0", None),
        ("event-0-clip-0", "event-0"),
        ("event-0-clip-1", "event-0"),
        ("event-1", None),
    ]
    assert regions[0]["value"] == {"ranges": [{"start": 61, "end": 270}], "timelinelabels": ["Arson"]}
    assert regions[1]["value"]["timelinelabels"] == ["(clip)"] and regions[1]["meta"] == {"start_s": 2.0, "end_s": 4.0}
    texts = {
        (result["id"], result["from_name"]): result["value"]["text"] for result in results if "text" in result["value"]
    }
    assert texts["event-0", "event_analysis"] == ["It endangers people."] and ("event-1", "event_summary") not in texts
    assert texts["event-0-clip-1", "clip_caption"] == ["It burns."]
    assert texts["video-judgement", "video_judgement"] == [JUDGED.judgement]
    assert "%231_label_B2" in tasks[2]["data"]["video"]  # a URL


def test_the_labelling_setup_names_what_the_tasks_use(tmp_path):
    path = written(tmp_path, "label-studio")
    view = ElementTree.parse(path.with_suffix(".xml")).getroot()
    assert view.find("Video").attrib["frameRate"] == "$fps" and view.find("Video").attrib["value"] == "$video"
    assert len(view.findall("TimelineLabels")) == 1  # Label Studio draws on the first alone
    labels = [label.attrib["value"] for label in view.iter("Label")]
    assert labels == ["Arson", "Shooting", "Riot", "Fire in the hall", "Normal", "(clip)"]
    controls = {tag.attrib["name"]: tag for tag in view.iter() if "toName" in tag.attrib}
    for task in json.loads(path.read_text(encoding="utf-8")):
        for result in task["annotations"][0]["result"]:
            control = controls[result["from_name"]]
            assert control.attrib["toName"] == result["to_name"] == view.find("Video").attrib["name"]
            assert control.tag.lower() == result["type"] and set(result["value"].get("timelinelabels", ())) <= set(
                labels
            )
            is_global = result["from_name"].startswith("video_")
            assert is_global == ("perRegion" not in control.attrib) or control.tag == "TimelineLabels"
    assert 'value="A &amp; &lt;B&gt; &quot;C&quot;"' in labelling_setup(['A & <B> "C"'])


def test_labels_of_fiftyone(tmp_path):
    whole = json.loads(written(tmp_path, "fiftyone").read_text(encoding="utf-8"))
    first, second = whole["labels"]["abnormal"]
    assert (whole["classes"][first["label"]], first["support"]) == ("Arson", [61, 270])
    assert first["attributes"]["judgement"] == JUDGED.judgement and first["attributes"]["start_s"] == 2.0
    assert second["attributes"] == {"start_s": 12.0, "end_s": 20.5, "clips": []}
    assert whole["labels"]["no events"] == [] and whole["classes"][whole["labels"]["normal"][0]["label"]] == "Normal"


def test_a_database_of_activitynet(tmp_path):
    whole = json.loads(written(tmp_path, "activitynet").read_text(encoding="utf-8"))
    entry = whole["database"]["abnormal"]
    assert (entry["duration"], entry["subset"]) == (30.0, "training")
    assert [(found["segment"], found["label"]) for found in entry["annotations"]] == [
        ([2.0, 9.0], "Arson"),
        ([12.0, 20.5], "Arson"),
    ]
    nodes = {node["nodeName"]: node for node in whole["taxonomy"]}
    assert nodes["Arson"]["parentName"] == "Root" and nodes["Root"]["parentId"] is None


# ---- edited in a tool -----------------------------------------------------------------------------------------------


def edit(tmp_path, change, annotation=HAND_MADE[0], name="label-studio"):
    """The annotation after somebody changed the results of its task, or the detections of its video."""
    path = written(tmp_path, name, [annotation])
    whole = json.loads(path.read_text(encoding="utf-8"))
    inner = whole[0]["annotations"][0]["result"] if name == "label-studio" else whole["labels"][annotation.video]
    change(inner)
    return read_format(write_json(path, whole))[0]


def test_a_moved_range_counts(tmp_path):
    odd = HAND_MADE[2]

    def move(results):
        of_id(results, "event-1")["value"]["ranges"][0]["end"] = 300

    found = edit(tmp_path, move, odd)
    assert found.events[0].start_s == 0.001 and found.events[0].end_s == 300 / 29.97  # the border that stayed is exact
    assert found.events[0].clips == odd.events[1].clips and found.events[0].summary == "Shots."
    assert found.events[1:] == (odd.events[2], odd.events[0])  # now in order of time
    assert found.event_frames is None and (found.labels, found.summary) == (odd.labels, odd.summary)


def test_a_moved_clip_counts(tmp_path):
    def move(results):
        of_id(results, "event-0-clip-0")["value"]["ranges"][0].update(start=241, end=256)

    found = edit(tmp_path, move)
    assert found.events[0].clips == (Clip(4.5, 9.0, "It burns."), Clip(8.0, 256 / 30, "A man walks."))
    assert found.events[1:] == HAND_MADE[0].events[1:]


def test_edited_texts_count(tmp_path):
    def write(results):
        of_id(results, "event-0", "event_summary")["value"]["text"] = ["A bin", "is on fire."]
        of_id(results, "video-summary", "video_summary")["value"]["text"] = "Fire!"
        results.remove(of_id(results, "event-0", "event_description"))

    found = edit(tmp_path, write)
    assert (found.events[0].summary, found.summary) == ("A bin\nis on fire.", "Fire!")
    assert found.events[0].parts == SummaryParts(JUDGED.judgement, None, JUDGED.analysis)
    assert found.parts == HAND_MADE[0].parts


def test_edited_labels_count(tmp_path):
    def relabel(label, *names):
        def change(results):
            for name in names:
                of_id(results, name)["value"]["timelinelabels"] = [label]

        return change

    assert edit(tmp_path, relabel("Explosion", "event-0")).labels == ("Arson", "Explosion")
    found = edit(tmp_path, relabel("Explosion", "event-0", "event-1"))
    assert found.labels == ("Explosion",) and found.events[1].summary == "Explosion"
    found = edit(tmp_path, relabel("Normal", "event-0", "event-1"))
    assert found.labels == () and [event.summary for event in found.events] == ["A bin burns.", "Normal"]
    found = edit(tmp_path, relabel("normal_event", "event-0"))  # an ordinary stretch of an abnormal video is no event
    assert found.labels == ("Arson",) and found.events == HAND_MADE[0].events[1:]
    assert edit(tmp_path, relabel("Riot", "event-1"), HAND_MADE[2]).labels == ("Riot", "Shooting")[::-1]


def test_spans_may_be_added_and_deleted(tmp_path):
    def add(results):
        results.remove(of_id(results, "event-1"))
        value = {"ranges": [{"start": 31, "end": 45}], "timelinelabels": ["Fighting"], "labels": ["Fighting"]}
        region = {"id": "Xy1", "type": "timelinelabels", "from_name": "levels", "to_name": "video", "origin": "manual"}
        results.append({**region, "value": value})
        value = {"ranges": [{"start": 34, "end": 36}], "timelinelabels": ["(clip)"]}
        results.append({**region, "id": "Xy2", "value": value})
        results.append(
            {**region, "id": "Xy2", "type": "textarea", "from_name": "clip_caption", "value": {"text": ["Hit."]}}
        )

    found = edit(tmp_path, add)
    assert found.events == (Event(1.0, 1.5, (Clip(1.1, 1.2, "Hit."),), "Fighting"), HAND_MADE[0].events[0])
    assert found.labels == ("Arson", "Fighting")


def test_a_detection_changed_in_fiftyone_counts(tmp_path):
    def move(detections):
        detections[1]["support"] = [361, 600]

    found = edit(tmp_path, move, name="fiftyone")
    assert spans(found) == [(2.0, 9.0), (12.0, 20.0)] and found.events[0] == HAND_MADE[0].events[0]

    def timestamps(detections):  # as FiftyOne writes them: the last of 900 frames is at the end, 30 s
        for detection in detections:
            detection["timestamps"] = [(frame - 1) / 899 * 30.0 for frame in detection.pop("support")]
        detections[1]["timestamps"][1] = 25.0

    found = edit(tmp_path, timestamps, name="fiftyone")
    assert found.events[0] == HAND_MADE[0].events[0] and found.events[1].end_s == 25.0


def test_texts_survive_fiftyones_own_export(tmp_path):
    """It keeps attributes of detections, and nothing beside `classes` and `labels`."""
    entry = VideoAnnotation("monday", "mine", "train", 50, 10.0, ("Arson",), HAND_MADE[0].events[:1], "A bin burns.")
    entry = replace(entry, events=(replace(entry.events[0], start_s=1.23, end_s=4.0),))
    whole = json.loads(written(tmp_path, "fiftyone", [entry]).read_text(encoding="utf-8"))
    exported = {"classes": None, "labels": whole["labels"]}
    exported["labels"]["monday"][0].update(label="Arson", confidence=None)
    exported["labels"]["monday"][0]["attributes"]["note"] = None
    (found,) = read_format(write_json(tmp_path / "labels.json", exported), videos=write_videos(tmp_path / "videos"))
    assert found == replace(entry, summary="no description")
