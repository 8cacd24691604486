"""Memory of one step for the next."""

import contextlib
import ctypes
from typing import Final

_TRIM_THRESHOLD: Final = -1
_MMAP_MAX: Final = -4
_NEVER: Final = -1


def keep_freed_memory() -> None:
    """Let the C library keep what this process frees for what it asks for next; for the rest of the process.

    A training step on a CPU frees hundreds of megabytes and asks for as much again. By default glibc gives large blocks
    back to the system, which clears them page by page when they come anew: half the time of a step. Other C libraries
    are left as they are.
    """
    with contextlib.suppress(AttributeError, OSError, TypeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_MMAP_MAX, 0)
        mallopt(_TRIM_THRESHOLD, _NEVER)
