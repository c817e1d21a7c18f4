import argparse
from dataclasses import fields
from pathlib import Path

import pytest
import torch

from eval.answers import predict
from modeling_holmes_vau import HolmesVAUConfig, sample_frames
from modeling_holmes_vau.cli.analyze import add_video_options
from modeling_holmes_vau.sampler_holmes_vau import (
    SAMPLERS,
    find_runs,
    noise_floor,
)
from tests.original import read_json
from training.options import SFTArguments


README = Path(__file__).parents[1] / "README.md"


def test_every_reference_curve_exactly():
    curves = read_json("sampler_seed0.json")
    assert len(curves) == 60
    for curve in curves:
        chosen = sample_frames(curve["scores"], curve["select_frames"], "ats", curve["tau"])
        assert chosen.tolist() == curve["indices"], curve["kind"]


@pytest.mark.parametrize(
    ("sampler", "scores", "num_frames", "expected"),
    [
        ("uniform", [0.5] * 9, 3, [0, 4, 8]),
        ("uniform", [0.5] * 4, 3, [0, 2, 3]),  # 1.5 rounds half to even
        ("uniform", [0.5], 4, [0, 0, 0, 0]),
        ("top_k", [0.1, 0.9, 0.2, 0.8, 0.7], 2, [1, 3]),
        ("top_k", [0.5, 0.5, 0.5, 0.5], 2, [0, 1]),
        ("top_k", [0.1, 0.9], 4, [0, 0, 1, 1]),
        # cumulative 1, 2, 3, 4 (tau 0.5): points 1, 2.5, 4 -> the earlier of two equally near frames
        ("nearest", [0.5] * 4, 3, [0, 1, 3]),
        ("nearest", [0.0, 0.0, 1.0, 1.0, 0.0, 0.0], 3, [0, 2, 5]),
        ("ats", [0.0] * 20, 4, [0, 6, 13, 19]),  # a calm video: uniform, where the original crashes
        ("ats", [0.0] * 18 + [1.0, 1.0], 4, [10, 18, 19, 19]),
    ],
)
def test_hand_computed(sampler, scores, num_frames, expected):
    tau = 0.5 if sampler == "nearest" else 0.1
    assert sample_frames(scores, num_frames, sampler, tau).tolist() == expected


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("tau", [0.0, 0.1, 0.5, 3.0])
def test_always_n_sorted_indices_in_range(sampler, tau):
    generator = torch.Generator().manual_seed(0)
    for length in (1, 2, 7, 16, 17, 200):
        random = torch.rand(length, generator=generator)
        ramp, spike = torch.linspace(0, 1, length), torch.full((length,), 0.9).index_fill(0, torch.tensor([0]), 0.0)
        for scores in (torch.zeros(length), torch.ones(length), random, random.round(), random**8, ramp, spike):
            for num_frames in (1, 2, 16):
                chosen = sample_frames(scores, num_frames, sampler, tau)
                assert chosen.dtype == torch.int64 and chosen.shape == (num_frames,)
                assert 0 <= chosen.min() and chosen.max() < length
                assert (chosen.diff() >= 0).all()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (([], 4), "num_dense >= 1"),
        (([[0.1, 0.2]], 4), "one video at a time"),
        (([0.1, 1.2], 4), r"lie in \[0, 1\], got 0.1 to 1.2"),
        (([0.1, float("nan")], 4), "lie in"),
        (([0.1], 0), "at least 1, got 0"),
        (([0.1], 2.0), "integer"),
        (([0.1], 4, "best"), "one of ats"),
        (([0.1], 4, "ats", -1.0), "`tau` must be 0 or more"),
    ],
)
def test_bad_arguments_are_refused(arguments, said):
    with pytest.raises(ValueError, match=said):
        sample_frames(*arguments)


def video(length: int, *events: tuple[int, int, float]) -> torch.Tensor:
    """Scores of 0, and those of events `(start, stop, score)`."""
    scores = torch.zeros(length, dtype=torch.float64)
    for start, stop, score in events:
        scores[start:stop] = score
    return scores


