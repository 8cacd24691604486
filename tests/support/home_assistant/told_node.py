"""A node of which Home Assistant learns what a test says."""

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from earshot_node.contract.config import NodeConfig
from earshot_node.contract.messages import EventMessage, ModelInfo, NodeInfo, SourceHealth, SourceState
from earshot_node.contract.topics import NodeTopics, Topic
from earshot_node.mqtt.discovery import announcements, encode
from support.home_assistant.instance import HomeAssistant
from support.mqtt_subscriber import Subscriber
from support.waiting import wait_until

SOON_S: Final = 120.0


class ToldNode:
    """A node of which Home Assistant learns what a test says, by the contract's own topics and messages.

    Args:
        broker: where it speaks.
        node: its id; nobody else's.
        rooms: area by source.
        labels: what it listens for.
    """

    def __init__(
        self, broker: Subscriber, node: str, rooms: dict[str, str], labels: tuple[str, ...] = ("siren",)
    ) -> None:
        self._broker = broker
        self.node = node
        self.topics = NodeTopics("earshot", node)
        sources = [
            {"id": one, "name": f"{room} microphone", "area": room, "type": "stdin" if not index else "microphone"}
            for index, (one, room) in enumerate(rooms.items())
        ]
        config = {"node": {"id": node, "name": node}, "sources": sources, "labels": labels}
        self.config = NodeConfig.model_validate(config)
        self._open: dict[str, EventMessage] = {}

    def entity(self, platform: str, source: str, key: str) -> str:
        """Return an entity id."""
        return f"{platform}.{self.node}_{source}_{key}"

    def announce(self, home_assistant: HomeAssistant) -> None:
        """Let Home Assistant know its entities, and wait until it does."""
        labels = self.config.labels
        model = ModelInfo(name="siren", version="2026.11.1", labels=labels)
        info = NodeInfo(
            node=self.node,
            name=self.node,
            version="2026.11.0",
            model=model,
            labels=labels,
            sources=(),
            started=datetime.now(UTC),
        )
        for topic, payload in announcements(self.config, info).items():
            self._say(topic, encode(payload))
            device = payload["device"]["identifiers"][0]
            wait_until(lambda device=device: device in home_assistant.devices(), SOON_S, device)  # type: ignore[misc]
        self.connect()
        for source in self.config.sources:
            wait_until(
                lambda source=source: home_assistant.state(self.entity("event", source.id, "siren")) == "unknown",  # type: ignore[misc]
                SOON_S,
                "an event entity",
            )
            home_assistant.wait_for(self.entity("binary_sensor", source.id, "siren"), "off", SOON_S)
            home_assistant.wait_for(self.entity("binary_sensor", source.id, "problem"), "off", SOON_S)

    def connect(self) -> None:
        """Be online, with every state."""
        self._say(self.topics.status(), b"online")
        for source in self.config.sources:
            self._say(self.topics.state(source.id, "siren"), b"ON" if source.id in self._open else b"OFF")
            self.hears(source.id)
            self.confidence(source.id, 2)

    def disconnect(self) -> None:
        """Be gone, as the last will says."""
        self._say(self.topics.status(), b"offline")

    def hears(self, source: str, state: SourceState = "healthy", problem: str = "") -> None:
        """Say how a source is."""
        health = SourceHealth(
            source=source,
            state=state,
            problem=problem,
            dropped_s=0,
            hours_listened=1,
            reopened=0,
            time=datetime.now(UTC),
        )
        self._say(self.topics.source_health(source), health.encode())

    def confidence(self, source: str, percent: int) -> None:
        """Say how likely a siren is now."""
        self._say(self.topics.confidence(source, "siren"), str(percent).encode())

    def onset(self, source: str, confidence: int = 90, level_dbfs: float = -25.0, clip_url: str | None = None) -> str:
        """Hear a siren begin; return the event's id."""
        name = next(one.name for one in self.config.sources if one.id == source)
        now = datetime.now(UTC)
        event = EventMessage(
            id=uuid.uuid4().hex,
            phase="onset",
            event_type="siren",
            node=self.node,
            source=source,
            source_name=name,
            onset=now - timedelta(seconds=1),
            decided=now,
            peak=confidence / 100,
            confidence=confidence,
            level_dbfs=level_dbfs,
            model="siren-2026.11.1",
            clip_url=clip_url,
        )
        self._open[source] = event
        self._say(self.topics.last_event(source, "siren"), event.encode())
        self._say(self.topics.state(source, "siren"), b"ON")
        self._say(self.topics.onset(source, "siren"), event.encode())
        return event.id

    def offset(self, source: str) -> None:
        """Hear it end."""
        begun = self._open.pop(source)
        now = datetime.now(UTC)
        changed = {"phase": "offset", "offset": now, "duration_s": (now - begun.onset).total_seconds()}
        event = begun.model_copy(update=changed)
        self._say(self.topics.offset(source, "siren"), event.encode())
        self._say(self.topics.last_event(source, "siren"), event.encode())
        self._say(self.topics.state(source, "siren"), b"OFF")

    def picture(self, source: str, png: bytes) -> None:
        """Send the spectrogram."""
        self._say(self.topics.spectrogram(source), png)

    def hush(self) -> None:
        """Let everything that sounds end."""
        for source in list(self._open):
            self.offset(source)
        for one in self.config.sources:
            self.confidence(one.id, 2)

    def reject(self, source: str) -> None:
        """Press "Not a siren"."""
        self._broker.say(self.topics.feedback(source, "siren", "reject").name, "{}")

    def feedback(self) -> list[tuple[str, Any]]:
        """Return what was said about its events: topic and message."""
        return [
            (heard.topic, heard.json)
            for source in self.config.sources
            for verdict in ("confirm", "reject")
            for heard in self._broker.on(self.topics.feedback(source.id, "siren", verdict).name)
        ]

    def _say(self, topic: Topic, payload: bytes) -> None:
        self._broker.say(topic.name, payload, retain=topic.retain)
