"""The broker's configuration, with certificates and users made by the scripts, in a real mosquitto."""

import queue
import shutil
import socket
import ssl
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from support.mosquitto import MOSQUITTO, free_port
from support.waiting import wait_until

from earshot_node.contract.topics import DiscoveryTopics, NodeTopics

pytestmark = pytest.mark.mosquitto

STREET = NodeTopics("earshot", "street")
YARD = NodeTopics("earshot", "yard")


class Installation:
    """A copy of deploy/broker, set up by its own scripts, and the broker that runs on it."""

    def __init__(self, repository: Path, folder: Path) -> None:
        self.folder = folder / "broker"
        shutil.copytree(repository / "deploy/broker", self.folder)
        self.config = self.folder / "config"
        self.port = free_port()
        subprocess.run([self.folder / "make-certificates.sh", "localhost"], check=True, capture_output=True)
        self.passwords = {user: self.add_user(user) for user in ("street", "yard", "home_assistant")}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def ca_file(self) -> Path:
        return self.config / "tls/ca.crt"

    def add_user(self, user: str) -> str:
        target = self.folder / f"{user}.env"
        command: list[str | Path] = [sys.executable, self.folder / "add_user.py", user, "--to", target]
        subprocess.run(command, check=True, capture_output=True)
        assert stat.S_IMODE(target.stat().st_mode) == 0o600
        return target.read_text().strip().removeprefix("EARSHOT_MQTT_PASSWORD=")

    def start(self) -> None:
        text = (self.config / "mosquitto.conf").read_text()
        text = text.replace("listener 8883", f"user root\nlistener {self.port} 127.0.0.1")
        text = text.replace("/mosquitto/config", str(self.config)).replace("/mosquitto/data", str(self.folder))
        (self.folder / "test.conf").write_text(text)
        assert MOSQUITTO is not None
        with (self.folder / "log").open("wb") as log:
            self._process = subprocess.Popen([MOSQUITTO, "-c", self.folder / "test.conf"], stdout=log, stderr=log)
        wait_until(self._takes_connections, what="mosquitto with the deployed configuration")

    def stop(self) -> None:
        assert self._process is not None
        self._process.terminate()
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
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
        self._client.username_pw_set(user, password or installation.passwords[user])
        self._client.tls_set(ca_certs=str(installation.ca_file), tls_version=ssl.PROTOCOL_TLS_CLIENT)
        self._client.on_connect = self._on_connect
        self._client.on_publish = lambda _c, _u, _mid, code, _p: self._answers.put(code)
        self._client.on_subscribe = lambda _c, _u, _mid, codes, _p: self._answers.put(codes[0])
        self._client.on_message = lambda _c, _u, message: self.heard.put((message.topic, bytes(message.payload)))
        self._client.connect("localhost", installation.port)
        self._client.loop_start()
        assert self._connected.wait(10)

    def publish(self, topic: str, payload: str = "x") -> ReasonCode:
        """Return the broker's verdict."""
        self._client.publish(topic, payload, qos=1)
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


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    repository = Path(__file__).resolve().parents[2]
    made = Installation(repository, tmp_path_factory.mktemp("deploy"))
    made.start()
    yield made
    made.stop()


@pytest.fixture
def street(installation: Installation) -> Iterator[Client]:
    client = Client(installation, "street")
    yield client
    client.close()


@pytest.fixture
def home_assistant(installation: Installation) -> Iterator[Client]:
    client = Client(installation, "home_assistant")
    yield client
    client.close()


def test_node_publishes_every_topic_of_its_own(street: Client) -> None:
    discovery = DiscoveryTopics("homeassistant", "street")
    topics = [
        STREET.status(),
        STREET.info(),
        STREET.health(),
        STREET.reply(),
        STREET.level("front"),
        STREET.source_health("front"),
        STREET.state("front", "siren"),
        STREET.last_event("front", "siren"),
        STREET.confidence("front", "siren"),
        STREET.onset("front", "siren"),
        STREET.offset("front", "siren"),
        STREET.late("front", "siren"),
        STREET.setting("front", "siren", "enabled"),
        discovery.node_device(),
        discovery.source_device("front"),
    ]
    assert {topic.name: street.publish(topic.name).is_failure for topic in topics} == {t.name: False for t in topics}


