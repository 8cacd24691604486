"""The dashboard that the template makes: Home Assistant takes it, and it shows entities that exist."""

import json
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.home_assistant.household import Household, household
from support.home_assistant.instance import HomeAssistant
from support.home_assistant.told_node import ToldNode
from support.mqtt_subscriber import Subscriber

pytestmark = [pytest.mark.home_assistant, pytest.mark.mosquitto]
TEMPLATE = Path(__file__).resolve().parents[2] / "homeassistant/dashboard/dashboard.jinja"


@pytest.fixture(scope="module")
def house(home_assistant: HomeAssistant) -> Iterator[Household]:
    """A node with two sources and another with one."""
    with household(home_assistant) as home:
        yield home


def named(part: Any) -> Iterator[str]:
    """Yield the entities that a dashboard shows."""
    if isinstance(part, dict):
        for key, value in part.items():
            if key in ("entity", "entity_id"):
                yield from [value] if isinstance(value, str) else value
            else:
                yield from named(value)
    elif isinstance(part, list):
        for value in part:
            yield from named(value)


def test_dashboard_shows_every_source_and_node_with_entities_that_exist(
    home_assistant: HomeAssistant, house: Household
) -> None:
    since = home_assistant.process.log_size()
    dashboard = json.loads(home_assistant.render(TEMPLATE.read_text()))
    headings = [card["heading"] for section in sections(dashboard) for card in section if card["type"] == "heading"]
    assert {"Street microphone", "Yard microphone", "Attic microphone", house.hall.node, house.attic.node} <= set(
        headings
    )
    shown = set(named(dashboard))
    assert shown <= set(home_assistant.states)
    for key in ("siren", "siren_confirm", "siren_reject", "siren_sensitivity", "sound_level", "problem", "spectrogram"):
        assert any(entity.endswith(f"{house.hall.node}_street_{key}") for entity in shown), key
    for key in ("connectivity", "health", "recordings", "model"):
        assert any(entity.endswith(f"{house.attic.node}_{key}") for entity in shown), key
    create = {"title": "Sirens", "icon": "mdi:alarm-light", "show_in_sidebar": True, "require_admin": False}
    home_assistant.api.command("lovelace/dashboards/create", url_path="earshot-sirens", mode="storage", **create)
    home_assistant.api.command("lovelace/config/save", url_path="earshot-sirens", config=dashboard)
    assert home_assistant.api.command("lovelace/config", url_path="earshot-sirens") == dashboard
    assert home_assistant.problems(since) == []


def tiles_of(dashboard: dict[str, Any], title: str) -> dict[str, str]:
    """Return the tiles of the section with a title: name by entity."""
    found = [cards for cards in sections(dashboard) if cards[0].get("heading") == title]
    assert len(found) == 1
    return {card["entity"]: card["name"] for card in found[0] if card["type"] == "tile"}


def test_each_label_has_its_own_name_and_buttons(home_assistant: HomeAssistant) -> None:
    with Subscriber(home_assistant.broker.port) as broker:
        one = ToldNode(broker, f"shed_{secrets.token_hex(2)}", {"door": "Door"})
        two = ToldNode(broker, f"nursery_{secrets.token_hex(2)}", {"cot": "Cot"}, labels=("siren", "baby_cry"))
        for node in (one, two):
            node.announce(home_assistant)
        dashboard = json.loads(home_assistant.render(TEMPLATE.read_text()))
    cot = f"{two.node}_cot"
    assert tiles_of(dashboard, "Cot microphone") == {
        f"binary_sensor.{cot}_baby_cry": "Baby cry",
        f"binary_sensor.{cot}_siren": "Siren",
        f"button.{cot}_baby_cry_confirm": "A baby cry",
        f"button.{cot}_baby_cry_reject": "Not a baby cry",
        f"button.{cot}_siren_confirm": "A siren",
        f"button.{cot}_siren_reject": "Not a siren",
        f"sensor.{cot}_sound_level": "Level",
        f"sensor.{cot}_baby_cry_confidence": "Baby cry confidence",
        f"sensor.{cot}_siren_confidence": "Siren confidence",
        f"number.{cot}_baby_cry_sensitivity": "Baby cry sensitivity",
        f"number.{cot}_siren_sensitivity": "Siren sensitivity",
        f"switch.{cot}_baby_cry_detection": "Baby cry detection",
        f"switch.{cot}_siren_detection": "Siren detection",
        f"sensor.{cot}_drill_result": "Last drill",
    }
    shed = f"{one.node}_door"
    assert tiles_of(dashboard, "Door microphone") == {
        f"binary_sensor.{shed}_siren": "Siren",
        f"button.{shed}_siren_confirm": "A siren",
        f"button.{shed}_siren_reject": "Not a siren",
        f"sensor.{shed}_sound_level": "Level",
        f"sensor.{shed}_siren_confidence": "Confidence",
        f"number.{shed}_siren_sensitivity": "Sensitivity",
        f"switch.{shed}_siren_detection": "Detection",
        f"sensor.{shed}_drill_result": "Last drill",
    }


def sections(dashboard: dict[str, Any]) -> list[list[dict[str, Any]]]:
    """Return the cards of each section."""
    assert [view["type"] for view in dashboard["views"]] == ["sections"]
    return [section["cards"] for section in dashboard["views"][0]["sections"]]
