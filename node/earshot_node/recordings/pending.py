"""Takes that were recorded and wait for somebody to say whether to keep them."""

import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from earshot_node.recordings.draft import Draft
from earshot_node.recordings.errors import UnknownRecordingError

KEPT: Final = 8
FORGOTTEN_AFTER_S: Final = 900.0


class PendingTakes:
    """The last few takes in memory, each for a quarter of an hour.

    Args:
        clock: seconds that only grow.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._takes: OrderedDict[str, tuple[float, Draft]] = OrderedDict()

    def add(self, draft: Draft) -> str:
        """Hold a take; return its id. The oldest goes when there are too many."""
        self._forget_old()
        take_id = secrets.token_hex(8)
        self._takes[take_id] = (self._clock(), draft)
        while len(self._takes) > KEPT:
            self._takes.popitem(last=False)
        return take_id

    def get(self, take_id: str) -> Draft:
        """Return a take, which stays.

        Raises:
            UnknownRecordingError: there is none.
        """
        self._forget_old()
        try:
            return self._takes[take_id][1]
        except KeyError as error:
            raise UnknownRecordingError("there is no such take any more; record it again") from error

    def drop(self, take_id: str) -> None:
        """Forget a take; fine if it is not there."""
        self._takes.pop(take_id, None)

    def _forget_old(self) -> None:
        oldest = self._clock() - FORGOTTEN_AFTER_S
        for take_id in [take_id for take_id, (at, _) in self._takes.items() if at < oldest]:
            del self._takes[take_id]
