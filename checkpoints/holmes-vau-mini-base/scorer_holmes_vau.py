"""The anomaly scorer: class tokens of the dense frames in, one anomaly probability per frame out.

It is the test branch of UR-DMU (Zhou et al., AAAI 2023), exact, with memory linear in the number of frames: content
attention runs through scaled-dot-product attention, distance attention as a banded matrix product, block by block.
"""

import math

import torch
from torch import nn
from torch.nn import functional as F


# Distance attention is cut at this distance: exp(-64 / e) is 6e-11, far below float32 resolution of the sum.
DISTANCE_RADIUS = 64
# Rows that are computed together: bounds the memory of everything but the keys, the values and the layer's two ends.
BLOCK_SIZE = 256


def row_blocks(length: int, size: int) -> list[tuple[int, int]]:
    """`(start, stop)` of consecutive blocks of at most `size` rows."""
    return [(start, min(start + size, length)) for start in range(0, length, size)]


def distance_column_sums(lengths: torch.Tensor, size: int, scale: float) -> torch.Tensor:
    """Sum over i of exp(-|i - j| / scale) for each source position j: the original normalises columns, not rows.

    Args:
        lengths (`torch.LongTensor` of shape `(B,)`): Positions of each video.
        size (`int`): Positions of the longest; those past the end of a video get infinity, so that they count nothing.
        scale (`float`): Distance at which the weight has fallen to 1 / e.

    Returns:
        `torch.FloatTensor` of shape `(B, size)`.
    """
    decay = math.exp(-1.0 / scale)
    position = torch.arange(size, dtype=torch.float64, device="cpu")
    after = lengths.to("cpu", torch.float64)[:, None] - position  # (B, size)
    # Two geometric series that share the term of distance 0: distances 0..j to the left, 0..length-1-j to the right.
    left, right = ((1.0 - decay**terms) / (1.0 - decay) for terms in (position + 1, after))
    sums = torch.where(after > 0, left + right - 1.0, math.inf)
    return sums.to(device=lengths.device, dtype=torch.float32)


def snippet_mask(lengths: torch.Tensor, size: int) -> torch.Tensor:
    """Which of `size` positions are snippets of videos of these lengths `(B,)`, and not padding: `(B, size)`, bool."""
    return torch.arange(size, device=lengths.device) < lengths[:, None]


