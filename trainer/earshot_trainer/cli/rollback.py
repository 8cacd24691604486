"""`trainer-cli rollback`."""

from pathlib import Path

import click

from earshot_trainer.cli.home_option import HELP_NAMES, home_option

EXAMPLE = """\b
Examples:
  trainer-cli rollback
  trainer-cli rollback --to hall
  trainer-cli rollback --shadow                end the trial of a model that only listens

\b
Exit codes:
  0  every node has gone back
  1  none has
  3  some have; the others have no previous model (none in the shadow), are away (they let it go when they
     are back), or have not answered
"""


@click.command("rollback", epilog=EXAMPLE, context_settings=HELP_NAMES)
@home_option
@click.option("--to", "nodes", multiple=True, metavar="NODE", help="Only this node; repeatable; default: all.")
@click.option("--shadow", is_flag=True, help="End the trial of a model in the shadow; what decides goes on.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(home: Path | None, nodes: tuple[str, ...], shadow: bool, as_json: bool) -> int:
    """Let nodes go back to the model that they had before, and take back what is offered to them.

    A node keeps its previous model, so nothing is fetched. Going back twice is going forward again. A node that is away
    lets go by itself what was last offered to it, as soon as it is back.
    """
    from earshot_trainer.catalogue.opening import open_catalogue
    from earshot_trainer.deploying.command import chosen_nodes, run_rollback
    from earshot_trainer.home.folder import open_home

    here = open_home(home)
    engine = open_catalogue(here.catalogue_url)
    return run_rollback(here, engine, chosen_nodes(engine, nodes, ""), shadow=shadow, as_json=as_json)
