"""`trainer-cli nodes`: one look, or a live one."""

import asyncio
import json
import sys
from datetime import UTC, datetime

import click
from rich.console import Console
from rich.live import Live

from earshot_trainer.catalogue.members import Members
from earshot_trainer.catalogue.opening import open_catalogue
from earshot_trainer.fleet.board import FleetBoard
from earshot_trainer.fleet.listening import read_fleet, watch_fleet
from earshot_trainer.fleet.table import fleet_table, plain_lines
from earshot_trainer.home.folder import Home


def show_fleet(home: Home, *, watch: bool, as_json: bool) -> None:
    """Print the fleet.

    Raises:
        ConnectError: the broker cannot be reached.
        OperatorError: it does not let this user read.
    """
    members = Members(open_catalogue(home.catalogue_url)).all()
    board = FleetBoard(home.config.mqtt.prefix, tuple(one.id for one in members))
    if watch and not as_json and sys.stdout.isatty():
        with Live(console=Console(), auto_refresh=False) as live:
            asyncio.run(
                watch_fleet(
                    home.config.mqtt,
                    board,
                    lambda: live.update(fleet_table(board.views, datetime.now(UTC)), refresh=True),
                )
            )
        return
    asyncio.run(read_fleet(home.config.mqtt, board))
    if as_json:
        click.echo(json.dumps({"schema": 1, "nodes": [view.plain() for view in board.views]}, indent=1))
    elif not board.views:
        click.echo("no node has joined, and none is at the broker; next: trainer-cli invite --node NAME")
    elif sys.stdout.isatty():
        Console().print(fleet_table(board.views, datetime.now(UTC)))
    else:
        click.echo("\n".join(plain_lines(board.views, datetime.now(UTC))))
