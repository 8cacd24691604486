"""At least once, in order, late ones marked, with a broker in the test's hands."""

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest
from support.async_waiting import until
from support.damage import damage
from support.mosquitto import Mosquitto
from support.mqtt_node import event, node_config, running_node
from support.mqtt_subscriber import Subscriber

from earshot_node.contract.messages import EventMessage
from earshot_node.contract.topics import NodeTopics, Topic
from earshot_node.mqtt.boot_clock import BootClock, Moment
from earshot_node.mqtt.connection import Delivery, Outcome
from earshot_node.mqtt.database import StoreError
from earshot_node.mqtt.disk_thread import DiskThread
from earshot_node.mqtt.outbox import LATE_AFTER_S, ONSET_EXPIRY_S, RECORD_EXPIRY_S, WINDOW, Outbox
from earshot_node.mqtt.store import OutboxRow, StateStore

TOPICS = NodeTopics("earshot", "hall")
ACKNOWLEDGED = Delivery(Outcome.ACKNOWLEDGED)


class HeldClock(BootClock):
    """Time that passes when a test says so."""

    def __init__(self) -> None:
        super().__init__("boot")
        self.at_s = 1000.0

    def now(self, age_s: float = 0.0) -> Moment:
        return Moment("boot", self.at_s - age_s)

    def age_s(self, moment: Moment) -> float:
        return self.at_s - moment.at_s if moment.boot == "boot" else float("inf")


class SlowBroker:
    """Takes messages and acknowledges them when it is told to."""

    def __init__(self) -> None:
        self.sent: list[tuple[Topic, EventMessage, int | None]] = []
        self.open: list[asyncio.Future[Delivery]] = []

    def __call__(self, topic: Topic, payload: bytes, expiry_s: int | None) -> asyncio.Future[Delivery]:
        self.sent.append((topic, EventMessage.decode(payload), expiry_s))
        self.open.append(asyncio.get_running_loop().create_future())
        return self.open[-1]

    def answer(self, delivery: Delivery = ACKNOWLEDGED, count: int | None = None) -> None:
        answered, self.open = self.open[:count], self.open[len(self.open[:count]) :]
        for future in answered:
            future.set_result(delivery)

    @property
    def numbers(self) -> list[int]:
        return [int(message.id.rpartition("-")[2]) for _, message, _ in self.sent]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[StateStore]:
    with closing(StateStore(tmp_path / "state")) as opened:
        yield opened


@asynccontextmanager
async def outbox_on(
    store: StateStore, clock: BootClock | None = None, retry_s: float = 600.0, limit: int = 1000
) -> AsyncIterator[Outbox]:
    disk = DiskThread()
    outbox = Outbox(store, disk, TOPICS, limit=limit, clock=clock or HeldClock(), retry_refused_s=retry_s)
    try:
        yield outbox
    finally:
        await outbox.close()
        disk.close()


async def test_row_goes_only_after_the_acknowledgement(store: StateStore) -> None:
    broker = SlowBroker()
    async with outbox_on(store) as outbox:
        outbox.connected(broker)
        await outbox.add(event(1))
        await until(lambda: broker.numbers == [1])
        assert (outbox.queued, store.queued()) == (1, 1)
        broker.answer()
        await until(lambda: outbox.queued == 0)
        assert store.queued() == 0


async def test_reconnect_sends_what_was_not_acknowledged_again_in_order(store: StateStore) -> None:
    first, second = SlowBroker(), SlowBroker()
    async with outbox_on(store) as outbox:
        outbox.connected(first)
        for number in range(5):
            await outbox.add(event(number))
        await until(lambda: first.numbers == [0, 1, 2, 3, 4])
        first.answer(count=2)
        await until(lambda: outbox.queued == 3)
        outbox.disconnected()
        first.answer(Delivery(Outcome.LOST))
        await outbox.add(event(5))
        outbox.connected(second)
        await until(lambda: second.numbers == [2, 3, 4, 5])
        second.answer()
        await until(lambda: outbox.queued == 0)


async def test_window_bounds_what_is_on_the_way(store: StateStore) -> None:
    broker = SlowBroker()
    async with outbox_on(store) as outbox:
        for number in range(3 * WINDOW):
            await outbox.add(event(number))
        outbox.connected(broker)
        await until(lambda: len(broker.sent) == WINDOW)
        while outbox.queued:
            assert len(broker.open) <= WINDOW
            broker.answer()
            await asyncio.sleep(0)
        assert broker.numbers == list(range(3 * WINDOW))


async def test_events_of_an_earlier_process_are_sent_first(store: StateStore) -> None:
    clock, broker = HeldClock(), SlowBroker()
    async with outbox_on(store, clock) as outbox:
        await outbox.add(event(1))
    async with outbox_on(store, clock) as outbox:
        assert outbox.queued == 1
        await outbox.add(event(2))
        outbox.connected(broker)
        await until(lambda: broker.numbers == [1, 2])


