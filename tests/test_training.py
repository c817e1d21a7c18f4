"""The scorer's losses: UR-DMU's numbers, padding, and parts of a batch."""

import math
from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F

from modeling_holmes_vau import AnomalyScorer, AnomalyScorerConfig, HolmesVAUForConditionalGeneration
from modeling_holmes_vau.checkpoint.convert import convert
from tests.original import read_json, recipe, write_original_checkpoint
from training.scorer_loss import (
    PRESETS,
    LossWeights,
    frame_bce,
    read_memory,
    scorer_loss,
    top_k_mask,
    urdmu_losses,
    video_bce,
)


@torch.no_grad()
def test_the_numbers_of_ur_dmu(tmp_path):
    expected = read_json("scorer_losses_seed0.json")
    original = write_original_checkpoint(tmp_path / "original", width=1024)
    folder = convert(original, original / "anomaly_scorer.pth", tmp_path / "converted")
    scorer = HolmesVAUForConditionalGeneration.from_pretrained(folder).anomaly_scorer.eval()
    features = torch.from_numpy(recipe.tensor("training_features", (4, 48, 1024), 0))
    losses = urdmu_losses(scorer, features)
    assert losses["triplet"].item() == pytest.approx(expected["triplet_margin"], rel=1e-4)
    assert losses["kl"].item() == pytest.approx(expected["kl_loss"], rel=1e-4)
    for name in ("A_att", "N_att", "A_Natt", "N_Aatt"):
        torch.testing.assert_close(losses[name], torch.tensor(expected[name]), rtol=1e-4, atol=0)
    assert set(losses["memory_bce"]) == set(expected["memory_bce"])
    for name, value in expected["memory_bce"].items():
        assert losses["memory_bce"][name].item() == pytest.approx(value, rel=1e-4)
    # The abnormal half is not noisy in its own memory: with no noise at all, training and scoring agree.
    zeros = torch.zeros(2, 48, 512)
    torch.testing.assert_close(urdmu_losses(scorer, features, noise=zeros)["scores"], scorer(features))


@pytest.fixture
def scorer():
    torch.manual_seed(0)
    return AnomalyScorer(AnomalyScorerConfig(feature_size=24, hidden_size=32, head_dim=8, dropout=0.0))


def batch(pairs: int = 2, size: int = 40):
    generator = torch.Generator().manual_seed(1)
    features = torch.randn(2 * pairs, size, 24, generator=generator)
    labels = torch.rand(2 * pairs, size, generator=generator)
    labels[:pairs] = 0
    return features, labels, torch.randn(pairs, size, 32, generator=generator)


ALL = LossWeights(*[1.0] * 10)


def test_padding_changes_no_term(scorer):
    features, labels, noise = batch(pairs=1)
    lengths = torch.tensor([17, 33])
    _, terms = scorer_loss(scorer, features, labels, ALL, lengths, noise)
    # Whatever stands in the padding.
    features[0, 17:], features[1, 33:], labels[0, 17:], labels[1, 33:], noise[0, 17:] = 9.0, -9.0, 1.0, 0.5, 3.0
    _, again = scorer_loss(scorer, features, labels, ALL, lengths, noise)
    torch.testing.assert_close(again, terms)
    _, alone = scorer_loss(scorer, features[:, :17], labels[:, :17], ALL, noise=noise[:, :17])
    for name in ("normal_memory", "normal_not_abnormal", "kl"):  # of the normal video only
        torch.testing.assert_close(alone[name], terms[name])


def test_the_loss_of_a_batch_is_the_mean_of_its_parts(scorer):
    features, labels, noise = batch(pairs=4)
    lengths = torch.tensor([40, 3, 17, 28, 40, 5, 33, 16])
    whole, _ = scorer_loss(scorer, features, labels, ALL, lengths, noise)
    parts = []
    for pair in range(4):
        rows = [pair, pair + 4]
        loss, _ = scorer_loss(scorer, features[rows], labels[rows], ALL, lengths[rows], noise[[pair]])
        parts.append(loss)
    torch.testing.assert_close(whole, torch.stack(parts).mean(), rtol=1e-5, atol=1e-5)


def test_terms_by_hand():
    scores = torch.tensor([[0.9, 0.2, 0.4, 0.7], [0.1, 0.6, 0.5, 0.5]])
    labels = torch.tensor([[1.0, 0.0, 0.0, 1.0], [0.0, 1.0, 0.0, 0.0]])
    lengths = torch.tensor([4, 2])
    first = -(math.log(0.9) + math.log(0.8) + math.log(0.6) + math.log(0.7)) / 4
    second = -(math.log(0.9) + math.log(0.6)) / 2
    assert frame_bce(scores, labels, lengths).item() == pytest.approx((first + second) / 2)
    assert video_bce(scores, lengths, 1.0).item() == pytest.approx(-(math.log(0.9) + math.log(0.6)) / 2)
    long = torch.arange(40.0)[None]
    assert top_k_mask(long, torch.tensor([40])).nonzero()[:, 1].tolist() == [37, 38, 39]
    assert top_k_mask(long, torch.tensor([15])).nonzero()[:, 1].tolist() == [14]


