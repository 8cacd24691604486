"""One Home Assistant process with a configuration folder of its own."""

import contextlib
import random
import re
import shutil
import signal
import socket
import subprocess
import uuid
from collections.abc import Mapping
from dataclasses import dataclass

import yaml

from support.home_assistant.place import Place

START_S = 600.0
STOP_S = 300.0
# All steps but the first user: the others would set up integrations that look into the internet.
ONBOARDING = (
    '{"version":4,"minor_version":1,"key":"onboarding","data":{"done":["core_config","analytics","integration"]}}'
)
_LINE = re.compile(r"^\d{4}-\S+ \S+ (\w+) \((.*?)\) \[(.*?)\] (.*(?:\n(?!\d{4}-\d\d-\d\d ).*)*)", re.MULTILINE)


@dataclass(frozen=True)
class LogLine:
    """One entry of Home Assistant's log; `text` may hold a traceback."""

    level: str
    logger: str
    text: str


def free_low_port() -> int:
    """Return a port that nothing listens on, below those that outgoing connections take: it is used much later."""
    while True:
        port = random.randrange(20_000, 32_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


class HomeAssistantProcess:
    """`stop`, `kill` and `start` again keep its folder and its port; `discard` removes the folder.

    Args:
        place: where it is installed.
        packages: YAML by name: more configuration, as Home Assistant's packages.
        log_levels: by logger.
    """

    def __init__(
        self, place: Place, packages: Mapping[str, str] | None = None, log_levels: Mapping[str, str] | None = None
    ) -> None:
        self.place = place
        self.port = free_low_port()
        self.config = place.work / f"config-{uuid.uuid4().hex[:8]}"
        self.console = self.config / "console.log"
        self._process: subprocess.Popen[bytes] | None = None
        (self.config / ".storage").mkdir(parents=True)
        (self.config / "packages").mkdir()
        (self.config / ".storage/onboarding").write_text(ONBOARDING)
        (self.config / "automations.yaml").write_text("[]\n")
        for name, text in (packages or {}).items():
            (self.config / "packages" / f"{name}.yaml").write_text(text)
        (self.config / "configuration.yaml").write_text(self._configuration(log_levels or {}))

    @property
    def running(self) -> bool:
        """Whether the process lives."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start it; returns when the process is there, long before it answers."""
        command = self.place.command(
            self.place.venv / "bin/hass", "--config", self.place.inside(self.config), "--skip-pip", "--log-no-color"
        )
        with self.console.open("ab") as log:
            self._process = subprocess.Popen(
                command, env=self.place.environ(), stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def check(self) -> None:
        """Fail the test when the process has ended or listens elsewhere."""
        said = self.console.read_text(errors="replace")
        assert self.running, f"Home Assistant has ended: {said[-3000:]}"
        assert "HTTP configuration could not be applied" not in said, f"port {self.port} was taken meanwhile"

    def stop(self) -> None:
        """Stop it cleanly."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL it."""
        self._end(signal.SIGKILL)

    def discard(self) -> None:
        """Kill it if it runs and remove its folder."""
        if self.running:
            self.kill()
        shutil.rmtree(self.config, ignore_errors=True)

    def log_size(self) -> int:
        """Return how long the log is by now, for `log_lines`."""
        return self.console.stat().st_size

    def log_lines(self, since: int = 0) -> list[LogLine]:
        """Return the entries of the log, over all starts, from byte `since` on."""
        with self.console.open("rb") as log:
            log.seek(since)
            text = log.read().decode(errors="replace")
        return [LogLine(found[1], found[3], found[4].strip()) for found in _LINE.finditer(text)]

    def _configuration(self, log_levels: Mapping[str, str]) -> str:
        home = {
            "name": "Test house",
            "latitude": 48.2,
            "longitude": 16.37,
            "elevation": 180,
            "unit_system": "metric",
            "time_zone": "UTC",
            "country": "AT",
        }
        sections = {
            "http": {"server_host": "127.0.0.1", "server_port": self.port},
            "api": None,
            "config": None,
            "logger": {"default": "info", "logs": dict(log_levels)},
        }
        included = "automation: !include automations.yaml\n"
        packages = "  packages: !include_dir_named packages\n"
        return yaml.safe_dump({"homeassistant": home}) + packages + yaml.safe_dump(sections) + included

    def _end(self, number: signal.Signals) -> None:
        if self._process is not None:
            process, self._process = self._process, None
            process.send_signal(number)
            try:
                process.wait(STOP_S)
            finally:
                process.kill()
