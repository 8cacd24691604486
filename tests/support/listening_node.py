"""A real node process that hears what a test plays to it, faster than real time."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from earshot_node.drill.siren import drill_siren
from support.mosquitto import Mosquitto
from support.mqtt_subscriber import retained
from support.node_process import NodeProcess

RATE_HZ = 16_000
CHUNK_S = 0.5
PAUSE_S = 0.05


_RNG = np.random.default_rng(1)


def noise(seconds: float, level_dbfs: float = -55.0) -> NDArray[np.float32]:
    """Noise of a quiet room; never the same twice, which would be taken for a microphone that is stuck."""
    return (_RNG.standard_normal(round(seconds * RATE_HZ)) * 10 ** (level_dbfs / 20)).astype(np.float32)


class ListeningNode(NodeProcess):
    """Its source `street` is its standard input."""

    def __init__(self, folder: Path, broker: Mosquitto, node_id: str, **sections: Any) -> None:
        config = {
            "node": {"id": node_id, "name": node_id.capitalize()},
            "sources": [{"id": "street", "name": "Street", "type": "stdin", "area": f"{node_id} room"}],
            "mqtt": {"host": "127.0.0.1", "port": broker.port},
        }
        super().__init__(folder, config | sections)
        self._id, self._port = node_id, broker.port
        self._pause = threading.Event()
        self._siren_at = 0

    @property
    def config_path(self) -> Path:
        """Its configuration file."""
        return self.folder / "node.yaml"

    def siren(self, seconds: float, level_dbfs: float = -25.0) -> NDArray[np.float32]:
        """A siren in a quiet room; goes on where the last one ended."""
        one = drill_siren(level_dbfs)[RATE_HZ // 2 : -RATE_HZ // 2]  # without its edges, which fade
        samples = round(seconds * RATE_HZ)
        begin, self._siren_at = self._siren_at, (self._siren_at + samples) % len(one)
        return np.resize(np.roll(one, -begin), samples) + noise(seconds)

    def play(self, samples: NDArray[np.float32]) -> None:
        """Play at ten times the speed of a microphone."""
        pcm = np.clip(np.rint(samples * 32768), -32768, 32767).astype("<i2")
        for begin in range(0, len(pcm), round(CHUNK_S * RATE_HZ)):
            self.feed(pcm[begin : begin + round(CHUNK_S * RATE_HZ)].tobytes())
            self._pause.wait(PAUSE_S)

    def play_until(
        self, sound: Callable[[], NDArray[np.float32]], condition: Callable[[], object], most_s: float = 400.0
    ) -> None:
        """Play what `sound` returns, again and again, until `condition()`; fail after `most_s` of audio."""
        played_s = 0.0
        while not condition():
            assert played_s < most_s, f"not within {most_s} s of audio: {self.log[-1500:]}"
            samples = sound()
            self.play(samples)
            played_s += len(samples) / RATE_HZ

    def begin(self) -> None:
        """Play until it listens, and takes commands: it is announced after that."""
        announced = f"homeassistant/device/{self._id}/node/config"
        self.play_until(lambda: noise(1), lambda: "first decision" in self.log and retained(self._port, announced))
