"""The fleet while something is deployed: what each node tells, and words to it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Final

from sqlalchemy import Engine

from earshot_node.contract.deployment import ModelOffer
from earshot_node.contract.messages import Command, EventMessage, Reply
from earshot_node.contract.topics import NodeTopics, Topic
from earshot_node.errors import MessageError
from earshot_node.mqtt.connection import Received
from earshot_trainer.deploying.fleet_recorder import ModelNotes, node_of
from earshot_trainer.fleet.board import FleetBoard, NodeView
from earshot_trainer.fleet.link import FleetLink
from earshot_trainer.fleet.listening import AT_MOST_S, QUIET_S
from earshot_trainer.home.folder import Home

STEP_S: Final = 0.5


class WatchedFleet:
    """Latest of every node; `changed` returns when there is news, or after a moment.

    Args:
        home: whose broker.
        engine: the catalogue, which is told of results.
        nodes: members.
    """

    def __init__(self, home: Home, engine: Engine, nodes: tuple[str, ...]) -> None:
        self._prefix = home.config.mqtt.prefix
        self._nodes = frozenset(nodes)
        self.board = FleetBoard(self._prefix, nodes)
        self.replies: dict[str, Reply] = {}
        self.on_alarm: Callable[[str, EventMessage], None] = lambda _node, _event: None
        self._notes = ModelNotes(engine, self._prefix)
        self._fresh: list[Received] = []
        self._news = asyncio.Event()
        every = NodeTopics(self._prefix, "+")
        filters = (*self.board.filters(), every.reply().name, every.onset("+", "+").name)
        self._link = FleetLink(home.config.mqtt, filters, self._push)

    @asynccontextmanager
    async def connected(self) -> AsyncIterator["WatchedFleet"]:
        """Connect, and hear first what lies at the broker; what came about models is in the catalogue in the end.

        Raises:
            ConnectError: the broker cannot be reached.
            OperatorError: it does not let this user read.
        """
        async with self._link:
            try:
                async with asyncio.timeout(AT_MOST_S):
                    while True:
                        self._news.clear()
                        await asyncio.wait_for(self._news.wait(), QUIET_S)
            except TimeoutError:
                pass
            yield self
            await self._note_fresh()

    def view(self, node: str) -> NodeView:
        """Return what is known of a node."""
        return self.board.view(node)

    def is_online(self, node: str) -> bool:
        """Whether a node is there now."""
        return self.view(node).status == "online"

    async def changed(self) -> None:
        """Return when something came, or after a moment; what came about models is in the catalogue by then.

        Raises:
            OperatorError: the catalogue cannot be written.
        """
        with suppress(TimeoutError):
            await asyncio.wait_for(self._news.wait(), STEP_S)
        self._news.clear()
        await self._note_fresh()

    async def offer(self, node: str, offer: ModelOffer) -> None:
        """Lay an offer before a node.

        Raises:
            OperatorError: the broker does not take it.
        """
        await self._link.publish(self._topics(node).model_offer(), offer.encode())

    async def take_back(self, node: str) -> None:
        """Take the offer back; a node that has acted on it keeps what it has."""
        topic = self._topics(node).model_offer()
        await self._link.publish(Topic(topic.name, topic.qos, retain=True), b"")

    async def command(self, node: str, name: str, command: Command) -> None:
        """Tell a node to do something; its answer is in `replies` by the command's id."""
        await self._link.publish(self._topics(node).command(name), command.encode())

    async def _note_fresh(self) -> None:
        fresh, self._fresh = self._fresh, []
        for message in fresh:
            await asyncio.to_thread(self._notes.note, message)

    def _topics(self, node: str) -> NodeTopics:
        return NodeTopics(self._prefix, node)

    def _push(self, message: Received) -> None:
        node = node_of(message, self._prefix)
        topics = self._topics(node)
        if node not in self._nodes:
            return
        self._news.set()
        try:
            if message.topic == topics.reply().name:
                reply = Reply.decode(message.payload)
                self.replies[reply.id] = reply
            elif message.topic.endswith("/onset"):
                event = EventMessage.decode(message.payload)
                self.on_alarm(node, event)
            else:
                self.board.push(message)
        except MessageError:
            return
        if message.topic in (topics.model_result().name, topics.model_shadow().name):
            self._fresh.append(message)
