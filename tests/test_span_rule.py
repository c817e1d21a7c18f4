"""Everything that takes a span of time takes the same frames of it."""

import copy
import doctest
import json
import math
import warnings
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks import bench_spans
from eval.frames.count import count_video
from eval.frames.scores import read_scores, score_video
from eval.frames.truth import read_tests
from hivau70k_dataset.builder import HIVAU70k
from hivau70k_dataset.cli import main as run_dataset
from hivau70k_dataset.ground_truth import at_frame_rate, hivau_frame_annotations, read_ucf_annotation
from hivau70k_dataset.reading import AnnotationFiles, read_annotation_files
from hivau70k_dataset.schema import Clip, Event, VideoAnnotation
from hivau70k_dataset.segments import Cut, cut_segments, read_segment, span_frame_range
from hivau70k_dataset.spans import annotations_from_csv
from hivau70k_dataset.validate import validate
from hivau70k_dataset.videos import VideoFolder
from hivau70k_dataset.writing import write_annotation_files
from modeling_holmes_vau import analyze_video
from modeling_holmes_vau import spans_holmes_vau as module
from modeling_holmes_vau.answering.answerer import middle_frames
from modeling_holmes_vau.answering.local import HolmesVAUAnswerer
from modeling_holmes_vau.frame_rule_holmes_vau import FrameRule, middle_frame_indices
from modeling_holmes_vau.spans_holmes_vau import Segment, is_even_clock, segment_frame_range, span_at_rate
from modeling_holmes_vau.video_reader_holmes_vau import VideoReader
from tests.numbered_videos import number_of, numbers_of, write
from training.feature_cache import FeatureCache
from training.scorer_data import label_frames
from training.sft_data import NamedSegment, choose_frames
from training.word_frames import read_frames


NTSC = Fraction(30000, 1001)
# Borders in frames, of 60, and the frames between them.
EVEN = [
    ((10, 20), (10, 20)),  # on frames
    ((20, 31), (20, 31)),  # adjoins it
    ((10.4, 20.6), (11, 21)),  # between frames
    ((20.6, 31), (21, 31)),
    ((10.4, 10.45), (10, 11)),  # has none: the nearest
    ((10.6, 10.7), (11, 12)),
    ((59, 60), (59, 60)),  # at the end
    ((50.5, 61), (51, 60)),  # and after it, as rounding does
]
GAP_TICKS = [*range(0, 90, 4)] + [*range(9000, 9090, 4)]  # in 1/90 s: 23 frames, a gap of 99 s, 23 frames
VARIABLE_TICKS = [round(i * 90 / 40) if i < 20 else 45 + (i - 20) * 9 for i in range(60)]  # 40, then 10 a second
# Of each video: what it is written with, and spans in seconds with their frames.
VIDEOS = {
    "even.mp4": ({}, [((a / 25, b / 25), frames) for (a, b), frames in EVEN]),
    "ntsc.mp4": ({"rate": NTSC}, [((a / NTSC, b / NTSC), frames) for (a, b), frames in EVEN]),
    # Its times are rounded to the millisecond.
    "rounded.mkv": ({"rate": NTSC}, [((a / NTSC, b / NTSC), frames) for (a, b), frames in EVEN[::2]]),
    # Spans written to the millisecond, as HIVAU-70k does: 0.233 s is 6.99 frames, 0.667 s 20.01.
    "thirds.mp4": ({"rate": 30}, [((0.233, 0.667), (7, 20)), ((0.667, 1.033), (20, 31)), ((1.967, 2.0), (59, 60))]),
    "variable.mp4": (
        {"ticks": VARIABLE_TICKS},
        [((0.0, 0.5), (0, 20)), ((0.5, 1.52), (20, 31)), ((0.25, 1.5), (11, 30)), ((4.4, 4.5), (59, 60))],
    ),
    "gap.mp4": (
        {"ticks": GAP_TICKS, "num_frames": 46},
        [((0.2, 0.6), (5, 14)), ((0.5, 100.2), (12, 28)), ((50.0, 101.0), (23, 46))],
    ),
}
CASES = {
    f"{name} {float(a):.3f}-{float(b):.3f}": (name, (float(a), float(b)), frames)
    for name, (_, spans) in VIDEOS.items()
    for (a, b), frames in spans
}
STOOD_STILL = (20.0, 60.0)  # of gap.mp4
ALL_FRAMES = {"num_frames": 1, "frame_stride": 1}  # options with which every frame of a span is looked at


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("videos")
    for name, (options, _) in VIDEOS.items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            write(folder / name, **{"num_frames": 60, "qp": 0, "preset": "ultrafast", **options})
    return folder


