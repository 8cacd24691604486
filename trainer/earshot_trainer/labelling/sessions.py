"""Which recordings belong together: what was heard in one go must not lie on both sides of a comparison."""

from collections.abc import Iterable
from typing import Final

from earshot_node.contract.names import slugify
from earshot_node.contract.recordings import RecordingInfo
from earshot_trainer.retraining.own import name_sessions

APART_S: Final = 600.0
"""Recordings that are closer together are taken for one session."""


def sessions_of(recordings: Iterable[RecordingInfo]) -> dict[str, str]:
    """Return each recording's session by the recording's sha256; see `name_sessions`."""
    return name_sessions(list(recordings), APART_S)


def imported_source(stem: str, sha256: str) -> str:
    """Return the source of a file that came from a folder: its name, and for each file another one.

    The times of copied files say nothing about each other, so each is a session of its own.
    """
    return f"{slugify(stem)[:31].strip('-_') or 'file'}-{sha256[:8]}"