def test_the_sum_of_eq_5_by_brute_force(scorer):
    """Every snippet of every video one by one, padded ones left out; scores and labels in their right places."""
    features, labels, noise = batch(pairs=2)
    lengths = torch.tensor([40, 7, 19, 33])
    losses = urdmu_losses(scorer, features, lengths, noise)
    sums = []
    for video in range(4):
        total = 0.0
        for i in range(int(lengths[video])):
            score, label = losses["scores"][video, i].item(), labels[video, i].item()
            total -= label * math.log(score) + (1 - label) * math.log(1 - score)
        sums.append(total)
    _, terms = scorer_loss(scorer, features, labels, PRESETS["paper"], lengths, noise)
    assert terms["frame_sum"].item() == pytest.approx(sum(sums) / 4, rel=1e-5)
    means = [total / int(length) for total, length in zip(sums, lengths)]
    assert terms["frame"].item() == pytest.approx(sum(means) / 4, rel=1e-5)


def test_the_terms_of_the_paper_keep_their_ratio_at_any_length(scorer):
    """L_AS and L_KL are both sums over time: in videos of 200 snippets each is about five times that of 40, so that
    neither drowns the other as videos grow."""
    ratios = {}
    for size in (40, 200):
        features, labels, noise = batch(pairs=2, size=size)
        loss, terms = scorer_loss(scorer, features, labels, PRESETS["paper"], noise=noise)
        torch.testing.assert_close(terms["frame_sum"], size * terms["frame"])
        torch.testing.assert_close(loss, terms["frame_sum"] + terms["triplet"] + terms["kl"])
        ratios[size] = {name: (terms[name] / terms["kl"]).item() for name in ("frame_sum", "frame")}
    assert ratios[200]["frame_sum"] == pytest.approx(ratios[40]["frame_sum"], rel=0.1)
    assert ratios[200]["frame"] == pytest.approx(ratios[40]["frame"] / 5, rel=0.1)


def test_presets_that_are_not_the_paper_have_the_mean():
    for preset in ("default", "urdmu"):
        assert (PRESETS[preset].frame, PRESETS[preset].frame_sum) == (1.0, 0.0)
    paper = LossWeights(frame=0.0, frame_sum=1.0, triplet=1.0, kl=1.0)
    assert PRESETS["paper"] == paper


def test_distance_by_hand(scorer):
    """UR-DMU's margin of 100 between the norms of what the memories say of abnormal and of normal snippets."""
    features, _, noise = batch(pairs=2)
    losses = urdmu_losses(scorer, features, noise=noise)
    hidden, count = scorer.encode(features, torch.full((4,), features.shape[1])), features.shape[1] // 16 + 1
    gaps = []
    for pair in range(2):
        attention, reading = read_memory(scorer.abnormal_memory, hidden[2 + pair : 3 + pair])
        top = attention[0].topk(count).indices
        abnormal = scorer.mean_proj(reading)[0, top].mean(0).norm()
        attention, reading = read_memory(scorer.normal_memory, hidden[pair : pair + 1])
        top = attention[0].topk(count).indices
        mean, deviation = scorer.mean_proj(reading)[0], (0.5 * scorer.variance_proj(reading)[0]).exp()
        gaps.append(max(0.0, (100 - abnormal + (mean + noise[pair] * deviation)[top].mean(0).norm()).item()))
    assert losses["distance"].item() == pytest.approx(sum(gaps) / 2, rel=1e-5)


def test_weights_choose_the_terms(scorer):
    features, labels, noise = batch()
    only = LossWeights(frame=0.0, triplet=2.0)
    loss, terms = scorer_loss(scorer, features, labels, only, noise=noise)
    torch.testing.assert_close(loss, 2 * terms["triplet"])
    loss, terms = scorer_loss(scorer, features, labels, PRESETS["paper"], noise=noise)
    torch.testing.assert_close(loss, terms["frame_sum"] + terms["triplet"] + terms["kl"])
    weak = replace(PRESETS["urdmu"], frame=0.0, video=1.0)
    loss, terms = scorer_loss(scorer, features, labels, weak, noise=noise)
    memory = sum(terms[name] for name in terms if "memory" in name or "not" in name)
    expected = terms["video"] + 0.1 * terms["triplet"] + 0.001 * terms["kl"] + 1e-4 * terms["distance"] + 0.1 * memory
    torch.testing.assert_close(loss, expected)


def test_mixed_precision_ends_before_the_losses(scorer, monkeypatch):
    features, labels, noise = batch()
    expected = {name: term.item() for name, term in scorer_loss(scorer, features, labels, ALL, noise=noise)[1].items()}
    cross_entropy, lowered = F.binary_cross_entropy, []
    monkeypatch.setattr(
        F,
        "binary_cross_entropy",
        lambda *args, **kwargs: lowered.append(torch.is_autocast_enabled("cpu")) or cross_entropy(*args, **kwargs),
    )
    with torch.autocast("cpu", torch.bfloat16):
        terms = scorer_loss(scorer, features, labels, ALL, noise=noise)[1]
    assert len(lowered) == 6 and not any(lowered)  # CUDA refuses them under autocast
    assert {term.dtype for term in terms.values()} == {torch.float32}
    for name, term in terms.items():
        assert term.item() == pytest.approx(expected[name], rel=0.05, abs=0.01)


def test_every_weight_of_the_scorer_learns(scorer):
    features, labels, noise = batch()
    scorer_loss(scorer, features, labels, ALL, noise=noise)[0].backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in scorer.parameters())


def test_a_batch_without_two_halves_is_refused(scorer):
    for shape in ((3, 20, 24), (20, 24), (0, 20, 24)):
        with pytest.raises(ValueError, match="even B >= 2"):
            urdmu_losses(scorer, torch.randn(shape))
