"""Joining writes what it should with the right modes, believes only the invite's key, and tells no secret."""

import json
import logging
import stat
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st
from support.deployed import OTHER_KEY, public_text
from support.joining import Inviting
from support.trainer_server import TrainerServer, running

from earshot_node.cli.lazy_group import run_program
from earshot_node.cli.main import PROGRAM, cli
from earshot_node.configuration.file import load_config
from earshot_node.contract.joining import Broker, decode_invite
from earshot_node.deployment.join import join
from earshot_node.deployment.keys import trusted_keys
from earshot_node.deployment.membership import load_membership
from earshot_node.errors import OperatorError, PeerError, RetryError


@pytest.fixture
def trainer() -> Iterator[Inviting]:
    with running(TrainerServer()) as server:
        yield Inviting(server)


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "state"))
    return tmp_path / "state"


def exchange(line: str) -> Any:
    return join(decode_invite(line, datetime.now(UTC)), "hallway", ("siren",))


def test_new_node_joins_and_can_run_with_what_was_written(
    trainer: Inviting, state: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "node.yaml"
    line = trainer.invite()
    assert run_program(cli, PROGRAM, ["join", line, "--config", str(path)]) == 0
    config = load_config(path)
    assert (config.node.id, config.mqtt.host, config.mqtt.username) == ("hallway", "broker.lan", "hallway")
    assert Path(config.mqtt.password_file).read_text().strip()
    membership = load_membership(state)
    assert membership is not None
    assert membership.url == trainer.server.url
    assert trusted_keys(config, state) == (public_text(),)
    files = [path, *(one for one in state.iterdir() if one.is_file())]
    assert {stat.S_IMODE(one.stat().st_mode) for one in files} == {0o600}
    assert len(files) == 3
    out = "".join(capsys.readouterr())
    for secret in (line, trainer.joined[0].secret, membership.token.get_secret_value()):
        assert secret not in out
    assert "hallway has joined" in out


def test_invite_works_once(trainer: Inviting) -> None:
    line = trainer.invite()
    exchange(line)
    with pytest.raises(OperatorError, match="this invite was used, or has expired; ask for a new invite"):
        exchange(line)


def test_existing_configuration_stays_and_its_new_settings_are_shown(
    trainer: Inviting, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "node.yaml"
    before = yaml.safe_dump(
        {
            "node": {"id": "attic", "state_dir": str(tmp_path / "here")},
            "sources": [{"id": "mic", "type": "microphone"}],
        }
    )
    path.write_text(before)
    broker = Broker(host="broker.lan", port=8883, tls=True, ca="-----BEGIN CERTIFICATE-----")
    assert run_program(cli, PROGRAM, ["join", trainer.invite(broker=broker), "--config", str(path)]) == 0
    assert path.read_text() == before
    out = capsys.readouterr().out
    shown = yaml.safe_load(out[out.index("node:\n") :])
    assert shown["node"] == {"id": "attic"}
    assert shown["mqtt"]["tls"] == {"ca_file": str(tmp_path / "here" / "broker_ca.pem")}
    assert trainer.joined[0].node == "attic"


def test_answer_signed_by_another_key_is_not_believed(trainer: Inviting) -> None:
    trainer.key = OTHER_KEY
    with pytest.raises(PeerError, match="not signed by the trainer of this invite"):
        exchange(trainer.invite())


def test_answer_to_another_request_is_not_believed(trainer: Inviting) -> None:
    trainer.edit = lambda values: values.update(nonce="0123456789abcdef")
    with pytest.raises(PeerError, match="belongs to another request"):
        exchange(trainer.invite())


def test_failed_join_writes_nothing(trainer: Inviting, state: Path, tmp_path: Path) -> None:
    trainer.key = OTHER_KEY
    path = tmp_path / "node.yaml"
    assert run_program(cli, PROGRAM, ["join", trainer.invite(), "--config", str(path)]) == 1
    assert not path.exists()
    assert not state.exists()


@pytest.mark.parametrize(
    ("status", "body", "kind", "text"),
    [
        (500, b"oops", RetryError, "answers 500"),
        (302, b"", RetryError, "answers 302"),
        (200, b"not json", PeerError, "makes no sense"),
        (200, b"x" * 100_000, PeerError, "longer than an answer can be"),
        (403, b'{"error": "revoked\\u001b[31m"}', OperatorError, "refuses: revoked"),
    ],
)
def test_odd_answers_are_one_clear_line(
    trainer: Inviting, status: int, body: bytes, kind: type[Exception], text: str
) -> None:
    async def odd(_request: web.Request) -> web.StreamResponse:
        return web.Response(status=status, body=body, headers={"Location": "http://127.0.0.1:1/"})

    trainer.server.join = odd
    with pytest.raises(kind, match=text) as caught:
        exchange(trainer.invite())
    assert str(caught.value).isprintable()


def test_trainer_that_is_away_is_told_without_the_secret(trainer: Inviting) -> None:
    line = trainer.invite(url="http://127.0.0.1:1")
    with pytest.raises(RetryError, match="cannot be reached") as caught:
        exchange(line)
    assert decode_invite(line, datetime.now(UTC)).secret.get_secret_value() not in str(caught.value)


def test_expired_invite_is_refused_without_asking_the_trainer(trainer: Inviting) -> None:
    with pytest.raises(OperatorError, match="the invite expired on"):
        exchange(trainer.invite(valid_for=timedelta(seconds=-1)))
    assert trainer.joined == []


@pytest.mark.parametrize("cut", [1, 10, 100])
def test_line_that_was_not_copied_whole_is_said(trainer: Inviting, cut: int) -> None:
    with pytest.raises(OperatorError, match="copy the whole line again"):
        decode_invite(trainer.invite()[:-cut], datetime.now(UTC))


def test_line_that_a_mail_program_has_wrapped_still_works(trainer: Inviting) -> None:
    line = trainer.invite()
    wrapped = "\n  ".join(line[at : at + 60] for at in range(0, len(line), 60))
    assert decode_invite(wrapped, datetime.now(UTC)) == decode_invite(line, datetime.now(UTC))


@given(st.text(max_size=200))
def test_any_text_is_an_invite_or_one_line(text: str) -> None:
    for line in (text, "earshot1." + text):
        with pytest.raises(OperatorError) as caught:
            decode_invite(line, datetime.now(UTC))
        assert "\n" not in str(caught.value)


def test_secrets_do_not_show_in_a_repr_or_a_log(
    trainer: Inviting, caplog: pytest.LogCaptureFixture, state: Path, tmp_path: Path
) -> None:
    line = trainer.invite()
    invite = decode_invite(line, datetime.now(UTC))
    with caplog.at_level(logging.DEBUG):
        assert run_program(cli, PROGRAM, ["join", line, "--config", str(tmp_path / "node.yaml")]) == 0
    membership = load_membership(state)
    assert membership is not None
    secrets = (invite.secret.get_secret_value(), membership.token.get_secret_value())
    shown = caplog.text + repr(invite) + repr(membership)
    assert not [secret for secret in secrets if secret in shown]


def test_line_on_standard_input_keeps_it_out_of_the_process_list(trainer: Inviting, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "earshot_node", "join", "--config", str(tmp_path / "node.yaml")]
    done = subprocess.run(
        command,
        input=trainer.invite(),
        text=True,
        capture_output=True,
        env={"STATE_DIRECTORY": str(tmp_path / "state"), "PATH": "/usr/bin"},
        timeout=90,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "state" / "trainer.json").read_text())["url"] == trainer.server.url


def test_damaged_membership_leaves_the_node_running_without_a_trainer(state: Path) -> None:
    state.mkdir()
    (state / "trainer.json").write_text("{")
    assert load_membership(state) is None
