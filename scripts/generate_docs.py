"""Tables of every topic and every entity, made from the contract; `scripts/generate-docs` runs it."""

import argparse
import inspect
import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from itertools import product
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from earshot_node.contract import deployment, drill, house, messages, recordings
from earshot_node.contract.config import NodeConfig
from earshot_node.contract.house_topics import HouseTopics
from earshot_node.contract.messages import ModelInfo, NodeInfo, SourceInfo
from earshot_node.contract.topics import DiscoveryTopics, NodeTopics, Topic
from earshot_node.house.discovery import house_device
from earshot_node.mqtt.discovery import announcements

PREFIX = "homeassistant"
DOCS = Path(__file__).resolve().parent.parent / "docs"
MADE = "<!-- Made by scripts/generate-docs from the contract; edits here are lost. -->\n"

TOPICS_HEAD = f"""{MADE}
# Every MQTT topic

`<node>`, `<source>` and `<label>` are the ids of the configuration (`node.id`, `sources[].id`, `labels`); the
prefix `earshot` is `mqtt.prefix`. Payloads are JSON with snake_case keys unless the table says otherwise; readers
ignore unknown fields. A topic with *node reads* is for commands: a retained one is refused, and the answer comes on
`reply`. `<command>` is `announce` (tell Home Assistant everything again, with what was deleted there), `record`,
`drill`, `install_model`, `roll_back_model` or `end_shadow`. A node also reads `homeassistant/status`, where Home
Assistant says that it has started.

"""
PAYLOADS_HEAD = """
## Payloads

Times are ISO 8601 in UTC. Every message also holds `schema`, a number that changes when old readers would misread it.
"""
ENTITIES_HEAD = f"""{MADE}
# Every entity in Home Assistant

For a node with the id `hall` that has a source `street` and listens for `siren`: the entity ids that Home Assistant
gives at first; they can be changed there, and the node does not mind. A node is one device and each source is one
under it. With another label in `labels`, every row with `siren` in its id is there once more under that name. *Off
at first* means that the entity is disabled until somebody enables it in Home Assistant.

The house is a device of its own, once for all nodes; see [drill-and-house.md](drill-and-house.md).

All entities are unavailable while their node is away, but for the connection, which is `off` then. Topics are
explained in [topics.md](topics.md).

"""
ABOUT = {
    "health": "How it is; `deaf` means that it cannot hear. The attribute tells the problems.",
    "source/health": "How it is; `healthy`, `starting` and `ended` are fine, at all else *Problem* is on and says why.",
    "real_time_factor": "Processing time over audio time; above 1 it cannot keep up.",
    "queued_events": "Events that wait for the broker.",
    "model_version": "The model that decides.",
    "connectivity": "Whether the node is at the broker.",
    "model": "Installed and offered model; *Install* fetches it from the trainer.",
    "model_result": "What became of the latest model; the attributes tell version and reason.",
    "record_sample": "Records three seconds with the chosen label.",
    "recordings": "Samples that wait for the trainer; attributes by label.",
    "record_label": "What the next sample is labelled with.",
    "record_source": "Where the next sample is recorded; there with two sources or more.",
    "sound_level": "Level, 0 dBFS is as loud as the microphone can tell.",
    "problem": "On when the source cannot hear; the attribute says why.",
    "dropped_audio": "Audio that was lost.",
    "hours_listened": "Over all starts.",
    "reopened": "How often the source was opened again.",
    "spectrogram": "Picture of the last event.",
    "drill": "Plays the node a siren and sees whether it is heard.",
    "drill_result": "How the last drill went.",
    "drill_time": "From the drill's siren to the alarm.",
    "drill_problem": "On when the last drill failed.",
    "sound": "On while it sounds. The attributes are the last event's.",
    "event": "Fires once, when it begins to sound; the attributes are the event's.",
    "confidence": "Highest confidence of the last seconds.",
    "detection": "Off: nothing is reported for this label.",
    "confirm": "The last event was what it was taken for; its clip becomes a sample.",
    "reject": "The last event was something else; its clip becomes a sample.",
    "sensitivity": "0 is quiet, 50 balanced, 100 sensitive; missing where the configuration fixes operating points.",
    "siren": "On while a siren sounds for the house. The attributes tell rooms, loudest room and movement.",
    "siren_event": "Fires once for each siren of the house.",
    "loudest_room": "Of the present or last siren.",
    "movement": "How the level goes where it is heard.",
    "microphones": "How many hear it now; the attribute lists those that have.",
    "listening": "Microphones that listen now; the attributes tell who does not, and how many are needed.",
    "last": "When the last event began.",
    "last_confidence": "Its highest confidence.",
    "last_duration": "How long it sounded; unknown while it does.",
    "last_kind": "How the siren's pitch moved.",
}
CATEGORIES = {None: "", "config": "setting", "diagnostic": "diagnostic"}


