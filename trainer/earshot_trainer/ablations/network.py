"""The network with its frames enhanced, another front end or another memory around the same convolutions.

All three are modules that stream like the network: causal, with all that they carry from one call to the next in a
state of their own, tensors by name, batch first. A state is carried or begun anew row by row. However a stream is cut
into calls of whole hops, the output is the same.
"""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from earshot_trainer.network.architecture import ModelConfig
from earshot_trainer.network.model import CausalConv, StreamingCrnn
from earshot_trainer.network.state import State


class Enhancement(nn.Module):
    """What makes the log-mel frames cleaner before they are normalized."""

    def initial_state(self, batch: int) -> State:
        """Return the state before the first frame."""
        raise NotImplementedError

    def forward(self, frames: Tensor, state: State) -> tuple[Tensor, State]:
        """Map frames [B, 4n, M], natural logarithms of power, to such frames and the new state."""
        raise NotImplementedError


class FrontEnd(nn.Module):
    """What stands between the log-mel frames and the first convolution.

    Attributes:
        channels: that it gives to the convolution.
        takes_normalized: frames less their mean and over their deviation; else natural logarithms of power.
    """

    channels: int = 2
    takes_normalized: bool = True

    def initial_state(self, batch: int) -> State:
        """Return the state before the first frame; none unless a front end says otherwise."""
        del batch
        return {}

    def forward(self, frames: Tensor, state: State) -> tuple[Tensor, State]:
        """Map frames [B, T, M] to channels [B, C, T, M] and the new state.

        `state` holds what `initial_state` names, and more.
        """
        raise NotImplementedError


class Memory(nn.Module):
    """What stands between the embedding and the output: all that the network knows beyond its convolutions' reach."""

    def initial_state(self, batch: int) -> State:
        """Return the state before the first hop."""
        raise NotImplementedError

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Map x [T, B, config.embedding], one vector a hop, to [T, B, config.hidden] and the new state."""
        raise NotImplementedError


Build = Callable[[ModelConfig], StreamingCrnn]


class AblatedCrnn(StreamingCrnn):
    """StreamingCrnn with a front end in place of its normalization, a memory in place of its GRU, or both.

    An enhancement stands in front of either; the normalization is then still that of the frames as they came.
    """

    def __init__(
        self,
        config: ModelConfig,
        front_end: Callable[[ModelConfig], FrontEnd] | None = None,
        memory: Callable[[ModelConfig], Memory] | None = None,
        enhancement: Callable[[ModelConfig], Enhancement] | None = None,
    ) -> None:
        super().__init__(config)
        self.enhancement = enhancement(config) if enhancement is not None else None
        self.front_end = front_end(config) if front_end is not None else None
        self.memory = memory(config) if memory is not None else None
        if self.front_end is not None and self.front_end.channels != self.stem.conv.in_channels:
            channels = (self.front_end.channels, config.channels[0])
            self.stem = CausalConv(channels, kernel=(5, 5), stride=(2, 2))
            self.stem.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if self.memory is not None:
            del self.gru

    @classmethod
    def with_front_end(cls, front_end: Callable[[ModelConfig], FrontEnd]) -> Build:
        """Return what builds the network with that front end and its own GRU."""
        return partial(cls, front_end=front_end)

    @classmethod
    def with_memory(cls, memory: Callable[[ModelConfig], Memory]) -> Build:
        """Return what builds the network with that memory behind its own features."""
        return partial(cls, memory=memory)

    @classmethod
    def with_enhancement(cls, enhancement: Callable[[ModelConfig], Enhancement]) -> Build:
        """Return what builds the network with that enhancement in front of all that is its own."""
        return partial(cls, enhancement=enhancement)

    def initial_state(self, batch: int) -> State:
        """Return the state before the first frame, by name, batch first: zeros."""
        state = super().initial_state(batch)
        if self.memory is not None:
            del state["gru"]
            state |= self.memory.initial_state(batch)
        for part in (self.enhancement, self.front_end):
            state |= part.initial_state(batch) if part is not None else {}
        return state

    def _see(self, log_mel: Tensor, state: State) -> tuple[Tensor, State]:
        of_enhancement: State = {}
        if self.enhancement is not None:
            log_mel, of_enhancement = self.enhancement(log_mel, state)
        if self.front_end is None:
            channels, of_front_end = super()._see(log_mel, state)
        else:
            frames = (log_mel - self.mean) / self.std if self.front_end.takes_normalized else log_mel
            channels, of_front_end = self.front_end(frames, state)
        return channels, of_enhancement | of_front_end

    def _remember(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        if self.memory is None:
            return super()._remember(x, state)
        x, new_state = self.memory(x, state)
        return x, new_state
