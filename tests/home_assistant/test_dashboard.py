"""The dashboard that the template makes: Home Assistant takes it, and it shows entities that exist."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.home_assistant.household import Household, household
from support.home_assistant.instance import HomeAssistant

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


def sections(dashboard: dict[str, Any]) -> list[list[dict[str, Any]]]:
    """Return the cards of each section."""
    assert [view["type"] for view in dashboard["views"]] == ["sections"]
    return [section["cards"] for section in dashboard["views"][0]["sections"]]
