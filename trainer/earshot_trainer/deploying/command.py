"""`trainer-cli deploy`, `rollback` and `releases`; `deploy_release` is for other commands too."""

import asyncio
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import click
from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.table import Table
from sqlalchemy import Engine

from earshot_node.errors import OperatorError
from earshot_node.mqtt.failure import ConnectError
from earshot_trainer.catalogue.disagreements import Disagreements
from earshot_trainer.catalogue.members import Members
from earshot_trainer.catalogue.releases import Release, Releases
from earshot_trainer.deploying.deployment import Deployed, Deployment, DeployRequest
from earshot_trainer.deploying.progress import NodeProgress
from earshot_trainer.deploying.registering import GateVerdict, check_bundle, register_release
from earshot_trainer.deploying.rollback import end_shadow, roll_back
from earshot_trainer.deploying.table import (
    RELEASE_COLUMNS,
    offer_lines,
    progress_line,
    progress_table,
    release_rows,
)
from earshot_trainer.deploying.watched_fleet import WatchedFleet
from earshot_trainer.fleet.server import serving
from earshot_trainer.home.folder import Home

Tell = Callable[[Sequence[NodeProgress]], None]


def chosen_release(home: Home, engine: Engine, wanted: str) -> Release:
    """Return the release that the command line means: a version, a bundle's file, or the newest for ''.

    Raises:
        OperatorError: there is none.
        BundleError: the file is no bundle of this trainer.
    """
    releases = Releases(engine)
    if wanted.endswith(".earshot") or "/" in wanted:
        return register_release(home, releases, Path(wanted), verdict=GateVerdict())
    return releases.chosen(wanted)


def chosen_nodes(engine: Engine, wanted: tuple[str, ...], canary: str) -> tuple[str, ...]:
    """Return ids of members, all if none is named; the canary is one of them.

    Raises:
        OperatorError: one is no member, or nobody has joined.
    """
    nodes = tuple(one.id for one in Members(engine).chosen((*wanted, canary) if wanted and canary else wanted))
    if not nodes:
        raise OperatorError("no node has joined; `trainer-cli invite` lets one in")
    if canary and canary not in nodes:
        raise OperatorError(f"no node {canary!r} has joined; `trainer-cli nodes` lists them")
    return nodes


def deploy_release(
    home: Home, engine: Engine, request: DeployRequest, tell: Tell, say: Callable[[str], None]
) -> Deployed:
    """Offer a release to nodes and follow it; serves the bundle meanwhile if nobody else does.

    Raises:
        OperatorError: the gate is against it, the canary is away, or catalogue or port cannot be used.
        BundleError: its file is gone or altered.
        ConnectError: the broker cannot be reached.
    """
    release = request.release
    if request.mode != "shadow" and not release.may_decide and not request.is_forced:
        raise OperatorError(
            f"release {release.version}: the gate says {release.gate} ({release.gate_reason or 'no reason noted'}); "
            "let it run with --shadow, or deploy it all the same with --force"
        )
    check_bundle(home, release)
    say(f"{release.version} ({release.size_bytes / 1000:.0f} kB) to {', '.join(request.nodes)}")
    return asyncio.run(_deploy(home, engine, request, tell, say))


async def _deploy(
    home: Home, engine: Engine, request: DeployRequest, tell: Tell, say: Callable[[str], None]
) -> Deployed:
    fleet = WatchedFleet(home, engine, request.nodes)
    async with serving(home, engine) as is_here, fleet.connected():
        deployed = await Deployment(fleet, engine, request, tell, say).run()
    away = [one.node for one in deployed.nodes if one.state == "away"]
    if is_here and (away or request.mode == "offer" or not deployed.waited):
        say("no `trainer-cli serve` is on: nodes fetch the bundle once it is")
    return deployed


def run_deploy(home: Home, engine: Engine, request: DeployRequest, *, as_json: bool) -> int:
    """Deploy, show it, and return the exit code."""
    release = request.release
    with _showing(as_json=as_json) as (tell, say):
        deployed = deploy_release(home, engine, request, tell, say)
    if as_json:
        body = {
            "schema": 1,
            "id": deployed.id,
            "version": release.version,
            "mode": deployed.mode,
            "stopped": deployed.stopped,
            "nodes": [asdict(one) for one in deployed.nodes],
        }
        click.echo(json.dumps(body, indent=1))
    elif deployed.stopped:
        click.echo(f"stopped: {deployed.stopped}; the offer is taken back", err=True)
    else:
        click.echo("next: trainer-cli releases; trainer-cli rollback takes it back")
    return deployed.exit_code


