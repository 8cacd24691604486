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
    """Runs actions on the state file, one after the other in the order of their calls.

    An action is in the queue before `run` or `attempt` first gives way to other tasks.

    Attributes:
        problem: why the disk refuses, one line; '' when the last write went well.
    """

    def __init__(self) -> None:
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="state-disk")
        self.problem = ""

    async def run(self, action: Callable[[], T], *, writes: bool = True) -> T:
        """Run `action` and return its result.

        Args:
            action: works on the state file.
            writes: False for one that only reads; it may go well while writing does not.

        Raises:
            StoreError: the disk refused; the first of a series is logged.
        """
        try:
            result = await asyncio.get_running_loop().run_in_executor(self._executor, action)
        except StoreError as error:
            if not self.problem:
                _log.error("%s (going on from memory)", error)
            self.problem = str(error)
            raise
        if writes:
            self.problem = ""
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