@pytest.fixture(scope="module")
def look(folder, tmp_path_factory, model56, processor56):
    """What each user of the rule takes for a span of a video: a list of frames."""
    return Users(folder, tmp_path_factory.mktemp("out"), model56, processor56)


class Users:
    def __init__(self, folder, output, model, processor):
        self.folder, self.output, self.model, self.processor = folder, output, model, processor
        self.features = FeatureCache(output / "features", model, processor)
        self.scores = {}

    def entry(self, name: str, span: tuple[float, float]) -> VideoAnnotation:
        """As `from-csv` makes it, with a clip."""
        table = self.output / "table.csv"
        table.write_text(f"video,start_s,end_s,label\n{name},{span[0]!r},{span[1]!r},Fire\n")
        (entry,) = annotations_from_csv(table, self.folder, split="test")
        (event,) = entry.events
        return replace(entry, events=(replace(event, clips=(Clip(event.start_s, event.end_s, "It burns."),)),))

    def analyze(self, name, span):
        options = {**ALL_FRAMES, "segment_s": span, "max_new_tokens": 1}
        return analyze_video(str(self.folder / name), self.model, self.processor, **options)["dense_frame_indices"]

    def predict(self, name, span):
        processor = copy.copy(self.processor)
        processor.frame_stride = 1
        answerer = HolmesVAUAnswerer(self.model, processor, num_frames=1, sampler="uniform")
        return answerer.look(Segment(str(self.folder / name), span)).dense_frame_indices.tolist()

    def sft(self, name, span):
        segment = NamedSegment(str(self.folder / name), span)
        rule = FrameRule(**ALL_FRAMES, sampler="uniform", tau=0.1)
        chosen = choose_frames(rule, VideoReader(segment.path), segment, score=None)
        frames = [*range(chosen["first"], chosen["first"] + chosen["count"])]
        assert chosen["frames"] == middle_frame_indices(len(frames), 1, frames[0]) or chosen["frames"] == frames[:1]
        return frames

    def read_segment(self, name, span):
        return [number for frames, _ in read_segment(self.folder / name, *span) for number in numbers_of(frames)]

    def cut(self, name, span):
        target = self.output / f"{Path(name).stem}-{span[0]}-{span[1]}.mp4"
        report = cut_segments([Cut(self.folder / name, target, *span)], workers=1, progress=False)
        if report.failures:
            raise ValueError(report.failures[0][1])
        made = VideoReader(target)
        return numbers_of(made.read(range(made.num_frames)))

    def scorer_labels(self, name, span):
        self.features.extract(name, self.folder / name)
        labels = label_frames(self.entry(name, span), self.features.load(name), "frame")
        return labels.nonzero()[0].tolist()

    def detection_labels(self, name, span):
        annotations = self.output / "detection"
        write_annotation_files(annotations, AnnotationFiles((self.entry(name, span),), ()))
        if name not in self.scores:
            path = self.output / f"{name}.npz"
            np.savez(path, **score_video(str(self.folder / name), self.model, self.processor))
            self.scores[name] = read_scores(path)
        ((_, test),) = read_tests("hivau", str(annotations)).items()
        counted = count_video(test, self.scores[name], self.scores[name].n_frames, "exclusive", "frames")
        return counted.labels.nonzero()[0].tolist()

    def pretraining(self, name, span):
        entry = self.entry(name, span)
        frames = read_frames([entry, entry], VideoFolder(self.folder), clip_stride=1, other_stride=1, image_size=128)
        return (frames.clips == 0).nonzero()[0].tolist()


USERS = ["analyze", "predict", "sft", "read_segment", "cut", "scorer_labels", "detection_labels", "pretraining"]


@pytest.mark.parametrize("user", USERS)
@pytest.mark.parametrize("case", CASES)
def test_everything_takes_the_same_frames_of_a_span(look, user, case):
    name, span, (first, stop) = CASES[case]
    assert getattr(look, user)(name, span) == [*range(first, stop)]


