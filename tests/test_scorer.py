import math

import pytest
import torch

from modeling_holmes_vau import AnomalyScorer, AnomalyScorerConfig
from modeling_holmes_vau.scorer_holmes_vau import distance_column_sums


@pytest.fixture
def scorer():
    torch.manual_seed(0)
    return AnomalyScorer(AnomalyScorerConfig(feature_size=24, hidden_size=32, head_dim=8, dropout=0.0)).eval()


def in_blocks_of(scorer, block_size):
    """The same network, computed in other blocks."""
    other = AnomalyScorer(scorer.config, block_size).eval()
    other.load_state_dict(scorer.state_dict())
    return other


def dense_attention(attention, hidden):
    """The attention as the original writes it: both (T, T) matrices in full."""
    query = attention.split_heads(attention.q_proj(hidden))
    key, value = attention.keys_and_values(hidden)
    distance_value = attention.split_heads(attention.distance_proj(hidden))
    length = hidden.shape[1]
    content = torch.softmax(query @ key.transpose(-1, -2) / math.sqrt(attention.head_dim), dim=-1) @ value
    position = torch.arange(length, dtype=torch.float32)
    weight = torch.exp(-(position[:, None] - position).abs() / math.e)
    weight = weight / weight.sum(-1)  # broadcasts along columns
    merged = torch.cat((content, weight @ distance_value), dim=-1).transpose(1, 2).flatten(2)
    return attention.out_proj(merged)


def dense_scores(scorer, features):
    """The whole network as the original writes it."""
    hidden = torch.relu(scorer.embedding(features.transpose(1, 2))).transpose(1, 2)
    for layer in scorer.layers:
        hidden = hidden + dense_attention(layer.attention, layer.attention_norm(hidden))
        hidden = hidden + layer.fc2(torch.nn.functional.gelu(layer.fc1(layer.mlp_norm(hidden))))
    return scorer.classify(hidden)


@pytest.mark.parametrize("length", [1, 2, 65, 300, 2000])
def test_blocks_equal_the_full_matrices(scorer, length):
    features = torch.randn(2, length, 24)
    expected = dense_scores(scorer, features)
    torch.testing.assert_close(scorer(features), expected, atol=2e-6, rtol=1e-5)
    torch.testing.assert_close(in_blocks_of(scorer, 37)(features), expected, atol=2e-6, rtol=1e-5)


def test_column_sums_are_exact():
    position = torch.arange(50, dtype=torch.float64)
    expected = torch.exp(-(position[:, None] - position).abs() / math.e).sum(0)
    sums = distance_column_sums(torch.tensor([50, 20]), 50, math.e)
    torch.testing.assert_close(sums[0].double(), expected, atol=1e-6, rtol=1e-6)
    expected = torch.exp(-(position[:20, None] - position[:20]).abs() / math.e).sum(0)
    torch.testing.assert_close(sums[1, :20].double(), expected, atol=1e-6, rtol=1e-6)
    assert torch.isinf(sums[1, 20:]).all()


@pytest.mark.parametrize("block_size", [256, 7])
def test_padding_changes_nothing(scorer, block_size):
    scorer = in_blocks_of(scorer, block_size)
    features, lengths = torch.randn(3, 40, 24), torch.tensor([40, 1, 23])
    encoded = scorer.encode(features, lengths)
    for row, length in enumerate(lengths.tolist()):
        alone = scorer.encode(features[row : row + 1, :length])
        torch.testing.assert_close(encoded[row, :length], alone[0], atol=2e-6, rtol=1e-5)


def test_videos_of_a_batch_do_not_mix(scorer):
    features = torch.randn(3, 40, 24)
    together = scorer(features)
    assert together.shape == (3, 40) and ((together > 0) & (together < 1)).all()
    for row in range(3):
        torch.testing.assert_close(together[row], scorer(features[row : row + 1])[0], atol=1e-6, rtol=1e-5)


def test_precision_does_not_follow_the_model(scorer):
    features = torch.randn(1, 20, 24)
    before = scorer(features)
    for lowered in (scorer.to(torch.bfloat16), scorer.half()):
        assert {p.dtype for p in lowered.parameters()} == {torch.float32}
    assert torch.equal(scorer(features), before)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(scorer(features), before)


def test_memory_is_linear_in_the_number_of_frames(scorer):
    """The largest tensor made on the way stays far below the (T, T) matrix of 4000 x 4000."""
    largest = 0

    class Watch(torch.overrides.TorchFunctionMode):
        def __torch_function__(self, func, types, args=(), kwargs=None):
            nonlocal largest
            result = func(*args, **(kwargs or {}))
            if isinstance(result, torch.Tensor):
                largest = max(largest, result.numel())
            return result

    with Watch(), torch.no_grad():
        scorer(torch.randn(1, 4000, 24))
    assert largest < 4000 * 4000 / 3


@pytest.mark.parametrize("shape", [(20, 24), (1, 0, 24), (1, 20, 25)])
def test_bad_features_are_refused(scorer, shape):
    with pytest.raises(ValueError, match=r"\(batch, frames >= 1, 24\), got"):
        scorer(torch.randn(shape))
