"""The child process of one microphone: opens it by its stable id and writes PCM to standard output.

    python -m earshot_node.audio.microphone_child --device STABLE_ID

First a line of JSON: `{"rate_hz": 48000, "channels": 1}`, or `{"problem": "..."}` and exit status 1; then interleaved
signed 16 bit little endian PCM in blocks of 40 ms. Standard error says `earshot: overflow` when audio was lost, and the
reason as its last line when the device breaks off. `--list` prints PortAudio's inputs as JSON instead.
It ends when nobody reads any more. One process opens one device: PortAudio's list of devices is as old as the process.
Imports little on purpose (no numpy, no pydantic): there is one of these for every microphone.
"""

import json
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from earshot_node.audio.alsa_cards import (
    PREFERRED_RATE_HZ,
    CapturePcm,
    SystemRoots,
    capture_pcms,
    choose_rate_hz,
    process_name,
)

BLOCK_S = 0.12
"""Three decisions a time: waking up costs more than deciding, and nobody hears 80 ms in an alarm."""
OVERFLOW = "earshot: overflow"
MISSING = (
    "PyAudio is not installed, a microphone needs it; "
    "`sudo apt-get install portaudio19-dev python3-dev gcc`, then `pip install '.[mic]'` in the checkout"
)
_HARDWARE = re.compile(r"\(hw:(\d+),(\d+)\)")
_OTHER_RATES_HZ = (44_100, 16_000, 32_000, 8_000, 96_000)


class DeviceError(Exception):
    """The device cannot be opened; the text is one line for a person."""


class Input(NamedTuple):
    """An input device as PortAudio lists it."""

    number: int
    name: str
    rate_hz: int
    channels: int

    @property
    def hardware(self) -> tuple[int, int] | None:
        """Card and device number; None for a named PCM."""
        match = _HARDWARE.search(self.name)
        return (int(match[1]), int(match[2])) if match else None


class Resolved(NamedTuple):
    """Which input to open and how, best choice first."""

    number: int
    rates_hz: list[int]
    channels: list[int]


def main(arguments: list[str]) -> int:
    """Run the child; return its exit status."""
    pcm_out = os.dup(1)
    os.dup2(2, 1)  # what a library prints must not end up in the PCM
    try:
        if arguments == ["--list"]:
            _write_line(pcm_out, [device._asdict() for device in _inputs(_portaudio())])
            return 0
        if len(arguments) != 2 or arguments[0] != "--device":
            raise DeviceError("usage: microphone_child --device STABLE_ID | --list")  # noqa: TRY301
        _stream(arguments[1], pcm_out)
    except DeviceError as error:
        _write_line(pcm_out, {"problem": str(error)})
    except BrokenPipeError:
        return 0
    except OSError as error:
        sys.stderr.write(f"earshot: the device broke off ({error.args[-1]}); is it still plugged in?\n")
    return 1


def resolve(device: str, inputs: list[Input], pcms: list[CapturePcm], default_number: int | None) -> Resolved:
    """Find the input of a stable id; never another one.

    Raises:
        DeviceError: it is absent, busy or may not be opened; says what is there instead.
    """
    if device == "default":
        if default_number is None:
            raise DeviceError(f"there is no default microphone; {_present(pcms)}")
        return _named(next(known for known in inputs if known.number == default_number))
    if device.startswith("alsa:"):
        found = [known for known in inputs if known.name == device.removeprefix("alsa:")]
        if not found:
            raise DeviceError(f"ALSA has no capture device {device.removeprefix('alsa:')!r}; check ~/.asoundrc")
        return _named(found[0])
    matching = [pcm for pcm in pcms if pcm.stable_id == device]
    if not matching:
        raise DeviceError(f"microphone {device} is not there; {_present(pcms)}")
    if len(matching) > 1:
        raise DeviceError(f"{len(matching)} devices have the id {device}; unplug all but one")
    return _hardware(matching[0], inputs)


