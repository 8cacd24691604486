"""Nodes to collect from: a node's real store and HTTP server, in the test's own loop; and a network that breaks."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Self

import numpy as np
from pydantic import SecretStr

from earshot_node.contract.config import HttpSection
from earshot_node.contract.recordings import Labelling, RecordingInfo
from earshot_node.deployment.membership import Membership, save_membership
from earshot_node.http.health import HealthReport
from earshot_node.http.metrics import Metrics
from earshot_node.http.node_server import NodeServer
from earshot_node.recordings.draft import draft_from_samples
from earshot_node.recordings.service import RecordingService
from earshot_node.recordings.tap import StreamTap
from earshot_trainer.catalogue.members import Member
from support.deployed import public_text
from support.recording_parts import BEGIN, HEALTHY, SIREN, SOURCE, recording_config

HEALTH = HealthReport("healthy", (), "1", "1", connected=True)


@dataclass
class RecordingNode:
    """A node with recordings; `member` is what its trainer knows of it."""

    folder: Path
    service: RecordingService
    member: Member

    async def add(
        self, number: int, labelling: Labelling | None = SIREN, *, seconds: float = 1.0, sound: int | None = None
    ) -> RecordingInfo:
        """Keep a recording of noise, begun `number` minutes after `BEGIN`; the same `sound` is the same content."""
        seed = number if sound is None else sound
        pcm = np.random.default_rng(seed).integers(-20000, 20000, round(seconds * 16000)).astype(np.int16)
        draft = draft_from_samples(pcm, BEGIN + timedelta(minutes=number), self.member.id, SOURCE)
        return await self.service.add(draft, labelling)

    def waiting(self) -> list[str]:
        """Ids that are not acknowledged."""
        return [one.info.id for one in self.service.store.entries() if one.collected is None]


@asynccontextmanager
async def recording_node(folder: Path, name: str) -> AsyncIterator[RecordingNode]:
    """Let one answer."""
    token = f"{name}-token-of-the-trainer"
    membership = Membership(url="http://127.0.0.1:1", public_key=public_text(), token=SecretStr(token))
    save_membership(folder, membership)
    service = RecordingService(
        recording_config(folder, node={"id": name}), folder, None, StreamTap(), status=lambda _: HEALTHY
    )
    server = NodeServer(HttpSection(port=0), folder, lambda: HEALTH, Metrics("1", "1"), service)
    await server.start()
    address = (folder / "http_address").read_text().strip()
    try:
        yield RecordingNode(folder, service, Member(name, token, address, "1", "", ""))
    finally:
        await server.stop()
        service.close()


class BadNetwork:
    """A TCP proxy in front of a node. `lets` answers' bytes through, then breaks the connection or stands still."""

    def __init__(self, target: str, lets: int, *, stalls: bool = False) -> None:
        self._target_port = int(target.rpartition(":")[2])
        self._left = lets
        self._stalls = stalls
        self._mended = asyncio.Event()
        self._server: asyncio.Server | None = None
        self.address = ""

    @property
    def is_used_up(self) -> bool:
        """Whether nothing more gets through."""
        return self._left == 0

    def mend(self) -> None:
        """Let all through from now on."""
        self._mended.set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._join, "127.0.0.1", 0)
        self.address = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self.mend()
        assert self._server is not None
        self._server.close()

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        to_reader, to_writer = await asyncio.open_connection("127.0.0.1", self._target_port)
        asked = asyncio.create_task(_pump(reader, to_writer))
        with suppress(ConnectionError):
            while data := await to_reader.read(1024):
                if not self._mended.is_set() and len(data) > self._left:
                    writer.write(data[: self._left])
                    self._left = 0
                    await writer.drain()
                    if not self._stalls:
                        break
                    await self._mended.wait()
                    break
                self._left -= len(data)
                writer.write(data)
                await writer.drain()
        asked.cancel()
        for one in (writer, to_writer):
            one.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
