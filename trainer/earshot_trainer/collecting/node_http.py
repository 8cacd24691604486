"""One node's recordings over HTTP, as docs/node-http-api.md says; a node is believed nothing that can be checked."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import aiohttp
from pydantic import ValidationError

from earshot_node.contract.labels import LABELS_SCHEMA
from earshot_node.contract.recordings import RecordingInfo
from earshot_node.deployment.durable import PartFile, part_of, remove_file
from earshot_node.errors import OperatorError, PeerError, RetryError
from earshot_trainer.catalogue.members import Member

API: Final = "/api/v1/recordings"
MAX_RECORDING_BYTES: Final = 64 << 20
MAX_JSON_BYTES: Final = 4 << 20
MAX_WAITING: Final = 100_000
PAGE: Final = 100
ATTEMPTS: Final = 4
CONNECT_S: Final = 10.0
SILENT_S: Final = 30.0
_LONGEST_PAUSE_S: Final = 10.0
_PIECE_BYTES: Final = 65_536

TIMEOUT: Final = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S, sock_read=SILENT_S)


class LabelledMeanwhileError(RetryError):
    """The recording has a newer labelling than the one that was collected."""


class GoneError(PeerError):
    """What was asked for is not on the node, or not any more."""


class StrangerError(PeerError):
    """Another than the node answers at its address; nothing was sent to it."""


class NodeHttp:
    """Asks one node.

    Args:
        session: with `TIMEOUT`.
        member: where the node is, and the token that both know.
    """

    def __init__(self, session: aiohttp.ClientSession, member: Member) -> None:
        self._session = session
        self._member = member
        pinned = member.certificate
        self._tls = aiohttp.Fingerprint(bytes.fromhex(pinned)) if pinned else True

    async def uncollected(self) -> list[RecordingInfo]:
        """Return what waits on the node, by time.

        Raises:
            RetryError: the node is away.
            OperatorError: the trainer does not know where it is, or it does not let the trainer in.
            StrangerError: it is not the node that answers.
            PeerError: the answer makes no sense.
        """
        found: list[RecordingInfo] = []
        after = ""
        while len(found) < MAX_WAITING:
            body = await self._json("GET", f"?limit={PAGE}{f'&after={after}' if after else ''}")
            try:
                infos = [RecordingInfo.model_validate(one) for one in body["recordings"]]
                following = body["next"]
            except (ValidationError, KeyError, TypeError) as error:
                raise PeerError(f"its list of recordings makes no sense ({type(error).__name__})") from error
            if body.get("node") != self._member.id or any(one.node != self._member.id for one in infos):
                raise PeerError("another node answers there; see `trainer-cli nodes address`")
            found += infos
            if not isinstance(following, str) or following <= after:
                break
            after = following
        return found

    async def show(self, recording_id: str) -> RecordingInfo:
        """Return a recording's JSON as it is now.

        Raises:
            GoneError: the node does not have it.
            Others: as `uncollected`.
        """
        try:
            return RecordingInfo.model_validate(await self._json("GET", f"/{recording_id}"))
        except ValidationError as error:
            raise PeerError("its JSON makes no sense") from error

    async def acknowledge(self, info: RecordingInfo) -> None:
        """Tell the node that its recording is safe here.

        Raises:
            LabelledMeanwhileError: there is a newer labelling.
            GoneError: the node does not have it any more.
            Others: as `uncollected`.
        """
        await self._json("POST", f"/{info.id}/collected", {"sha256": info.sha256, "revision": info.revision})

    async def tell_labels(self, labels: Sequence[str]) -> None:
        """Tell the node what recordings are labelled with in its fleet; errors as `uncollected`."""
        told = {"schema": LABELS_SCHEMA, "labels": [{"name": name} for name in labels]}
        await self._json("PUT", "/labels", told)

    async def fetch(self, info: RecordingInfo, path: Path, on_bytes: Callable[[int], None]) -> int:
        """Bring the audio to `path`, going on where an earlier attempt was cut; return how many bytes came.

        Args:
            info: size and hash that it must have.
            path: written at once when all of it is there and checked; `<path>.part` meanwhile.
            on_bytes: told how much more is there.

        Raises:
            StrangerError: it is not the node that answers.
            PeerError: the node sends something else, or nothing; what came is thrown away.
            RetryError: it broke off; the node is away, or cannot read this one.
            OperatorError: there is no room here, or the node does not let the trainer in.
        """
        if info.size_bytes > MAX_RECORDING_BYTES:
            raise PeerError(f"it has more than {MAX_RECORDING_BYTES >> 20} MB")
        came = 0
        if await asyncio.to_thread(_sha256, path) == info.sha256:
            return came
        for attempt in range(ATTEMPTS):
            try:
                came += await self._fetch_once(info, path, on_bytes)
                break
            except RetryError:
                if attempt == ATTEMPTS - 1:
                    raise
            except StrangerError:
                raise
            except PeerError:
                await asyncio.to_thread(remove_file, part_of(path))
                raise
        if await asyncio.to_thread(_sha256, path) != info.sha256:
            await asyncio.to_thread(remove_file, path)
            raise PeerError("its audio has another hash than was told; it is thrown away")
        return came

    async def _fetch_once(self, info: RecordingInfo, path: Path, on_bytes: Callable[[int], None]) -> int:
        have = await asyncio.to_thread(_length_of_part, path, info.size_bytes)
        headers = {"Range": f"bytes={have}-", "If-Range": f'"{info.sha256}"'} if have else {}
        async with self._ask("GET", f"/{info.id}/audio", headers=headers) as response:
            if response.headers.get("Content-Encoding", "identity") != "identity":
                raise PeerError("the node sends its audio compressed")
            begin = have if response.status == 206 else 0
            if begin and not response.headers.get("Content-Range", "").startswith(f"bytes {begin}-"):
                raise PeerError("the node sends another part of it than was asked for")
            on_bytes(begin)
            return await _receive(response, info, path, begin, on_bytes)

    async def _json(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        async with self._ask(method, path, body=body) as response:
            text = await _limited(response)
        try:
            value = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise PeerError("its answer is not JSON") from error
        if not isinstance(value, dict):
            raise PeerError("its answer is not a JSON object")
        return value

    @asynccontextmanager
    async def _ask(
        self, method: str, path: str, *, body: object = None, headers: dict[str, str] | None = None
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Ask, again after a pause where the node wants one; what is no success is raised."""
        if not self._member.address:
            raise OperatorError(f"its address is unknown; trainer-cli nodes address {self._member.id} http://HOST:8765")
        if self._member.certificate and not self._member.address.startswith("https://"):
            raise OperatorError(f"it speaks HTTPS; trainer-cli nodes address {self._member.id} https://HOST:PORT")
        sent = {"Authorization": f"Bearer {self._member.token}", "Accept-Encoding": "identity", **(headers or {})}
        url = f"{self._member.address}{API}{path}"
        try:
            for attempt in range(ATTEMPTS):
                async with self._session.request(
                    method, url, json=body, headers=sent, allow_redirects=False, ssl=self._tls
                ) as response:
                    if response.status in (429, 503) and attempt < ATTEMPTS - 1:
                        await asyncio.sleep(_pause_s(response))
                        continue
                    await _refuse_failure(response)
                    yield response
                    return
        except aiohttp.ServerFingerprintMismatch as error:
            raise StrangerError(
                f"{self._member.address} shows another certificate than {self._member.id}; nothing was sent to it"
            ) from error
        except (aiohttp.ClientError, TimeoutError) as error:
            raise RetryError(f"away: {self._member.address}: {_plain(error)}") from error


