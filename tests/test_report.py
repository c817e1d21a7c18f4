import base64
import hashlib
import io
import json
import logging
import re
import sys
import warnings
from dataclasses import fields
from html.parser import HTMLParser
from urllib.parse import unquote

import matplotlib
import numpy as np
import pytest
from PIL import Image

from modeling_holmes_vau import __version__
from modeling_holmes_vau.analysis_holmes_vau import Analysis
from modeling_holmes_vau.base import files
from modeling_holmes_vau.cli.outputs import REPORT_FILES
from modeling_holmes_vau.report import layout
from modeling_holmes_vau.report import picture as drawing
from modeling_holmes_vau.report.fonts import FONT, drawable
from modeling_holmes_vau.report.picture import draw_timeline, format_clock
from modeling_holmes_vau.report.write import write_report


NASTY_NAME = '监控 #1=<b>"x" & $a_1$\'s.mp4'


def make_analysis(num_frames=4, duration_s=40.0, num_dense=50, events=((10.0, 14.5, 0.9),), **changes):
    fps = 25.0
    dense = np.linspace(0, duration_s * fps - 1, num_dense).round().astype(int).tolist()
    sampled = [dense[i] for i in np.linspace(0, num_dense - 1, num_frames).round().astype(int)]
    return {
        "seconds": {"decode": 1.25, "encode": 2.5, "score": 0.125, "generate": 4.0},  # not the order of the file
        "video": "clips/street.mp4",
        "fps": fps,
        "num_frames": int(duration_s * fps),
        "duration_s": duration_s,
        "dense_frame_indices": dense,
        "dense_times_s": [index / fps for index in dense],
        "event_rule": {"threshold": 0.5, "low_threshold": 0.3, "min_length_s": 1.0},
        "verdict": {"scores": "abnormal", "answer": None, "agree": None},
        "scores": np.random.default_rng(0).random(num_dense).tolist(),
        "events": [{"start_s": start, "end_s": end, "peak_score": peak} for start, end, peak in events],
        "sampled_frame_indices": sampled,
        "sampled_times_s": [index / fps for index in sampled],
        "sampler": "ats",
        "prompt": "What happens here?",
        "answer": "A man runs.\n\nHe falls.",
        "model": "some/model",
    } | changes


def make_frames(num_frames=4, height=36, width=64):
    frames = np.empty((num_frames, height, width, 3), np.uint8)
    frames[:] = np.arange(num_frames, dtype=np.uint8)[:, None, None, None] * 3 + np.array([200, 40, 90], np.uint8)
    return frames


def open_png(data):
    picture = Image.open(io.BytesIO(data))
    picture.load()
    return np.asarray(picture.convert("RGB")).astype(int)


def count_close(picture, color):
    wanted = [int(color[i : i + 2], 16) for i in (1, 3, 5)]
    return int((np.abs(picture - wanted).max(axis=-1) <= 3).sum())


class Page(HTMLParser):
    """Collects the tags and the visible text of a page."""

    def __init__(self, source):
        super().__init__()
        self.tags, self.texts, self.scripts, self.open = [], [], [], []
        self.feed(source)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "img", "input"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "script" in self.open:
            self.scripts.append(data)
        elif "style" not in self.open:
            self.texts.append(data)


def test_the_files_and_nothing_else(tmp_path):
    folder = tmp_path / "new" / "folder"
    paths = write_report(make_analysis(), make_frames(), folder)
    names = {"analysis": "analysis.json", "timeline": "timeline.png", "report": "report.html"}
    names |= {"table": "events.csv", "vtt": "events.vtt", "srt": "events.srt", "thumbnail": "thumbnail.jpg"}
    assert paths == {key: folder / name for key, name in names.items()}
    assert write_report(make_analysis(), make_frames(), str(folder)) == paths  # replaces
    assert {path.name for path in folder.iterdir()} == set(names.values()) == set(REPORT_FILES)
    assert list(paths)[-1] == "report"  # where it is, the others are


def test_json_round_trips_in_a_fixed_order(tmp_path):
    analysis = make_analysis(video="视频/" + NASTY_NAME, answer="第一行\n第二行", segment_s=[1.0, 39.0])
    text = write_report(analysis | {"beside": 1}, make_frames(), tmp_path)["analysis"].read_text(encoding="utf-8")
    assert json.loads(text) == analysis
    assert "监控" in text and text.endswith("}\n")
    assert list(json.loads(text)) == [field.name for field in fields(Analysis) if field.name in analysis]
    assert Analysis.of(json.loads(text) | {"of_a_later_version": 1}) == analysis


