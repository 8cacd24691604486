"""Runs a node as Home Assistant's app: options become its configuration, the Supervisor names the broker.

Files in /data: `node.yaml` (written anew at each start), `mqtt-password`, `used-invite`, `state/`. A configuration of
one's own, named by the option `config_file`, is taken from /config instead; then only broker and state folder come from
here.
"""
# ruff: noqa: INP001 - a script in a folder of its own

import asyncio
import html
import json
import os
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import yaml
from aiohttp import web
from earshot_app.ingress import page, table
from earshot_app.program import fail, output_of, run_beside_page
from earshot_app.supervisor import AppError, Broker, data_folder, find_broker, read_options
from joining import join_when_possible

from earshot_node.configuration.file import load_config
from earshot_node.contract.config import HttpSection
from earshot_node.deployment.durable import write_file
from earshot_node.deployment.membership import load_membership
from earshot_node.errors import EarshotError
from earshot_node.http.address import read_address
from earshot_node.http.certificate import client_context
from earshot_node.http.token import read_token

HTTP_PORT = 8765
CONFIG_FOLDER = Path(os.environ.get("EARSHOT_APP_CONFIG", "/config"))
STATE = "EARSHOT_NODE_STATE_DIR"
"""Goes over the `node.state_dir` of any configuration: what lies elsewhere is gone with the container."""


def main() -> int:
    """Run until the node ends."""
    try:
        options = read_options()
        broker = find_broker(options.get("mqtt") or {})
        path = prepare(options, broker, data_folder())
        environ = {**os.environ, STATE: str(data_folder() / "state"), **broker_environ(options, broker)}
        http = load_config(path, environ).http
    except (AppError, EarshotError, OSError) as error:
        return fail(error)
    routes = [
        web.get("/", lambda _request: show(http, environ)),
        web.get("/alive", lambda _request: say_alive(http, environ)),
    ]
    joining = join_when_possible(str(options.get("invite") or ""), path, data_folder(), environ)
    return asyncio.run(run_beside_page(["node-cli", "run", "--config", str(path)], environ, routes, joining))


def prepare(options: dict[str, Any], broker: Broker, data: Path) -> Path:
    """Write what the node needs; return the path of its configuration.

    Raises:
        AppError: the named configuration is not there.
    """
    (data / "state").mkdir(parents=True, exist_ok=True)
    if options.get("config_file"):
        own = CONFIG_FOLDER / str(options["config_file"])
        if not own.is_file():
            raise AppError(f"config_file: {own} is not there; put it into the app's configuration folder")
        return own
    password = data / "mqtt-password"
    write_file(password, broker.password.encode())
    path = data / "node.yaml"
    text = yaml.safe_dump(configuration(options, broker, password), sort_keys=False, allow_unicode=True)
    write_file(path, text.encode())
    return path


def configuration(options: dict[str, Any], broker: Broker, password: Path) -> dict[str, Any]:
    """Return the node's configuration."""
    mqtt: dict[str, Any] = {"host": broker.host, "port": broker.port, "username": broker.username}
    if broker.password:
        mqtt["password_file"] = str(password)
    if broker.tls:
        mqtt["tls"] = {}
    wanted: dict[str, Any] = {
        "node": {key: options[key] for key in ("id", "name", "area") if options.get(key)},
        "sources": [source(one) for one in options["sources"]],
        "mqtt": mqtt,
        "detection": {"preset": options.get("preset", "balanced")},
        "clips": {"store": options.get("clips", "ram")},
        "recordings": {"auto": {"enabled": bool(options.get("keep_uncertain"))}},
        "house": {"enabled": bool(options.get("house"))},
        "log_level": options.get("log_level", "info"),
    }
    if options.get("collect") or options.get("clip_links"):  # the trainer and phones come through the app's port
        wanted["http"] = {"host": "0.0.0.0"}  # noqa: S104
        wanted["http"]["announce"] = f"http://{options.get('host') or 'homeassistant.local'}:{HTTP_PORT}"
    if options.get("clip_links"):
        wanted["clips"]["links"] = True
    if options.get("weekly_drill"):
        wanted["drill"] = {"weekly": options["weekly_drill"]}
    return wanted


def source(option: dict[str, Any]) -> dict[str, Any]:
    """Return a source: a camera or stream where the option has a `url`, else the microphone."""
    named = {key: option[key] for key in ("id", "name", "area", "gain_db") if option.get(key)}
    if option.get("url"):
        return {**named, "type": "url", "url": option["url"]}
    return {**named, "type": "microphone", "device": option.get("device") or "default"}


def broker_environ(options: dict[str, Any], broker: Broker) -> dict[str, str]:
    """Return the variables that put the broker into a configuration of one's own."""
    if not options.get("config_file"):
        return {}
    return {
        "EARSHOT_MQTT_HOST": broker.host,
        "EARSHOT_MQTT_PORT": str(broker.port),
        "EARSHOT_MQTT_USERNAME": broker.username,
        "EARSHOT_MQTT_PASSWORD": broker.password,
    }


async def show(http: HttpSection, environ: dict[str, str]) -> web.Response:
    """Return the page: how the node is, whose it is, and which microphones there are."""
    health = await asyncio.to_thread(_health, http, environ)
    membership = load_membership(Path(environ[STATE]))
    problems = "".join(f"<li class='bad'>{html.escape(problem)}</li>" for problem in health.get("problems", []))
    unknown = "starting" if http.enabled else "not known: its configuration has http off"
    facts = [
        ("state", str(health.get("state", unknown))),
        ("broker", "connected" if health.get("connected") else "not connected" if health else ""),
        ("model", str(health.get("model", ""))),
        ("trainer", membership.url if membership is not None else "not joined"),
        ("version", str(health.get("version", ""))),
    ]
    _, output = await output_of("node-cli", "devices", "--no-level", "--json", environ=environ)
    lines = output.splitlines()
    found = [json.loads(line) for line in lines if line.startswith("{")]
    warnings = "".join(f"<p>{html.escape(line)}</p>" for line in lines if not line.startswith("{"))
    rows = [(str(one["id"]), str(one["name"]), f"{one['rate_hz'] or '?'} Hz") for one in found]
    microphones = table(("device", "name", "rate"), rows) if rows else "<p>None is found.</p>"
    return page(
        "Earshot node", table(("", ""), facts), f"<ul>{problems}</ul>", "<h2>Microphones</h2>", microphones, warnings
    )


async def say_alive(http: HttpSection, environ: dict[str, str]) -> web.Response:
    """Tell the Supervisor whether the node answers; a deaf one does, and a restart would not make it hear.

    One whose configuration has HTTP off cannot be asked: it lives as long as this page does.
    """
    alive = not http.enabled or bool(await asyncio.to_thread(_health, http, environ))
    return web.Response(status=200 if alive else 503)


def _health(http: HttpSection, environ: dict[str, str]) -> dict[str, Any]:
    """Return what the node says of itself at the address that it wrote down; nothing while it does not answer."""
    state = Path(environ[STATE])
    address = read_address(state)
    if not address:
        return {}
    token = read_token(state, http.token.get_secret_value())
    request = urllib.request.Request(f"{address}/healthz", headers={"Authorization": f"Bearer {token}"})  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=5, context=client_context(state)) as answer:  # noqa: S310 - its own
            told: dict[str, Any] = json.load(answer)
    except urllib.error.HTTPError as error:  # 503 while deaf
        told = json.load(error)
    except (OSError, ValueError):
        return {}
    return told


if __name__ == "__main__":
    sys.exit(main())
