import doctest
from dataclasses import replace

import numpy as np
import pytest

from hivau70k_dataset import ground_truth as module
from hivau70k_dataset.ground_truth import (
    FrameAnnotation,
    check_spans,
    frame_labels,
    hivau_frame_annotations,
    on_clock,
    read_ucf_annotation,
    read_xd_annotation,
    temporal_iou,
)
from hivau70k_dataset.reading import read_annotation_files
from hivau70k_dataset.schema import AnnotationError, Event, VideoAnnotation
from modeling_holmes_vau.spans_holmes_vau import check_segment
from tests.annotations import write_release


def write(path, *lines):
    path.write_text("\n".join(lines))
    return path


def test_both_forms_of_ucf(tmp_path):
    official = write(
        tmp_path / "a.txt", "Arson101_x264.mp4  Arson  10  20  30  41  ", "Normal_1_x264  Normal  -1  -1  -1  -1"
    )
    listed = write(
        tmp_path / "b.txt", "Arson/Arson101_x264.mp4 50 Arson 10 20 30 41 ", "T/Normal_1_x264.mp4 9 Normal -1 -1 -1 -1"
    )
    short = write(tmp_path / "c.txt", "Arson101_x264 Arson 10 20")
    assert read_ucf_annotation(official)["Arson101_x264"].spans == ((10, 20), (30, 41))
    arson, normal = read_ucf_annotation(listed).values()
    assert arson == FrameAnnotation("Arson101_x264", ((10, 20), (30, 41)), ("Arson",), 50)
    assert normal == FrameAnnotation("Normal_1_x264", (), (), 9)
    assert read_ucf_annotation(short)["Arson101_x264"].spans == ((10, 20),)


def test_xd(tmp_path):
    path = write(tmp_path / "a.txt", "v=a__#1_label_B4-0-0 0 15 19 30", "v=b__#1_label_G-0-0 624 912")
    annotations = read_xd_annotation(path)
    assert annotations["v=a__#1_label_B4-0-0"].spans == ((0, 15), (19, 30))
    assert [entry.labels for entry in annotations.values()] == [("Riot",), ("Explosion",)]


@pytest.mark.parametrize(
    ("reader", "line", "message"),
    [
        (read_ucf_annotation, "", "the file is empty"),
        (read_ucf_annotation, "Arson101_x264", "got 1 fields"),
        (read_ucf_annotation, "Arson101_x264 Arson 10", "got 3 fields"),
        (read_ucf_annotation, "Arson101_x264 Arson ten 20", "got 'ten 20', expected whole frame numbers"),
        (read_ucf_annotation, "Arson101_x264 Arson 20 10", "got the span 20 10, expected 0 <= start < end"),
        (read_ucf_annotation, "Arson101_x264 Arson 20 -1", "got the span 20 -1"),
        (read_ucf_annotation, "Arson101_x264 Arson -1 -1", "class 'Arson' with 0 spans"),
        (read_ucf_annotation, "Normal_1_x264 Normal 1 2", "class 'Normal' with 1 spans"),
        (read_ucf_annotation, "a Arson 1 2\na Arson 1 2", "line 2: video 'a' stands there twice"),
        (read_xd_annotation, "v=a__#1_label_G-0-0 10", "got 2 fields"),
        (read_xd_annotation, "v=a__#1_label_G-0-0 10 20 30", "got 4 fields"),
    ],
)
def test_broken_files(tmp_path, reader, line, message):
    path = write(tmp_path / "annotation.txt", line)
    with pytest.raises(AnnotationError) as error:
        reader(path)
    assert str(error.value).startswith(str(path)) and message in str(error.value)


@pytest.mark.parametrize(
    "written",
    [
        "Arson101_x264",
        "Arson101_x264.mp4",
        "Arson101_x264.avi",
        "Arson/Arson101_x264.MP4",
        r"A\Arson\Arson101_x264.mp4",
    ],
)
@pytest.mark.parametrize("form", ["{}\n", "\ufeff{}\r\n"])
def test_names_of_videos_however_written(tmp_path, written, form):
    path = tmp_path / "a.txt"
    path.write_bytes(form.format(f"{written} Arson 10 20 -1 -1").encode())
    assert list(read_ucf_annotation(path)) == ["Arson101_x264"]
    path.write_bytes(form.format(f"{written} 50 Arson 10 20").strip("\ufeff").encode("utf-16"))
    assert read_ucf_annotation(path)["Arson101_x264"].n_frames == 50
    name = written.replace("Arson101_x264", "v=a.2011__#1_label_B4-0-0")
    path.write_bytes(form.format(f"{name} 10 20").encode())
    assert list(read_xd_annotation(path)) == ["v=a.2011__#1_label_B4-0-0"]


