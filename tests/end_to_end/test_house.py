"""Two real nodes, one of which runs the house: one alarm, and right again when a node dies in the middle of it."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from support.listening_node import ListeningNode, noise
from support.mosquitto import Mosquitto
from support.mqtt_subscriber import Subscriber
from support.waiting import wait_until

from earshot_node.contract.house_topics import HouseTopics

TOPICS = HouseTopics("earshot")


@pytest.mark.mosquitto
def test_two_nodes_make_one_alarm_and_a_killed_one_none_for_ever(own_broker: Mosquitto, tmp_path: Path) -> None:
    house = {"enabled": True, "needed": 2, "quiet_s": 1}
    leader = ListeningNode(tmp_path / "hall", own_broker, "hall", house=house)
    other = ListeningNode(tmp_path / "attic", own_broker, "attic")
    with Subscriber(own_broker.port, "earshot/#") as subscriber, leader, other:

        def states() -> list[bytes]:
            told = subscriber.payloads(TOPICS.state().name)
            return [one for at, one in enumerate(told) if at == 0 or told[at - 1] != one]

        def report() -> dict[str, Any]:
            return dict(json.loads(subscriber.payloads(TOPICS.report().name)[-1]))

        def beside() -> NDArray[np.float32]:
            """A microphone that nobody plays anything to does not listen, and would not count."""
            other.play(noise(0.5))
            return leader.siren(0.5)

        def both() -> NDArray[np.float32]:
            leader.play(leader.siren(0.5))
            return other.siren(0.5, -15)

        leader.begin()
        other.begin()
        leader.play_until(beside, lambda: subscriber.payloads("earshot/hall/source/street/siren/onset"))
        wait_until(
            lambda: subscriber.payloads(TOPICS.report().name) and report()["listening"] == 2, 30, "both listening"
        )
        wait_until(states, 30, "a state of the house")
        assert states() == [b"OFF"]  # one of two
        other.play_until(both, lambda: states()[-1] == b"ON")
        (event,) = [heard.json for heard in subscriber.on(TOPICS.onset().name)]
        assert sorted(event["rooms"]) == ["attic room", "hall room"]
        other.kill()
        wait_until(lambda: report()["listening"] == 1, 30, "the node's last will")
        assert "attic/street" in report()["away"]
        leader.play_until(lambda: noise(1), lambda: states()[-1] == b"OFF")
        assert report()["ended"] is not None
    assert len(subscriber.on(TOPICS.onset().name)) == 1
