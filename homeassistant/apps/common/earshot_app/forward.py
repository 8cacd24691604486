"""Shows the trainer's review page behind Home Assistant's login: forwards to it, and logs itself in."""

import re
from collections.abc import Callable
from typing import Final

import aiohttp
from aiohttp import web

_PASSED_ON: Final = ("Content-Type", "Range", "If-Range", "User-Agent")
_PASSED_BACK: Final = (
    "Accept-Ranges",
    "Cache-Control",
    "Content-Range",
    "Content-Security-Policy",
    "Content-Type",
    "Cross-Origin-Resource-Policy",
    "ETag",
    "Referrer-Policy",
    "X-Content-Type-Options",
)
_PREFIX: Final = re.compile(r"(?:/[A-Za-z0-9_-]+)*")
ANSWER_S: Final = 60.0


class ReviewForwarder:
    """Answers what is below `/review` with what the trainer answers.

    Whoever reaches this has been let in by Home Assistant, so the page's token is not asked for. A form's own token
    still is.

    Args:
        url: of the trainer's server.
        read_token: returns the review page's token, '' as long as there is none.
    """

    def __init__(self, url: str, read_token: Callable[[], str]) -> None:
        self._url = url
        self._read_token = read_token
        self._cookie = ""

    def routes(self) -> list[web.RouteDef]:
        """Return the paths."""
        return [web.get("/review{rest:.*}", self._forward), web.post("/review{rest:.*}", self._forward)]

    async def _forward(self, request: web.Request) -> web.StreamResponse:
        timeout = aiohttp.ClientTimeout(total=ANSWER_S)
        body = await request.read()
        try:
            async with aiohttp.ClientSession(
                self._url, timeout=timeout, cookie_jar=aiohttp.DummyCookieJar()
            ) as session:
                answer = await self._ask(session, request, body)
                if answer.status == 401 or answer.headers.get("Location", "").startswith("/review/login"):
                    await self._log_in(session)
                    answer = await self._ask(session, request, body)
                return await _translated(answer, request)
        except (aiohttp.ClientError, TimeoutError) as error:
            raise web.HTTPBadGateway(text=f"the trainer does not answer: {error}; look into the app's log\n") from error

    async def _ask(self, session: aiohttp.ClientSession, request: web.Request, body: bytes) -> aiohttp.ClientResponse:
        headers = {name: request.headers[name] for name in _PASSED_ON if name in request.headers}
        headers["Cookie"] = self._cookie
        target = request.raw_path
        return await session.request(request.method, target, data=body or None, headers=headers, allow_redirects=False)

    async def _log_in(self, session: aiohttp.ClientSession) -> None:
        async with session.post("/review/login", data={"token": self._read_token()}, allow_redirects=False) as answer:
            self._cookie = "; ".join(f"{name}={morsel.value}" for name, morsel in answer.cookies.items())


async def _translated(answer: aiohttp.ClientResponse, request: web.Request) -> web.Response:
    """Return an answer whose links lead through Home Assistant, which may show it in a frame."""
    prefix = request.headers.get("X-Ingress-Path", "")
    if not _PREFIX.fullmatch(prefix):
        raise web.HTTPBadRequest(text="X-Ingress-Path is no path\n")
    headers = {name: answer.headers[name] for name in _PASSED_BACK if name in answer.headers}
    policy = headers.get("Content-Security-Policy", "")
    headers["Content-Security-Policy"] = policy.replace("frame-ancestors 'none'", "frame-ancestors 'self'")
    if "Location" in answer.headers:
        headers["Location"] = prefix + answer.headers["Location"]
    body = await answer.read()
    if answer.content_type == "text/html":
        body = body.replace(b'="/review', f'="{prefix}/review'.encode())
    return web.Response(status=answer.status, body=body, headers=headers)
