"""Processes for work of many items, which do not outlive the process that started them."""

import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context, parent_process
from threading import Thread
from typing import TypeVarTuple

_Arguments = TypeVarTuple("_Arguments")


def worker_pool(
    workers: int, start: Callable[[*_Arguments], object] | None = None, *arguments: *_Arguments
) -> ProcessPoolExecutor:
    """Return a pool of fresh processes that each call `start(*arguments)` first.

    A pool whose owner is killed would leave its processes waiting for work for ever, with all their memory; these end.
    `start` is a module's function; it and its arguments travel to the processes.
    """
    return ProcessPoolExecutor(workers, get_context("spawn"), _start, (start, arguments))


def _start(start: Callable[..., object] | None, arguments: tuple[object, ...]) -> None:
    Thread(target=_end_with_parent, daemon=True, name="parent").start()
    if start is not None:
        start(*arguments)


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
