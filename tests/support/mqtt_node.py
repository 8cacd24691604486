"""A node's configuration, identity and events for MQTT tests."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from earshot_node.contract.config import NodeConfig
from earshot_node.contract.messages import EventMessage, ModelInfo, NodeInfo, SourceInfo
from earshot_node.mqtt.client import BackOff
from earshot_node.mqtt.publisher import Publisher
from earshot_node.mqtt.settings import SettingChange
from earshot_node.mqtt.store import StateStore

LONG_AGO = datetime(2026, 11, 20, 18, 30, 5, 250_000, tzinfo=UTC)


def node_config(port: int, node_id: str = "hall", **sections: Any) -> NodeConfig:
    """Two sources, one label, a broker on this machine; `sections` replace or extend sections of the configuration."""
    values: dict[str, Any] = {
        "node": {"id": node_id, "name": "Hall", "area": "Hallway"},
        "sources": [
            {"id": "street", "name": "Street", "type": "microphone"},
            {"id": "yard", "name": "Yard", "type": "url", "url": "rtsp://camera.invalid/1", "area": "Garden"},
        ],
        "mqtt": {"host": "127.0.0.1", "port": port},
    }
    for name, section in sections.items():
        values[name] = {**values[name], **section} if isinstance(values.get(name), dict) else section
    return NodeConfig.model_validate(values)


def node_info(config: NodeConfig, version: str = "2026.11.0") -> NodeInfo:
    """What a node with this configuration says about itself."""
    return NodeInfo(
        node=config.node.id,
        name=config.node.name,
        version=version,
        model=ModelInfo(name="siren", version="2026.11.0", labels=("siren",)),
        labels=config.labels,
        sources=tuple(SourceInfo(id=source.id, name=source.name, type=source.type) for source in config.sources),
        started=LONG_AGO,
    )


def event(number: int, phase: str = "onset", source: str = "street", node: str = "hall") -> EventMessage:
    """The `number`th event of a source; onset and offset of the same number have the same id."""
    ended: dict[str, Any] = {}
    if phase == "offset":
        ended = {"offset": LONG_AGO + timedelta(seconds=4.2), "duration_s": 4.2}
    return EventMessage.model_validate(
        {
            "id": f"{source}-{number:08d}",
            "phase": phase,
            "event_type": "siren",
            "node": node,
            "source": source,
            "source_name": source.capitalize(),
            "onset": LONG_AGO,
            "decided": LONG_AGO + timedelta(seconds=1),
            "peak": 0.93,
            "confidence": 93,
            "level_dbfs": -21.5,
            "model": "siren-2026.11.0",
            **ended,
        }
    )


@dataclass
class RunningNode:
    """A publisher with its store, and the settings that it reported."""

    publisher: Publisher
    store: StateStore
    changes: list[tuple[str, str, SettingChange]]


@asynccontextmanager
async def running_node(config: NodeConfig, state: Path, **options: Any) -> AsyncIterator[RunningNode]:
    """A started publisher; stopped and closed at the end."""
    with closing(StateStore(state)) as store:
        changes: list[tuple[str, str, SettingChange]] = []
        publisher = Publisher(
            config,
            node_info(config),
            store,
            lambda *change: changes.append(change),
            **{"back_off": BackOff(0.05, 0.2), "birth_delay_s": (0.05, 0.1), **options},
        )
        await publisher.start()
        try:
            yield RunningNode(publisher, store, changes)
        finally:
            await publisher.stop()
