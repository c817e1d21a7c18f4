import doctest
import shutil
from pathlib import Path

import numpy as np
import pytest

from hivau70k_dataset import tables
from hivau70k_dataset.cli import main
from hivau70k_dataset.instructions import build_instructions
from hivau70k_dataset.reading import read_annotation_files
from hivau70k_dataset.schema import AnnotationError
from hivau70k_dataset.spans import annotations_from_csv
from hivau70k_dataset.videos import VideoFolder
from tests.videos import write_video


TABLES = Path(__file__).parent / "fixtures" / "tables"
SPANS = [("monday", "Fire", [(1.5, 3.0)]), ("tuesday", None, [])]


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
        (("monday,1",), "line 2: expected video, start_s, end_s, label"),
        (("monday,1,2,Fire,more",), "line 2: expected video, start_s, end_s, label"),
        ((",1,2,Fire",), "line 2: expected a video"),
        (("monday,one,2,Fire",), "line 2: got 'one' and '2', expected start and end in seconds"),
        (("monday,,2,Fire",), "line 2: got '' and '2', expected start and end in seconds"),
        (("monday,2,1,Fire",), "expected 0 <= start < end and a label"),
        (("monday,1,2,",), "expected 0 <= start < end and a label"),
        (("monday,,,", "monday,1,2,Fire"), "stands there as normal and with a span"),
        (("wednesday,1,2,Fire",), "video 'wednesday' is not under"),
        (("monday,5.5,6,Fire",), "the span 5.5 to 6 s is past its end, 5.000 s"),
        (("tuesday,,,", "monday,1,400,Fire"), "line 3: video 'monday': the span 1 to 400 s is past its end, 5.000 s"),
        (("monday,-1,2,Fire",), "expected start and end in seconds, as 62.5 or 1:02.5"),
        (("monday,1,nan,Fire",), "expected start and end in seconds"),
        (("monday,0:75,1:80,Fire",), "got '0:75' and '1:80'"),
        (('monday,"1,5","2,000",Fire',), "got '1,5' and '2,000'"),  # a thousand, or two?
        (('monday,1,2,"Fire', "tuesday,,,"), "Is a quotation mark not closed?"),
        (("yard/monday,1,2,Fire",), "video 'yard/monday' is not under"),
    ],
)
def test_broken_tables(tmp_path, videos, rows, message):
    with pytest.raises(AnnotationError) as error:
        annotations_from_csv(table(tmp_path, *rows), videos)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"file;from;to\n", "got the columns file, from, to, expected video,start_s,end_s,label"),
        (b"video,start_s,end_s,label,Label\n", "expected video,start_s,end_s,label"),
        (b"\n", "the file is empty"),
        (b"PK\x03\x04\x14\x00\x06\x00", "not text in UTF-8, UTF-16 or Windows-1252"),
        (b"video,start_s,end_s,label\nmonday,1,2,\x81\n", "not text in UTF-8"),
    ],
)
def test_what_is_no_such_table(tmp_path, videos, content, message):
    path = tmp_path / "spans.csv"
    path.write_bytes(content)
    with pytest.raises(AnnotationError, match=message) as error:
        annotations_from_csv(path, videos)
    assert str(error.value).startswith(str(path)) and "\n" not in str(error.value)
    with pytest.raises(AnnotationError, match="nowhere.csv: can't be read: No such file"):
        annotations_from_csv(tmp_path / "nowhere.csv", videos)


