"""Microphones of this machine, for people: what there is, who uses it, how loud it is."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from earshot_node.audio.alsa_cards import SystemRoots, capture_pcms, choose_rate_hz, process_name
from earshot_node.audio.children import ChildProcess
from earshot_node.audio.clock import SystemClock
from earshot_node.audio.level import level_dbfs
from earshot_node.audio.live_input import LiveInput, microphone_command, microphone_input
from earshot_node.audio.microphone_child import Input
from earshot_node.audio.pcm import PcmConverter, PcmFormat
from earshot_node.audio.pipe_reader import Patience, PipeReader
from earshot_node.audio.stop_signal import StopSignal
from earshot_node.contract.config import MicrophoneSource
from earshot_node.errors import SourceError

_LIST_TIMEOUT_S = 20.0
_CONVERTERS = re.compile(
    r"(dmix|dsnoop|front|hdmi|iec958|jack|lavrate|modem|null|oss|phoneline|rear|samplerate|side|spdif|speex|speexrate"
    r"|surround\d+|sysdefault|upmix|usb_stream|vdownmix)"
)
_ONCE = Patience(opening_s=8.0, stall_s=3.0, give_up_s=0.0)


@dataclass(frozen=True, slots=True)
class Microphone:
    """A device that a source can name.

    Attributes:
        id: stable id, for `device:` in the configuration.
        name: what people call it.
        rate_hz: native rate; None when only opening it would tell.
        channels: of the hardware; 0 when unknown.
        used_by_pid: process that has it open; 0 when nobody or unknown.
        used_by: that process's name.
    """

    id: str
    name: str
    rate_hz: int | None
    channels: int
    used_by_pid: int = 0
    used_by: str = ""


@dataclass(frozen=True, slots=True)
class LevelCheck:
    """What a microphone delivered in a short test.

    Attributes:
        rate_hz: rate at which it was opened.
        channels: channels that were opened.
        level_dbfs: level of the whole test.
        silent: every sample was 0.
    """

    rate_hz: int
    channels: int
    level_dbfs: float
    silent: bool


def portaudio_inputs() -> list[Input]:
    """Ask PortAudio, in a child process, what it can open.

    Raises:
        SourceError: PyAudio is missing or PortAudio gives no answer.
    """
    command = [sys.executable, "-m", "earshot_node.audio.microphone_child", "--list"]
    try:
        done = subprocess.run(command, capture_output=True, timeout=_LIST_TIMEOUT_S, check=False)
        answer = json.loads(done.stdout)
    except (subprocess.TimeoutExpired, ValueError) as error:
        raise SourceError("PortAudio does not list its devices; is the sound server stuck?") from error
    if isinstance(answer, dict):
        raise SourceError(str(answer["problem"]))
    return [Input(**entry) for entry in answer]


def list_devices(
    roots: SystemRoots = SystemRoots(),  # noqa: B008 (immutable)
    inputs: Callable[[], list[Input]] = portaudio_inputs,
) -> list[Microphone]:
    """Return the sound cards' microphones, then the PCMs that ALSA's configuration names.

    Without PyAudio the cards are listed all the same; `portaudio_inputs` says what is missing.
    """
    try:
        known = inputs()
    except SourceError:
        known = []
    by_hardware = {entry.hardware: entry for entry in known}
    found = []
    for pcm in capture_pcms(roots):
        entry = by_hardware.get((pcm.card, pcm.device))
        rate_hz = choose_rate_hz(pcm.rates_hz) if pcm.rates_hz else entry and entry.rate_hz
        channels = pcm.channels or (entry.channels if entry else 0)
        owner = process_name(roots, pcm.owner_pid) if pcm.owner_pid else ""
        found.append(Microphone(pcm.stable_id, pcm.name, rate_hz, channels, pcm.owner_pid, owner))
    return found + [_named(entry) for entry in known if _is_named(entry)]


def check_level(device: str, length_s: float = 1.0) -> LevelCheck:
    """Open a microphone as a source would, listen for a moment, close it.

    Raises:
        SourceError: it cannot be opened or gives no audio; says why.
    """
    live_input = microphone_input(MicrophoneSource(type="microphone", id="check", device=device))
    child = ChildProcess(microphone_command(device))
    stop = StopSignal()
    try:
        pcm_format, pcm = _record(child, live_input, stop, length_s)
    finally:
        child.close()
        stop.close()
    converter = PcmConverter(pcm_format)
    samples = np.concatenate((converter.push(pcm), converter.flush()))
    return LevelCheck(pcm_format.rate_hz, pcm_format.channels, level_dbfs(samples), not any(pcm))


def _record(child: ChildProcess, live_input: LiveInput, stop: StopSignal, length_s: float) -> tuple[PcmFormat, bytes]:
    reader = PipeReader(
        child.stdout,
        child.stderr,
        stop=stop,
        patience=_ONCE,
        silent_problem=live_input.silent_problem,
        on_stall=lambda _: None,
        clock=SystemClock(),
    )
    data = b""
    while new := reader.read():
        data += new
        parsed = live_input.parse_header(data)
        if parsed is not None and len(data) >= parsed[1] + parsed[0].bytes_per_s * length_s:
            return parsed[0], data[parsed[1] :]
    raise SourceError(live_input.explain(reader.last_words()))


def _is_named(entry: Input) -> bool:
    return entry.hardware is None and not _CONVERTERS.fullmatch(entry.name)


def _named(entry: Input) -> Microphone:
    if entry.name == "default":
        return Microphone("default", "the system's choice", entry.rate_hz, 0)
    return Microphone(f"alsa:{entry.name}", f"ALSA PCM {entry.name}", None, 0)
