"""How often one address may ask, and how often it may be wrong about the token."""

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

MAX_ADDRESSES: Final = 256


class RateLimit:
    """A bucket of `burst` requests per address that fills again with `per_s` a second.

    The address that has been quiet longest is forgotten when there are too many.
    """

    def __init__(self, per_s: float, burst: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_s = per_s
        self._burst = burst
        self._clock = clock
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def allows(self, address: str) -> bool:
        """Whether the address has something left."""
        return self._now_left(address) >= 1.0

    def take(self, address: str) -> bool:
        """Use one up; False, and nothing is used up, when none is left."""
        left = self._now_left(address)
        if left < 1.0:
            return False
        self._left[address] = (left - 1.0, self._clock())
        self._left.move_to_end(address)
        while len(self._left) > MAX_ADDRESSES:
            self._left.popitem(last=False)
        return True

    def _now_left(self, address: str) -> float:
        left, at = self._left.get(address, (float(self._burst), self._clock()))
        return min(float(self._burst), left + (self._clock() - at) * self._per_s)
