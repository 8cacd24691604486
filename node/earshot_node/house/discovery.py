"""Home Assistant's discovery of the house: a device of its own, beside nodes and sources."""

from typing import Any, Final, get_args

from earshot_node import __version__
from earshot_node.contract.house import Movement
from earshot_node.contract.house_topics import HouseTopics
from earshot_node.contract.names import SIREN

Payload = dict[str, Any]

NAME: Final = "Earshot house"
OFF_DELAY_S: Final = 60
"""Should whoever runs the house stop telling that the siren lasts."""
_SIREN_ATTRIBUTES: Final = (
    "{{ {'id': value_json.id, 'began': value_json.began, 'ended': value_json.ended, "
    "'rooms': value_json.microphones | map(attribute='room') | list | unique | list, "
    "'loudest_room': value_json.loudest_room, 'movement': value_json.movement, 'sounding': value_json.sounding, "
    "'needed': value_json.needed} | tojson }}"
)
_MICROPHONES_ATTRIBUTES: Final = "{{ {'microphones': value_json.microphones} | tojson }}"
_LISTENING_ATTRIBUTES: Final = "{{ {'needed': value_json.needed, 'away': value_json.away} | tojson }}"
_PROBLEM_ATTRIBUTES: Final = "{{ {'problem': value_json.problem, 'runs_on': value_json.owner} | tojson }}"


def house_device(topics: HouseTopics, owner: str) -> Payload:
    """Return the discovery payload of the house, run by `owner`."""
    return {
        "device": {
            "identifiers": [topics.base],
            "name": NAME,
            "manufacturer": "Earshot",
            "model": "House",
            "sw_version": __version__,
        },
        "origin": {"name": "Earshot", "sw_version": __version__},
        "availability": [
            {"topic": topics.alive(owner).name, "payload_available": "online", "payload_not_available": "offline"}
        ],
        "qos": 1,
        "components": {
            key: {
                **part,
                "unique_id": f"{topics.base}/{key}",
                "default_entity_id": f"{part['platform']}.{topics.prefix.replace('/', '_').replace('-', '_')}_house_"
                f"{key.removesuffix('_event')}",
            }
            for key, part in (_siren_parts(topics) | _report_parts(topics)).items()
        },
    }


def _siren_parts(topics: HouseTopics) -> dict[str, Payload]:
    return {
        "siren": {
            "platform": "binary_sensor",
            "name": "Siren",
            "device_class": "sound",
            "icon": "mdi:alarm-light",
            "state_topic": topics.state().name,
            "off_delay": OFF_DELAY_S,
            "json_attributes_topic": topics.report().name,
            "json_attributes_template": _SIREN_ATTRIBUTES,
        },
        "siren_event": {
            "platform": "event",
            "name": "Siren event",
            "icon": "mdi:alarm-light-outline",
            "state_topic": topics.onset().name,
            "event_types": [SIREN],
        },
    }


def _report_parts(topics: HouseTopics) -> dict[str, Payload]:
    report = {"state_topic": topics.report().name}
    attributes = {"json_attributes_topic": topics.report().name}
    return {
        "loudest_room": {
            "platform": "sensor",
            "name": "Loudest room",
            "icon": "mdi:home-sound-in-outline",
            **report,
            "value_template": "{{ value_json.loudest_room or None }}",
        },
        "movement": {
            "platform": "sensor",
            "name": "Movement",
            "device_class": "enum",
            "options": list(get_args(Movement)),
            "icon": "mdi:arrow-left-right",
            **report,
            "value_template": "{{ value_json.movement }}",
        },
        "microphones": {
            "platform": "sensor",
            "name": "Microphones that hear it",
            "unit_of_measurement": "microphones",
            "state_class": "measurement",
            "suggested_display_precision": 0,
            "icon": "mdi:microphone-message",
            **report,
            "value_template": "{{ value_json.sounding }}",
            **attributes,
            "json_attributes_template": _MICROPHONES_ATTRIBUTES,
        },
        "listening": {
            "platform": "sensor",
            "name": "Microphones that listen",
            "unit_of_measurement": "microphones",
            "state_class": "measurement",
            "suggested_display_precision": 0,
            "icon": "mdi:microphone",
            "entity_category": "diagnostic",
            **report,
            "value_template": "{{ value_json.listening }}",
            **attributes,
            "json_attributes_template": _LISTENING_ATTRIBUTES,
        },
        "problem": {
            "platform": "binary_sensor",
            "name": "Problem",
            "device_class": "problem",
            "entity_category": "diagnostic",
            **report,
            "value_template": "{{ 'ON' if value_json.problem else 'OFF' }}",
            **attributes,
            "json_attributes_template": _PROBLEM_ATTRIBUTES,
        },
    }