@pytest.mark.parametrize(
    ("scores", "num_frames", "tau", "expected"),
    [
        # one frame of eight for the background, in the middle of its longest stretch; seven parts of the event's 16
        (video(40, (16, 32, 1.0)), 8, 0.1, [7, 17, 19, 21, 23, 26, 28, 30]),
        (video(40, (16, 32, 1.0)), 8, 0.0, [16, 18, 20, 22, 24, 26, 28, 30]),
        (video(40, (16, 32, 1.0)), 8, 0.5, [3, 7, 11, 17, 21, 25, 29, 35]),
        # an event has fewer frames than it could: what is over divides the longest stretches before and after it
        (video(20, (10, 13, 1.0)), 6, 0.1, [2, 6, 10, 11, 12, 16]),
        # every event has one before the longest has two; then the largest part is divided
        (video(40, (2, 8, 1.0), (20, 22, 1.0), (30, 34, 1.0)), 3, 0.1, [4, 20, 31]),
        (video(40, (2, 8, 1.0), (20, 21, 1.0), (30, 33, 1.0)), 6, 0.0, [2, 4, 6, 20, 30, 32]),
        (video(40, (2, 6, 1.0), (20, 24, 0.5)), 6, 0.0, [2, 3, 4, 5, 20, 22]),
        # the strongest where they are more than frames: first by mass, then by time
        (video(40, (3, 4, 0.6), (9, 10, 0.9), (15, 16, 0.8), (30, 31, 0.8)), 2, 0.1, [9, 15]),
        (video(40, (3, 4, 0.9), (9, 11, 0.6), (30, 31, 0.8)), 1, 0.1, [9]),
        # events have their frames, though the background then has less than its share
        (video(40, (3, 4, 0.9), (9, 10, 0.9), (30, 31, 0.9)), 4, 0.5, [3, 9, 19, 30]),
        (video(40, (3, 4, 0.9), (9, 10, 0.9), (30, 31, 0.9)), 3, 0.5, [3, 9, 30]),
        # a run that does not reach half of the highest is none, and one that does goes on at three tenths
        (video(12, (3, 4, 1.0), (9, 10, 0.4)), 2, 0.1, [3, 7]),
        (video(12, (2, 5, 0.35), (3, 4, 1.0)), 3, 0.1, [2, 3, 4]),
        (video(12, (2, 5, 0.25), (3, 4, 1.0)), 3, 0.1, [3, 6, 9]),
        # all of it but a frame is high
        (video(10, (1, 10, 0.9)), 9, 0.5, [0, 1, 2, 3, 4, 6, 7, 8, 9]),
        # parts of equal mass, 1.3 each, not of equal length
        (video(11, (6, 10, 0.4), (10, 11, 1.0)), 2, 0.0, [7, 10]),
        # no frame twice, though most of the mass is in the first, or in the last
        (video(12, (4, 5, 1.0), (5, 7, 0.35)), 3, 0.1, [4, 5, 6]),
        (video(12, (4, 6, 0.35), (6, 7, 1.0)), 3, 0.1, [4, 5, 6]),
    ],
)
def test_hand_computed_events(scores, num_frames, tau, expected):
    assert sample_frames(scores, num_frames, "ats_norm", tau).tolist() == expected


def test_the_floor_is_that_of_the_background_however_much_of_it_there_is():
    for events in (1, 10, 30, 39):
        scores = torch.cat((torch.full((40 - events,), 0.3), torch.full((events,), 0.8))).double()
        assert noise_floor(scores) == (pytest.approx(0.3), 0.0)
    assert noise_floor(torch.tensor([0.1, 0.3, 0.9]).double())[0] == pytest.approx(0.2)
    generator = torch.Generator().manual_seed(0)
    for length in (200, 20_000):  # noise alone is all background, and its deviation is known
        floor, deviation = noise_floor(0.4 + 0.08 * torch.randn(length, generator=generator, dtype=torch.float64))
        assert floor == pytest.approx(0.4, abs=0.02) and deviation == pytest.approx(0.08, rel=0.2)


