"""Blocking work that a cancellation does not leave running behind its back: a thread cannot be stopped."""

import asyncio
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


async def to_its_end(work: Callable[P, T], *arguments: P.args, **options: P.kwargs) -> T:
    """Run `work` in a thread and return what it does; a cancellation comes through when the thread is done with it."""
    running = asyncio.create_task(asyncio.to_thread(work, *arguments, **options))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.gather(running, return_exceptions=True)
        raise
