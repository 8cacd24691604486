"""Every blueprint in a real Home Assistant: what it does when a siren is heard, and that a restart is no siren."""

import re
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest
import yaml
from support.home_assistant.blueprints import BLUEPRINTS, FOLDER, SOON_S, TOLD, Make, siren_entities, tell
from support.home_assistant.household import Household
from support.home_assistant.instance import HomeAssistant
from support.home_assistant.told_node import ToldNode
from support.waiting import wait_until

pytestmark = [pytest.mark.home_assistant, pytest.mark.mosquitto]


def test_blueprints_import_by_url(home_assistant: HomeAssistant) -> None:
    class Quiet(SimpleHTTPRequestHandler):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args, directory=str(FOLDER))

        def log_message(self, *_: object) -> None:
            return

    assert len(BLUEPRINTS) == 6
    server = ThreadingHTTPServer(("127.0.0.1", 0), Quiet)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        for path in BLUEPRINTS:
            url = f"http://127.0.0.1:{server.server_port}/{path.name}"
            told = home_assistant.api.command("blueprint/import", url=url)
            assert told["validation_errors"] is None, path
            assert told["blueprint"]["metadata"]["source_url"] == url
    finally:
        server.shutdown()
        server.server_close()


def test_inputs_have_names_and_selectors_and_only_choices_have_no_default() -> None:
    def inputs(found: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
        for key, one in found.items():
            yield from inputs(one["input"]) if "input" in one else [(key, one)]

    class Loader(yaml.SafeLoader):
        pass

    Loader.add_constructor("!input", lambda _loader, node: node.value)
    seen = 0
    for path in BLUEPRINTS:
        blueprint = yaml.load(path.read_text(), Loader)["blueprint"]
        for key, one in inputs(blueprint["input"]):
            seen += 1
            assert one.keys() >= {"name", "selector"}, (path.name, key)
            if "default" not in one:
                assert one["selector"].keys() <= {"entity", "device"}, (path.name, key)
    assert seen > 40


def test_notification_asks_and_the_answer_goes_to_the_node(house: Household, hall: ToldNode, make: Make) -> None:
    house.phone.notifications.clear()
    make("notify", siren_events=siren_entities("event", hall), phones=[house.phone.device], calm={"seconds": 0})
    event = hall.onset("street", confidence=91)
    house.phone.wait_for(1)
    hall.picture("street", b"\x89PNG")
    house.phone.wait_for(2)
    first, second = house.phone.notifications
    assert (first["title"], first["message"]) == ("Siren", "Street microphone (Street), 91 %")
    assert [one["title"] for one in first["data"]["actions"]] == ["Siren", "Not a siren"]
    assert "image" not in first["data"]
    picture = hall.entity("image", "street", "spectrogram")
    assert (second["data"]["image"], second["data"]["alert_once"]) == (f"/api/image_proxy/{picture}", True)
    assert second["data"]["tag"] == first["data"]["tag"]
    house.phone.answer("SOMETHING_ELSE")
    house.phone.answer(first["data"]["actions"][1]["action"])
    house.phone.wait_for(3)
    topic = hall.topics.feedback("street", "siren", "reject").name
    wait_until(lambda: (topic, {"event": event}) in hall.feedback(), SOON_S, "the feedback")
    assert house.phone.notifications[2]["message"] == "clear_notification"
    assert len(hall.feedback()) == 1


def test_picture_does_not_bring_an_answered_notification_back(house: Household, hall: ToldNode, make: Make) -> None:
    house.phone.notifications.clear()
    automation = make(
        "notify", siren_events=siren_entities("event", hall), phones=[house.phone.device], calm={"seconds": 0}
    )
    hall.onset("street")
    house.phone.wait_for(1)
    house.wait_for_step(automation, "action/0/else/3/then/0")
    house.phone.answer(house.phone.notifications[0]["data"]["actions"][0]["action"])
    house.phone.wait_for(2)
    wait_until(lambda: house.home_assistant.attributes(automation)["current"] == 0, SOON_S, "the end of the run")
    hall.picture("street", b"\x89PNG 2")
    hall.onset("yard")
    house.phone.wait_for(3)
    assert [one["message"] for one in house.phone.notifications] == [
        "Street microphone (Street), 90 %",
        "clear_notification",
        "Yard microphone (Yard), 90 %",
    ]


def test_notification_offers_to_listen_where_there_is_a_link_to_the_clip(
    house: Household, hall: ToldNode, make: Make
) -> None:
    house.phone.notifications.clear()
    make("notify", siren_events=siren_entities("event", hall), phones=[house.phone.device], calm={"seconds": 0})
    link = "http://hall.lan:8765/clips/0123456789abcdef/signature.flac"
    hall.onset("street", clip_url=link)
    house.phone.wait_for(1)
    actions = house.phone.notifications[0]["data"]["actions"]
    assert actions[2:] == [{"action": "URI", "title": "Listen", "uri": link}]
    house.phone.answer(actions[0]["action"])
    house.phone.wait_for(2)


def test_one_passing_siren_is_one_notification(house: Household, hall: ToldNode, attic: ToldNode, make: Make) -> None:
    house.phone.notifications.clear()
    events = siren_entities("event", hall, attic)
    automation = make(
        "notify", siren_events=events, phones=[house.phone.device], calm={"seconds": 3}, least_confidence=60
    )
    house.wait_for_calm(3.5)
    attic.onset("front", confidence=50)
    hall.onset("street", confidence=70)
    hall.onset("yard", confidence=99)
    house.wait_for_runs(automation, 3)
    assert [one["message"] for one in house.phone.notifications] == ["Street microphone (Street), 70 %"]


def test_answer_about_the_house_goes_to_every_microphone_that_heard_it(house: Household, make: Make) -> None:
    house.phone.notifications.clear()
    event = house.announce_house()
    make("notify", siren_events=[event], phones=[house.phone.device], calm={"seconds": 0})
    house.house_hears(["Attic", "Street"], [f"{house.attic.node}/front", f"{house.hall.node}/street"], confidence=88)
    house.phone.wait_for(1)
    assert house.phone.notifications[0]["message"] == "Attic, 88 %"
    house.phone.answer(house.phone.notifications[0]["data"]["actions"][0]["action"])
    for node, source in ((house.attic, "front"), (house.hall, "street")):
        said = (node.topics.feedback(source, "siren", "confirm").name, {"event": ""})
        wait_until(lambda node=node, said=said: said in node.feedback(), SOON_S, "feedback")  # type: ignore[misc]


def test_lights_flash_and_players_pause_until_it_is_over(house: Household, hall: ToldNode, make: Make) -> None:
    home = house.home_assistant
    home.call("input_boolean.turn_on", "input_boolean.playing")
    home.wait_for("media_player.radio", "playing", SOON_S)
    make(
        "lights_and_media",
        sirens=siren_entities("binary_sensor", hall),
        least_level=-40,
        lights=[house.lamp.entity],
        players=["media_player.radio"],
        flashes=2,
        period=0.4,
        calm={"seconds": 1},
    )
    hall.onset("yard", level_dbfs=-60)
    hall.offset("yard")
    hall.onset("street", level_dbfs=-25)
    home.wait_for("media_player.radio", "paused", SOON_S)
    wait_until(lambda: len(house.lamp.obey()) >= 5, SOON_S, "two flashes and the end")
    commands = house.lamp.obey()
    assert [one["state"] for one in commands] == ["ON", "OFF", "ON", "OFF", "ON"]
    assert (commands[0]["brightness"], commands[0]["color"]) == (255, {"r": 255, "g": 60, "b": 0})
    assert (commands[4]["brightness"], commands[4]["color"]) == (100, {"r": 0, "g": 255, "b": 0})
    assert home.state("media_player.radio") == "paused"
    hall.offset("street")
    home.wait_for("media_player.radio", "playing", SOON_S)


def test_house_has_one_incident_with_its_loudest_room(
    house: Household, hall: ToldNode, attic: ToldNode, make: Make
) -> None:
    home = house.home_assistant
    make(
        "house_incident",
        sirens=siren_entities("binary_sensor", hall, attic),
        window={"seconds": 8},
        calm={"seconds": 1},
        begins=tell("{{ loudest_room }}; {{ rooms | join(',') }}; {{ sources | count }}; {{ confidence }}"),
        ends=tell("over after {{ duration_s }} s in {{ loudest_room }}"),
    )
    house.say("")
    house.wait_for_calm(8.5)
    hall.onset("street", confidence=80, level_dbfs=-30)
    hall.offset("street")
    attic.onset("front", confidence=70, level_dbfs=-20)
    home.wait_for(TOLD, "Attic; Attic,Street; 2; 80", SOON_S)
    hall.onset("yard", level_dbfs=-5)
    attic.offset("front")
    hall.offset("yard")
    wait_until(lambda: home.state(TOLD).startswith("over after"), SOON_S, "the end")
    assert home.state(TOLD).endswith("s in Attic")


def test_one_source_alone_is_no_incident(house: Household, hall: ToldNode, attic: ToldNode, make: Make) -> None:
    house.wait_for_calm(2.0)
    automation = make(
        "house_incident",
        sirens=siren_entities("binary_sensor", hall, attic),
        window={"seconds": 1},
        begins=tell("incident"),
    )
    house.say("")
    hall.onset("street")
    house.wait_for_runs(automation, 1)
    assert house.home_assistant.state(TOLD) == ""


def test_weekly_review_counts_and_proposes_to_train(house: Household, hall: ToldNode, make: Make) -> None:
    home = house.home_assistant
    at, day = house.in_seconds(25)
    make(
        "weekly_review",
        siren_events=siren_entities("event", hall),
        heard_counter="counter.sirens",
        false_counter="counter.false_alarms",
        enough_false_alarms=1,
        day=day,
        at=at,
        review=tell("{{ heard }} {{ false_alarms }} {{ retrain }} {{ message }}"),
    )
    hall.onset("street")
    hall.onset("yard")
    home.wait_for("counter.sirens", "2", SOON_S)

    def counted() -> bool:  # pressed again, because Home Assistant subscribes a moment after the automation is there
        hall.reject("yard")
        return home.state("counter.false_alarms") != "0"

    wait_until(counted, SOON_S, "a false alarm")
    wait_until(lambda: home.state(TOLD).startswith("2 "), SOON_S, "a review")
    assert re.match(r"2 [1-9]\d* True 2 sirens heard, [1-9]\d* called not a siren, 0 rec", home.state(TOLD))
    home.wait_for("counter.sirens", "0", SOON_S)


def test_restart_is_no_siren(house: Household, hall: ToldNode, attic: ToldNode, make: Make) -> None:
    home = house.home_assistant
    house.phone.notifications.clear()
    house.say("")
    events, sirens = siren_entities("event", hall, attic), siren_entities("binary_sensor", hall, attic)
    told = tell("{{ this.entity_id }}")
    made = [
        make("notify", siren_events=events, phones=[house.phone.device], calm={"seconds": 0}),
        make("lights_and_media", sirens=sirens, lights=[house.lamp.entity]),
        make("house_incident", sirens=sirens, least_sources=1, begins=told),
        make("quiet_hours", siren_events=events, day_confidence=0, first=told),
        make("microphone_deaf", problems=siren_entities("binary_sensor", hall, attic, key="problem"), deaf=told),
        make(
            "weekly_review", siren_events=events, heard_counter="counter.sirens", false_counter="counter.false_alarms"
        ),
    ]
    home.stop()
    home.start()
    for node in (hall, attic):
        home.wait_for(node.entity("binary_sensor", node.config.sources[0].id, "siren"), "off", SOON_S)
        node.disconnect()
        home.wait_for(node.entity("event", node.config.sources[0].id, "siren"), "unavailable", SOON_S)
        node.connect()
        wait_until(
            lambda node=node: home.state(node.entity("event", node.config.sources[0].id, "siren")) > "2026",  # type: ignore[misc]
            SOON_S,
            "the event entity's last state",
        )
    for automation in made:
        assert home.state(automation) == "on"
        assert home.attributes(automation)["last_triggered"] is None, automation
    assert house.phone.notifications == []
    assert home.state(TOLD) == ""
