"""Recordings over real HTTP: listed, fetched in any pieces, acknowledged; nothing else gets out."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from support.async_waiting import until
from support.recording_parts import HEALTHY, SIREN, noise_draft, recording_config

from earshot_node.clips.store import RamClips
from earshot_node.contract.config import HttpSection
from earshot_node.contract.recordings import RecordingInfo
from earshot_node.http import audio_answer, json_body, recordings_api, server
from earshot_node.http.health import HealthReport
from earshot_node.http.limits import RateLimit
from earshot_node.http.metrics import Metrics
from earshot_node.http.node_server import NodeServer
from earshot_node.http.token import load_or_create_token
from earshot_node.recordings.service import RecordingService
from earshot_node.recordings.tap import StreamTap

HEALTH = HealthReport("healthy", (), "1", "1", connected=True)


class Client:
    """A client with the node's token, and the node's parts behind it."""

    def __init__(
        self, session: aiohttp.ClientSession, folder: Path, service: RecordingService, node: NodeServer
    ) -> None:
        self.session = session
        self.node = node
        self.folder = folder
        self.service = service

    async def get(self, path: str, **headers: str) -> tuple[int, bytes, Mapping[str, str]]:
        async with self.session.get(f"/api/v1{path}", headers=headers) as response:
            return response.status, await response.read(), response.headers

    async def listed(self, query: str = "") -> dict[str, Any]:
        status, body, _ = await self.get(f"/recordings{query}")
        assert status == 200, body
        found: dict[str, Any] = json.loads(body)
        return found

    async def post(self, path: str, body: object) -> tuple[int, dict[str, Any]]:
        async with self.session.post(f"/api/v1{path}", json=body) as response:
            return response.status, await response.json()

    def transfers(self) -> list[dict[str, Any]]:
        path = self.folder / "recordings" / "transfers.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[Client]:
    config = recording_config(tmp_path)
    service = RecordingService(config, tmp_path, RamClips(3), StreamTap(), status=lambda _: HEALTHY)
    node = NodeServer(HttpSection(port=0), tmp_path, lambda: HEALTH, Metrics("1", "1"), service)
    await node.start()
    address = (tmp_path / "http_address").read_text().strip()
    headers = {"Authorization": f"Bearer {load_or_create_token(tmp_path)}", "User-Agent": "collector"}
    async with aiohttp.ClientSession(address, headers=headers) as session:
        yield Client(session, tmp_path, service, node)
    await node.stop()
    service.close()
    assert not (tmp_path / "http_address").exists()


@pytest.fixture
async def info(client: Client) -> RecordingInfo:
    return await client.service.add(noise_draft(1), SIREN)


def audio_of(client: Client, info: RecordingInfo) -> bytes:
    return client.service.store.audio_path(info.id).read_bytes()


async def test_file_that_has_become_shorter_ends_at_once(client: Client, info: RecordingInfo) -> None:
    path = client.service.store.audio_path(info.id)
    path.write_bytes(path.read_bytes()[:-1000])
    async with asyncio.timeout(5):
        with pytest.raises(aiohttp.ClientPayloadError):
            await client.get(f"/recordings/{info.id}/audio")
    path.unlink()


async def test_list_is_paged_in_the_order_of_time(client: Client) -> None:
    ids = [(await client.service.add(noise_draft(number), SIREN)).id for number in (3, 1, 2)]
    expected = [ids[1], ids[2], ids[0]]
    first = await client.listed("?limit=2")
    assert [one["id"] for one in first["recordings"]] == expected[:2]
    assert (first["node"], first["total"], first["next"]) == ("hall", 3, expected[1])
    second = await client.listed(f"?limit=2&after={first['next']}")
    assert [one["id"] for one in second["recordings"]] == expected[2:]
    assert second["next"] is None
    assert second["recordings"][0]["labelling"]["labels"] == ["siren"]


@pytest.mark.parametrize("query", ["?limit=0", "?limit=501", "?limit=x", "?after=../../etc", "?state=odd"])
async def test_wrong_query_is_answered_with_a_reason(client: Client, query: str) -> None:
    status, body, _ = await client.get(f"/recordings{query}")
    assert status == 400
    assert json.loads(body)["error"].startswith(query[1:].partition("=")[0])


async def test_audio_is_the_file_with_its_hash_as_etag(client: Client, info: RecordingInfo) -> None:
    status, body, headers = await client.get(f"/recordings/{info.id}/audio")
    assert (status, body) == (200, audio_of(client, info))
    assert headers["ETag"] == f'"{info.sha256}"'
    assert (headers["Content-Type"], headers["Accept-Ranges"]) == ("audio/flac", "bytes")
    status, body, _ = await client.get(f"/recordings/{info.id}")
    assert RecordingInfo.model_validate_json(body) == info
    assert json.loads(body)["collected"] is False


@pytest.mark.parametrize("begin", [0, 1, 100, 10_000])
async def test_fetch_resumes_at_any_byte(client: Client, info: RecordingInfo, begin: int) -> None:
    whole = audio_of(client, info)
    path = f"/recordings/{info.id}/audio"
    status, rest, headers = await client.get(path, Range=f"bytes={begin}-", **{"If-Range": f'"{info.sha256}"'})
    assert (status, rest) == (206, whole[begin:])
    assert headers["Content-Range"] == f"bytes {begin}-{len(whole) - 1}/{len(whole)}"
    assert client.transfers()[0]["bytes"] == len(whole) - begin


async def test_other_ranges(client: Client, info: RecordingInfo) -> None:
    whole, path = audio_of(client, info), f"/recordings/{info.id}/audio"
    assert (await client.get(path, Range="bytes=5-9"))[:2] == (206, whole[5:10])
    assert (await client.get(path, Range="bytes=-7"))[:2] == (206, whole[-7:])
    assert (await client.get(path, Range=f"bytes={len(whole) - 1}-{len(whole) + 50}"))[:2] == (206, whole[-1:])
    for wrong in (f"bytes={len(whole)}-", "bytes=9-5", "pages=1-2", "bytes=a-b", "bytes=0-1,4-5"):
        status, _, headers = await client.get(path, Range=wrong)
        assert status == 416, wrong
        assert headers["Content-Range"] == f"bytes */{len(whole)}"


async def test_range_of_another_version_gets_the_whole(client: Client, info: RecordingInfo) -> None:
    headers = {"Range": "bytes=100-", "If-Range": '"other"'}
    status, body, _ = await client.get(f"/recordings/{info.id}/audio", **headers)
    assert (status, body) == (200, audio_of(client, info))


async def test_known_etag_and_head_move_no_audio(client: Client, info: RecordingInfo) -> None:
    path = f"/recordings/{info.id}/audio"
    assert (await client.get(path, **{"If-None-Match": f'"{info.sha256}"'}))[:2] == (304, b"")
    async with client.session.head(f"/api/v1{path}") as response:
        assert (response.status, response.headers["Content-Length"]) == (200, str(info.size_bytes))
    assert client.transfers() == []


async def test_every_transfer_is_logged_before_and_after(client: Client, info: RecordingInfo) -> None:
    await client.get(f"/recordings/{info.id}/audio")
    await until(lambda: len(client.transfers()) == 2)
    begin, end = client.transfers()
    assert (begin["phase"], end["phase"]) == ("begin", "end")
    assert begin["transfer"] == end["transfer"]
    for line in (begin, end):
        assert (line["who"], line["what"], line["how"]) == ("127.0.0.1 collector", info.id, "http")
        assert line["bytes"] == info.size_bytes


async def test_no_audio_leaves_when_the_log_cannot_be_written(client: Client, info: RecordingInfo) -> None:
    (client.folder / "recordings" / "transfers.jsonl").mkdir()
    status, body, _ = await client.get(f"/recordings/{info.id}/audio")
    assert status == 500
    assert "no audio leaves" in json.loads(body)["error"]


async def test_client_that_goes_in_the_middle_is_logged_with_what_it_got(client: Client) -> None:
    info = await client.service.add(noise_draft(1, seconds=60), SIREN)
    async with client.session.get(f"/api/v1/recordings/{info.id}/audio") as response:
        await response.content.readexactly(1000)
        response.close()
    await until(lambda: len(client.transfers()) == 2)
    begin, end = client.transfers()
    assert begin["bytes"] == info.size_bytes
    assert 1000 <= end["bytes"] <= info.size_bytes


async def test_acknowledged_recording_is_listed_no_more_and_kept_for_its_retention(
    client: Client, info: RecordingInfo
) -> None:
    body = {"sha256": info.sha256, "revision": 1}
    for _ in range(2):
        status, told = await client.post(f"/recordings/{info.id}/collected", body)
        assert (status, told["id"]) == (200, info.id)
        assert told["kept_until"].endswith("Z")
    assert (await client.listed())["recordings"] == []
    (kept,) = (await client.listed("?state=all"))["recordings"]
    assert kept["collected"] is True
    assert (await client.get(f"/recordings/{info.id}/audio"))[0] == 200


@pytest.mark.parametrize(
    ("body", "status", "reason"),
    [
        ({"sha256": "0" * 64, "revision": 1}, 409, "sha256"),
        ({"sha256": "", "revision": 1}, 400, "sha256"),
        ({"revision": 1}, 400, "sha256"),
        ([], 400, "body"),
        ("x" * 3000, 400, "body"),
    ],
)
async def test_wrong_acknowledgement_is_refused_and_the_recording_stays(
    client: Client, info: RecordingInfo, body: object, status: int, reason: str
) -> None:
    code, told = await client.post(f"/recordings/{info.id}/collected", body)
    assert (code, reason in told["error"]) == (status, True)
    assert (await client.listed())["total"] == 1


@pytest.mark.parametrize(
    "name",
    [
        "..",
        "../http_token",
        "..%2fhttp_token",
        "%2e%2e%2f%2e%2e%2fetc%2fpasswd",
        "..%5chttp_token",
        "%00",
        "transfers.jsonl",
        ".lock",
        "20261122T083100000-00000000",
        "x" * 3000,
    ],
)
async def test_no_other_file_gets_out_whatever_the_id(client: Client, info: RecordingInfo, name: str) -> None:
    token = (client.folder / "http_token").read_text().strip()
    port = int((client.folder / "http_address").read_text().rpartition(":")[2])
    for path in (f"/recordings/{name}", f"/recordings/{name}/audio", f"/recordings/{name}.flac"):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)  # a client library would tidy up the path
        request = f"GET /api/v1{path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n"
        writer.write(request.encode())
        answer = await reader.read()
        writer.close()
        assert answer.split()[1] in (b"400", b"404"), answer
        assert token.encode() not in answer


@pytest.mark.parametrize("token", ["", "wrong", "Bearer"])
async def test_without_the_token_nothing_is_told(client: Client, info: RecordingInfo, token: str) -> None:
    for path in ("/recordings", f"/recordings/{info.id}", f"/recordings/{info.id}/audio", "/recorder"):
        status, body, _ = await client.get(path, Authorization=f"Bearer {token}")
        assert status == 401
        assert info.id.encode() not in body


async def test_address_that_is_wrong_too_often_is_not_listened_to_even_with_the_token(client: Client) -> None:
    statuses = [(await client.get("/recordings", Authorization="Bearer wrong"))[0] for _ in range(12)]
    assert statuses == [401] * 10 + [429] * 2
    status, _, headers = await client.get("/recordings")
    assert (status, headers["Retry-After"]) == (429, "5")


async def test_address_that_asks_too_often_is_slowed_down(client: Client) -> None:
    client.node._server._gate._requests = RateLimit(0.001, 3)
    statuses = [(await client.get("/recordings"))[0] for _ in range(5)]
    assert statuses == [200] * 3 + [429] * 2


async def test_oversized_body_is_refused_unread(client: Client, info: RecordingInfo) -> None:
    url = f"/api/v1/recordings/{info.id}/collected"
    headers = {"Content-Type": "application/json"}
    async with client.session.post(url, data=b" " * 5000, headers=headers) as response:
        assert response.status == 413


async def test_body_that_is_not_json_by_its_type_is_refused(client: Client, info: RecordingInfo) -> None:
    async with client.session.post(f"/api/v1/recordings/{info.id}/collected", data=b"{}") as response:
        assert response.status == 415
        assert (await response.json())["error"] == "send application/json"


async def test_body_that_never_comes_is_given_up(
    client: Client, info: RecordingInfo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(json_body, "BODY_WITHIN_S", 0.1)

    async def slow() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.Event().wait()

    url = f"/api/v1/recordings/{info.id}/collected"
    async with asyncio.timeout(10):
        async with client.session.post(url, data=slow(), headers={"Content-Type": "application/json"}) as response:
            assert response.status == 408


async def test_connection_without_a_whole_request_is_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "_SILENT_CONNECTION_S", 0.2)
    service = RecordingService(recording_config(tmp_path), tmp_path, None, StreamTap(), status=lambda _: HEALTHY)
    node = NodeServer(HttpSection(port=0), tmp_path, lambda: HEALTH, Metrics("1", "1"), service)
    await node.start()
    port = int((tmp_path / "http_address").read_text().rpartition(":")[2])
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Slow: ")
        async with asyncio.timeout(10):
            assert await reader.read() == b""
        writer.close()
    finally:
        await node.stop()
        service.close()


async def test_downloads_at_once_are_limited_and_slow_ones_end(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audio_answer, "_CHUNK_WITHIN_S", 0.5)
    monkeypatch.setattr(recordings_api, "MAX_DOWNLOADS", 1)
    loud = await client.service.add(noise_draft(1, seconds=400), SIREN)
    path = f"/recordings/{loud.id}/audio"
    async with client.session.get(f"/api/v1{path}") as stuck:
        assert stuck.status == 200  # and nobody reads on
        status, _, headers = await client.get(path)
        assert (status, headers["Retry-After"]) == (503, "1")
        await until(lambda: len(client.transfers()) == 2)
    end = client.transfers()[-1]
    assert end["bytes"] < loud.size_bytes
    assert (await client.get(path, Range="bytes=0-9"))[0] == 206