def _hardware(pcm: CapturePcm, inputs: list[Input]) -> Resolved:
    found = [known for known in inputs if known.hardware == (pcm.card, pcm.device)]
    if not found:
        raise DeviceError(f"microphone {pcm.stable_id} is there but cannot be opened: {_hindrance(pcm)}")
    known = found[0]
    rates_hz = [choose_rate_hz(pcm.rates_hz)] if pcm.rates_hz else []
    return Resolved(known.number, _rates(rates_hz, known), [2, 1] if known.channels > 1 else [1])


def _named(known: Input) -> Resolved:
    """A named PCM converts by itself, so one channel will do; hardware chosen as the default may need two."""
    return Resolved(known.number, _rates([], known), [1, 2] if known.channels > 1 else [1])


def _rates(first: list[int], known: Input) -> list[int]:
    wanted = [*first, PREFERRED_RATE_HZ, known.rate_hz, *_OTHER_RATES_HZ]
    return list(dict.fromkeys(wanted))


def _present(pcms: list[CapturePcm]) -> str:
    if not pcms:
        return "no microphone is plugged in (in a container: pass /dev/snd)"
    return "present: " + ", ".join(pcm.stable_id for pcm in pcms)


def _hindrance(pcm: CapturePcm, roots: SystemRoots = SystemRoots()) -> str:  # noqa: B008 (immutable)
    if pcm.owner_pid:
        name = process_name(roots, pcm.owner_pid) or "unknown"
        return f"in use by process {pcm.owner_pid} ({name}); stop it"
    node = roots.dev / "snd" / f"pcmC{pcm.card}D{pcm.device}c"
    if not node.exists():
        return f"{node} is missing; in a container pass /dev/snd"
    if not os.access(node, os.R_OK | os.W_OK):
        return f"no permission for {node}; `sudo usermod -aG audio $USER`, then log in again"
    return "PortAudio does not list it; is another program using it?"


def _portaudio() -> Any:
    try:
        import pyaudio
    except ImportError as error:
        raise DeviceError(MISSING) from error
    with _quiet_stderr():
        return pyaudio.PyAudio()


def _inputs(audio: Any) -> list[Input]:
    found = []
    for index in range(audio.get_device_count()):
        info = audio.get_device_info_by_index(index)
        if info["maxInputChannels"] > 0:
            rate_hz, channels = int(info["defaultSampleRate"]), int(info["maxInputChannels"])
            found.append(Input(index, str(info["name"]), rate_hz, channels))
    return found


def _stream(device: str, pcm_out: int) -> None:
    audio = _portaudio()
    try:
        default_number = int(audio.get_default_input_device_info()["index"])
    except OSError:
        default_number = None
    resolved = resolve(device, _inputs(audio), capture_pcms(), default_number)
    stream, rate_hz, channels = _open(audio, device, resolved)
    _write_line(pcm_out, {"rate_hz": rate_hz, "channels": channels})
    frames = round(rate_hz * BLOCK_S)
    while True:
        try:
            pcm = stream.read(frames)
        except OSError as error:
            if error.errno != _overflow_number():
                raise
            sys.stderr.write(f"{OVERFLOW}\n")
            sys.stderr.flush()
            continue
        _write_all(pcm_out, pcm)


def _open(audio: Any, device: str, resolved: Resolved) -> tuple[Any, int, int]:
    from pyaudio import paInt16

    problem = "no rate and channel count fits"
    for rate_hz in resolved.rates_hz:
        for channels in resolved.channels:
            try:
                with _quiet_stderr():
                    stream = audio.open(
                        rate_hz,
                        channels,
                        paInt16,
                        input=True,
                        input_device_index=resolved.number,
                        frames_per_buffer=round(rate_hz * BLOCK_S),
                    )
            except (OSError, ValueError) as error:
                problem = str(error.args[-1] if error.args else error)
            else:
                return stream, rate_hz, channels
    raise DeviceError(f"microphone {device} cannot be opened: {problem}; `node-cli doctor` says who holds it")


def _overflow_number() -> int:
    from pyaudio import paInputOverflowed

    return int(paInputOverflowed)


def _write_line(descriptor: int, content: object) -> None:
    _write_all(descriptor, json.dumps(content).encode() + b"\n")


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


@contextmanager
def _quiet_stderr() -> Iterator[None]:
    """ALSA and JACK print pages about devices that do not exist."""
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
