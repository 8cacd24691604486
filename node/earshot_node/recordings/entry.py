"""One recording as it lies on the disk, and which may be deleted to make room."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from earshot_node.contract.recordings import RecordingInfo


@dataclass(frozen=True, slots=True)
class Entry:
    """A recording on the disk.

    Attributes:
        info: its JSON.
        stored_bytes: audio and JSON.
        collected: when it was acknowledged; None if it was not.
    """

    info: RecordingInfo
    stored_bytes: int
    collected: datetime | None

    @property
    def is_waiting(self) -> bool:
        """Labelled and not collected: never deleted to make room."""
        return self.info.labelling is not None and self.collected is None

    @property
    def is_candidate(self) -> bool:
        """Neither labelled nor collected."""
        return self.info.labelling is None and self.collected is None


def to_evict(entries: Sequence[Entry], excess_bytes: float, *, candidate: bool) -> list[Entry] | None:
    """Choose what to delete, to get `excess_bytes` back: collected ones first, then candidates, each the oldest first.

    Args:
        entries: all there are.
        excess_bytes: how much must go; nothing if not above 0.
        candidate: the room is for a candidate, which does not push out what is collected but still within retention.

    Returns:
        None if that much cannot be deleted.
    """
    if excess_bytes <= 0:
        return []
    collected = sorted((one for one in entries if one.collected is not None), key=lambda one: one.info.id)
    candidates = sorted((one for one in entries if one.is_candidate), key=lambda one: one.info.id)
    chosen: list[Entry] = []
    for entry in candidates if candidate else [*collected, *candidates]:
        chosen.append(entry)
        excess_bytes -= entry.stored_bytes
        if excess_bytes <= 0:
            return chosen
    return None
