"""Recordings over HTTP: listed, fetched, acknowledged. docs/node-http-api.md describes it for clients."""

from pathlib import Path
from typing import Any, Final, Literal

from aiohttp import web
from pydantic import BaseModel, Field, ValidationError

from earshot_node.contract.labels import LabelSet
from earshot_node.contract.manifest import Sha256
from earshot_node.contract.recordings import RecordingId
from earshot_node.errors import EarshotError, MessageError
from earshot_node.http.audio_answer import Span, send_span, wanted_span
from earshot_node.http.json_body import answer, read_body, refuse
from earshot_node.recordings.entry import Entry
from earshot_node.recordings.service import RecordingService
from earshot_node.recordings.transfer_log import TransferLog

API: Final = "/api/v1"
MAX_DOWNLOADS: Final = 4
_MAX_AGENT: Final = 80


class Page(BaseModel):
    """Query of the list."""

    after: RecordingId | None = None
    limit: int = Field(default=100, ge=1, le=500)
    state: Literal["waiting", "candidates", "uncollected", "all"] = "uncollected"


class Acknowledgement(BaseModel):
    """Body of an acknowledgement: what the client has."""

    sha256: Sha256
    revision: int = Field(ge=1)


class RecordingsApi:
    """Answers for the store of one node.

    Args:
        service: the recordings.
        transfers: where every byte of audio that leaves is noted.
    """

    def __init__(self, service: RecordingService, transfers: TransferLog) -> None:
        self._service = service
        self._transfers = transfers
        self._downloads = 0

    def routes(self) -> list[web.RouteDef]:
        """Return the paths."""
        one = f"{API}/recordings/{{id}}"
        return [
            web.get(f"{API}/recordings", self._list),
            web.put(f"{API}/recordings/labels", self._take_labels),
            web.get(one, self._show),
            web.get(f"{one}/audio", self._audio),
            web.post(f"{one}/collected", self._collected),
        ]

    async def _list(self, request: web.Request) -> web.StreamResponse:
        try:
            page = Page.model_validate(dict(request.query))
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            return refuse(MessageError(f"{first['loc'][0]}: {first['msg']}"))
        entries = await self._service.entries()
        matching = [one for one in entries if _is_wanted(one, page.state)]
        rest = [one for one in matching if page.after is None or one.info.id > page.after]
        shown = rest[: page.limit]
        body = {
            "schema": 1,
            "node": self._service.config.node.id,
            "total": len(matching),
            "recordings": [_plain(one) for one in shown],
            "next": shown[-1].info.id if len(rest) > len(shown) else None,
        }
        return answer(body)

    async def _show(self, request: web.Request) -> web.StreamResponse:
        try:
            return answer(_plain(await self._entry(request)))
        except EarshotError as error:
            return refuse(error)

    async def _take_labels(self, request: web.Request) -> web.StreamResponse:
        try:
            await self._service.take_labels(await read_body(request, LabelSet))
        except EarshotError as error:
            return refuse(error)
        return answer({"labels": self._service.labels})

    async def _collected(self, request: web.Request) -> web.StreamResponse:
        try:
            body = await read_body(request, Acknowledgement)
            recording_id = request.match_info["id"]
            store = self._service.store
            until = await self._service.on_disk(lambda: store.acknowledge(recording_id, body.sha256, body.revision))
        except EarshotError as error:
            return refuse(error)
        await self._service.report()
        return answer({"id": recording_id, "kept_until": until.isoformat(timespec="seconds").replace("+00:00", "Z")})

    async def _audio(self, request: web.Request) -> web.StreamResponse:
        try:
            entry = await self._entry(request)
            path = await self._service.on_disk(lambda: self._service.store.audio_path(entry.info.id))
        except EarshotError as error:
            return refuse(error)
        etag = f'"{entry.info.sha256}"'
        if request.headers.get("If-None-Match") == etag:
            return web.Response(status=304, headers={"ETag": etag})
        span = wanted_span(request, entry.info.size_bytes, etag)
        if span is None:
            return web.Response(status=416, headers={"Content-Range": f"bytes */{entry.info.size_bytes}"})
        if self._downloads >= MAX_DOWNLOADS:
            return web.Response(status=503, text="too many downloads at once\n", headers={"Retry-After": "1"})
        self._downloads += 1
        try:
            if request.method == "HEAD":
                return await send_span(request, path, span, etag, lambda _: None)
            return await self._send(request, path, span, entry)
        except EarshotError as error:
            return refuse(error)
        finally:
            self._downloads -= 1

    async def _send(self, request: web.Request, path: Path, span: Span, entry: Entry) -> web.StreamResponse:
        """Send audio, with a line in the transfer log before the first byte and one after the last."""
        agent = request.headers.get("User-Agent", "")[:_MAX_AGENT]
        about = (f"{request.remote} {agent}".strip(), entry.info.id, "http")
        transfers, sent = self._transfers, [0]
        number = await self._service.on_disk(lambda: transfers.begin(*about, span.end - span.begin))
        try:
            return await send_span(request, path, span, f'"{entry.info.sha256}"', sent.append)
        finally:
            await self._service.on_disk(lambda: transfers.end(number, *about, sum(sent)))

    async def _entry(self, request: web.Request) -> Entry:
        return await self._service.on_disk(lambda: self._service.store.get(request.match_info["id"]))


def _is_wanted(entry: Entry, state: str) -> bool:
    match state:
        case "waiting":
            return entry.is_waiting
        case "candidates":
            return entry.is_candidate
        case "uncollected":
            return entry.collected is None
        case _:
            return True


def _plain(entry: Entry) -> dict[str, Any]:
    info: dict[str, Any] = entry.info.model_dump(mode="json", by_alias=True)
    return {**info, "collected": entry.collected is not None}