@pytest.mark.parametrize(
    ("span", "fps", "fits"),
    [
        ((90, 103), None, True),
        ((90, 104), None, False),
        ((100, 101), None, False),  # begins after the last
        ((99, 100), None, True),
        ((90, 110), 10.0, True),  # in seconds: a second
        ((90, 111), 10.0, False),
        ((100, 105), 10.0, False),
        ((98, 103), 0.5, True),
    ],
)
def test_spans_past_the_end(span, fps, fits):
    annotation = FrameAnnotation("street", ((1, 3), span), ("Arson",), 200)
    if fits:
        return check_spans(annotation, 100, fps)
    said = f"{span[0]} to {span[1]} is past the end of the video .100 frames; annotated are 200"
    if fps:
        said = f"{span[0] / fps:.1f} to {span[1] / fps:.1f} s is past the end of the video .10.0 s, 100 frames;"
        with pytest.raises(ValueError, match="is past the end of the video"):
            check_segment((span[0] / fps, span[1] / fps), 100 / fps, fps)
    with pytest.raises(ValueError, match=said):
        check_spans(annotation, 100, fps)


def test_examples():
    assert doctest.testmod(module)[0] == 0


def test_labels_end_where_they_are_told_to():
    annotation = FrameAnnotation("street", ((1, 3), (6, 9)), ("Arson",), 8)
    assert frame_labels(annotation).tolist() == [0, 1, 1, 0, 0, 0, 1, 1]
    assert frame_labels(annotation, end="inclusive").tolist() == [0, 1, 1, 1, 0, 0, 1, 1]
    assert frame_labels(annotation, n_frames=3).tolist() == [0, 1, 1]
    with pytest.raises(ValueError, match='`end` must be "exclusive" or "inclusive"'):
        frame_labels(annotation, end="open")
    with pytest.raises(ValueError, match="Pass `n_frames`"):
        frame_labels(FrameAnnotation("street", ()))


def test_temporal_iou():
    left, right = np.array([0, 1, 1, 0]), np.array([0, 0, 1, 1])
    assert temporal_iou(left, right) == pytest.approx(1 / 3)
    assert temporal_iou(left * 0, right * 0) == 1.0 and temporal_iou(left, right * 0) == 0.0
    with pytest.raises(ValueError, match="one length"):
        temporal_iou(left, right[:3])


def test_hivau_events_in_frames(tmp_path):
    arson, normal = hivau_frame_annotations(read_annotation_files(write_release(tmp_path)).annotations).values()
    assert arson == FrameAnnotation("Arson101_x264", ((60, 270), (360, 615)), ("Arson",), 900)
    assert normal.spans == ()  # its ordinary stretches are no anomaly


def test_events_on_the_clock_of_a_recording_with_a_gap():
    times_s = np.append(np.arange(100) / 10, 3600 + np.arange(100) / 10)  # stood still from 10 s on
    event = Event(5.0, 8.0, (), "Fire")
    entry = VideoAnnotation("gate", "mine", "train", 200, 10.0, ("Fire",), (event,), "Fire")
    late = replace(entry, events=(event, Event(3601.0, 3604.5, (), "Fire"), Event(3609.95, 3610.5, (), "Fire")))
    assert on_clock(late, times_s, 10.0).spans == ((50, 80), (110, 145), (199, 200))
    for past in ((3610.0, 3611.0), (3605.0, 3612.0)):
        with pytest.raises(ValueError, match="is past the end of the video .3610.0 s"):
            on_clock(replace(entry, events=(Event(*past, (), "Fire"),)), times_s, 10.0)
    assert on_clock(replace(entry, labels=()), times_s, 10.0).spans == ()


def test_released_spans_fit_their_videos(ground_truth, released):
    late = []
    for entry in read_ucf_annotation(ground_truth / "ucf_annotation_with_frames.txt").values():
        check_spans(entry, entry.n_frames)
        late += [last - entry.n_frames for _, last in entry.spans if last > entry.n_frames]
    assert sorted(late) == [1, 1, 1, 2, 2]
    entries, late = read_annotation_files(released).annotations, 0
    for entry in entries:
        late += sum(event.end_s > entry.duration_s for event in entry.events)
        for _, _, _, span_s in entry.segments():
            check_segment(span_s, entry.duration_s, entry.fps)
    assert late == 6


def test_the_released_ground_truth(ground_truth):
    official = read_ucf_annotation(ground_truth / "ucf_temporal_annotation.txt")
    listed = read_ucf_annotation(ground_truth / "ucf_annotation_with_frames.txt")
    assert len(official) == len(listed) == 290 and sum(not entry.labels for entry in listed.values()) == 150
    assert {name: entry.spans for name, entry in official.items()} == {n: entry.spans for n, entry in listed.items()}
    assert len(read_xd_annotation(ground_truth / "xd_annotations.txt")) == 500
