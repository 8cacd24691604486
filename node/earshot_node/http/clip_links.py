"""Links to the clips of events, for a notification or a browser: whoever has one can hear that clip, without a token.

A link holds a signature by the node's token, so it cannot be guessed, and another token makes all links worthless.
"""

import asyncio
import base64
import hashlib
import hmac
from datetime import UTC, datetime, timedelta
from typing import Final

from aiohttp import web

from earshot_node.clips.clip import Clip
from earshot_node.contract.config import HttpSection, MqttSection
from earshot_node.errors import EarshotError
from earshot_node.http.audio_answer import wanted_span
from earshot_node.http.json_body import refuse
from earshot_node.http.reachable import is_loopback, reachable_url
from earshot_node.http.token_gate import LINKED_PATHS
from earshot_node.recordings.service import RecordingService
from earshot_node.recordings.transfer_log import TransferLog

VALID: Final = timedelta(days=7)
WAIT_S: Final = 30.0
_ASK_EVERY_S: Final = 0.5
_SIGNATURE_BYTES: Final = 16
_ELSEWHERE: Final = "http://192.0.2.1"  # an address for documentation (RFC 5737): nothing is ever sent there
_MAX_AGENT: Final = 80


def household_url(http: HttpSection, port: int, mqtt: MqttSection) -> str:
    """Return the address by which phones at home reach this node, '' if none is known. Blocks for a name's look-up."""
    for way in (f"mqtt://{mqtt.host}:{mqtt.effective_port}", _ELSEWHERE):
        found = reachable_url(http, port, way)
        if found and (http.announce or not is_loopback(found)):
            return found
    return ""


class ClipLinks:
    """Makes links and answers them.

    Args:
        service: finds clips.
        transfers: where every byte of audio that leaves is noted.
        token: the node's.
    """

    def __init__(self, service: RecordingService, transfers: TransferLog, token: str) -> None:
        self._service = service
        self._transfers = transfers
        self._key = token.encode()
        self.base = ""

    def routes(self) -> list[web.RouteDef]:
        """Return the paths."""
        return [web.get(f"{LINKED_PATHS}{{event}}/{{signature}}.flac", self._play)]

    def url(self, event_id: str) -> str | None:
        """Return the link to an event's clip, None while no address is known."""
        if not self.base:
            return None
        return f"{self.base}{LINKED_PATHS}{event_id}/{self._signature(event_id)}.flac"

    def _signature(self, event_id: str) -> str:
        digest = hmac.new(self._key, f"earshot clip 1\n{event_id}".encode(), hashlib.sha256).digest()
        return base64.urlsafe_b64encode(digest[:_SIGNATURE_BYTES]).decode().rstrip("=")

    async def _play(self, request: web.Request) -> web.StreamResponse:
        event_id, signature = request.match_info["event"], request.match_info["signature"]
        if not hmac.compare_digest(signature.encode(), self._signature(event_id).encode()):
            return web.Response(status=404, text="no such clip\n")
        clip = await self._awaited(event_id)
        if clip is None or datetime.now(UTC) - clip.info.event.onset > VALID:
            return web.Response(status=404, text="The clip is not there: it is kept for a while only.\n")
        etag = f'"{event_id}"'
        span = wanted_span(request, len(clip.flac), etag)
        if span is None:
            return web.Response(status=416, headers={"Content-Range": f"bytes */{len(clip.flac)}"})
        headers = {"Accept-Ranges": "bytes", "ETag": etag, "Cache-Control": "private, max-age=3600"}
        if span.partial:
            headers["Content-Range"] = f"bytes {span.begin}-{span.end - 1}/{span.size}"
        if request.method != "HEAD":
            try:
                await self._note(request, event_id, span.end - span.begin)
            except EarshotError as error:
                return refuse(error)
        status, body = (206 if span.partial else 200), clip.flac[span.begin : span.end]
        return web.Response(status=status, body=body, headers=headers, content_type="audio/flac")

    async def _awaited(self, event_id: str) -> Clip | None:
        """Return the clip; of an event that still sounds, or has just ended, it is waited for."""
        deadline_s = asyncio.get_running_loop().time() + WAIT_S
        while True:
            clip = await self._service.clip(event_id)
            if clip is not None or asyncio.get_running_loop().time() > deadline_s:
                return clip
            await asyncio.sleep(_ASK_EVERY_S)

    async def _note(self, request: web.Request, event_id: str, count: int) -> None:
        """Write both lines at once: the answer is handed over whole."""
        agent = request.headers.get("User-Agent", "")[:_MAX_AGENT]
        about = (f"{request.remote} {agent}".strip(), event_id, "link")

        def write() -> None:
            self._service.store.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._transfers.end(self._transfers.begin(*about, count), *about, count)

        await self._service.on_disk(write)