def test_name_that_is_not_utf8_survives(tmp_path):
    analysis = make_analysis(video="caf\udce9.mp4")
    paths = write_report(analysis, make_frames(), tmp_path)
    assert json.loads(paths["analysis"].read_text(encoding="utf-8"))["video"] == "caf\udce9.mp4"
    assert r"caf\udce9.mp4" in paths["report"].read_text(encoding="utf-8")


def test_page_escapes_every_user_string(tmp_path):
    bad = "<script>alert(\"1\")</script> & 'x'"
    strings = {name: f"{name} {bad}" for name in ("prompt", "answer", "model", "sampler", "warning")}
    analysis = make_analysis(video="/a/<i>/" + NASTY_NAME, **strings)
    source = write_report(analysis, make_frames(), tmp_path)["report"].read_text(encoding="utf-8")
    page = Page(source)
    assert page.open == []
    assert [tag for tag, _ in page.tags].count("script") == 1 and len(page.scripts) == 1 and bad not in page.scripts[0]
    assert "b" not in {tag for tag, _ in page.tags}
    text = "".join(page.texts)
    for value in (*strings.values(), NASTY_NAME):
        assert value in text, value
    assert "/a/" not in source and "<i>/" not in text  # folders of a full path are nobody's business
    assert NASTY_NAME in next(attrs["alt"] for tag, attrs in page.tags if tag == "img")


def test_page_stands_alone(tmp_path):
    paths = write_report(make_analysis(video="http://host/a.mp4"), make_frames(), tmp_path)
    source = paths["report"].read_text(encoding="utf-8")
    page = Page(source)
    links = [attrs[name] for _, attrs in page.tags for name in ("src", "href", "srcset", "poster") if name in attrs]
    assert len(links) == 4 and all(link.startswith("data:image/jpeg;base64,") for link in links)
    for link, frame in zip(links, make_frames()):
        picture = np.asarray(Image.open(io.BytesIO(base64.b64decode(link.split(",", 1)[1]))))
        assert picture.shape == frame.shape and np.abs(picture.astype(int) - frame).max() <= 4
    assert not re.search(r"url\(|@import|<link|<iframe|https?:(?!//host/a.mp4)|<video", source)
    assert any(tag == "meta" and attrs.get("name") == "viewport" for tag, attrs in page.tags)


def test_the_page_runs_no_script_but_its_own(tmp_path):
    page = Page(write_report(make_analysis(), make_frames(), tmp_path)["report"].read_text(encoding="utf-8"))
    (policy,) = (attrs["content"] for _, attrs in page.tags if attrs.get("http-equiv") == "Content-Security-Policy")
    digest = base64.b64encode(hashlib.sha256(page.scripts[0].encode()).digest()).decode()
    allowed = ["default-src 'none'", "img-src data:", "media-src 'self' file:", "style-src 'unsafe-inline'"]
    assert policy.split("; ") == [*allowed, f"script-src 'sha256-{digest}'"]
    assert not [name for _, attrs in page.tags for name in attrs if name.startswith("on")]


@pytest.mark.parametrize("name", ["street.mp4", NASTY_NAME.replace("/", ""), "100%?.mp4", "a:b.mp4"])
def test_the_video_is_linked_by_a_relative_path(tmp_path, name):
    folder = tmp_path / "out" / "street"
    (tmp_path / name).touch()
    source = write_report(make_analysis(video=str(tmp_path / name)), make_frames(), folder)["report"].read_text(
        "utf-8"
    )
    (link,) = (attrs["src"] for tag, attrs in Page(source).tags if tag == "video")
    assert link.startswith("./../../") and (folder / unquote(link)).samefile(tmp_path / name)
    assert not set(link) & set('#?"<>& ') and str(tmp_path) not in source


