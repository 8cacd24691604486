"""Fetches a bundle from the trainer: goes on where it broke off, and believes neither length nor content.

The file is written as `<sha256>.earshot.part` and gets its name only when it is whole. Redirects are not followed: the
token is for the trainer alone.
"""

import asyncio
import hashlib
import logging
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from earshot_node.deployment.durable import PartFile, make_folder, part_of, remove_file
from earshot_node.deployment.membership import Membership
from earshot_node.deployment.undisturbed import to_its_end
from earshot_node.errors import BundleError, RetryError

if TYPE_CHECKING:
    from aiohttp import ClientResponse, ClientSession, ClientTimeout

_log = logging.getLogger(__name__)

CONNECT_S: Final = 15.0
SILENT_S: Final = 30.0
SLOWEST_BYTES_PER_S: Final = 2_000
PATIENCE_S: Final = 60.0
"""How long in all, on top of what the slowest line takes."""
_PIECE_BYTES: Final = 65_536
_PARTIAL: Final = 206
_OK: Final = 200
_RANGE_IS_WRONG: Final = 416


@dataclass(frozen=True, slots=True)
class Wanted:
    """A bundle: its hash, which is also its name, and its exact length."""

    sha256: str
    size_bytes: int


async def download(trainer: Membership, wanted: Wanted, folder: Path, on_progress: Callable[[float], None]) -> Path:
    """Return the path of the bundle, fetched or found; what came before a failure stays for the next attempt.

    Args:
        trainer: where it lies, and with what token.
        wanted: which.
        folder: where it is put.
        on_progress: told how much of it is there, 0 to 1.

    Raises:
        BundleError: the trainer has something else under that name.
        RetryError: the trainer is away, slow or does not want to now, or the disk is full or lost what came earlier.
    """
    sent_now = False
    path = folder / f"{wanted.sha256}.earshot"
    try:
        await asyncio.to_thread(make_folder, folder)
        if not await asyncio.to_thread(path.exists):
            within_s = PATIENCE_S + wanted.size_bytes / SLOWEST_BYTES_PER_S
            async with asyncio.timeout(within_s):
                sent_now = await _fetch(trainer, wanted, path, on_progress)
        await asyncio.to_thread(_check, path, wanted, sent_now=sent_now)
    except TimeoutError as error:
        raise RetryError(f"{trainer.url}: the bundle comes too slowly; it goes on later where it broke off") from error
    except OSError as error:
        raise RetryError(f"{path}: cannot be written ({error.strerror}); free some space") from error
    return path


async def _fetch(trainer: Membership, wanted: Wanted, path: Path, on_progress: Callable[[float], None]) -> bool:
    """Fetch what is missing; return whether that was all of it."""
    import aiohttp

    have = await asyncio.to_thread(_length_of_part, path, wanted)
    headers = {"Authorization": f"Bearer {trainer.token.get_secret_value()}", "Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S, sock_read=SILENT_S)
    url = f"{trainer.url}/api/v1/models/{wanted.sha256}.earshot"
    try:
        async with (
            _session(trainer, timeout) as session,
            session.get(url, headers=headers, allow_redirects=False) as response,
        ):
            if have and response.status == _RANGE_IS_WRONG:
                await asyncio.to_thread(remove_file, part_of(path))
                raise RetryError(f"{trainer.url}: has another bundle under that name; fetched anew next time")
            have = have if response.status == _PARTIAL else 0
            await _receive(response, wanted, path, have, on_progress)
            return not have
    except aiohttp.ClientError as error:
        raise RetryError(f"{trainer.url}: the bundle cannot be fetched: {_plain(error)}") from error


async def _receive(
    response: "ClientResponse", wanted: Wanted, path: Path, have: int, on_progress: Callable[[float], None]
) -> None:
    if response.status not in (_OK, _PARTIAL):
        raise RetryError(f"{response.url.origin()}: answers {response.status} instead of the bundle")
    if response.status == _PARTIAL and not response.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
        raise RetryError(f"{response.url.origin()}: sends another part of the bundle than it was asked for")
    if response.headers.get("Content-Encoding", "identity") != "identity":
        raise BundleError(f"{response.url.origin()}: sends the bundle compressed; a bundle is sent as it is")
    with PartFile(path, append=have > 0) as part:
        async for piece in response.content.iter_chunked(_PIECE_BYTES):
            have += len(piece)
            if have > wanted.size_bytes:
                await asyncio.to_thread(remove_file, part_of(path))
                raise BundleError(f"{response.url.origin()}: sends more than the {wanted.size_bytes} bytes it offered")
            await to_its_end(part.write, piece)
            on_progress(have / wanted.size_bytes)
        if have < wanted.size_bytes:
            raise RetryError(f"{response.url.origin()}: broke off after {have} of {wanted.size_bytes} bytes")
        await to_its_end(part.keep)


def _length_of_part(path: Path, wanted: Wanted) -> int:
    try:
        length = part_of(path).stat().st_size
    except FileNotFoundError:
        return 0
    if length < wanted.size_bytes:
        return length
    remove_file(part_of(path))
    return 0


def _check(path: Path, wanted: Wanted, *, sent_now: bool) -> None:
    """Only what the trainer has just sent, all of it, is its fault: a power cut may damage what is not flushed."""
    data = path.read_bytes()
    if len(data) != wanted.size_bytes or hashlib.sha256(data).hexdigest() != wanted.sha256:
        remove_file(path)
        if not sent_now:
            raise RetryError(f"bundle {wanted.sha256[:12]}: was damaged on the disk; fetched anew next time")
        raise BundleError(f"bundle {wanted.sha256[:12]}: what the trainer sent has another hash; it is thrown away")


def _session(trainer: Membership, timeout: "ClientTimeout") -> "ClientSession":
    import aiohttp

    context = ssl.create_default_context(cadata=trainer.ca or None)
    return aiohttp.ClientSession(timeout=timeout, connector=aiohttp.TCPConnector(ssl=context))


def _plain(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
