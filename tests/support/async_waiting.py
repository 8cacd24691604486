"""Wait for a fact while the event loop goes on."""

import asyncio
import time
from collections.abc import Awaitable, Callable


async def until(condition: Callable[[], object], timeout_s: float = 10.0, what: str = "the condition") -> None:
    """Return as soon as `condition()` is true; fail the test when it is not within `timeout_s`."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} did not come true within {timeout_s} s")
        await asyncio.sleep(0.01)


async def until_answered(
    ask: Callable[[], Awaitable[object]], timeout_s: float = 30.0, what: str = "the answer", every_s: float = 0.1
) -> None:
    """Return as soon as `await ask()` is true; fail the test when it is not within `timeout_s`."""
    deadline = time.monotonic() + timeout_s
    while not await ask():
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} did not come within {timeout_s} s")
        await asyncio.sleep(every_s)
