"""How far nodes are with what the trainer wants of them."""

from dataclasses import dataclass
from typing import Final, Literal

NodeState = Literal[
    "pending",
    "offered",
    "away",
    "working",
    "installed",
    "shadowed",
    "refused",
    "rolled_back",
    "same",
    "stopped",
    "late",
]
GOOD: Final = ("installed", "shadowed", "same")
_OVER: Final = (*GOOD, "refused", "rolled_back", "stopped")


@dataclass(slots=True)
class NodeProgress:
    """How far one node is.

    Attributes:
        percent: of the installation, None when it tells none.
        reason: why, '' when there is nothing to say.
    """

    node: str
    state: NodeState = "pending"
    percent: int | None = None
    reason: str = ""

    @property
    def is_over(self) -> bool:
        """Whether the node has said its last word."""
        return self.state in _OVER
