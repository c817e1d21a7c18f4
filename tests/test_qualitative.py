"""Answers of several models beside each other on a page, and pictures of scores beside annotated spans."""

import json
import re
import shutil
from html import unescape
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from eval import qualitative
from eval.answers.baselines import most_frequent
from eval.answers.predict import DIGESTED, Output, make_line
from eval.paper.qualitative_frames import sight_of, strips_of
from eval.paper.qualitative_marks import AGAINST, MET, judge, mark
from eval.paper.qualitative_rows import MOST_SEGMENTS, Answers, choose_some
from eval.paper.qualitative_timeline import truth_spans_s
from hivau70k_dataset import render_miniature
from hivau70k_dataset.reading import read_annotation_files
from hivau70k_dataset.schema import Instruction
from hivau70k_dataset.videos import VideoFolder
from modeling_holmes_vau.answering import load_answerer
from modeling_holmes_vau.base.runs import write_settings
from modeling_holmes_vau.checkpoint.load import checkpoint_digest
from modeling_holmes_vau.report import picture as drawing
from modeling_holmes_vau.spans_holmes_vau import Segment
from modeling_holmes_vau.video_reader_holmes_vau import open_video
from tests.browser import Browser, needs_chromium
from tests.rivals import write_holmes_vau


NASTY = '<script>alert("1")</script> & co'


@pytest.fixture(scope="module")
def mini(tmp_path_factory) -> Path:
    """Three videos of the miniature."""
    folder = tmp_path_factory.mktemp("mini")
    render_miniature(folder, "test", videos=3, size=64, workers=1, progress=False)
    return folder


@pytest.fixture(scope="module")
def rows(mini) -> tuple[Instruction, ...]:
    return read_annotation_files(mini).instructions


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> Path:
    return write_holmes_vau(tmp_path_factory.mktemp("tiny") / "tiny")


def write_predictions(path: Path, rows, answer, leave_out=(), settings: dict | None = None) -> Path:
    """A file as `predict` writes it, and its settings; `answer` is of a row."""
    lines = [make_line(row, entry, answer(row, entry)) for row, entry in enumerate(rows) if row not in leave_out]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    if settings is not None:
        write_settings(Output(path).settings, settings)
    return path


def made_with(model: Path | None = None, **changes) -> dict:
    settings = {"num_frames": None, "sampler": None, "max_new_tokens": None, "dtype": "auto"}
    if model is None:
        return {**settings, "endpoint": "http://localhost:1/v1", "served_model": "x", "digest": None, **changes}
    return {**settings, "model": str(model), "digest": checkpoint_digest(model, DIGESTED), **changes}


@pytest.fixture(scope="module")
def three(mini, rows, tiny, tmp_path_factory) -> list[str]:
    """Three models: one that repeats the reference, one behind a server, one of which nothing else is known."""
    folder = tmp_path_factory.mktemp("predictions")
    copy = write_predictions(folder / "copy.jsonl", rows, lambda row, entry: entry.answer, (), made_with(tiny))
    wrong = write_predictions(
        folder / "wrong.jsonl", rows, lambda row, entry: "No anomaly exists.", (), made_with(num_frames=3)
    )
    odd = write_predictions(folder / "odd.jsonl", rows, lambda row, entry: f"{row} {NASTY}")
    return [f"Ours={copy}", f"Served={wrong}", f"{NASTY}={odd}"]


def compare(mini: Path, models: list[str], output: Path, *options, status: int = 0, videos: bool = True) -> str:
    """The page."""
    argv = ["compare", "--models", *models, "--annotations", str(mini), "--output", str(output), *options]
    argv += ["--videos", str(mini / "videos"), "--device", "cpu"] if videos else []
    assert qualitative.main(argv) == status
    return output.read_text(encoding="utf-8") if output.is_file() else ""


def numbers(page: str) -> list[int]:
    """The rows of a page."""
    return [int(number) for number in re.findall(r">row (\d+)<", page)]


