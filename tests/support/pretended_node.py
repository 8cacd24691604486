"""A node as the broker sees it, small but with behaviour: says who it is, and acts on offers and commands."""

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self

from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from earshot_node.contract.deployment import InstallResult, ModelOffer, ShadowReport
from earshot_node.contract.messages import ModelInfo, NodeHealth, NodeInfo, Reply
from earshot_node.contract.topics import NodeTopics, Topic

Verdict = tuple[str, str]
"""Outcome of an offer and its reason."""


def _installed(_offer: ModelOffer) -> Verdict:
    return "installed", ""


@dataclass
class PretendedNode:
    """Comes online in a `with`, and goes offline at its end; what it said stays at the broker.

    Attributes:
        decide: what becomes of an offer.
        offers: those that came, None for one that was taken back.
    """

    name: str
    port: int
    prefix: str
    decide: Callable[[ModelOffer], Verdict] = _installed
    version: str = "2026.11.0"
    previous: str = ""
    shadow: str = ""
    offers: list[ModelOffer | None] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.topics = NodeTopics(self.prefix, self.name)
        self._acted: set[str] = set()
        self._hashes: dict[str, str] = {}
        self._client = paho.Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
        self._client.on_connect = self._connected
        self._client.on_message = self._received

    def __enter__(self) -> Self:
        self._client.connect("127.0.0.1", self.port)
        self._client.loop_start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.publish(self.topics.status().name, b"offline", qos=1, retain=True).wait_for_publish(10)
        self._client.disconnect()
        self._client.loop_stop()

    def alarm(self, event_id: str, label: str = "siren") -> None:
        """Tell an onset."""
        body = {
            "schema": 1,
            "id": event_id,
            "phase": "onset",
            "event_type": label,
            "node": self.name,
            "source": "street",
            "source_name": "Street",
            "onset": datetime.now(UTC).isoformat(),
            "peak": 1,
            "confidence": 100,
            "level_dbfs": -20,
            "model": self.version,
        }
        self.say(self.topics.onset("street", "siren"), json.dumps(body).encode())

    def tell_health(self, **fields: Any) -> None:
        """Tell how it is."""
        values: dict[str, Any] = {
            "state": "healthy",
            "problems": (),
            "real_time_factor": 0.1,
            "hours_listened": 1,
            "dropped_s": 0,
            "queued_events": 0,
            "model_version": self.version,
            "time": datetime.now(UTC),
        }
        self.say(self.topics.health(), NodeHealth.model_validate(values | fields).encode())

    def tell_result(self, outcome: str, reason: str = "", *, offer: ModelOffer | None = None, **fields: Any) -> None:
        """Tell what became of a model."""
        values: dict[str, Any] = {
            "id": offer.id if offer else "",
            "version": offer.version if offer else self.version,
            "sha256": offer.sha256 if offer else "",
            "outcome": outcome,
            "reason": reason,
            "active": self.version,
            "time": datetime.now(UTC),
        }
        self.say(self.topics.model_result(), InstallResult.model_validate(values | fields).encode())

    def _connected(self, client: paho.Client, *_: Any) -> None:
        self._tell_info()
        self.tell_health()
        self.say(self.topics.status(), b"online")
        client.subscribe([(self.topics.model_offer().name, 1), (self.topics.command("+").name, 1)])

    def _received(self, _client: paho.Client, _data: Any, message: paho.MQTTMessage) -> None:
        if message.topic == self.topics.model_offer().name:
            offer = ModelOffer.decode(message.payload) if message.payload else None
            self.offers.append(offer)
            if offer is not None and offer.mode == "take_back":
                self._let_go(offer)
            elif offer is not None and offer.mode != "offer" and offer.id not in self._acted:
                self._acted.add(offer.id)
                self._act(offer)
        else:
            self._obey(json.loads(message.payload)["id"], message.topic.rpartition("/")[2])

    def _act(self, offer: ModelOffer) -> None:
        outcome, reason = self.decide(offer)
        if outcome == "installed":
            self._hashes[offer.version] = offer.sha256
            self.previous, self.version = self.version, offer.version
            self._tell_info()
        if outcome == "shadowed":
            self._tell_shadow(offer)
        if outcome:
            self.tell_result(outcome, reason, offer=offer)

    def _let_go(self, offer: ModelOffer) -> None:
        if self.version == offer.version and self.previous:
            self.version, self.previous = self.previous, ""
            self.tell_result("rolled_back", offer.summary, version=offer.version, sha256=offer.sha256)
            self._tell_info()
        if self.shadow == offer.version:
            self.shadow = ""
            self.say(self.topics.model_shadow(), b"")

    def _obey(self, command_id: str, command: str) -> None:
        if command == "end_shadow":
            reason = "" if self.shadow else "no model runs in the shadow"
        else:
            reason = "" if self.previous else "there is no previous model"
        self.say(self.topics.reply(), Reply(id=command_id, command=command, ok=not reason, reason=reason).encode())
        if reason:
            return
        if command == "end_shadow":
            self.shadow = ""
            self.say(self.topics.model_shadow(), b"")
        else:
            left = {"version": self.version, "sha256": self._hashes.get(self.version, ""), "time": datetime.now(UTC)}
            self.tell_result("rolled_back", "on request", **left)  # before the switch and after it, as a node does
            threading.Timer(0.3, self._switch_back, kwargs=left).start()

    def _switch_back(self, **left: Any) -> None:
        self.version, self.previous = self.previous, self.version
        self.tell_result("rolled_back", "on request", **left)
        self._tell_info()

    def _tell_shadow(self, offer: ModelOffer) -> None:
        self.shadow = offer.version
        report = ShadowReport(
            active=self.version,
            candidate=offer.version,
            sha256=offer.sha256,
            begun=datetime.now(UTC),
            heard_s=60,
            agreed=0,
            only_active=0,
            only_candidate=0,
            latest=(),
            real_time_factor=0.1,
        )
        self.say(self.topics.model_shadow(), report.encode())

    def _tell_info(self) -> None:
        info = NodeInfo(
            node=self.name,
            name=self.name,
            version="1",
            model=ModelInfo(name="siren", version=self.version, labels=("siren",)),
            labels=("siren",),
            sources=(),
            started=datetime.now(UTC),
        )
        self.say(self.topics.info(), info.encode())

    def say(self, topic: Topic, payload: bytes) -> None:
        """Publish as the topic says."""
        self._client.publish(topic.name, payload, qos=topic.qos, retain=topic.retain)
