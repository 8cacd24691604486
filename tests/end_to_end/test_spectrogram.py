"""Pictures of a scene's sirens: at the broker, beside the clips, and nowhere once they are switched off."""

from pathlib import Path

import pytest
import soundfile
from support.mosquitto import Mosquitto
from support.mqtt_subscriber import Subscriber, retained
from support.node_process import NodeProcess

from earshot_node.synth.scene import street_scene


@pytest.mark.mosquitto
def test_each_event_is_pictured_soon_and_at_its_end(broker: Mosquitto, tmp_path: Path) -> None:
    scene = street_scene()
    path = tmp_path / "scene.wav"
    soundfile.write(path, scene.samples, 16000)
    config = {
        "node": {"id": "pictured"},
        "sources": [{"id": "street", "type": "file", "path": str(path), "real_time": False}],
        "mqtt": {"host": "127.0.0.1", "port": broker.port},
        "clips": {"store": "disk", "free_floor_mb": 0},
    }
    topic = "earshot/pictured/source/street/spectrogram"
    node = NodeProcess(tmp_path / "node", config)
    with Subscriber(broker.port, "earshot/pictured/#") as subscriber:
        with node:
            assert node.wait() == 0
        offsets = subscriber.on("earshot/pictured/source/street/siren/offset")
        pictures = subscriber.payloads(topic)
        assert len(offsets) >= 3
        assert len(pictures) == 2 * len(offsets)
        assert all(picture.startswith(b"\x89PNG") and 2_000 < len(picture) < 40_000 for picture in pictures)
        assert retained(broker.port, topic) == {topic: pictures[-1]}
        clips = sorted(path.stem for path in (node.state_dir / "clips").glob("*.flac"))
        beside = sorted(path.stem for path in (node.state_dir / "clips").glob("*.png"))
        assert clips == beside
        assert len(clips) == len(offsets)
        switched_off = NodeProcess(tmp_path / "node", config | {"spectrogram": {"enabled": False}})
        with switched_off:
            assert switched_off.wait() == 0
        assert subscriber.payloads(topic)[len(pictures) :] in ([], [b""])
