"""How the node is, from what its sources, its inference and its broker report. Pure: time is given."""

from collections import deque
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from earshot_node.contract.messages import HealthState, SourceState

DEAF_STATES: Final[frozenset[SourceState]] = frozenset({"absent", "silent", "frozen", "stalled"})
"""A clipped source still hears, only badly: a problem, but no reason to end what it is hearing."""
INFERENCE_STALLED_AFTER_S: Final = 10.0
FACTOR_SPAN_S: Final = 30.0
LOSS_SPAN_S: Final = 30
LOSS_S: Final = 1.0


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
    """Work per second that all sources listen to side by side, over about the last half minute; 0 before any audio."""

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
        """Seconds of work per second of listening; above 1 the node cannot keep up."""
        return self._work_s / self._audio_s if self._audio_s > 0 else 0.0


class RecentLoss:
    """Which sources have lost `LOSS_S` or more of audio in the last `LOSS_SPAN_S`; pushed to once a second."""

    def __init__(self) -> None:
        self._dropped_s: dict[str, deque[float]] = {}

    def push(self, dropped_s: Mapping[str, float]) -> list[str]:
        """Take how much each source has lost since the start; return those that lose audio now."""
        for source, total_s in dropped_s.items():
            self._dropped_s.setdefault(source, deque(maxlen=LOSS_SPAN_S + 1)).append(total_s)
        return [source for source, totals in self._dropped_s.items() if totals[-1] - totals[0] >= LOSS_S]


def judge(
    sources: Mapping[str, SourceCondition],
    *,
    inference_age_s: float,
    factor: float,
    losing: Collection[str] = (),
    extra: Sequence[str] = (),
) -> Verdict:
    """Decide whether the node hears. Texts hold no number that moves: a verdict changes only when its cause does.

    Args:
        sources: condition by source id.
        inference_age_s: time since inference last went round.
        factor: see `RealTimeFactor`.
        losing: sources that lose audio, see `RecentLoss`.
        extra: further problems that do not make the node deaf, such as a broker that is away.
    """
    deaf = [_told(name, one) for name, one in sources.items() if _is_deaf(one)]
    if inference_age_s > INFERENCE_STALLED_AFTER_S:
        deaf.append(f"inference stands still for more than {INFERENCE_STALLED_AFTER_S:.0f} s")
    if factor > 1 or losing:
        which = f" of {', '.join(losing)}" if losing else ""
        deaf.append(
            f"this machine is too slow for its sources and loses audio{which}; use fewer sources or a faster machine"
        )
    troubled = [_told(name, one) for name, one in sources.items() if one.state == "clipped"]
    problems = (*deaf, *troubled, *extra)
    if deaf:
        return Verdict("deaf", problems)
    starting = any(one.state == "starting" for one in sources.values())
    return Verdict("starting" if starting else "healthy", problems)


def _is_deaf(source: SourceCondition) -> bool:
    """A file that has played to its end is fine; a source that ended with a problem is not."""
    return source.state in DEAF_STATES or (source.state == "ended" and bool(source.problem))


def _told(name: str, source: SourceCondition) -> str:
    return f"{name}: {source.problem or source.state}"
