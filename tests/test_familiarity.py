"""Videos that look like the training and those that do not."""

import pytest
import torch

from modeling_holmes_vau import HolmesVAUForConditionalGeneration, VideoSession
from modeling_holmes_vau.familiarity_holmes_vau import KEPT_PICTURES, Familiarity, Pictures
from tests.videos import moving_square


def videos(count: int, generator: torch.Generator, shift: float = 0.0) -> list[torch.Tensor]:
    """Pictures whose eight numbers vary along three directions, and a little along all."""
    base = torch.randn(3, 8, generator=torch.Generator().manual_seed(9))
    return [
        torch.randn(6, 3, generator=generator) @ base + 0.1 * torch.randn(6, 8, generator=generator) + shift
        for _ in range(count)
    ]


def test_distance_is_that_of_the_whole_covariance_where_all_directions_are_kept():
    known = videos(40, torch.Generator().manual_seed(0))
    familiarity = Familiarity(4, 8).fit(known)
    pictures = torch.cat(known).double()
    inverse = torch.linalg.inv(torch.cov(pictures.T))
    away = known[3].double() - pictures.mean(0)
    expected = torch.einsum("ij,jk,ik->i", away, inverse, away).sqrt().median()
    assert familiarity.distance(known[3]) == pytest.approx(float(expected), rel=1e-3)


def test_what_looks_otherwise_is_told():
    generator = torch.Generator().manual_seed(0)
    familiarity = Familiarity(4, 3).fit(videos(40, generator))
    assert all(familiarity.warning(video) == "" for video in videos(10, generator))
    strange = videos(1, generator, shift=2.0)[0]
    assert "UNLIKE ANYTHING THE MODEL WAS TRAINED ON" in familiarity.warning(strange)
    assert familiarity.warning(None) == ""


def test_few_pictures_of_a_long_video_are_kept_evenly():
    pictures = Pictures()
    assert pictures.statistics is None
    for start in range(0, 6000, 16):
        pictures.add(torch.arange(start, start + 16, dtype=torch.float32)[:, None])
    kept = pictures.statistics[:, 0]
    assert KEPT_PICTURES <= len(kept) <= 2 * KEPT_PICTURES
    assert len(set(kept.diff().tolist())) == 1 and kept[0] == 0 and kept[-1] > 5900


def test_a_checkpoint_keeps_it_and_warns(model56, processor56, tmp_path):
    frames = moving_square(40, 64, 64)
    plain = VideoSession(frames, model56, processor56, fps=10.0)
    assert "UNLIKE" not in plain.warning  # a checkpoint without it says nothing
    model = HolmesVAUForConditionalGeneration.from_pretrained(model56.name_or_path)
    patches = model.encode_frames(torch.zeros(4, 3, 56, 56, dtype=torch.uint8))[:, 1:]
    black = Familiarity.statistics(patches)
    noise = 1e-3 * torch.randn(6, *black.shape, generator=torch.Generator().manual_seed(0))
    model.config.familiarity_rank = 2
    model.familiarity = Familiarity(black.shape[1] // 2, 2).fit([*(black + noise)])
    model.save_pretrained(tmp_path / "saved")
    loaded, info = HolmesVAUForConditionalGeneration.from_pretrained(tmp_path / "saved", output_loading_info=True)
    assert not info["missing_keys"] and not info["unexpected_keys"]
    assert loaded.familiarity.limit == model.familiarity.limit < 1000
    assert "UNLIKE" in VideoSession(frames, loaded.eval(), processor56, fps=10.0).warning
