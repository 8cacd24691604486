"""Capture devices of the kernel with ids that survive a reboot, from /sys/class/sound and /proc/asound.

The microphone child imports this, so only light modules are imported here. Inside a container /proc/asound is often
hidden: what comes from there (rates, channels, owner) is then unknown, the ids are not.
"""

import os
import re
from pathlib import Path
from typing import NamedTuple

_CAPTURE = re.compile(r"pcmC(\d+)D(\d+)c")
_PCI = re.compile(r"[0-9a-f]{4}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-9a-f]")
_ROOT_HUB = re.compile(r"usb\d+")
_CARD_LINE = re.compile(r"^\s*(\d+) \[.*?\]: .*? - (.*)$", re.MULTILINE)
PREFERRED_RATE_HZ = 48_000


class SystemRoots(NamedTuple):
    """Where the kernel's folders are; tests put a copy there."""

    sys: Path = Path("/sys")
    proc: Path = Path("/proc")
    dev: Path = Path("/dev")


class CapturePcm(NamedTuple):
    """One capture device of a sound card.

    Attributes:
        stable_id: such as `usb-046d_0825_1A2B3C-0000:00:14.0-1.2` (vendor, product, serial, controller, ports).
        name: what people call it.
        card, device: the numbers of this boot, as in `hw:1,0`.
        rates_hz: rates of the hardware; empty when unknown.
        channels: of the hardware; 0 when unknown.
        owner_pid: process that has it open; 0 when nobody or unknown.
    """

    stable_id: str
    name: str
    card: int
    device: int
    rates_hz: tuple[int, ...] = ()
    channels: int = 0
    owner_pid: int = 0


def capture_pcms(roots: SystemRoots = SystemRoots()) -> list[CapturePcm]:  # noqa: B008 (immutable)
    """Return the capture devices that are present, by card and device number."""
    folder = roots.sys / "class" / "sound"
    matches = [_CAPTURE.fullmatch(entry) for entry in _names(folder)]
    numbers = sorted((int(match[1]), int(match[2])) for match in matches if match)
    return [_describe(roots, card, device) for card, device in numbers]


def choose_rate_hz(rates_hz: tuple[int, ...]) -> int:
    """Return the rate to open hardware at: 48 kHz if it has it, else its highest below, else its lowest."""
    below = [rate for rate in rates_hz if rate <= PREFERRED_RATE_HZ]
    return max(below) if below else min(rates_hz)


def process_name(roots: SystemRoots, pid: int) -> str:
    """Return the name of a process, empty when it is gone."""
    return _read(roots.proc / str(pid) / "comm")


def _describe(roots: SystemRoots, card: int, device: int) -> CapturePcm:
    hardware = _hardware_folder(roots, card)
    stable_id, name = _identity(hardware, card)
    listed = dict(_CARD_LINE.findall(_read(roots.proc / "asound" / "cards")))
    name = name or listed.get(str(card)) or _read(roots.sys / "class" / "sound" / f"card{card}" / "id") or stable_id
    rates_hz, channels = _usb_capabilities(_read(roots.proc / "asound" / f"card{card}" / f"stream{device}"))
    return CapturePcm(
        stable_id if device == 0 else f"{stable_id},{device}",
        name,
        card,
        device,
        rates_hz,
        channels,
        _owner_pid(roots.proc / "asound" / f"card{card}" / f"pcm{device}c"),
    )


def _hardware_folder(roots: SystemRoots, card: int) -> Path:
    link = roots.sys / "class" / "sound" / f"card{card}" / "device"
    return Path(os.path.realpath(link))


def _identity(hardware: Path, card: int) -> tuple[str, str]:
    for folder in (hardware, *hardware.parents):
        if (folder / "idVendor").is_file():
            return _usb_id(folder), _read(folder / "product")
        if _PCI.fullmatch(folder.name):
            return f"pci-{folder.name}", ""
    if hardware.is_dir():
        return f"platform-{_clean(hardware.name)}", ""
    return f"card-{card}", ""


def _usb_id(folder: Path) -> str:
    controller = next((parent.parent.name for parent in folder.parents if _ROOT_HUB.fullmatch(parent.name)), "")
    ports = folder.name.partition("-")[2]
    product = [_read(folder / "idVendor"), _read(folder / "idProduct"), _clean(_read(folder / "serial"))]
    return "-".join(part for part in ("usb", "_".join(filter(None, product)), controller, ports) if part)


def _usb_capabilities(stream: str) -> tuple[tuple[int, ...], int]:
    """Parse the capture half of /proc/asound/cardN/streamM."""
    capture = stream.partition("Capture:")[2].partition("Playback:")[0]
    rates: set[int] = set()
    for listed in re.findall(r"Rates: (.*)", capture):
        numbers = [int(number) for number in re.findall(r"\d+", listed)]
        if "continuous" in listed and len(numbers) == 2:
            numbers += [rate for rate in (PREFERRED_RATE_HZ, 44_100, 16_000) if numbers[0] <= rate <= numbers[1]]
        rates.update(numbers)
    channels = [int(number) for number in re.findall(r"Channels: (\d+)", capture)]
    return tuple(sorted(rates)), min(channels, default=0)


def _owner_pid(folder: Path) -> int:
    for name in _names(folder):
        match = re.search(r"owner_pid\s*:\s*(\d+)", _read(folder / name / "status"))
        if match:
            return int(match[1])
    return 0


def _clean(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9.:]+", "_", text).strip("_")


def _names(folder: Path) -> list[str]:
    try:
        return sorted(os.listdir(folder))  # noqa: PTH208 (names, not paths)
    except OSError:
        return []


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return ""