def test_page_tells_what_was_found(tmp_path):
    analysis = make_analysis(events=((10.0, 14.5, 0.9), (3700.0, 3725.25, 0.456)), duration_s=4000.0)
    text = "|".join(Page(write_report(analysis, make_frames(), tmp_path)["report"].read_text("utf-8")).texts)
    assert "A man runs.\n\nHe falls." in text  # its lines are kept, and shown by `pre-wrap`
    assert "|0:10.0|0:14.5|4.5 s|0.90|" in re.sub(r"\|\s*\|", "|", text)
    assert text.count("street.mp4") == 3  # window, heading, file
    assert "threshold 0.5" in text and "Verdict: abnormal by the scores; no verdict is read from the answer." in text
    assert re.search(rf"\|\d{{4}}-\d\d-\d\d \d\d:\d\d [^|]+, holmes-vau {re.escape(__version__)}\|", text)
    assert "1:01:40.0" in text and "1:02:05.2" in text and "0.46" in text
    for fact in ("1:06:40.0 (4000.00 s)", "25 fps", "100,000", "4 (ats)", "some/model", "Encode", "2.50 s"):
        assert fact in text, fact


def test_warning_is_a_banner_in_picture_and_page(tmp_path):
    warning = "untrained model: scores and answer are meaningless"
    plain, warned = make_analysis(), make_analysis(warning=warning)
    assert count_close(open_png(draw_timeline(plain, make_frames())), drawing.WARNING_GROUND) == 0
    picture = open_png(draw_timeline(warned, make_frames()))
    assert count_close(picture, drawing.WARNING_GROUND) > 30 * 1000
    banner = (np.abs(picture - [0xFF, 0xF3, 0xD6]).max(axis=-1) <= 3).any(axis=1)
    assert 100 < np.flatnonzero(banner)[0] < 150  # near the top
    page = Page(write_report(warned, make_frames(), tmp_path)["report"].read_text(encoding="utf-8"))
    assert ("p", {"class": "warning", "role": "alert"}) in page.tags and warning in page.texts


@pytest.mark.parametrize(("num_frames", "shape"), [(8, (36, 64)), (16, (64, 36)), (32, (36, 64))])
def test_picture_size_and_every_frame_in_it(num_frames, shape):
    frames = make_frames(num_frames, *shape)
    data = draw_timeline(make_analysis(num_frames, events=()), frames)
    picture = open_png(data)
    assert picture.shape[1] == 1400 and 700 < picture.shape[0] < 1800
    assert len(data) < 300_000
    for frame in frames:
        assert (picture == frame[0, 0]).all(axis=-1).sum() > 5000  # thumbnails are not tiny, and no frame is lost


@pytest.mark.parametrize("height, width", [(36, 64), (64, 36), (48, 48), (8, 800), (800, 8)])
@pytest.mark.parametrize("num_frames", [1, 5, 8, 12, 16, 32, 100])
def test_grid_fits(num_frames, height, width):
    columns, thumb_width, thumb_height = layout.grid(num_frames, width / height)
    assert 1 <= columns <= num_frames
    assert columns * thumb_width + (columns - 1) * layout.CELL_GAP <= layout.RIGHT - layout.LEFT
    assert 1 <= thumb_height <= layout.MAX_THUMB_HEIGHT


def test_events_are_shaded_where_they_are():
    x_start = layout.PLOT_LEFT + (layout.RIGHT - layout.PLOT_LEFT) * 10 / 40
    x_end = layout.PLOT_LEFT + (layout.RIGHT - layout.PLOT_LEFT) * 20 / 40
    scores = [0.0] * 50
    blank = open_png(draw_timeline(make_analysis(events=(), scores=scores), make_frames()))
    shaded = open_png(draw_timeline(make_analysis(events=((10.0, 20.0, 0.9),), scores=scores), make_frames()))
    tint = (np.abs(shaded - [0xF6, 0xE2, 0xDE]).max(axis=-1) <= 3).sum(axis=0)  # EVENT at 16 % on white
    columns = np.flatnonzero(tint > 150)
    assert abs(columns[0] - x_start) <= 2 and abs(columns[-1] - x_end) <= 2
    assert shaded.shape[0] == blank.shape[0] + 42  # the row of labels


