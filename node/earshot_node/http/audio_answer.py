"""Sends a file's bytes, from any position on, and counts those that leave."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from aiohttp import web

_CHUNK_BYTES: Final = 65_536
_CHUNK_WITHIN_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class Span:
    """Bytes [begin, end) of a file of `size` bytes; `partial` if they were asked for by a range."""

    begin: int
    end: int
    size: int
    partial: bool


def wanted_span(request: web.Request, size: int, etag: str) -> Span | None:
    """Return which bytes a request asks for; None for a range outside the file (416).

    A range that belongs to another version (`If-Range`) is passed over, so that no file is patched together from two.
    """
    if "Range" not in request.headers or request.headers.get("If-Range", etag) != etag:
        return Span(0, size, size, partial=False)
    try:
        asked = request.http_range
    except ValueError:
        return None
    begin, end, _ = asked.indices(size)
    if (asked.start or 0) >= size or begin >= end:
        return None
    return Span(begin, end, size, partial=True)


async def send_span(
    request: web.Request,
    path: Path,
    span: Span,
    etag: str,
    left: Callable[[int], None],
    *,
    content_type: str = "audio/flac",
) -> web.StreamResponse:
    """Send part of a file; `left` is called with the size of each piece handed to the network.

    Raises:
        ConnectionError: the client has gone, or takes nothing for half a minute, or the file holds less than it did.
    """
    headers = {
        "Content-Type": content_type,
        "Content-Length": str(span.end - span.begin),
        "Accept-Ranges": "bytes",
        "ETag": etag,
    }
    if span.partial:
        headers["Content-Range"] = f"bytes {span.begin}-{span.end - 1}/{span.size}"
    response = web.StreamResponse(status=206 if span.partial else 200, headers=headers)
    await response.prepare(request)
    if request.method == "HEAD":
        return response
    data = await asyncio.to_thread(_read, path, span)
    for at in range(0, len(data), _CHUNK_BYTES):
        piece = data[at : at + _CHUNK_BYTES]
        left(len(piece))
        try:
            await asyncio.wait_for(response.write(piece), _CHUNK_WITHIN_S)
        except TimeoutError as error:
            raise _broken_off(request, "the client takes nothing any more") from error
    if len(data) < span.end - span.begin:
        raise _broken_off(request, f"{path} is shorter than it was")
    await response.write_eof()
    return response


def _broken_off(request: web.Request, why: str) -> ConnectionError:
    """End the connection, so that nobody waits for what does not come; return what to raise."""
    if request.transport is not None:
        request.transport.abort()
    return ConnectionError(why)


def _read(path: Path, span: Span) -> bytes:
    with path.open("rb") as file:
        file.seek(span.begin)
        return file.read(span.end - span.begin)