async def test_old_event_goes_to_the_late_topic_with_its_own_times(store: StateStore) -> None:
    clock, broker = HeldClock(), SlowBroker()
    async with outbox_on(store, clock) as outbox:
        await outbox.add(event(1))
        clock.at_s += LATE_AFTER_S + 0.1
        await outbox.add(event(1, "offset"))
        outbox.connected(broker)
        await until(lambda: len(broker.sent) == 2)
    (late_topic, late, late_expiry), (topic, live, expiry) = broker.sent
    assert late_topic == TOPICS.late("street", "siren")
    assert late == event(1).model_copy(update={"late": True})
    assert (topic, live) == (TOPICS.offset("street", "siren"), event(1, "offset"))
    assert (late_expiry, expiry) == (RECORD_EXPIRY_S, RECORD_EXPIRY_S)


async def test_event_from_before_a_reboot_is_late_however_young_it_looks(store: StateStore) -> None:
    store.add_event("x" * 8, "onset", event(1).encode(), Moment("another boot", 1000.0), 10)
    broker = SlowBroker()
    async with outbox_on(store) as outbox:
        outbox.connected(broker)
        await until(lambda: len(broker.sent) == 1)
        assert broker.sent[0][0] == TOPICS.late("street", "siren")


async def test_onset_expires_within_a_minute(store: StateStore) -> None:
    broker = SlowBroker()
    async with outbox_on(store) as outbox:
        outbox.connected(broker)
        await outbox.add(event(1))
        await until(lambda: len(broker.sent) == 1)
        assert broker.sent[0][2] == ONSET_EXPIRY_S


@pytest.mark.parametrize("level_dbfs", [-200.0, 0.0, 20.5, 1e6])
async def test_event_of_any_level_is_sent(store: StateStore, level_dbfs: float) -> None:
    broker = SlowBroker()
    async with outbox_on(store) as outbox:
        outbox.connected(broker)
        await outbox.add(event(1).model_copy(update={"level_dbfs": level_dbfs}))
        await until(lambda: broker.sent)
        assert broker.sent[0][1].level_dbfs == level_dbfs


async def test_refused_event_does_not_block_the_others(store: StateStore, caplog: pytest.LogCaptureFixture) -> None:
    broker = SlowBroker()
    async with outbox_on(store) as outbox:
        outbox.connected(broker)
        await outbox.add(event(1))
        await until(lambda: broker.open)
        broker.answer(Delivery(Outcome.REFUSED, "Not authorized"))
        await outbox.add(event(2))
        await until(lambda: broker.numbers == [1, 2])
        assert "access rules" in outbox.problem
        broker.answer()
        await until(lambda: outbox.queued == 1)
        assert outbox.problem == ""
        outbox.disconnected()
        outbox.connected(broker)
        await until(lambda: broker.numbers == [1, 2, 1])
        broker.answer()
        await until(lambda: outbox.queued == 0)
    assert [record.levelname for record in caplog.records] == ["WARNING"]


async def test_refused_event_is_tried_again_without_a_reconnect(store: StateStore) -> None:
    broker = SlowBroker()
    async with outbox_on(store, retry_s=0.05) as outbox:
        outbox.connected(broker)
        await outbox.add(event(1))
        await until(lambda: broker.open)
        broker.answer(Delivery(Outcome.REFUSED, "Not authorized"))
        await until(lambda: broker.numbers == [1, 1])
        broker.answer()
        await until(lambda: outbox.queued == 0)


async def test_event_that_cannot_be_read_is_dropped_and_the_next_sent(store: StateStore) -> None:
    store.add_event("x" * 8, "onset", b"{}", Moment("boot", 1000.0), 10)
    broker = SlowBroker()
    async with outbox_on(store) as outbox:
        outbox.connected(broker)
        await outbox.add(event(2))
        await until(lambda: broker.numbers == [2])
        broker.answer()
        await until(lambda: outbox.queued == 0)


async def test_event_is_sent_although_the_disk_refuses_it(store: StateStore, caplog: pytest.LogCaptureFixture) -> None:
    broker = SlowBroker()
    async with outbox_on(store) as outbox:
        store._database._connection.execute("PRAGMA query_only=ON")
        await outbox.add(event(1))
        await outbox.add(event(2))
        assert outbox.queued == 2
        outbox.connected(broker)
        await until(lambda: broker.numbers == [1, 2])
        broker.answer()
        await until(lambda: outbox.queued == 0)
        store._database._connection.execute("PRAGMA query_only=OFF")
        await outbox.add(event(3))
        assert store.queued() == 1
    assert [record.levelname for record in caplog.records] == ["ERROR"]


class SlowlyReadStore(StateStore):
    """Refuses events, and reads so slowly that acknowledgements overtake it."""

    reads = 0

    def add_event(self, event_id: str, phase: str, payload: bytes, moment: Moment, limit: int) -> int:
        raise StoreError("disk full")

    def events_after(self, row_id: int, limit: int) -> list[OutboxRow]:
        self.reads += 1
        threading.Event().wait(0.005)
        return super().events_after(row_id, limit)


