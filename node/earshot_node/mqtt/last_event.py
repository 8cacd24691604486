"""Home Assistant's sensors of a label's last event: when it began, how sure, how long, what kind."""

from typing import Any, get_args

from earshot_node.contract.names import SIREN, SirenKind
from earshot_node.contract.topics import NodeTopics

Payload = dict[str, Any]


def last_event_parts(topics: NodeTopics, source: str, label: str) -> dict[str, Payload]:
    """Return the components, without ids; they read the same retained message, so they survive restarts."""
    title = f"Last {label.replace('_', ' ')}"
    told = {"platform": "sensor", "state_topic": topics.last_event(source, label).name}
    parts: dict[str, Payload] = {
        f"{label}-last": {
            **told,
            "name": title,
            "device_class": "timestamp",
            "icon": "mdi:clock-outline",
            "value_template": "{{ value_json.onset }}",
        },
        f"{label}-last_confidence": {
            **told,
            "name": f"{title} confidence",
            "unit_of_measurement": "%",
            "suggested_display_precision": 0,
            "icon": "mdi:gauge",
            "value_template": "{{ value_json.confidence }}",
        },
        f"{label}-last_duration": {
            **told,
            "name": f"{title} duration",
            "device_class": "duration",
            "unit_of_measurement": "s",
            "suggested_display_precision": 1,
            "icon": "mdi:timer-outline",
            "value_template": "{{ value_json.duration_s }}",  # null while it lasts: unknown
        },
    }
    if label == SIREN:
        parts[f"{label}-last_kind"] = {
            **told,
            "name": f"{title} kind",
            "device_class": "enum",
            "options": list(get_args(SirenKind)),
            "icon": "mdi:sine-wave",
            "value_template": "{{ value_json.kind or 'unknown' }}",
        }
    return parts
