"""The last drill of each source, kept over restarts: a failed one stays a problem until one passes."""

import json
import logging
from pathlib import Path

from earshot_node.atomic_file import write_atomically
from earshot_node.contract.drill import DrillResult
from earshot_node.errors import MessageError

_log = logging.getLogger(__name__)


class DrillResults:
    """One JSON file in the state folder; what cannot be read or written is logged and does no harm."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.by_source: dict[str, DrillResult] = {}
        try:
            kept = json.loads(path.read_bytes()) if path.exists() else []
            results = [DrillResult.decode(json.dumps(one).encode()) for one in kept]
            self.by_source = {one.source: one for one in results}
        except (OSError, ValueError, TypeError, MessageError) as error:
            _log.warning("drill: former results cannot be read from %s: %s", path, error)

    def put(self, result: DrillResult) -> None:
        """Keep a source's latest result; writes to disk, so not in the event loop."""
        self.by_source[result.source] = result
        lines = [one.encode().decode() for one in self.by_source.values()]
        try:
            write_atomically(self._path, ("[" + ",\n ".join(lines) + "]\n").encode())
        except OSError as error:
            _log.warning("drill: the result is not kept: %s", error)
