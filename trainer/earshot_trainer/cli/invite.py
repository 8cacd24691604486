"""`trainer-cli invite`."""

from pathlib import Path

import click

from earshot_trainer.cli.home_option import HELP_NAMES, home_option

EXAMPLE = """\b
Examples:
  trainer-cli invite --node hallway
  trainer-cli invite --hours 1 > invite.txt     # then on the node: node-cli join --config node.yaml < invite.txt
"""


@click.command("invite", epilog=EXAMPLE, context_settings=HELP_NAMES)
@home_option
@click.option("--node", default="", help="Id of the node that it is for; needed to let a node join again.")
@click.option("--hours", type=click.FloatRange(0.01, 720), default=24.0, show_default=True, help="Until it expires.")
def command(home: Path | None, node: str, hours: float) -> None:
    """Print one line that lets one node join, once.

    Whoever reads the line can join in the node's place: hand it over by a way that you trust. `trainer-cli serve` has
    to be on while the node joins.
    """
    from datetime import timedelta

    from earshot_node.contract.names import validate_slug
    from earshot_trainer.catalogue.members import Members
    from earshot_trainer.catalogue.opening import open_catalogue
    from earshot_trainer.fleet.invites import make_invite
    from earshot_trainer.home.folder import open_home

    if node:
        try:
            validate_slug(node)
        except ValueError as error:
            raise click.UsageError(f"--node: {error}") from error
    here = open_home(home)
    line = make_invite(here, Members(open_catalogue(here.catalogue_url)), node, timedelta(hours=hours))
    click.echo(line)
    click.echo(f"expires in {hours:g} h; on the node: node-cli join --config node.yaml, then paste the line", err=True)
    if here.config.mqtt.host in ("localhost", "127.0.0.1"):
        click.echo("warning: the node is sent to a broker on its own machine; set mqtt.host in trainer.yaml", err=True)