def run_rollback(home: Home, engine: Engine, nodes: tuple[str, ...], *, shadow: bool = False, as_json: bool) -> int:
    """Take nodes back, or end their trials in the shadow; show it and return the exit code: 0 all, 3 some, 1 none."""

    async def work(tell: Tell) -> list[NodeProgress]:
        fleet = WatchedFleet(home, engine, nodes)
        async with fleet.connected():
            return await (end_shadow if shadow else roll_back)(fleet, engine, nodes, tell)

    with _showing(as_json=as_json) as (tell, _):
        done = asyncio.run(work(tell))
    if as_json:
        click.echo(json.dumps({"schema": 1, "nodes": [asdict(one) for one in done]}, indent=1))
    else:
        click.echo("next: trainer-cli releases shows what each node decides with")
    back = sum(one.state == "rolled_back" for one in done)
    return 0 if back == len(done) else 3 if back else 1


def show_releases(home: Home, engine: Engine, *, as_json: bool) -> None:
    """Print the releases, where they run, and what nodes said about the last offer."""
    nodes = tuple(one.id for one in Members(engine).all())
    fleet = WatchedFleet(home, engine, nodes)

    async def look() -> None:
        async with fleet.connected():
            await fleet.changed()

    try:
        asyncio.run(look())
    except ConnectError as error:
        click.echo(f"warning: {error}; what follows is what was known before", err=True)
    running = {node: info.model.version for node in nodes if (info := fleet.view(node).info) is not None}
    releases, offers = Releases(engine).all(), Releases(engine).offers()
    disagreed = Disagreements(engine).counts()
    if as_json:
        body = {
            "schema": 1,
            "releases": [{**asdict(one), "disagreements": disagreed.get(one.sha256, 0)} for one in releases],
            "offers": [asdict(one) for one in offers],
            "running": running,
        }
        click.echo(json.dumps(body, indent=1))
        return
    if not releases:
        click.echo("no release yet; next: trainer-cli retrain, or trainer-cli deploy FILE")
        return
    _print_table(release_rows(releases, offers, running))
    lines = offer_lines(releases, offers)
    for one in releases:
        if count := disagreed.get(one.sha256, 0):
            lines.append(
                f"{one.version}: {count} disagreements with the active model; nodes with recordings.auto.enabled keep "
                "their audio: trainer-cli collect, then trainer-cli label"
            )
    for line in lines:
        click.echo(line)


def _print_table(rows: list[tuple[str, ...]]) -> None:
    if sys.stdout.isatty():
        table = Table(box=None, header_style="bold")
        for name in RELEASE_COLUMNS:
            table.add_column(name, overflow="fold")
        for row in rows:
            table.add_row(*(escape(text) for text in row))
        Console().print(table)
        return
    every = [RELEASE_COLUMNS, *rows]
    widths = [max(len(row[column]) for row in every) for column in range(len(RELEASE_COLUMNS))]
    for row in every:
        click.echo("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())


@contextmanager
def _showing(*, as_json: bool) -> Iterator[tuple[Tell, Callable[[str], None]]]:
    """Give functions that show progress: a live table in a terminal, else a line for each change of state."""
    if as_json:
        yield lambda _: None, lambda _: None
        return
    if sys.stdout.isatty():
        console = Console()
        with Live(console=console, auto_refresh=False) as live:
            yield (
                lambda nodes: live.update(progress_table(nodes), refresh=True),
                lambda line: live.console.print(escape(line)),
            )
        return
    shown: dict[str, tuple[str, str]] = {}

    def tell(nodes: Sequence[NodeProgress]) -> None:
        for one in nodes:
            if one.state != "pending" and shown.get(one.node) != (one.state, one.reason):
                shown[one.node] = (one.state, one.reason)
                click.echo(progress_line(one))

    yield tell, click.echo
