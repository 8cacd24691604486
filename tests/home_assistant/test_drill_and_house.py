"""Picture, drill and house in a real Home Assistant: what a person sees of a siren, and of a drill."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.home_assistant.instance import SOON_S, HomeAssistant
from support.listening_node import ListeningNode, noise
from support.waiting import wait_until

pytestmark = [pytest.mark.home_assistant, pytest.mark.mosquitto]
HOUSE = "binary_sensor.earshot_house_siren"
SIREN = "binary_sensor.tower_street_siren"
PICTURE = "image.tower_street_spectrogram"
RESULT = "sensor.tower_street_drill_result"


@pytest.fixture(scope="module")
def node(home_assistant: HomeAssistant, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ListeningNode]:
    """A node that runs the house, and is known to Home Assistant."""
    folder = tmp_path_factory.mktemp("tower")
    house = {"enabled": True, "quiet_s": 1}
    with ListeningNode(folder, home_assistant.broker, "tower", house=house) as running:
        running.begin()
        for entity in (HOUSE, SIREN):
            running.play_until(lambda: noise(1), lambda name=entity: home_assistant.state(name) == "off", 2000)
        yield running


def test_siren_is_seen_as_picture_and_as_one_alarm_of_the_house(
    home_assistant: HomeAssistant, node: ListeningNode, tmp_path: Path
) -> None:
    log = home_assistant.process.log_size()
    begin = len(home_assistant.happened)
    node.play_until(lambda: node.siren(1), lambda: home_assistant.state(HOUSE) == "on", 2000)
    node.play_until(lambda: node.siren(1), lambda: home_assistant.state(PICTURE) not in ("", "unknown"), 2000)
    assert home_assistant.state("sensor.earshot_house_loudest_room") == "tower room"
    assert home_assistant.state("sensor.earshot_house_microphones") == "1"
    assert home_assistant.attributes(HOUSE)["rooms"] == ["tower room"]
    early = home_assistant.image(PICTURE)
    node.play_until(lambda: noise(1), lambda: home_assistant.state(HOUSE) == "off", 2000)
    wait_until(lambda: home_assistant.image(PICTURE) != early, SOON_S, "the picture of the whole event")
    (tmp_path / "picture.png").write_bytes(home_assistant.image(PICTURE))
    assert early.startswith(b"\x89PNG")
    fired = [new for _, new in home_assistant.changes("event.earshot_house_siren", begin) if new["state"] != "unknown"]
    assert [one["attributes"]["event_type"] for one in fired] == ["siren"]
    assert fired[0]["attributes"]["rooms"] == ["tower room"]
    assert home_assistant.devices()["earshot/_house"]["name"] == "Earshot house"
    assert [line.text for line in home_assistant.problems(log) if "tower" in line.text or "_house" in line.text] == []


def test_drill_by_its_button_shows_its_result_and_no_siren(home_assistant: HomeAssistant, node: ListeningNode) -> None:
    begin = len(home_assistant.happened)
    home_assistant.call("button.press", "button.tower_street_drill")
    node.play_until(lambda: noise(1), lambda: home_assistant.state(RESULT) == "passed", 2000)
    assert home_assistant.attributes(RESULT)["detected"] is True
    assert float(home_assistant.state("sensor.tower_street_drill_time")) > 0
    assert home_assistant.state("binary_sensor.tower_street_drill_problem") == "off"
    assert home_assistant.changes("event.tower_street_siren", begin) == []
    assert not [new for _, new in home_assistant.changes(SIREN, begin) if new["state"] == "on"]
    assert not [new for _, new in home_assistant.changes(HOUSE, begin) if new["state"] == "on"]