@pytest.mark.parametrize(
    "topic",
    [
        YARD.status().name,
        YARD.onset("front", "siren").name,
        YARD.command("restart").name,
        DiscoveryTopics("homeassistant", "yard").node_device().name,
        "homeassistant/status",
        "homeassistant/sensor/street/config",
        "anything/else",
    ],
)
def test_node_cannot_speak_for_others(street: Client, topic: str) -> None:
    assert street.publish(topic).getName() == "Not authorized"


def test_node_hears_nothing_of_another_node(installation: Installation, street: Client) -> None:
    street.subscribe("#")
    yard = Client(installation, "yard")
    assert not yard.publish(YARD.onset("front", "siren").name).is_failure
    yard.close()
    assert not street.publish(STREET.onset("front", "siren").name).is_failure
    assert street.heard.get(timeout=10)[0] == STREET.onset("front", "siren").name
    assert street.heard.empty()


def test_home_assistant_commands_a_node_and_its_birth_is_heard(street: Client, home_assistant: Client) -> None:
    command = STREET.set_setting("front", "siren", "enabled").name
    for topic in (*STREET.command_filters(), "homeassistant/status"):
        street.subscribe(topic)
    assert not home_assistant.publish(command, "OFF").is_failure
    assert not home_assistant.publish("homeassistant/status", "online").is_failure
    assert street.heard.get(timeout=10) == (command, b"OFF")
    assert street.heard.get(timeout=10) == ("homeassistant/status", b"online")


def test_home_assistant_hears_every_node(installation: Installation, home_assistant: Client) -> None:
    home_assistant.subscribe("earshot/#")
    for user, topics in (("street", STREET), ("yard", YARD)):
        node = Client(installation, user)
        node.publish(topics.reply().name)
        node.close()
    assert {home_assistant.heard.get(timeout=10)[0] for _ in range(2)} == {STREET.reply().name, YARD.reply().name}


def test_wrong_password_is_refused(installation: Installation) -> None:
    client = Client(installation, "street", "guess")
    client.close()
    assert client.connect_code is not None
    assert client.connect_code.getName() == "Not authorized"


def test_broker_speaks_tls_with_a_certificate_of_its_authority_only(installation: Installation) -> None:
    stranger = mqtt.Client(CallbackAPIVersion.VERSION2)
    stranger.tls_set()
    with pytest.raises(ssl.SSLCertVerificationError):
        stranger.connect("localhost", installation.port)


def test_new_password_replaces_the_old_one_and_keeps_other_users(installation: Installation, tmp_path: Path) -> None:
    passwords = tmp_path / "passwords"
    shutil.copy(installation.config / "passwords", passwords)
    before = passwords.read_text().splitlines()
    command: list[str | Path] = [
        sys.executable,
        installation.folder / "add_user.py",
        "street",
        "--passwords",
        passwords,
    ]
    shown = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    after = passwords.read_text().splitlines()
    assert shown.startswith("street: ")
    assert sorted(line.split(":")[0] for line in after) == ["home_assistant", "street", "yard"]
    assert len(set(after) - set(before)) == 1
    assert stat.S_IMODE(passwords.stat().st_mode) == 0o600


@pytest.mark.parametrize("name", ["+", "street/#", "Street", "", "a" * 41])
def test_name_that_can_be_no_node_is_refused(installation: Installation, name: str) -> None:
    command: list[str | Path] = [sys.executable, installation.folder / "add_user.py", name]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2
    assert "no valid id" in done.stderr


def test_renewal_keeps_the_authority(installation: Installation, tmp_path: Path) -> None:
    copy = tmp_path / "broker"
    shutil.copytree(installation.folder, copy)
    script = copy / "make-certificates.sh"
    subprocess.run([script, "--days", "30", "broker.lan", "192.0.2.10"], check=True, capture_output=True)
    tls = copy / "config/tls"
    assert (tls / "ca.crt").read_text() == installation.ca_file.read_text()
    assert (tls / "server.crt").read_text() != (installation.config / "tls/server.crt").read_text()
    command: list[str | Path] = ["openssl", "x509", "-in", tls / "server.crt", "-noout", "-ext", "subjectAltName"]
    names = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert "DNS:broker.lan" in names
    assert "IP Address:192.0.2.10" in names
    assert not (tls / "ca.key").exists()
