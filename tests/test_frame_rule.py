import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from modeling_holmes_vau import FrameRule, HolmesVAUConfig, open_video, sample_frames
from modeling_holmes_vau.frame_rule_holmes_vau import middle_frame_indices
from modeling_holmes_vau.sampler_holmes_vau import SAMPLERS


RULE = FrameRule(num_frames=4, frame_stride=16)
PROCESSOR = SimpleNamespace(num_frames=4, frame_stride=16)


def test_a_short_video_shows_middle_frames_whatever_the_sampler():
    assert RULE.shown(64) == [7, 23, 39, 54] and RULE.shown(65) is None
    for sampler in ("ats", "uniform"):
        assert dataclasses.replace(RULE, sampler=sampler).choose(64, first=100) == [107, 123, 139, 154]


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_long_one_what_the_sampler_chooses(sampler):
    scores = torch.linspace(0, 1, 30) ** 3
    rule = dataclasses.replace(RULE, sampler=sampler, tau=0.2)
    expected = 5 + 16 * sample_frames(scores, 4, sampler, 0.2)
    assert rule.choose(480, first=5, scores=scores) == expected.tolist()
    assert rule.needs_scores == (sampler != "uniform")
    dense = list(range(1000, 1300, 10))
    assert rule.choose(480, scores=scores, dense=dense) == [dense[i] for i in sample_frames(scores, 4, sampler, 0.2)]


def test_mistakes_are_a_line():
    with pytest.raises(ValueError, match="must be at least 1, got 0 and 16"):
        FrameRule(0, 16)
    with pytest.raises(ValueError, match="'ats' chooses by `scores`, got none"):
        RULE.choose(480)
    with pytest.raises(ValueError, match=r"one entry per dense frame \(30\), got 3"):
        RULE.choose(480, scores=[0.0, 0.1, 0.2])


def test_the_plan_reads_what_is_scored_and_what_is_shown():
    video = open_video(np.zeros((200, 8, 8, 3), np.uint8), fps=10)
    plan = RULE.plan(video, (5.0, 9.0))
    assert (plan.first, plan.count, plan.dense, plan.shown) == (50, 40, [50, 66, 82], RULE.choose(40, 50))
    assert plan.frame_indices == sorted({*plan.dense, *plan.shown}) and plan.end_s == pytest.approx(9.0)
    assert [plan.frame_indices[i] for i in plan.selected] == plan.shown
    whole = RULE.plan(video)
    assert whole.frame_indices == whole.dense == list(range(0, 200, 16)) and whole.selected is None


def test_each_number_has_one_owner(processor56):
    config = HolmesVAUConfig(sampler="top_k", sampler_tau=0.3)
    owned = FrameRule(processor56.num_frames, processor56.frame_stride, "top_k", 0.3)
    assert FrameRule.of(config, processor56) == owned
    assert FrameRule.of(config, processor56, 3, 2, "ats", 0.0) == FrameRule(3, 2, "ats", 0.0)


def test_without_scores_frames_are_spread_over_all_and_nothing_else_is_read():
    rule = FrameRule.of(HolmesVAUConfig(), PROCESSOR, scored=False)
    assert rule.sampler == "uniform" and not rule.scored
    assert rule.shown(1000, 5) == middle_frame_indices(1000, 4, 5)  # however long
    video = open_video(np.zeros((200, 8, 8, 3), np.uint8), fps=10)
    plan = rule.plan(video)
    assert plan.frame_indices == plan.shown == middle_frame_indices(200, 4) and plan.dense == []
    with pytest.raises(ValueError, match="'ats' chooses by scores: without them pass 'uniform'"):
        FrameRule(4, 16, scored=False)
