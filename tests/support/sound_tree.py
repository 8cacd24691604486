"""A copy of the kernel's sound folders, as they look on real machines, for tests of stable ids."""

import os
from pathlib import Path

from earshot_node.audio.alsa_cards import SystemRoots

USB_STREAM = """{name} at usb-{controller}-{ports}, high speed : USB Audio

Playback:
  Status: Stop
  Interface 1
    Altset 1
    Format: S16_LE
    Channels: 2
    Endpoint: 0x01 (1 OUT) (ADAPTIVE)
    Rates: 44100

Capture:
  Status: Stop
  Interface 2
    Altset 1
    Format: S16_LE
    Channels: {channels}
    Endpoint: 0x82 (2 IN) (ASYNC)
    Rates: {rates}
    Data packet interval: 1000 us
    Bits: 16
"""
OPEN_STATUS = """state: RUNNING
owner_pid   : {pid}
trigger_time: 1234.567890123
tstamp      : 0.000000000
delay       : 480
avail       : 480
avail_max   : 960
-----
hw_ptr      : 4800
appl_ptr    : 4320
"""


class SoundTree:
    """Builds /sys, /proc and /dev below a folder."""

    def __init__(self, folder: Path) -> None:
        self.roots = SystemRoots(folder / "sys", folder / "proc", folder / "dev")
        for root in (*self.roots, self._class):
            root.mkdir(parents=True, exist_ok=True)
        self._cards: dict[int, str] = {}

    def add_usb(
        self,
        card: int,
        *,
        port: str = "1-1.2",
        controller: str = "0000:01:00.0",
        vendor_product: tuple[str, str] = ("046d", "0825"),
        serial: str = "",
        name: str = "C270 HD WEBCAM",
        rates: str = "16000",
        channels: int = 1,
    ) -> None:
        """Plug in a USB microphone; `port` is bus and ports as in `1-1.2`."""
        bus, _, ports = port.partition("-")
        chain = [f"{bus}-{'.'.join(ports.split('.')[:depth])}" for depth in range(1, ports.count(".") + 2)]
        pci = f"devices/platform/scb/fd500000.pcie/pci0000:00/0000:00:00.0/{controller}"
        device = self.roots.sys.joinpath(pci, f"usb{bus}", *chain)
        interface = device / f"{port}:1.2"
        interface.mkdir(parents=True, exist_ok=True)
        for file, text in (("idVendor", vendor_product[0]), ("idProduct", vendor_product[1]), ("product", name)):
            (device / file).write_text(f"{text}\n")
        if serial:
            (device / "serial").write_text(f"{serial}\n")
        self._add_card(card, interface, "U0x46d0x825", f"USB-Audio - {name}")
        stream = USB_STREAM.format(name=name, controller=controller, ports=ports, rates=rates, channels=channels)
        (self.proc_card(card) / "stream0").write_text(stream)
        self.add_capture(card)

    def add_pci(self, card: int, address: str = "0000:00:1f.3", name: str = "HDA Intel PCH") -> None:
        """Add an on-board card with a capture device."""
        self._add_card(card, self.roots.sys / "devices/pci0000:00" / address, "PCH", f"HDA-Intel - {name}")
        self.add_capture(card)

    def add_platform(self, card: int, device: str, card_id: str) -> None:
        """Add a card of the board itself, such as an I2S microphone."""
        self._add_card(card, self.roots.sys / "devices/platform" / device, card_id, f"simple-card - {card_id}")
        self.add_capture(card)

    def add_capture(self, card: int, device: int = 0) -> None:
        """Give a card a (further) capture device."""
        (self._class / f"pcmC{card}D{device}c").mkdir()
        sub = self.proc_card(card) / f"pcm{device}c" / "sub0"
        sub.mkdir(parents=True)
        (sub / "status").write_text("closed\n")

    def add_playback(self, card: int, device: int) -> None:
        """Give a card a playback device."""
        (self._class / f"pcmC{card}D{device}p").mkdir()

    def open_by(self, card: int, pid: int, name: str) -> None:
        """Let a process have the card's first capture device open."""
        (self.proc_card(card) / "pcm0c" / "sub0" / "status").write_text(OPEN_STATUS.format(pid=pid))
        (self.roots.proc / str(pid)).mkdir()
        (self.roots.proc / str(pid) / "comm").write_text(f"{name}\n")

    def proc_card(self, card: int) -> Path:
        """The card's folder in /proc/asound."""
        return self.roots.proc / "asound" / f"card{card}"

    @property
    def _class(self) -> Path:
        return self.roots.sys / "class" / "sound"

    def _add_card(self, card: int, hardware: Path, card_id: str, line: str) -> None:
        hardware.mkdir(parents=True, exist_ok=True)
        folder = self._class / f"card{card}"
        folder.mkdir()
        (folder / "id").write_text(f"{card_id}\n")
        (folder / "device").symlink_to(os.path.relpath(hardware, folder))
        self.proc_card(card).mkdir(parents=True)
        self._cards[card] = (
            f"{card:2d} [{card_id:15s}]: {line}\n                      {line.partition(' - ')[2]} at 1.2\n"
        )
        (self.roots.proc / "asound" / "cards").write_text("".join(self._cards[key] for key in sorted(self._cards)))