@pytest.mark.parametrize("user", USERS)
def test_everything_refuses_a_span_in_which_the_recording_stood_still(look, user):
    with pytest.raises(ValueError, match=r"stood still from 1.0\d\d to 100.000") as error:
        getattr(look, user)("gap.mp4", STOOD_STILL)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("case", [case for case in CASES if not case.startswith(("variable", "gap"))])
def test_annotations_alone_give_the_same_frames_of_an_even_rate(look, tmp_path, case):
    """What knows no file: the frames in a row of the builder, `validate`, annotations as frames."""
    name, span, (first, stop) = CASES[case]
    entry = look.entry(name, span)
    entry = at_frame_rate(entry, 30 if name == "thirds.mp4" else 25 if name == "even.mp4" else float(NTSC))
    write_annotation_files(tmp_path, AnnotationFiles((entry,), ()))
    ((_, row),) = HIVAU70k(config_name="detection", data_dir=str(tmp_path))._generate_examples("test")
    assert [(event["start_frame"], event["end_frame"]) for event in row["events"]] == [(first, stop)]
    assert hivau_frame_annotations([entry])[entry.video].spans == ((first, stop),)


def test_a_question_to_others_is_about_the_same_frames(folder):
    for name, span, (first, stop) in CASES.values():
        expected = middle_frame_indices(stop - first, 3, first)
        frames = middle_frames(Segment(str(folder / name), span), 3)
        assert [number_of(np.asarray(frame)) for frame in frames] == expected


@pytest.mark.parametrize("fps", [12.5, 16, 24000 / 1001, 24, 25, 27, 30000 / 1001, 30, 30.07, 60, 240])
def test_frames_written_as_seconds_are_found_again(fps):
    """To the last digit or to the millisecond, in files that keep times exactly or to the millisecond."""
    times_s = np.arange(3000) / fps
    clocks = [times_s, np.array([round(time_s, 3) for time_s in times_s.tolist()])]
    for first in (*range(0, 2900, 37), 2899):
        for count in (1, 2, 100):
            exact = first / fps, (first + count) / fps
            for span in (exact, (round(exact[0], 3), round(exact[1], 3))):
                assert span_at_rate(*span, fps) == (first, first + count)
                assert [segment_frame_range(clock, *span) for clock in clocks] == [(first, count)] * 2


@pytest.mark.parametrize("fps", [1000.0, 5000.0])
def test_frames_closer_than_a_millisecond(fps):
    assert span_at_rate(7 / fps, 9 / fps, fps) == (7, 9)
    assert segment_frame_range(np.arange(100) / fps, 7 / fps, 9 / fps) == (7, 2)


@pytest.mark.parametrize("rate", [25, 30, NTSC, Fraction(3007, 100)])
def test_spans_that_adjoin_share_no_frame_and_leave_none_out(rate):
    times_s = np.arange(900) / float(rate)
    rng = np.random.default_rng(0)
    for clock in (times_s, times_s.round(3), np.cumsum(rng.uniform(0.02, 0.2, 900)) - 0.02):
        # Longer than any two frames are apart, so that none is empty.
        borders = [0.0, *np.cumsum(rng.uniform(0.21, 0.5, 50)).tolist()]
        borders = [border for border in borders if border < clock[-1]]
        ranges = [segment_frame_range(clock, *span) for span in zip(borders, [*borders[1:], None])]
        assert [frame for first, count in ranges for frame in range(first, first + count)] == [*range(900)]
        if clock is times_s:
            finite = [*zip(borders, borders[1:])]
            pairs = [(first, first + count) for first, count in ranges[:-1]]
            assert [span_at_rate(*span, float(rate)) for span in finite] == pairs


def test_the_last_frame_may_be_shown_for_long():
    times_s = [0.0, 0.1, 0.2]
    assert segment_frame_range(times_s, 1.0, 2.0, duration_s=4.0) == (2, 1)
    with pytest.raises(ValueError, match="within the video, 0 to 0.300 seconds, got 1.0"):
        segment_frame_range(times_s, 1.0, 2.0)


