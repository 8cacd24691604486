"""The demo's node: a real `node-cli run` in a process and a folder of its own."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import yaml

NODE: Final = "demo"
SOURCE: Final = "street"
_STOP_TIMEOUT_S: Final = 8.0


@dataclass(frozen=True, slots=True)
class Usage:
    """What a process uses: its resident memory, and the processor time so far."""

    memory_mb: float
    cpu_s: float


def demo_config(audio: Path, broker_port: int, state_dir: Path) -> dict[str, object]:
    """Return the configuration of a node that plays `audio` once, at the speed of a microphone."""
    return {
        "node": {"id": NODE, "name": "Demo", "state_dir": str(state_dir)},
        "sources": [{"id": SOURCE, "name": "Street", "type": "file", "path": str(audio.resolve()), "real_time": True}],
        "mqtt": {"host": "127.0.0.1", "port": broker_port, "protocol": "3.1.1"},
        "http": {"port": 0},
        "log_level": "warning",
    }


class NodeChild:
    """Runs while the context lasts, in `folder`; what it logs is kept in `log`."""

    def __init__(self, folder: Path, audio: Path, broker_port: int) -> None:
        self.log = folder / "node.log"
        self._config = folder / "node.yaml"
        self._config.write_text(yaml.safe_dump(demo_config(audio, broker_port, folder / "state"), sort_keys=False))

    def __enter__(self) -> Self:
        """Start it."""
        # Settings in the caller's environment are meant for another node.
        environment = {name: value for name, value in os.environ.items() if not name.startswith("EARSHOT_")}
        command = [sys.executable, "-m", "earshot_node", "run", "--config", str(self._config)]
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=environment)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop it politely, then by force."""
        if self._process.poll() is None:
            self._process.terminate()
        try:
            self._process.wait(_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    @property
    def running(self) -> bool:
        """Whether it still runs."""
        return self._process.poll() is None

    def complaint(self) -> str:
        """Return the last line of its log."""
        lines = self.log.read_text(errors="replace").strip().splitlines()
        return lines[-1] if lines else f"exit code {self._process.poll()}, no message"

    def usage(self) -> Usage | None:
        """Return what it uses now; None when it has ended, or where /proc does not tell."""
        try:
            status = Path(f"/proc/{self._process.pid}/status").read_text()
            fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
            resident_kb = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS:"))
        except (OSError, StopIteration):
            return None
        ticks = int(fields[11]) + int(fields[12])
        return Usage(resident_kb / 1024, ticks / os.sysconf("SC_CLK_TCK"))
