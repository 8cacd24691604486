"""What differs among live sources: which child writes the PCM, how its header reads, how its complaints read."""

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from earshot_node.audio.ffmpeg import ffmpeg_command, ffmpeg_problem, parse_wav_header
from earshot_node.audio.pcm import PcmFormat
from earshot_node.contract.config import MicrophoneSource, StdinSource, UrlSource
from earshot_node.errors import SourceError

HeaderParser = Callable[[bytes], tuple[PcmFormat, int] | None]
_MAX_LINE_BYTES = 4096


@dataclass(frozen=True, slots=True)
class LiveInput:
    """How one source gets its PCM.

    Attributes:
        origin: makes the command line of a child that writes PCM, raises SourceError when a program is missing; or a
            descriptor of ours.
        parse_header: format and header length out of the first bytes, None when more are needed.
        explain: one line for a person out of the child's last lines on standard error.
        silent_problem: one line for when no audio comes.
    """

    origin: Callable[[], list[str]] | int
    parse_header: HeaderParser
    explain: Callable[[Sequence[str]], str]
    silent_problem: str


def microphone_input(source: MicrophoneSource) -> LiveInput:
    """A microphone, through its child process."""
    return LiveInput(
        partial(microphone_command, source.device),
        parse_microphone_header,
        partial(_microphone_problem, source.device),
        f"microphone {source.device} is open but gives no audio; unplug it and plug it in again",
    )


def url_input(source: UrlSource, ffmpeg: str = "ffmpeg") -> LiveInput:
    """A stream, through ffmpeg."""
    url = source.url.get_secret_value()
    return LiveInput(
        lambda: ffmpeg_command(url, [one.get_secret_value() for one in source.ffmpeg_args], ffmpeg),
        parse_wav_header,
        partial(ffmpeg_problem, url=url),
        "the stream gives no audio; is the camera reachable and its audio switched on?",
    )


def stdin_input(source: StdinSource, descriptor: int = 0) -> LiveInput:
    """Raw PCM on our own standard input, or another descriptor."""
    pcm_format = PcmFormat(source.rate_hz, source.channels)
    return LiveInput(
        descriptor,
        lambda _: (pcm_format, 0),
        lambda _: "standard input ended",
        "nothing comes on standard input; is the program that writes to it still running?",
    )


def microphone_command(device: str) -> list[str]:
    """Return the command of the child that reads the microphone with this stable id."""
    return [sys.executable, "-m", "earshot_node.audio.microphone_child", "--device", device]


def parse_microphone_header(data: bytes) -> tuple[PcmFormat, int] | None:
    """Parse the first line of the microphone child.

    Raises:
        SourceError: with the child's reason why it could not open the device.
    """
    line, newline, _ = data.partition(b"\n")
    if not newline:
        if len(data) > _MAX_LINE_BYTES:
            raise SourceError("the microphone process sent no header")
        return None
    try:
        header = json.loads(line)
        if "problem" in header:
            raise SourceError(str(header["problem"]))
        return PcmFormat(int(header["rate_hz"]), int(header["channels"])), len(line) + 1
    except (ValueError, KeyError, TypeError) as error:
        raise SourceError("the microphone process sent a damaged header") from error


def _microphone_problem(device: str, stderr_lines: Sequence[str]) -> str:
    said = [line.removeprefix("earshot: ") for line in stderr_lines if line.startswith("earshot: the device")]
    return f"microphone {device}: {said[-1] if said else 'its process ended; `node-cli doctor` tries it'}"
