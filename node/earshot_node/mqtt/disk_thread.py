"""The one thread that waits for the disk, so that the loop never does."""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from earshot_node.mqtt.database import StoreError

_log = logging.getLogger(__name__)
T = TypeVar("T")


class DiskThread:
    """Runs actions on the state file, one after the other in the order of their calls."""

    def __init__(self) -> None:
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="state-disk")
        self._failing = False

    async def run(self, action: Callable[[], T]) -> T:
        """Run `action` and return its result.

        Raises:
            StoreError: the disk refused; the first of a series is logged.
        """
        try:
            result = await asyncio.get_running_loop().run_in_executor(self._executor, action)
        except StoreError as error:
            if not self._failing:
                _log.error("%s (going on from memory)", error)
            self._failing = True
            raise
        self._failing = False
        return result

    async def attempt(self, action: Callable[[], object]) -> bool:
        """Run `action`; False if the disk refused, for what goes on without."""
        try:
            await self.run(action)
        except StoreError:
            return False
        return True

    def close(self) -> None:
        """Finish what was begun and end the thread."""
        self._executor.shutdown()
