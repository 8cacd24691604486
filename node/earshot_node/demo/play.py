"""Follows the node by what a subscriber receives, and tells it line by line."""

import queue
import time
from collections.abc import Iterator
from typing import Final

from earshot_node.contract.messages import EventMessage, SourceHealth
from earshot_node.contract.topics import DiscoveryTopics, NodeTopics
from earshot_node.demo.drawing import draw_timeline
from earshot_node.demo.node_child import NODE, SOURCE, NodeChild, Usage
from earshot_node.demo.screen import Screen
from earshot_node.demo.story import Heard, Story
from earshot_node.demo.subscriber import Received, Subscriber
from earshot_node.errors import MessageError, OperatorError

TOPICS: Final = NodeTopics("earshot", NODE)
DISCOVERY: Final = DiscoveryTopics("homeassistant", NODE)
FILTERS: Final = (f"{TOPICS.base}/#", DISCOVERY.filter())
_START_TIMEOUT_S: Final = 30.0
_END_TIMEOUT_S: Final = 20.0
_USAGE_EVERY_S: Final = 0.5
_BLOCK_S: Final = 0.04


class Play:
    """One run of the demo.

    Attributes:
        story: what sounded and what was heard, filled while it runs.
        announced: discovery messages that Home Assistant would have taken.
        memory_mb: most resident memory that the node was seen with.
        load: share of one core that the node used while it listened; None when unknown.
    """

    def __init__(self, story: Story, node: NodeChild, subscriber: Subscriber, screen: Screen) -> None:
        self.story = story
        self.announced: set[str] = set()
        self.memory_mb = 0.0
        self.load: float | None = None
        self._node = node
        self._subscriber = subscriber
        self._screen = screen
        self._began_wall_s: float | None = None
        self._told_s = -1.0
        self._first_usage: tuple[float, Usage] | None = None
        self._usage_due_s = 0.0
        self._level = self._confidence = ""

    def run(self) -> None:
        """Return when the node has played the audio and ended.

        Raises:
            OperatorError: the node does not start, breaks off, or does not end.
        """
        deadline_s = time.monotonic() + _START_TIMEOUT_S
        while self._node.running:
            self._take_waiting(timeout_s=0.1)
            self._observe_node()
            if self._began_wall_s is not None:
                deadline_s = max(deadline_s, time.monotonic() + self.story.duration_s - self.now_s() + _END_TIMEOUT_S)
                self._tell_street(self.now_s())
                self._draw()
            if time.monotonic() > deadline_s:
                stage = "does not listen" if self._began_wall_s is None else "does not end"
                raise OperatorError(f"the demo's node {stage}: {self._node.complaint()}")
        self._take_waiting(timeout_s=0.3)
        if self._began_wall_s is None:
            raise OperatorError(f"the demo's node ended before it listened: {self._node.complaint()}")
        self._tell_street(self.story.duration_s)

    def now_s(self) -> float:
        """Time in the audio."""
        return 0.0 if self._began_wall_s is None else time.time() - self._began_wall_s

    def _take_waiting(self, timeout_s: float) -> None:
        try:
            message = self._subscriber.messages.get(timeout=timeout_s)
            while True:
                self._take(message)
                message = self._subscriber.messages.get_nowait()
        except queue.Empty:
            return

    def _take(self, message: Received) -> None:
        topic, payload = message.topic, message.payload
        try:
            if topic == TOPICS.source_health(SOURCE).name and self._began_wall_s is None:
                health = SourceHealth.decode(payload)
                if health.state == "healthy":
                    self._began_wall_s = health.time.timestamp() - _BLOCK_S
            elif topic.endswith(("/onset", "/offset")):
                self._take_event(EventMessage.decode(payload), message.wall_s)
            elif topic.endswith("/last_event") and payload:
                self._take_kind(EventMessage.decode(payload), message.wall_s)
            elif topic == TOPICS.level(SOURCE).name:
                self._level = f"level {float(payload):.0f} dBFS"
            elif topic.endswith("/confidence"):
                self._confidence = f"confidence {int(payload)} %"
            elif topic.startswith(f"{DISCOVERY.prefix}/") and payload:
                self.announced.add(topic)
        except (MessageError, ValueError) as error:
            raise OperatorError(f"the demo's node sent something odd on {topic}: {error}") from error

    def _take_event(self, event: EventMessage, wall_s: float) -> None:
        if self._began_wall_s is None:
            self._began_wall_s = event.onset.timestamp()
        received_s = wall_s - self._began_wall_s
        delay_s = wall_s - (event.decided or event.onset).timestamp()
        self._tell_street(received_s)
        if event.phase == "onset":
            onset_s = event.onset.timestamp() - self._began_wall_s
            heard = Heard(onset_s, received_s, delay_s, event.event_type, event.confidence)
            self.story.heard[event.id] = heard
            self._tell(received_s, "EVENT", f"{event.event_type} ON  {self._describe(heard)}", "bold red")
        elif event.id in self.story.heard and event.offset is not None:
            heard = self.story.heard[event.id]
            heard.offset_s = event.offset.timestamp() - self._began_wall_s
            heard.confidence = event.confidence
            text = f"{event.event_type} OFF (peak {event.confidence} %)  lasted {event.duration_s:.1f} s"
            self._tell(received_s, "EVENT", text, "bold green")

    def _take_kind(self, event: EventMessage, wall_s: float) -> None:
        heard = self.story.heard.get(event.id)
        if heard is None or self._began_wall_s is None or event.kind in (None, "unknown", heard.kind):
            return
        heard.kind = event.kind
        received_s = wall_s - self._began_wall_s
        self._tell_street(received_s)
        after_s = received_s - heard.onset_s
        text = f"{event.event_type} kind: {event.kind.replace('_', '-')}, known {after_s:.1f} s after its onset"
        self._tell(received_s, "EVENT", text, "bold red")

    def _describe(self, heard: Heard) -> str:
        parts = []
        siren = self.story.siren_at(heard)
        if siren is not None:
            late_s = heard.received_s - siren.onset_s
            parts.append(f"{late_s:.1f} s after its rise" if late_s > 0 else "before its rise")
        elif self.story.truths:
            parts.append("a FALSE ALARM")
        parts.append(f"{heard.delay_s * 1000:.0f} ms after deciding")
        return f"({heard.confidence} %)  {', '.join(parts)}"

    def _tell_street(self, until_s: float) -> None:
        """Tell what began and ended in the scene since last time."""
        for at_s, text, style in sorted(self._changes()):
            if self._told_s < at_s <= until_s:
                self._tell(at_s, "street", text, style)
        self._told_s = max(self._told_s, until_s)

    def _changes(self) -> Iterator[tuple[float, str, str]]:
        for truth in self.story.truths:
            if truth.is_siren:
                yield truth.onset_s, f"siren rises: {truth.note}", "bold"
                yield truth.offset_s, "siren fades", "bold"
            else:
                yield truth.onset_s, f"trap: {truth.note}", "yellow"

    def _tell(self, at_s: float, who: str, text: str, style: str) -> None:
        self._screen.line(f"{at_s:6.1f} s  {who:6}  {text}", style)

    def _draw(self) -> None:
        now_s = min(self.now_s(), self.story.duration_s)
        rows = draw_timeline(self.story, now_s, self._screen.width)
        status = "   ".join(one for one in (f"{now_s:5.1f} s", self._level, self._confidence) if one)
        self._screen.draw([*rows, f"now     {status}"])

    def _observe_node(self) -> None:
        now_s = time.monotonic()
        if now_s < self._usage_due_s:
            return
        self._usage_due_s = now_s + _USAGE_EVERY_S
        usage = self._node.usage()
        if usage is None:
            return
        self.memory_mb = max(self.memory_mb, usage.memory_mb)
        if self._began_wall_s is None:
            return
        if self._first_usage is None:
            self._first_usage = (now_s, usage)
        elif now_s - self._first_usage[0] > 1.0:
            self.load = (usage.cpu_s - self._first_usage[1].cpu_s) / (now_s - self._first_usage[0])
