"""From what nodes publish to what the house takes in. Bad bytes end here."""

import logging
import math

from earshot_node.contract.house_topics import HouseTopics, NodeWord, SourceWord
from earshot_node.contract.messages import EventMessage, NodeInfo, SourceHealth
from earshot_node.errors import MessageError
from earshot_node.health import DEAF_STATES
from earshot_node.house.fusion import Fusion
from earshot_node.mqtt.connection import Received

_log = logging.getLogger(__name__)
_MAX_WARNED = 100


class Hearsay:
    """Reads messages of nodes into a fusion."""

    def __init__(self, topics: HouseTopics, fusion: Fusion) -> None:
        self._topics = topics
        self._fusion = fusion
        self._warned: set[str] = set()

    def take(self, message: Received, now_s: float) -> None:
        """Take one message; what makes no sense is logged once for each topic and changes nothing."""
        try:
            match self._topics.parse(message.topic):
                case NodeWord() as word:
                    self._node(word, message.payload, now_s)
                case SourceWord() as word if message.payload:
                    self._source(word, message.payload, now_s)
        except (MessageError, ValueError) as error:
            first = message.topic not in self._warned and len(self._warned) < _MAX_WARNED
            self._warned.add(message.topic)
            _log.log(logging.WARNING if first else logging.DEBUG, "house: %s makes no sense: %s", message.topic, error)

    def _node(self, word: NodeWord, payload: bytes, now_s: float) -> None:
        if not payload:
            self._fusion.forget(word.node)
        elif word.what == "status":
            self._fusion.status(word.node, now_s, online=payload == b"online")
        else:
            info = NodeInfo.decode(payload)
            self._fusion.info(word.node, {one.id: (one.name, one.area or one.name) for one in info.sources})

    def _source(self, word: SourceWord, payload: bytes, now_s: float) -> None:
        node, source = word.node, word.source
        match word.what:
            case "state":
                self._fusion.state(node, source, now_s, is_on=payload == b"ON")
            case "level":
                dbfs = float(payload)
                if not math.isfinite(dbfs):
                    raise ValueError("not a level")
                self._fusion.level(node, source, dbfs, now_s)
            case "health":
                state = SourceHealth.decode(payload).state
                self._fusion.health(node, source, is_well=state not in DEAF_STATES and state != "ended")
            case "last_event":
                event = EventMessage.decode(payload)
                self._fusion.details(node, source, event.confidence, event.level_dbfs)
