"""An output layer that grows: rows for further labels behind those that a network has, which stay as they are."""

from collections.abc import Sequence
from typing import Any, Final

import torch
from torch import Tensor, nn

from earshot_trainer.network.model import StreamingCrnn
from earshot_trainer.training.checkpoint import labelled

RARE_LOG_ODDS: Final = -3.0
"""What a new row says before it has learnt anything: most sounds are not of its label."""


class GrownOutput(nn.Module):
    """The known rows, then the added ones, each with parameters of their own."""

    def __init__(self, known: nn.Linear, count: int) -> None:
        """Put `count` rows behind `known`; they are zero, so that nothing is left to chance."""
        super().__init__()
        self.known = known
        self.added = nn.Linear(known.in_features, count)
        nn.init.zeros_(self.added.weight)
        nn.init.constant_(self.added.bias, RARE_LOG_ODDS)

    def forward(self, x: Tensor) -> Tensor:
        """Map [..., hidden] to the logits of all labels."""
        return torch.cat([self.known(x), self.added(x)], dim=-1)


def grow(network: StreamingCrnn, count: int) -> StreamingCrnn:
    """Give the network `count` more outputs; without any it stays what it was."""
    if count:
        network.output = GrownOutput(network.output, count)  # type: ignore[assignment]
    return network


def joined(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return a state_dict of a grown network as that of a network that was built with all its labels."""
    plain = {name: value for name, value in state.items() if not name.startswith(("output.known.", "output.added."))}
    for part in ("weight", "bias"):
        if f"output.added.{part}" in state:
            plain[f"output.{part}"] = torch.cat([state[f"output.known.{part}"], state[f"output.added.{part}"]])
    return plain


def with_labels(values: dict[str, Any], added: Sequence[str]) -> dict[str, Any]:
    """Return configuration and recipe of a checkpoint with labels added; its weights are not among them."""
    return labelled(values, [*values["config"]["labels"], *added])
