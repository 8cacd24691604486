"""Which recordings belong together: what was heard in one go must not lie on both sides of a split."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Final

from earshot_node.contract.recordings import RecordingInfo

APART: Final = timedelta(minutes=10)
"""Recordings of one microphone that are closer together are taken for one session."""
IMPORTED_NODE: Final = "imported"
"""The node of recordings that came from a folder and not from a node; their times say nothing about each other."""


def sessions_of(recordings: Iterable[RecordingInfo]) -> dict[str, str]:
    """Return each recording's session by the recording's sha256.

    One microphone's recordings that follow each other within ten minutes are a session. Those imported from a folder
    are one each: of them nothing better is known.
    """
    by_place: dict[tuple[str, str], list[RecordingInfo]] = {}
    sessions = {}
    for info in recordings:
        if info.node == IMPORTED_NODE:
            sessions[info.sha256] = f"{IMPORTED_NODE}/{info.sha256[:16]}"
        else:
            by_place.setdefault((info.node, info.source), []).append(info)
    for (node, source), there in by_place.items():
        name, end = "", None
        for info in sorted(there, key=lambda one: (one.begin, one.sha256)):
            if end is None or info.begin - end > APART:
                name = f"{node}/{source}/{info.begin:%Y%m%dT%H%M%S}"
            ends = info.begin + timedelta(seconds=info.duration_s)
            end = ends if end is None else max(end, ends)
            sessions[info.sha256] = name
    return sessions