# ---- marks ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "reference", "met", "against"),
    [
        ("Men are RUNNING, smoke rises", "a man runs through the smoke", "RUNNING smoke", ""),
        ("A man in grey.", "A man in gray.", "man", ""),  # a colour in another spelling is not another colour
        ("A blue car.", "A car.", "car", ""),  # no colour is named that it could contradict
        ("A blue car and a red van.", "A red car.", "car red", "blue"),
        ("A woman falls.", "A man falls.", "falls", "woman"),
        ("A woman falls.", "A person falls.", "falls", ""),
        ("A hooded man falls.", "A woman falls.", "falls", "man"),
        ("Two policemen and a lady.", "A police officer and a woman.", "", ""),
        ("The video shows the scene.", "The video shows a scene.", "shows", ""),
        ("", "A man.", "", ""),
        ("A man.", "", "", ""),
    ],
)
def test_marks(answer, reference, met, against):
    pieces = mark(answer, reference)
    assert "".join(piece for piece, _ in pieces) == answer
    assert " ".join(piece for piece, kind in pieces if kind == MET) == met
    assert " ".join(piece for piece, kind in pieces if kind == AGAINST) == against


def test_judgements():
    truth = "An anomaly exists, specifically an Arson and Explosion anomaly."
    assert judge("An Explosion and Arson anomaly exists.", truth) == (True, "right, its class too")
    assert judge("An Arson anomaly exists.", truth) == (True, "right, classes in part")
    assert judge("Yes.", "An anomaly exists.") == (True, "right")
    assert judge("A man walks.", "A man walks.") is None


# ---- the page -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def page(mini, three, tmp_path_factory) -> Path:
    """Three models and the blind answer on ten segments."""
    output = tmp_path_factory.mktemp("page") / "new" / "answers.html"
    compare(mini, three, output, "--random", "10", "--blind", "--title", NASTY)
    return output


def test_ten_segments_of_three_models(page, rows):
    source = page.read_text(encoding="utf-8")
    assert source.count('<article class="segment">') == 10 and "10 segments" in source
    shown = numbers(source)
    assert len({rows[row].video for row in shown}) == 10
    assert source.count('class="answers"') == len(shown) and source.count("<h4>Served") == len(shown)
    for row in shown:
        assert f"{row} &lt;script&gt;" in source and unescape(source).count(rows[row].question) >= 1
    assert "<script>alert" not in source  # of a name, an answer, the title
    judgements = [rows[row] for row in shown if rows[row].task == "judgement"]
    assert judgements and source.count('class="verdict right"> no') == 0
    abnormal = sum(not entry.answer.lower().startswith(("no ", "there is no")) for entry in judgements)
    served = re.findall(r'<h4>Served <span class="verdict (\w+)">', source)
    assert served.count("wrong") == abnormal and served.count("right") == len(judgements) - abnormal
    assert re.findall(r'<h4>Ours <span class="verdict (\w+)">', source) == ["right"] * len(judgements)


def test_the_blind_answer_is_that_of_the_score(page, rows):
    source = unescape(re.sub(r"</?mark[^>]*>", "", page.read_text(encoding="utf-8")))
    blind = re.findall(r'<div class="answer blind"><h4>blind: .*?</h4><p class="text">(.*?)</p>', source)
    assert blind == [most_frequent(list(rows))[row] for row in numbers(source)]


def test_frames_are_in_the_page_and_say_whose_they_are(page, capsys):
    source = page.read_text(encoding="utf-8")
    assert source.count("3 frames that Served saw") == 10
    assert source.count("8 frames, evenly spread; which &lt;script") == 10
    pictures = re.findall(r'<img src="([^"]{30})', source)
    assert len(pictures) > 10 * (3 + 8) and all(link.startswith("data:image/jpeg;base64,") for link in pictures)
    assert page.stat().st_size < 2_000_000


def test_the_same_seed_is_the_same_page(mini, three, page, tmp_path, capsys):
    again = compare(mini, three, tmp_path / "a.html", "--random", "10", "--blind", "--title", NASTY)
    assert again == page.read_text(encoding="utf-8")
    assert "which frames <script>" in (said := capsys.readouterr().err) and "there is no odd.jsonl.settings" in said
    other = compare(mini, three, tmp_path / "b.html", "--random", "4", "--seed", "1", videos=False)
    assert "<img" not in other and "seed 1" in other and numbers(other) != numbers(again)[: len(numbers(other))]


