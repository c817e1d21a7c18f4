import pytest
import torch

from modeling_holmes_vau import sample_frames
from tests.original import read_json


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


@pytest.mark.parametrize("sampler", ["ats", "uniform", "top_k", "nearest"])
@pytest.mark.parametrize("tau", [0.0, 0.1])
def test_always_n_sorted_indices_in_range(sampler, tau):
    generator = torch.Generator().manual_seed(0)
    for length in (1, 2, 7, 16, 17, 200):
        for scores in (torch.zeros(length), torch.ones(length), torch.rand(length, generator=generator).round()):
            chosen = sample_frames(scores, 16, sampler, tau)
            assert chosen.dtype == torch.int64 and chosen.shape == (16,)
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
