"""Home Assistant's discovery messages: golden, and within what Home Assistant takes."""

import json
from typing import Any

import pytest
from support.golden import assert_golden
from support.mqtt_node import node_config, node_info

from earshot_node.contract.config import NodeConfig
from earshot_node.contract.operating_point import OperatingPoint
from earshot_node.mqtt.discovery import announcements, encode, fingerprint

# One unknown key at the top, in `device` or in `origin` makes Home Assistant reject the whole message.
TOP_KEYS = {"device", "origin", "components", "availability", "qos"}
DEVICE_KEYS = {"identifiers", "name", "manufacturer", "model", "sw_version", "via_device", "suggested_area"}
COMMON = {"platform", "name", "unique_id", "default_entity_id", "icon", "entity_category", "enabled_by_default"} | {
    "availability",
    "json_attributes_topic",
    "json_attributes_template",
}
PLATFORM_KEYS = {
    "binary_sensor": {"state_topic", "device_class", "value_template", "payload_on", "payload_off", "off_delay"},
    "sensor": {
        "state_topic",
        "device_class",
        "unit_of_measurement",
        "state_class",
        "suggested_display_precision",
        "options",
        "expire_after",
        "value_template",
    },
    "event": {"state_topic", "event_types"},
    "image": {"image_topic", "content_type"},
    "switch": {"state_topic", "command_topic"},
    "button": {"command_topic", "payload_press"},
    "select": {"state_topic", "command_topic", "options"},
    "update": {"state_topic", "command_topic", "payload_install", "device_class"},
    "number": {"state_topic", "command_topic", "min", "max", "step", "mode"},
}


def two_label_config() -> NodeConfig:
    point = OperatingPoint(enter=0.6, leave=0.4, min_length_s=1, bridging_s=1, cooldown_s=5)
    return node_config(1883, labels=("siren", "fire_alarm"), detection={"operating_points": {"fire_alarm": point}})


def payloads(config: NodeConfig) -> dict[str, Any]:
    found = announcements(config, node_info(config))
    assert all(topic.retain and topic.qos == 1 for topic in found)
    return {topic.name: json.loads(encode(payload)) for topic, payload in found.items()}


def components() -> list[dict[str, Any]]:
    every = [part for payload in payloads(two_label_config()).values() for part in payload["components"].values()]
    assert len(every) == 7 + 4 + 2 * (6 + 5 + 11 + 9)
    return every


def test_node_device_matches_its_golden_file() -> None:
    assert_golden("discovery_node", payloads(node_config(1883))["homeassistant/device/hall/node/config"])


def test_source_device_matches_its_golden_file() -> None:
    assert_golden("discovery_source", payloads(node_config(1883))["homeassistant/device/hall/source_street/config"])


def test_source_with_two_labels_matches_its_golden_file() -> None:
    found = payloads(two_label_config())["homeassistant/device/hall/source_yard/config"]
    assert_golden("discovery_source_two_labels", found)


def test_messages_hold_only_keys_that_home_assistant_takes() -> None:
    found = payloads(two_label_config())
    assert len(found) == 3
    for payload in found.values():
        assert set(payload) == TOP_KEYS
        assert set(payload["device"]) <= DEVICE_KEYS
        assert set(payload["origin"]) <= {"name", "sw_version", "support_url"}
    for part in components():
        assert set(part) <= COMMON | PLATFORM_KEYS[part["platform"]], part["name"]


def test_unique_ids_and_entity_ids_are_unique() -> None:
    every = components()
    assert len({part["unique_id"] for part in every}) == len(every)
    assert len({part["default_entity_id"] for part in every}) == len(every)
    assert all(part["default_entity_id"].startswith(f"{part['platform']}.hall_") for part in every)


def test_ids_of_two_nodes_never_meet_whatever_their_names() -> None:
    def ids(node: str, source: str) -> set[str]:
        config = node_config(1883, node, sources=[{"type": "microphone", "id": source}])
        return {part["unique_id"] for payload in payloads(config).values() for part in payload["components"].values()}

    assert ids("a", "b_c").isdisjoint(ids("a_b", "c"))


def test_names_do_not_repeat_the_device() -> None:
    assert not [part for part in components() if "Hall" in part["name"] or "Street" in part["name"]]


def test_sensor_rules_of_home_assistant_hold() -> None:
    for part in components():
        if part["platform"] == "sensor":
            assert part.get("entity_category") != "config"
            if part.get("device_class") == "enum":
                assert "unit_of_measurement" not in part
                assert "state_class" not in part
        if part["platform"] in {"switch", "number", "select"}:
            assert part["entity_category"] == "config"


def test_siren_sensor_never_expires_and_level_does() -> None:
    parts = {part["default_entity_id"]: part for part in components()}
    assert "expire_after" not in parts["binary_sensor.hall_street_siren"]
    assert parts["binary_sensor.hall_street_siren"]["off_delay"] == 30
    assert parts["sensor.hall_street_sound_level"]["expire_after"] == 60


def test_sensitivity_fixed_by_the_configuration_is_not_offered() -> None:
    numbers = {part["default_entity_id"] for part in components() if part["platform"] == "number"}
    assert numbers == {"number.hall_street_siren_sensitivity", "number.hall_yard_siren_sensitivity"}


def test_picture_switched_off_is_not_announced() -> None:
    config = node_config(1883, spectrogram={"enabled": False})
    platforms = {part["platform"] for payload in payloads(config).values() for part in payload["components"].values()}
    assert "sensor" in platforms
    assert "image" not in platforms


def test_discovery_switched_off_announces_nothing() -> None:
    assert payloads(node_config(1883, home_assistant={"enabled": False})) == {}


def test_fingerprint_survives_an_update_and_changes_with_the_configuration() -> None:
    config, renamed = node_config(1883), node_config(1883, node={"name": "Attic"})

    def prints(config: NodeConfig, version: str) -> list[str]:
        return [fingerprint(payload) for payload in announcements(config, node_info(config, version)).values()]

    assert prints(config, "2026.11.0") == prints(config, "2026.12.0")
    assert prints(config, "2026.11.0")[0] != prints(renamed, "2026.11.0")[0]


@pytest.mark.parametrize("state", ["starting", "healthy", "ended"])
def test_problem_sensor_is_off_in_every_fine_state(state: str) -> None:
    (template,) = {part["value_template"] for part in components() if part["name"] == "Problem"}
    assert f"'{state}'" in template.split("in ")[1].split("else")[0]
