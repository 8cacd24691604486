"""Tells the household of events as they come from the inference thread. Runs in the event loop."""

import asyncio
import logging
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from earshot_node.contract.messages import EventMessage
from earshot_node.http.metrics import Metrics
from earshot_node.mqtt.publisher import Publisher

_log = logging.getLogger(__name__)

COMMIT_WAIT_S: Final = 5.0


class EventTelling:
    """Gives each event's message to the publisher in a task of its own.

    A disk that hangs on one event must not hold back the next one's alarm; messages are sent in the order of the calls.

    Args:
        on_failure: called with what kept an event from being told.
    """

    def __init__(self, publisher: Publisher, metrics: Metrics, on_failure: Callable[[Exception], None]) -> None:
        self._publisher = publisher
        self._metrics = metrics
        self._on_failure = on_failure
        self._tasks: set[asyncio.Task[None]] = set()
        self.clip_url: Callable[[str], str | None] = lambda _: None
        """Where an event's clip can be heard, by the event's id."""

    def tell(self, event: EventMessage) -> None:
        """Tell an onset or offset."""
        task = asyncio.create_task(self._tell(self._with_clip(event)), name=f"event {event.id}")
        self._tasks.add(task)
        task.add_done_callback(self._told)

    def tell_kind(self, event: EventMessage) -> None:
        """Tell the kind of a siren whose onset was told."""
        # In its turn after onsets of the same step, whose tasks have not begun yet.
        asyncio.get_running_loop().call_soon(self._publisher.publish_kind, self._with_clip(event))
        _log.info("%s: %s is of kind %s, event %s", event.source, event.event_type, event.kind, event.id)

    async def finish(self) -> None:
        """Return when all is committed, or after COMMIT_WAIT_S."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=COMMIT_WAIT_S)

    def _with_clip(self, event: EventMessage) -> EventMessage:
        return event.model_copy(update={"clip_url": self.clip_url(event.id)})

    async def _tell(self, event: EventMessage) -> None:
        waited_s = (datetime.now(UTC) - event.decided).total_seconds() if event.decided is not None else 0.0
        await self._publisher.publish_event(event, max(0.0, waited_s))
        if event.phase == "onset":
            self._metrics.count_event(event.source, event.event_type)
        _log.info(
            "%s: %s %s, confidence %d %%, %.1f dBFS, event %s",
            event.source,
            event.event_type,
            "began" if event.phase == "onset" else f"ended after {event.duration_s:.1f} s",
            event.confidence,
            event.level_dbfs,
            event.id,
        )

    def _told(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if isinstance(error, Exception):
            _log.critical("%s could not be told", task.get_name(), exc_info=error)
            self._on_failure(error)