def test_rows_videos_levels_and_tasks(mini, rows, three, tmp_path):
    output = tmp_path / "page.html"
    assert numbers(compare(mini, three, output, "--rows", "3", "1", "3", videos=False)) == [1, 3]
    name = rows[0].name
    some = numbers(compare(mini, three, output, "--videos-named", name, "--levels", "event", videos=False))
    assert some == [row for row, entry in enumerate(rows) if entry.name == name and entry.level == "event"]
    assert numbers(compare(mini, three, output, "--tasks", "caption", videos=False)) == [
        row for row, entry in enumerate(rows) if entry.task == "caption"
    ]


def test_frames_are_those_that_the_model_saw(mini, rows, tiny, tmp_path):
    """By rule for short segments, by the scorer's scores for others; a server's are evenly spread."""
    settings = made_with(tiny, num_frames=2)
    path = write_predictions(tmp_path / "two.jsonl", rows, lambda row, entry: "x", (), settings)
    sight = sight_of(Answers("two", path, {}), "cpu")
    answerer = load_answerer(str(tiny), num_frames=2, device="cpu")
    video = VideoFolder(mini / "videos").find_whole(rows[0]).path
    short, long = Segment(video, (1.0, 2.5)), Segment(video)
    for segment in (short, long):
        assert sight.look(segment) == answerer.look(segment).frame_indices.tolist()
    uniform = write_predictions(
        tmp_path / "uniform.jsonl", rows, lambda row, entry: "x", (), {**settings, "sampler": "uniform"}
    )
    look = sight_of(Answers("uniform", uniform, {}), "cpu").look
    blind = load_answerer(str(tiny), num_frames=2, sampler="uniform", device="cpu")
    assert look(long) == blind.look(long).frame_indices.tolist() != sight.look(long)


def test_models_that_saw_the_same_share_the_frames(mini, rows, tmp_path):
    served = made_with(num_frames=4)
    paths = [write_predictions(tmp_path / f"{n}.jsonl", rows, lambda row, entry: "x", (), served) for n in (1, 2)]
    sights = {path.stem: sight_of(Answers(path.stem, path, {}), "cpu") for path in paths}
    video = VideoFolder(mini / "videos").find_whole(rows[0]).path
    with open_video(video) as reader:
        times_s = tuple(map(float, reader.timestamps_s[:3]))
    (strip,) = strips_of(Segment(video, (0.0, times_s[2])), sights)  # of two frames
    assert strip.models == ("1", "2") and strip.seen == 4 and strip.times_s == times_s[:2] and strip.known


def test_another_checkpoint_of_that_name_is_not_asked(rows, tiny, tmp_path):
    for settings, said in (
        (made_with(tiny, digest="0123456789abcdef"), "another one now"),
        ({**made_with(tiny), "model": str(tmp_path / "gone")}, "gone"),
        ({"model": "x"}, "there is no"),
    ):
        path = write_predictions(tmp_path / "p.jsonl", rows, lambda row, entry: "x", (), settings)
        sight = sight_of(Answers("p", path, {}), "cpu")
        assert sight.look is None and said in sight.how


# ---- mistakes -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--rows", "999"], "--rows 999: no such row; they go from 0 to "),
        (["--rows", "-1"], "--rows -1: no such row"),
        (["--rows", "1", "--random", "2"], "--rows names the rows: leave out"),
        (["--random", "0"], "--random 0: expected 1 to "),
        (["--random", "900"], "as many segments as there are"),
        (["--videos-named", "Normal_00_mini"], "no such video is annotated. Did you mean Normal_000_mini?"),
        (["--levels", "clip", "--tasks", "judgement"], "no row is of all of"),
        (["--output", "page.txt"], "--output page.txt: expected the name of a page"),
        (["--videos", "nowhere"], "--videos nowhere: no such folder"),
        (["--models", "Ours=gone.jsonl"], "the name 'Ours' is taken"),
        (["--models", "New=gone.jsonl"], "--models gone.jsonl: no such file"),
        (["--models", "gone.jsonl"], "expected NAME=FILE"),
    ],
)
def test_a_mistake_is_one_line(mini, three, tmp_path, capsys, options, said):
    compare(mini, three[:1], tmp_path / "page.html", *options, status=1, videos=False)
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1 and said in error
    assert list(tmp_path.iterdir()) == []


