"""From an event to a collected recording: real audio, a real node process, a real broker, real HTTP."""

import hashlib
import json
import re
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.mosquitto import Mosquitto
from support.mqtt_subscriber import Subscriber
from support.node_process import NodeProcess
from support.waiting import wait_until

from earshot_node.audio.flac import decode_flac
from earshot_node.contract.recordings import RecordingInfo
from earshot_node.contract.topics import NodeTopics
from earshot_node.synth.scene import street_scene

TOPICS = NodeTopics("earshot", "recorder")


def config(broker: Mosquitto, path: Path) -> dict[str, Any]:
    return {
        "node": {"id": "recorder"},
        "sources": [{"id": "street", "name": "Street", "type": "file", "path": str(path), "loop": True}],
        "mqtt": {"host": "127.0.0.1", "port": broker.port},
        "http": {"port": 0},
        "clips": {"pre_roll_s": 1, "post_roll_s": 1},
        "recordings": {"free_floor_mb": 0},
    }


class Collector:
    """Somebody who fetches recordings from a node."""

    def __init__(self, state_dir: Path) -> None:
        self._address = (state_dir / "http_address").read_text().strip()
        self._token = (state_dir / "http_token").read_text().strip()

    def ask(self, path: str, body: object = None, *, method: str | None = None, **headers: str) -> bytes:
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json", **headers}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self._address}/api/v1{path}", data, headers, method=method)
        with urllib.request.urlopen(request, timeout=30) as response:
            return bytes(response.read())

    def recordings(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(self.ask("/recordings"))["recordings"]
        return found


@pytest.mark.mosquitto
def test_not_a_siren_and_a_sample_are_recorded_over_mqtt_and_collected_over_http(
    broker: Mosquitto, tmp_path: Path
) -> None:
    scene = tmp_path / "scene.wav"
    street_scene().write_wav(scene)
    with (
        Subscriber(broker.port, f"{TOPICS.base}/#") as home,
        NodeProcess(tmp_path / "node", config(broker, scene)) as node,
    ):
        node.wait_for_log("HTTP on", 60)
        wait_until((node.state_dir / "http_address").exists, what="the address")
        wait_until(lambda: home.on(TOPICS.onset("street", "siren").name), 90, "an onset")
        event_id = home.on(TOPICS.onset("street", "siren").name)[0].json["id"]
        home.say(TOPICS.feedback("street", "siren", "reject").name, b"{}")
        home.say(TOPICS.set_recorder_setting("label").name, b"background")
        home.say(TOPICS.command("record").name, b'{"id": "sample", "seconds": 1}')
        wait_until(lambda: any(b"sample" in one for one in home.payloads(TOPICS.reply().name)), 60, "the reply")
        waiting = [one["waiting"] for one in (heard.json for heard in home.on(TOPICS.recordings().name))]
        assert waiting[0] == 0
        wait_until(lambda: home.on(TOPICS.recordings().name)[-1].json["waiting"] == 2, 60, "two recordings")

        collector = Collector(node.state_dir)
        found = {one["origin"]: one for one in collector.recordings()}
        assert set(found) == {"event", "take"}
        assert found["event"]["event"]["id"] == event_id
        assert found["event"]["labelling"]["absent"] == ["siren"]
        assert (found["take"]["labelling"]["labels"], found["take"]["labelling"]["absent"]) == ([], [])
        for one in found.values():
            info = RecordingInfo.model_validate(one)
            whole = fetch_in_two_pieces(collector, info)
            assert hashlib.sha256(whole).hexdigest() == info.sha256
            assert len(decode_flac(whole)[0]) == round(info.duration_s * 16000)
            collector.ask(f"/recordings/{info.id}/collected", {"sha256": info.sha256, "revision": info.revision})
        assert collector.recordings() == []
        wait_until(lambda: home.on(TOPICS.recordings().name)[-1].json["collected"] == 2, 60, "the report")
        assert node.terminate() == 0
        log = (node.state_dir / "recordings" / "transfers.jsonl").read_text()
        assert len(re.findall('"phase": "end"', log)) == 4
        assert "Traceback" not in node.log


@pytest.mark.mosquitto
def test_verdict_on_an_event_that_still_lasts_outlives_the_stop_of_the_node(broker: Mosquitto, tmp_path: Path) -> None:
    topics = NodeTopics("earshot", "stopped")
    always = {"enter": 1e-9, "leave": 1e-9, "min_length_s": 0.04, "bridging_s": 0.0, "cooldown_s": 0.0}
    sections = {
        **config(broker, tmp_path),
        "node": {"id": "stopped"},
        "sources": [{"id": "street", "type": "stdin"}],
        "detection": {"operating_points": {"siren": always}},
    }
    noise = (300 * np.random.default_rng(1).standard_normal(16000)).astype("<i2").tobytes()
    with Subscriber(broker.port, f"{topics.base}/#") as home, NodeProcess(tmp_path / "node", sections) as node:
        node.wait_for_log("HTTP on", 60)
        node.feed(noise)
        wait_until(lambda: home.on(topics.onset("street", "siren").name), 90, "an onset")
        home.say(topics.feedback("street", "siren", "reject").name, b'{"id": "said"}')
        wait_until(lambda: any(b"said" in one for one in home.payloads(topics.reply().name)), 60, "the reply")
        assert home.on(topics.offset("street", "siren").name) == []
        assert node.terminate() == 0
    (kept,) = (node.state_dir / "recordings").glob("*.json")
    info = RecordingInfo.decode(kept.read_bytes())
    assert info.labelling is not None
    assert info.labelling.absent == ("siren",)
    assert "Traceback" not in node.log


@pytest.mark.mosquitto
def test_label_that_the_trainer_tells_can_be_selected_at_once_and_is_announced_once(
    broker: Mosquitto, tmp_path: Path
) -> None:
    topics = NodeTopics("earshot", "told")
    device = "homeassistant/device/told/node/config"
    sections = {
        **config(broker, tmp_path),
        "node": {"id": "told"},
        "sources": [{"id": "street", "type": "stdin"}],
    }
    with (
        Subscriber(broker.port, f"{topics.base}/#", "homeassistant/device/told/#") as home,
        NodeProcess(tmp_path / "node", sections) as node,
    ):
        node.wait_for_log("HTTP on", 90)
        wait_until(lambda: home.on("homeassistant/device/told/source_street/config"), 60, "the announcement")
        collector = Collector(node.state_dir)
        home.messages.clear()

        def tell(*labels: str) -> None:
            body = {"labels": [{"name": label} for label in labels]}
            answer = json.loads(collector.ask("/recordings/labels", body, method="PUT"))
            assert answer == {"labels": list(labels)}

        def offered() -> list[list[str]]:
            return [one.json["components"]["record_label"]["options"] for one in home.on(device)]

        tell("siren", "tractor")
        wait_until(lambda: home.on(device), 30, "the node's device once more")
        tell("siren", "tractor")
        tell("siren", "tractor", "dog")
        wait_until(lambda: len(home.on(device)) > 1, 30, "the node's device with the third label")
        assert offered() == [["siren", "tractor", "background"], ["siren", "tractor", "dog", "background"]]
        assert [one.json["recording_labels"] for one in home.on(topics.info().name)] == offered()
        assert {one.topic for one in home.messages if one.topic.startswith("homeassistant/")} == {device}
        home.say(topics.set_recorder_setting("label").name, b"dog")
        wait_until(lambda: home.payloads(topics.recorder_setting("label").name)[-1:] == [b"dog"], 30, "the choice")
        assert node.terminate() == 0
        assert "Traceback" not in node.log


def fetch_in_two_pieces(collector: Collector, info: RecordingInfo) -> bytes:
    path = f"/recordings/{info.id}/audio"
    first = collector.ask(path, Range="bytes=0-999")
    rest = collector.ask(path, Range="bytes=1000-", **{"If-Range": f'"{info.sha256}"'})
    return first + rest
