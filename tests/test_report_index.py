"""The page about many videos, and when the command line writes it."""

import json
import shutil

import pytest

from modeling_holmes_vau import cli
from modeling_holmes_vau.cli.outputs import report_folders, update_index
from modeling_holmes_vau.report.index import Entry, build_index
from modeling_holmes_vau.report.write import write_report
from tests.test_report import NASTY_NAME, Page, make_analysis, make_frames
from tests.test_report_files import described
from tests.videos import write_video


def rows_of(source: str) -> list[dict[str, str]]:
    return [attrs for tag, attrs in Page(source).tags if tag == "li" and "data-events" in attrs]


def test_the_strongest_video_comes_first(tmp_path):
    calm = make_analysis(scores=[0.2] * 50, events=(), video="calm.mp4", warning="a single frame")
    strong = described(video="/home/me/" + NASTY_NAME, scores=[0.97] * 50)
    entries = [Entry("calm", calm, b"jpeg"), Entry("a #1", strong, None)]
    source = build_index("reports <1>", entries)
    page = Page(source)
    assert page.open == [] and len(page.scripts) == 1
    assert rows_of(source) == [
        {"data-classes": "Shooting", "data-events": "2"},
        {"data-classes": "", "data-events": "0"},
    ]
    links = [attrs["href"] for tag, attrs in page.tags if tag == "a"]
    own = "a%20%231/report.html"
    assert links == [own, own, f"{own}#t=4.000", f"{own}#t=20.000", "calm/report.html", "calm/report.html"]
    assert [attrs["src"] for tag, attrs in page.tags if tag == "img"] == ["data:image/jpeg;base64,anBlZw=="]
    text = "|".join(page.texts)
    assert "reports <1>: 2 videos, 1 with events" in text and NASTY_NAME in text and "/home/me" not in source
    for words in ("strongest score 0.97", "Shooting 0:04.0\u20130:16.0", "Event 0:20.0\u20130:30.5", "a single frame"):
        assert words in text, words
    assert [attrs["value"] for tag, attrs in page.tags if tag == "option"] == ["", "Shooting"]


def test_of_many_events_the_strongest_are_named():
    events = tuple((10.0 * i, 10.0 * i + 1, 0.5 + (i % 10) / 100) for i in range(30))
    source = build_index("x", [Entry("street", make_analysis(events=events, duration_s=400.0), None)])
    text = "|".join(Page(source).texts)
    assert "24 more" in text and text.count("Event ") == 6
    assert "Event 1:30.0" in text and "Event 4:40.0" in text and "Event 0:00.0" not in text


def report(folder, **changes):
    write_report(described(**changes), make_frames(), folder)


def test_the_index_is_of_what_is_there(tmp_path):
    assert update_index(tmp_path) is None
    report(tmp_path / "one")
    assert update_index(tmp_path) is None and not (tmp_path / "index.html").exists()
    report(tmp_path / "two")
    (tmp_path / "two" / "thumbnail.jpg").unlink()  # of an earlier version
    half = tmp_path / "half"
    report(half)
    (half / "report.html").unlink()
    for name, content in (("old", {"video": "v", "scores": [0.5], "answer": ""}), ("odd", None)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "report.html").touch()
        (tmp_path / name / "analysis.json").write_text(json.dumps(content))
    report(tmp_path / "empty")
    broken = json.loads((tmp_path / "empty" / "analysis.json").read_text()) | {"events": [{}]}
    (tmp_path / "empty" / "analysis.json").write_text(json.dumps(broken))
    path = update_index(tmp_path)
    source = path.read_text(encoding="utf-8")
    assert path == tmp_path / "index.html" and len(rows_of(source)) == 2 and source.count("<img") == 1
    assert update_index(tmp_path) == path  # again


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_an_index_of_somebody_elses_stays(tmp_path, kind):
    report(tmp_path / "one")
    report(tmp_path / "two")
    if kind == "folder":
        (tmp_path / "index.html").mkdir()
    else:
        (tmp_path / "index.html").write_text("mine")
    with pytest.raises(ValueError, match="index.html is not an index of reports and stays as it is"):
        update_index(tmp_path)
    assert kind == "folder" or (tmp_path / "index.html").read_text() == "mine"


def test_no_report_takes_the_name_of_the_index(tmp_path):
    videos = ["index.html.mp4", "errors.txt.mp4", "Index.HTML.avi"]
    names = [folder.name for folder in report_folders(videos, str(tmp_path), {}).values()]
    assert names == ["index.html-2", "errors.txt-2", "Index.HTML-3"]


@pytest.fixture
def videos(tmp_path):
    (tmp_path / "videos").mkdir()
    first = write_video(tmp_path / "videos" / "a.mp4", num_frames=50)
    for name in ("b.mp4", "c.mp4"):
        shutil.copy(first, tmp_path / "videos" / name)
    return tmp_path / "videos"


def test_a_folder_gets_an_index(videos, checkpoint56, capsys):
    output = videos.parent / "out"
    common = ["--model", str(checkpoint56), "--max-new-tokens", "3", "--device", "cpu", "--output", str(output)]
    assert cli.main(["analyze", str(videos), *common]) == 0
    assert capsys.readouterr().out.endswith(f"\nindex {output / 'index.html'}\n")
    assert len(rows_of((output / "index.html").read_text(encoding="utf-8"))) == 3
    (output / "index.html").write_text("mine")
    assert cli.main(["analyze", str(videos / "a.mp4"), *common, "--resume"]) == 1
    (error,) = (line for line in capsys.readouterr().err.splitlines() if line.startswith("error:"))
    assert "the index of the reports could not be written" in error and (output / "index.html").read_text() == "mine"


def test_an_interrupted_run_leaves_an_index(videos, checkpoint56, capsys, monkeypatch):
    from modeling_holmes_vau.cli import analyze

    try_one = analyze.try_one

    def interrupted(video, *arguments):
        if video.endswith("c.mp4"):
            raise KeyboardInterrupt
        return try_one(video, *arguments)

    monkeypatch.setattr(analyze, "try_one", interrupted)
    output = videos.parent / "out"
    common = ["--model", str(checkpoint56), "--max-new-tokens", "3", "--device", "cpu", "--output", str(output)]
    assert cli.main(["analyze", str(videos), *common]) == 130
    assert len(rows_of((output / "index.html").read_text(encoding="utf-8"))) == 2
