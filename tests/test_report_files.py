"""The page as a hierarchy, the table and the subtitles of a report, with what was said of events and clips."""

import base64
import csv
import io
import json
import re
import shutil
import subprocess

import numpy as np
import pytest
from PIL import Image

from modeling_holmes_vau.report import layout
from modeling_holmes_vau.report.events import ShownEvent, list_events
from modeling_holmes_vau.report.subtitles import build_srt, build_vtt, list_cues
from modeling_holmes_vau.report.write import write_report
from tests.test_report import NASTY_NAME, Page, make_analysis, make_frames
from tests.videos import write_video


needs_ffmpeg = pytest.mark.skipif(not shutil.which("ffmpeg"), reason="no ffmpeg is installed, which reads subtitles")
JUDGED = "An anomaly exists, specifically a Shooting anomaly."
DOUBT = 'A man <b>"shoots"</b> & runs --> away, {\\an8}\n\nand falls.'


def described(**changes):
    """Two events, the first with three clips, the second without any."""
    clips = [{"start_s": 4.0 * i, "end_s": 4.0 * i + 4, "caption": f"Clip {i}."} for i in (1, 2, 3)]
    first = {"start_s": 4.0, "end_s": 16.0, "judgement": JUDGED, "description": DOUBT, "analysis": "Guns kill."}
    second = {"start_s": 20.0, "end_s": 30.5, "judgement": "An anomaly exists.", "description": "A second, \u76d1."}
    whole = {"summary": "All.", "judgement": JUDGED, "description": "A man runs.\n\nHe falls.", "analysis": "Why not."}
    events = [first | {"summary": "s", "clips": clips}, second | {"analysis": None, "summary": "s", "clips": []}]
    return make_analysis(
        events=((4.0, 16.0, 0.9), (20.0, 30.5, 0.75)), annotation={"events": events, **whole}, **changes
    )


def write(tmp_path, analysis=None, read=None):
    return write_report(analysis or described(), make_frames(), tmp_path, read=read)


def test_video_events_and_clips_follow_each_other(tmp_path):
    text = "".join(Page(write(tmp_path)["report"].read_text(encoding="utf-8")).texts)
    words = ["What happens here?", "He falls.", JUDGED, "Why not.", "Event 1: Shooting", "12.0 s", "peak score 0.90"]
    words += [DOUBT, "Guns kill.", "0:04.0", "Clip 1.", "0:08.0", "Clip 2.", "Clip 3.", "Event 2", "10.5 s"]
    places = [0]
    for part in [*words, "A second, \u76d1.", "File and run"]:
        places.append(text.find(part, places[-1]))
        assert places[-1] >= 0, part
    assert text.count("He falls.") == 1  # the answer is the description too


def test_a_level_that_was_not_asked_for_has_no_words(tmp_path):
    text = "".join(Page(write(tmp_path, make_analysis())["report"].read_text(encoding="utf-8")).texts)
    assert "Judgement" not in text and "Event 1" not in text and "Peak score" in text
    whole = make_analysis(annotation={"events": [], "judgement": JUDGED, "description": None, "analysis": None})
    text = "".join(Page(write(tmp_path, whole)["report"].read_text(encoding="utf-8")).texts)
    assert "Judgement" in text and "Description" not in text and "Peak score" in text


def test_further_questions_are_on_the_page(tmp_path):
    turns = [{"question": f"Why {i}?", "answer": f"So {i}."} for i in (1, 2, 3)]
    page = Page(write(tmp_path, make_analysis(answers=turns, prompt="Why 1?", answer="So 1."))["report"].read_text())
    text = "".join(page.texts)
    assert all(text.count(word) == 1 for turn in turns for word in turn.values())


def test_each_clip_shows_a_frame(tmp_path):
    """Of a clip without a chosen frame that with the highest score is read, and none twice."""
    asked = []

    def read(indices):
        asked.append(list(indices))
        return [np.full((36, 64, 3), 7 * i, np.uint8) for i, _ in enumerate(indices)]

    analysis = described(scores=[0.1] * 50, sampled_times_s=[5.0, 6.0, 25.0, 35.0])
    times_s, index = analysis["dense_times_s"], analysis["dense_frame_indices"]
    best = [max(i for i in range(50) if times_s[i] < 12), min(i for i in range(50) if times_s[i] >= 12)]
    for i in best:
        analysis["scores"][i] = 0.8
    page = Page(write(tmp_path, analysis, read)["report"].read_text(encoding="utf-8"))
    assert asked == [[index[i] for i in best]]
    clocks = [re.search(r"at (\S+)$", attrs["alt"])[1] for tag, attrs in page.tags if tag == "img"]
    own = [f"0:{times_s[i]:04.1f}" for i in best]
    assert clocks == ["0:05.0", "0:06.0", "0:25.0", "0:35.0", "0:05.0", "0:06.0", *own, "0:25.0"]


