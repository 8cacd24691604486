"""`trainer-cli releases`."""

from pathlib import Path

import click

from earshot_trainer.cli.home_option import HELP_NAMES, home_option

EXAMPLE = """\b
Examples:
  trainer-cli releases
  trainer-cli releases --json
"""


@click.command("releases", epilog=EXAMPLE, context_settings=HELP_NAMES)
@home_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON, with every offer that was made.")
def command(home: Path | None, as_json: bool) -> None:
    """List what there is to deploy: version, who made it, what the gate said, where it runs, and who refused it why."""
    from earshot_trainer.catalogue.opening import open_catalogue
    from earshot_trainer.deploying.command import show_releases
    from earshot_trainer.home.folder import open_home

    here = open_home(home)
    show_releases(here, open_catalogue(here.catalogue_url), as_json=as_json)
