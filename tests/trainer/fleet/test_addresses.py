"""Where nodes answer: believed with a proof only, never without HTTPS again; the token goes to the pinned only."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from support.certificates import Authority
from support.mosquitto import free_port
from support.trainer_home import make_home, members_of

from earshot_node.contract.config import HttpSection
from earshot_node.contract.joining import JoinRequest, decode_invite
from earshot_node.contract.node_address import NodeAddress, address_proof
from earshot_node.errors import OperatorError, PeerError
from earshot_node.http.certificate import certificate_of
from earshot_trainer.catalogue.members import Member, Members
from earshot_trainer.collecting.node_http import TIMEOUT, NodeHttp
from earshot_trainer.fleet.addresses import take_address
from earshot_trainer.fleet.invites import let_in, make_invite

TOKEN = "the-token-of-the-hall-00"
PIN = "ab" * 32
NOW = datetime(2026, 11, 22, tzinfo=UTC)


@pytest.fixture
def members(tmp_path: Path) -> Iterator[Members]:
    found = members_of(make_home(tmp_path / "home"))
    found.add_invite("0" * 64, "hall", NOW, NOW + timedelta(hours=1))
    found.admit("0" * 64, Member("hall", TOKEN, "http://10.0.0.7:8765", "1", "", ""), NOW)
    return found


def told(url: str, certificate: str = "", *, token: str = TOKEN, node: str = "hall") -> NodeAddress:
    return NodeAddress(url=url, certificate=certificate, proof=address_proof(token, node, url, certificate))


def known(members: Members) -> tuple[str, str]:
    (hall,) = members.all()
    return hall.address, hall.certificate


def test_proven_address_replaces_the_one_that_was_joined_from(members: Members) -> None:
    take_address(members, "hall", told("https://10.0.0.8:8765/", PIN))
    assert known(members) == ("https://10.0.0.8:8765", PIN)


@pytest.mark.parametrize(
    "forged",
    [
        told("http://10.6.6.6:8765", token="another"),
        told("http://10.6.6.6:8765", node="attic"),
        told("http://10.6.6.6:8765").model_copy(update={"url": "http://10.6.6.7:8765"}),
        told("https://10.6.6.6:8765", PIN).model_copy(update={"certificate": "cd" * 32}),
    ],
)
def test_address_that_somebody_else_tells_is_passed_over(members: Members, forged: NodeAddress) -> None:
    take_address(members, "hall", forged)
    assert known(members) == ("http://10.0.0.7:8765", "")


def test_removed_node_has_no_say(members: Members) -> None:
    members.remove("hall", NOW)
    take_address(members, "hall", told("http://10.6.6.6:8765", token=""))
    assert members.all() == []


def test_old_word_without_https_is_not_believed_again(members: Members) -> None:
    take_address(members, "hall", told("https://10.0.0.8:8765", PIN))
    take_address(members, "hall", told("http://10.0.0.7:8765"))
    assert known(members) == ("https://10.0.0.8:8765", PIN)


def test_word_of_a_person_stands_until_it_is_taken_back(members: Members) -> None:
    members.set_address("hall", "http://hall.lan:1", NOW)
    take_address(members, "hall", told("http://10.0.0.8:8765"))
    assert known(members) == ("http://hall.lan:1", "")
    members.set_address("hall", "", NOW)
    take_address(members, "hall", told("http://10.0.0.8:8765"))
    assert known(members) == ("http://10.0.0.8:8765", "")


@pytest.mark.parametrize(("pin", "address"), [("", "http://192.0.2.7:9000"), (PIN, "https://192.0.2.7:9000")])
def test_certificate_is_pinned_as_the_node_joins(tmp_path: Path, pin: str, address: str) -> None:
    home = make_home(tmp_path / "home")
    line = make_invite(home, members_of(home), "", timedelta(hours=1))
    secret = decode_invite(line, datetime.now(UTC)).secret.get_secret_value()
    request = JoinRequest(
        secret=secret, nonce="n" * 24, node="hall", version="1", labels=("siren",), http_port=9000, http_certificate=pin
    )
    let_in(home, members_of(home), request, "192.0.2.7")
    assert known(members_of(home)) == (address, pin)


async def test_token_is_sent_to_the_pinned_certificate_only(tmp_path: Path) -> None:
    asked: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        asked.append(request.headers["Authorization"])
        return web.json_response({"node": "hall", "recordings": [], "next": None})

    certificate_file, key_file = Authority(tmp_path).issue("hall")
    config = HttpSection(certificate_file=str(certificate_file), key_file=str(key_file))
    certificate = certificate_of(config, tmp_path)
    assert certificate is not None
    app = web.Application()
    app.router.add_get("/api/v1/recordings", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port, ssl_context=certificate.server_context()).start()
    url = f"https://127.0.0.1:{port}"
    try:
        async with aiohttp.ClientSession(timeout=TIMEOUT) as session:
            hall = Member("hall", TOKEN, url, "1", "", "", certificate.sha256)
            assert await NodeHttp(session, hall).uncollected() == []
            assert asked == [f"Bearer {TOKEN}"]
            with pytest.raises(PeerError, match="another certificate"):
                await NodeHttp(session, Member("hall", TOKEN, url, "1", "", "", PIN)).uncollected()
            plain = Member("hall", TOKEN, url.replace("https", "http"), "1", "", "", certificate.sha256)
            with pytest.raises(OperatorError, match="it speaks HTTPS"):
                await NodeHttp(session, plain).uncollected()
        assert len(asked) == 1
    finally:
        await runner.cleanup()