def test_the_curve_is_drawn_where_it_is(tmp_path):
    """Events, chosen frames and points lie at their times, in thousandths of the width."""
    analysis = described(scores=[0.25] * 50, sampled_times_s=[0.0, 10.0, 20.0, 39.0])
    page = Page(write(tmp_path, analysis)["report"].read_text(encoding="utf-8"))
    shades = [(float(a["x"]), float(a["width"])) for tag, a in page.tags if tag == "rect"]
    assert shades == [(100.0, 300.0), (500.0, 262.5)]
    marks = [(a["class"], a["d"]) for _, a in page.tags if a.get("class", "").startswith("mark")]
    assert marks == [("mark", "M0.00 75.00h0"), ("mark in-event", "M250.00 75.00h0")] + [
        ("mark in-event", "M500.00 75.00h0"), ("mark", "M975.00 75.00h0")
    ]  # fmt: skip
    (plot,) = (a for _, a in page.tags if a.get("class") == "plot")
    points = [tuple(map(float, pair.split(","))) for pair in plot["data-points"].split()]
    assert len(points) == 50 and points[0] == (0.0, 0.25) and points[-1][0] == pytest.approx(39.96)
    assert (plot["data-start"], plot["data-end"]) == ("0.0", "40.0")
    assert any(a.get("class") == "threshold" and a["d"] == "M0 50H1000" for _, a in page.tags)


def test_a_gap_parts_the_curve_of_the_page(tmp_path):
    times_s = [*np.linspace(0, 9, 25), *np.linspace(31, 40, 25)]
    gap = make_analysis(events=(), dense_times_s=times_s, sampled_times_s=[0.0, 1, 2, 3], gaps_s=[[10.0, 30.0]])
    page = Page(write(tmp_path, gap)["report"].read_text(encoding="utf-8"))
    lines = [a["d"] for _, a in page.tags if a.get("class") == "line"]
    assert len(lines) == 2 and max(float(x) for x in re.findall(r"[ML]([\d.]+) ", lines[0])) == 250.0


def test_few_ticks_on_a_phone():
    assert layout.ticks(0, 36000, 5) == [(0, "0:00"), (7200, "2:00:00"), (14400, "4:00:00"), (21600, "6:00:00"),
                                         (28800, "8:00:00"), (36000, "10:00:00")]  # fmt: skip


@pytest.mark.parametrize("kind", ["one frame", "many events", "normal"])
def test_pages_of_all_kinds_are_whole(tmp_path, kind):
    events = tuple((60.0 * i, 60.0 * i + 1, 0.5 + i / 2000) for i in range(600))
    analysis = {
        "one frame": make_analysis(num_frames=1, num_dense=1, duration_s=0.04, events=()),
        "many events": make_analysis(duration_s=36000.0, num_dense=56250, events=events, video=NASTY_NAME),
        "normal": make_analysis(events=(), warning="one | two"),
    }[kind]
    paths = write_report(analysis, make_frames(len(analysis["sampled_times_s"])), tmp_path)
    page = Page(paths["report"].read_text(encoding="utf-8"))
    assert page.open == [] and paths["report"].stat().st_size < 500_000
    labels = [a for _, a in page.tags if a.get("style", "").startswith("left:") and a.get("class") == "seek"]
    assert (4 <= len(labels) <= 15 and labels[-1]["title"] == "Event 600") if kind == "many events" else not labels


def test_the_table(tmp_path):
    rows = list(csv.DictReader(io.StringIO(write(tmp_path)["table"].read_bytes().decode("utf-8"), newline="")))
    assert rows[0] == {"event": "1", "start_s": "4.0", "end_s": "16.0", "start": "0:04.0", "end": "0:16.0",
                       "peak_score": "0.9", "class": "Shooting",
                       "judgement": JUDGED, "description": DOUBT}  # fmt: skip
    assert [rows[1][name] for name in ("event", "class", "description")] == ["2", "", "A second, \u76d1."]
    plain = write(tmp_path, make_analysis(events=()))["table"].read_text()
    assert plain.splitlines() == ["event,start_s,end_s,start,end,peak_score,class,judgement,description"]


def test_the_subtitles(tmp_path):
    paths = write(tmp_path)
    vtt = paths["vtt"].read_text(encoding="utf-8").split("\n\n")
    assert vtt[0] == "WEBVTT" and len(vtt) == 6
    said = 'A man &lt;b&gt;"shoots"&lt;/b&gt; &amp; runs --&gt; away, {\\an8} and falls.'
    assert vtt[1] == f"00:00:04.000 --> 00:00:06.000\nEvent 1: Shooting\n{said}"
    assert vtt[2] == "00:00:06.000 --> 00:00:08.000\nEvent 1: Shooting\nClip 1."
    assert vtt[5] == "00:00:20.000 --> 00:00:30.500\nEvent 2\nA second, \u76d1.\n"
    srt = paths["srt"].read_text(encoding="utf-8").split("\n\n")
    said = 'A man \u2039b\u203a"shoots"\u2039/b\u203a & runs --\u203a away, (\\an8) and falls.'
    assert srt[0] == f"1\n00:00:04,000 --> 00:00:06,000\nEvent 1: Shooting\n{said}" and len(srt) == 5


