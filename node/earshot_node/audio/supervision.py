"""The life of one source as a state machine without I/O: what happened in, state, delays and log lines out.

    OPENING -> DELIVERING -> WAITING -> OPENING ...      for ever
    OPENING or DELIVERING -> ENDED                       a finite source is over

An illegal step raises and changes nothing. A change of state is logged once: the first failure of a series as WARNING,
what repeats as DEBUG, recovery as INFO.
"""

import enum
import logging
from collections.abc import Callable

from earshot_node.audio.backoff import Backoff
from earshot_node.audio.condition import Condition
from earshot_node.contract.messages import SourceState

logger = logging.getLogger(__name__)

SETTLED_AFTER_S = 10.0


class Phase(enum.Enum):
    """What the source's thread is doing."""

    WAITING = "waiting"
    OPENING = "opening"
    DELIVERING = "delivering"
    ENDED = "ended"


class Supervision:
    """State of one source.

    Attributes:
        state: how the source is, as the contract names it.
        problem: one line for a person; empty when fine.
        reopened: how often it delivered again after it had broken off.
    """

    def __init__(self, source: str, backoff: Backoff, on_change: Callable[[], None]) -> None:
        self._source = source
        self._backoff = backoff
        self._on_change = on_change
        self.phase = Phase.WAITING
        self.state: SourceState = "starting"
        self.problem = ""
        self._openings = 0
        self._since_opened_s = 0.0

    @property
    def reopened(self) -> int:
        """Openings that delivered audio, less the first."""
        return max(0, self._openings - 1)

    def opening(self) -> None:
        """The source is being opened."""
        self._require(Phase.WAITING)
        self.phase = Phase.OPENING

    def delivered(self, audio_s: float, condition: Condition | None) -> None:
        """Audio came; `condition` is None while nobody can tell how it is."""
        self._require(Phase.OPENING, Phase.DELIVERING)
        if self.phase is Phase.OPENING:
            self.phase = Phase.DELIVERING
            self._openings += 1
            self._since_opened_s = 0.0
        self._since_opened_s += audio_s
        if self._since_opened_s >= SETTLED_AFTER_S:
            self._backoff.reset()
        if condition is not None:
            self._change(condition.state, condition.problem)

    def stalled(self, problem: str) -> None:
        """No audio comes although the source is open."""
        self._require(Phase.OPENING, Phase.DELIVERING)
        self._change("stalled", problem)

    def failed(self, problem: str, state: SourceState = "absent") -> float:
        """The source could not be opened or broke off; return how many seconds to wait before the next opening."""
        self._require(Phase.OPENING, Phase.DELIVERING)
        self.phase = Phase.WAITING
        self._change(state, problem)
        return self._backoff.next_delay_s()

    def ended(self, problem: str = "") -> None:
        """A finite source has delivered everything it ever will."""
        self._require(Phase.OPENING, Phase.DELIVERING)
        self.phase = Phase.ENDED
        self._change("ended", problem)

    def _require(self, *phases: Phase) -> None:
        if self.phase not in phases:
            raise RuntimeError(f"source {self._source} is {self.phase.value}, that step is not possible")

    def _change(self, state: SourceState, problem: str) -> None:
        if (state, problem) == (self.state, self.problem):
            return
        level = logging.DEBUG if state == self.state else logging.INFO
        if problem and state != self.state:
            level = logging.WARNING
        self.state, self.problem = state, problem
        logger.log(level, "source %s is %s%s", self._source, state, f": {problem}" if problem else "")
        self._on_change()
