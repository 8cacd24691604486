"""The review page of `trainer-cli serve`: what waits, one recording at a time, in a browser."""

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable
from importlib import resources
from typing import Final

from aiohttp import web
from jinja2 import Environment, PackageLoader
from sqlalchemy import Engine

from earshot_node.contract.recordings import RecordingInfo
from earshot_node.errors import EarshotError
from earshot_node.http.audio_answer import wanted_span
from earshot_trainer.home.folder import Home
from earshot_trainer.labelling.review_desk import ReviewDesk
from earshot_trainer.labelling.review_login import (
    LOGIN_PATH,
    REVIEW_PATH,
    ReviewLogin,
    is_same_origin,
    review_token,
)

_log = logging.getLogger(__name__)

HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; img-src 'self'; media-src 'self'; style-src 'self'; script-src 'self'; "
        "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
MOST_FORM_BYTES: Final = 4096
FORM_WITHIN_S: Final = 10.0
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_STATIC: Final = {"review.css": "text/css", "review.js": "text/javascript", "review.svg": "image/svg+xml"}
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class ReviewPage:
    """Paths below /review. Nothing but the login is shown without the cookie.

    Args:
        home: whose recordings are reviewed.
        engine: its catalogue.
    """

    def __init__(self, home: Home, engine: Engine) -> None:
        self._desk = ReviewDesk(home, engine)
        self._login = ReviewLogin(review_token(home), is_https=bool(home.config.serve.certificate_file))
        self._pages = Environment(loader=PackageLoader("earshot_trainer.labelling"), autoescape=True)

    def routes(self) -> list[web.RouteDef]:
        """Return the paths."""
        guarded = self._guarded
        return [
            web.get(LOGIN_PATH, self._ask_for_token),
            web.post(LOGIN_PATH, self._let_in),
            web.get(f"{REVIEW_PATH}/static/{{name}}", self._static),
            web.get(REVIEW_PATH, guarded(self._show)),
            web.get(f"{REVIEW_PATH}/audio/{{sha256}}.flac", guarded(self._audio)),
            web.get(f"{REVIEW_PATH}/picture/{{sha256}}.png", guarded(self._picture)),
            web.post(f"{REVIEW_PATH}/say", guarded(self._say)),
            web.post(f"{REVIEW_PATH}/undo", guarded(self._undo)),
        ]

    def _guarded(self, inner: _Handler) -> _Handler:
        async def answer(request: web.Request) -> web.StreamResponse:
            if not self._login.is_in(request):
                if request.method == "GET" and request.path == REVIEW_PATH:
                    return web.Response(status=303, headers={**HEADERS, "Location": LOGIN_PATH})
                return _text("log in first: trainer-cli review-link", 401)
            try:
                return await inner(request)
            except EarshotError as error:
                _log.warning("review page: %s", error)
                return self._page("trouble.html.j2", 409, problem=str(error))

        return answer

    async def _ask_for_token(self, _request: web.Request) -> web.StreamResponse:
        return self._page("login.html.j2")

    async def _let_in(self, request: web.Request) -> web.StreamResponse:
        form = await _form(request)
        if not is_same_origin(request):
            return _text("this form came from another page", 403)
        response = web.Response(status=303, headers={**HEADERS, "Location": REVIEW_PATH})
        if self._login.let_in(request, form.get("token", ""), response):
            return response
        return self._page("login.html.j2", 403, problem="That is not the token; `trainer-cli review-link` prints it.")

    async def _static(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["name"]
        if name not in _STATIC:
            return _text("no such file", 404)
        data = resources.files("earshot_trainer.labelling").joinpath("templates", name).read_bytes()
        return web.Response(body=data, content_type=_STATIC[name], charset="utf-8", headers=HEADERS)

    async def _show(self, request: web.Request) -> web.StreamResponse:
        after, show, said = (_wanted(request.query.get(name, "")) for name in ("after", "show", "said"))
        sheet = await asyncio.to_thread(self._desk.sheet, after, show)
        before = await asyncio.to_thread(self._desk.recording, said) if said else None
        return self._page(
            "review.html.j2", sheet=sheet, after=after, before=before, form_token=self._login.form_token(request)
        )

    async def _audio(self, request: web.Request) -> web.StreamResponse:
        info = await self._info(request)
        if info is None:
            return _text("no such recording", 404)
        flac = await asyncio.to_thread(self._desk.audio, info)
        etag = f'"{info.sha256}"'
        headers = {**HEADERS, "Accept-Ranges": "bytes", "ETag": etag}
        span = wanted_span(request, len(flac), etag)
        if span is None:
            return web.Response(status=416, headers={**headers, "Content-Range": f"bytes */{len(flac)}"})
        if span.partial:
            headers["Content-Range"] = f"bytes {span.begin}-{span.end - 1}/{span.size}"
        status = 206 if span.partial else 200
        return web.Response(status=status, body=flac[span.begin : span.end], content_type="audio/flac", headers=headers)

    async def _picture(self, request: web.Request) -> web.StreamResponse:
        info = await self._info(request)
        if info is None:
            return _text("no such recording", 404)
        png = await asyncio.to_thread(self._desk.picture, info)
        return web.Response(body=png, content_type="image/png", headers=HEADERS)

    async def _say(self, request: web.Request) -> web.StreamResponse:
        form = await _form(request)
        if not self._login.is_own_form(request, form.get("form_token", "")):
            return _text("this form is not of this page; reload it", 403)
        said = await asyncio.to_thread(self._desk.say, _wanted(form.get("sha256", "")), form.get("words", ""))
        after = _wanted(form.get("after", ""))
        return _see_other(f"{REVIEW_PATH}?said={said.sha256}" + (f"&after={after}" if after else ""))

    async def _undo(self, request: web.Request) -> web.StreamResponse:
        form = await _form(request)
        if not self._login.is_own_form(request, form.get("form_token", "")):
            return _text("this form is not of this page; reload it", 403)
        back = await asyncio.to_thread(self._desk.take_back, _wanted(form.get("sha256", "")))
        return _see_other(f"{REVIEW_PATH}?show={back.sha256}")

    async def _info(self, request: web.Request) -> RecordingInfo | None:
        sha256 = _wanted(request.match_info["sha256"])
        return await asyncio.to_thread(self._desk.recording, sha256) if sha256 else None

    def _page(self, name: str, status: int = 200, **values: object) -> web.Response:
        text = self._pages.get_template(name).render(**values)
        return web.Response(status=status, text=text, content_type="text/html", headers=HEADERS)


async def _form(request: web.Request) -> dict[str, str]:
    """Read a small form.

    Raises:
        web.HTTPException: 408 too slow, 413 too large, 415 another type.
    """
    if request.content_type != "application/x-www-form-urlencoded":
        raise web.HTTPUnsupportedMediaType(text="send a form\n")
    if (request.content_length or 0) > MOST_FORM_BYTES:
        raise web.HTTPRequestEntityTooLarge(MOST_FORM_BYTES, request.content_length or 0)
    try:
        fields = await asyncio.wait_for(request.post(), FORM_WITHIN_S)
    except TimeoutError as error:
        raise web.HTTPRequestTimeout(text="the form did not come\n") from error
    form: dict[str, str] = {}
    for name, value in fields.items():
        text = value if isinstance(value, str) else ""
        form[name] = f"{form[name]}+{text}" if name in form else text
    return form


def _wanted(text: str) -> str:
    """Return a content hash as it came, '' for anything else."""
    return text if _SHA256.fullmatch(text) else ""


def _see_other(place: str) -> web.Response:
    return web.Response(status=303, headers={**HEADERS, "Location": place})


def _text(text: str, status: int) -> web.Response:
    return web.Response(status=status, text=text + "\n", headers=HEADERS)
