"""Home Assistant's websocket and REST API, from a thread with an event loop of its own."""

import asyncio
import itertools
import json
import threading
import time
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, TypeVar

import aiohttp

T = TypeVar("T")
ANSWER_S = 60.0


class ApiError(Exception):
    """Home Assistant refused a request; the text is its own."""


@dataclass(frozen=True)
class Happened:
    """An event on Home Assistant's bus.

    Attributes:
        at: wall time when it arrived here.
    """

    at: float
    type: str
    data: dict[str, Any]


class Connection:
    """One websocket and REST; every call blocks its caller until the answer is there.

    Args:
        url: of Home Assistant.
        token: access token; '' for what needs none.
        on_event: called in the thread with every event on the bus; None subscribes to none.
    """

    def __init__(self, url: str, token: str = "", on_event: Callable[[Happened], None] | None = None) -> None:
        self._url = url
        self._token = token
        self._on_event = on_event
        self._ids = itertools.count(1)
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True, name="home-assistant-api")
        self._thread.start()
        self._session: aiohttp.ClientSession = self._wait(self._open_session())
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._reading: asyncio.Task[None] | None = None

    def close(self) -> None:
        """Close everything; idempotent."""
        if self._loop.is_closed():
            return
        self._wait(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def request(self, method: str, path: str, *, body: object = None, form: Mapping[str, str] | None = None) -> bytes:
        """Return the answer to a REST request.

        Raises:
            ApiError: it was refused.
            OSError: nobody answers, as aiohttp puts it.
        """
        return self._wait(self._request(method, path, body, form))

    def json(self, method: str, path: str, *, body: object = None, form: Mapping[str, str] | None = None) -> Any:
        """Return the answer to a REST request, decoded."""
        return json.loads(self.request(method, path, body=body, form=form) or b"null")

    def command(self, kind: str, **fields: Any) -> Any:
        """Return the result of a websocket command.

        Raises:
            ApiError: it was refused, or the connection is lost.
        """
        return self._wait(self._command({"type": kind, **fields}))

    async def _open_session(self) -> aiohttp.ClientSession:
        headers = {"Authorization": f"Bearer {self._token}"} if self._token else {}
        return aiohttp.ClientSession(headers=headers, timeout=aiohttp.ClientTimeout(total=ANSWER_S))

    async def _request(self, method: str, path: str, body: object, form: Mapping[str, str] | None) -> bytes:
        async with self._session.request(method, self._url + path, json=body, data=form) as answer:
            content = await answer.read()
            if answer.status >= 400:
                raise ApiError(f"{method} {path}: {answer.status} {content[:500].decode(errors='replace')}")
            return content

    async def _command(self, message: dict[str, Any]) -> Any:
        if self._socket is None:
            await self._connect()
        return await self._ask(message)

    async def _connect(self) -> None:
        self._socket = await self._session.ws_connect(f"{self._url}/api/websocket", max_msg_size=0)
        await self._socket.receive_json()
        await self._socket.send_json({"type": "auth", "access_token": self._token})
        told = await self._socket.receive_json()
        if told["type"] != "auth_ok":
            raise ApiError(str(told))
        self._reading = asyncio.create_task(self._read())
        if self._on_event is not None:
            await self._ask({"type": "subscribe_events"})

    async def _ask(self, message: dict[str, Any]) -> Any:
        assert self._socket is not None
        number = next(self._ids)
        answer = self._answers[number] = self._loop.create_future()
        try:
            await self._socket.send_json({"id": number, **message})
            told = await asyncio.wait_for(answer, ANSWER_S)
        finally:
            del self._answers[number]
        if not told["success"]:
            raise ApiError(f"{message['type']}: {told['error']}")
        return told.get("result")

    async def _read(self) -> None:
        assert self._socket is not None
        async for frame in self._socket:
            for told in [frame.json()] if frame.type is aiohttp.WSMsgType.TEXT else []:
                if told["type"] == "result" and told["id"] in self._answers:
                    self._answers[told["id"]].set_result(told)
                elif told["type"] == "event" and self._on_event is not None:
                    event = told["event"]
                    self._on_event(Happened(time.time(), event["event_type"], event["data"]))
        for answer in self._answers.values():
            answer.cancel("the connection to Home Assistant is lost")

    async def _close(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
        if self._socket is not None:
            await self._socket.close()
        await self._session.close()

    def _wait(self, work: Coroutine[Any, Any, T]) -> T:
        future: Future[T] = asyncio.run_coroutine_threadsafe(work, self._loop)
        return future.result(ANSWER_S + 30)
