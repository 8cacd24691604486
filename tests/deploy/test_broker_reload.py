"""Users and certificates renewed by the scripts, as root, while the broker runs as its own user."""

import os
import pwd
import re
import socket
import ssl
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.deployed_broker import BROKER_USER, REPOSITORY, Client, Installation, running_installation
from support.waiting import wait_until

from earshot_node.contract.house_topics import HouseTopics
from earshot_node.contract.topics import NodeTopics

pytestmark = pytest.mark.mosquitto


@pytest.fixture
def installation() -> Iterator[Installation]:
    with running_installation() as running:
        yield running


def connects(installation: Installation, user: str) -> bool:
    client = Client(installation, user)
    client.close()
    assert client.connect_code is not None
    return not client.connect_code.is_failure


def served_certificate(installation: Installation) -> bytes:
    context = ssl.create_default_context(cafile=str(installation.ca_file))
    with (
        socket.create_connection(("localhost", installation.port), timeout=10) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as connection,
    ):
        certificate = connection.getpeercert(binary_form=True)
    assert certificate is not None
    return certificate


def test_user_added_later_connects_and_the_others_still_do(installation: Installation) -> None:
    assert connects(installation, "street")
    installation.passwords["porch"] = installation.add_user("porch")
    installation.reload()
    wait_until(lambda: connects(installation, "porch"), what="the new user")
    assert connects(installation, "street")
    assert connects(installation, "home_assistant")


def test_renewed_certificate_is_served_after_a_reload(installation: Installation) -> None:
    before = served_certificate(installation)
    installation.make_certificate()
    installation.reload()
    wait_until(lambda: served_certificate(installation) != before, what="the renewed certificate")
    assert connects(installation, "street")


@pytest.mark.root
def test_secrets_belong_to_the_broker_alone(installation: Installation) -> None:
    broker_uid = pwd.getpwnam(BROKER_USER).pw_uid
    assert installation.owner() == broker_uid
    installation.add_user("porch")
    installation.make_certificate()
    for secret in ("passwords", "tls/server.key"):
        about = (installation.config / secret).stat()
        assert (about.st_uid, stat.S_IMODE(about.st_mode)) == (broker_uid, 0o600)
    assert (installation.folder / "authority/ca.key").stat().st_uid == os.geteuid()


@pytest.mark.root
def test_users_of_another_owner_are_not_replaced(installation: Installation) -> None:
    passwords = installation.config / "passwords"
    before = passwords.read_text()
    passwords.chmod(0o644)
    installation.config.chmod(0o777)
    command: list[str | Path] = ["/usr/bin/python3", "-I", installation.folder / "add_user.py", "porch"]
    done = subprocess.run(command, user="nobody", group="nogroup", extra_groups=[], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (1, f"error: {passwords}: belongs to another user; try sudo\n")
    assert passwords.read_text() == before
    assert list(installation.config.glob(".*")) == []


@pytest.mark.slow
def test_power_cut_takes_no_offer_that_is_a_minute_old(installation: Installation) -> None:
    offer = NodeTopics("earshot", "street").model_offer().name
    trainer = Client(installation, "trainer")
    assert not trainer.publish(offer, "take this", retain=True).is_failure
    saved = installation.data / "mosquitto.db"
    wait_until(lambda: saved.exists() and offer.encode() in saved.read_bytes(), 60, "the broker's save")
    trainer.close()
    installation.kill()
    installation.start()
    street = Client(installation, "street")
    street.subscribe(offer)
    assert street.heard.get(timeout=10) == (offer, b"take this")
    street.close()


def test_lines_of_the_docs_let_a_node_run_the_house_and_nobody_else(installation: Installation) -> None:
    text = (REPOSITORY / "docs/drill-and-house.md").read_text(encoding="utf-8")
    (lines,) = re.findall(r"```\n(user attic\n.*?)```", text, re.DOTALL)
    with (installation.config / "acl").open("a", encoding="utf-8") as acl:
        acl.write(f"\n{lines.replace('attic', 'street')}")
    street, other = Client(installation, "street"), Client(installation, "yard")
    installation.reload()
    house, yard = HouseTopics("earshot"), NodeTopics("earshot", "yard")
    discovery = "homeassistant/device/earshot_house/house/config"
    wait_until(lambda: not street.publish(house.state().name).is_failure, 20, "the new rules")
    assert not street.publish(discovery).is_failure
    assert not street.publish(NodeTopics("earshot", "street").status().name).is_failure
    assert street.publish(yard.status().name).is_failure
    assert other.publish(house.state().name).is_failure
    assert other.publish(discovery).is_failure
    for topic in (yard.status(), yard.info(), yard.state("garden", "siren")):
        street.subscribe(topic.name)
        assert not other.publish(topic.name).is_failure
        assert street.heard.get(timeout=20)[0] == topic.name
    street.close()
    other.close()
