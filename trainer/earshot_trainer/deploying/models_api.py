"""`GET /api/v1/models/<sha256>.earshot`: a release's bundle, for nodes that have joined."""

import asyncio
import hmac
import re
from collections.abc import Callable
from pathlib import Path
from typing import Final

from aiohttp import web

from earshot_node.errors import OperatorError
from earshot_node.http.audio_answer import Span, send_span, wanted_span
from earshot_node.http.json_body import answer
from earshot_node.http.limits import RateLimit
from earshot_trainer.catalogue.members import Member, Members
from earshot_trainer.catalogue.releases import Release, Releases
from earshot_trainer.deploying.registering import bundle_path
from earshot_trainer.home.folder import Home

MODELS_PATH: Final = "/api/v1/models/{name}"
MAX_DOWNLOADS: Final = 8
WRONG_PER_S: Final = 0.2
WRONG_BURST: Final = 10
REQUESTS_PER_S: Final = 2.0
REQUESTS_BURST: Final = 60
PATIENCE_S: Final = 60.0
SLOWEST_BYTES_PER_S: Final = 2_000  # what a node itself puts up with
CONTENT_TYPE: Final = "application/octet-stream"
_NAME: Final = re.compile(r"([0-9a-f]{64})\.earshot")


class ModelsApi:
    """Hands bundles out.

    The name is a hash that the catalogue has to know; no other part of a request says which file is read. An address
    that shows wrong tokens is not listened to for a while.

    Args:
        home: where the bundles lie.
        members: whose tokens open it.
        releases: what is handed out.
        on_sent: told node, release and how far it is, 0 to 1.
    """

    def __init__(
        self,
        home: Home,
        members: Members,
        releases: Releases,
        on_sent: Callable[[str, Release, float], None] = lambda *_: None,
    ) -> None:
        self._home = home
        self._members = members
        self._releases = releases
        self._on_sent = on_sent
        self._wrong = RateLimit(WRONG_PER_S, WRONG_BURST)
        self._requests = RateLimit(REQUESTS_PER_S, REQUESTS_BURST)
        self._downloads = 0

    def routes(self) -> list[web.RouteDef]:
        """Return the paths."""
        return [web.get(MODELS_PATH, self._send)]

    async def _send(self, request: web.Request) -> web.StreamResponse:
        remote = request.remote or ""
        if not self._wrong.allows(remote) or not self._requests.take(remote):
            return _later("too many requests from this address; wait a while", 429)
        try:
            member = await asyncio.to_thread(self._bearer, request.headers.get("Authorization", ""))
            if member is None:
                self._wrong.take(remote)
                response = answer({"error": "the token of a node that has joined is needed"}, 401)
                response.headers["WWW-Authenticate"] = "Bearer"
                return response
            name = _NAME.fullmatch(request.match_info["name"])
            release = await asyncio.to_thread(self._releases.find, name[1]) if name is not None else None
        except OperatorError:
            return _later("the trainer cannot read its catalogue now; see its log", 503)
        path = bundle_path(self._home, release.sha256) if release is not None else None
        if release is None or path is None or await asyncio.to_thread(_size, path) != release.size_bytes:
            return answer({"error": "no such bundle"}, 404)
        etag = f'"{release.sha256}"'
        span = wanted_span(request, release.size_bytes, etag)
        if span is None:
            return web.Response(status=416, headers={"Content-Range": f"bytes */{release.size_bytes}"})
        if self._downloads >= MAX_DOWNLOADS:
            return _later("too many downloads at once", 503)
        self._downloads += 1
        try:
            told = self._progress(member, release, span)
            async with asyncio.timeout(PATIENCE_S + release.size_bytes / SLOWEST_BYTES_PER_S):
                return await send_span(request, path, span, etag, told, content_type=CONTENT_TYPE)
        except TimeoutError as error:
            if request.transport is not None:
                request.transport.abort()
            raise ConnectionError(f"{member.id} takes its bundle too slowly") from error
        finally:
            self._downloads -= 1

    def _bearer(self, header: str) -> Member | None:
        """Return whose token it is; every token is compared, in constant time."""
        scheme, _, given = header.partition(" ")
        candidate = given.strip().encode("utf-8", "surrogateescape")
        found = None
        for member in self._members.all():
            if hmac.compare_digest(candidate, member.token.encode()) and member.token:
                found = member
        return found if scheme.lower() == "bearer" else None

    def _progress(self, member: Member, release: Release, span: Span) -> Callable[[int], None]:
        sent = span.begin

        def told(size_bytes: int) -> None:
            nonlocal sent
            sent += size_bytes
            self._on_sent(member.id, release, sent / release.size_bytes)

        return told


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return -1


def _later(reason: str, status: int) -> web.Response:
    response = answer({"error": reason}, status)
    response.headers["Retry-After"] = "5"
    return response
