"""The drill's entities in Home Assistant."""

import json
from typing import Any, Final, get_args

from earshot_node.contract.drill import DrillOutcome
from earshot_node.contract.topics import NodeTopics

_ATTRIBUTES: Final = (
    "{{ {'heard': value_json.heard, 'detected': value_json.detected, 'published': value_json.published, "
    "'seconds': value_json.alarm_s, 'confidence': value_json.confidence, 'level_dbfs': value_json.level_dbfs, "
    "'background_dbfs': value_json.background_dbfs, 'reason': value_json.reason, 'time': value_json.time} | tojson }}"
)


def drill_parts(topics: NodeTopics, source: str) -> dict[str, dict[str, Any]]:
    """Return the components of a source's device."""
    result = {"state_topic": topics.drill_result(source).name, "entity_category": "diagnostic"}
    return {
        "drill": {
            "platform": "button",
            "name": "Drill",
            "entity_category": "diagnostic",
            "icon": "mdi:bullhorn-outline",
            "command_topic": topics.command("drill").name,
            "payload_press": json.dumps({"source": source}),
        },
        "drill_result": {
            "platform": "sensor",
            "name": "Drill result",
            "device_class": "enum",
            "options": list(get_args(DrillOutcome)),
            "icon": "mdi:clipboard-check-outline",
            **result,
            "value_template": "{{ value_json.outcome }}",
            "json_attributes_topic": topics.drill_result(source).name,
            "json_attributes_template": _ATTRIBUTES,
        },
        "drill_time": {
            "platform": "sensor",
            "name": "Drill alarm time",
            "device_class": "duration",
            "unit_of_measurement": "s",
            "state_class": "measurement",
            "suggested_display_precision": 1,
            **result,
            "value_template": "{{ value_json.alarm_s }}",
        },
        "drill_problem": {
            "platform": "binary_sensor",
            "name": "Drill problem",
            "device_class": "problem",
            **result,
            "value_template": "{{ 'OFF' if value_json.outcome == 'passed' else 'ON' }}",
        },
    }
