"""The house at a real broker: told once, run once, right again after restarts."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from support.async_waiting import until
from support.mosquitto import Mosquitto
from support.mqtt_node import event, node_config, node_info
from support.mqtt_subscriber import Subscriber, retained

from earshot_node.contract.config import NodeConfig
from earshot_node.contract.house import HouseEvent, HouseOwner, HouseReport
from earshot_node.contract.house_topics import HouseTopics
from earshot_node.contract.topics import NodeTopics
from earshot_node.doctor.house import check_house
from earshot_node.errors import OperatorError
from earshot_node.house.removal import remove_house
from earshot_node.house.service import House
from earshot_node.mqtt.client import BackOff

pytestmark = pytest.mark.mosquitto
LONG_S = 30.0


def house_config(broker: Mosquitto, prefix: str, node: str = "hall", **house: Any) -> NodeConfig:
    section = {"enabled": True, "quiet_s": 0.5, **house}
    return node_config(broker.port, node, mqtt={"prefix": prefix}, house=section)


@asynccontextmanager
async def running(config: NodeConfig, instance: str = "") -> AsyncIterator[House]:
    one = House(config, instance or config.node.id, back_off=BackOff(0.05, 0.2), settle_s=0.4, tick_s=0.1)
    task = asyncio.create_task(one.run())
    try:
        yield one
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


class Household:
    """What nodes would say, and what the house told."""

    def __init__(self, subscriber: Subscriber, prefix: str) -> None:
        self.subscriber = subscriber
        self.prefix = prefix
        self.topics = HouseTopics(prefix)

    def node(self, name: str, status: str = "online") -> None:
        topics = NodeTopics(self.prefix, name)
        info = node_info(node_config(1883, name)).model_copy(update={"node": name})
        self.subscriber.say(topics.info().name, info.encode(), retain=True)
        self.subscriber.say(topics.status().name, status, retain=True)

    def siren(self, name: str, state: str, source: str = "street") -> None:
        topics = NodeTopics(self.prefix, name)
        self.subscriber.say(topics.last_event(source, "siren").name, event(1, node=name).encode(), retain=True)
        self.subscriber.say(topics.state(source, "siren").name, state, retain=True)

    def level(self, name: str, dbfs: float, source: str = "street") -> None:
        self.subscriber.say(NodeTopics(self.prefix, name).level(source).name, f"{dbfs:.1f}")

    @property
    def states(self) -> list[bytes]:
        told = self.subscriber.payloads(self.topics.state().name)
        return [one for at, one in enumerate(told) if at == 0 or told[at - 1] != one]

    @property
    def events(self) -> list[HouseEvent]:
        return [HouseEvent.decode(one) for one in self.subscriber.payloads(self.topics.onset().name)]

    @property
    def report(self) -> HouseReport:
        return HouseReport.decode(self.subscriber.payloads(self.topics.report().name)[-1])

    @property
    def owners(self) -> list[str]:
        return [HouseOwner.decode(one).owner for one in self.subscriber.payloads(self.topics.owner().name) if one]


@pytest.fixture
def household(broker: Mosquitto, request: pytest.FixtureRequest) -> Any:
    prefix = request.node.name[5:45].strip("_").replace("[", "").replace("]", "")
    with Subscriber(broker.port, f"{prefix}/#", f"homeassistant/device/{prefix}_house/house/config") as subscriber:
        yield Household(subscriber, prefix)


async def test_two_rooms_make_one_alarm(broker: Mosquitto, household: Household) -> None:
    household.node("hall")
    household.node("attic")
    async with running(house_config(broker, household.prefix, needed=2)):
        await until(lambda: household.states == [b"OFF"], LONG_S, "OFF")
        household.siren("hall", "ON")
        household.siren("attic", "ON")
        await until(lambda: household.states[-1] == b"ON", LONG_S, "ON")
        household.level("attic", -20.0)
        household.level("hall", -41.0)
        await until(lambda: household.report.microphones[0].level_dbfs == -20.0, LONG_S, "the loudest one")
        assert household.report.microphones[0].node == "attic"
        assert household.report.sounding == 2
        household.siren("hall", "OFF")
        household.siren("attic", "OFF")
        await until(lambda: household.states == [b"OFF", b"ON", b"OFF"], LONG_S, "OFF")
    (told,) = household.events
    assert told.id == household.report.id
    assert set(told.microphones) == {"hall/street", "attic/street"}
    assert household.report.ended is not None
    assert not any(heard.retained for heard in household.subscriber.on(household.topics.onset().name))
    assert retained(broker.port, household.topics.alive("hall").name) == {
        household.topics.alive("hall").name: b"offline"
    }


async def test_node_that_dies_while_on_is_no_alarm_for_ever(broker: Mosquitto, household: Household) -> None:
    household.node("attic")
    async with running(house_config(broker, household.prefix)):
        await until(lambda: bool(household.states), LONG_S, "the house")
        household.siren("attic", "ON")
        await until(lambda: household.states[-1] == b"ON", LONG_S, "ON")
        household.node("attic", "offline")  # its last will
        await until(lambda: household.states[-1] == b"OFF", LONG_S, "OFF")
        await until(lambda: "attic/street" in household.report.away, LONG_S, "a word on who is away")


async def test_siren_goes_on_as_the_same_one_over_a_restart_of_the_house(
    broker: Mosquitto, household: Household
) -> None:
    household.node("attic")
    async with running(house_config(broker, household.prefix)):
        await until(lambda: bool(household.states), LONG_S, "the house")
        household.siren("attic", "ON")
        await until(lambda: household.states[-1] == b"ON", LONG_S, "ON")
        first = household.report
    reports = len(household.subscriber.on(household.topics.report().name))
    async with running(house_config(broker, household.prefix)):
        again = lambda: len(household.subscriber.on(household.topics.report().name)) > reports  # noqa: E731
        await until(again, LONG_S, "a report")
        assert (household.report.state, household.report.id) == ("on", first.id)
        household.siren("attic", "OFF")
        await until(lambda: household.states[-1] == b"OFF", LONG_S, "OFF")
    assert household.states == [b"OFF", b"ON", b"OFF"]
    assert len(household.events) == 1


async def test_siren_that_ended_while_the_house_was_away_is_over(broker: Mosquitto, household: Household) -> None:
    household.node("attic")
    async with running(house_config(broker, household.prefix)):
        await until(lambda: bool(household.states), LONG_S, "the house")
        household.siren("attic", "ON")
        await until(lambda: household.states[-1] == b"ON", LONG_S, "ON")
    household.siren("attic", "OFF")
    async with running(house_config(broker, household.prefix)):
        await until(lambda: household.states[-1] == b"OFF", LONG_S, "OFF")
        assert household.report.loudest_room
        assert household.report.ended is not None


async def test_second_one_stands_by_and_says_so(broker: Mosquitto, household: Household) -> None:
    household.node("attic")
    first = house_config(broker, household.prefix)
    second = house_config(broker, household.prefix, "attic")
    async with running(first) as one:
        await until(lambda: bool(household.states), LONG_S, "the house")
        async with running(second) as other:
            await until(lambda: "hall runs it already" in other.rivalry, LONG_S, "a word on the rival")
            assert one.rivalry == ""
            household.siren("attic", "ON")
            await until(lambda: household.states[-1] == b"ON", LONG_S, "ON")
            finding = await asyncio.to_thread(check_house, second)
            assert (finding[0].outcome, "hall runs the house" in finding[0].what) == ("warn", True)
            assert (await asyncio.to_thread(check_house, first))[0].outcome == "ok"
            with pytest.raises(OperatorError, match="run by attic, hall;"):
                await remove_house(first)
    assert set(household.owners) == {"hall"}
    assert len(household.events) == 1


async def test_device_deleted_in_home_assistant_stays_deleted(broker: Mosquitto, household: Household) -> None:
    device = household.topics.device("homeassistant").name
    config = house_config(broker, household.prefix)
    async with running(config):
        await until(lambda: household.subscriber.payloads(device), LONG_S, "the announcement")
        assert household.subscriber.on(device)[0].json["device"]["name"] == "Earshot house"
        await until(lambda: len(household.owners) >= 2, LONG_S, "the ledger")
    household.subscriber.say(device, b"", retain=True)
    states = len(household.subscriber.payloads(household.topics.state().name))
    async with running(config):
        more = lambda: len(household.subscriber.payloads(household.topics.state().name)) > states  # noqa: E731
        await until(more, LONG_S, "the house")
    assert household.subscriber.payloads(device)[-1] == b""


async def test_broker_that_forgot_everything_is_told_again(own_broker: Mosquitto) -> None:
    config = house_config(own_broker, "forgetful")
    topics = HouseTopics("forgetful")
    with Subscriber(own_broker.port, "#") as subscriber:
        async with running(config):
            await until(lambda: subscriber.payloads(topics.state().name), LONG_S, "the house")
            own_broker.kill()
            (own_broker.folder / "mosquitto.db").unlink(missing_ok=True)
            own_broker.start()
            names = {
                topics.state().name,
                topics.owner().name,
                topics.report().name,
                topics.device("homeassistant").name,
            }
            await until(lambda: names <= set(retained(own_broker.port)), LONG_S, "everything again")


async def test_broker_that_forbids_it_is_told_of_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "acl").write_text("topic readwrite earshot/hall/#\n")
    (tmp_path / "acl").chmod(0o600)
    with Mosquitto(tmp_path, extra=f"acl_file {tmp_path}/acl") as strict:
        config = house_config(strict, "earshot")
        async with running(config) as one:
            await until(lambda: "does not let it write earshot/_house/alive/hall" in one.rivalry, LONG_S, "a word")
        assert (await asyncio.to_thread(check_house, config))[0].outcome == "fail"


async def test_removal_leaves_nothing(broker: Mosquitto, household: Household) -> None:
    config = house_config(broker, household.prefix)
    async with running(config):
        await until(lambda: bool(household.states), LONG_S, "the house")
    removed = await remove_house(config)
    assert len(removed) == 5
    device = household.topics.device("homeassistant").name
    assert retained(broker.port, f"{household.topics.base}/#", device) == {}


async def test_senseless_messages_change_nothing(broker: Mosquitto, household: Household) -> None:
    household.node("attic")
    async with running(house_config(broker, household.prefix)):
        await until(lambda: bool(household.states), LONG_S, "the house")
        topics = NodeTopics(household.prefix, "attic")
        for topic in (topics.info(), topics.level("street"), topics.source_health("street")):
            household.subscriber.say(topic.name, b"\xff{")
        household.subscriber.say(topics.level("street").name, b"nan")
        household.subscriber.say(topics.last_event("street", "siren").name, b"[]")
        household.subscriber.say(household.topics.owner().name, b"who?")
        household.siren("attic", "ON")
        await until(lambda: household.states[-1] == b"ON", LONG_S, "ON all the same")
