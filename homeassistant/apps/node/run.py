"""Runs a node as Home Assistant's app: options become its configuration, the Supervisor names the broker.

Files in /data: `node.yaml` (written anew at each start), `mqtt-password`, `used-invite`, `state/`. A configuration of
one's own, named by the option `config_file`, is taken from /config instead; then only broker and state folder come from
here.
"""
# ruff: noqa: INP001 - a script in a folder of its own

import asyncio
import hashlib
import html
import json
import os
import subprocess
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

from earshot_node.deployment.durable import write_file
from earshot_node.deployment.membership import load_membership
from earshot_node.http.token import read_token

HTTP_PORT = 8765
HEALTH_URL = f"http://127.0.0.1:{HTTP_PORT}/healthz"
CONFIG_FOLDER = Path(os.environ.get("EARSHOT_APP_CONFIG", "/config"))
STATE = "EARSHOT_NODE_STATE_DIR"
"""Goes over the `node.state_dir` of any configuration: what lies elsewhere is gone with the container."""
JOIN_S = 60.0


def main() -> int:
    """Run until the node ends."""
    try:
        options = read_options()
        broker = find_broker(options.get("mqtt") or {})
        path = prepare(options, broker, data_folder())
        environ = {**os.environ, STATE: str(data_folder() / "state"), **broker_environ(options, broker)}
        join(str(options.get("invite") or ""), path, data_folder(), environ)
    except (AppError, OSError) as error:
        return fail(error)
    routes = [web.get("/", lambda _request: show(environ)), web.get("/alive", lambda _request: say_alive(environ))]
    return asyncio.run(run_beside_page(["node-cli", "run", "--config", str(path)], environ, routes))


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


def join(invite: str, config: Path, data: Path, environ: dict[str, str]) -> None:
    """Join the trainer of an invite that has not been used here yet; the log tells how that went.

    The node starts in any case. What failed is tried again at the next start.

    Args:
        invite: the line, '' for none; spaces and line ends in it do not matter.
        config: the node's configuration.
        data: keeps the hash of the last invite that was used.
        environ: the node's.
    """
    line = "".join(invite.split())
    used = data / "used-invite"
    trace = hashlib.sha256(line.encode()).hexdigest()
    if not line or (used.exists() and used.read_text() == trace):
        return
    command = ["node-cli", "join", "--config", str(config)]
    try:
        done = subprocess.run(
            command, env=environ, input=f"{line}\n", capture_output=True, text=True, timeout=JOIN_S, check=False
        )
    except subprocess.TimeoutExpired:
        log(f"option invite: not joined: no end after {JOIN_S:.0f} s; restart the app to try again")
        return
    if done.returncode:
        log(f"option invite: not joined: {' '.join(done.stderr.split()).removeprefix('error: ')}")
        return
    write_file(used, trace.encode())
    log(f"option invite: {told_by_join(done.stdout)}")


def told_by_join(output: str) -> str:
    """Return who has joined whom; everything where the trainer made an account at its broker, which is to be set up.

    Else the settings that it asks for are no news: Home Assistant's broker has another name among the apps.
    """
    if "username:" in output:
        return output.strip()
    return next((line for line in output.splitlines() if " has joined " in line), output.strip())


def log(text: str) -> None:
    """Write to the app's log."""
    print(text, flush=True)  # noqa: T201 - an app's log is its output


async def show(environ: dict[str, str]) -> web.Response:
    """Return the page: how the node is, whose it is, and which microphones there are."""
    health = await asyncio.to_thread(_health, environ)
    membership = load_membership(Path(environ[STATE]))
    problems = "".join(f"<li class='bad'>{html.escape(problem)}</li>" for problem in health.get("problems", []))
    facts = [
        ("state", str(health.get("state", "starting"))),
        ("broker", "connected" if health.get("connected") else "not connected"),
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


async def say_alive(environ: dict[str, str]) -> web.Response:
    """Tell the Supervisor whether the node answers; a deaf one does, and a restart would not make it hear."""
    health = await asyncio.to_thread(_health, environ)
    return web.Response(status=200 if health else 503)


def _health(environ: dict[str, str]) -> dict[str, Any]:
    token = read_token(Path(environ[STATE]))
    request = urllib.request.Request(HEALTH_URL, headers={"Authorization": f"Bearer {token}"})
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:  # noqa: S310 - on this machine
            told: dict[str, Any] = json.load(answer)
    except urllib.error.HTTPError as error:  # 503 while deaf
        told = json.load(error)
    except (OSError, ValueError):
        return {}
    return told


if __name__ == "__main__":
    sys.exit(main())
