"""Messages and topics of house and drill, and the house's discovery: golden, and within what Home Assistant takes."""

import json
from dataclasses import asdict
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.golden import GOLDEN, assert_golden
from support.mqtt_node import LONG_AGO

from earshot_node.contract.drill import DrillResult
from earshot_node.contract.house import HouseEvent, HouseMicrophone, HouseOwner, HouseReport
from earshot_node.contract.house_topics import HouseTopics, NodeWord, SourceWord
from earshot_node.contract.messages import Message
from earshot_node.contract.names import validate_slug
from earshot_node.contract.topics import NodeTopics
from earshot_node.house.discovery import house_device
from earshot_node.mqtt.discovery import encode

TOPICS = HouseTopics("earshot")
MESSAGES: dict[str, Message] = {
    "house_report": HouseReport(
        state="on",
        id="0123456789abcdef0123456789abcdef",
        began=LONG_AGO,
        microphones=(
            HouseMicrophone(
                node="hall",
                source="street",
                name="Street",
                room="Hallway",
                sounding=True,
                level_dbfs=-21.5,
                confidence=93,
            ),
        ),
        sounding=1,
        loudest_room="Hallway",
        movement="approaching",
        needed=1,
        listening=3,
        away=("cellar/door",),
        owner="hall",
        time=LONG_AGO + timedelta(seconds=8),
    ),
    "house_event": HouseEvent(
        id="0123456789abcdef0123456789abcdef",
        event_type="siren",
        began=LONG_AGO,
        rooms=("Hallway",),
        loudest_room="Hallway",
        microphones=("hall/street",),
        confidence=93,
    ),
    "house_owner": HouseOwner(owner="hall", fingerprint="00ff", since=LONG_AGO),
    "drill_result": DrillResult(
        id="a1",
        source="street",
        outcome="passed",
        heard=True,
        detected=True,
        published=True,
        detected_s=1.64,
        alarm_s=1.71,
        level_dbfs=-30,
        background_dbfs=-52.5,
        confidence=98,
        event="0123456789abcdef0123456789abcdef",
        time=LONG_AGO,
    ),
}


@pytest.mark.parametrize("name", MESSAGES)
def test_payload_matches_its_golden_file_and_reads_back(name: str) -> None:
    assert_golden(name, json.loads(MESSAGES[name].encode()))
    assert type(MESSAGES[name]).decode((GOLDEN / f"{name}.json").read_bytes()) == MESSAGES[name]


def test_topics_match_their_golden_file() -> None:
    topics = {
        "alive": TOPICS.alive("hall"),
        "owner": TOPICS.owner(),
        "state": TOPICS.state(),
        "onset": TOPICS.onset(),
        "report": TOPICS.report(),
        "device": TOPICS.device("homeassistant"),
    }
    subscriptions = {"own": list(TOPICS.own_filters()), "nodes": list(TOPICS.node_filters())}
    found = {"topics": {name: asdict(topic) for name, topic in topics.items()}, "subscriptions": subscriptions}
    assert_golden("house_topics", found)


def test_discovery_matches_its_golden_file() -> None:
    payload = json.loads(encode(house_device(TOPICS, "hall")))
    assert_golden("discovery_house", payload)
    assert set(payload) == {"device", "origin", "availability", "qos", "components"}


def test_no_node_can_take_the_place_of_the_house() -> None:
    with pytest.raises(ValueError, match="not a valid id"):
        validate_slug(TOPICS.base.rpartition("/")[2])


def test_topics_of_nodes_read_back_and_those_of_the_house_are_none() -> None:
    node = NodeTopics("earshot", "hall")
    assert TOPICS.parse(node.status().name) == NodeWord("hall", "status")
    assert TOPICS.parse(node.info().name) == NodeWord("hall", "info")
    assert TOPICS.parse(node.level("street").name) == SourceWord("hall", "street", "level")
    assert TOPICS.parse(node.source_health("street").name) == SourceWord("hall", "street", "health")
    assert TOPICS.parse(node.state("street", "siren").name) == SourceWord("hall", "street", "state")
    assert TOPICS.parse(node.last_event("street", "siren").name) == SourceWord("hall", "street", "last_event")
    assert TOPICS.parse(node.state("street", "dog").name) is None
    assert TOPICS.parse(TOPICS.state().name) is None
    assert TOPICS.instance(TOPICS.alive("hall").name) == "hall"
    assert TOPICS.instance(TOPICS.owner().name) is None


@given(st.text(max_size=60))
def test_parsing_any_text_never_raises(text: str) -> None:
    assert TOPICS.parse(text) is None or text.startswith("earshot/")
    parsed = TOPICS.parse(f"earshot/{text}/source/{text}/siren/state")
    assert parsed is None or isinstance(parsed, SourceWord)
