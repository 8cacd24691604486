"""The transfer log: every byte of audio that leaves the node, who took it, what, when and how."""

import json
import os
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from earshot_node.errors import OperatorError

LOG_NAME: Final = "transfers.jsonl"
MAX_BYTES: Final = 2_000_000
KEPT_FILES: Final = 5


class TransferLog:
    """Appends a JSON line before the first byte of a transfer and one after the last; the disk has it on return.

    A line: `time`, `phase` (`begin`, `end`), `transfer` (a number that both share), `who`, `what` (a recording's id),
    `how`, and `bytes`: those asked for at `begin`, those handed to the network at `end`. A transfer without an `end`
    was cut off. Full files move on to `transfers.1.jsonl` and so forth.

    Args:
        folder: existing once the first line is written.
        clock: wall time.
    """

    def __init__(self, folder: Path, *, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._path = folder / LOG_NAME
        self._clock = clock
        self._lock = threading.Lock()
        self._number = 0

    def begin(self, who: str, what: str, how: str, count: int) -> int:
        """Note that `count` bytes are about to leave; return the transfer's number.

        Raises:
            OperatorError: the line cannot be written; nothing may leave.
        """
        with self._lock:
            self._number += 1
            self._append("begin", self._number, who, what, how, count)
            return self._number

    def end(self, transfer: int, who: str, what: str, how: str, count: int) -> None:
        """Note that the transfer is over and `count` bytes have left.

        Raises:
            OperatorError: the line cannot be written.
        """
        with self._lock:
            self._append("end", transfer, who, what, how, count)

    def _append(self, phase: str, transfer: int, who: str, what: str, how: str, count: int) -> None:
        line = {
            "time": self._clock().isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "phase": phase,
            "transfer": f"{os.getpid()}-{transfer}",
            "who": who,
            "what": what,
            "how": how,
            "bytes": count,
        }
        try:
            self._rotate()
            with self._path.open("ab") as file:
                file.write(json.dumps(line).encode() + b"\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise OperatorError(f"{self._path}: cannot be written ({error.strerror}); no audio leaves") from error

    def _rotate(self) -> None:
        if not self._path.exists() or self._path.stat().st_size < MAX_BYTES:
            return
        for number in range(KEPT_FILES - 1, 0, -1):
            older = self._numbered(number)
            if older.exists():
                older.replace(self._numbered(number + 1))
        self._path.replace(self._numbered(1))

    def _numbered(self, number: int) -> Path:
        return self._path.with_suffix(f".{number}.jsonl")
