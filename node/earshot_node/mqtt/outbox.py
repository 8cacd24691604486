"""At least once: an event is on disk before it is sent, and goes from disk when the broker has acknowledged it.

Rules:
- Order is that of `add`. After a reconnect all without acknowledgement is sent again, in order, with the same id.
- Older than `LATE_AFTER_S` when it is sent: it goes to the `late` topic, marked, where no entity listens.
- A refused event (a broker's access rules, MQTT 5 only) does not hold up the others: it is set aside, tried again at
  the next connection and every `REFUSED_RETRY_S`, and given up after `MAX_REFUSALS` (most of a day).
- When the disk refuses to take an event, it is kept in memory and sent all the same.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

from earshot_node.contract.messages import EventMessage
from earshot_node.contract.topics import NodeTopics, Topic
from earshot_node.errors import MessageError
from earshot_node.mqtt.boot_clock import BootClock, Moment
from earshot_node.mqtt.connection import Delivery, Outcome
from earshot_node.mqtt.database import StoreError
from earshot_node.mqtt.disk_thread import DiskThread
from earshot_node.mqtt.store import OutboxRow, StateStore
from earshot_node.mqtt.vital_task import OnFailure, only_log, start_task

_log = logging.getLogger(__name__)
Send = Callable[[Topic, bytes, int | None], Awaitable[Delivery]]

LATE_AFTER_S: Final = 10.0
WINDOW: Final = 16
MAX_REFUSALS: Final = 100
REFUSED_RETRY_S: Final = 600.0
MAX_IN_MEMORY: Final = 100
# Nobody may act on an alarm that a sleeping subscriber gets an hour later; its offset holds everything about it.
ONSET_EXPIRY_S: Final = 60
RECORD_EXPIRY_S: Final = 7 * 24 * 3600


class Outbox:
    """The queue between detection and broker; lives in the asyncio loop, its disk work in `disk`."""

    def __init__(
        self,
        store: StateStore,
        disk: DiskThread,
        topics: NodeTopics,
        *,
        limit: int,
        clock: BootClock | None = None,
        on_late: Callable[[EventMessage], None] = lambda _event: None,
        on_failure: OnFailure = only_log,
        retry_refused_s: float = REFUSED_RETRY_S,
    ) -> None:
        self._store = store
        self._disk = disk
        self._topics = topics
        self._limit = limit
        self._clock = clock or BootClock()
        self._on_late = on_late
        self._retry_refused_s = retry_refused_s
        self._send: Send | None = None
        self._epoch = 0
        self._cursor = 0
        self._rewind = False
        self._in_flight: set[int] = set()
        self._done: list[int] = []
        self._refused: list[int] = []
        self._memory: dict[int, OutboxRow] = {}
        self._memory_id = 0
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._adding = 0
        self._retry: asyncio.TimerHandle | None = None
        self._task = start_task(self._run(), "mqtt-outbox", on_failure)
        self._refusing: dict[str, str] = {}

    @property
    def problem(self) -> str:
        """Which topic the broker refuses, and what to do, one line; '' when none."""
        return next(iter(self._refusing.values()), "")

    @property
    def queued(self) -> int:
        """How many events wait for an acknowledgement."""
        return self._store.waiting + len(self._memory)

    async def add(self, event: EventMessage, age_s: float = 0.0, *, is_last: bool = False) -> None:
        """Commit an event and have it sent; returns after the commit.

        Args:
            event: what was heard.
            age_s: how long ago it was decided, for one that waited before it came here.
            is_last: it is the last one of its source and label, to be known after a restart too.
        """
        moment, payload = self._clock.now(age_s), event.encode()

        def commit() -> None:
            self._store.add_event(event.id, event.phase, payload, moment, self._limit)
            if is_last:
                self._store.save_last_event(event)

        self._idle.clear()
        self._adding += 1
        try:
            await self._disk.run(commit)
        except StoreError:
            self._keep_in_memory(payload, moment)
        finally:
            self._adding -= 1
        self._wake.set()

    def connected(self, send: Send) -> None:
        """Begin to send, with the oldest first."""
        self._epoch += 1
        self._send = send
        self._rewind = True
        self._in_flight.clear()
        self._wake.set()

    def disconnected(self) -> None:
        """Stop sending; what was not acknowledged waits."""
        self._epoch += 1
        self._send = None
        self._in_flight.clear()

    async def drained(self, timeout_s: float) -> None:
        """Return when nothing waits, or after `timeout_s`."""
        if self._send is not None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._idle.wait(), timeout_s)

    async def close(self) -> None:
        """End; acknowledged rows are gone from disk on return."""
        self.disconnected()
        if self._retry is not None:
            self._retry.cancel()
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        await self._settle()

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            await self._settle()
            if self._rewind:
                self._rewind = False
                self._cursor = 0
            await self._send_rows()
            if not self.queued and not self._adding:
                self._idle.set()

    async def _settle(self) -> None:
        """Take acknowledged rows off the disk and count refusals."""
        done, self._done = self._done, []
        refused, self._refused = self._refused, []
        with contextlib.suppress(StoreError):
            if done:
                try:
                    await self._disk.run(lambda: self._store.delete_events(done))
                except StoreError:
                    self._done += done  # not sent again by this process; deleted when the disk works again
                    raise
            for row_id in refused:
                if await self._disk.run(partial(self._store.refuse_event, row_id, MAX_REFUSALS)):
                    _log.error("MQTT: an event was refused %d times by the broker and is given up", MAX_REFUSALS)

    async def _send_rows(self) -> None:
        epoch = self._epoch
        while self._send is not None and len(self._in_flight) < WINDOW:
            rows = await self._next_rows(WINDOW - len(self._in_flight))
            if not rows or epoch != self._epoch:
                return
            for row in rows:
                self._send_row(self._send, row)

    async def _next_rows(self, count: int) -> list[OutboxRow]:
        most = count + len(self._in_flight) + len(self._done)
        try:
            rows = await self._disk.run(lambda: self._store.events_after(self._cursor, most), writes=False)
        except StoreError:
            rows = []
        # Only now: acknowledgements came while the disk was read.
        taken = self._in_flight.union(self._done)
        fresh = [row for row in rows if row.row_id not in taken][:count]
        if fresh:
            self._cursor = fresh[-1].row_id
            return fresh
        return [row for row in self._memory.values() if row.row_id not in taken][:count]

    def _send_row(self, send: Send, row: OutboxRow) -> None:
        try:
            event = EventMessage.decode(row.payload)
        except MessageError as error:
            _log.error("MQTT: a waiting event cannot be read and is dropped (%s)", error)
            self._finished(row.row_id, Delivery(Outcome.ACKNOWLEDGED))
            return
        epoch = self._epoch
        self._in_flight.add(row.row_id)
        source, label = event.source, event.event_type
        if self._clock.age_s(row.moment) > LATE_AFTER_S:
            event = event.model_copy(update={"late": True})
            topic, payload, expiry_s = self._topics.late(source, label), event.encode(), RECORD_EXPIRY_S
            self._on_late(event)
        elif event.phase == "onset":
            topic, payload, expiry_s = self._topics.onset(source, label), row.payload, ONSET_EXPIRY_S
        else:
            topic, payload, expiry_s = self._topics.offset(source, label), row.payload, RECORD_EXPIRY_S
        delivery = asyncio.ensure_future(send(topic, payload, expiry_s))
        delivery.add_done_callback(lambda done: self._delivered(epoch, row, topic, done.result()))

    def _delivered(self, epoch: int, row: OutboxRow, topic: Topic, delivery: Delivery) -> None:
        if delivery.outcome is Outcome.LOST or epoch != self._epoch:
            return
        if delivery.outcome is Outcome.REFUSED:
            self._explain_refusal(topic, delivery)
        else:
            self._refusing.pop(topic.name, None)
        self._finished(row.row_id, delivery)

    def _finished(self, row_id: int, delivery: Delivery) -> None:
        self._in_flight.discard(row_id)
        if row_id < 0:
            self._memory.pop(row_id, None)
        elif delivery.outcome is Outcome.ACKNOWLEDGED:
            self._done.append(row_id)
        else:
            self._refused.append(row_id)
            if self._retry is None:
                self._retry = asyncio.get_running_loop().call_later(self._retry_refused_s, self._try_refused_again)
        self._wake.set()

    def _try_refused_again(self) -> None:
        self._retry = None
        self._rewind = True
        self._wake.set()

    def _explain_refusal(self, topic: Topic, delivery: Delivery) -> None:
        if topic.name not in self._refusing:
            self._refusing[topic.name] = (
                f"the broker refuses events on {topic.name} ({delivery.reason}); "
                f"let this node's user write {self._topics.base}/# in the broker's access rules"
            )
            _log.warning("MQTT: %s", self._refusing[topic.name])

    def _keep_in_memory(self, payload: bytes, moment: Moment) -> None:
        self._memory_id -= 1
        self._memory[self._memory_id] = OutboxRow(self._memory_id, payload, moment)
        if len(self._memory) > MAX_IN_MEMORY:
            self._memory.pop(max(self._memory))
