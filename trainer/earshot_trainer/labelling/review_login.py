"""Who may open the review page: whoever has its token once, then a cookie that only this server can make.

A link carries the token behind `#`, which no browser sends to a server or to another page.
"""

import hashlib
import hmac
import secrets
import time
from collections.abc import Callable
from typing import Final
from urllib.parse import urlsplit

from aiohttp import web

from earshot_node.http.limits import RateLimit
from earshot_node.http.token import load_or_create_token
from earshot_trainer.home.folder import Home

COOKIE: Final = "earshot_review"
LASTS_S: Final = 7 * 86_400
REVIEW_PATH: Final = "/review"
LOGIN_PATH: Final = "/review/login"
WRONG_PER_S: Final = 0.2
WRONG_BURST: Final = 10


def review_token(home: Home) -> str:
    """Return the page's token, made once and kept in `keys` of the home.

    Raises:
        OperatorError: it cannot be kept.
    """
    return load_or_create_token(home.folder / "keys")


def review_link(home: Home) -> str:
    """Return the address that logs a browser in."""
    return f"{home.config.url.rstrip('/')}{LOGIN_PATH}#{review_token(home)}"


class ReviewLogin:
    """Checks tokens, cookies and forms; all in constant time.

    Args:
        token: what opens the page.
        is_https: whether cookies are for HTTPS alone.
        clock: wall time, seconds.
    """

    def __init__(self, token: str, *, is_https: bool, clock: Callable[[], float] = time.time) -> None:
        self._token = token.encode()
        self._key = hashlib.sha256(b"earshot review page\0" + self._token).digest()
        self._is_https = is_https
        self._clock = clock
        self._wrong = RateLimit(WRONG_PER_S, WRONG_BURST)

    def let_in(self, request: web.Request, given: str, response: web.StreamResponse) -> bool:
        """Set the cookie if the token is right.

        Raises:
            web.HTTPTooManyRequests: the address was wrong too often.
        """
        address = request.remote or ""
        if not self._wrong.allows(address):
            raise web.HTTPTooManyRequests(text="too many wrong tokens; wait a while\n", headers={"Retry-After": "5"})
        if not hmac.compare_digest(given.strip().encode("utf-8", "surrogatepass"), self._token):
            self._wrong.take(address)
            return False
        begun = f"{int(self._clock()) + LASTS_S}.{secrets.token_urlsafe(12)}"
        response.set_cookie(
            COOKIE,
            f"{begun}.{self._sign('cookie', begun)}",
            max_age=LASTS_S,
            path=REVIEW_PATH,
            secure=self._is_https,
            httponly=True,
            samesite="Strict",
        )
        return True

    def is_in(self, request: web.Request) -> bool:
        """Whether a request carries a cookie of ours that has not expired."""
        begun, _, signature = request.cookies.get(COOKIE, "").rpartition(".")
        if not hmac.compare_digest(signature.encode("utf-8", "surrogatepass"), self._sign("cookie", begun).encode()):
            return False
        return int(begun.partition(".")[0]) > self._clock()

    def form_token(self, request: web.Request) -> str:
        """Return what a form of this cookie's pages has to bring back."""
        return self._sign("form", request.cookies.get(COOKIE, ""))

    def is_own_form(self, request: web.Request, given: str) -> bool:
        """Whether a form was sent by a page of ours."""
        if not is_same_origin(request):
            return False
        expected = self.form_token(request).encode()
        return hmac.compare_digest(given.encode("utf-8", "surrogatepass"), expected)

    def _sign(self, what: str, text: str) -> str:
        data = f"{what}\0{text}".encode("utf-8", "surrogatepass")
        return hmac.new(self._key, data, hashlib.sha256).hexdigest()


def is_same_origin(request: web.Request) -> bool:
    """Whether a form comes from a page of this server, as far as the browser says."""
    origin = request.headers.get("Origin")
    return origin is None or urlsplit(origin).netloc == request.host
