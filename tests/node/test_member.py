"""A running node takes up a membership, and proves to its trainer, and only to it, where it answers."""

import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from pydantic import SecretStr
from support.async_waiting import until
from support.recording_parts import HEALTHY, recording_config

from earshot_node.clips.store import RamClips
from earshot_node.contract.config import HttpSection, NodeConfig
from earshot_node.contract.messages import ModelInfo, NodeInfo
from earshot_node.contract.node_address import NodeAddress, is_proven
from earshot_node.deployment.membership import MEMBERSHIP_NAME, Membership, save_membership
from earshot_node.http.certificate import OWN_KEY, client_context
from earshot_node.http.health import HealthReport
from earshot_node.http.metrics import Metrics
from earshot_node.http.node_server import NodeServer
from earshot_node.http.reachable import reachable_url
from earshot_node.http.token import load_or_create_token
from earshot_node.member import Member
from earshot_node.recordings.service import RecordingService
from earshot_node.recordings.tap import StreamTap

HEALTH = HealthReport("healthy", (), "1", "1", connected=True)
TOKEN = "the-token-of-the-hall"
KEY = "A" * 43 + "="


class Trusting:
    """Notes when the models are told of a membership."""

    def __init__(self) -> None:
        self.told = 0

    def use_membership(self) -> None:
        self.told += 1


class Running:
    """A node's HTTP and membership, in a state folder."""

    def __init__(self, folder: Path, *, https: bool) -> None:
        self.folder = folder
        base = recording_config(folder)
        self.config: NodeConfig = base.model_copy(update={"http": HttpSection(port=0, https=https)})
        self.service = RecordingService(self.config, folder, RamClips(3), StreamTap(), status=lambda _: HEALTHY)
        self.server = NodeServer(self.config.http, folder, lambda: HEALTH, Metrics("1", "1"), self.service)
        self.models = Trusting()
        self.changes = 0
        self.member = Member(self.config, folder, self.models, self._changed)  # type: ignore[arg-type]

    def _changed(self) -> None:
        self.changes += 1

    def join(self, token: str = TOKEN) -> None:
        """As `node-cli join` in another process does."""
        save_membership(self.folder, Membership(url="http://127.0.0.1:8770", public_key=KEY, token=SecretStr(token)))

    @property
    def told(self) -> NodeAddress | None:
        """What it tells of its address."""
        info = NodeInfo(
            node="hall",
            name="Hall",
            version="1",
            model=ModelInfo(name="siren", version="1", labels=("siren",)),
            labels=("siren",),
            sources=(),
            started="2026-11-22T12:00:00Z",
        )
        return self.member.described(info).http

    async def status_of_recordings(self, token: str) -> int:
        """Ask as the trainer does."""
        address = (self.folder / "http_address").read_text().strip()
        headers = {"Authorization": f"Bearer {token}"}
        context: ssl.SSLContext | bool = client_context(self.folder) or True
        async with (
            aiohttp.ClientSession(address, headers=headers) as session,
            session.get("/api/v1/recordings", ssl=context) as response,
        ):
            return response.status


@pytest.fixture(params=[False, True], ids=["http", "https"])
async def node(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Running]:
    running = Running(tmp_path, https=request.param)
    await running.server.start()
    running.member.serve(running.server)
    yield running
    await running.server.stop()
    running.service.close()


async def test_joining_opens_recordings_to_the_trainer_and_leaving_closes_them(node: Running) -> None:
    assert await node.status_of_recordings(TOKEN) == 401
    node.join()
    node.member.tick()
    assert (await node.status_of_recordings(TOKEN), node.models.told, node.changes > 0) == (200, 1, True)
    (node.folder / MEMBERSHIP_NAME).unlink()
    node.member.tick()
    assert (await node.status_of_recordings(TOKEN), node.models.told, node.told) == (401, 2, None)


async def test_nothing_is_done_while_nothing_changes(node: Running) -> None:
    node.join()
    for _ in range(3):
        node.member.tick()
    assert node.models.told == 1


async def test_address_is_told_after_joining_with_a_proof_that_only_the_token_makes(node: Running) -> None:
    assert node.told is None
    node.join()
    node.member.tick()
    await until(lambda: node.told is not None, 30, "the address")
    told = node.told
    assert told is not None
    assert told.url == (node.folder / "http_address").read_text().strip()
    assert is_proven(told, TOKEN, "hall")
    assert not is_proven(told, TOKEN, "attic")
    assert not is_proven(told, "another-token", "hall")
    assert not is_proven(told.model_copy(update={"url": "http://10.6.6.6:8765"}), TOKEN, "hall")
    assert not is_proven(told.model_copy(update={"certificate": "ab" * 32}), TOKEN, "hall")
    assert TOKEN not in told.model_dump_json()


async def test_certificate_that_is_told_is_the_one_that_is_shown(node: Running) -> None:
    node.join()
    node.member.tick()
    await until(lambda: node.told is not None, 30, "the address")
    told = node.told
    assert told is not None
    assert bool(told.certificate) == node.config.http.https
    if not told.certificate:
        assert not (node.folder / OWN_KEY).exists()
        return
    assert (node.folder / OWN_KEY).stat().st_mode & 0o777 == 0o600
    headers = {"Authorization": f"Bearer {load_or_create_token(node.folder)}"}
    async with aiohttp.ClientSession(told.url, headers=headers) as session:
        async with session.get("/metrics", ssl=aiohttp.Fingerprint(bytes.fromhex(told.certificate))) as response:
            assert response.status == 200
        with pytest.raises(aiohttp.ServerFingerprintMismatch):
            await session.get("/metrics", ssl=aiohttp.Fingerprint(bytes(32)))
        with pytest.raises(aiohttp.ClientConnectorCertificateError):
            await session.get("/metrics")


@pytest.mark.parametrize(
    ("http", "trainer", "expected"),
    [
        ({"host": "127.0.0.1"}, "http://127.0.0.1:8770", "http://127.0.0.1:9"),
        ({"host": "127.0.0.1"}, "http://192.0.2.1:8770", ""),
        ({"host": "0.0.0.0"}, "http://127.0.0.1:8770", "http://127.0.0.1:9"),
        ({"host": "0.0.0.0", "https": True}, "http://[::1]:8770", "https://[::1]:9"),
        ({"host": "0.0.0.0"}, "http://no.such.host.invalid", ""),
        ({"announce": "https://hall.lan:443/"}, "http://192.0.2.1", "https://hall.lan:443"),
    ],
)
def test_address_is_one_that_the_trainer_can_reach(http: dict[str, object], trainer: str, expected: str) -> None:
    assert reachable_url(HttpSection.model_validate(http), 9, trainer) == expected