def test_a_clock_is_even_where_the_rate_tells_every_time(folder):
    even = {name: is_even_clock(reader.timestamps_s, reader.fps) for name, reader in readers(folder)}
    assert even == {name: name in ("even.mp4", "ntsc.mp4", "thirds.mp4") for name in VIDEOS}
    # Within a frame of the rate, so that frames may be counted, but half a frame late.
    assert not is_even_clock((np.arange(50) + (np.arange(50) > 20) / 2) / 25, 25.0)


def readers(folder):
    return [(name, VideoReader(folder / name)) for name in VIDEOS]


def test_a_rate_that_is_written_rounded_moves_no_span(look, caplog):
    """29.97 is written as 30: over an hour that would be 108 frames."""
    entry = VideoAnnotation("a", "mine", "test", 108_000, 30.0, ("Fire",), (Event(3000.0, 3010.0, (), "x"),), "x")
    spans = hivau_frame_annotations([at_frame_rate(entry, float(NTSC))])["a"].spans
    times_s = np.arange(108_000) / float(NTSC)
    first, count = segment_frame_range(times_s, 3000.0, 3010.0)
    assert spans == ((first, first + count),) == ((89_911, 90_210),) and not caplog.text


def test_files_as_the_release_cuts_them(folder, tmp_path, capsys):
    """`int(seconds * fps)`: 0.233 s is 6.99 frames, so it begins with frame 6; ends likewise."""
    video = VideoReader(folder / "thirds.mp4")
    for span, released, ours in [
        ((0.233, 0.667), (6, 20), (7, 20)),
        ((0.667, 1.033), (20, 30), (20, 31)),
        ((1.967, 9.0), (59, 60), (59, 60)),
        ((1.0, 1.01), (30, 31), (30, 31)),
    ]:
        assert span_frame_range(video, *span, rule="release") == released
        assert span_frame_range(video, *span) == ours
    event = Event(0.233, 0.667, (), "Fire")
    entry = VideoAnnotation("thirds", "mine", "test", 60, 30.0, ("Fire",), (event,), "Fire")
    write_annotation_files(tmp_path / "annotations", AnnotationFiles((entry,), ()))
    common = ["cut", "--annotations", str(tmp_path / "annotations"), "--videos", str(folder), "--workers", "1"]
    made = tmp_path / "cut" / "mine" / "events" / "test" / "thirds_E0.mp4"
    for options, frames in (["--rule", "release"], range(6, 20)), ([], range(7, 20)), (["--rule", "time"], None):
        assert run_dataset([*common, "--output", str(tmp_path / "cut"), *options]) == 0
        written = "0 written" if frames is None else "1 written"  # anew where the rule is another
        assert written in capsys.readouterr().out
        reader = VideoReader(made)
        assert numbers_of(reader.read(range(reader.num_frames))) == [*(frames or range(7, 20))]
    with pytest.raises(ValueError, match="`rule` must be one of 'time', 'release', got 'nearest'"):
        Cut(folder / "thirds.mp4", made, 0.0, 1.0, rule="nearest")


def test_released_spans_begin_and_end_with_the_frames_they_were_written_from(released, ground_truth, tmp_path, capsys):
    path = tmp_path / "counts.json"
    bench_spans.main(["--annotations", str(released), "--json", str(path)])
    assert "337 events and 762 clips of 251 videos" in capsys.readouterr().out
    counts = json.loads(path.read_text())
    assert {rule: (row["event"], row["clip"], row["most_frames"]) for rule, row in counts.items()} == {
        "exact": (152, 88, 1),
        "nearest": (0, 0, 0),  # seconds are written to the millisecond: each border is a frame
        "release": (122, 89, 1),
    }
    for entry in read_annotation_files(released).annotations:
        for _, _, _, span_s in entry.segments():
            first, count = segment_frame_range(np.arange(entry.n_frames + 60) / entry.fps, *span_s)
            assert (first, first + count) == span_at_rate(*span_s, entry.fps)
    truth = read_ucf_annotation(ground_truth / "ucf_annotation_with_frames.txt")
    agreement = validate(released, ground_truth=truth).agreement
    assert len(agreement) == 128 and math.isclose(np.mean([*agreement.values()]), 0.97606, abs_tol=1e-5)


def test_examples():
    assert doctest.testmod(module, extraglobs={"torch": torch}) == (0, 4)
