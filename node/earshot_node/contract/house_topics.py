"""Topics of the house, and those of nodes that it listens to. Beside `topics`, in the same layout."""

from dataclasses import dataclass
from typing import Final, Literal

from earshot_node.contract.names import SIREN, validate_slug
from earshot_node.contract.topics import NodeTopics, Topic

HOUSE: Final = "_house"
"""Takes the place of a node's id; no id begins with `_`."""


@dataclass(frozen=True, slots=True)
class NodeWord:
    """A retained topic of a node."""

    node: str
    what: Literal["status", "info"]


@dataclass(frozen=True, slots=True)
class SourceWord:
    """A topic of a source, or of what it hears."""

    node: str
    source: str
    what: Literal["health", "level", "state", "last_event"]


@dataclass(frozen=True, slots=True)
class HouseTopics:
    """The topics below `<prefix>/_house`; whoever runs the house writes them, everybody may read them."""

    prefix: str

    @property
    def base(self) -> str:
        """Common beginning of all of them."""
        return f"{self.prefix}/{HOUSE}"

    def alive(self, instance: str) -> Topic:
        """`online` or `offline`; the last will of one who runs the house, or would."""
        return Topic(f"{self.base}/alive/{instance}", 1, retain=True)

    def owner(self) -> Topic:
        """`HouseOwner`: who runs it."""
        return Topic(f"{self.base}/owner", 1, retain=True)

    def state(self) -> Topic:
        """`ON` while a siren sounds for the house, else `OFF`."""
        return Topic(f"{self.base}/{SIREN}/state", 1, retain=True)

    def onset(self) -> Topic:
        """`HouseEvent`, once for each siren."""
        return Topic(f"{self.base}/{SIREN}/onset", 1, retain=False)

    def report(self) -> Topic:
        """`HouseReport`, at every change."""
        return Topic(f"{self.base}/report", 1, retain=True)

    def device(self, discovery_prefix: str) -> Topic:
        """Home Assistant's discovery of the house's device."""
        return Topic(f"{discovery_prefix}/device/{self.prefix.replace('/', '_')}_house/house/config", 1, retain=True)

    def own_filters(self) -> tuple[str, ...]:
        """Subscriptions that tell who runs the house, and what it told last."""
        return (self.owner().name, self.alive("+").name, self.report().name)

    def node_filters(self) -> tuple[str, ...]:
        """Subscriptions that cover what the house has to know of every node."""
        every = NodeTopics(self.prefix, "+")
        source = (every.source_health("+"), every.level("+"), every.state("+", SIREN), every.last_event("+", SIREN))
        return tuple(topic.name for topic in (every.status(), every.info(), *source))

    def instance(self, name: str) -> str | None:
        """Return whose `alive` topic this is, None for any other."""
        begin = f"{self.base}/alive/"
        return name.removeprefix(begin) if name.startswith(begin) else None

    def parse(self, name: str) -> NodeWord | SourceWord | None:
        """Return what a topic of a node is about, None for any other."""
        if not name.startswith(f"{self.prefix}/"):
            return None
        try:
            match name.removeprefix(f"{self.prefix}/").split("/"):
                case [node, ("status" | "info") as what]:
                    return NodeWord(validate_slug(node), what)
                case [node, "source", source, ("health" | "level") as what]:
                    return SourceWord(validate_slug(node), validate_slug(source), what)
                case [node, "source", source, label, ("state" | "last_event") as what] if label == SIREN:
                    return SourceWord(validate_slug(node), validate_slug(source), what)
        except ValueError:
            return None
        return None