class ScorerAttention(nn.Module):
    """Content attention and distance attention side by side, concatenated within each head."""

    def __init__(self, config):
        super().__init__()
        self.num_heads = config.num_attention_heads
        self.head_dim = config.head_dim
        self.distance_scale = config.distance_scale
        inner_size = self.num_heads * self.head_dim
        self.q_proj = nn.Linear(config.hidden_size, inner_size, bias=False)
        self.k_proj = nn.Linear(config.hidden_size, inner_size, bias=False)
        self.v_proj = nn.Linear(config.hidden_size, inner_size, bias=False)
        # Values of the distance attention (the fourth part of UR-DMU's `to_qkv`).
        self.distance_proj = nn.Linear(config.hidden_size, inner_size, bias=False)
        self.out_proj = nn.Linear(2 * inner_size, config.hidden_size)
        self.dropout = nn.Dropout(config.dropout)

    def split_heads(self, projected: torch.Tensor) -> torch.Tensor:
        """`(B, rows, heads * head_dim)` -> `(B, heads, rows, head_dim)`."""
        return projected.unflatten(-1, (self.num_heads, self.head_dim)).transpose(1, 2)

    def keys_and_values(self, hidden: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Keys and values of all rows, `(B, heads, T, head_dim)` each."""
        return self.split_heads(self.k_proj(hidden)), self.split_heads(self.v_proj(hidden))

    def forward(
        self,
        rows: torch.Tensor,
        around: torch.Tensor,
        offset: int,
        key: torch.Tensor,
        value: torch.Tensor,
        sums: torch.Tensor,
        mask: torch.Tensor | None,
    ) -> torch.Tensor:
        """
        Attention output of a block of rows.

        Args:
            rows (`torch.Tensor` of shape `(B, rows, hidden_size)`): The block.
            around (`torch.Tensor` of shape `(B, window, hidden_size)`): The block and its neighbours in reach.
            offset (`int`): Position of the block's first row in `around`.
            key, value (`torch.Tensor` of shape `(B, heads, T, head_dim)`): Those of all rows.
            sums (`torch.Tensor` of shape `(B or 1, window)`): [`distance_column_sums`] of the rows in `around`.
            mask (`torch.BoolTensor` of shape `(B, 1, 1, T)`, *optional*): Which rows are snippets and not padding.
        """
        query = self.split_heads(self.q_proj(rows))
        # Head by head: the CPU kernel copies the keys and values it is given.
        heads = zip(query.split(1, dim=1), key.split(1, dim=1), value.split(1, dim=1))
        content = torch.cat([F.scaled_dot_product_attention(q, k, v, mask) for q, k, v in heads], dim=1)
        near = self.split_heads(self.distance_proj(around)) / sums[:, None, :, None]  # (B, heads, window, head_dim)
        target = torch.arange(offset, offset + rows.shape[1], device=rows.device, dtype=torch.float32)[:, None]
        source = torch.arange(around.shape[1], device=rows.device, dtype=torch.float32)
        distance = torch.exp(-(target - source).abs() / self.distance_scale) @ near
        merged = torch.cat((content, distance), dim=-1).transpose(1, 2).flatten(2)  # (B, rows, 2 * inner_size)
        return self.dropout(self.out_proj(merged))


class ScorerLayer(nn.Module):
    """Pre-norm transformer layer of the scorer."""

    def __init__(self, config, block_size: int):
        super().__init__()
        self.block_size = block_size
        self.attention_norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.attention = ScorerAttention(config)
        self.mlp_norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.fc1 = nn.Linear(config.hidden_size, config.intermediate_size)
        self.fc2 = nn.Linear(config.intermediate_size, config.hidden_size)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, hidden: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        """`(B, T, hidden_size)` -> the same, block by block over T; past `lengths` `(B,)` is padding."""
        length, mask = hidden.shape[1], None
        key, value = self.attention.keys_and_values(self.attention_norm(hidden))
        if lengths is not None:
            mask = snippet_mask(lengths, length)[:, None, None]
        every = torch.tensor([length], device=hidden.device) if lengths is None else lengths
        sums = distance_column_sums(every, length, self.attention.distance_scale)
        output = torch.empty_like(hidden)  # filled in place: a list of blocks would be held twice when joined
        for start, stop in row_blocks(length, self.block_size):
            low, high = max(0, start - DISTANCE_RADIUS), min(length, stop + DISTANCE_RADIUS)
            around = self.attention_norm(hidden[:, low:high])
            rows = around[:, start - low : stop - low]
            block = hidden[:, start:stop] + self.attention(
                rows, around, start - low, key, value, sums[:, low:high], mask
            )
            update = self.fc2(self.dropout(F.gelu(self.fc1(self.mlp_norm(block)))))
            output[:, start:stop] = block + self.dropout(update)
        return output


class MemoryBank(nn.Module):
    """Prototypes that every snippet reads with a sigmoid gate (UR-DMU's `Memory_Unit`)."""

    def __init__(self, config):
        super().__init__()
        self.prototypes = nn.Parameter(torch.empty(config.memory_size, config.hidden_size))

    def gate(self, hidden: torch.Tensor) -> torch.Tensor:
        """How much each snippet reads of each prototype: `(B, T, hidden_size)` -> `(B, T, memory_size)`, in (0, 1)."""
        return torch.sigmoid(hidden @ self.prototypes.T / self.prototypes.shape[1] ** 0.5)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        return self.gate(hidden) @ self.prototypes  # (B, T, hidden_size)


class AnomalyScorer(nn.Module):
    """
    UR-DMU anomaly scorer, evaluation branch (paper Sec. 4.2, phi_s).

    It computes in float32 and keeps its weights in float32 whatever the dtype of the model around it.

    Args:
        config (`AnomalyScorerConfig`):
            Sizes of the network.
        block_size (`int`, *optional*, defaults to 256):
            Rows that are computed together. It bounds memory and changes no score.

    Example:

    ```python
    >>> from modeling_holmes_vau import AnomalyScorerConfig
    >>> scorer = AnomalyScorer(AnomalyScorerConfig(feature_size=32)).eval()
    >>> scorer(torch.randn(2, 10, 32)).shape
    torch.Size([2, 10])

    ```
    """

    def __init__(self, config, block_size: int = BLOCK_SIZE):
        super().__init__()
        self.block_size = block_size
        self.config = config
        self.embedding = nn.Conv1d(config.feature_size, config.hidden_size, kernel_size=3, padding=1)
        self.layers = nn.ModuleList([ScorerLayer(config, block_size) for _ in range(config.num_hidden_layers)])
        self.abnormal_memory = MemoryBank(config)
        self.normal_memory = MemoryBank(config)
        # Mean and log-variance heads of the uncertainty branch; scoring uses the mean alone, training both.
        self.mean_proj = nn.Linear(config.hidden_size, config.hidden_size)
        self.variance_proj = nn.Linear(config.hidden_size, config.hidden_size)
        self.classifier = nn.Sequential(
            nn.Linear(2 * config.hidden_size, config.classifier_hidden_size),
            nn.ReLU(),
            nn.Linear(config.classifier_hidden_size, 1),
        )
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Xavier weights and uniform memories, as the UR-DMU release initialises them."""
        for module in self.modules():
            if isinstance(module, (nn.Linear, nn.Conv1d)):
                nn.init.xavier_uniform_(module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
            elif isinstance(module, nn.LayerNorm):
                nn.init.ones_(module.weight)
                nn.init.zeros_(module.bias)
            elif isinstance(module, MemoryBank):
                bound = module.prototypes.shape[1] ** -0.5
                nn.init.uniform_(module.prototypes, -bound, bound)

    def _apply(self, fn, recurse=True):
        # `.to(bfloat16)`, `.half()` and the like move the scorer but do not lower its precision.
        def keep_float32(tensor: torch.Tensor) -> torch.Tensor:
            moved = fn(tensor)
            return moved if moved.dtype == torch.float32 else tensor.to(device=moved.device, dtype=torch.float32)

        return super()._apply(keep_float32, recurse)

    def embed(self, features: torch.Tensor) -> torch.Tensor:
        """Snippet embedding, block by block: `(B, T, feature_size)` -> `(B, T, hidden_size)`."""
        length = features.shape[1]
        output = features.new_empty(features.shape[0], length, self.config.hidden_size)
        for start, stop in row_blocks(length, self.block_size):
            low, high = max(0, start - 1), min(length, stop + 1)  # the kernel reaches one row to each side
            convolved = self.embedding(features[:, low:high].transpose(1, 2)).transpose(1, 2)
            output[:, start:stop] = F.relu(convolved[:, start - low : stop - low])
        return output

    def encode(self, features: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        """Snippet representations before the memories: `(B, T, feature_size)` -> `(B, T, hidden_size)`.

        Videos shorter than T are padded; `lengths` `(B,)` tells their snippets, which come out as they do alone.
        """
        if lengths is not None:
            features = features * snippet_mask(lengths, features.shape[1])[..., None]  # as the convolution pads
        hidden = self.embed(features)
        for layer in self.layers:
            hidden = layer(hidden, lengths)
        return hidden

    def classify(self, hidden: torch.Tensor) -> torch.Tensor:
        """Probabilities from snippet representations: `(B, T, hidden_size)` -> `(B, T)`."""
        augmented = self.mean_proj(self.abnormal_memory(hidden)) + self.mean_proj(self.normal_memory(hidden))
        return torch.sigmoid(self.classifier(torch.cat((hidden, augmented), dim=-1))).squeeze(-1)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """
        Args:
            features (`torch.FloatTensor` of shape `(batch, frames, feature_size)`):
                Class tokens of the dense frames of each video, in time order, any float dtype.

        Returns:
            `torch.FloatTensor` of shape `(batch, frames)`, float32: Anomaly probability of each frame, in [0, 1].

        Raises:
            `ValueError`: if `features` is not 3-dimensional, is empty or has another width.
        """
        if features.ndim != 3 or features.shape[1] == 0 or features.shape[2] != self.config.feature_size:
            raise ValueError(
                f"`features` must be (batch, frames >= 1, {self.config.feature_size}), got {tuple(features.shape)}. "
                "Pass the class tokens of the vision tower this scorer was made for."
            )
        with torch.autocast(device_type=features.device.type, enabled=False):
            hidden = self.encode(features.float())
            blocks = [
                self.classify(hidden[:, start:stop]) for start, stop in row_blocks(hidden.shape[1], self.block_size)
            ]
            return torch.cat(blocks, dim=1)
