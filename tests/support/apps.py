"""An app of Home Assistant as its container runs it, and a Supervisor that knows one service."""

import importlib.util
import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import yaml

from support.mosquitto import Mosquitto, free_port

APPS = Path(__file__).resolve().parents[2] / "homeassistant/apps"
SOON_S = 90.0


class Supervisor:
    """What an app sees of the Supervisor: the service mqtt for who has the token."""

    token = "secret-of-the-supervisor"

    def __init__(self, mqtt: dict[str, Any] | None) -> None:
        self.refused: list[str] = []
        supervisor = self

        class Answers(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                allowed = self.headers["Authorization"] == f"Bearer {supervisor.token}"
                status = 401 if not allowed else 404 if self.path != "/services/mqtt" else 200 if mqtt else 400
                body = {"result": "ok", "data": mqtt} if status == 200 else {"result": "error", "message": "no"}
                if status != 200:
                    supervisor.refused.append(self.path)
                self.send_response(status)
                self.end_headers()
                self.wfile.write(json.dumps(body).encode())

            def log_message(self, *_: object) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class App:
    """An app as its container would run it."""

    def __init__(
        self, name: str, folder: Path, options: dict[str, Any], supervisor: Supervisor, **environ: str
    ) -> None:
        self.data = folder / "data"
        self.data.mkdir()
        (self.data / "options.json").write_text(json.dumps(options))
        self.port = free_port()
        programs = Path(sys.executable).parent
        self._environ = {
            "PATH": f"{programs}:{os.environ['PATH']}",
            "HOME": str(folder),
            "PYTHONPATH": str(APPS / "common"),
            "SUPERVISOR_URL": supervisor.url,
            "SUPERVISOR_TOKEN": supervisor.token,
            "EARSHOT_APP_DATA": str(self.data),
            "EARSHOT_APP_CONFIG": str(folder),
            "EARSHOT_APP_HOST": "127.0.0.1",
            "EARSHOT_APP_PORT": str(self.port),
            "EARSHOT_APP_GATEWAY": "127.0.0.1",
            **environ,
        }
        self._command = [sys.executable, str(APPS / name / "run.py")]

    def run(self) -> subprocess.CompletedProcess[str]:
        """Run until it ends by itself."""
        return subprocess.run(
            self._command, env=self._environ, capture_output=True, text=True, timeout=SOON_S, check=False
        )

    @contextmanager
    def running(self) -> Iterator[subprocess.Popen[bytes]]:
        """Run while the context lasts; SIGTERM must end it cleanly."""
        with (self.data / "log").open("wb") as log:
            process = subprocess.Popen(self._command, env=self._environ, stdout=log, stderr=log)
        try:
            yield process
            process.send_signal(signal.SIGTERM)
            assert process.wait(SOON_S) == 0, self.log()
        finally:
            process.kill()
            process.wait()

    def log(self) -> str:
        return (self.data / "log").read_text()

    def get(self, path: str, form: bytes | None = None) -> tuple[int, str]:
        """Return status and text; status 0 while nobody answers."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", form, timeout=SOON_S) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return 0, ""


@contextmanager
def supervisor_with(broker: Mosquitto) -> Iterator[Supervisor]:
    """A Supervisor that knows the broker."""
    told = {
        "host": "127.0.0.1",
        "port": broker.port,
        "ssl": False,
        "username": "addons",
        "password": "p",
        "protocol": "3.1.1",
    }
    running = Supervisor(told)
    try:
        yield running
    finally:
        running.close()


def load_app_module(app: str, name: str) -> Any:
    """Return a module of an app's folder; what both apps share has to be on the path."""
    spec = importlib.util.spec_from_file_location(f"earshot_app_{app}_{name}", APPS / app / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def options(app: str, **changed: Any) -> dict[str, Any]:
    """Return an app's options as they are at first, but for `changed`."""
    return {**yaml.safe_load((APPS / app / "config.yaml").read_text())["options"], **changed}


def missing_options(schema: dict[str, Any], given: dict[str, Any], root: str = "root") -> list[str]:
    """Return what the Supervisor misses in options, for which it does not start an app.

    Its rule: every key of the schema has to be given, but for a leaf, or a list of one, whose type ends with `?`.
    """
    missed = []
    for key, kind in schema.items():
        inner = kind[0] if isinstance(kind, list) else kind
        if key not in given:
            missed += [] if isinstance(inner, str) and inner.endswith("?") else [f"Missing option '{key}' in {root}"]
        elif isinstance(inner, dict):
            for one in given[key] if isinstance(kind, list) else [given[key]]:
                missed += missing_options(inner, one, key)
    return missed
