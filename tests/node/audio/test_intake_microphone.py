import os
import signal
from pathlib import Path

import numpy as np
import pytest
from support.alsa import VirtualAlsa
from support.children import children_like
from support.listening import assert_continuous, listening

from earshot_node.audio.devices import check_level, list_devices, portaudio_inputs
from earshot_node.audio.intake import SourceStatus
from earshot_node.audio.level import SILENCE_DBFS
from earshot_node.audio.pcm import PcmConverter, PcmFormat
from earshot_node.audio.pipe_reader import Patience
from earshot_node.contract.config import MicrophoneSource
from earshot_node.errors import SourceError

pytestmark = pytest.mark.portaudio
NOISE = np.random.default_rng(5).integers(-9000, 9000, 48_000 * 5).astype(np.int16)
AT_ONCE = Patience(burst_s=60.0)
"""The virtual device is faster than a microphone; this lets a minute of audio through without slowing it down."""


@pytest.fixture
def alsa(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> VirtualAlsa:
    monkeypatch.setenv("HOME", str(tmp_path))
    return VirtualAlsa(tmp_path)


def microphone(device: str) -> MicrophoneSource:
    return MicrophoneSource(type="microphone", id="hall", device=device)


def test_virtual_microphone_is_heard_at_its_rate(alsa: VirtualAlsa) -> None:
    alsa.add("earshot_test", NOISE)
    with listening(microphone("alsa:earshot_test"), queue_s=60) as heard:
        heard.until(lambda: heard.intake.status("hall").delivered_s > 1)
    converter = PcmConverter(PcmFormat(48000, 1))
    expected = converter.push(NOISE.astype("<i2").tobytes())[:16_000]
    assert_continuous(heard.of("hall"))
    assert all(len(block.samples) % 640 == 0 for block in heard.of("hall") if not block.last)
    np.testing.assert_allclose(heard.samples("hall")[:16_000], expected, atol=1e-6)


def test_killed_microphone_child_is_started_again_in_a_new_stream(alsa: VirtualAlsa) -> None:
    alsa.add("earshot_test", NOISE)
    with listening(microphone("alsa:earshot_test"), random=lambda: 1.0) as heard:
        heard.until_state("hall", "healthy")
        (child,) = children_like("microphone_child")
        os.kill(child, signal.SIGKILL)
        heard.until(lambda: heard.states("hall") == ["healthy", "absent", "healthy"])
    assert heard.changes[1][1].problem.startswith("microphone alsa:earshot_test: its process ended")
    assert {block.stream for block in heard.of("hall")} == {0, 1}
    assert_continuous(heard.of("hall"))
    assert children_like("microphone_child") == []


def test_absent_microphone_is_told_and_heard_once_it_is_there(alsa: VirtualAlsa) -> None:
    with listening(microphone("alsa:earshot_test"), random=lambda: 1.0) as heard:
        assert "no capture device 'earshot_test'" in heard.until_state("hall", "absent").problem
        alsa.add("earshot_test", NOISE)
        heard.until_state("hall", "healthy")
    assert heard.states("hall") == ["absent", "healthy"]
    assert heard.intake.status("hall").reopened == 0


def test_default_microphone_is_the_systems_choice(alsa: VirtualAlsa) -> None:
    alsa.add("!default", NOISE)
    with listening(microphone("default")) as heard:
        heard.until_state("hall", "healthy")


def hear(device: str, state: str) -> SourceStatus:
    with listening(microphone(device), patience=AT_ONCE) as heard:
        heard.until(lambda: state in heard.states("hall"), timeout_s=60.0)
    assert_continuous(heard.of("hall"))
    return next(status for _, status in heard.changes if status.state == state)


def test_microphone_with_digital_silence_is_silent_within_15_s_of_audio(alsa: VirtualAlsa) -> None:
    alsa.add("mute", np.zeros(48_000, np.int16))
    status = hear("alsa:mute", "silent")
    assert "alsamixer" in status.problem
    assert status.delivered_s <= 15


def test_frozen_driver_is_frozen_within_15_s_of_audio(alsa: VirtualAlsa) -> None:
    alsa.add("wedged", NOISE[:9_600])
    assert hear("alsa:wedged", "frozen").delivered_s <= 15


def test_too_loud_microphone_is_clipped_within_15_s_of_audio(alsa: VirtualAlsa) -> None:
    loud = np.random.default_rng(5).normal(0, 40_000, 48_000 * 20).clip(-32_768, 32_767).astype(np.int16)
    alsa.add("loud", loud)
    assert hear("alsa:loud", "clipped").delivered_s <= 15


def test_listed_devices_hold_the_virtual_microphone_and_can_be_checked(alsa: VirtualAlsa) -> None:
    alsa.add("earshot_test", (np.sin(np.arange(96_000) / 10) * 16_384).astype(np.int16))
    alsa.add("mute", np.zeros(96_000, np.int16))
    assert {"earshot_test", "mute"} <= {entry.name for entry in portaudio_inputs()}
    assert {"alsa:earshot_test", "alsa:mute"} <= {device.id for device in list_devices()}
    check = check_level("alsa:earshot_test", 0.5)
    assert (check.rate_hz, check.channels, check.silent) == (48_000, 1, False)
    assert check.level_dbfs == pytest.approx(-9.03, abs=0.1)
    mute = check_level("alsa:mute", 0.5)
    assert (mute.level_dbfs, mute.silent) == (SILENCE_DBFS, True)


def test_level_of_an_absent_microphone_is_its_problem(alsa: VirtualAlsa) -> None:
    with pytest.raises(SourceError, match="microphone usb-1234_5678-1 is not there"):
        check_level("usb-1234_5678-1")
