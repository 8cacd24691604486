"""The broker's configuration, with certificates and users made by the scripts, in a real mosquitto."""

import shutil
import ssl
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion
from support.deployed_broker import Client, Installation, running_installation

from earshot_node.contract.topics import DiscoveryTopics, NodeTopics

pytestmark = pytest.mark.mosquitto

STREET = NodeTopics("earshot", "street")
YARD = NodeTopics("earshot", "yard")


@pytest.fixture(scope="module")
def installation() -> Iterator[Installation]:
    with running_installation() as running:
        yield running


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


def test_trainer_reads_the_fleet_offers_models_and_speaks_for_no_node(installation: Installation) -> None:
    trainer = Client(installation, "trainer")
    trainer.subscribe("earshot/#")
    commands = (STREET.command("roll_back_model"), STREET.command("end_shadow"))
    allowed = (STREET.model_offer(), *commands)
    refused = (STREET.status(), STREET.model_result(), STREET.command("restart"), STREET.onset("front", "siren"))
    verdicts = {topic.name: trainer.publish(topic.name).is_failure for topic in (*allowed, *refused)}
    assert verdicts == {topic.name: topic in refused for topic in (*allowed, *refused)}
    node = Client(installation, "yard")
    node.publish(YARD.info().name, "I am")
    heard = {trainer.heard.get(timeout=10)[0] for _ in range(4)}
    assert heard == {STREET.model_offer().name, *(one.name for one in commands), YARD.info().name}
    node.close()
    trainer.close()


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
    assert sorted(line.split(":")[0] for line in after) == ["home_assistant", "street", "trainer", "yard"]
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