def test_no_two_subtitles_at_once():
    def event(number, start_s, end_s):
        return ShownEvent(number, start_s, end_s, 0.8, {}, [])

    cues = list_cues([event(2, 3.0, 9.0), event(1, 1.0, 5.0), event(3, 9.0001, 9.0002), event(4, 7200.5, 7201.0)])
    assert [cue[:3] for cue in cues] == [
        (1000, 3000, "Event 1"), (3000, 9000, "Event 2"), (7200500, 7201000, "Event 4")
    ]  # fmt: skip
    assert cues[0].text == "Peak score 0.80"
    assert build_vtt([]) == "WEBVTT\n" and build_srt([]) == ""
    assert "02:00:00.500 --> 02:00:01.000" in build_vtt([event(4, 7200.5, 7201.0)])


@needs_ffmpeg
@pytest.mark.parametrize("kind", ["vtt", "srt"])
def test_a_player_reads_the_subtitles(tmp_path, kind):
    """Put into the video and read back, each cue has its times and words."""
    paths = write(tmp_path)
    clip = write_video(tmp_path / "clip.mp4", num_frames=50)
    both, back = tmp_path / "both.mkv", tmp_path / "back.srt"
    run = ["ffmpeg", "-v", "error", "-xerror"]
    codec = "webvtt" if kind == "vtt" else "srt"
    made = [*run, "-i", clip, "-i", paths[kind], "-map", "0:v", "-map", "1:s", "-c:v", "copy", "-c:s", codec, both]
    assert subprocess.run(made, capture_output=True, text=True, check=True).stderr == ""
    subprocess.run([*run, "-i", both, "-map", "0:s", back], check=True, capture_output=True)
    cues = [block.split("\n") for block in back.read_text(encoding="utf-8").strip().split("\n\n")]
    events = list_events(described())
    want = [(cue.start_ms, cue.title) for cue in list_cues(events)]
    assert [(stamp(cue[1].split(" --> ")[0]), cue[2]) for cue in cues] == want
    assert [stamp(cue[1].split(" --> ")[1]) for cue in cues] == [cue.end_ms for cue in list_cues(events)]
    assert "runs" in cues[0][3] and "and falls." in cues[0][3] and cues[-1][3] == "A second, \u76d1."


@needs_ffmpeg
def test_the_subtitles_show_over_the_video(tmp_path):
    filters = subprocess.run(["ffmpeg", "-v", "quiet", "-filters"], capture_output=True, text=True).stdout
    if " subtitles " not in filters:
        pytest.skip("this ffmpeg has no filter that draws subtitles")
    write(tmp_path)
    clip = write_video(tmp_path / "clip.mp4", frames=np.zeros((50, 240, 320, 3), np.uint8), rate=5)
    draw = [
        "ffmpeg",
        "-v",
        "error",
        "-i",
        clip.name,
        "-vf",
        "subtitles=events.srt",
        "-fps_mode",
        "passthrough",
        "%d.png",
    ]
    subprocess.run(draw, cwd=tmp_path, check=True, capture_output=True)
    ink = [np.asarray(Image.open(tmp_path / f"{i}.png").convert("L")).max() for i in (5, 15, 25, 50)]  # 0.8 to 9.8 s
    assert ink[0] < 40 and ink[3] > 200 and ink[2] > 200 and ink[1] < 40


def stamp(text: str) -> int:
    hours, minutes, seconds = text.replace(",", ".").split(":")
    return round(1000 * (3600 * int(hours) + 60 * int(minutes) + float(seconds)))


def test_nothing_is_written_when_a_frame_cannot_be_read(tmp_path):
    def read(indices):
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        write(tmp_path / "out", described(sampled_times_s=[0.0, 1.0, 2.0, 3.0]), read)
    assert not (tmp_path / "out").exists()


def test_the_thumbnail_is_the_chosen_frame_with_the_highest_score(tmp_path):
    scores = [0.1] * 50
    scores[33] = scores[32] = 0.9  # the third of four chosen frames
    data = write(tmp_path, make_analysis(scores=scores))["thumbnail"].read_bytes()
    picture = np.asarray(Image.open(io.BytesIO(data)))
    assert picture.shape == (36, 64, 3) and np.abs(picture.astype(int) - make_frames()[2]).max() <= 4
    assert base64.b64encode(data)[:4] == b"/9j/" and json.loads((tmp_path / "analysis.json").read_text())