def test_rows_without_an_answer(mini, rows, tmp_path, capsys):
    path = write_predictions(tmp_path / "part.jsonl", rows, lambda row, entry: "x", leave_out=(2, 4))
    compare(mini, [f"A={path}"], tmp_path / "page.html", "--rows", "1", "2", "4", status=1, videos=False)
    said = f"2 of the 3 rows have no answer there, the first is row 2, {rows[2].video}; predict them"
    assert said in capsys.readouterr().err
    source = compare(mini, [f"A={path}"], tmp_path / "page.html", "--rows", "1", "2", "--allow-missing", videos=False)
    assert source.count('<p class="note">no answer</p>') == 1
    compare(mini, [f"A={path}"], tmp_path / "other.html", "--rows", "1", "3", videos=False)


def test_answers_to_other_annotations(mini, rows, tmp_path, capsys):
    path = write_predictions(tmp_path / "other.jsonl", [*rows[1:], rows[0]], lambda row, entry: "x")
    compare(mini, [f"A={path}"], tmp_path / "page.html", "--rows", "1", status=1, videos=False)
    assert "pass the annotations that were predicted on" in capsys.readouterr().err


def test_a_page_has_an_end(mini, rows, three, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("eval.paper.qualitative_rows.MOST_SEGMENTS", 5)
    compare(mini, three, tmp_path / "page.html", status=1, videos=False)
    assert "more than a page shows (5 segments): choose with --rows" in capsys.readouterr().err
    assert MOST_SEGMENTS == 60


def test_a_missing_video_is_named(mini, rows, three, tmp_path, capsys):
    (tmp_path / "videos").mkdir()
    argv = ["compare", "--models", *three, "--annotations", str(mini), "--videos", str(tmp_path / "videos")]
    assert qualitative.main([*argv, "--rows", "0", "--output", str(tmp_path / "page.html")]) == 1
    assert f"error: row 0, {rows[0].video}: no such video under" in capsys.readouterr().err


def test_a_choice_keeps_the_order():
    things = [f"v{number}" for number in range(50)]
    chosen = choose_some(things, 10, seed=0, what="videos")
    assert chosen == sorted(chosen, key=things.index) and len({*chosen}) == 10
    assert chosen != choose_some(things, 10, seed=1, what="videos")


# ---- in a browser ---------------------------------------------------------------------------------------------------


@needs_chromium
@pytest.mark.parametrize("width", [390, 1280])
def test_in_a_browser(page, width):
    with Browser() as browser:
        browser.open(page.as_uri(), width=width)
        assert browser.complaints() == []
        assert browser.run("document.documentElement.scrollWidth") <= width
        assert browser.run("[...document.images].every((image) => image.naturalWidth > 0)")
        assert browser.run("performance.getEntriesByType('resource').map((entry) => entry.name).join()") in ("", None)
        columns = browser.run(
            "getComputedStyle(document.querySelector('.answers')).gridTemplateColumns.split(' ').length"
        )
        assert columns == (1 if width == 390 else 4)
        marked = "getComputedStyle(document.querySelector('.answer mark.met')).backgroundColor"
        assert browser.run(marked) == "rgb(216, 239, 223)"


# ---- timelines ------------------------------------------------------------------------------------------------------


def timeline(mini: Path, tiny: Path, output: Path, *options, status: int = 0) -> list[str]:
    """Names of the pictures."""
    argv = ["timeline", "--annotations", str(mini), "--videos", str(mini / "videos"), "--model", str(tiny)]
    assert qualitative.main([*argv, "--device", "cpu", "--output", str(output), *options]) == status
    return sorted(path.name for path in output.glob("*.png"))


def count_close(path: Path, color: str) -> int:
    wanted = [int(color[i : i + 2], 16) for i in (1, 3, 5)]
    pixels = np.asarray(Image.open(path).convert("RGB")).astype(int)
    return int((np.abs(pixels - wanted).max(axis=-1) <= 3).sum())


def test_timelines_show_annotated_spans_and_go_on(mini, tiny, tmp_path, capsys):
    entries = {entry.video: entry for entry in read_annotation_files(mini).annotations}
    output = tmp_path / "pictures"
    (first,) = timeline(mini, tiny, output, "--random", "1", "--num-frames", "4")
    before = (output / first).stat().st_mtime_ns
    names = timeline(mini, tiny, output, "--num-frames", "4")
    assert names == sorted(f"{name}.png" for name in entries) and (output / first).stat().st_mtime_ns == before
    assert "3 of 3 pictures are in" in capsys.readouterr().out
    for name, entry in entries.items():
        spans_s = sum(event.end_s - event.start_s for event in entry.events if entry.labels)
        band = count_close(output / f"{name}.png", drawing.TRUTH)
        width = drawing.RIGHT - drawing.PLOT_LEFT
        wanted = drawing.TRUTH_HEIGHT * width * spans_s / entry.duration_s
        assert wanted * 0.9 <= band <= wanted * 1.1 + 4 * drawing.PLOT_HEIGHT + 600  # borders, legend
        assert bool(band > 2000) == bool(entry.labels)
    timeline(mini, tiny, output, "--num-frames", "5", status=1)
    assert "holds pictures made with num_frames 4, now asked for with num_frames 5" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--num-frames", "0"], "--num-frames must be at least 1, got 0"),
        (["--threshold", "1.5"], "--threshold must be a score above 0 and at most 1, got 1.5"),
        (["--videos", "nowhere"], "--videos nowhere: no such folder"),
        (["--videos-named", "Normal_00_mini"], "Did you mean Normal_000_mini?"),
        (["--random", "7"], "--random 7: expected 1 to 3, as many videos as there are to choose of"),
        (["--split", "train"], "no videos of the split 'train'"),
    ],
)
def test_mistakes_of_timelines(mini, tiny, tmp_path, capsys, options, said):
    assert timeline(mini, tiny, tmp_path / "out", *options, status=1) == []
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and said in error


