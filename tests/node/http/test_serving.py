"""HTTP begins whenever its address can be had, and links follow the network."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import aiohttp
import pytest
from support.async_waiting import until
from support.mosquitto import free_port
from support.recording_parts import HEALTHY, recording_config

from earshot_node.clips.store import RamClips
from earshot_node.http import node_server, serving
from earshot_node.http.health import HealthReport
from earshot_node.http.metrics import Metrics
from earshot_node.http.node_server import NodeServer
from earshot_node.http.serving import Serving
from earshot_node.recordings.service import RecordingService
from earshot_node.recordings.tap import StreamTap

HEALTH = HealthReport("healthy", (), "1", "1", connected=True)


@asynccontextmanager
async def serving_on(port: int, folder: Path) -> AsyncIterator[tuple[Serving, list[NodeServer]]]:
    config = recording_config(folder, clips={"links": True}, http={"port": port, "host": "0.0.0.0"})
    service = RecordingService(config, folder, RamClips(3), StreamTap(), status=lambda _: HEALTHY)
    served: list[NodeServer] = []
    parts = (lambda: HEALTH, Metrics("1", "1"), service, None, None)
    made = Serving(config.http, folder, *parts, on_server=served.append)
    task = asyncio.create_task(made.run())
    yield made, served
    task.cancel()
    await made.stop()
    service.close()


async def test_address_that_is_taken_at_first_is_a_problem_until_it_can_be_had(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving, "TRY_AGAIN_AFTER_S", 0.05)
    port = free_port()
    with closing(socket.create_server(("0.0.0.0", port))) as other:
        async with serving_on(port, tmp_path) as (made, served):
            await until(lambda: made.problem != "")
            assert f"cannot listen on 0.0.0.0:{port}" in made.problem
            assert served == []
            assert made.clip_url("x") is None
            other.close()
            await until(lambda: served != [])
            assert made.problem == ""
            async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}/healthz") as answer:
                assert answer.status == 200


async def test_links_lead_to_where_the_node_is_once_its_network_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = {"url": ""}
    monkeypatch.setattr(node_server, "household_url", lambda *_: found["url"])
    monkeypatch.setattr(serving, "LOOK_FOR_ADDRESS_EVERY_S", 0.05)
    async with serving_on(0, tmp_path) as (made, served):
        await until(lambda: served != [])
        for url in ("http://10.0.0.5:8765", "http://10.0.0.9:8765"):
            assert not (made.clip_url("x") or "").startswith(url)
            found["url"] = url
            await until(lambda url=url: (made.clip_url("x") or "").startswith(url))  # type: ignore[misc]
        found["url"] = ""
        await asyncio.sleep(0.2)
        assert (made.clip_url("x") or "").startswith("http://10.0.0.9:8765")