async def _receive(
    response: aiohttp.ClientResponse, info: RecordingInfo, path: Path, have: int, on_bytes: Callable[[int], None]
) -> int:
    begin = have
    try:
        with PartFile(path, append=have > 0) as part:
            async for piece in response.content.iter_chunked(_PIECE_BYTES):
                have += len(piece)
                if have > info.size_bytes:
                    raise PeerError(f"its audio has more than the {info.size_bytes} bytes that were told")
                await asyncio.to_thread(part.write, piece)
                on_bytes(have)
            if have < info.size_bytes:
                raise PeerError(f"its audio ends after {have} of the {info.size_bytes} bytes that were told")
            await asyncio.to_thread(part.keep)
    except OSError as error:
        if isinstance(error, aiohttp.ClientError | TimeoutError):
            raise
        raise OperatorError(f"{path}: cannot be written ({error.strerror}); free some space") from error
    return have - begin


async def _refuse_failure(response: aiohttp.ClientResponse) -> None:
    if response.status in (200, 201, 206):
        return
    text = " ".join((await _limited(response)).decode("utf-8", "replace").split())[:200]
    if response.status == 401:
        raise OperatorError("it does not know this trainer; let it join again, then restart it")
    if response.status == 403:
        raise OperatorError(f"it does not let this trainer in: {text}")
    if response.status == 404:
        raise GoneError(f"it answers 404: {text}")
    if response.status == 409:
        raise LabelledMeanwhileError(f"labelled anew meanwhile: {text}")
    if response.status == 416:
        raise PeerError("its audio is shorter than it told")
    if response.status in (429, 503):
        raise RetryError(f"it answers {response.status}: {text}")
    raise PeerError(f"it answers {response.status}: {text}")


async def _limited(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for piece in response.content.iter_chunked(_PIECE_BYTES):
        body += piece
        if len(body) > MAX_JSON_BYTES:
            raise PeerError(f"its answer is longer than {MAX_JSON_BYTES >> 20} MB")
    return bytes(body)


def _plain(error: Exception) -> str:
    if isinstance(error, aiohttp.ClientConnectorError) and not isinstance(error, aiohttp.ClientSSLError):
        return f"{error.os_error.strerror}; is it on, and does its http.host let others in?"
    return " ".join(str(error).split()) or "no answer"


def _pause_s(response: aiohttp.ClientResponse) -> float:
    asked = response.headers.get("Retry-After", "")
    return min(float(asked) if asked.isascii() and asked.isdigit() else 1.0, _LONGEST_PAUSE_S)


def _length_of_part(path: Path, size_bytes: int) -> int:
    try:
        length = part_of(path).stat().st_size
    except FileNotFoundError:
        return 0
    if length < size_bytes:
        return length
    remove_file(part_of(path))
    return 0


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        return ""