def test_a_video_that_is_missing_or_another_one(mini, tiny, tmp_path, capsys):
    truth, videos = tmp_path / "truth.txt", tmp_path / "videos"
    videos.mkdir()
    for path in (mini / "videos").rglob("*.mp4"):
        shutil.copy(path, videos)
    names = sorted(path.stem for path in videos.iterdir())
    truth.write_text(f"{names[0]}.mp4 Arson 10 20 -1 -1\n{names[1]}.mp4 Arson 10 9000 -1 -1\ngone.mp4 Normal -1 -1\n")
    output = tmp_path / "pictures"
    options = ("--protocol", "ucf-crime", "--annotations", str(truth), "--videos", str(videos))
    assert timeline(mini, tiny, output, *options, status=1) == [f"{names[0]}.png"]
    error = capsys.readouterr().err
    assert f"error: {names[1]}: the span 10 to 9000 is past the end" in error and "error: gone: missing" in error


def test_spans_of_frames_are_told_in_seconds(mini, tmp_path):
    from eval.frames.truth import read_tests

    (video,) = [path for path in (mini / "videos").rglob("*.mp4") if path.stem == "Normal_000_mini"]
    with open_video(video) as reader:
        (tmp_path / "truth.txt").write_text(f"{video.name} Arson 10 25 30 {reader.num_frames}\n")
        (test,) = read_tests("ucf-crime", str(tmp_path / "truth.txt")).values()
        times_s = reader.timestamps_s
        assert truth_spans_s(test, reader) == [(times_s[10], times_s[25]), (times_s[30], reader.duration_s)]
