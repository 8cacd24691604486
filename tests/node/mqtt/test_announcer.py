"""Discovery topics follow the configuration, and a deletion in Home Assistant is respected."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

from support.async_waiting import until
from support.mqtt_node import node_config, node_info

from earshot_node.contract.topics import Topic
from earshot_node.mqtt.announcer import Announcer
from earshot_node.mqtt.connection import Delivery, Outcome
from earshot_node.mqtt.discovery import announcements
from earshot_node.mqtt.disk_thread import DiskThread
from earshot_node.mqtt.store import StateStore

STREET = "homeassistant/device/hall/source_street/config"
YARD = "homeassistant/device/hall/source_yard/config"
NODE = "homeassistant/device/hall/node/config"


class Broker:
    """Keeps what is published, in order, and apart from it what is not retained; can be away."""

    def __init__(self) -> None:
        self.passing: list[dict[str, Any]] = []
        self.log: list[tuple[str, Any]] = []
        self.away = False
        self.meanwhile: Callable[[], None] | None = None  # happens during the next message

    async def publish(self, topic: Topic, payload: bytes) -> Delivery:
        assert topic.qos == 1
        if self.meanwhile is not None:
            happens, self.meanwhile = self.meanwhile, None
            happens()
        if self.away:
            return Delivery(Outcome.LOST)
        if not topic.retain:
            self.passing.append(json.loads(payload))
            return Delivery(Outcome.ACKNOWLEDGED)
        self.log.append((topic.name, json.loads(payload) if payload else None))
        return Delivery(Outcome.ACKNOWLEDGED)

    @property
    def topics(self) -> list[str]:
        return [topic for topic, _ in self.log]


@asynccontextmanager
async def announcer_on(
    state: Path, broker: Broker, version: str = "2026.11.0", **sections: Any
) -> AsyncIterator[Announcer]:
    config = node_config(1883, **sections)
    disk = DiskThread()
    with closing(StateStore(state)) as store:
        yield Announcer(announcements(config, node_info(config, version)), store, broker.publish, disk, spacing_s=0)
        disk.close()


async def test_all_devices_are_announced_node_first(tmp_path: Path) -> None:
    broker = Broker()
    async with announcer_on(tmp_path / "state", broker) as announcer:
        assert await announcer.announce()
    assert broker.topics == [NODE, STREET, YARD]


async def test_removed_source_is_cleared_before_the_rest(tmp_path: Path) -> None:
    broker = Broker()
    async with announcer_on(tmp_path / "state", broker) as announcer:
        await announcer.announce()
    broker.log.clear()
    async with announcer_on(tmp_path / "state", broker, sources=[{"id": "street", "type": "microphone"}]) as announcer:
        await announcer.announce()
        assert broker.log[0] == (YARD, None)
        await announcer.announce()
    # the node's choice of a source to record from goes as well, which takes a message of its own
    assert broker.topics == [YARD, NODE, NODE, STREET, NODE, STREET]


async def test_removed_label_is_removed_by_platform_then_omitted(tmp_path: Path) -> None:
    broker = Broker()
    async with announcer_on(tmp_path / "state", broker, labels=("siren", "horn")) as announcer:
        await announcer.announce()
    broker.log.clear()
    async with announcer_on(tmp_path / "state", broker) as announcer:
        await announcer.announce()
        await announcer.announce()
    removal, clean, again = (payload["components"] for topic, payload in broker.log if topic == STREET)
    gone = {key: part for key, part in removal.items() if key.startswith("horn")}
    assert gone["horn-sound"] == {"platform": "binary_sensor"}
    assert gone["horn-sensitivity"] == {"platform": "number"}
    assert len(gone) == 10
    assert not [key for key in clean if key.startswith("horn")]
    assert clean == again
    assert removal["siren-sound"] == clean["siren-sound"]


async def test_kill_between_ledger_and_broker_still_removes_later(tmp_path: Path) -> None:
    """The connection breaks at the removal; the next process finishes it."""
    broker = Broker()
    async with announcer_on(tmp_path / "state", broker, labels=("siren", "horn")) as announcer:
        await announcer.announce()
    broker.away = True
    async with announcer_on(tmp_path / "state", broker) as announcer:
        assert not await announcer.announce()
    broker.away = False
    broker.log.clear()
    async with announcer_on(tmp_path / "state", broker) as announcer:
        await announcer.announce()
    first = next(payload for topic, payload in broker.log if topic == STREET)
    assert first["components"]["horn-sound"] == {"platform": "binary_sensor"}


async def test_device_deleted_in_home_assistant_stays_away_over_restarts_and_updates(tmp_path: Path) -> None:
    broker = Broker()
    async with announcer_on(tmp_path / "state", broker) as announcer:
        await announcer.announce()
        await announcer.heard(YARD, b"")
        await announcer.announce()
    assert broker.topics == [NODE, STREET, YARD, NODE, STREET]
    broker.log.clear()
    async with announcer_on(tmp_path / "state", broker, version="2026.12.0") as announcer:
        await announcer.announce()
    assert broker.topics == [NODE, STREET]


async def test_deleted_device_comes_back_when_its_configuration_changes(tmp_path: Path) -> None:
    broker = Broker()
    async with announcer_on(tmp_path / "state", broker) as announcer:
        await announcer.announce()
        await announcer.heard(STREET, b"")
    broker.log.clear()
    async with announcer_on(tmp_path / "state", broker, node={"area": "Attic"}) as announcer:
        await announcer.announce()
    assert STREET in broker.topics


async def test_deleted_device_comes_back_on_request(tmp_path: Path) -> None:
    broker = Broker()
    async with announcer_on(tmp_path / "state", broker) as announcer:
        await announcer.announce()
        await announcer.heard(STREET, b"")
        await announcer.revive()
        broker.log.clear()
        await announcer.announce()
    assert broker.topics == [NODE, STREET, YARD]


async def test_own_messages_and_foreign_topics_are_no_deletion(tmp_path: Path) -> None:
    broker = Broker()
    async with announcer_on(tmp_path / "state", broker) as announcer:
        await announcer.heard(STREET, b"")
        await announcer.announce()
        await announcer.heard(STREET, b"{}")
        await announcer.heard("homeassistant/device/hall/source_old/config", b"")
        broker.log.clear()
        await announcer.announce()
    assert broker.topics == [NODE, STREET, YARD]


async def test_answer_of_home_assistant_to_a_removal_is_no_deletion(tmp_path: Path) -> None:
    broker = Broker()
    async with announcer_on(tmp_path / "state", broker, labels=("siren", "horn")) as announcer:
        await announcer.announce()
    async with announcer_on(tmp_path / "state", broker) as announcer:
        await announcer.announce()
        await announcer.heard(STREET, b"")
        broker.log.clear()
        await announcer.announce()
    assert STREET in broker.topics


async def test_two_announcements_at_once_go_one_after_the_other(tmp_path: Path) -> None:
    broker = Broker()
    async with announcer_on(tmp_path / "state", broker) as announcer:
        tasks = [asyncio.create_task(announcer.announce()) for _ in range(2)]
        await until(lambda: all(task.done() for task in tasks))
    assert broker.topics == [NODE, STREET, YARD] * 2


async def test_what_is_wanted_meanwhile_is_announced_alone(tmp_path: Path) -> None:
    broker = Broker()
    async with announcer_on(tmp_path / "state", broker) as announcer:
        await announcer.announce()
        broker.log.clear()
        config = node_config(1883)
        labels = {"recording_labels": ("siren", "tractor", "background")}
        wanted = announcements(config, node_info(config).model_copy(update=labels))
        changed = announcer.want(wanted)
        assert [topic.name for topic in changed] == [NODE]
        assert announcer.want(wanted) == []
        await announcer.announce_only(changed)
        assert broker.topics == [NODE]
        assert broker.log[0][1]["components"]["record_label"]["options"] == ["siren", "tractor", "background"]
        await announcer.announce()
    assert broker.log[1] == broker.log[0]


async def test_what_is_wanted_during_an_announcement_is_what_lies_there_in_the_end(tmp_path: Path) -> None:
    broker, config = Broker(), node_config(1883)
    wanted = announcements(config, node_info(config).model_copy(update={"recording_labels": ("siren", "dog")}))
    async with announcer_on(tmp_path / "state", broker) as announcer:
        later: list[asyncio.Task[None]] = []

        def want_another() -> None:
            later.append(asyncio.create_task(announcer.announce_only(announcer.want(wanted))))

        broker.meanwhile = want_another
        assert await announcer.announce()
        await later[0]
    assert broker.topics == [NODE, STREET, YARD, NODE]
    assert "dog" in dict(broker.log)[NODE]["components"]["record_label"]["options"]


async def test_discovery_switched_off_clears_everything(tmp_path: Path) -> None:
    broker = Broker()
    async with announcer_on(tmp_path / "state", broker) as announcer:
        await announcer.announce()
    broker.log.clear()
    async with announcer_on(tmp_path / "state", broker, home_assistant={"enabled": False}) as announcer:
        await announcer.announce()
    assert broker.log == [(NODE, None), (STREET, None), (YARD, None)]


async def test_topic_that_home_assistant_empties_after_a_removal_is_filled_again_once(tmp_path: Path) -> None:
    """It does so for each removed component that a person had disabled, and drops the whole device."""
    broker = Broker()
    async with announcer_on(tmp_path / "state", broker, labels=("siren", "horn")) as announcer:
        await announcer.announce()
    async with announcer_on(tmp_path / "state", broker) as announcer:
        await announcer.announce()
        broker.log.clear()
        await asyncio.gather(announcer.heard(STREET, b""), announcer.heard(STREET, b""))
        assert broker.topics == [STREET]
        assert "siren-sound" in broker.log[0][1]["components"]
        await announcer.announce()
        assert STREET in broker.topics[1:]  # not taken for a person's deletion


async def test_source_that_went_is_removed_once_more_when_home_assistant_has_started(tmp_path: Path) -> None:
    broker, street = Broker(), {"sources": [{"id": "street", "type": "microphone"}]}
    async with announcer_on(tmp_path / "state", broker) as announcer:
        await announcer.announce()
        before = next(payload for topic, payload in broker.log if topic == YARD)
    async with announcer_on(tmp_path / "state", broker, **street) as announcer:
        await announcer.announce()
    async with announcer_on(tmp_path / "state", broker, **street) as announcer:
        broker.away = True
        await announcer.remove_again()
        broker.away = False
        broker.log.clear()
        await announcer.remove_again()
        await announcer.remove_again()
    assert [payload for topic, payload in broker.log if topic == YARD] == [None]
    device = before["device"]["identifiers"]
    (once_more,) = [payload for payload in broker.passing if payload["device"]["identifiers"] == device]
    assert ids(once_more) == ids(before)


async def test_label_that_went_is_removed_once_more_when_home_assistant_has_started(tmp_path: Path) -> None:
    broker = Broker()
    async with announcer_on(tmp_path / "state", broker, labels=("siren", "horn")) as announcer:
        await announcer.announce()
        before = next(payload for topic, payload in broker.log if topic == STREET)
    async with announcer_on(tmp_path / "state", broker) as announcer:
        await announcer.announce()
        broker.log.clear()
        await announcer.remove_again()
        street = [payload for payload in broker.passing if payload["device"] == before["device"]]
        assert ids(street[0]) == ids(before)
        gone = before["components"].keys() - dict(broker.log)[STREET]["components"].keys()
        assert {key: list(street[1]["components"][key]) for key in gone} == {key: ["platform"] for key in gone}
        assert len(gone) > 8
        await announcer.heard(STREET, b"")  # what Home Assistant answers is no deletion
        broker.log.clear()
        await announcer.announce()
    assert STREET in broker.topics


async def test_what_comes_back_is_not_removed_once_more(tmp_path: Path) -> None:
    broker, both = Broker(), {"labels": ("siren", "horn")}
    async with announcer_on(tmp_path / "state", broker, **both) as announcer:
        await announcer.announce()
    async with announcer_on(tmp_path / "state", broker, sources=[{"id": "street", "type": "microphone"}]) as announcer:
        await announcer.announce()
    async with announcer_on(tmp_path / "state", broker, **both) as announcer:
        await announcer.announce()
        broker.log.clear()
        await announcer.remove_again()
    assert (broker.log, broker.passing) == ([], [])


async def test_device_that_a_person_deleted_is_not_removed_once_more(tmp_path: Path) -> None:
    broker = Broker()
    async with announcer_on(tmp_path / "state", broker) as announcer:
        await announcer.announce()
        await announcer.heard(YARD, b"")
    async with announcer_on(tmp_path / "state", broker, sources=[{"id": "street", "type": "microphone"}]) as announcer:
        await announcer.announce()
        broker.log.clear()
        await announcer.remove_again()
    assert YARD not in broker.topics


def ids(payload: dict[str, Any]) -> dict[str, tuple[str, str]]:
    """Return platform and unique id of each component by its key."""
    return {key: (part["platform"], part["unique_id"]) for key, part in payload["components"].items()}
