"""The main job, end to end: real audio, a real node process, a real broker."""

import itertools
import json
import re
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from support.mosquitto import Mosquitto, free_port
from support.mqtt_subscriber import Subscriber, retained
from support.node_process import NodeProcess
from support.waiting import wait_until

from earshot_node.analysis import Analyzer
from earshot_node.drill.siren import drill_siren
from earshot_node.inference.bundle import load_bundled
from earshot_node.synth.scene import street_scene
from earshot_node.synth.sirens import random_siren

# Reports short sounds at once and again and again: these tests are about delivery, not about judgement.
EAGER = {"siren": {"enter": 0.3, "leave": 0.3, "min_length_s": 0.04, "bridging_s": 0.0, "cooldown_s": 0.0}}


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A synthesized minute with three sirens."""
    path = tmp_path_factory.mktemp("scene") / "scene.wav"
    street_scene().write_wav(path)
    return path


@pytest.fixture(scope="module")
def rapid(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve seconds: two thirds of a second of siren, then as much of near silence, again and again."""
    rng = np.random.default_rng(5)
    audio = (0.0005 * rng.standard_normal(12 * 16000)).astype(np.float32)
    for begin in range(0, len(audio) - 12000, 21333):
        siren, _ = random_siren(rng, 0.66)
        audio[begin : begin + len(siren)] += 0.3 * siren
    path = tmp_path_factory.mktemp("rapid") / "rapid.wav"
    soundfile.write(path, audio, 16000)
    return path


def config(broker: Mosquitto, path: Path, node_id: str, **source: Any) -> dict[str, Any]:
    return {
        "node": {"id": node_id},
        "sources": [{"id": "street", "name": "Street", "type": "file", "path": str(path), **source}],
        "mqtt": {"host": "127.0.0.1", "port": broker.port},
    }


def events(subscriber: Subscriber, phase: str, node_id: str) -> list[dict[str, Any]]:
    topic = f"earshot/{node_id}/source/street/siren/{phase}"
    return [json.loads(payload) for payload in subscriber.payloads(topic)]


@pytest.mark.mosquitto
def test_sirens_of_a_scene_arrive_as_events_and_states(broker: Mosquitto, scene: Path, tmp_path: Path) -> None:
    """Played as fast as possible, the node tells exactly what `analyze` finds in the file, and ends by itself."""
    found = Analyzer(load_bundled()).analyze(scene).events
    assert len(found) >= 3
    path = tmp_path / "scene.wav"  # not there before the node is online: what it heard earlier it would not tell as ON
    node = NodeProcess(tmp_path / "node", config(broker, path, "fast", real_time=False))
    with Subscriber(broker.port, "earshot/fast/#") as subscriber, node:
        wait_until(lambda: subscriber.payloads("earshot/fast/status") == [b"online"], 20, "online")
        path.hardlink_to(scene)
        assert node.wait() == 0
        onsets, offsets = events(subscriber, "onset", "fast"), events(subscriber, "offset", "fast")
        assert {event["id"] for event in onsets} == {event["id"] for event in offsets}
        durations = [event["duration_s"] for event in offsets]
        assert durations == pytest.approx([event.offset_s - event.onset_s for event in found], abs=0.002)
        states = subscriber.payloads("earshot/fast/source/street/siren/state")
        assert b"".join(state for state, _ in itertools.groupby(states)) == b"OFF" + b"ONOFF" * len(found)
        assert subscriber.payloads("earshot/fast/status")[-1] == b"offline"
    assert retained(broker.port, "earshot/fast/#")["earshot/fast/source/street/siren/state"] == b"OFF"


@pytest.mark.mosquitto
def test_kind_of_a_siren_is_told_while_it_sounds(broker: Mosquitto, tmp_path: Path) -> None:
    """In real time, to those who read the last event; the event itself is told once."""
    made, path = tmp_path / "made.wav", tmp_path / "yelp.wav"
    topic = "earshot/kinds/source/street/siren/last_event"
    soundfile.write(made, np.concatenate([np.zeros(16000, np.float32), drill_siren(-20.0)]), 16000)
    node = NodeProcess(tmp_path / "node", config(broker, path, "kinds"))
    with Subscriber(broker.port, "earshot/kinds/#") as subscriber, node:
        wait_until(lambda: subscriber.payloads("earshot/kinds/status") == [b"online"], 20, "online")
        path.hardlink_to(made)
        assert node.wait() == 0
        told = [json.loads(payload) for payload in subscriber.payloads(topic)]
        (onset,) = events(subscriber, "onset", "kinds")
    phases = [(one["phase"], one["kind"]) for one in told]
    assert phases == [("onset", "unknown"), ("onset", "yelp"), ("offset", "yelp")]
    assert {one["id"] for one in told} == {onset["id"]}


@pytest.mark.mosquitto
@pytest.mark.audio_data
def test_real_siren_recording_is_heard(broker: Mosquitto, audio_data: Path, tmp_path: Path) -> None:
    path = audio_data / "urban" / "audio" / "amrrashed_fire_truck_sound.opus"
    node = NodeProcess(tmp_path / "node", config(broker, path, "real", real_time=False))
    with Subscriber(broker.port, "earshot/real/#") as subscriber, node:
        assert node.wait() == 0
        assert len(events(subscriber, "onset", "real")) >= 1
        assert max(event["peak"] for event in events(subscriber, "offset", "real")) > 0.8