def topics_page() -> str:
    """Return docs/topics.md."""
    rows = [
        (f"`{topic.name}`", whose(topic), str(topic.qos), "yes" if topic.retain else "", described(function))
        for function, topic in sorted(every_topic(), key=lambda pair: pair[1].name)
    ]
    return TOPICS_HEAD + table(("Topic", "", "QoS", "Retained", "Content"), rows) + PAYLOADS_HEAD + payloads()


def every_topic() -> Iterator[tuple[Callable[..., Topic], Topic]]:
    """Yield every method of the contract that builds a topic, with the topics that it builds."""
    nodes = NodeTopics("earshot", "<node>"), DiscoveryTopics("homeassistant", "<node>")
    for owner in (*nodes, HouseTopics("earshot")):
        for name, function in inspect.getmembers(type(owner), inspect.isfunction):
            hints = get_type_hints(function)
            if hints.pop("return", None) is Topic and not name.startswith("_"):
                yield from ((function, function(owner, *values)) for values in product(*map(values_of, hints.items())))


def values_of(parameter: tuple[str, Any]) -> tuple[str, ...]:
    """Return what to show for a parameter: all its values if they are few, else its name."""
    name, hint = parameter
    return get_args(hint) if get_origin(hint) is Literal else (PREFIX if name == "discovery_prefix" else f"<{name}>",)


def whose(topic: Topic) -> str:
    """Return who says something there."""
    if topic.name.startswith(HouseTopics("earshot").base) or topic.name.endswith("house/config"):
        return "house says"
    if topic.name.startswith("homeassistant/"):
        return "node says"
    readable = topic.name.replace("<node>", "hall").replace("<source>", "street").replace("<label>", "siren")
    is_command = NodeTopics("earshot", "hall").parse(readable.replace("<command>", "announce")) is not None
    return "node reads" if is_command or topic.name.endswith("model/offer") else "node says"


def described(function: Callable[..., object]) -> str:
    """Return the docstring as one line."""
    return " ".join((inspect.getdoc(function) or "").split())


def payloads() -> str:
    """Return a section for every message."""
    found = {
        kind
        for module in (messages, deployment, recordings, drill, house)
        for _, kind in inspect.getmembers(module, inspect.isclass)
        if issubclass(kind, messages.Message | deployment.UpdateState) and kind is not messages.Message
    }
    return "\n".join(payload(kind) for kind in sorted(found, key=lambda kind: kind.__name__))


def payload(kind: Any) -> str:
    """Return the section of one message: what it is, its fields."""
    text = inspect.getdoc(kind) or ""
    about = {
        name: " ".join(words.split())
        for name, words in re.findall(r"^    (\w+): (.*(?:\n {8}.*)*)", text, re.MULTILINE)
    }
    schema = kind.model_json_schema(mode="validation")
    rows = [
        (f"`{name}`", type_of(field), about.get(name, ""))
        for name, field in schema["properties"].items()
        if name not in {"schema", "schema_"}
    ]
    return f"\n### {kind.__name__}\n\n{text.split(chr(10) + chr(10))[0]}\n\n" + table(("Field", "Type", ""), rows)


