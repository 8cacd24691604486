"""The node's app joins a trainer with the invite among its options, and keeps that beside the running node's state."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import yaml
from support.apps import APPS, SOON_S, App, Supervisor, options, supervisor_with
from support.joining import Inviting
from support.mosquitto import Mosquitto, free_port
from support.mqtt_subscriber import Subscriber
from support.trainer_server import TrainerServer, running
from support.waiting import wait_until

from earshot_node.deployment.membership import load_membership

pytestmark = pytest.mark.mosquitto


@pytest.fixture
def supervisor(broker: Mosquitto) -> Iterator[Supervisor]:
    with supervisor_with(broker) as known:
        yield known


@pytest.fixture
def trainer() -> Iterator[Inviting]:
    """A trainer that makes no accounts at the broker, as the trainer's app."""

    def without_account(grant: dict[str, str]) -> None:
        grant.update(mqtt_username="", mqtt_password="")

    with running(TrainerServer()) as server:
        yield Inviting(server, edit=without_account)


def run_until_online(app: App, broker: Mosquitto, node: str) -> tuple[str, bool]:
    """Run an app until its node is at the broker; return what it told of the invite, and whether its page tells so."""
    with Subscriber(broker.port, f"earshot/{node}/status") as heard, app.running():
        wait_until(lambda: b"online" in heard.payloads(f"earshot/{node}/status"), SOON_S, "a node at the broker")
        wait_until(lambda: app.get("/")[0] == 200, SOON_S, "its page")
        page = app.get("/")[1]
    lines = [line for line in app.log().splitlines() if line.startswith("option invite: ")]
    assert len(lines) <= 1, app.log()
    return lines[0].removeprefix("option invite: ") if lines else "", "not joined" not in page


def test_invite_is_used_once_and_the_running_node_is_a_member(
    supervisor: Supervisor, broker: Mosquitto, trainer: Inviting, tmp_path: Path
) -> None:
    line = trainer.invite()
    app = App("node", tmp_path, options("node", id="appjoins", invite=f" {line[:40]}\n{line[40:]}\n"), supervisor)
    assert run_until_online(app, broker, "appjoins") == (f"appjoins has joined {trainer.server.url}", True)
    membership = load_membership(app.data / "state")
    assert membership is not None
    assert membership.url == trainer.server.url
    assert run_until_online(app, broker, "appjoins") == ("", True)
    assert [one.node for one in trainer.joined] == ["appjoins"]
    assert (app.data / "used-invite").stat().st_mode & 0o077 == 0
    secrets = [line, trainer.joined[0].secret, membership.token.get_secret_value()]
    assert [secret for secret in secrets if secret in app.log()] == []


def test_invite_that_fails_is_told_in_one_line_and_the_node_runs(
    supervisor: Supervisor, broker: Mosquitto, trainer: Inviting, tmp_path: Path
) -> None:
    line = trainer.invite(valid_for=timedelta(seconds=-1))
    app = App("node", tmp_path, options("node", id="appfails", invite=line), supervisor)
    for _ in range(2):  # the next start tries it again
        told, is_member = run_until_online(app, broker, "appfails")
        assert told.startswith("not joined: the invite expired on ")
        assert not is_member
    assert load_membership(app.data / "state") is None


def test_account_that_the_trainer_made_at_its_broker_is_told(
    supervisor: Supervisor, broker: Mosquitto, trainer: Inviting, tmp_path: Path
) -> None:
    trainer.edit = lambda grant: None
    app = App("node", tmp_path, options("node", id="appaccount", invite=trainer.invite()), supervisor)
    run_until_online(app, broker, "appaccount")
    assert "host: broker.lan" in app.log()
    assert f"password_file: {app.data / 'state/mqtt_password'}" in app.log()
    assert (app.data / "state/mqtt_password").read_text().strip() not in app.log()


def test_own_configuration_keeps_state_and_membership_where_they_outlive_the_container(
    supervisor: Supervisor, broker: Mosquitto, trainer: Inviting, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere"
    node = {"id": "appown", "state_dir": str(elsewhere)}
    own = {"node": node, "sources": [{"id": "in", "type": "microphone"}], "http": {"port": free_port()}}
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(own))
    app = App("node", tmp_path, options("node", config_file="own.yaml", invite=trainer.invite()), supervisor)
    assert run_until_online(app, broker, "appown") == (f"appown has joined {trainer.server.url}", True)
    assert not elsewhere.exists()
    assert {"node.sqlite", "trainer.json"} <= {path.name for path in (app.data / "state").iterdir()}


def test_who_enters_the_container_finds_the_running_nodes_state() -> None:
    lines = [line for line in (APPS / "node/Dockerfile").read_text().splitlines() if line.startswith("ENV ")]
    environ = dict(setting.split("=", 1) for line in lines for setting in line.split()[1:])
    assert environ["EARSHOT_NODE_STATE_DIR"] == "/data/state"
