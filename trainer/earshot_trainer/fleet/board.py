"""What every node says about itself in its retained topics, brought together."""

import logging
from dataclasses import dataclass
from typing import Any, TypeVar

from earshot_node.contract.deployment import InstallResult, ShadowReport, UpdateState
from earshot_node.contract.messages import MAX_PAYLOAD_BYTES, EventMessage, Message, NodeHealth, NodeInfo
from earshot_node.contract.names import validate_slug
from earshot_node.contract.node_address import NodeAddress
from earshot_node.contract.recordings import RecordingsReport
from earshot_node.contract.topics import NodeTopics
from earshot_node.errors import MessageError
from earshot_node.mqtt.connection import Received

_log = logging.getLogger(__name__)
MessageT = TypeVar("MessageT", bound=Message)

MAX_NODES = 1000


@dataclass(slots=True)
class NodeView:
    """One node as the broker knows it; None for what it never said.

    Attributes:
        is_member: whether it has joined this trainer.
        status: `online` or `offline`, '' if it never was.
        update: how far it is with a model.
        shadow: how the candidate in the shadow does.
        last_event: the latest of all its sources and labels.
    """

    id: str
    is_member: bool = False
    status: str = ""
    info: NodeInfo | None = None
    health: NodeHealth | None = None
    recordings: RecordingsReport | None = None
    result: InstallResult | None = None
    update: UpdateState | None = None
    shadow: ShadowReport | None = None
    last_event: EventMessage | None = None

    @property
    def state(self) -> str:
        """Return `healthy`, `deaf`, `starting`, `offline`, or `never seen`."""
        if self.status != "online":
            return self.status or "never seen"
        return self.health.state if self.health is not None else "starting"

    def plain(self) -> dict[str, Any]:
        """Return the view for JSON."""
        parts = {
            "info": self.info,
            "health": self.health,
            "recordings": self.recordings,
            "model_result": self.result,
            "model_update": self.update,
            "model_shadow": self.shadow,
            "last_event": self.last_event,
        }
        shown = {name: part.model_dump(mode="json", by_alias=True) if part else None for name, part in parts.items()}
        return {"id": self.id, "member": self.is_member, "state": self.state, **shown}


class FleetBoard:
    """Keeps the latest of every node; push messages in, read `views`.

    Args:
        prefix: of the topics.
        members: ids that have joined; they are shown also when they never said a word.
    """

    def __init__(self, prefix: str, members: tuple[str, ...]) -> None:
        self._prefix = prefix
        self._views = {name: NodeView(name, is_member=True) for name in members}

    def filters(self) -> tuple[str, ...]:
        """Return the subscriptions that cover all of it."""
        every = NodeTopics(self._prefix, "+")
        topics = (every.status(), every.info(), every.health(), every.recordings())
        models = (every.model_result(), every.update(), every.model_shadow())
        return (*(topic.name for topic in (*topics, *models)), every.last_event("+", "+").name)

    @property
    def views(self) -> list[NodeView]:
        """Members first, then nodes that are at the broker and have not joined; by id."""
        return sorted(self._views.values(), key=lambda view: (not view.is_member, view.id))

    def addresses(self) -> dict[str, NodeAddress]:
        """Return where nodes say that their HTTP answers, by node; nobody has checked that yet."""
        return {one.id: one.info.http for one in self.views if one.info is not None and one.info.http is not None}

    def view(self, node: str) -> NodeView:
        """Return what is known of a node, which need not be at the broker."""
        return self._views.get(node) or NodeView(node)

    def push(self, message: Received) -> None:
        """Take one message; what makes no sense is logged and leaves all as it was."""
        name = message.topic.removeprefix(f"{self._prefix}/").partition("/")[0]
        try:
            view = self._view(validate_slug(name))
            if view is not None:
                self._put(view, NodeTopics(self._prefix, name), message)
        except (ValueError, MessageError) as error:
            _log.info("%s: makes no sense: %s", message.topic, error)

    def _view(self, name: str) -> NodeView | None:
        if name not in self._views and len(self._views) < MAX_NODES:
            self._views[name] = NodeView(name)
        return self._views.get(name)

    def _put(self, view: NodeView, topics: NodeTopics, message: Received) -> None:
        topic, payload = message.topic, message.payload
        if topic == topics.status().name:
            view.status = "online" if payload == b"online" else "offline" if payload else ""
        elif topic == topics.info().name:
            view.info = _decoded(NodeInfo, payload)
        elif topic == topics.health().name:
            view.health = _decoded(NodeHealth, payload)
        elif topic == topics.recordings().name:
            view.recordings = _decoded(RecordingsReport, payload)
        elif topic == topics.model_result().name:
            view.result = _decoded(InstallResult, payload)
        elif topic == topics.update().name:
            view.update = _update(payload)
        elif topic == topics.model_shadow().name:
            view.shadow = _decoded(ShadowReport, payload)
        else:
            _keep_later(view, _decoded(EventMessage, payload))


def _keep_later(view: NodeView, event: EventMessage | None) -> None:
    """A node has a last event for each source and label; the latest of them counts, and only its own."""
    if event is None or event.node != view.id:
        return
    if view.last_event is None or event.onset >= view.last_event.onset:
        view.last_event = event


def _decoded(kind: type[MessageT], payload: bytes) -> MessageT | None:
    return kind.decode(payload) if payload else None


def _update(payload: bytes) -> UpdateState | None:
    """It has no schema number, because Home Assistant reads it."""
    return UpdateState.model_validate_json(payload) if 0 < len(payload) <= MAX_PAYLOAD_BYTES else None
