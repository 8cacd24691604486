"""Making recordings over HTTP, for `node-cli record`: from the stream that the node hears, no second microphone."""

import contextlib
import json
from collections.abc import Mapping
from typing import Final

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

from earshot_node.contract.names import Label, Slug
from earshot_node.contract.recordings import (
    MAX_LABELS,
    MAX_TAKE_S,
    RECORDINGS_NEEDED,
    TAKE_S,
    Labeller,
    Labelling,
)
from earshot_node.errors import EarshotError
from earshot_node.http.json_body import answer, read_body, refuse
from earshot_node.http.recordings_api import API
from earshot_node.recordings.labels import count_labels, known_labels, make_labelling
from earshot_node.recordings.service import Finished, RecordingService
from earshot_node.recordings.take import Progress

_MAX_COUNTDOWN_S: Final = 30.0


class TakeRequest(BaseModel):
    """What to record."""

    model_config = ConfigDict(extra="forbid")

    source: Slug
    seconds: float = Field(default=TAKE_S, ge=0.5, le=MAX_TAKE_S)
    countdown_s: float = Field(default=0.0, ge=0, le=_MAX_COUNTDOWN_S)


class LabelRequest(BaseModel):
    """What somebody says is in a take or an event; see `Labelling`."""

    model_config = ConfigDict(extra="forbid")

    labels: tuple[Label, ...] = Field(default=(), max_length=MAX_LABELS)
    absent: tuple[Label, ...] = Field(default=(), max_length=MAX_LABELS)
    by: Labeller = "http"
    user: str = Field(default="", max_length=80)


class TakesApi:
    """Records takes, keeps or drops them, and makes recordings of events."""

    def __init__(self, service: RecordingService) -> None:
        self._service = service

    def routes(self) -> list[web.RouteDef]:
        """Return the paths."""
        return [
            web.get(f"{API}/recorder", self._describe),
            web.post(f"{API}/takes", self._record),
            web.post(f"{API}/takes/{{id}}/keep", self._keep),
            web.delete(f"{API}/takes/{{id}}", self._drop),
            web.post(f"{API}/events/{{id}}/recording", self._label_event),
        ]

    async def _describe(self, _request: web.Request) -> web.StreamResponse:
        service = self._service
        entries = await service.entries()
        body = {
            "schema": 1,
            "node": service.config.node.id,
            "sources": [
                {"id": one.id, "name": one.name or one.id, "type": one.type, "state": service.status(one.id).state}
                for one in service.sources.values()
            ],
            "labels": known_labels(service.labels, entries),
            "counts": count_labels(entries),
            "needed": RECORDINGS_NEEDED,
        }
        return answer(body)

    async def _record(self, request: web.Request) -> web.StreamResponse:
        """Answer with one JSON object a line: progress, then `finished` with the take, or `failed`."""
        try:
            wanted = await read_body(request, TakeRequest)
            async with contextlib.aclosing(
                self._service.record(wanted.source, wanted.seconds, wanted.countdown_s)
            ) as going:
                first = await anext(going)
                response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
                await response.prepare(request)
                await response.write(_line(first))
                try:
                    async for step in going:
                        await response.write(_line(step))
                except EarshotError as error:
                    await response.write(_encoded({"phase": "failed", "error": str(error)}))
                await response.write_eof()
                return response
        except EarshotError as error:
            return refuse(error)

    async def _keep(self, request: web.Request) -> web.StreamResponse:
        try:
            labelling = _labelling(await read_body(request, LabelRequest))
            info = await self._service.keep(request.match_info["id"], labelling)
        except EarshotError as error:
            return refuse(error)
        return answer(info.model_dump(mode="json", by_alias=True), 201)

    async def _drop(self, request: web.Request) -> web.StreamResponse:
        self._service.drop(request.match_info["id"])
        return web.Response(status=204)

    async def _label_event(self, request: web.Request) -> web.StreamResponse:
        try:
            labelling = _labelling(await read_body(request, LabelRequest))
            info = await self._service.label_event(request.match_info["id"], labelling)
        except EarshotError as error:
            return refuse(error)
        return answer(info.model_dump(mode="json", by_alias=True), 201)


def _labelling(request: LabelRequest) -> Labelling:
    return make_labelling(request.labels, request.absent, by=request.by, user=request.user)


def _line(step: Progress | Finished) -> bytes:
    if isinstance(step, Progress):
        fact = {"phase": step.phase, "at_s": step.at_s, "level_dbfs": step.level_dbfs, "clipped": step.clipped}
        return _encoded(fact)
    described = step.draft.info(None).model_dump(mode="json", by_alias=True)
    return _encoded({"phase": "finished", "take": step.take_id, "recording": described})


def _encoded(fact: Mapping[str, object]) -> bytes:
    return json.dumps(fact).encode() + b"\n"