def test_a_run_must_be_more_than_noise_makes():
    noise = torch.linspace(0.1, 0.3, 61, dtype=torch.float64)[torch.arange(61) * 27 % 61]
    assert noise_floor(noise) == (pytest.approx(0.2), pytest.approx(1.4826 * 0.05))
    # a rise of 0.25 is 3.4 deviations, two of them 4.8 of those of two; four of 0.14 are 3.8 of those of four
    for height, length, is_event in ((0.45, 1, False), (0.45, 2, True), (0.34, 4, False)):
        scores = noise.clone()
        scores[28:34] = 0.2
        scores[30 - length // 2 : 30 - length // 2 + length] = height
        assert noise_floor(scores) == (pytest.approx(0.2, abs=0.005), pytest.approx(1.4826 * 0.05, rel=0.15))
        assert len(find_runs(scores, 0.1).starts) == is_event
    assert sample_frames(noise, 8, "ats_norm").tolist() == sample_frames(noise, 8, "ats").tolist()


def test_what_rises_by_no_more_than_tau_is_no_event():
    scores = video(100, (40, 45, 0.25)) + 0.25
    assert sample_frames(scores, 8, "ats_norm", 0.25).tolist() == sample_frames(scores, 8, "ats", 0.25).tolist()
    assert 40 in sample_frames(scores, 8, "ats_norm", 0.24)
    lone = video(100, (40, 41, 0.9))  # `ats`, which asks for a sum of 1, is uniform here
    assert sample_frames(lone, 4, "ats_norm").tolist() == [19, 40, 60, 80]


def test_calibration_does_not_matter():
    generator = torch.Generator().manual_seed(1)
    for _ in range(50):
        scores = 0.05 * torch.rand(300, generator=generator, dtype=torch.float64)
        scores[120:140] = 0.5 + 0.5 * torch.rand(20, generator=generator, dtype=torch.float64)
        scores[200:203] = 0.8
        expected = sample_frames(scores, 16, "ats_norm", 0.1)
        assert sample_frames(0.35 + 0.25 * scores, 16, "ats_norm", 0.1).tolist() == expected.tolist()


def scenes(count: int):
    """Backgrounds of noise and events of chance, and where they are."""
    generator = torch.Generator().manual_seed(2)

    def chance(low: int, high: int) -> int:
        return int(torch.randint(low, high, (), generator=generator))

    for _ in range(count):
        pieces, inside = [], []
        for _ in range(chance(1, 9)):
            gap, event = chance(8, 60), chance(1, 30)
            pieces.append(0.1 + 0.02 * torch.randn(gap, generator=generator))
            pieces.append(0.7 + 0.2 * torch.rand(event, generator=generator))
            inside += [False] * gap + [True] * event
        pieces.append(0.1 + 0.02 * torch.randn(chance(8, 60), generator=generator))
        inside += [False] * len(pieces[-1])
        yield torch.cat(pieces).double().clamp(0, 1), torch.tensor(inside), generator


def test_each_event_has_a_frame_and_no_frame_is_chosen_twice():
    for scores, inside, _ in scenes(100):
        runs = find_runs(scores, 0.1)
        spans = list(zip(runs.starts.tolist(), runs.stops.tolist()))
        assert spans and inside.nonzero()[0, 0] == spans[0][0] and sum(b - a for a, b in spans) == inside.sum()
        for num_frames in (1, 2, 4, 8, 9, 16, 33):
            chosen = sample_frames(scores, num_frames, "ats_norm")
            hit = [any(a <= frame < b for frame in chosen.tolist()) for a, b in spans]
            if len(scores) <= num_frames:
                continue
            assert len(chosen.unique()) == num_frames
            assert sum(hit) == min(len(spans), num_frames)
            if not all(hit):  # those of most mass
                masses = runs.masses[torch.tensor(hit)]
                assert masses.min() >= runs.masses[~torch.tensor(hit)].max()


def test_background_has_its_share_and_no_stretch_of_it_is_left_alone():
    for scores, inside, _ in scenes(100):
        events = len(find_runs(scores, 0.1).masses)
        for num_frames, share in ((8, 1), (16, 2), (33, 3)):
            if len(scores) <= num_frames:
                continue
            chosen = sample_frames(scores, num_frames, "ats_norm")
            outside = int((~inside[chosen]).sum())
            wanted = max(min(share, num_frames - events), num_frames - int(inside.sum()), 0)
            assert outside == wanted


def test_a_longer_video_has_as_many_frames_in_its_events():
    for scores, inside, generator in scenes(100):
        for num_frames in (2, 4, 8, 16):
            before = int(inside[sample_frames(scores, num_frames, "ats_norm")].sum())
            for factor in (1, 4, 16):
                size = factor * len(scores)
                more = (0.1 + 0.02 * torch.randn(size, generator=generator, dtype=torch.float64)).clamp(0, 1)
                place = int((~inside).nonzero()[:, 0][int(factor * 7919) % int((~inside).sum())])
                longer = torch.cat((scores[:place], more, scores[place:]))
                events = torch.cat((inside[:place], torch.zeros(size, dtype=torch.bool), inside[place:]))
                after = int(events[sample_frames(longer, num_frames, "ats_norm")].sum())
                assert abs(after - before) <= 1


def test_the_original_rule_loses_events_as_the_video_grows():
    """What `ats_norm` is for: 16 frames of a video with an event of 20, ever longer."""
    inside = {"ats": [], "ats_norm": []}
    for length in (100, 1000, 10_000):
        scores = video(length, (50, 70, 0.9))
        for sampler, counts in inside.items():
            chosen = sample_frames(scores, 16, sampler)
            counts.append(int(((chosen >= 50) & (chosen < 70)).sum()))
    assert inside == {"ats": [11, 3, 0], "ats_norm": [14, 14, 14]}


def test_samplers_are_listed_wherever_they_are_offered():
    parser = argparse.ArgumentParser()
    add_video_options(parser)
    options = {field.name: field.metadata["help"] for field in fields(SFTArguments)}
    places = [parser.format_help(), options["sampler"], HolmesVAUConfig.__doc__, sample_frames.__doc__]
    places += [README.read_text(encoding="utf-8"), " ".join(predict.SAMPLERS)]
    for sampler in SAMPLERS:
        assert all(sampler in place for place in places), sampler
    assert set(predict.SAMPLERS) == set(SAMPLERS)
