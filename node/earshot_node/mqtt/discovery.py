"""Home Assistant's discovery payloads: one for the node's device, one for each source's.

Unique ids and component keys never change: they are how Home Assistant knows an entity again. Only platforms and keys
that Home Assistant has known since late 2024 are used, because one unknown platform or top-level key rejects all.
"""

import hashlib
import json
from typing import Any, Final, get_args

from earshot_node.contract.config import NodeConfig, Source
from earshot_node.contract.deployment import Outcome
from earshot_node.contract.messages import HealthState, NodeInfo, SourceState
from earshot_node.contract.topics import DiscoveryTopics, NodeTopics, Topic
from earshot_node.drill.discovery import drill_parts
from earshot_node.mqtt.label_look import event_icon_of, icon_of, one_of
from earshot_node.mqtt.last_event import last_event_parts
from earshot_node.mqtt.recorder import recorder_options
from earshot_node.spectrogram.discovery import spectrogram_parts

Payload = dict[str, Any]

OFF_DELAY_S: Final = 30
EXPIRE_AFTER_S: Final = 60
_MODELS: Final = {"microphone": "Microphone", "file": "Audio file", "url": "Network stream", "stdin": "Standard input"}
_RECORDINGS_ATTRIBUTES: Final = (
    "{{ {'labels': value_json.labels, 'candidates': value_json.candidates, 'problem': value_json.problem} | tojson }}"
)
_FINE_STATES: Final = ("starting", "healthy", "ended")


def announcements(config: NodeConfig, info: NodeInfo) -> dict[Topic, Payload]:
    """Return every discovery payload by its topic, the node's device first; empty if discovery is off."""
    if not config.home_assistant.enabled:
        return {}
    topics = DiscoveryTopics(config.home_assistant.discovery_prefix, config.node.id)
    return {topics.node_device(): node_device(config, info)} | {
        topics.source_device(source.id): source_device(config, info, source) for source in config.sources
    }


def encode(payload: Payload) -> bytes:
    """Return the payload as compact JSON."""
    return json.dumps(payload, ensure_ascii=False, separators=(",", ":")).encode()


