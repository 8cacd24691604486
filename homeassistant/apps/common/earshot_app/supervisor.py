"""What the Supervisor tells an app: its options, and where the broker is."""

import json
import os
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ANSWER_S = 20.0
NO_BROKER = (
    "no MQTT broker: install the app Mosquitto broker or another that offers the service mqtt,"
    " or fill in the option mqtt"
)


class AppError(Exception):
    """The app cannot run; the text says what a person can do."""


@dataclass(frozen=True)
class Broker:
    """Where the broker is, and how to log in."""

    host: str
    port: int
    username: str
    password: str
    tls: bool


def data_folder() -> Path:
    """Return the folder that outlives the container."""
    return Path(os.environ.get("EARSHOT_APP_DATA", "/data"))


def read_options() -> dict[str, Any]:
    """Return the options as a person set them.

    Raises:
        AppError: there are none.
    """
    path = data_folder() / "options.json"
    try:
        options: dict[str, Any] = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise AppError(f"cannot read {path}: {error}") from error
    return options


def find_broker(manual: dict[str, Any]) -> Broker:
    """Return the broker of the option `mqtt` if it names a host, else the one that the Supervisor knows.

    Raises:
        AppError: there is none.
    """
    if manual.get("host"):
        tls = bool(manual.get("tls"))
        port = int(manual.get("port") or (8883 if tls else 1883))
        return Broker(str(manual["host"]), port, str(manual.get("username", "")), str(manual.get("password", "")), tls)
    told = _ask("/services/mqtt")
    return Broker(
        host=str(told["host"]),
        port=int(told["port"]),
        username=str(told.get("username") or ""),
        password=str(told.get("password") or ""),
        tls=bool(told.get("ssl")),
    )


def _ask(path: str) -> dict[str, Any]:
    url = os.environ.get("SUPERVISOR_URL", "http://supervisor")
    token = os.environ.get("SUPERVISOR_TOKEN", "")
    request = urllib.request.Request(url + path, headers={"Authorization": f"Bearer {token}"})  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=ANSWER_S) as answer:  # noqa: S310 - the Supervisor's own address
            told: dict[str, Any] = json.load(answer)
    except urllib.error.HTTPError as error:
        if error.code == 400:  # how the Supervisor says that nobody offers the service
            raise AppError(NO_BROKER) from error
        raise AppError(f"the Supervisor refuses {path}: {error.code} {error.reason}") from error
    except (OSError, ValueError) as error:
        raise AppError(f"the Supervisor does not answer on {path}: {error}") from error
    data: dict[str, Any] = told.get("data") or {}
    if not data.get("host"):
        raise AppError(NO_BROKER)
    return data
