"""What `/healthz` says."""

import json
from dataclasses import dataclass

from earshot_node.contract.messages import HealthState


@dataclass(frozen=True, slots=True)
class HealthReport:
    """State of a node for a container's or a router's health check.

    Attributes:
        state: `healthy`, `starting`, or `deaf` when something that should be heard is not.
        problems: one line each for a person; they name devices, hosts and users, so only a token shows them.
        version: the program's version.
        model: the model's version.
        connected: whether the broker is reached; a node without one still listens, so this does not make it unhealthy.
    """

    state: HealthState
    problems: tuple[str, ...]
    version: str
    model: str
    connected: bool

    @property
    def status_code(self) -> int:
        """200, or 503 when deaf."""
        return 503 if self.state == "deaf" else 200

    def encode(self, *, with_problems: bool) -> bytes:
        """Return the JSON body; without problems it only counts them."""
        body: dict[str, object] = {
            "state": self.state,
            "problem_count": len(self.problems),
            "version": self.version,
            "model": self.model,
            "connected": self.connected,
        }
        if with_problems:
            body["problems"] = self.problems
        return json.dumps(body).encode()
