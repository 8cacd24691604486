"""Nodes that have joined a trainer's home and hear noise, and releases of that home."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import numpy as np

from earshot_trainer.home.folder import Home
from support.deployed import signed_bundle
from support.mosquitto import Mosquitto
from support.node_process import NodeProcess
from support.trainer_home import trainer_cli

NEVER = {"siren": {"enter": 1.0, "leave": 1.0, "min_length_s": 5.0, "bridging_s": 0.0, "cooldown_s": 0.0}}
PACE_S = 0.02
"""One second of audio each: fast, and no hog."""


def listening_node(folder: Path, name: str, broker: Mosquitto, prefix: str, **sections: Any) -> NodeProcess:
    """A node that hears what it is fed and never alarms."""
    config: dict[str, Any] = {
        "node": {"id": name},
        "sources": [{"id": "street", "type": "stdin"}],
        "mqtt": {"host": "127.0.0.1", "port": broker.port, "prefix": prefix},
        "detection": {"operating_points": NEVER},
        **sections,
    }
    return NodeProcess(folder / name, config)


def join(home: Home, node: NodeProcess, *options: str) -> None:
    """Let a node join; the trainer has to be serving."""
    invited = trainer_cli(home, "invite", *options, timeout_s=240)
    assert invited.returncode == 0, invited.stderr
    command = [sys.executable, "-m", "earshot_node", "join", "--config", str(node.folder / "node.yaml")]
    joined = subprocess.run(command, input=invited.stdout, text=True, capture_output=True, timeout=240, check=False)
    assert joined.returncode == 0, joined.stderr


def release_file(home: Home, folder: Path, version: str, **options: Any) -> Path:
    """A bundle that the home's key has signed."""
    path = folder / f"siren-{version}.earshot"
    path.write_bytes(signed_bundle(version, **{"key": home.key, **options}))
    return path


@contextmanager
def hearing_noise(
    node: NodeProcess, sounds: SimpleQueue[bytes] | None = None, pace_s: float = PACE_S
) -> Iterator[NodeProcess]:
    """Start a node and feed it until the context ends, with noise that no other node hears.

    Args:
        node: hears its standard input.
        sounds: PCM to be heard next instead, each once.
        pace_s: pause after each second of noise.
    """
    stop = threading.Event()
    generator = np.random.default_rng(list(node.folder.name.encode()))

    def feed() -> None:
        try:
            while not stop.wait(pace_s):
                noise = (300 * generator.standard_normal(16_000)).astype("<i2").tobytes()
                node.feed(noise if sounds is None or sounds.empty() else sounds.get())
        except (OSError, ValueError):
            return  # the node has ended

    with node:
        feeder = threading.Thread(target=feed, name=f"noise for {node.folder.name}")
        feeder.start()
        try:
            yield node
        finally:
            stop.set()
            feeder.join(30)
