"""deploy/broker set up by its own scripts, and the mosquitto that runs on it as the user of its package."""

import os
import queue
import shutil
import signal
import socket
import ssl
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from support.mosquitto import MOSQUITTO, free_port
from support.waiting import wait_until

REPOSITORY = Path(__file__).resolve().parents[2]
BROKER_USER = "mosquitto"


class Installation:
    """A copy of deploy/broker with a certificate and users. `folder` must be one that every user may enter.

    The test's root runs the scripts, as sudo does; config/ and data/ belong to the broker's user, as in its container
    and in /etc/mosquitto.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "broker"
        kept = shutil.ignore_patterns("authority", "tls", "passwords")
        shutil.copytree(REPOSITORY / "deploy/broker", self.folder, ignore=kept)
        self.config = self.folder / "config"
        self.data = self.folder / "data"
        self.data.mkdir()
        if os.geteuid() == 0:
            for path in (self.data, self.config, *self.config.rglob("*")):
                shutil.chown(path, BROKER_USER, BROKER_USER)
        self.port = free_port()
        self.make_certificate()
        self.passwords = {user: self.add_user(user) for user in ("street", "yard", "home_assistant", "trainer")}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def ca_file(self) -> Path:
        return self.config / "tls/ca.crt"

    def make_certificate(self) -> None:
        subprocess.run([self.folder / "make-certificates.sh", "localhost"], check=True, capture_output=True)

    def add_user(self, user: str) -> str:
        target = self.folder / f"{user}.env"
        command: list[str | Path] = [sys.executable, self.folder / "add_user.py", user, "--to", target]
        subprocess.run(command, check=True, capture_output=True)
        assert stat.S_IMODE(target.stat().st_mode) == 0o600
        return target.read_text().strip().removeprefix("EARSHOT_MQTT_PASSWORD=")

    def configuration(self) -> str:
        """Text of mosquitto.conf with the paths of this installation."""
        text = (self.config / "mosquitto.conf").read_text()
        return text.replace("/mosquitto/config", str(self.config)).replace("/mosquitto/data", str(self.data))

    def start(self) -> None:
        text = self.configuration().replace("listener 8883", f"listener {self.port} 127.0.0.1")
        (self.folder / "test.conf").write_text(text)
        assert MOSQUITTO is not None
        with (self.folder / "log").open("wb") as log:
            self._process = subprocess.Popen([MOSQUITTO, "-c", self.folder / "test.conf"], stdout=log, stderr=log)
        wait_until(self._takes_connections, what="mosquitto with the deployed configuration")

    def reload(self) -> None:
        """Make the broker read users and certificates again, some time after this returns."""
        assert self._process is not None
        self._process.send_signal(signal.SIGHUP)

    @property
    def process_id(self) -> int:
        """Of the running broker."""
        assert self._process is not None
        return self._process.pid

    def owner(self) -> int:
        """Return the uid that the broker runs as."""
        assert self._process is not None
        return Path(f"/proc/{self._process.pid}").stat().st_uid

    def stop(self) -> None:
        assert self._process is not None
        self._process.terminate()
        self._process.wait(10)

    def kill(self) -> None:
        """SIGKILL it, as a power cut would."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(10)

    def _takes_connections(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self.folder / "log").read_text()
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


class Client:
    """An MQTT 5 client that keeps what it hears and how its publishes ended."""

    def __init__(self, installation: Installation, user: str, password: str = "") -> None:
        self.heard: queue.Queue[tuple[str, bytes]] = queue.Queue()
        self._answers: queue.Queue[ReasonCode] = queue.Queue()
        self._connected = threading.Event()
        self.connect_code: ReasonCode | None = None
        self.gone = threading.Event()
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
        self._client.username_pw_set(user, password or installation.passwords[user])
        self._client.tls_set(ca_certs=str(installation.ca_file), tls_version=ssl.PROTOCOL_TLS_CLIENT)
        self._client.on_connect = self._on_connect
        self._client.on_disconnect = lambda *_: self.gone.set()
        self._client.on_publish = lambda _c, _u, _mid, code, _p: self._answers.put(code)
        self._client.on_subscribe = lambda _c, _u, _mid, codes, _p: self._answers.put(codes[0])
        self._client.on_message = lambda _c, _u, message: self.heard.put((message.topic, bytes(message.payload)))
        self._client.connect("localhost", installation.port)
        self._client.loop_start()
        assert self._connected.wait(10)

    def publish(self, topic: str, payload: str = "x", *, retain: bool = False) -> ReasonCode:
        """Return the broker's verdict."""
        self._client.publish(topic, payload, qos=1, retain=retain)
        return self._answers.get(timeout=10)

    def subscribe(self, topic: str) -> None:
        self._client.subscribe(topic, qos=1)
        self._answers.get(timeout=10)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def _on_connect(
        self, _client: mqtt.Client, _data: object, _flags: mqtt.ConnectFlags, code: ReasonCode, _p: Properties | None
    ) -> None:
        self.connect_code = code
        self._connected.set()


@contextmanager
def folder_for_all() -> Iterator[Path]:
    """A folder that every user may enter while the context lasts; pytest's own are closed to others."""
    with tempfile.TemporaryDirectory(prefix="earshot-broker-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@contextmanager
def running_installation() -> Iterator[Installation]:
    """Set one up, start its broker, and remove both in the end."""
    with folder_for_all() as folder:
        installation = Installation(folder)
        installation.start()
        try:
            yield installation
        finally:
            installation.stop()
