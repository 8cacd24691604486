"""Takes over real HTTP: progress line by line, kept or dropped, refused with a reason."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import pytest
from support.async_waiting import until
from support.mqtt_node import LONG_AGO, event
from support.recording_parts import HEALTHY, blocks_of, recording_config

from earshot_node.clips.clip import encode_clip
from earshot_node.clips.store import RamClips
from earshot_node.contract.config import HttpSection
from earshot_node.http.health import HealthReport
from earshot_node.http.metrics import Metrics
from earshot_node.http.server import HttpServer
from earshot_node.http.takes_api import TakesApi
from earshot_node.recordings import service as service_module
from earshot_node.recordings.service import RecordingService
from earshot_node.recordings.tap import StreamTap

TOKEN = "correct-horse"


class Studio:
    """A node's takes, with a source that a test plays."""

    def __init__(self, session: aiohttp.ClientSession, service: RecordingService, tap: StreamTap) -> None:
        self.session = session
        self.service = service
        self.tap = tap

    async def ask(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        async with self.session.request(method, f"/api/v1{path}", json=body) as response:
            text = await response.text()
            lines = [json.loads(line) for line in text.splitlines()]
            return response.status, lines if "ndjson" in response.content_type else (lines or [None])[0]

    async def listened_to(self) -> None:
        """Return when a take waits for audio."""
        await until(lambda: self.tap._listeners.get("street"))

    @asynccontextmanager
    async def playing(self) -> AsyncIterator[None]:
        tone = (0.2 * np.sin(np.arange(16000) / 5)).astype(np.float32)

        async def play() -> None:
            stream = 0
            while True:
                for block in blocks_of(tone, stream=stream):
                    self.tap.push(block)
                await asyncio.sleep(0.01)
                stream += 1

        task = asyncio.create_task(play())
        yield
        task.cancel()


@pytest.fixture
async def studio(tmp_path: Path) -> AsyncIterator[Studio]:
    tap, clips = StreamTap(), RamClips(3)
    clips.add(encode_clip(np.full(16000, 900, np.int16), LONG_AGO, event(1, "offset")))
    service = RecordingService(recording_config(tmp_path), tmp_path, clips, tap, status=lambda _: HEALTHY)
    health = HealthReport("healthy", (), "1", "1", connected=True)
    server = HttpServer(
        HttpSection(port=0), TOKEN, lambda: health, Metrics("1", "1"), routes=TakesApi(service).routes()
    )
    await server.start()
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with aiohttp.ClientSession(f"http://127.0.0.1:{server.port}", headers=headers) as session:
        yield Studio(session, service, tap)
    await server.stop()
    service.close()


async def test_recorder_says_what_can_be_recorded(studio: Studio) -> None:
    status, told = await studio.ask("GET", "/recorder")
    assert status == 200
    assert told["sources"] == [{"id": "street", "name": "Street", "type": "file", "state": "healthy"}]
    assert (told["node"], told["labels"], told["counts"], told["needed"]) == ("hall", ["siren"], {}, 20)


async def test_take_is_told_line_by_line_and_becomes_a_recording_when_it_is_kept(studio: Studio) -> None:
    async with studio.playing():
        status, lines = await studio.ask("POST", "/takes", {"source": "street", "seconds": 0.5, "countdown_s": 0.2})
    assert status == 200
    phases = [line["phase"] for line in lines]
    assert phases == sorted(phases, key=["countdown", "recording", "finished"].index)
    assert set(phases) == {"countdown", "recording", "finished"}
    assert lines[-1]["recording"]["duration_s"] == 0.5
    assert await studio.service.entries() == []
    body = {"labels": ["siren"], "by": "command_line", "user": "ada"}
    status, kept = await studio.ask("POST", f"/takes/{lines[-1]['take']}/keep", body)
    assert (status, kept["labelling"]["labels"], kept["labelling"]["user"]) == (201, ["siren"], "ada")
    assert [entry.info.id for entry in await studio.service.entries()] == [kept["id"]]
    assert (await studio.ask("POST", f"/takes/{lines[-1]['take']}/keep", body))[0] == 404


async def test_dropped_take_is_gone(studio: Studio) -> None:
    async with studio.playing():
        _, lines = await studio.ask("POST", "/takes", {"source": "street", "seconds": 0.5})
    take = lines[-1]["take"]
    for _ in range(2):
        assert await studio.ask("DELETE", f"/takes/{take}") == (204, None)
    status, told = await studio.ask("POST", f"/takes/{take}/keep", {"labels": ["siren"]})
    assert (status, told["error"]) == (404, "there is no such take any more; record it again")


async def test_second_take_of_a_source_at_once_is_refused_and_later_taken(studio: Studio) -> None:
    first, second, *_ = blocks_of(np.ones(16000, np.float32))
    short = {"source": "street", "seconds": 0.5}
    begun = asyncio.create_task(studio.ask("POST", "/takes", {"source": "street"}))
    await studio.listened_to()
    status, told = await studio.ask("POST", "/takes", short)
    assert (status, "another take is being recorded" in told["error"]) == (409, True)
    studio.tap.push(second)
    studio.tap.push(first)  # audio was lost: the first take is over
    await begun
    async with studio.playing():
        assert (await studio.ask("POST", "/takes", short))[0] == 200


async def test_client_that_goes_in_the_middle_of_a_take_leaves_the_source_free(studio: Studio) -> None:
    async with studio.playing():
        async with studio.session.post("/api/v1/takes", json={"source": "street", "seconds": 60}) as response:
            await response.content.readline()
            response.close()
        await until(lambda: not studio.service._recording)
        assert (await studio.ask("POST", "/takes", {"source": "street", "seconds": 0.5}))[0] == 200


@pytest.mark.parametrize(
    ("body", "status", "reason"),
    [
        ({"source": "cellar"}, 404, "this node has no source 'cellar'; it has street"),
        ({"source": "../x"}, 400, "source: "),
        ({"source": "street", "seconds": 61}, 400, "seconds: "),
        ({"source": "street", "path": "/etc/passwd"}, 400, "path: "),
        ({}, 400, "source: "),
    ],
)
async def test_wrong_take_is_refused_with_a_reason(studio: Studio, body: object, status: int, reason: str) -> None:
    code, told = await studio.ask("POST", "/takes", body)
    assert code == status
    assert told["error"].startswith(reason)


async def test_source_that_gives_no_audio_is_told(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service_module, "NO_AUDIO_AFTER_S", 0.1)
    status, told = await studio.ask("POST", "/takes", {"source": "street"})
    assert (status, told["error"]) == (503, "street: no audio comes: healthy")
    await studio.service.on_disk(lambda: None)
    assert (await studio.ask("POST", "/takes", {"source": "street"}))[0] == 503  # and not busy


async def test_audio_that_breaks_off_is_the_last_line(studio: Studio) -> None:
    first, *_ = blocks_of(np.ones(16000, np.float32))
    begun = asyncio.create_task(studio.ask("POST", "/takes", {"source": "street"}))
    await studio.listened_to()
    studio.tap.push(first)
    studio.tap.push(first)
    _, lines = await begun
    assert [line["phase"] for line in lines] == ["recording", "failed"]
    assert "audio was lost" in lines[-1]["error"]


@pytest.mark.parametrize(("body", "title"), [({"labels": ["siren"]}, "siren"), ({"absent": ["siren"]}, "not siren")])
async def test_event_is_labelled_by_its_id(studio: Studio, body: object, title: str) -> None:
    status, kept = await studio.ask("POST", f"/events/{event(1).id}/recording", body)
    assert (status, kept["origin"]) == (201, "event")
    (entry,) = await studio.service.entries()
    assert entry.info.labelling is not None
    assert entry.info.labelling.title == title


@pytest.mark.parametrize("event_id", ["unknown-event", "..%2f..%2fetc%2fpasswd", "*", "%00", "x" * 500])
async def test_event_that_is_not_there_is_not_found(studio: Studio, event_id: str) -> None:
    status, told = await studio.ask("POST", f"/events/{event_id}/recording", {"labels": ["siren"]})
    assert (status, told["error"].startswith("there is no clip of event")) == (404, True)
    assert await studio.service.entries() == []


async def test_labelling_that_contradicts_itself_is_refused(studio: Studio) -> None:
    body = {"labels": ["siren"], "absent": ["siren"]}
    status, told = await studio.ask("POST", f"/events/{event(1).id}/recording", body)
    assert (status, "twice" in told["error"]) == (400, True)
