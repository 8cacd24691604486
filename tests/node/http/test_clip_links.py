"""A link to a clip: plays without a token, in any pieces, for a while; nothing else is opened by it."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import pytest
from pydantic import ValidationError
from support.mqtt_node import event
from support.recording_parts import HEALTHY, recording_config

from earshot_node.clips.clip import Clip, encode_clip
from earshot_node.clips.store import RamClips
from earshot_node.contract.config import HttpSection, MqttSection
from earshot_node.http import clip_links
from earshot_node.http.clip_links import household_url
from earshot_node.http.health import HealthReport
from earshot_node.http.metrics import Metrics
from earshot_node.http.node_server import NodeServer
from earshot_node.recordings.service import RecordingService
from earshot_node.recordings.tap import StreamTap

HEALTH = HealthReport("healthy", (), "1", "1", connected=True)
OPEN = {"host": "0.0.0.0", "port": 0, "announce": "http://hall.lan:8765"}


def clip_of(number: int, age: timedelta = timedelta()) -> Clip:
    heard = event(number, "offset").model_copy(update={"onset": datetime.now(UTC) - age})
    pcm = np.random.default_rng(number).integers(-20000, 20000, 16000).astype(np.int16)
    return encode_clip(pcm, heard.onset, heard)


class Linked:
    """A node's server with links, its clips, and a client without a token."""

    def __init__(self, folder: Path, node: NodeServer, clips: RamClips, session: aiohttp.ClientSession) -> None:
        self.folder = folder
        self.node = node
        self.clips = clips
        self.session = session

    def link(self, clip: Clip) -> str:
        """Return the link, which leads to this machine."""
        url = self.node.clip_url(clip.info.event.id)
        assert url is not None
        return f"http://127.0.0.1:{self.node.port}/{url.split('/', 3)[3]}"

    async def get(self, url: str, **headers: str) -> tuple[int, bytes]:
        async with self.session.get(url, headers=headers) as response:
            return response.status, await response.read()


@pytest.fixture
async def linked(tmp_path: Path) -> AsyncIterator[Linked]:
    config = recording_config(tmp_path, clips={"links": True}, http=OPEN)
    clips = RamClips(3)
    service = RecordingService(config, tmp_path, clips, StreamTap(), status=lambda _: HEALTHY)
    node = NodeServer(config.http, tmp_path, lambda: HEALTH, Metrics("1", "1"), service)
    await node.start()
    async with aiohttp.ClientSession(headers={"User-Agent": "phone"}) as session:
        yield Linked(tmp_path, node, clips, session)
    await node.stop()
    service.close()


async def test_link_plays_whole_and_in_pieces_and_is_noted(linked: Linked) -> None:
    clip = clip_of(1)
    linked.clips.add(clip)
    url = linked.link(clip)
    assert await linked.get(url) == (200, clip.flac)
    assert await linked.get(url, Range="bytes=100-199") == (206, clip.flac[100:200])
    assert (await linked.get(url, Range="bytes=999999999-"))[0] == 416
    async with linked.session.head(url) as response:
        assert (response.status, response.content_type) == (200, "audio/flac")
        assert response.headers["Accept-Ranges"] == "bytes"
    lines = [json.loads(line) for line in (linked.folder / "recordings/transfers.jsonl").read_text().splitlines()]
    assert [(line["phase"], line["what"], line["how"]) for line in lines] == [
        (phase, clip.info.event.id, "link") for _ in range(2) for phase in ("begin", "end")
    ]
    assert lines[2]["bytes"] == 100
    assert lines[0]["who"] == "127.0.0.1 phone"


async def test_link_to_a_siren_that_still_sounds_waits_for_its_clip(linked: Linked) -> None:
    clip = clip_of(1)
    asked = asyncio.create_task(linked.get(linked.link(clip)))
    await linked.get(f"http://127.0.0.1:{linked.node.port}/healthz")  # one round after the request has gone out
    assert not asked.done()
    linked.clips.add(clip)
    assert await asked == (200, clip.flac)


async def test_wrong_signature_missing_clip_and_old_clip_are_not_found(
    linked: Linked, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clip_links, "WAIT_S", 0.0)
    here, gone, old = clip_of(1), clip_of(2), clip_of(3, clip_links.VALID + timedelta(minutes=1))
    linked.clips.add(here)
    linked.clips.add(old)
    wrong = linked.link(here).replace(here.info.event.id, old.info.event.id)
    for url in (wrong, linked.link(gone), linked.link(old)):
        assert (await linked.get(url))[0] == 404, url


async def test_nothing_else_is_opened_by_links(linked: Linked) -> None:
    clip = clip_of(1)
    linked.clips.add(clip)
    base, signature = f"http://127.0.0.1:{linked.node.port}", linked.link(clip).rsplit("/", 1)[1]
    for path in ("/metrics", "/api/v1/recordings", "/api/v1/recorder", f"/clips/../api/v1/recordings/{signature}"):
        assert (await linked.get(base + path))[0] == 401, path
    for path in ("/clips/", f"/clips/{clip.info.event.id}", f"/clips//{signature}"):
        assert (await linked.get(base + path))[0] == 404, path


async def test_another_token_makes_links_worthless_and_the_same_keeps_them(linked: Linked, tmp_path: Path) -> None:
    clip = clip_of(1)
    service = RecordingService(
        recording_config(tmp_path, clips={"links": True}, http=OPEN),
        tmp_path,
        None,
        StreamTap(),
        status=lambda _: HEALTHY,
    )

    def path_of(server: NodeServer) -> str:
        server._links.base = "http://n"
        return str(server.clip_url(clip.info.event.id)).split("/", 3)[3]

    def server(token: str) -> NodeServer:
        return NodeServer(HttpSection(token=token), tmp_path, lambda: HEALTH, Metrics("1", "1"), service)

    again, other = server(""), server("another token")
    assert linked.link(clip).endswith(path_of(again))
    assert path_of(other) != path_of(again)
    service.close()


def test_address_is_the_announced_one_else_that_towards_the_broker() -> None:
    broker = MqttSection(host="127.0.0.1")
    announced = HttpSection(host="0.0.0.0", announce="http://hall.lan:8765/")
    assert household_url(announced, 8765, broker) == "http://hall.lan:8765"
    named = HttpSection(host="192.168.7.7")
    assert household_url(named, 8765, broker) in ("http://192.168.7.7:8765", "")  # '' on a machine without a network
    assert not household_url(HttpSection(host="0.0.0.0"), 8765, broker).startswith("http://127.")


@pytest.mark.parametrize(
    ("sections", "told"),
    [
        ({"clips": {"links": True, "store": "off"}, "http": OPEN}, "set clips.store"),
        ({"clips": {"links": True}}, "set http.host to 0.0.0.0"),
        ({"clips": {"links": True}, "http": {"enabled": False}}, "set http.host to 0.0.0.0"),
    ],
)
def test_links_that_would_lead_nowhere_are_refused(tmp_path: Path, sections: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        recording_config(tmp_path, **sections)
