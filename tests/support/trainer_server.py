"""A trainer as nodes see it: hands out bundles, with all the ways in which that can go wrong."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Event, Thread

from aiohttp import web

from support.mosquitto import free_port

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class TrainerServer:
    """Runs in a thread of its own.

    Attributes:
        bundles: content by name, such as `<sha256>.earshot`.
        token: what a node has to show.
        break_after: bytes after which the connection breaks, once for each entry.
        ranges: the Range headers that came.
        answer: replaces everything else.
        join: answers to /join, see `support.joining`.
    """

    bundles: dict[str, bytes] = field(default_factory=dict)
    token: str = "node-token"
    break_after: list[int] = field(default_factory=list)
    ranges: list[str] = field(default_factory=list)
    answer: Handler | None = None
    join: Handler | None = None
    port: int = field(default_factory=free_port)

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    async def hand_out(self, request: web.Request) -> web.StreamResponse:
        """Answer a GET of a bundle."""
        if self.answer is not None:
            return await self.answer(request)
        if request.headers.get("Authorization") != f"Bearer {self.token}":
            return web.Response(status=401)
        data = self.bundles.get(request.match_info["name"])
        if data is None:
            return web.Response(status=404)
        asked = request.headers.get("Range", "")
        self.ranges.append(asked)
        begin = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
        headers = {"Content-Length": str(len(data) - begin)}
        if asked:
            headers["Content-Range"] = f"bytes {begin}-{len(data) - 1}/{len(data)}"
        response = web.StreamResponse(status=206 if asked else 200, headers=headers)
        await response.prepare(request)
        if self.break_after:
            await response.write(data[begin : begin + self.break_after.pop(0)])
            assert request.transport is not None
            request.transport.close()
            return response
        await response.write(data[begin:])
        return response

    async def let_join(self, request: web.Request) -> web.StreamResponse:
        """Answer a POST to /join."""
        return await self.join(request) if self.join is not None else web.Response(status=404)


@contextmanager
def running(server: TrainerServer) -> Iterator[TrainerServer]:
    """Let it answer."""
    loop = asyncio.new_event_loop()
    ready, stop = Event(), asyncio.Event()

    async def serve() -> None:
        app = web.Application()
        app.router.add_get("/api/v1/models/{name}", server.hand_out)
        app.router.add_post("/api/v1/join", server.let_join)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", server.port).start()
        ready.set()
        await stop.wait()
        await runner.cleanup()

    thread = Thread(target=lambda: loop.run_until_complete(serve()), daemon=True)
    thread.start()
    assert ready.wait(30)
    try:
        yield server
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(30)
        loop.close()
