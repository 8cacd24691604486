"""What a pool's workers do in tests: functions of a module that their processes can import."""

import os
import sys

from earshot_node.worker_pool import worker_pool

_kept: list[int] = []


def keep(first: int, second: int) -> None:
    """Begin with these."""
    _kept.extend((first, second))


def kept(_: int) -> tuple[int, ...]:
    """Return what this worker began with."""
    return tuple(_kept)


def own_pid(_: int) -> int:
    """Return the worker's process id."""
    return os.getpid()


def own_a_pool() -> None:
    """Print the id of a pool's worker, then wait for the end of standard input."""
    with worker_pool(1) as pool:
        print(pool.submit(own_pid, 0).result(), flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    own_a_pool()
