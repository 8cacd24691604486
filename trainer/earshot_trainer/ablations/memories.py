"""Memories in place of the GRU."""

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from earshot_trainer.ablations.network import Memory
from earshot_trainer.network.architecture import ModelConfig
from earshot_trainer.network.state import State


class Lstm(Memory):
    """One layer of long short-term memory (Hochreiter and Schmidhuber, 1997), torch's equations."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.lstm = nn.LSTM(config.embedding, config.hidden)

    def initial_state(self, batch: int) -> State:
        """Return hidden and cell state, [B, hidden] zeros."""
        zeros = next(self.parameters()).new_zeros(batch, self.lstm.hidden_size)
        return {"lstm_hidden": zeros, "lstm_cell": zeros.clone()}

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Map x [T, B, embedding] to [T, B, hidden] and the new state."""
        x, (hidden, cell) = self.lstm(x, (state["lstm_hidden"][None], state["lstm_cell"][None]))
        return x, {"lstm_hidden": hidden[0], "lstm_cell": cell[0]}


class CausalAttention(Memory):
    """Layers of self-attention over each hop and the 74 before it: 3 s back in each.

    A transformer's encoder (Vaswani et al., 2017) with the norms before the layers (Xiong et al., 2020) and a linear
    bias on age in place of positions (ALiBi: Press et al., 2022), so that a stream has no end. Keys and values of
    earlier hops are the state; `attention_heard` says which of them there are.
    """

    layer_count = 2
    past_hops = 74

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.enter = nn.Linear(config.embedding, config.hidden)
        self.layers = nn.ModuleList(AttentionLayer(config.hidden) for _ in range(self.layer_count))
        self.leave = nn.LayerNorm(config.hidden)

    def initial_state(self, batch: int) -> State:
        """Return keys and values [B, past, 2 * hidden] of each layer and which are there [B, past], zeros."""
        zeros = self.enter.weight.new_zeros
        width = 2 * self.enter.out_features
        pasts = {f"attention{index}": zeros(batch, self.past_hops, width) for index in range(1, 1 + self.layer_count)}
        return pasts | {"attention_heard": zeros(batch, self.past_hops)}

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Map x [T, B, embedding] to [T, B, hidden] and the new state."""
        x = self.enter(x.transpose(0, 1))
        before = state["attention_heard"]
        heard = torch.cat([before, before.new_ones(x.shape[:2])], dim=1)
        new_state = {"attention_heard": heard[:, -self.past_hops :]}
        for index, layer in enumerate(self.layers, start=1):
            x, new_state[f"attention{index}"] = layer(x, state[f"attention{index}"], heard)
        return self.leave(x).transpose(0, 1), new_state


class AttentionLayer(nn.Module):
    """Causal self-attention of four heads, then a feed-forward layer of twice the width, both added to their input."""

    slopes: Tensor
    heads = 4

    def __init__(self, size: int) -> None:
        super().__init__()
        self.attention_norm, self.feed_forward_norm = nn.LayerNorm(size), nn.LayerNorm(size)
        self.query, self.key_value, self.mix = nn.Linear(size, size), nn.Linear(size, 2 * size), nn.Linear(size, size)
        self.feed_forward = nn.Sequential(nn.Linear(size, 2 * size), nn.ReLU(), nn.Linear(2 * size, size))
        slopes = 2.0 ** (-8.0 * torch.arange(1, 1 + self.heads) / self.heads)
        self.register_buffer("slopes", slopes[:, None, None], persistent=False)

    def forward(self, x: Tensor, past: Tensor, heard: Tensor) -> tuple[Tensor, Tensor]:
        """Map x [B, T, D], keys and values of P hops before [B, P, 2 D], and which are there [B, P + T], to the output.

        Also returns the last P keys and values. No hop looks back over more than P others.
        """
        normed = self.attention_norm(x)
        key_value = torch.cat([past, self.key_value(normed)], dim=1)
        query, key, value = (self._by_head(part) for part in (self.query(normed), *key_value.chunk(2, dim=2)))
        found = scaled_dot_product_attention(query, key, value, attn_mask=self._bias(heard, past.shape[1], query.dtype))
        x = x + self.mix(found.transpose(1, 2).flatten(2))
        return x + self.feed_forward(self.feed_forward_norm(x)), key_value[:, -past.shape[1] :]

    def _by_head(self, x: Tensor) -> Tensor:
        return x.reshape(*x.shape[:2], self.heads, -1).transpose(1, 2)

    def _bias(self, heard: Tensor, past: int, dtype: torch.dtype) -> Tensor:
        """Return what is added to the logits, [B, heads, T, P + T]: minus infinity where a hop may not look."""
        place = torch.arange(heard.shape[1], device=heard.device)
        age = place[past:, None] - place
        bias = (-self.slopes * age).masked_fill((age < 0) | (age > past), -math.inf)
        return bias.masked_fill(heard[:, None, None] == 0, -math.inf).to(dtype)


class DilatedConvolutions(Memory):
    """No recurrence: a temporal convolutional network (Bai et al., 2018) that sees 75 hops, 3 s, and nothing before.

    Depthwise separable blocks, as in Conv-TasNet (Luo and Mesgarani, 2019). `hidden` is `embedding` here.

    Raises:
        ValueError: the two differ.
    """

    dilations = (1, 1, 2, 4, 5, 8, 16)

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        if config.hidden != config.embedding:
            raise ValueError(f"model.hidden: {config.hidden}: need model.embedding, {config.embedding}")
        self.blocks = nn.ModuleList(DilatedBlock(config.hidden, dilation) for dilation in self.dilations)
        self._size = config.hidden

    def initial_state(self, batch: int) -> State:
        """Return each block's past, [B, 2 * dilation, hidden] zeros."""
        zeros = next(self.parameters()).new_zeros
        return {
            f"dilated{index}": zeros(batch, 2 * dilation, self._size)
            for index, dilation in enumerate(self.dilations, start=1)
        }

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Map x [T, B, embedding] to [T, B, hidden] and the new state."""
        new_state: State = {}
        for index, block in enumerate(self.blocks, start=1):
            x, new_state[f"dilated{index}"] = block(x, state[f"dilated{index}"])
        return x, new_state


class DilatedBlock(nn.Module):
    """Depthwise causal convolution over three hops, pointwise, batch norm, ReLU, added to its input."""

    taps = 3

    def __init__(self, size: int, dilation: int) -> None:
        super().__init__()
        self.dilation = dilation
        self.depthwise = nn.Parameter((torch.rand(self.taps, size) * 2 - 1) / math.sqrt(self.taps))
        self.pointwise = nn.Linear(size, size, bias=False)
        self.norm = nn.BatchNorm1d(size)

    def forward(self, x: Tensor, past: Tensor) -> tuple[Tensor, Tensor]:
        """Map x [T, B, C] and the input before it [B, P, C] to the output and the last P inputs, P = 2 * dilation."""
        extended = torch.cat([past.transpose(0, 1), x])
        taps = [extended[tap * self.dilation :][: len(x)] * self.depthwise[tap] for tap in range(self.taps)]
        mixed = self.pointwise(torch.stack(taps).sum(dim=0))
        x = x + torch.relu(self.norm(mixed.flatten(0, 1)).reshape(x.shape))
        return x, extended[-past.shape[1] :].transpose(0, 1)