async def test_event_in_memory_is_sent_once_although_the_disk_reads_slowly(tmp_path: Path) -> None:
    broker = SlowBroker()

    def send(topic: Topic, payload: bytes, expiry_s: int | None) -> asyncio.Future[Delivery]:
        delivery = broker(topic, payload, expiry_s)
        asyncio.get_running_loop().call_later(0.001, broker.answer)
        return delivery

    with closing(SlowlyReadStore(tmp_path / "slow")) as store:
        async with outbox_on(store) as outbox:
            outbox.connected(send)
            await outbox.add(event(1))
            await until(lambda: outbox.queued == 0)
            reads = store.reads
            await outbox.add(event(2))
            await until(lambda: outbox.queued == 0 and store.reads > reads)
    assert broker.numbers == [1, 2]


async def test_acknowledged_row_that_the_disk_keeps_is_not_sent_again_and_goes_later(store: StateStore) -> None:
    broker = SlowBroker()
    async with outbox_on(store) as outbox:
        outbox.connected(broker)
        await outbox.add(event(1))
        await until(lambda: broker.open)
        store._database._connection.execute("PRAGMA query_only=ON")
        broker.answer()
        await outbox.add(event(2))
        await until(lambda: broker.numbers == [1, 2])
        outbox.disconnected()
        outbox.connected(broker)
        await until(lambda: broker.numbers == [1, 2, 2])
        store._database._connection.execute("PRAGMA query_only=OFF")
        broker.answer()
        await until(lambda: outbox.queued == 0)
    assert store.queued() == 0


async def test_events_go_on_after_the_state_file_was_replaced(store: StateStore) -> None:
    broker = SlowBroker()
    async with outbox_on(store) as outbox:
        outbox.connected(broker)
        for number in range(3):
            await outbox.add(event(number))
        await until(lambda: broker.numbers == [0, 1, 2])
        broker.answer(count=1)
        await until(lambda: outbox.queued == 2)
        damage(store)
        await outbox.add(event(3))
        assert outbox.queued == 1
        await until(lambda: broker.numbers == [0, 1, 2, 3])
        broker.answer(count=2)
        await outbox.add(event(4))
        await until(lambda: broker.numbers == [0, 1, 2, 3, 4])
        assert outbox.queued == 2, "late acknowledgements of lost rows take no other row away"
        broker.answer()
        await until(lambda: outbox.queued == 0)


async def test_full_queue_keeps_the_youngest(store: StateStore) -> None:
    broker = SlowBroker()
    async with outbox_on(store, limit=10) as outbox:
        for number in range(15):
            await outbox.add(event(number))
        assert outbox.queued == 10
        outbox.connected(broker)
        await until(lambda: len(broker.sent) == 10)
        assert broker.numbers == list(range(5, 15))
        broker.answer()
        await until(lambda: outbox.queued == 0)


async def test_queue_that_overflows_while_events_are_on_the_way_ends_empty(store: StateStore) -> None:
    broker = SlowBroker()
    async with outbox_on(store, limit=10) as outbox:
        outbox.connected(broker)
        for number in range(30):
            await outbox.add(event(number))
        while outbox.queued:
            broker.answer()
            await asyncio.sleep(0.001)
        assert store.queued() == 0


@pytest.mark.mosquitto
async def test_broker_that_denies_events_is_named_and_denied_ones_go_out_later(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rules = tmp_path / "acl"
    rules.write_text("topic readwrite #\ntopic deny earshot/acl/source/street/siren/onset\n")
    with Mosquitto(tmp_path, extra=f"acl_file {rules}") as broker, Subscriber(broker.port, "earshot/acl/#") as heard:
        async with running_node(node_config(broker.port, "acl"), tmp_path / "state") as node:
            await until(lambda: node.publisher.connected)
            with caplog.at_level(logging.WARNING):
                await node.publisher.publish_event(event(1, node="acl"))
                await node.publisher.publish_event(event(1, "offset", node="acl"))
                await until(lambda: heard.on("earshot/acl/source/street/siren/offset"), what="the one that is allowed")
                await until(lambda: node.publisher.queued == 1)
            assert "earshot/acl/source/street/siren/onset" in caplog.text
            assert "Not authorized" in caplog.text
            assert not heard.on("earshot/acl/source/street/siren/onset")


@pytest.mark.mosquitto
async def test_broker_that_denies_everything_is_the_problem(tmp_path: Path) -> None:
    rules = tmp_path / "acl"
    rules.write_text("topic read #\n")
    with Mosquitto(tmp_path, extra=f"acl_file {rules}") as broker:
        async with running_node(node_config(broker.port, "mute"), tmp_path / "state") as node:
            await until(lambda: node.publisher.problem != "")
            assert "access rules" in node.publisher.problem
            assert "mute" in node.publisher.problem
