from pathlib import Path

import pytest
from support.sound_tree import SoundTree

from earshot_node.audio.alsa_cards import SystemRoots, capture_pcms, choose_rate_hz


@pytest.fixture
def tree(tmp_path: Path) -> SoundTree:
    return SoundTree(tmp_path)


def ids(tree: SoundTree) -> list[str]:
    return [pcm.stable_id for pcm in capture_pcms(tree.roots)]


def test_machine_without_sound_has_no_microphones(tmp_path: Path) -> None:
    assert capture_pcms(SystemRoots(tmp_path / "sys", tmp_path / "proc", tmp_path / "dev")) == []


def test_usb_microphone_is_named_by_product_serial_controller_and_ports(tree: SoundTree) -> None:
    tree.add_usb(1, port="1-1.2", serial="AB 12/3")
    pcm = capture_pcms(tree.roots)[0]
    assert pcm.stable_id == "usb-046d_0825_AB_12_3-0000:01:00.0-1.2"
    assert (pcm.name, pcm.card, pcm.device) == ("C270 HD WEBCAM", 1, 0)
    assert (pcm.rates_hz, pcm.channels, pcm.owner_pid) == ((16000,), 1, 0)


def test_usb_microphone_without_serial_has_an_id_all_the_same(tree: SoundTree) -> None:
    tree.add_usb(0, port="3-4", controller="xhci-hcd.0")
    assert ids(tree) == ["usb-046d_0825-xhci-hcd.0-4"]


def test_id_does_not_depend_on_card_and_bus_number(tmp_path: Path) -> None:
    before, after = SoundTree(tmp_path / "before"), SoundTree(tmp_path / "after")
    before.add_usb(1, port="1-1.2", serial="A")
    after.add_usb(4, port="3-1.2", serial="A")
    assert ids(before) == ids(after)


def test_two_equal_microphones_differ_by_port_and_controller(tree: SoundTree) -> None:
    tree.add_usb(0, port="1-1.2")
    tree.add_usb(1, port="1-1.3")
    tree.add_usb(2, port="2-1.2", controller="0000:02:00.0")
    assert len(set(ids(tree))) == 3


def test_onboard_and_platform_cards_are_named_by_their_place(tree: SoundTree) -> None:
    tree.add_pci(0)
    tree.add_platform(1, "soc/soc:sound", "sndrpigooglevoi")
    tree.add_platform(2, "snd_aloop.0", "Loopback")
    pcms = capture_pcms(tree.roots)
    assert [pcm.stable_id for pcm in pcms] == ["pci-0000:00:1f.3", "platform-soc:sound", "platform-snd_aloop.0"]
    assert [pcm.name for pcm in pcms] == ["HDA Intel PCH", "sndrpigooglevoi", "Loopback"]
    assert pcms[0].rates_hz == ()


def test_further_capture_device_of_a_card_has_its_own_id(tree: SoundTree) -> None:
    tree.add_pci(0)
    tree.add_capture(0, 6)
    tree.add_playback(0, 3)
    assert ids(tree) == ["pci-0000:00:1f.3", "pci-0000:00:1f.3,6"]


def test_owner_of_an_open_device_is_found(tree: SoundTree) -> None:
    tree.add_usb(1)
    tree.open_by(1, 4321, "arecord")
    assert capture_pcms(tree.roots)[0].owner_pid == 4321


def test_hidden_proc_folder_as_in_a_container_keeps_the_ids(tree: SoundTree, tmp_path: Path) -> None:
    tree.add_usb(1, serial="A")
    hidden = SystemRoots(tree.roots.sys, tmp_path / "nothing", tree.roots.dev)
    seen, whole = capture_pcms(hidden)[0], capture_pcms(tree.roots)[0]
    assert seen.stable_id == whole.stable_id
    assert seen.name == "C270 HD WEBCAM"
    assert seen.rates_hz == ()


@pytest.mark.parametrize(
    ("listed", "chosen"),
    [
        ("16000", 16000),
        ("8000, 16000, 44100, 48000", 48000),
        ("44100, 96000", 44100),
        ("96000, 192000", 96000),
        ("8000 - 48000 (continuous)", 48000),
        ("8000 - 96000 (continuous)", 48000),
        ("8000 - 44100 (continuous)", 44100),
    ],
)
def test_native_rate_is_48_khz_or_the_nearest_the_hardware_has(listed: str, chosen: int, tree: SoundTree) -> None:
    tree.add_usb(1, rates=listed)
    assert choose_rate_hz(capture_pcms(tree.roots)[0].rates_hz) == chosen
