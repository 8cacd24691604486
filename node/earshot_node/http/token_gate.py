"""Lets in who has the token."""

import hmac
from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import web

from earshot_node.http.limits import RateLimit

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

WRONG_PER_S: Final = 0.2
WRONG_BURST: Final = 10
REQUESTS_PER_S: Final = 50.0
REQUESTS_BURST: Final = 200
OPEN_PATH: Final = "/healthz"
LINKED_PATHS: Final = "/clips/"
"""Below it each link carries its own signature, see `ClipLinks`."""
COLLECTED_PATHS: Final = "/api/v1/recordings"
"""What the trainer may ask for with the token that it gave the node."""


class TokenGate:
    """Every path but `/healthz` and links asks for `Authorization: Bearer <token>`.

    Tokens are compared in constant time. An address that was wrong too often is not listened to for a while, so that
    a token cannot be guessed.

    Args:
        token: '' lets nobody in.
        trainer_token: opens `COLLECTED_PATHS` and nothing else; '' for none.
    """

    def __init__(self, token: str, trainer_token: str = "") -> None:
        self._token = token.encode()
        self._trainer_token = trainer_token.encode()
        self._wrong = RateLimit(WRONG_PER_S, WRONG_BURST)
        self._requests = RateLimit(REQUESTS_PER_S, REQUESTS_BURST)

    def let_in(self, trainer_token: str) -> None:
        """Another trainer's token counts from now on; '' for none."""
        self._trainer_token = trainer_token.encode()

    def is_open_for(self, request: web.Request) -> bool:
        """Whether the request carries the token.

        Raises:
            web.HTTPTooManyRequests: its address was wrong too often.
        """
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not self._token:
            return False
        address = request.remote or ""
        if not self._wrong.allows(address):
            raise _too_many("wrong tokens")
        candidate = given.strip().encode("utf-8", "surrogateescape")
        if hmac.compare_digest(candidate, self._token):
            return True
        is_trainer = bool(self._trainer_token) and hmac.compare_digest(candidate, self._trainer_token)
        if is_trainer and (request.path == COLLECTED_PATHS or request.path.startswith(f"{COLLECTED_PATHS}/")):
            return True
        self._wrong.take(address)
        return False

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Refuse with 401, or with 429 what comes too often."""
        if request.path == OPEN_PATH:
            return await handler(request)
        if not request.path.startswith(LINKED_PATHS) and not self.is_open_for(request):
            return web.Response(status=401, text="a bearer token is needed\n", headers={"WWW-Authenticate": "Bearer"})
        if not self._requests.take(request.remote or ""):
            raise _too_many("requests")
        return await handler(request)


def _too_many(what: str) -> web.HTTPTooManyRequests:
    return web.HTTPTooManyRequests(text=f"too many {what}; wait a while\n", headers={"Retry-After": "5"})
