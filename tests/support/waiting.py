"""Wait for a fact instead of sleeping for a time."""

import threading
import time
from collections.abc import Callable


def wait_until(
    condition: Callable[[], object], timeout_s: float = 10.0, what: str = "the condition", every_s: float = 0.01
) -> None:
    """Return as soon as `condition()` is true; fail the test when it is not within `timeout_s`."""
    deadline = time.monotonic() + timeout_s
    pause = threading.Event()
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} did not come true within {timeout_s} s")
        pause.wait(every_s)
