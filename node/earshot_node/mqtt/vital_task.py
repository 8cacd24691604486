"""Tasks that last as long as the node: an unexpected error that ends one is told, never left unnoticed."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

_log = logging.getLogger(__name__)
OnFailure = Callable[[Exception], None]


def only_log(_error: Exception) -> None:
    """Do nothing more about an error that is logged."""


def start_task(work: Coroutine[Any, Any, None], name: str, on_failure: OnFailure = only_log) -> asyncio.Task[None]:
    """Start `work`; an error that ends it is logged with its traceback, then `on_failure` is called in the loop."""

    def ended(task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if error is not None:
            _log.error("MQTT: task %s failed", name, exc_info=error)
        if isinstance(error, Exception):
            on_failure(error)

    task = asyncio.create_task(work, name=name)
    task.add_done_callback(ended)
    return task
