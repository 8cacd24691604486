"""A real `node-cli join` and a real `trainer-cli serve`; and what gets nobody in."""

import asyncio
import json
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from support.certificates import Authority
from support.trainer_home import make_home, members_of, serving, trainer_cli

from earshot_node.configuration.file import load_config
from earshot_node.contract.joining import JOIN_PATH, JoinRequest, decode_invite
from earshot_node.deployment.join import join
from earshot_node.deployment.membership import load_membership
from earshot_node.errors import OperatorError, RetryError
from earshot_trainer.fleet.invites import make_invite
from earshot_trainer.home.folder import Home


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    home = make_home(tmp_path_factory.mktemp("trainer") / "home", broker_port=1234)
    with serving(home):
        yield home


def invite(home: Home, node: str = "", hours: float = 1) -> str:
    return make_invite(home, members_of(home), node, timedelta(hours=hours))


def test_node_joins_with_the_line_that_invite_prints(home: Home, tmp_path: Path) -> None:
    printed = trainer_cli(home, "invite", "--node", "hallway")
    assert printed.returncode == 0, printed.stderr
    (line,) = printed.stdout.splitlines()
    path = tmp_path / "node.yaml"
    joined = subprocess.run(
        [sys.executable, "-m", "earshot_node", "join", "--config", str(path)],
        input=line,
        text=True,
        capture_output=True,
        env={"STATE_DIRECTORY": str(tmp_path / "state"), "PATH": "/usr/bin"},
        timeout=90,
        check=False,
    )
    assert joined.returncode == 0, joined.stderr
    config, membership = load_config(path), load_membership(tmp_path / "state")
    assert (config.node.id, config.mqtt.host, config.mqtt.port) == ("hallway", "127.0.0.1", 1234)
    assert membership is not None
    assert (membership.url, membership.public_key) == (home.config.url, home.public_key)
    (member,) = members_of(home).chosen(("hallway",))
    assert member.token == membership.token.get_secret_value()
    assert member.address == "http://127.0.0.1:8765"


def test_invite_works_once_and_secrets_stay_out_of_log_and_catalogue(home: Home) -> None:
    line = invite(home)
    decoded = decode_invite(line, datetime.now(UTC))
    grant = join(decoded, "attic", ("siren",))
    with pytest.raises(OperatorError, match="the trainer refuses: this invite"):
        join(decoded, "cellar", ("siren",))
    log = home.folder.with_name("serve.log").read_text()
    assert "node attic has joined from 127.0.0.1" in log
    for kept in (log.encode(), (home.folder / "catalogue.sqlite").read_bytes()):
        assert decoded.secret.get_secret_value().encode() not in kept
    assert grant.token not in log


def test_member_is_not_replaced_by_any_invite(home: Home) -> None:
    join(decode_invite(invite(home), datetime.now(UTC)), "porch", ("siren",))
    with pytest.raises(OperatorError, match="'porch' has joined already"):
        join(decode_invite(invite(home), datetime.now(UTC)), "porch", ("siren",))
    before = members_of(home).chosen(("porch",))[0].token
    join(decode_invite(invite(home, "porch"), datetime.now(UTC)), "porch", ("siren",))
    assert members_of(home).chosen(("porch",))[0].token != before


def test_removed_node_is_gone_and_its_open_invite_works_no_more(home: Home) -> None:
    join(decode_invite(invite(home), datetime.now(UTC)), "shed", ("siren",))
    line = invite(home, "shed")
    done = trainer_cli(home, "nodes", "remove", "shed")
    assert done.returncode == 0, done.stderr
    with pytest.raises(OperatorError, match="revoked"):
        join(decode_invite(line, datetime.now(UTC)), "shed", ("siren",))
    again = trainer_cli(home, "nodes", "remove", "shed")
    assert (again.returncode, again.stderr.count("\n")) == (1, 1)


def post(url: str, body: bytes, content_type: str = "application/json") -> tuple[int, str]:
    request = urllib.request.Request(url + JOIN_PATH, body, {"Content-Type": content_type})
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_odd_requests_are_refused_with_a_reason_then_with_a_pause(tmp_path: Path) -> None:
    home = make_home(tmp_path / "home")
    guess = JoinRequest(secret="x" * 32, nonce="n" * 20, node="mole", version="1", labels=("siren",)).encode()
    with serving(home) as log:
        url = home.config.url
        assert post(url, b"{}")[0] == 400
        assert post(url, guess, "text/plain")[0] == 415
        assert post(url, b" " * 10_000)[0] == 413
        answers = [post(url, guess) for _ in range(10)]
        line = invite(home)
        with pytest.raises(RetryError, match="answers 429"):
            join(decode_invite(line, datetime.now(UTC)), "hall", ("siren",))
        assert "x" * 32 not in log.read_text()
    assert answers[0][0] == 403
    assert json.loads(answers[0][1])["error"] == "this invite is not known here, or was used"
    assert answers[-1][0] == 429
    assert members_of(home).all() == []


def test_node_joins_over_https_by_the_invites_certificate(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    certificate, key = authority.issue("trainer")
    plain = make_home(tmp_path / "home")
    serve = {
        "host": "127.0.0.1",
        "port": plain.config.serve.port,
        "certificate_file": str(certificate),
        "key_file": str(key),
    }
    (tmp_path / "home" / "trainer.yaml").unlink()
    url = plain.config.url.replace("http:", "https:")
    home = make_home(tmp_path / "home", url=url, serve=serve, ca_file=str(tmp_path / "ca.crt"))
    with serving(home):
        grant = join(decode_invite(invite(home), datetime.now(UTC)), "hall", ("siren",))
        assert grant.node == "hall"
        other = make_home(tmp_path / "other", url=url, serve=serve)
        with pytest.raises(RetryError, match="certificate"):
            join(decode_invite(invite(other), datetime.now(UTC)), "hall", ("siren",))


def test_slow_body_does_not_hold_up_others(home: Home) -> None:
    async def slow() -> None:
        _, writer = await asyncio.open_connection("127.0.0.1", home.config.serve.port)
        head = "POST /api/v1/join HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
        writer.write(head.encode())
        await writer.drain()
        line = invite(home)
        await asyncio.to_thread(
            lambda: join(decode_invite(line, datetime.now(UTC)), "roof", ("siren",)),
        )
        writer.close()

    asyncio.run(slow())
    assert members_of(home).chosen(("roof",))
