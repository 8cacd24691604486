"""Installing models over HTTP, for `node-cli model` on the same machine; the file itself lies in the state folder."""

import asyncio
import json

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

from earshot_node.deployment.deployer import Request
from earshot_node.deployment.installer import WATCH_S, Stage
from earshot_node.deployment.models import Models
from earshot_node.deployment.slots import Slots
from earshot_node.errors import EarshotError
from earshot_node.http.json_body import answer, read_body, refuse
from earshot_node.http.recordings_api import API

STAGED_NAME = r"^local-[0-9a-f]{32}\.earshot$"


class InstallRequest(BaseModel):
    """What to install: a file that a command has put into the staging folder."""

    model_config = ConfigDict(extra="forbid")

    file: str = Field(pattern=STAGED_NAME)
    name: str = Field(max_length=200)
    allow_downgrade: bool = False
    shadow: bool = False
    watch_s: float = Field(default=WATCH_S, ge=0)


class ModelsApi:
    """Installs and goes back."""

    def __init__(self, models: Models) -> None:
        self._models = models

    def routes(self) -> list[web.RouteDef]:
        """Return the paths."""
        return [
            web.post(f"{API}/models/install", self._install),
            web.post(f"{API}/models/rollback", self._roll_back),
        ]

    async def _install(self, http_request: web.Request) -> web.StreamResponse:
        """Answer with one JSON object a line: progress, then `slots`, or `error`."""
        try:
            wanted = await read_body(http_request, InstallRequest)
        except EarshotError as error:
            return refuse(error)
        request = Request(
            self._models.staged(wanted.file),
            wanted.name,
            allow_downgrade=wanted.allow_downgrade,
            shadow=wanted.shadow,
            watch_s=wanted.watch_s,
        )
        lines: asyncio.Queue[dict[str, object] | None] = asyncio.Queue()

        def progress(stage: Stage | None, done: float) -> None:
            lines.put_nowait({"stage": stage, "done": round(done, 3)} if stage is not None else None)

        response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
        await response.prepare(http_request)
        # A command that goes away does not stop an installation that has begun.
        work = asyncio.create_task(self._models.install(request, progress), name="install")
        while not work.done() or not lines.empty():
            waiting = asyncio.create_task(lines.get())
            await asyncio.wait({work, waiting}, return_when=asyncio.FIRST_COMPLETED)
            if not waiting.done():
                waiting.cancel()
                continue
            if (line := waiting.result()) is not None:
                await response.write(_encoded(line))
        try:
            await response.write(_encoded({"slots": _described(work.result())}))
        except EarshotError as error:
            await response.write(_encoded({"error": str(error)}))
        await response.write_eof()
        return response

    async def _roll_back(self, _request: web.Request) -> web.StreamResponse:
        try:
            return answer({"slots": _described(await self._models.roll_back())})
        except EarshotError as error:
            return refuse(error)


def _described(slots: Slots) -> object:
    return slots.model_dump(mode="json", by_alias=True)


def _encoded(line: dict[str, object]) -> bytes:
    return json.dumps(line).encode() + b"\n"
