"""What `node-cli record` needs of the place where takes are made: the running node, or the microphone itself."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from earshot_node.contract.recordings import Labelling, RecordingInfo
from earshot_node.recordings.budget import Unasked
from earshot_node.recordings.take import Progress


@dataclass(frozen=True, slots=True)
class StudioInfo:
    """What can be recorded here.

    Attributes:
        node: the node's id.
        through_node: a running node records.
        sources: names by id, in the configuration's order.
        labels: what may be recorded without asking.
        counts: labelled recordings on this node by label, `background` among them.
        needed: how many of each a retraining wants to begin with.
    """

    node: str
    through_node: bool
    sources: Mapping[str, str]
    labels: tuple[str, ...]
    counts: Mapping[str, int]
    needed: int


@dataclass(frozen=True, slots=True)
class TakeMade:
    """A take is complete and waits: `keep` or `drop` it."""

    take_id: str
    info: RecordingInfo


class Studio(Protocol):
    """Makes takes. Every method raises an `EarshotError` that says what is wrong."""

    def describe(self) -> StudioInfo:
        """Return what can be recorded."""

    def record(self, source: str, seconds: float, countdown_s: float) -> Iterator[Progress | TakeMade]:
        """Record a take from now on; the last thing it yields is the take."""

    def keep(self, take_id: str, labelling: Labelling) -> RecordingInfo:
        """Make a take a recording."""

    def drop(self, take_id: str) -> None:
        """Forget a take."""

    def label_event(self, event_id: str, labelling: Labelling) -> RecordingInfo:
        """Make a labelled recording of the clip around an event."""

    def follow(self) -> Iterator[Unasked]:
        """Tell what is kept unasked: at once how it stands, then at each candidate and every few seconds."""

    def close(self) -> None:
        """Let go of everything."""
