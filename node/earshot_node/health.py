"""How the node is, from what its sources, its inference and its broker report. Pure: time is given."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from earshot_node.contract.messages import HealthState, SourceState

DEAF_STATES: Final[frozenset[SourceState]] = frozenset({"absent", "silent", "frozen", "clipped", "stalled"})
INFERENCE_STALLED_AFTER_S: Final = 10.0
FACTOR_SPAN_S: Final = 30.0


class SourceCondition(Protocol):
    """The part of a source's status that decides about health."""

    @property
    def state(self) -> SourceState:
        """What the source does."""

    @property
    def problem(self) -> str:
        """One line, empty when healthy."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """A node's state and, unless it is healthy, why: one line each."""

    state: HealthState
    problems: tuple[str, ...]


class RealTimeFactor:
    """Work per second of audio, over about the last half minute; 0 before any audio."""

    def __init__(self) -> None:
        self._audio_s = 0.0
        self._work_s = 0.0

    def push(self, audio_s: float, work_s: float) -> None:
        """Add a step; what is older than the span fades."""
        keep = max(0.0, 1.0 - audio_s / FACTOR_SPAN_S)
        self._audio_s = self._audio_s * keep + audio_s
        self._work_s = self._work_s * keep + work_s

    @property
    def value(self) -> float:
        """Seconds of work per second of audio; above 1 the node cannot keep up."""
        return self._work_s / self._audio_s if self._audio_s > 0 else 0.0


def judge(
    sources: Mapping[str, SourceCondition], *, inference_age_s: float, factor: float, extra: Sequence[str] = ()
) -> Verdict:
    """Decide whether the node hears.

    Args:
        sources: condition by source id.
        inference_age_s: time since inference last went round.
        factor: see `RealTimeFactor`.
        extra: further problems that do not make the node deaf, such as a broker that is away.
    """
    deaf = [f"{name}: {one.problem or one.state}" for name, one in sources.items() if one.state in DEAF_STATES]
    if inference_age_s > INFERENCE_STALLED_AFTER_S:
        deaf.append(f"inference has stood still for {inference_age_s:.0f} s")
    slow = [f"this machine is too slow: {factor:.2f} s of work per second of audio"] if factor > 1 else []
    if deaf:
        return Verdict("deaf", (*deaf, *slow, *extra))
    starting = any(one.state == "starting" for one in sources.values())
    return Verdict("starting" if starting else "healthy", (*slow, *extra))
