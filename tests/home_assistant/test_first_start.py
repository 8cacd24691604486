"""A node that starts for the first time: devices and entities as a person expects them, and no word in the log."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from support.home_assistant.instance import SOON_S, HomeAssistant
from support.mqtt_subscriber import retained
from support.node_process import NodeProcess
from support.waiting import wait_until

from earshot_node import __version__

pytestmark = [pytest.mark.home_assistant, pytest.mark.mosquitto]
EXPECTED_OF_NODE = {
    "connectivity": ("binary_sensor.first_connectivity", "Connection", "diagnostic"),
    "health": ("sensor.first_health", "Health", "diagnostic"),
    "real_time_factor": ("sensor.first_real_time_factor", "Real-time factor", "diagnostic"),
    "queued_events": ("sensor.first_queued_events", "Queued events", "diagnostic"),
    "model_version": ("sensor.first_model_version", "Model version", "diagnostic"),
    "model": ("update.first_model", "Model", "config"),
    "model_result": ("sensor.first_model_result", "Model installation", "diagnostic"),
    "record_sample": ("button.first_record_sample", "Record sample", None),
    "record_label": ("select.first_record_label", "Sample label", "config"),
    "record_source": ("select.first_record_source", "Sample source", "config"),
    "recordings": ("sensor.first_recordings", "Recordings waiting", "diagnostic"),
}
EXPECTED_OF_SOURCE = {
    "street/siren/sound": ("binary_sensor.first_street_siren", "Siren", None),
    "street/siren/event": ("event.first_street_siren", "Siren event", None),
    "street/siren/confidence": ("sensor.first_street_siren_confidence", "Siren confidence", None),
    "street/siren/last": ("sensor.first_street_siren_last", "Last siren", None),
    "street/siren/last_confidence": ("sensor.first_street_siren_last_confidence", "Last siren confidence", None),
    "street/siren/last_duration": ("sensor.first_street_siren_last_duration", "Last siren duration", None),
    "street/siren/last_kind": ("sensor.first_street_siren_last_kind", "Last siren kind", None),
    "street/siren/detection": ("switch.first_street_siren_detection", "Siren detection", "config"),
    "street/siren/sensitivity": ("number.first_street_siren_sensitivity", "Siren sensitivity", "config"),
    "street/siren/confirm": ("button.first_street_siren_confirm", "That was a siren", None),
    "street/siren/reject": ("button.first_street_siren_reject", "Not a siren", None),
    "street/sound_level": ("sensor.first_street_sound_level", "Sound level", None),
    "street/problem": ("binary_sensor.first_street_problem", "Problem", "diagnostic"),
    "street/health": ("sensor.first_street_health", "Health", "diagnostic"),
    "street/dropped_audio": ("sensor.first_street_dropped_audio", "Dropped audio", "diagnostic"),
    "street/hours_listened": ("sensor.first_street_hours_listened", "Hours listened", "diagnostic"),
    "street/reopened": ("sensor.first_street_reopened", "Reopened", "diagnostic"),
}
UNITS = {
    "sensor.first_queued_events": "events",
    "sensor.first_recordings": "recordings",
    "sensor.first_street_siren_confidence": "%",
    "sensor.first_street_sound_level": "dBFS",
    "sensor.first_street_dropped_audio": "s",
    "sensor.first_street_hours_listened": "h",
}
NODE, STREET, YARD = "earshot/first", "earshot/first/street", "earshot/first/yard"


@pytest.fixture(scope="module")
def log_begin(home_assistant: HomeAssistant) -> int:
    """How long Home Assistant's log was before the node started."""
    return home_assistant.process.log_size()