@pytest.mark.parametrize(
    "text",
    [
        "video,start_s,end_s,label\r\nmonday.mp4,1.5,3,Fire\r\ntuesday.mp4,,,\r\n",
        "Video; Start S;END_S ;label;\nmonday.MP4;1,5;3,0;Fire;\n;;;;\n\ntuesday;;;;\n",
        "sep=;\r\nvideo;start_s;end_s;label\r\nmonday;1,5;3;Fire\r\ntuesday;;;\r\n",
        "label\tend_s\tvideo\tstart_s\nFire\t0:03\tgate\\monday.mp4\t0:00:01.5\n\t\ttuesday\t\n",
        '"label","video","note","start_s","end_s"\n"Fire","./gate/monday","a, ""b""",1.5,3\n,tuesday,,,\n',
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_tables_of_any_spreadsheet(tmp_path, videos, text, encoding, caplog):
    path = tmp_path / "spans.csv"
    path.write_bytes(text.replace("Fire", "Féu").encode(encoding))
    found = annotations_from_csv(path, videos)
    assert [(v.video, *(v.labels or [None]), [(e.start_s, e.end_s) for e in v.events]) for v in found] == [
        (name, label and "Féu", spans) for name, label, spans in SPANS
    ]
    told = {"utf-16": "read as UTF-16", "cp1252": "read as Windows-1252"}.get(encoding, "")
    assert told in caplog.text and ("read as" in caplog.text) == bool(told)
    assert ("columns that are not read: note" in caplog.text) == ("note" in text)


def test_minutes_and_hours(tmp_path):
    write_video(tmp_path / "long.mp4", rate=1, frames=np.zeros((3700, 16, 16, 3), np.uint8))
    (long,) = annotations_from_csv(table(tmp_path, "long,1:38.4,0:02:05,Fire", "long,1:01:02.5,3700.9,Fire"), tmp_path)
    assert [(e.start_s, e.end_s) for e in long.events] == [(98.4, 125.0), (3662.5, 3700.0)]  # cut at the end


def test_a_table_in_latin_1(tmp_path):
    write_video(tmp_path / "base.mp4", 60)
    csv = str(TABLES / "latin1.csv")
    assert main(["from-csv", "--csv", csv, "--videos", str(tmp_path), "--output", str(tmp_path / "o")]) == 0
    (entry,) = read_annotation_files(tmp_path / "o").annotations
    assert entry.labels == ("Vol à",)
    assert doctest.testmod(tables)[0] == 0


@pytest.fixture
def cameras(tmp_path):
    """Three videos of one name."""
    folder = tmp_path / "cameras"
    for place, num_frames in (("cam1", 50), ("cam2", 60), ("", 70)):
        (folder / place).mkdir(parents=True, exist_ok=True)
        write_video(folder / place / "base.mp4", num_frames)
    return folder


def test_videos_of_one_name_keep_their_folders(tmp_path, cameras):
    rows = ("cam1/base.mp4,1,2,Fire", "cam2\\base.mp4,,,", "cameras/base.mp4,1,2,Fire", "/old/cam1/base,0,0.5,Smoke")
    entries = annotations_from_csv(table(tmp_path, *rows), cameras)
    assert [(entry.video, entry.n_frames) for entry in entries] == [
        ("cam1--base", 50),
        ("cam2--base", 60),
        ("cameras--base", 70),
    ]
    assert entries[0].labels == ("Smoke", "Fire")
    files = [str(cameras / place / "base.mp4") for place in ("cam1", "cam2", "")]
    for root in (cameras, cameras.parent):
        assert [VideoFolder(root).find(entry).path for entry in entries] == files
    folder, asked = VideoFolder(cameras), set()
    for row in build_instructions(entries):
        span_s = {entry.video: entry for entry in entries}[row.name].span_s(row.level, row.event, row.clip)
        asked.add(folder.find_segment(row, span_s).path)
    assert asked == set(files)


def test_names_that_tell_no_video(tmp_path, cameras):
    hint = r"line 2: video 'base.mp4': Several files .* In the table, its folder may stand before its name"
    with pytest.raises(AnnotationError, match=hint):
        annotations_from_csv(table(tmp_path, "base.mp4,,,"), cameras)
    for name in ("cam1", "cam2"):
        shutil.rmtree(cameras / name)
    with pytest.raises(AnnotationError, match="cam1/base and cam2/base are both .*base.mp4 here"):
        annotations_from_csv(table(tmp_path, "cam1/base.mp4,,,", "cam2/base.mp4,,,"), cameras)
    shutil.copy(cameras / "base.mp4", cameras / "base.avi")
    with pytest.raises(AnnotationError, match="several files are meant"):
        annotations_from_csv(table(tmp_path, "cameras/base.mp4,,,"), cameras)


def test_cut_finds_videos_of_one_name(tmp_path, cameras):
    path = table(tmp_path, "cam1/base.mp4,1,1.4,Fire", "cam2/base.mp4,1,1.2,Fire")
    annotations, output = str(tmp_path / "annotations"), tmp_path / "segments"
    assert main(["from-csv", "--csv", str(path), "--videos", str(cameras), "--output", annotations]) == 0
    argv = ["cut", "--annotations", annotations, "--videos", str(cameras), "--output", str(output), "--workers", "1"]
    assert main(argv) == 0
    names = [file.name for file in sorted((output / "mine" / "events" / "train").iterdir())]
    assert names == ["cam1--base_E0.mp4", "cam2--base_E0.mp4"]
