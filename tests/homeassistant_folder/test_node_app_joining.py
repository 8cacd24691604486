"""The node's app joins a trainer with the invite among its options, and keeps that beside the running node's state."""

import asyncio
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
import yaml
from aiohttp import web
from support.apps import APPS, SOON_S, App, Supervisor, load_app_module, options, supervisor_with
from support.async_waiting import until
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


@dataclass
class Away:
    """A trainer behind a proxy that finds nobody there; counts down who asked."""

    refusals: int

    async def __call__(self, _request: web.Request) -> web.StreamResponse:
        self.refusals = max(0, self.refusals - 1)
        return web.Response(status=502, text="nobody there")


def run_until_online(app: App, broker: Mosquitto, node: str, *, tells: bool = True) -> tuple[str, bool]:
    """Run an app until its node is at the broker and, if it `tells` of its invite, has done so.

    Returns what it told, and whether its page says that it is a member.
    """
    with Subscriber(broker.port, f"earshot/{node}/status") as heard, app.running():
        wait_until(lambda: b"online" in heard.payloads(f"earshot/{node}/status"), SOON_S, "a node at the broker")
        wait_until(lambda: not tells or "option invite: " in app.log(), SOON_S, "what became of the invite")
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
    assert run_until_online(app, broker, "appjoins", tells=False) == ("", True)
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


async def test_trainer_that_is_away_is_tried_again_and_the_reason_told_once(
    trainer: Inviting, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(str(APPS / "common"))
    joining = load_app_module("node", "joining")
    (tmp_path / "node.yaml").write_text("sources: [{id: in, type: microphone}]\nnode: {id: away}\n")
    state = tmp_path / "state"
    environ = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "EARSHOT_NODE_STATE_DIR": str(state)}
    line = trainer.invite()
    answer, trainer.server.join = trainer.server.join, Away(refusals=2)
    waiting = asyncio.create_task(joining.join_when_possible(line, tmp_path / "node.yaml", tmp_path, environ, 0.05))
    try:
        await until(lambda: trainer.server.join.refusals == 0, SOON_S, "two attempts")
        assert load_membership(state) is None
    finally:
        trainer.server.join = answer
        await asyncio.wait_for(waiting, SOON_S)
    assert load_membership(state) is not None
    told = [line.removeprefix("option invite: ") for line in capsys.readouterr().out.splitlines()]
    assert [told[0].startswith("not joined: "), told[1:]] == [True, [f"away has joined {trainer.server.url}"]]


@pytest.mark.parametrize("http", [{"port": 0, "https": True}, {"port": 0, "token": "my-own"}, {"enabled": False}])
def test_own_configurations_http_is_asked_where_it_answers(
    http: dict[str, object], supervisor: Supervisor, broker: Mosquitto, tmp_path: Path
) -> None:
    own = {"node": {"id": "appasked"}, "sources": [{"id": "in", "type": "microphone"}], "http": http}
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(own))
    app = App("node", tmp_path, options("node", config_file="own.yaml"), supervisor)
    with Subscriber(broker.port, "earshot/appasked/status") as heard, app.running():
        wait_until(lambda: b"online" in heard.payloads("earshot/appasked/status"), SOON_S, "a node at the broker")
        wait_until(lambda: app.get("/alive")[0] == 200, SOON_S, "a living page")
        page = app.get("/")[1]
        assert ("<td>connected</td>" in page, "http off" in page) == (
            bool(http.get("enabled", True)),
            "enabled" in http,
        )


def test_who_enters_the_container_finds_the_running_nodes_state() -> None:
    lines = [line for line in (APPS / "node/Dockerfile").read_text().splitlines() if line.startswith("ENV ")]
    environ = dict(setting.split("=", 1) for line in lines for setting in line.split()[1:])
    assert environ["EARSHOT_NODE_STATE_DIR"] == "/data/state"
