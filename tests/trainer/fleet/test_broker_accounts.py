"""Accounts made as nodes join, in a real mosquitto with the ACL of deploy/broker; what a node tries with its own."""

import stat
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from support.deployed_broker import Client, Installation, running_installation
from support.trainer_home import make_home, members_of
from support.waiting import wait_until

from earshot_node.contract.joining import JoinGrant, JoinRequest, decode_invite
from earshot_node.contract.topics import DiscoveryTopics, NodeTopics
from earshot_node.errors import OperatorError
from earshot_trainer.catalogue.members import TakenError
from earshot_trainer.fleet.invites import broker_accounts, let_in, make_invite
from earshot_trainer.home.folder import Home

pytestmark = pytest.mark.mosquitto
ATTIC, STREET = NodeTopics("earshot", "attic"), NodeTopics("earshot", "street")


@pytest.fixture(scope="module")
def installation() -> Iterator[Installation]:
    with running_installation() as running:
        yield running


def home_at(folder: Path, installation: Installation, reload: list[str] | None = None) -> Home:
    accounts = {
        "passwords_file": str(installation.config / "passwords"),
        "reload": reload or ["kill", "-HUP", str(installation.process_id)],
    }
    return make_home(folder / "home", broker_accounts=accounts)


def join(home: Home, node: str, invited_for: str = "") -> JoinGrant:
    line = make_invite(home, members_of(home), invited_for, timedelta(hours=1))
    secret = decode_invite(line, datetime.now(UTC)).secret.get_secret_value()
    request = JoinRequest(secret=secret, nonce="n" * 24, node=node, version="1", labels=("siren",))
    return JoinGrant.decode(let_in(home, members_of(home), request, "127.0.0.1").grant.encode())


def test_joined_node_speaks_for_itself_only_until_it_is_removed(installation: Installation, tmp_path: Path) -> None:
    home = home_at(tmp_path, installation)
    before = (installation.config / "passwords").stat()
    grant = join(home, "attic")
    assert grant.mqtt_username == "attic"
    node = logged_in(installation, "attic", grant.mqtt_password)
    assert not node.publish(ATTIC.status().name).is_failure
    for topic in (
        STREET.status().name,
        STREET.model_result().name,
        STREET.model_offer().name,
        STREET.command("roll_back_model").name,
        DiscoveryTopics("homeassistant", "street").node_device().name,
    ):
        assert node.publish(topic).getName() == "Not authorized"
    after = (installation.config / "passwords").stat()
    assert (after.st_uid, stat.S_IMODE(after.st_mode)) == (before.st_uid, stat.S_IMODE(before.st_mode))

    assert broker_accounts(home).remove("attic")
    assert node.gone.wait(20), "a removed node stays connected"
    node.close()
    late = Client(installation, "attic", grant.mqtt_password)
    late.close()
    assert late.connect_code is not None
    assert late.connect_code.getName() == "Not authorized"
    street = Client(installation, "street")  # the others' accounts are as they were
    assert street.connect_code is not None
    assert not street.connect_code.is_failure
    street.close()


@pytest.mark.parametrize("name", ["home_assistant", "trainer", "street"])
def test_node_cannot_take_over_an_account_by_its_name(installation: Installation, tmp_path: Path, name: str) -> None:
    home = home_at(tmp_path, installation)
    before = (installation.config / "passwords").read_text()
    with pytest.raises(TakenError):
        join(home, name)
    assert (installation.config / "passwords").read_text() == before
    assert members_of(home).all() == []


def test_account_made_by_hand_is_renewed_by_an_invite_made_for_that_node(
    installation: Installation, tmp_path: Path
) -> None:
    grant = join(home_at(tmp_path, installation), "yard", invited_for="yard")
    logged_in(installation, "yard", grant.mqtt_password).close()


def test_broker_that_is_not_told_keeps_the_invite_usable(installation: Installation, tmp_path: Path) -> None:
    home = home_at(tmp_path, installation, reload=["false"])
    line = make_invite(home, members_of(home), "", timedelta(hours=1))
    secret = decode_invite(line, datetime.now(UTC)).secret.get_secret_value()
    request = JoinRequest(secret=secret, nonce="n" * 24, node="porch", version="1", labels=("siren",))
    for _ in range(2):
        with pytest.raises(OperatorError, match=r"broker_accounts\.reload: false fails"):
            let_in(home, members_of(home), request, "127.0.0.1")
    assert members_of(home).all() == []
    assert "porch" not in (installation.config / "passwords").read_text()


def test_without_a_password_file_no_account_is_made(tmp_path: Path) -> None:
    home = make_home(tmp_path / "home")
    grant = join(home, "attic")
    assert (grant.mqtt_username, grant.mqtt_password) == ("", "")
    assert not broker_accounts(home).remove("attic")


def logged_in(installation: Installation, user: str, password: str) -> Client:
    """A client of an account that the broker may only just be reading."""
    found: list[Client] = []

    def is_let_in() -> bool:
        client = Client(installation, user, password)
        if client.connect_code is not None and not client.connect_code.is_failure:
            found.append(client)
            return True
        client.close()
        return False

    wait_until(is_let_in, 30, f"the account {user}")
    return found[0]