def type_of(field: dict[str, Any]) -> str:
    """Return a JSON schema's type in few words."""
    if "enum" in field:
        return " or ".join(f"`{value}`" for value in field["enum"])
    if "const" in field:
        return f"`{field['const']}`"
    if "anyOf" in field:
        return " or ".join(type_of(one) for one in field["anyOf"])
    if field.get("type") == "array":
        return f"list of {type_of(field['items'])}" if "items" in field else "list"
    if "$ref" in field:
        return field["$ref"].rpartition("/")[2]
    return "time" if field.get("format") == "date-time" else str(field.get("type", "any"))


def entities_page() -> str:
    """Return docs/entities.md."""
    parts = [ENTITIES_HEAD]
    devices = [*announcements(example(), example_info()).values(), house_device(HouseTopics("earshot"), "hall")]
    for payload in (json.loads(json.dumps(one)) for one in devices):
        device = payload["device"]
        parts.append(f"\n## Device {device['name']} ({device['model'].lower()})\n\n")
        rows = [entity_row(key, component) for key, component in payload["components"].items()]
        parts.append(table(("Entity", "Id", "Kind", "Unit or class", "", "Topics"), rows))
    return "".join(parts)


def entity_row(key: str, component: dict[str, Any]) -> tuple[str, ...]:
    """Return what is worth knowing of one entity."""
    kind = [component["platform"].replace("_", " "), CATEGORIES[component.get("entity_category")]]
    kind += ["off at first"] if component.get("enabled_by_default") is False else []
    measure = component.get("unit_of_measurement") or component.get("device_class", "").replace("_", " ")
    values = component.get("options") or component.get("event_types")
    if values:
        measure = "one of " + ", ".join(f"`{value}`" for value in values)
    about = ABOUT.get(key.rpartition("-")[2], "")
    if key == "health" and "/source/" in component["state_topic"]:
        about = ABOUT["source/health"]
    if key == "problem" and component["unique_id"].startswith(HouseTopics("earshot").base):
        about = "On when no microphone listens; the attributes say why, and who runs the house."
    named = [component[key] for key in ("state_topic", "image_topic", "command_topic") if key in component]
    topics = "<br>".join(f"`{topic.removeprefix('earshot/hall/')}`" for topic in named)
    entity_id = f"`{component['default_entity_id']}`"
    return component["name"], entity_id, ", ".join(filter(None, kind)), measure, about, topics


def example() -> NodeConfig:
    """Return a configuration that announces everything there is."""
    values = {
        "node": {"id": "hall", "name": "Hall"},
        "sources": [{"id": "street", "name": "Street", "type": "microphone"}],
        "house": {"enabled": True},
    }
    return NodeConfig.model_validate(values)


def example_info() -> NodeInfo:
    """Return what such a node says of itself."""
    return NodeInfo(
        node="hall",
        name="Hall",
        version="2026.11.0",
        model=ModelInfo(name="siren", version="2026.11.0", labels=("siren",)),
        labels=("siren",),
        sources=(SourceInfo(id="street", name="Street", type="microphone"),),
        started="2026-11-22T12:00:00Z",  # type: ignore[arg-type]
    )


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a Markdown table."""
    names = list(head)
    lines = [names, ["---"] * len(names), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)


PAGES: dict[str, Callable[[], str]] = {"topics.md": topics_page, "entities.md": entities_page}


def main() -> int:
    """Write the pages, or say which are old."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail if a page is old")
    check = parser.parse_args().check
    old = [name for name, page in PAGES.items() if not (DOCS / name).exists() or (DOCS / name).read_text() != page()]
    for name in old:
        if check:
            print(f"docs/{name} is old; run: scripts/generate-docs")
        else:
            (DOCS / name).write_text(PAGES[name]())
            print(f"docs/{name} is written")
    return 1 if check and old else 0


if __name__ == "__main__":
    sys.exit(main())
