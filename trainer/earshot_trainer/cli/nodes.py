"""`trainer-cli nodes`."""

from pathlib import Path

import click

from earshot_trainer.cli.home_option import HELP_NAMES, home_option

EXAMPLE = """\b
Examples:
  trainer-cli nodes                                      how all nodes are
  trainer-cli nodes --watch                              the same, live
  trainer-cli nodes address hall http://10.0.0.7:8765    where `trainer-cli collect` finds it
  trainer-cli nodes remove hall
"""


@click.group("nodes", epilog=EXAMPLE, context_settings=HELP_NAMES, invoke_without_command=True)
@home_option
@click.option("--watch", is_flag=True, help="Go on until interrupted; needs a terminal.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def command(context: click.Context, home: Path | None, watch: bool, as_json: bool) -> None:
    """Show every node at the broker: state, model, sources, hours listened, recordings waiting, last event."""
    context.obj = home
    if context.invoked_subcommand is None:
        from earshot_trainer.fleet.command import show_fleet
        from earshot_trainer.home.folder import open_home

        show_fleet(open_home(home), watch=watch, as_json=as_json)


@command.command("remove", epilog="\b\nExample:\n  trainer-cli nodes remove hall\n", context_settings=HELP_NAMES)
@click.argument("node")
@click.pass_obj
def remove(home: Path | None, node: str) -> None:
    """Take NODE out of the fleet: its token, its account at the broker and its unused invites are worth nothing."""
    from datetime import UTC, datetime

    from earshot_trainer.catalogue.members import Members
    from earshot_trainer.catalogue.opening import open_catalogue
    from earshot_trainer.fleet.invites import broker_accounts
    from earshot_trainer.home.folder import open_home

    here = open_home(home)
    Members(open_catalogue(here.catalogue_url)).remove(node, datetime.now(UTC))
    click.echo(f"removed {node}; what was collected from it stays")
    accounts = broker_accounts(here)
    if accounts.remove(node):
        click.echo("its account at the broker is gone")
    elif not accounts.are_made:
        click.echo("if it has an account at the broker, take that away too")
    click.echo("on the node, delete trainer.json")


@command.command(
    "address",
    epilog="""\b
Examples:
  trainer-cli nodes address hall http://10.0.0.7:8765
  trainer-cli nodes address hall auto
""",
    context_settings=HELP_NAMES,
)
@click.argument("node")
@click.argument("url")
@click.pass_obj
def address(home: Path | None, node: str, url: str) -> None:
    """Say where the HTTP of NODE answers, when it cannot say so itself; `auto` as URL: where it says.

    A node that listens on the network (http.host) tells its address by the broker, signed with its token.
    """
    import re
    from datetime import UTC, datetime

    from earshot_node.contract.joining import TRAINER_URL
    from earshot_trainer.catalogue.members import Members
    from earshot_trainer.catalogue.opening import open_catalogue
    from earshot_trainer.home.folder import open_home

    if url != "auto" and not re.fullmatch(TRAINER_URL, url):
        raise click.UsageError(f"{url!r} is no address such as http://10.0.0.7:8765, nor auto")
    address = "" if url == "auto" else url.rstrip("/")
    Members(open_catalogue(open_home(home).catalogue_url)).set_address(node, address, datetime.now(UTC))
    click.echo(f"{node} is expected at {address}" if address else f"{node} is expected where it says itself")
