"""Discovery payloads of what is gone: Home Assistant ignores the removal of what it has not discovered itself.

That is so when a source or label goes while Home Assistant is down: it would keep dead entities for ever. Announced
again by their unique ids, with nothing but what their platforms require, they can be removed.
"""

from collections.abc import Mapping
from typing import Any, Final

from earshot_node.mqtt.discovery import Payload, identifier, named

_STATE, _COMMAND = "state_topic", "command_topic"
_REQUIRED: Final[Mapping[str, Mapping[str, Any]]] = {
    "binary_sensor": {_STATE: None},
    "button": {_COMMAND: None},
    "event": {_STATE: None, "event_types": ["departed"]},
    "image": {"image_topic": None},
    "number": {_COMMAND: None},
    "select": {_COMMAND: None, "options": ["departed"]},
    "sensor": {_STATE: None},
    "switch": {_COMMAND: None},
    "update": {_STATE: None},
}


def departed_components(topic: str, gone: Mapping[str, str]) -> dict[str, Payload]:
    """Return components of the device on a discovery topic by their key; `gone` are platforms by key."""
    nowhere = f"{topic.removesuffix('/config')}/departed"
    parts = {
        key: {"platform": platform, "name": key}
        | {option: nowhere if value is None else value for option, value in _REQUIRED[platform].items()}
        for key, platform in gone.items()
        if platform in _REQUIRED
    }
    return named(parts, *_owner(topic))


def departed_device(topic: str, gone: Mapping[str, str]) -> Payload:
    """Return a whole device that is gone."""
    owner = _owner(topic)
    return {
        "device": {"identifiers": [identifier(*owner)], "name": owner[-1], "manufacturer": "Earshot"},
        "origin": {"name": "Earshot"},
        "components": departed_components(topic, gone),
    }


def _owner(topic: str) -> tuple[str, ...]:
    """Return the ids of node and source of a discovery topic, see `DiscoveryTopics`."""
    *_, node, device, _config = topic.split("/")
    return (node, device.removeprefix("source_")) if device.startswith("source_") else (node,)