def test_annotated_spans_have_a_band_of_their_own():
    """Below the scores, of the colour of no found event; none is not the same as unknown."""
    analysis = make_analysis(events=((5.0, 12.0, 0.9),), scores=[0.0] * 50)
    plain = open_png(draw_timeline(analysis, make_frames()))
    annotated = open_png(draw_timeline(analysis, make_frames(), [(10.0, 20.0), (30.0, 99.0)]))
    none = open_png(draw_timeline(analysis, make_frames(), []))
    green = np.abs(annotated - [0x2E, 0x7D, 0x4F]).max(axis=-1) <= 3
    band = green[green.sum(axis=1) > 200]  # rows of the band: more than the legend and the borders have
    assert len(band) == drawing.TRUTH_HEIGHT
    columns = np.flatnonzero(band[drawing.TRUTH_HEIGHT // 2])
    scale = (layout.RIGHT - layout.PLOT_LEFT) / 40
    runs = np.split(columns, np.flatnonzero(np.diff(columns) > 20) + 1)  # a chosen frame's line lies before it
    borders = [border for run in runs for border in (run[0], run[-1])]
    assert borders == pytest.approx([layout.PLOT_LEFT + x_s * scale for x_s in (10, 20, 30, 40)], abs=2)
    assert annotated.shape[0] == none.shape[0] == plain.shape[0] + drawing.TRUTH_TOP + drawing.TRUTH_HEIGHT
    assert count_close(plain, drawing.TRUTH) == 0 and count_close(none, drawing.TRUTH) < 200
    assert count_close(annotated, "#f6e2de") == pytest.approx(count_close(plain, "#f6e2de"), rel=0.05)


def test_frames_inside_an_event_are_marked():
    inside = draw_timeline(make_analysis(events=((0.0, 40.0, 0.9),)), make_frames())
    outside = draw_timeline(make_analysis(events=((5.0, 6.0, 0.9),)), make_frames())
    assert count_close(open_png(inside), drawing.EVENT) > count_close(open_png(outside), drawing.EVENT) + 5000


def test_a_frame_at_which_an_event_is_over_is_outside_it():
    last = make_analysis()["sampled_times_s"][-1]

    def marked(end_s: float) -> int:
        return count_close(
            open_png(draw_timeline(make_analysis(events=((1.0, end_s, 0.9),)), make_frames())), drawing.EVENT
        )

    assert marked(last + 1e-6) > marked(last) + 1000


def test_nothing_found_one_frame_and_repeats(tmp_path):
    calm = make_analysis(events=())
    source = write_report(calm, make_frames(), tmp_path)["report"].read_text(encoding="utf-8")
    assert "None found." in source
    one = make_analysis(num_frames=1, num_dense=1, duration_s=0.04, events=())
    repeated = make_analysis(num_frames=12, num_dense=1, duration_s=0.04, events=((0.0, 0.04, 0.7),))
    assert len(set(repeated["sampled_times_s"])) == 1
    unsorted = make_analysis(sampled_times_s=[30.0, 2.0, 2.0, 1.0])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for analysis in (one, repeated, unsorted):
            assert open_png(draw_timeline(analysis, make_frames(len(analysis["sampled_times_s"])))).shape[1] == 1400


def test_ten_hours_with_many_events():
    events = tuple((60.0 * i, 60.0 * i + 1, 0.5 + i / 2000) for i in range(600))
    analysis = make_analysis(num_frames=16, duration_s=36000.0, num_dense=56250, events=events)
    picture = open_png(draw_timeline(analysis, make_frames(16)))
    centres = [layout.PLOT_LEFT + 2.0 * i for i in range(600)]
    labels = layout.place_labels(centres, [event["peak_score"] for event in analysis["events"]], lambda index: 150)
    numbers, xs = zip(*labels)
    assert 4 <= len(labels) <= 12 and max(numbers) == 599  # the highest peak is among them
    assert (np.diff(xs) >= 150).all() and layout.PLOT_LEFT <= xs[0] - 75 and xs[-1] + 75 <= layout.RIGHT
    assert picture.shape[1] == 1400


def test_short_peak_survives_thinning():
    scores = np.full(100_001, 0.1)
    scores[77_777] = 0.95
    times, kept = layout.envelope(np.arange(100_001) / 25, scores)
    assert len(kept) <= layout.MAX_CURVE_POINTS and kept.max() == 0.95
    assert times[kept.argmax()] == 77_777 / 25 and (np.diff(times) > 0).all()
    few = np.array([0.2, 0.4])
    assert layout.envelope(few, few)[1].tolist() == [0.2, 0.4]


def test_spread_moves_as_little_as_it_must():
    def spread(positions, width=2.0, low=0.0, high=20.0):
        return layout.spread(np.array(positions), np.full(len(positions), width), low, high).tolist()

    assert spread([5.0, 10.0]) == [5.0, 10.0]
    assert spread([5.0, 5.0, 5.0]) == [3.0, 5.0, 7.0]
    assert spread([0.0, 0.0]) == [1.0, 3.0]
    assert spread([4.0, 20.0, 20.0]) == [4.0, 17.0, 19.0]


def test_scored_frames_follow_a_varying_frame_rate(tmp_path):
    analysis = make_analysis(sampled_frame_indices=[0, 500], sampled_times_s=[0.0, 30.0])  # 1000 frames, 40 s
    dense = {"dense_frame_indices": [0, 250, 500, 750], "scores": [0.0, 0.0, 1.0, 0.0]}
    even = analysis | dense | {"dense_times_s": [0.0, 10.0, 20.0, 30.0]}
    late = analysis | dense | {"dense_times_s": [0.0, 10.0, 30.0, 35.0]}

    def peak_s(drawn) -> float:
        until = layout.PLOT_LEFT + 33 * (layout.RIGHT - layout.PLOT_LEFT) // 40  # the legend is behind it
        picture = open_png(draw_timeline(drawn, make_frames(2)))[:300, layout.PLOT_LEFT : until]
        wanted = [int(drawing.CURVE[i : i + 2], 16) for i in (1, 3, 5)]
        rows, columns = np.nonzero(np.abs(picture - wanted).max(axis=-1) <= 3)
        return 40 * columns[rows == rows.min()].mean() / (layout.RIGHT - layout.PLOT_LEFT)

    assert peak_s(even) == pytest.approx(20, abs=0.5) and peak_s(late) == pytest.approx(30, abs=0.5)
    with pytest.raises(ValueError, match="as many `dense_times_s` as `dense_frame_indices`"):
        write_report(analysis | dense | {"dense_times_s": [0.0]}, make_frames(2), tmp_path)


def test_a_gap_parts_the_curve(tmp_path):
    """No scores, no line: the page names the gap."""
    times_s = [*np.linspace(0, 9, 25), *np.linspace(31, 40, 25)]
    analysis = make_analysis(events=(), dense_times_s=times_s, scores=[0.5] * 50, sampled_times_s=[0.0, 1, 2, 3])
    gap = analysis | {"gaps_s": [[10.0, 30.0]]}
    width = layout.RIGHT - layout.PLOT_LEFT
    left, right = (layout.PLOT_LEFT + int(width * time_s / 40) for time_s in (10.5, 29.5))

    def curve_pixels(drawn) -> int:
        picture = open_png(draw_timeline(drawn, make_frames()))[:420, left:right]
        return count_close(picture, drawing.CURVE)

    assert curve_pixels(analysis) > right - left and curve_pixels(gap) == 0
    pieces = layout.split_at_gaps(np.array([0.0, 1, 5]), np.array([0.1, 0.2, 0.3]), [[2.0, 5.0]])
    assert [(times.tolist(), scores.tolist()) for times, scores in pieces] == [
        ([0.0, 1.0, 2.0], [0.1, 0.2, 0.2]),
        ([5.0], [0.3]),
    ]
    assert "0:10.0\u20130:30.0" in write_report(gap, make_frames(), tmp_path)["report"].read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("time_s", "decimals", "text"),
    [(0, 1, "0:00.0"), (17.34, 1, "0:17.3"), (59.96, 1, "1:00.0"), (3599.99, 1, "1:00:00.0"), (36000, 0, "10:00:00"),
     (0.04, 2, "0:00.04"), (90_061, 0, "25:01:01")],
)  # fmt: skip
def test_clock(time_s, decimals, text):
    assert format_clock(time_s, decimals) == text


def draw_strictly(analysis, caplog):
    """Draw with warnings as errors; matplotlib must not complain in its log either."""
    drawable.cache_clear()
    with warnings.catch_warnings(), caplog.at_level(logging.WARNING):
        warnings.simplefilter("error")
        picture = draw_timeline(analysis, make_frames())
    assert caplog.records == []
    return open_png(picture)


def test_chinese_name_draws_without_complaint(caplog):
    draw_strictly(make_analysis(video=NASTY_NAME, warning="未训练的模型 🎬\u200b\t\n", sampler="采样"), caplog)


def test_name_without_a_font_is_escaped(caplog, monkeypatch):
    from matplotlib import font_manager

    manager = font_manager.fontManager
    monkeypatch.setattr(manager, "ttflist", [face for face in manager.ttflist if "DejaVu" in face.name])
    draw_strictly(make_analysis(video=NASTY_NAME), caplog)
    assert drawable("é 监.mp4", "bold") == ("é \\u76d1.mp4", (FONT,), "bold")
    drawable.cache_clear()


def test_user_settings_are_neither_used_nor_changed():
    usual = draw_timeline(make_analysis(), make_frames())
    changes = {"font.size": 30, "axes.grid": True, "figure.dpi": 50, "lines.linestyle": "--", "text.color": "red"}
    changes |= {"savefig.bbox": "tight", "axes.facecolor": "black", "font.family": ["serif"], "lines.marker": "x"}
    with matplotlib.rc_context(changes):
        before = dict(matplotlib.rcParams)
        assert draw_timeline(make_analysis(), make_frames()) == usual
        assert dict(matplotlib.rcParams) == before


def test_missing_matplotlib_gives_the_hint(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r'pip install "holmes-vau\[demo\]"'):
        write_report(make_analysis(), make_frames(), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_nothing_is_written_when_drawing_fails(tmp_path):
    (tmp_path / "timeline.png").write_bytes(b"old")
    with pytest.raises(KeyError, match="start_s"):
        write_report(make_analysis(events=()) | {"events": [{"peak_score": 0.9}]}, make_frames(), tmp_path)
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("timeline.png", b"old")]


def test_no_temporary_file_stays_when_writing_fails(tmp_path, monkeypatch):
    def fail(source, target):
        raise OSError("disk full")

    monkeypatch.setattr(files.os, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        write_report(make_analysis(), make_frames(), tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"scores": [0.5]}, r"as many `scores` as `dense_frame_indices` \(50\), got 1"),
        ({"dense_times_s": [0.5]}, r"as many `dense_times_s` as `dense_frame_indices` \(50\), got 1"),
        ({"scores": [], "dense_times_s": [], "dense_frame_indices": []}, "one score per dense frame"),
        ({"scores": [1.5] * 50}, r"probabilities in \[0, 1\], got 1.5"),
        ({"scores": [float("nan")] * 50}, "probabilities"),
        ({"sampled_times_s": [1.0]}, r"as many `sampled_times_s` as `sampled_frame_indices` \(4\), got 1"),
        ({"sampled_times_s": [1.0], "sampled_frame_indices": [25]}, r"`sampled_times_s` .* per frame \(4\), got 1"),
        ({"fps": 0.0}, "`fps` must be positive"),
    ],
)
def test_bad_analysis_is_refused(changes, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        write_report(make_analysis(**changes), make_frames(), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_bad_arguments_are_refused(tmp_path):
    analysis = make_analysis()
    del analysis["answer"], analysis["model"]
    with pytest.raises(ValueError, match="lacks answer, model"):
        write_report(analysis, make_frames(), tmp_path)
    for frames in (make_frames() / 255, make_frames()[0], make_frames().transpose(0, 3, 1, 2), make_frames().tolist()):
        with pytest.raises(ValueError, match=r"uint8 array of shape \(num_sampled, height, width, 3\), got "):
            write_report(make_analysis(), frames, tmp_path)
    with pytest.raises(ValueError, match="at least one frame"):
        write_report(make_analysis(), make_frames(0), tmp_path)
    (tmp_path / "file").write_text("x")
    with pytest.raises(NotADirectoryError, match="must be a folder"):
        write_report(make_analysis(), make_frames(), tmp_path / "file")


def scale_rows(threshold: float) -> list[int]:
    """Where the lines of the plot are that go from left to right, the bottom of the plot being 0."""
    rule = {"threshold": threshold, "low_threshold": threshold / 2, "min_length_s": 1.0}
    analysis = make_analysis(events=(), scores=[0.0] * 50, event_rule=rule)
    picture = open_png(draw_timeline(analysis, make_frames()))[:, layout.PLOT_LEFT + 2 : layout.RIGHT - 2]
    drawn = (picture < 250).any(axis=-1).mean(axis=1) > 0.95
    starts = np.flatnonzero(drawn[1:] & ~drawn[:-1]) + 1
    axis = np.searchsorted(starts, starts[0] + layout.PLOT_HEIGHT + 10)  # below the plot: the axis of time
    return (starts[axis - 1] - starts[:axis]).tolist()


def test_the_line_of_the_threshold_is_that_of_the_analysis():
    height = layout.PLOT_HEIGHT
    assert scale_rows(0.5) == pytest.approx([height, height / 2, 0], abs=2)
    assert scale_rows(0.25) == pytest.approx([height, height / 4, 0], abs=2)
