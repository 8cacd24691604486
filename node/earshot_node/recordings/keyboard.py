"""Single keys from a terminal, without waiting for Enter."""

import os
import select
import sys
import termios
import tty
from types import TracebackType
from typing import Self


class Keyboard:
    """Use as a context: the terminal gives keys at once inside it, and is as before after it."""

    def __init__(self) -> None:
        self._descriptor = sys.stdin.fileno()
        self._before = termios.tcgetattr(self._descriptor)

    def __enter__(self) -> Self:
        tty.setcbreak(self._descriptor)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        termios.tcsetattr(self._descriptor, termios.TCSADRAIN, self._before)

    def key(self, timeout_s: float | None) -> str:
        """Return the next key in lower case, 'q' when the terminal is gone.

        Args:
            timeout_s: how long to wait before '' is returned; None: for ever.
        """
        ready, _, _ = select.select([self._descriptor], [], [], timeout_s)
        if not ready:
            return ""
        pressed = os.read(self._descriptor, 16)
        return pressed[:1].decode("ascii", "replace").lower() if pressed else "q"

    def forget(self) -> None:
        """Pass over what was pressed until now."""
        termios.tcflush(self._descriptor, termios.TCIFLUSH)
