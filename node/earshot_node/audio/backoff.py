"""How long to wait before something is tried again."""

from collections.abc import Callable
from random import random as system_random

FIRST_DELAY_S = 0.5
LONGEST_DELAY_S = 30.0


class Backoff:
    """Delays that double up to a cap, each shortened by a random share of up to a half."""

    def __init__(
        self,
        *,
        first_s: float = FIRST_DELAY_S,
        longest_s: float = LONGEST_DELAY_S,
        random: Callable[[], float] = system_random,
    ) -> None:
        self._first_s = first_s
        self._longest_s = longest_s
        self._random = random
        self._next_s = first_s

    def next_delay_s(self) -> float:
        """Return the next delay in seconds, between half of and the whole nominal one."""
        nominal_s = self._next_s
        self._next_s = min(self._longest_s, 2.0 * nominal_s)
        return nominal_s * (1.0 - 0.5 * self._random())

    def reset(self) -> None:
        """Begin with the shortest delay again."""
        self._next_s = self._first_s
