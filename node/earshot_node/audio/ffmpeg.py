"""Streams by ffmpeg: its command line, its WAV header, its complaints without secrets.

A URL may hold a password. It never reaches a log or a message from here, but ffmpeg takes it on its command line, where
users of the same machine can see it while the stream runs; no version in use reads its input's name from elsewhere.
"""

import re
import shutil
import struct
from collections.abc import Sequence
from urllib.parse import unquote, urlsplit

from earshot_node.audio.pcm import PcmFormat
from earshot_node.errors import SourceError

_MAX_HEADER_BYTES = 65_536
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s'\"]+?(?=[:,.;)\]]*(?:[\s'\"]|$))")
_PLACE = "\0"
_PREFIX = re.compile(r"^(\[[^\]]* @ 0x[0-9a-f]+\]\s*)+")
_SAYS_NOTHING = ("Error opening input file", "Error opening output file", "Conversion failed", "Exiting normally")
_NO_AUDIO = ("does not contain any stream", "matches no streams")


def ffmpeg_command(url: str, input_args: Sequence[str], program: str = "ffmpeg") -> list[str]:
    """Return the command that writes the stream's audio as mono WAV at its own rate to standard output.

    Raises:
        SourceError: ffmpeg is missing.
    """
    found = shutil.which(program)
    if found is None:
        raise SourceError(f"{program} is not installed, a url source needs it; `sudo apt-get install ffmpeg`")
    output = ["-vn", "-sn", "-dn", "-ac", "1", "-c:a", "pcm_s16le", "-f", "wav", "-flush_packets", "1", "pipe:1"]
    return [found, "-nostdin", "-hide_banner", "-loglevel", "error", *input_args, "-i", url, *output]


def parse_wav_header(data: bytes) -> tuple[PcmFormat, int] | None:
    """Parse the beginning of a streamed WAV (sizes unknown) with 16 bit PCM.

    Returns:
        The format and where the samples begin; None when more bytes are needed.

    Raises:
        SourceError: it is something else.
    """
    if len(data) < 12:
        return None
    if data[:4] not in (b"RIFF", b"RF64") or data[8:12] != b"WAVE":
        raise SourceError("ffmpeg sent no WAV; is it a working ffmpeg?")
    pcm_format: PcmFormat | None = None
    at = 12
    while at + 8 <= len(data):
        name, size = data[at : at + 4], struct.unpack_from("<I", data, at + 4)[0]
        at += 8
        if name == b"data":
            if pcm_format is None:
                raise SourceError("ffmpeg sent a WAV without a format; is it a working ffmpeg?")
            return pcm_format, at
        if name == b"fmt " and at + 16 <= len(data):
            pcm_format = _parse_format(data[at : at + 16])
        at += size + size % 2
    if at > _MAX_HEADER_BYTES:
        raise SourceError("ffmpeg sent a WAV without audio; is it a working ffmpeg?")
    return None


def _parse_format(data: bytes) -> PcmFormat:
    _, channels, rate_hz, _, _, bits = struct.unpack("<HHIIHH", data)
    if bits != 16 or not 1 <= channels <= 64 or not 1_000 <= rate_hz <= 768_000:
        raise SourceError(f"ffmpeg sent {bits} bit, {channels} channels, {rate_hz} Hz; 16 bit PCM was asked for")
    return PcmFormat(rate_hz, channels)


def shown_url(url: str) -> str:
    """Return scheme and host of a URL, without user, password, path and query, for people to see."""
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return "the url"
    if not parts.scheme or not parts.hostname:
        return "the url"
    return f"{parts.scheme}://{parts.hostname}{port}"


def redact(text: str, url: str) -> str:
    """Return `text` without anything secret of `url`, or of any other URL in it."""
    text = text.replace(url, _PLACE)
    text = _URL.sub(lambda match: shown_url(match.group()), text)
    text = text.replace(_PLACE, shown_url(url))
    for secret in _secrets(url):
        text = text.replace(secret, "***")
    return text


def _secrets(url: str) -> set[str]:
    try:
        parts = urlsplit(url)
        found = {parts.password or "", parts.query, parts.path}
    except ValueError:
        return set()
    return {form for secret in found for form in (secret, unquote(secret)) if len(form) > 2}


def ffmpeg_problem(stderr_lines: Sequence[str], url: str) -> str:
    """Make one line for a person out of what ffmpeg wrote to standard error."""
    where = shown_url(url)
    if any(hint in line for line in stderr_lines for hint in _NO_AUDIO):
        return f"{where}: the stream has no audio; switch audio on in the camera's settings"
    told = [_PREFIX.sub("", line) for line in stderr_lines]
    told = [line for line in told if not line.startswith(_SAYS_NOTHING)]
    if not told:
        return f"{where}: the stream ended"
    said = redact(told[-1], url).replace(f"{where}: ", "")
    return f"{where}: {said[:200]}"