@pytest.mark.mosquitto
def test_source_that_is_silent_to_the_last_bit_is_told_over_mqtt_and_http(broker: Mosquitto, tmp_path: Path) -> None:
    """And it is healthy again as soon as there is sound."""
    port = free_port()
    settings = {
        "node": {"id": "deaf"},
        "sources": [{"id": "street", "type": "stdin"}],
        "mqtt": {"host": "127.0.0.1", "port": broker.port},
        "http": {"port": port, "token": "secret"},
    }
    noise = (1000 * np.random.default_rng(1).standard_normal(16000)).astype(np.int16).tobytes()

    def health() -> tuple[int, dict[str, Any]]:
        return healthz(f"http://127.0.0.1:{port}/healthz", "secret")

    node = NodeProcess(tmp_path / "node", settings)
    with Subscriber(broker.port, "earshot/deaf/#") as subscriber, node:
        node.feed(noise)
        wait_until(lambda: health()[0] == 200 and health()[1]["state"] == "healthy", 20, "a healthy node")
        node.feed(bytes(2 * 16000 * 15))  # fifteen seconds of audio
        wait_until(lambda: health()[0] == 503, 10, "a deaf node")
        assert "street" in health()[1]["problems"][0]
        topic = "earshot/deaf/source/street/health"
        wait_until(lambda: any(told.json["state"] == "silent" for told in subscriber.on(topic)), 10, "a word over MQTT")
        node.feed(3 * noise)
        wait_until(lambda: health()[1]["state"] == "healthy", 10, "a healthy node again")


@pytest.mark.mosquitto
def test_sigterm_in_the_middle_of_a_siren_says_off_and_offline(broker: Mosquitto, rapid: Path, tmp_path: Path) -> None:
    node = NodeProcess(tmp_path / "node", eager(broker, rapid, "brief"))
    state = "earshot/brief/source/street/siren/state"
    with Subscriber(broker.port, "earshot/brief/#") as subscriber, node:
        wait_until(lambda: subscriber.payloads(state)[-1:] == [b"ON"], 20, "ON")
        assert node.terminate() == 0
        wait_until(lambda: subscriber.payloads("earshot/brief/status")[-1:] == [b"offline"], 20, "offline")
        assert subscriber.payloads(state)[-1] == b"OFF"
        assert delivered(subscriber, "brief") >= ids(node)
    assert not own_troubles(node)


def healthz(url: str, token: str) -> tuple[int, dict[str, Any]]:
    """Return status and body; (0, {}) while nobody answers."""
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"})
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)
    except OSError:
        return 0, {}


@pytest.mark.mosquitto
def test_node_starts_and_detects_without_a_broker_and_tells_later(rapid: Path, tmp_path: Path) -> None:
    folder = tmp_path / "broker"
    folder.mkdir()
    broker = Mosquitto(folder)
    node = NodeProcess(tmp_path / "node", eager(broker, rapid, "alone"))
    with node:
        wait_until(lambda: began(node) >= 3, 20, "three events without a broker")
    with broker, Subscriber(broker.port, "earshot/alone/#") as subscriber, node:
        wait_until(lambda: delivered(subscriber, "alone") >= ids(node), 20, "every event of the time without a broker")
        wait_until(lambda: len(retained(broker.port, "homeassistant/device/alone/#")) == 2, what="both devices")
    assert not own_troubles(node)


@pytest.mark.mosquitto
def test_sigkill_of_node_and_broker_in_a_stream_of_events_loses_none_that_was_committed(
    own_broker: Mosquitto, rapid: Path, tmp_path: Path
) -> None:
    """Truth is the node's own log: it tells an event after its commit."""
    node = NodeProcess(tmp_path / "node", eager(own_broker, rapid, "tough"))
    with Subscriber(own_broker.port, "earshot/tough/#", lasting=True) as subscriber:
        for victim in (own_broker, node, own_broker, node):
            if node.process is None:
                node.start()
            seen = began(node)
            wait_until(lambda seen=seen: began(node) >= seen + 2, 20, "two more events")
            victim.kill()
            victim.start()
        seen = began(node)
        wait_until(lambda: began(node) >= seen + 2, 20, "two more events")
        node.terminate()
        with node:
            wait_until(lambda: delivered(subscriber, "tough") >= ids(node), 20, "every committed event")
    assert len(ids(node)) >= 10
    assert not own_troubles(node)


def eager(broker: Mosquitto, path: Path, node_id: str) -> dict[str, Any]:
    settings = config(broker, path, node_id, loop=True)
    return {**settings, "detection": {"operating_points": EAGER}, "log_level": "debug"}


def began(node: NodeProcess) -> int:
    return len(ids(node))


def ids(node: NodeProcess) -> set[str]:
    """Ids of the onsets that the node has committed."""
    return set(re.findall(r"siren began.*event (\w{32})", node.log))


def delivered(subscriber: Subscriber, node_id: str) -> set[str]:
    """Ids of the onsets that arrived, in time or late."""
    arrived = events(subscriber, "onset", node_id) + events(subscriber, "late", node_id)
    return {event["id"] for event in arrived if event["phase"] == "onset"}


def own_troubles(node: NodeProcess) -> list[str]:
    """Lines that a person would have to worry about."""
    return [line for line in node.log.splitlines() if "Traceback" in line or " ERROR " in line or " CRITICAL " in line]