def fingerprint(payload: Payload) -> str:
    """Return what changes when the configuration behind a payload changes, and not with an update of Earshot."""
    device = {key: value for key, value in payload["device"].items() if key != "sw_version"}
    text = json.dumps({**payload, "device": device, "origin": None}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def platforms(payload: Payload) -> dict[str, str]:
    """Return the platform of every component by its key."""
    return {key: component["platform"] for key, component in payload["components"].items()}


def removing(payload: Payload, gone: dict[str, str]) -> Payload:
    """Return `payload` with components that tell Home Assistant to remove what is `gone` (key to platform)."""
    stubs = {key: {"platform": platform} for key, platform in gone.items()}
    return {**payload, "components": {**payload["components"], **stubs}}


def node_device(config: NodeConfig, info: NodeInfo) -> Payload:
    """Return the discovery payload of the node itself."""
    topics = NodeTopics(config.mqtt.prefix, config.node.id)
    health = {"state_topic": topics.health().name, "entity_category": "diagnostic"}
    parts: dict[str, Payload] = {
        "health": {
            "platform": "sensor",
            "name": "Health",
            "device_class": "enum",
            "options": list(get_args(HealthState)),
            "icon": "mdi:heart-pulse",
            **health,
            "value_template": "{{ value_json.state }}",
            "json_attributes_topic": topics.health().name,
            "json_attributes_template": "{{ {'problems': value_json.problems} | tojson }}",
        },
        "real_time_factor": {
            "platform": "sensor",
            "name": "Real-time factor",
            "icon": "mdi:speedometer",
            **_measured("real_time_factor", precision=3),
            **health,
        },
        "queued_events": {
            "platform": "sensor",
            "name": "Queued events",
            "unit_of_measurement": "events",
            "icon": "mdi:tray-full",
            **_measured("queued_events", precision=0),
            **health,
        },
        "model_version": {
            "platform": "sensor",
            "name": "Model version",
            "icon": "mdi:brain",
            **health,
            "value_template": "{{ value_json.model_version }}",
        },
        "connectivity": {
            "platform": "binary_sensor",
            "name": "Connection",
            "device_class": "connectivity",
            "entity_category": "diagnostic",
            "state_topic": topics.status().name,
            "payload_on": "online",
            "payload_off": "offline",
            "availability": [],  # tells `offline` instead of becoming unavailable
        },
    }
    device = {
        "identifiers": [identifier(config.node.id)],
        "name": config.node.name or config.node.id,
        "model": "Node",
        **_area(config.node.area),
    }
    parts |= _model_parts(topics) | _recorder_parts(config, info, topics)
    return _payload(config, info, device, named(parts, config.node.id))


def _model_parts(topics: NodeTopics) -> dict[str, Payload]:
    """Return what installs a model, and tells how that went."""
    return {
        "model": {
            "platform": "update",
            "name": "Model",
            "device_class": "firmware",
            "entity_category": "config",
            "icon": "mdi:brain",
            "state_topic": topics.update().name,
            "command_topic": topics.command("install_model").name,
            "payload_install": "{}",
        },
        "model_result": {
            "platform": "sensor",
            "name": "Model installation",
            "device_class": "enum",
            "options": list(get_args(Outcome)),
            "icon": "mdi:brain",
            "entity_category": "diagnostic",
            "state_topic": topics.model_result().name,
            "value_template": "{{ value_json.outcome }}",
            "json_attributes_topic": topics.model_result().name,
            "json_attributes_template": "{{ {'version': value_json.version, 'reason': value_json.reason} | tojson }}",
        },
    }


def _recorder_parts(config: NodeConfig, info: NodeInfo, topics: NodeTopics) -> dict[str, Payload]:
    """Return what records samples for training, and tells how many wait."""
    parts: dict[str, Payload] = {
        "record_sample": {
            "platform": "button",
            "name": "Record sample",
            "icon": "mdi:record-rec",
            "command_topic": topics.command("record").name,
            "payload_press": "{}",
        },
        "recordings": {
            "platform": "sensor",
            "name": "Recordings waiting",
            "unit_of_measurement": "recordings",
            "icon": "mdi:waveform",
            **_measured("waiting", precision=0),
            "entity_category": "diagnostic",
            "state_topic": topics.recordings().name,
            "json_attributes_topic": topics.recordings().name,
            "json_attributes_template": _RECORDINGS_ATTRIBUTES,
        },
    }
    for setting, options in recorder_options(config, info).items():
        if setting == "label" or len(options) > 1:
            parts[f"record_{setting}"] = {
                "platform": "select",
                "name": f"Sample {setting}",
                "icon": "mdi:tag-outline" if setting == "label" else "mdi:microphone",
                "entity_category": "config",
                "options": list(options),
                "state_topic": topics.recorder_setting(setting).name,
                "command_topic": topics.set_recorder_setting(setting).name,
            }
    return parts


def source_device(config: NodeConfig, info: NodeInfo, source: Source) -> Payload:
    """Return the discovery payload of a source and of what is listened for there."""
    topics = NodeTopics(config.mqtt.prefix, config.node.id)
    parts = _source_parts(topics, source.id) | spectrogram_parts(config, topics, source.id)
    parts |= drill_parts(topics, source.id)
    for label in config.labels:
        parts |= _label_parts(config, topics, source.id, label)
    device = {
        "identifiers": [identifier(config.node.id, source.id)],
        "name": source.name or source.id,
        "model": _MODELS[source.type],
        "via_device": identifier(config.node.id),
        **_area(source.area or config.node.area),
    }
    return _payload(config, info, device, named(parts, config.node.id, source.id))


def _source_parts(topics: NodeTopics, source: str) -> dict[str, Payload]:
    health = {"state_topic": topics.source_health(source).name, "entity_category": "diagnostic"}
    total = {"state_class": "total_increasing"}
    return {
        "sound_level": {
            "platform": "sensor",
            "name": "Sound level",
            "unit_of_measurement": "dBFS",
            "state_class": "measurement",
            "suggested_display_precision": 1,
            "icon": "mdi:volume-high",
            "state_topic": topics.level(source).name,
            "expire_after": EXPIRE_AFTER_S,
        },
        "problem": {
            "platform": "binary_sensor",
            "name": "Problem",
            "device_class": "problem",
            **health,
            "value_template": "{{ 'OFF' if value_json.state in " + str(list(_FINE_STATES)) + " else 'ON' }}",
            "json_attributes_topic": topics.source_health(source).name,
            "json_attributes_template": "{{ {'problem': value_json.problem} | tojson }}",
        },
        "health": {
            "platform": "sensor",
            "name": "Health",
            "device_class": "enum",
            "options": list(get_args(SourceState)),
            "icon": "mdi:microphone-question",
            **health,
            "value_template": "{{ value_json.state }}",
        },
        "dropped_audio": {
            "platform": "sensor",
            "name": "Dropped audio",
            "device_class": "duration",
            "unit_of_measurement": "s",
            **_measured("dropped_s", precision=1) | total,
            **health,
        },
        "hours_listened": {
            "platform": "sensor",
            "name": "Hours listened",
            "device_class": "duration",
            "unit_of_measurement": "h",
            **_measured("hours_listened", precision=1) | total,
            **health,
        },
        "reopened": {
            "platform": "sensor",
            "name": "Reopened",
            "icon": "mdi:restart",
            "enabled_by_default": False,
            **_measured("reopened", precision=0) | total,
            **health,
        },
    }


def _label_parts(config: NodeConfig, topics: NodeTopics, source: str, label: str) -> dict[str, Payload]:
    """Keys hold a `-`, which no label does, so a label cannot take the key of something else."""
    title = label.replace("_", " ").capitalize()
    parts: dict[str, Payload] = {
        f"{label}-sound": {
            "platform": "binary_sensor",
            "name": title,
            "device_class": "sound",
            "icon": icon_of(label),
            "state_topic": topics.state(source, label).name,
            "off_delay": OFF_DELAY_S,
            "json_attributes_topic": topics.last_event(source, label).name,
        },
        f"{label}-event": {
            "platform": "event",
            "name": f"{title} event",
            "icon": event_icon_of(label),
            "state_topic": topics.onset(source, label).name,
            "event_types": [label],
        },
        f"{label}-confidence": {
            "platform": "sensor",
            "name": f"{title} confidence",
            "unit_of_measurement": "%",
            "state_class": "measurement",
            "suggested_display_precision": 0,
            "icon": "mdi:gauge",
            "state_topic": topics.confidence(source, label).name,
            "expire_after": EXPIRE_AFTER_S,
        },
        f"{label}-detection": {
            "platform": "switch",
            "name": f"{title} detection",
            "entity_category": "config",
            "icon": "mdi:ear-hearing",
            "state_topic": topics.setting(source, label, "enabled").name,
            "command_topic": topics.set_setting(source, label, "enabled").name,
        },
    }
    parts |= last_event_parts(topics, source, label) | _feedback_parts(topics, source, label)
    if label not in config.detection.operating_points:
        parts[f"{label}-sensitivity"] = {
            "platform": "number",
            "name": f"{title} sensitivity",
            "entity_category": "config",
            "icon": "mdi:tune",
            "min": 0,
            "max": 100,
            "step": 1,
            "mode": "slider",
            "state_topic": topics.setting(source, label, "sensitivity").name,
            "command_topic": topics.set_setting(source, label, "sensitivity").name,
        }
    return parts


def _feedback_parts(topics: NodeTopics, source: str, label: str) -> dict[str, Payload]:
    """Return the buttons that say what the last event was."""
    return {
        f"{label}-confirm": {
            "platform": "button",
            "name": f"That was {one_of(label)}",
            "icon": "mdi:check-circle-outline",
            "command_topic": topics.feedback(source, label, "confirm").name,
            "payload_press": "{}",
        },
        f"{label}-reject": {
            "platform": "button",
            "name": f"Not {one_of(label)}",
            "icon": "mdi:close-circle-outline",
            "command_topic": topics.feedback(source, label, "reject").name,
            "payload_press": "{}",
        },
    }


def _measured(field: str, precision: int) -> Payload:
    return {
        "value_template": f"{{{{ value_json.{field} }}}}",
        "state_class": "measurement",
        "suggested_display_precision": precision,
    }


def named(parts: dict[str, Payload], *owner: str) -> dict[str, Payload]:
    """Give every component its ids. `/` separates because no id holds one: `a_b` of `c` is never `b_c` of `a`."""
    return {
        key: {
            **part,
            "unique_id": "/".join(("earshot", *owner, *key.split("-"))),
            "default_entity_id": f"{part['platform']}.{_entity_name(*owner, key)}",
        }
        for key, part in parts.items()
    }


def _entity_name(*owner_and_key: str) -> str:
    name = "_".join(owner_and_key).removesuffix("-sound").removesuffix("-event")
    return name.replace("-", "_")


def _payload(config: NodeConfig, info: NodeInfo, device: Payload, components: dict[str, Payload]) -> Payload:
    status = NodeTopics(config.mqtt.prefix, config.node.id).status().name
    return {
        "device": {**device, "manufacturer": "Earshot", "sw_version": info.version},
        "origin": {"name": "Earshot", "sw_version": info.version},
        "availability": [{"topic": status, "payload_available": "online", "payload_not_available": "offline"}],
        "qos": 1,
        "components": components,
    }


def identifier(*owner: str) -> str:
    """Return how Home Assistant knows the device of a node, or of a node's source."""
    return "/".join(("earshot", *owner))


def _area(area: str) -> Payload:
    return {"suggested_area": area} if area else {}
