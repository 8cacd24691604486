"""Runs a trainer as Home Assistant's app: options become `trainer.yaml`; the page invites, collects, labels and trains.

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
from earshot_app.forward import ReviewForwarder
from earshot_app.ingress import page
from earshot_app.job import Job
from earshot_app.program import fail, output_of, run_beside_page
from earshot_app.supervisor import AppError, Broker, data_folder, find_broker, read_options

from earshot_node.deployment.durable import write_file
from earshot_node.http.token import read_token

PORT = int(os.environ.get("EARSHOT_APP_TRAINER_PORT", "8770"))
COLLECT_S = 600.0
TRAIN_FORM = "<form method='post' action='train'><button>Train now</button></form>"
ENDED = {
    0: "Training is done; the last lines say what became of the model.",
    3: "Training is done, but not every node was reached; the lines below say which.",
    4: "The new model was stopped, because it is worse in something; the table below says in what.",
}


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
    return asyncio.run(serve(environ, home))


async def serve(environ: dict[str, str], home: Path) -> int:
    """Complete the home, then answer nodes."""
    code, output = await output_of("trainer-cli", "init", environ=environ, timeout_s=120)
    print(output, end="", flush=True)  # noqa: T201 - an app's log is its output
    if code:
        return code
    training = Job(environ, "trainer-cli", "retrain")
    review = ReviewForwarder(f"http://127.0.0.1:{PORT}", lambda: read_token(home / "keys"))
    routes = [
        web.get("/", lambda _request: show(environ, training)),
        web.post("/invite", lambda request: invite(environ, training, request)),
        web.post("/collect", lambda _request: collect(environ, training)),
        web.get("/train", lambda _request: show_training(training)),
        web.post("/train", lambda _request: train(training)),
        *review.routes(),
    ]
    try:
        return await run_beside_page(["trainer-cli", "serve"], environ, routes)
    finally:
        await training.stop()


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


async def show(environ: dict[str, str], training: Job, *notes: str) -> web.Response:
    """Return the page: the nodes, and what can be done."""
    _, nodes = await output_of("trainer-cli", "nodes", environ=environ)
    _, waiting = await output_of("trainer-cli", "label", "--list", environ=environ)
    forms = (
        "<form method='post' action='invite'><h2>Invite a node</h2><input name='node' placeholder='its id, e.g. hall' "
        "pattern='[a-z0-9][a-z0-9_\\-]*'> <button>Invite</button></form>"
        "<h2>Recordings</h2><form method='post' action='collect'><button>Collect now</button></form>"
        f"<p>{html.escape(waiting.strip().splitlines()[-1] if waiting.strip() else '')}</p>"
        "<p><a href='review'>Listen and label</a></p>"
        "<h2>Training</h2><p>Teaches the model what was labelled; takes minutes on a PC, longer on a small board, and "
        "most of this machine. What is worse than the model in use does not take its place.</p>"
        + ("<p><a href='train'>It is running</a></p>" if training.running else TRAIN_FORM)
    )
    return page("Earshot trainer", *notes, "<h2>Nodes</h2>", f"<pre>{html.escape(nodes)}</pre>", forms)


async def train(training: Job) -> web.Response:
    """Start a training, or go on with an interrupted one."""
    await training.start()
    return web.Response(status=303, headers={"Location": "train"})


async def show_training(training: Job) -> web.Response:
    """Return the page of the training: whether it runs, and the end of what it said."""
    if training.running:
        state = "It runs. This page can be closed, and looked at again."
    elif training.code is None:
        state = "None has run since the app was started."
    else:
        state = ENDED.get(training.code, "Training has failed; the last lines say why. It can be started again.")
    said = f"<pre>{html.escape(chr(10).join(training.lines))}</pre>" if training.lines else ""
    again = "<form action='train'><button>Look again</button></form>" if training.running else TRAIN_FORM
    return page("Earshot training", f"<p>{state}</p>", said, again, "<p><a href='.'>Back</a></p>")


async def invite(environ: dict[str, str], training: Job, request: web.Request) -> web.Response:
    """Make an invite and show its line."""
    node = str((await request.post()).get("node", "")).strip()
    chosen = ["--node", node] if node else []
    _, output = await output_of("trainer-cli", "invite", *chosen, environ=environ)
    note = (
        "<p>On the node: <code>node-cli join --config node.yaml</code>, then paste the line that begins with earshot1. "
        "If it is the app <em>Earshot node</em>: paste it into its option <em>Invite of a trainer</em> and restart it."
    )
    return await show(environ, training, f"{note}<pre>{html.escape(output)}</pre>")


async def collect(environ: dict[str, str], training: Job) -> web.Response:
    """Fetch the recordings of all nodes and show how that went."""
    _, output = await output_of("trainer-cli", "collect", environ=environ, timeout_s=COLLECT_S)
    return await show(environ, training, f"<pre>{html.escape(output)}</pre>")


if __name__ == "__main__":
    sys.exit(main())
