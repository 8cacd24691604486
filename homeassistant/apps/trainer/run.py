"""Runs a trainer as Home Assistant's app: options become `trainer.yaml`, the page invites nodes and collects.

The home is /data/trainer; `trainer.yaml` in it is written anew at each start, everything else is kept.
"""
# ruff: noqa: INP001 - a script in a folder of its own

import asyncio
import html
import os
import sys
from pathlib import Path
from typing import Any

import yaml
from aiohttp import web
from earshot_app.ingress import page
from earshot_app.program import fail, output_of, run_beside_page
from earshot_app.supervisor import AppError, Broker, data_folder, find_broker, read_options

from earshot_node.deployment.durable import write_file

PORT = int(os.environ.get("EARSHOT_APP_TRAINER_PORT", "8770"))
COLLECT_S = 600.0


def main() -> int:
    """Run until the trainer ends."""
    home = data_folder() / "trainer"
    try:
        options = read_options()
        broker = find_broker(options.get("mqtt") or {})
        prepare(options, broker, home)
    except (AppError, OSError) as error:
        return fail(error)
    environ = {**os.environ, "EARSHOT_HOME": str(home), "COLUMNS": "120", "NO_COLOR": "1"}
    routes = [
        web.get("/", lambda _request: show(environ)),
        web.post("/invite", lambda request: invite(environ, request)),
        web.post("/collect", lambda _request: collect(environ)),
    ]
    return asyncio.run(serve(environ, routes))


async def serve(environ: dict[str, str], routes: list[web.RouteDef]) -> int:
    """Complete the home, then answer nodes."""
    code, output = await output_of("trainer-cli", "init", environ=environ, timeout_s=120)
    print(output, end="", flush=True)  # noqa: T201 - an app's log is its output
    return code or await run_beside_page(["trainer-cli", "serve"], environ, routes)


def prepare(options: dict[str, Any], broker: Broker, home: Path) -> None:
    """Write `trainer.yaml` and the broker's password."""
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    password = home / "mqtt-password"
    write_file(password, broker.password.encode())
    text = yaml.safe_dump(configuration(options, broker, password), sort_keys=False)
    write_file(home / "trainer.yaml", text.encode())


def configuration(options: dict[str, Any], broker: Broker, password: Path) -> dict[str, Any]:
    """Return the trainer's configuration. Nodes elsewhere do not know the broker by its name among the apps."""
    host = str(options["host"])
    inside = not (options.get("mqtt") or {}).get("host")
    mqtt: dict[str, Any] = {"host": host if inside else broker.host, "port": broker.port, "username": broker.username}
    if broker.password:
        mqtt["password_file"] = str(password)
    if broker.tls:
        mqtt["tls"] = {}
    return {"url": f"http://{host}:{PORT}", "serve": {"port": PORT}, "mqtt": mqtt}


async def show(environ: dict[str, str], *notes: str) -> web.Response:
    """Return the page: the nodes, and what can be done."""
    _, nodes = await output_of("trainer-cli", "nodes", environ=environ)
    forms = (
        "<form method='post' action='invite'><h2>Invite a node</h2><input name='node' placeholder='its id, e.g. hall' "
        "pattern='[a-z0-9][a-z0-9_\\-]*'> <button>Invite</button></form>"
        "<form method='post' action='collect'><h2>Recordings</h2><button>Collect now</button></form>"
    )
    return page("Earshot trainer", *notes, "<h2>Nodes</h2>", f"<pre>{html.escape(nodes)}</pre>", forms)


async def invite(environ: dict[str, str], request: web.Request) -> web.Response:
    """Make an invite and show its line."""
    node = str((await request.post()).get("node", "")).strip()
    chosen = ["--node", node] if node else []
    _, output = await output_of("trainer-cli", "invite", *chosen, environ=environ)
    note = (
        "<p>On the node: <code>node-cli join --config node.yaml</code>, then paste the line that begins with earshot1."
    )
    return await show(environ, f"{note}<pre>{html.escape(output)}</pre>")


async def collect(environ: dict[str, str]) -> web.Response:
    """Fetch the recordings of all nodes and show how that went."""
    _, output = await output_of("trainer-cli", "collect", environ=environ, timeout_s=COLLECT_S)
    return await show(environ, f"<pre>{html.escape(output)}</pre>")


if __name__ == "__main__":
    sys.exit(main())
