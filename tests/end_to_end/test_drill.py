"""Drills of a real node at a real broker: passed, failed, and with a real siren at the same time."""

import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from support.listening_node import ListeningNode, noise
from support.mosquitto import Mosquitto
from support.mqtt_subscriber import Subscriber, retained
from support.waiting import wait_until

pytestmark = pytest.mark.mosquitto
STREET = "earshot/{}/source/street"


def result(subscriber: Subscriber, node: str) -> dict[str, Any] | None:
    told = subscriber.payloads(f"{STREET.format(node)}/drill/result")
    return json.loads(told[-1]) if told else None


def health_problems(subscriber: Subscriber, node: str) -> list[str]:
    told = subscriber.payloads(f"earshot/{node}/health")
    return list(json.loads(told[-1])["problems"]) if told else []


def test_drill_passes_and_the_household_hears_nothing_of_it(broker: Mosquitto, tmp_path: Path) -> None:
    """Asked for on the command line; the result is there again after a restart, also at a broker that forgot it."""
    node = ListeningNode(tmp_path / "node", broker, "drilled", clips={"store": "disk", "free_floor_mb": 0})
    street = STREET.format("drilled")
    with Subscriber(broker.port, "earshot/drilled/#") as subscriber:
        with node:
            node.begin()
            command = [sys.executable, "-m", "earshot_node", "drill", "--config", str(node.config_path), "--json"]
            asking = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            node.play_until(lambda: noise(1), lambda: asking.poll() is not None)
            out, err = asking.communicate()
            assert asking.returncode == 0, (out, err)
            answer = json.loads(out)
            assert answer == result(subscriber, "drilled")
            assert (answer["outcome"], answer["heard"], answer["detected"], answer["published"]) == (
                "passed",
                *[True] * 3,
            )
            assert answer["background_dbfs"] == pytest.approx(-55, abs=1)
            (alarm,) = [heard.json for heard in subscriber.on(f"{street}/siren/drill")]
            assert (alarm["drill"], alarm["id"]) == (True, answer["event"])
            node.play(noise(10))
        said = {heard.topic for heard in subscriber.messages}
        assert set(subscriber.payloads(f"{street}/siren/state")) == {b"OFF"}
        assert said.isdisjoint({f"{street}/{name}" for name in ("siren/onset", "siren/offset", "spectrogram")})
        assert not list((node.state_dir / "clips").glob("*"))
        subscriber.say(f"{street}/drill/result", b"", retain=True)
        with node:
            wait_until(lambda: result_lies_there(broker, street), 30, "the kept result")


def result_lies_there(broker: Mosquitto, street: str) -> bool:
    return f"{street}/drill/result" in retained(broker.port, f"{street}/#")


def test_siren_too_soft_for_the_room_fails_and_is_a_problem_until_one_passes(broker: Mosquitto, tmp_path: Path) -> None:
    node = ListeningNode(tmp_path / "node", broker, "loud")
    with Subscriber(broker.port, "earshot/loud/#") as subscriber, node:
        node.begin()
        subscriber.say("earshot/loud/command/drill", json.dumps({"source": "street", "level_dbfs": -50}))
        node.play_until(lambda: noise(1, -25), lambda: result(subscriber, "loud"))
        answer = result(subscriber, "loud")
        assert answer is not None
        assert (answer["outcome"], answer["heard"], answer["detected"]) == ("failed", True, False)
        assert "not detected over a background of -25 dBFS" in answer["reason"]
        node.play_until(
            lambda: noise(1), lambda: any("drill failed" in one for one in health_problems(subscriber, "loud"))
        )
        subscriber.say("earshot/loud/command/drill", "{}")
        node.play_until(lambda: noise(1), lambda: (result(subscriber, "loud") or {})["outcome"] == "passed")
        node.play_until(lambda: noise(1), lambda: health_problems(subscriber, "loud") == [])


def test_microphone_without_sound_fails_the_drill_although_the_siren_would_be_heard(
    broker: Mosquitto, tmp_path: Path
) -> None:
    node = ListeningNode(tmp_path / "node", broker, "mute")
    with Subscriber(broker.port, "earshot/mute/#") as subscriber, node:
        node.begin()
        health = f"{STREET.format('mute')}/health"
        node.play_until(lambda: noise(1) * 0, lambda: subscriber.on(health)[-1].json["state"] == "silent")
        subscriber.say("earshot/mute/command/drill", '{"id": "m"}')
        node.play_until(lambda: noise(1) * 0, lambda: result(subscriber, "mute"))
        answer = result(subscriber, "mute")
        assert answer is not None
        assert (answer["outcome"], answer["heard"]) == ("failed", False)
        assert "street does not hear" in answer["reason"]


def test_real_siren_that_outlasts_the_drill_alarms(broker: Mosquitto, tmp_path: Path) -> None:
    node = ListeningNode(tmp_path / "node", broker, "both")
    street = STREET.format("both")
    with Subscriber(broker.port, "earshot/both/#") as subscriber, node:
        node.begin()
        subscriber.say("earshot/both/command/drill", "{}")
        node.play_until(lambda: noise(0.5), lambda: subscriber.payloads(f"{street}/siren/drill"))
        assert subscriber.payloads(f"{street}/siren/onset") == []
        node.play_until(lambda: node.siren(2), lambda: subscriber.payloads(f"{street}/siren/onset"))
        wait_until(lambda: subscriber.payloads(f"{street}/siren/state")[-1] == b"ON", 20, "ON")
        (onset,) = [heard.json for heard in subscriber.on(f"{street}/siren/onset")]
        assert onset["drill"] is False
        node.play_until(lambda: noise(1), lambda: subscriber.payloads(f"{street}/siren/offset"))
        wait_until(lambda: subscriber.payloads(f"{street}/siren/state")[-1] == b"OFF", 20, "OFF")
        answer = result(subscriber, "both")
        assert answer is not None
        assert answer["outcome"] == "passed"


def test_drill_is_refused_while_a_siren_sounds_or_nobody_listens(broker: Mosquitto, tmp_path: Path) -> None:
    node = ListeningNode(tmp_path / "node", broker, "busy")
    street = STREET.format("busy")
    reply = "earshot/busy/reply"
    with Subscriber(broker.port, "earshot/busy/#") as subscriber, node:
        node.begin()
        node.play_until(lambda: node.siren(1), lambda: subscriber.payloads(f"{street}/siren/onset"))
        playing = threading.Thread(target=node.play, args=(node.siren(30),))
        playing.start()
        subscriber.say("earshot/busy/command/drill", '{"id": "a"}')
        wait_until(lambda: subscriber.on(reply), 20, "a refusal")
        playing.join()
        assert "a siren sounds at street now" in subscriber.on(reply)[0].json["reason"]
        subscriber.say(f"{street}/siren/enabled/set", "OFF")
        wait_until(lambda: subscriber.payloads(f"{street}/siren/enabled")[-1] == b"OFF", 20, "off")
        subscriber.say("earshot/busy/command/drill", '{"id": "b", "source": "street"}')
        wait_until(lambda: len(subscriber.on(reply)) >= 2, 20, "another refusal")
        assert "switched off for street" in subscriber.on(reply)[1].json["reason"]
        assert result(subscriber, "busy") is None
