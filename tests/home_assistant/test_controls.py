"""What a person changes in Home Assistant changes the node, and the node's answer comes back."""

from collections.abc import Callable, Iterator

import pytest
from support.home_assistant.connection import ApiError
from support.home_assistant.instance import SOON_S, HomeAssistant
from support.live_audio import LiveAudio, Pcm
from support.node_process import NodeProcess
from support.waiting import wait_until

pytestmark = [pytest.mark.home_assistant, pytest.mark.mosquitto, pytest.mark.usefixtures("quiet_log")]
SIREN, EVENT = "binary_sensor.steered_porch_siren", "event.steered_porch_siren"
SWITCH, SENSITIVITY = "switch.steered_porch_siren_detection", "number.steered_porch_siren_sensitivity"
LABEL, RECORD = "select.steered_record_label", "button.steered_record_sample"
RECORDINGS = "sensor.steered_recordings"


@pytest.fixture
def node(home_assistant: HomeAssistant, live_node: Callable[[str], NodeProcess]) -> NodeProcess:
    running = live_node("steered")
    home_assistant.wait_for(SWITCH, "on")
    home_assistant.wait_for(RECORDINGS, "0")
    return running


@pytest.fixture
def audio(home_assistant: HomeAssistant, node: NodeProcess) -> Iterator[LiveAudio]:
    with LiveAudio(node) as playing:
        home_assistant.wait_for("sensor.steered_porch_health", "healthy")
        yield playing


@pytest.mark.audio_data
def test_switch_sensitivity_recorder_and_feedback_act_on_the_node(
    home_assistant: HomeAssistant, node: NodeProcess, audio: LiveAudio, siren: Pcm
) -> None:
    sensitivity_takes_values_within_its_range(home_assistant, node)
    switched_off_label_turns_nothing_on(home_assistant, audio, siren)
    sample_is_recorded_with_the_selected_label(home_assistant)
    buttons_say_what_the_last_event_was(home_assistant, audio, siren)


def sensitivity_takes_values_within_its_range(home_assistant: HomeAssistant, node: NodeProcess) -> None:
    home_assistant.call("number.set_value", SENSITIVITY, value=80)
    home_assistant.wait_for(SENSITIVITY, "80")
    node.wait_for_log("sensitivity of siren on porch set to 80.0 over MQTT")
    with pytest.raises(ApiError, match="outside valid range"):
        home_assistant.call("number.set_value", SENSITIVITY, value=101)
    home_assistant.call("number.set_value", SENSITIVITY, value=50)
    home_assistant.wait_for(SENSITIVITY, "50")


def switched_off_label_turns_nothing_on(home_assistant: HomeAssistant, audio: LiveAudio, siren: Pcm) -> None:
    seen = len(home_assistant.happened)
    home_assistant.call("switch.turn_off", SWITCH)
    home_assistant.wait_for(SWITCH, "off")
    audio.play(siren)
    wait_until(lambda: loudest(home_assistant, seen) > 80, SOON_S, "a siren that is heard all the same")
    audio.hush()
    wait_until(lambda: -1 < home_assistant.number("sensor.steered_porch_siren_confidence") < 20, SOON_S, "quiet")
    assert "on" not in [state["state"] for _, state in home_assistant.changes(SIREN, seen)]
    assert home_assistant.changes(EVENT, seen) == []
    home_assistant.call("switch.turn_on", SWITCH)
    home_assistant.wait_for(SWITCH, "on")


def loudest(home_assistant: HomeAssistant, since: int) -> float:
    told = [state["state"] for _, state in home_assistant.changes("sensor.steered_porch_siren_confidence", since)]
    return max((float(state) for state in told if state.replace(".", "").isdigit()), default=0.0)


def sample_is_recorded_with_the_selected_label(home_assistant: HomeAssistant) -> None:
    assert home_assistant.attributes(LABEL)["options"] == ["siren", "background"]
    home_assistant.call("select.select_option", LABEL, option="background")
    home_assistant.wait_for(LABEL, "background")
    home_assistant.call("button.press", RECORD)
    home_assistant.wait_for(RECORDINGS, "1")
    assert home_assistant.attributes(RECORDINGS)["labels"] == {"background": 1}


def buttons_say_what_the_last_event_was(home_assistant: HomeAssistant, audio: LiveAudio, siren: Pcm) -> None:
    for number, button in enumerate(("confirm", "reject"), start=2):
        audio.play(siren[: 8 * 16000])
        home_assistant.wait_for(SIREN, "on")
        home_assistant.wait_for(SIREN, "off")
        home_assistant.call("button.press", f"button.steered_porch_siren_{button}")
        home_assistant.wait_for(RECORDINGS, str(number), 60)
    assert home_assistant.attributes(RECORDINGS)["labels"] == {"background": 1, "siren": 1}