@pytest.fixture(scope="module")
def node(
    home_assistant: HomeAssistant, log_begin: int, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[NodeProcess]:
    """Two sources, one of them broken; in the area Hallway and in the area Garden."""
    folder = tmp_path_factory.mktemp("first")
    config = {
        "node": {"id": "first", "name": "Attic Pi", "area": "Hallway"},
        "sources": [
            {"id": "street", "name": "Street", "type": "stdin"},
            {"id": "yard", "name": "Yard", "type": "url", "url": "rtsp://127.0.0.1:1/none", "area": "Garden"},
        ],
        "mqtt": {"host": "127.0.0.1", "port": home_assistant.broker.port},
    }
    with NodeProcess(folder, config) as running:
        wait_until(lambda: {NODE, STREET, YARD} <= set(home_assistant.devices()), SOON_S, "three devices", 0.5)
        yield running


def test_devices_have_name_model_version_and_area(home_assistant: HomeAssistant, node: NodeProcess) -> None:
    devices = home_assistant.devices()
    areas = {area["area_id"]: area["name"] for area in home_assistant.api.command("config/area_registry/list")}
    facts = {
        key: (one["name"], one["manufacturer"], one["model"], one["sw_version"], areas.get(one["area_id"]))
        for key, one in devices.items()
        if key.startswith(NODE)
    }
    assert facts == {
        NODE: ("Attic Pi", "Earshot", "Node", __version__, "Hallway"),
        STREET: ("Street", "Earshot", "Standard input", __version__, "Hallway"),
        YARD: ("Yard", "Earshot", "Network stream", __version__, "Garden"),
    }
    assert {devices[source]["via_device_id"] for source in (STREET, YARD)} == {devices[NODE]["id"]}


def test_entities_are_what_a_person_expects(home_assistant: HomeAssistant, node: NodeProcess) -> None:
    entities = home_assistant.entities()
    expected = EXPECTED_OF_NODE | EXPECTED_OF_SOURCE
    found = {key: entities[f"earshot/first/{key}"] for key in expected}
    assert {
        key: (one["entity_id"], one["original_name"], one["entity_category"]) for key, one in found.items()
    } == expected


def test_every_announced_component_is_registered_as_announced(home_assistant: HomeAssistant, node: NodeProcess) -> None:
    announced = [
        component
        for payload in retained(home_assistant.broker.port, "homeassistant/device/first/+/config").values()
        for component in json.loads(payload)["components"].values()
    ]
    entities = home_assistant.entities()
    ours = {key: one for key, one in entities.items() if key.startswith("earshot/first/")}
    assert set(ours) == {component["unique_id"] for component in announced}
    assert len(announced) >= 40
    details = home_assistant.api.command(
        "config/entity_registry/get_entries", entity_ids=[one["entity_id"] for one in ours.values()]
    )
    for component in announced:
        assert registered(details[ours[component["unique_id"]]["entity_id"]]) == wanted(component)


def registered(entry: dict[str, Any]) -> dict[str, Any]:
    return {
        "entity": entry["entity_id"],
        "name": entry["original_name"],
        "icon": entry["original_icon"],
        "category": entry["entity_category"],
        "class": entry["original_device_class"],
        "precision": entry["disabled_by"] is None
        and (entry["options"] or {}).get("sensor", {}).get("suggested_display_precision"),
        "enabled": entry["disabled_by"] is None,
    }


def wanted(component: dict[str, Any]) -> dict[str, Any]:
    return {
        "entity": component["default_entity_id"],
        "name": component["name"],
        "icon": component.get("icon"),
        "category": component.get("entity_category"),
        "class": component.get("device_class"),
        "precision": component.get("enabled_by_default", True) and component.get("suggested_display_precision"),
        "enabled": component.get("enabled_by_default", True),
    }


def test_states_carry_units_and_the_broken_source_says_what_is_wrong(
    home_assistant: HomeAssistant, node: NodeProcess
) -> None:
    home_assistant.wait_for("binary_sensor.first_connectivity", "on")
    home_assistant.wait_for("binary_sensor.first_yard_problem", "on")
    home_assistant.wait_for("sensor.first_yard_health", "absent")
    assert home_assistant.attributes("binary_sensor.first_yard_problem")["problem"]
    home_assistant.wait_for("sensor.first_health", "deaf")
    assert any("yard" in problem for problem in home_assistant.attributes("sensor.first_health")["problems"])
    for entity, unit in UNITS.items():
        assert home_assistant.attributes(entity)["unit_of_measurement"] == unit, entity
    assert home_assistant.attributes("binary_sensor.first_street_siren")["friendly_name"] == "Street Siren"


def test_the_log_has_no_word_about_our_messages(
    home_assistant: HomeAssistant, log_begin: int, node: NodeProcess
) -> None:
    home_assistant.wait_for("binary_sensor.first_connectivity", "on")
    assert home_assistant.problems(log_begin) == []
    issues = home_assistant.api.command("repairs/list_issues")["issues"]
    assert [issue for issue in issues if issue["domain"] == "mqtt"] == []
