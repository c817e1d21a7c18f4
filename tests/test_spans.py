import pytest

from hivau70k_dataset.cli import main
from hivau70k_dataset.reading import read_annotation_files
from hivau70k_dataset.schema import AnnotationError
from hivau70k_dataset.spans import annotations_from_csv
from tests.videos import write_video


@pytest.fixture
def videos(tmp_path):
    folder = tmp_path / "videos"
    (folder / "gate").mkdir(parents=True)
    write_video(folder / "gate" / "monday.mp4", num_frames=50, rate=10)
    write_video(folder / "tuesday.mp4", num_frames=25)
    return folder


def table(tmp_path, *rows):
    path = tmp_path / "spans.csv"
    path.write_text("\n".join(("video,start_s,end_s,label", *rows)))
    return path


def test_spans_become_annotations(tmp_path, videos):
    path = table(tmp_path, "monday.mp4,3,4.5,Fire", "monday, 0.5, 1, Intruder", "tuesday,,,")
    monday, tuesday = annotations_from_csv(path, videos)
    assert (monday.video, monday.n_frames, monday.fps, monday.labels) == ("monday", 50, 10.0, ("Intruder", "Fire"))
    assert [(event.start_s, event.end_s) for event in monday.events] == [(0.5, 1.0), (3.0, 4.5)]
    assert (tuesday.labels, tuesday.events, tuesday.source, tuesday.split) == ((), (), "mine", "train")


def test_a_label_without_times_is_of_the_whole_video(tmp_path, videos, capsys):
    path = table(tmp_path, "monday,,,Fire", "tuesday,,,")
    monday, tuesday = annotations_from_csv(path, videos)
    assert [(event.start_s, event.end_s) for event in monday.events] == [(0.0, 5.0)] and not tuesday.labels
    argv = ["from-csv", "--csv", str(path), "--videos", str(videos), "--output", str(tmp_path / "out")]
    assert main(argv) == 0
    assert "1 spans are whole videos" in capsys.readouterr().out


def test_the_command_writes_what_training_reads(tmp_path, videos, capsys):
    path = table(tmp_path, "monday,3,4.5,Fire", "tuesday,,,")
    argv = ["from-csv", "--csv", str(path), "--videos", str(videos), "--output", str(tmp_path / "out")]
    assert main([*argv, "--split", "test"]) == 0
    said = capsys.readouterr().out
    assert "2 videos, 1 of them abnormal" in said and "--supervision" not in said
    files = read_annotation_files(tmp_path / "out")
    assert files.annotations == tuple(annotations_from_csv(path, videos, split="test"))
    assert main(argv) == 1  # there already


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ((), "no rows"),
        (("monday,1",), "line 2: expected a video and three further fields"),
        (("monday,1,2,Fire,more",), "line 2: expected a video and three further fields"),
        ((",1,2,Fire",), "line 2: expected a video"),
        (("monday,one,2,Fire",), "line 2: got 'one' and '2', expected start and end in seconds"),
        (("monday,,2,Fire",), "line 2: got '' and '2', expected start and end in seconds"),
        (("monday,2,1,Fire",), "expected 0 <= start < end and a label"),
        (("monday,1,2,",), "expected 0 <= start < end and a label"),
        (("monday,,,", "monday,1,2,Fire"), "stands there as normal and with a span"),
        (("wednesday,1,2,Fire",), "video 'wednesday' is not under"),
        (("monday,5.5,6,Fire",), "the span 5.5 to 6 s is past its end, 5.000 s"),
    ],
)
def test_broken_tables(tmp_path, videos, rows, message):
    with pytest.raises(AnnotationError) as error:
        annotations_from_csv(table(tmp_path, *rows), videos)
    assert message in str(error.value)


def test_another_header_is_refused(tmp_path, videos):
    path = tmp_path / "spans.csv"
    path.write_text("file;from;to\n")
    with pytest.raises(AnnotationError, match="expected video,start_s,end_s,label"):
        annotations_from_csv(path, videos)
