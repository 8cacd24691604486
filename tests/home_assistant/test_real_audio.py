"""A real siren recording through a real node process, seen from Home Assistant."""

import math
import urllib.request
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.home_assistant.instance import SOON_S, HomeAssistant
from support.live_audio import LiveAudio, Pcm
from support.mosquitto import free_port
from support.node_process import NodeProcess
from support.waiting import wait_until

from earshot_node.drill.siren import drill_siren

pytestmark = [
    pytest.mark.home_assistant,
    pytest.mark.mosquitto,
    pytest.mark.audio_data,
    pytest.mark.usefixtures("quiet_log"),
]
SIREN, EVENT, CONFIDENCE = (
    "binary_sensor.audio_porch_siren",
    "event.audio_porch_siren",
    "sensor.audio_porch_siren_confidence",
)
LAST = "sensor.audio_porch_siren_last"
LEVEL = "sensor.audio_porch_sound_level"


@pytest.fixture
def audio(
    home_assistant: HomeAssistant, live_config: Callable[[str], dict[str, Any]], tmp_path: Path
) -> Iterator[LiveAudio]:
    """What a node hears that makes links to its clips."""
    port = free_port()
    http = {"port": port, "announce": f"http://127.0.0.1:{port}"}
    config = {**live_config("audio"), "http": http, "clips": {"links": True}}
    with NodeProcess(tmp_path / "audio", config) as node, LiveAudio(node) as playing:
        home_assistant.wait_for(SIREN, "off")
        yield playing


def test_siren_turns_the_sensor_on_fires_one_event_and_ends(
    home_assistant: HomeAssistant, audio: LiveAudio, siren: Pcm, report: Callable[[str], None]
) -> None:
    wait_until(lambda: home_assistant.number(LEVEL) > -math.inf, SOON_S, "a sound level")
    quiet_dbfs = home_assistant.number(LEVEL)
    began, seen = audio.play(siren), len(home_assistant.happened)
    home_assistant.wait_for(SIREN, "on")
    on_at = next(at for at, state in home_assistant.changes(SIREN, seen) if state["state"] == "on")
    wait_until(lambda: home_assistant.changes(EVENT, seen), SOON_S, "the event")
    details = home_assistant.attributes(EVENT)
    onset, decided = (datetime.fromisoformat(details[name]).timestamp() for name in ("onset", "decided"))
    wait_until(lambda: home_assistant.number(CONFIDENCE) > 50, SOON_S, "a high confidence")
    wait_until(lambda: home_assistant.number(LEVEL) > quiet_dbfs + 10, SOON_S, "a higher sound level")
    assert (details["event_type"], details["phase"], details["source_name"]) == ("siren", "onset", "Porch")
    assert details["confidence"] > 50
    assert began - 1 < onset < on_at
    home_assistant.wait_for(SIREN, "off")
    told = home_assistant.attributes(SIREN)
    assert (told["id"], told["phase"]) == (details["id"], "offset")
    assert 1 < told["duration_s"] < 40
    assert len(home_assistant.changes(EVENT, seen)) == 1
    last_event_sensors_tell(home_assistant, told)
    with urllib.request.urlopen(details["clip_url"], timeout=SOON_S) as clip:
        assert clip.read().startswith(b"fLaC")
    report(f"siren sounds -> sensor on in Home Assistant {on_at - began:.2f} s, decided -> on {on_at - decided:.3f} s")


def test_kind_is_told_while_the_siren_sounds(home_assistant: HomeAssistant, audio: LiveAudio) -> None:
    seen = len(home_assistant.happened)
    audio.play((drill_siren(-20.0) * 32767).astype(np.int16))
    home_assistant.wait_for(SIREN, "on")
    home_assistant.wait_for(SIREN, "off")
    changes = home_assistant.changes(f"{LAST}_kind", seen)
    (named_at,) = (at for at, state in changes if state["state"] != "unknown")
    assert home_assistant.state(f"{LAST}_kind") == "yelp"
    sounding = [at for at, state in home_assistant.changes(SIREN, seen) if state["state"] == "on"]
    off_at = home_assistant.changes(SIREN, seen)[-1][0]
    assert sounding[0] < named_at < off_at
    assert len(home_assistant.changes(EVENT, seen)) == 1


def last_event_sensors_tell(home_assistant: HomeAssistant, event: dict[str, Any]) -> None:
    wait_until(lambda: home_assistant.state(f"{LAST}_duration") != "unknown", SOON_S, "the duration of the last siren")
    began = datetime.fromisoformat(home_assistant.state(LAST))
    assert abs((began - datetime.fromisoformat(event["onset"])).total_seconds()) <= 1
    assert home_assistant.state(f"{LAST}_confidence") == str(event["confidence"])
    assert float(home_assistant.state(f"{LAST}_duration")) == pytest.approx(event["duration_s"])
    assert home_assistant.state(f"{LAST}_kind") == event["kind"]
