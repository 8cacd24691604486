"""A real `node-cli run` process."""

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import yaml

from support.waiting import wait_until


class NodeProcess:
    """One node; `kill` and `start` again keep its folder. Its log is in `log`."""

    def __init__(self, folder: Path, config: dict[str, Any], environ: dict[str, str] | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.state_dir = folder / "state"
        self._environ = environ or {}
        self._log = folder / "node.log"
        self._config = folder / "node.yaml"
        node = {"id": "hall", "name": "Hall", "state_dir": str(self.state_dir), **config.get("node", {})}
        self._config.write_text(yaml.safe_dump({"http": {"enabled": False}, **config, "node": node}))
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> str:
        """All that it wrote, over all its starts."""
        return self._log.read_text()

    def start(self) -> None:
        """Start it."""
        command = [sys.executable, "-m", "earshot_node", "run", "--config", str(self._config)]
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=log, stderr=log, env={**os.environ, **self._environ}
            )

    def feed(self, pcm: bytes) -> None:
        """Write to its standard input."""
        assert self.process is not None
        assert self.process.stdin is not None
        self.process.stdin.write(pcm)
        self.process.stdin.flush()

    def wait_for_log(self, text: str, timeout_s: float = 20.0) -> None:
        """Return when the log holds `text`."""
        wait_until(lambda: text in self.log, timeout_s, f"{text!r} in the log: {self.log[-2000:]}")

    def wait(self, timeout_s: float = 60.0) -> int:
        """Wait for its end; return the exit code."""
        assert self.process is not None
        return self.process.wait(timeout_s)

    def terminate(self) -> int:
        """SIGTERM it; return the exit code."""
        return self._end(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL it."""
        self._end(signal.SIGKILL)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process is not None and self.process.poll() is None:
            self.terminate()
        elif self.process is not None:
            self._close_input(self.process)

    def _end(self, number: signal.Signals) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        code = self.process.wait(20)
        self._close_input(self.process)
        return code

    def _close_input(self, process: subprocess.Popen[bytes]) -> None:
        with contextlib.suppress(OSError):  # what it did not read any more
            if process.stdin is not None:
                process.stdin.close()
