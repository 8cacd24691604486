"""What is true now: the latest value of everything a node publishes, ready to be published again at any time."""

from collections.abc import Iterator, Mapping
from typing import Final

from earshot_node.contract.config import NodeConfig
from earshot_node.contract.messages import EventMessage, NodeHealth, NodeInfo, SourceHealth
from earshot_node.contract.recordings import RecordingsReport
from earshot_node.contract.topics import NodeTopics, RecorderSetting, Topic
from earshot_node.mqtt.recorder import recorder_options
from earshot_node.mqtt.settings import Key, LabelSettings, encode_setting

Message = tuple[Topic, bytes]

LEVEL_EVERY_S: Final = 5.0
JUMP_PERCENT: Final = 10
JUMP_EVERY_S: Final = 1.0
# Above all of these a value is repeated although it did not change, because Home Assistant lets it expire.


class Board:
    """Latest values of one node; every method returns the messages that have to go out because of it.

    Args:
        config: the node's.
        info: who it is.
        settings: that hold now, of each source and label.
        last: what is known of their last events.
    """

    def __init__(
        self,
        config: NodeConfig,
        info: NodeInfo,
        settings: dict[Key, LabelSettings],
        last: Mapping[Key, EventMessage] | None = None,
    ) -> None:
        self.topics = NodeTopics(config.mqtt.prefix, config.node.id)
        self.settings = settings
        self._config = config
        self.recorder_options = recorder_options(config, info)
        self.recorder: dict[RecorderSetting, str] = {name: one[0] for name, one in self.recorder_options.items()}
        self._has_pictures = config.spectrogram.enabled
        self._info = info
        self._recordings: RecordingsReport | None = None
        self._sources = [source.id for source in config.sources]
        self._retained: dict[Topic, bytes] = {}
        self._health: NodeHealth | None = None
        self._source_health: dict[str, SourceHealth] = {}
        self._open: dict[Key, str] = {}
        self._last: dict[Key, EventMessage] = dict(last or {})
        self._level_sent_s: dict[str, float] = {}
        self._confidence_sent: dict[Key, tuple[float, int]] = {}
        self._alive_s: dict[str, float] = {}

    def onset(self, event: EventMessage, now_s: float) -> list[Message]:
        """An event has begun: its details, then ON unless the label is switched off."""
        key = (event.source, event.event_type)
        self._last[key] = event
        self._alive_s[event.source] = now_s
        messages = [(self.topics.last_event(*key), event.encode())]
        if self.settings[key].enabled:
            self._open[key] = event.id
            messages.append(self._state(key))
        return messages

    def named(self, event: EventMessage) -> list[Message]:
        """More is known of an event that lasts: its details again, unless it has ended or another has begun."""
        key = (event.source, event.event_type)
        last = self._last.get(key)
        if last is None or last.id != event.id or last.phase != "onset":
            return []
        self._last[key] = event
        return [(self.topics.last_event(*key), event.encode())]

    def offset(self, event: EventMessage) -> list[Message]:
        """An event has ended: its details, then OFF if it is the one that turned the sensor on."""
        key = (event.source, event.event_type)
        self._last[key] = event
        messages = [(self.topics.last_event(*key), event.encode())]
        if self._open.get(key) == event.id:
            del self._open[key]
            messages.append(self._state(key))
        return messages

    def is_last(self, event: EventMessage) -> bool:
        """Whether this is the last event of its source and label."""
        return self._last.get((event.source, event.event_type)) == event

    def late(self, event: EventMessage) -> list[Message]:
        """A late event goes out: it is the last one known if there is none younger; it turns nothing on.

        What is known of it by now is not taken back: its kind, or its end.
        """
        key = (event.source, event.event_type)
        last = self._last.get(key)
        if key not in self.settings or (last is not None and last.onset > event.onset):
            return []
        if last is not None and last.id == event.id:
            event = last.model_copy(update={"late": True})
        self._last[key] = event
        return [(self.topics.last_event(*key), event.encode())]

    def close(self, key: Key) -> list[Message]:
        """The label was switched off: no event lasts any more."""
        return [self._state(key)] if self._open.pop(key, None) is not None else []

    def close_all(self) -> list[Message]:
        """The node stops: everything is OFF."""
        self._open.clear()
        return [self._state(key) for key in self.settings]

    def lasting(self, heard_since_s: float) -> list[Message]:
        """ON once more for every event of a source that gave a sign of life since `heard_since_s`."""
        return [self._state(key) for key in self._open if self._alive_s.get(key[0], 0.0) >= heard_since_s]

    def level(self, source: str, dbfs: float, now_s: float) -> list[Message]:
        """The level of a source, at most every `LEVEL_EVERY_S`."""
        self._alive_s[source] = now_s
        if now_s - self._level_sent_s.get(source, -LEVEL_EVERY_S) < LEVEL_EVERY_S:
            return []
        self._level_sent_s[source] = now_s
        return [(self.topics.level(source), f"{dbfs:.1f}".encode())]

    def confidence(self, source: str, label: str, percent: int, now_s: float) -> list[Message]:
        """The confidence of a label: a jump within `JUMP_EVERY_S`, else every `LEVEL_EVERY_S`."""
        self._alive_s[source] = now_s
        sent_s, sent = self._confidence_sent.get((source, label), (-LEVEL_EVERY_S, 0))
        jumped = abs(percent - sent) >= JUMP_PERCENT and now_s - sent_s >= JUMP_EVERY_S
        if not jumped and now_s - sent_s < LEVEL_EVERY_S:
            return []
        self._confidence_sent[source, label] = (now_s, percent)
        return [(self.topics.confidence(source, label), str(percent).encode())]

    def info(self, info: NodeInfo) -> list[Message]:
        """Who the node is has changed, maybe what its recorder can be set to: a choice that is left stays."""
        self._info = info
        self.recorder_options = recorder_options(self._config, info)
        chosen = dict(self.recorder)
        for name, options in self.recorder_options.items():
            if self.recorder[name] not in options:
                self.recorder[name] = options[0]
        echo = self.recorder_echo() if self.recorder != chosen else []
        return [(self.topics.info(), info.encode()), *echo]

    def retain(self, topic: Topic, payload: bytes) -> list[Message]:
        """Anything else that is to be told again."""
        self._retained[topic] = payload
        return [(topic, payload)]

    def health(self, health: NodeHealth) -> list[Message]:
        """How the node is."""
        self._health = health
        return [(self.topics.health(), health.encode())]

    def source_health(self, health: SourceHealth) -> list[Message]:
        """How a source is."""
        self._source_health[health.source] = health
        return [(self.topics.source_health(health.source), health.encode())]

    def recordings(self, report: RecordingsReport) -> list[Message]:
        """How it stands with the recordings."""
        self._recordings = report
        return [(self.topics.recordings(), report.encode())]

    def recorder_echo(self) -> list[Message]:
        """The echo of the recorder's settings."""
        return [(self.topics.recorder_setting(name), value.encode()) for name, value in self.recorder.items()]

    def setting(self, key: Key) -> list[Message]:
        """The echo of both settings of a label."""
        return [
            (self.topics.setting(*key, "enabled"), encode_setting(self.settings[key], "enabled")),
            (self.topics.setting(*key, "sensitivity"), encode_setting(self.settings[key], "sensitivity")),
        ]

    def everything(self) -> Iterator[Message]:
        """Everything retained as it is now, details before states so that a change of state carries them."""
        yield self.topics.info(), self._info.encode()
        if self._health is not None:
            yield self.topics.health(), self._health.encode()
        if self._recordings is not None:
            yield self.topics.recordings(), self._recordings.encode()
        yield from self.recorder_echo()
        yield from self._retained.items()
        for source, health in self._source_health.items():
            yield self.topics.source_health(source), health.encode()
        for key in self.settings:
            yield from self.setting(key)
            if key in self._last:
                yield self.topics.last_event(*key), self._last[key].encode()
            yield self._state(key)

    def retained_topics(self) -> set[str]:
        """Every topic below the node where a retained message of this configuration may lie."""
        topics = [self.topics.status(), self.topics.info(), self.topics.health(), self.topics.recordings()]
        topics += [topic for topic, _ in self.recorder_echo()]
        topics += [self.topics.update(), self.topics.model_result(), self.topics.model_shadow()]
        for source in self._sources:
            topics += [self.topics.source_health(source), self.topics.drill_result(source)]
            topics += [self.topics.spectrogram(source)] if self._has_pictures else []
        for key in self.settings:
            topics += [self.topics.state(*key), self.topics.last_event(*key)]
            topics += [topic for topic, _ in self.setting(key)]
        return {topic.name for topic in topics}

    def _state(self, key: Key) -> Message:
        return self.topics.state(*key), b"ON" if key in self._open else b"OFF"
