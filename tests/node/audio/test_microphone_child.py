import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from support.alsa import VirtualAlsa
from support.sound_tree import SoundTree

from earshot_node.audio.alsa_cards import capture_pcms
from earshot_node.audio.live_input import microphone_command, parse_microphone_header
from earshot_node.audio.microphone_child import DeviceError, Input, Resolved, resolve
from earshot_node.audio.pcm import PcmFormat
from earshot_node.errors import SourceError

CAMERA = Input(3, "C270 HD WEBCAM: USB Audio (hw:1,0)", 48000, 1)
CARD = Input(1, "HDA Intel PCH: ALC257 Analog (hw:0,0)", 44100, 2)
NAMED = Input(7, "pulse", 44100, 32)
INPUTS = [CARD, CAMERA, NAMED]
CAMERA_ID = "usb-046d_0825_A-0000:01:00.0-1.2"


@pytest.fixture
def tree(tmp_path: Path) -> SoundTree:
    tree = SoundTree(tmp_path)
    tree.add_pci(0)
    tree.add_usb(1, serial="A")
    return tree


def test_stable_id_is_resolved_by_card_and_device_number(tree: SoundTree) -> None:
    resolved = resolve(CAMERA_ID, INPUTS, capture_pcms(tree.roots), None)
    assert resolved.number == 3
    assert resolved.rates_hz[0] == 16000
    assert resolved.channels == [1]


def test_stereo_hardware_is_opened_with_both_channels(tree: SoundTree) -> None:
    assert resolve("pci-0000:00:1f.3", INPUTS, capture_pcms(tree.roots), None).channels == [2, 1]


def test_named_pcm_and_default_are_resolved(tree: SoundTree) -> None:
    pcms = capture_pcms(tree.roots)
    expected = Resolved(7, [48000, 44100, 16000, 32000, 8000, 96000], [1, 2])
    assert resolve("alsa:pulse", INPUTS, pcms, None) == expected
    assert resolve("default", INPUTS, pcms, 7) == expected


def test_absent_microphone_is_never_replaced_and_the_present_ones_are_named(tree: SoundTree) -> None:
    with pytest.raises(DeviceError, match=r"usb-9999_0001-1 is not there; present: pci-0000:00:1f\.3, usb-046d_0825_A"):
        resolve("usb-9999_0001-1", INPUTS, capture_pcms(tree.roots), 1)


def test_equal_microphone_at_another_port_is_another_microphone(tmp_path: Path) -> None:
    tree = SoundTree(tmp_path)
    tree.add_usb(1, port="1-1.3", serial="A")
    with pytest.raises(DeviceError, match="is not there"):
        resolve(CAMERA_ID, INPUTS, capture_pcms(tree.roots), 1)


def test_ambiguous_id_opens_nothing(tmp_path: Path) -> None:
    tree = SoundTree(tmp_path)
    tree.add_platform(0, "soc:sound", "one")
    tree.add_platform(1, "soc:sound", "two")
    with pytest.raises(DeviceError, match="2 devices have the id"):
        resolve("platform-soc:sound", INPUTS, capture_pcms(tree.roots), None)


def test_busy_microphone_names_its_process(tree: SoundTree) -> None:
    tree.open_by(1, 999_999_999, "arecord")
    with pytest.raises(DeviceError, match="cannot be opened: in use by process 999999999"):
        resolve(CAMERA_ID, [CARD], capture_pcms(tree.roots), None)


def test_no_default_says_what_to_plug_in() -> None:
    with pytest.raises(DeviceError, match="no default microphone; no microphone is plugged in"):
        resolve("default", [], [], None)


def test_unknown_alsa_name_points_to_its_configuration(tree: SoundTree) -> None:
    with pytest.raises(DeviceError, match=r"no capture device 'mine'; check ~/\.asoundrc"):
        resolve("alsa:mine", INPUTS, capture_pcms(tree.roots), None)


def test_header_line_is_parsed_once_complete() -> None:
    line = b'{"rate_hz": 44100, "channels": 2}\n'
    assert all(parse_microphone_header(line[:length]) is None for length in range(len(line)))
    assert parse_microphone_header(line + b"\x01") == (PcmFormat(44100, 2), len(line))


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b'{"problem": "it is gone"}\n', "it is gone"),
        (b"{}\n", "damaged header"),
        (b"\xff\xfe\n", "damaged header"),
        (b"[1]\n", "damaged header"),
        (bytes(5000), "no header"),
    ],
)
def test_problem_or_damage_in_the_header_is_a_source_error(data: bytes, said: str) -> None:
    with pytest.raises(SourceError, match=said):
        parse_microphone_header(data)


def test_child_imports_neither_numpy_nor_pydantic() -> None:
    heavy = "numpy pydantic onnxruntime soxr asyncio dataclasses click earshot_node.contract earshot_node.errors"
    code = (
        "import sys, earshot_node.audio.microphone_child;"
        f"print([name for name in {heavy.split()} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_missing_pyaudio_says_how_to_get_it(tmp_path: Path) -> None:
    (tmp_path / "pyaudio.py").write_text("raise ImportError('no PyAudio here')")
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r});"
        "from earshot_node.audio.microphone_child import main; sys.exit(main(['--device', 'default']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "`pip install '.[mic]'` in the checkout" in json.loads(done.stdout)["problem"]


@pytest.mark.portaudio
def test_real_pyaudio_writes_a_header_and_the_samples_of_a_virtual_device(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples = np.random.default_rng(3).integers(-9000, 9000, 48000).astype(np.int16)
    VirtualAlsa(tmp_path).add("earshot_test", samples)
    monkeypatch.setenv("HOME", str(tmp_path))
    with subprocess.Popen(
        microphone_command("alsa:earshot_test"), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        assert parse_microphone_header(child.stdout.readline()) == (PcmFormat(48000, 1), 34)
        pcm = child.stdout.read(len(samples))
        child.stdout.close()
        assert child.wait(10) == 0, "the child ends when nobody reads"
    assert pcm == samples.astype("<i2").tobytes()[: len(pcm)]
