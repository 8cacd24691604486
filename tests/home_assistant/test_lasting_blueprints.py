"""Blueprints whose run lasts: what is told once, what again, and when it is over."""

import pytest
from support.home_assistant.blueprints import SOON_S, TOLD, Make, siren_entities, tell
from support.home_assistant.household import Household
from support.home_assistant.instance import HomeAssistant
from support.home_assistant.told_node import ToldNode
from support.waiting import wait_until

pytestmark = [pytest.mark.home_assistant, pytest.mark.mosquitto]


@pytest.mark.parametrize(("quiet", "told"), [(False, "70 first"), (True, "95 first")])
def test_quiet_hours_want_more_and_rising_confidence_tells_again(
    house: Household, hall: ToldNode, make: Make, *, quiet: bool, told: str
) -> None:
    home = house.home_assistant
    house.say("")
    hours = {"quiet_from": "00:00:00", "quiet_to": "23:59:59" if quiet else "00:00:00"}
    automation = make(
        "quiet_hours",
        siren_events=siren_entities("event", hall),
        confidences=siren_entities("sensor", hall, key="siren_confidence"),
        **hours,
        first=tell("{{ confidence }} first"),
        again=tell("{{ confidence }} again"),
        window={"seconds": 20},
    )
    hall.onset("street", confidence=70)
    if quiet:
        house.wait_for_runs(automation, 1)
        assert home.state(TOLD) == ""
        hall.confidence("street", 95)
    home.wait_for(TOLD, told, SOON_S)
    if not quiet:
        hall.onset("yard", confidence=75)
        hall.confidence("street", 91)
        home.wait_for(TOLD, "91 again", SOON_S)


def told_since(home: HomeAssistant, since: int) -> list[str]:
    """Return what automations told, in order; `since` is an earlier length of `happened`."""
    return [state["state"] for _, state in home.changes(TOLD, since)]


def test_certain_siren_before_two_microphones_is_one_until_the_window_is_over(
    house: Household, hall: ToldNode, make: Make
) -> None:
    home = house.home_assistant
    house.say("")
    automation = make(
        "quiet_hours",
        siren_events=siren_entities("event", hall),
        confidences=siren_entities("sensor", hall, key="siren_confidence"),
        quiet_from="00:00:00",
        quiet_to="00:00:00",
        first=tell("{{ source_name }}, {{ confidence }}, first"),
        again=tell("{{ source_name }}, {{ confidence }}, again"),
        window={"seconds": 8},
    )
    since = len(home.happened)
    hall.onset("street", confidence=97)
    home.wait_for(TOLD, "Street microphone, 97, first", SOON_S)
    hall.confidence("street", 98)
    hall.onset("yard", confidence=97)
    hall.confidence("yard", 99)
    home.wait_for(hall.entity("sensor", "yard", "siren_confidence"), "99", SOON_S)
    wait_until(lambda: home.attributes(automation)["current"] == 0, SOON_S, "the end of the run")
    hall.onset("street", confidence=96)
    home.wait_for(TOLD, "Street microphone, 96, first", SOON_S)
    assert told_since(home, since) == ["Street microphone, 97, first", "Street microphone, 96, first"]


def test_restarted_node_is_well_only_when_its_microphone_hears(
    house: Household, hall: ToldNode, attic: ToldNode, make: Make
) -> None:
    home = house.home_assistant
    house.say("")
    connection = f"binary_sensor.{hall.node}_connectivity"
    make(
        "microphone_deaf",
        problems=siren_entities("binary_sensor", hall, attic, key="problem"),
        connections=[connection],
        patience={"seconds": 3},
        deaf=tell("{{ wrong | count }} deaf at {{ now().timestamp() }}"),
        well=tell("well"),
    )

    def restart() -> None:
        hall.disconnect()
        home.wait_for(connection, "off", SOON_S)
        hall.connect()  # nothing is wrong yet, as with a node that has just started

    since = len(home.happened)
    hall.hears("street", "silent", "all zeros")
    wait_until(lambda: told_since(home, since), SOON_S, "a deaf microphone")
    restart()
    hall.hears("street", "silent", "all zeros")
    wait_until(lambda: len(told_since(home, since)) == 2, SOON_S, "the microphone that is still deaf")
    restart()
    home.wait_for(TOLD, "well", SOON_S)
    deaf, still_deaf, well = told_since(home, since)
    assert (deaf[:6], still_deaf[:6], well) == ("1 deaf", "1 deaf", "well")


def test_deaf_microphone_is_told_and_the_end_of_it(
    house: Household, hall: ToldNode, attic: ToldNode, make: Make
) -> None:
    home = house.home_assistant
    make(
        "microphone_deaf",
        problems=siren_entities("binary_sensor", hall, attic, key="problem"),
        connections=[f"binary_sensor.{node.node}_connectivity" for node in (hall, attic)],
        patience={"seconds": 1},
        deaf=tell("{{ message }}"),
        well=tell("well"),
    )
    hall.hears("street", "silent", "all zeros since 12:00")
    home.wait_for(TOLD, "Street microphone (Street): all zeros since 12:00", SOON_S)
    attic.disconnect()
    both = f"Street microphone (Street): all zeros since 12:00; {attic.node}: is not connected"
    home.wait_for(TOLD, both, SOON_S)
    attic.connect()
    hall.hears("street")
    home.wait_for(TOLD, "well", SOON_S)
