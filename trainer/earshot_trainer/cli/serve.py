"""`trainer-cli serve`."""

from pathlib import Path

import click

from earshot_trainer.cli.home_option import HELP_NAMES, home_option

EXAMPLE = """\b
Example:
  trainer-cli serve --home /srv/earshot
"""


@click.command("serve", epilog=EXAMPLE, context_settings=HELP_NAMES)
@home_option
def command(home: Path | None) -> None:
    """Answer nodes that join or fetch a model, note what they tell of it, and show the review page, until interrupted.

    Address and certificate: `serve` in trainer.yaml.
    """
    import logging

    from earshot_trainer.catalogue.opening import open_catalogue
    from earshot_trainer.fleet.server import serve
    from earshot_trainer.home.folder import open_home

    here = open_home(home)
    logging.getLogger("earshot_trainer").setLevel(logging.INFO)

    def tell(address: str) -> None:
        click.echo(f"listening on {address}; nodes reach it at {here.config.url}")
        click.echo("recordings are labelled in a browser at the address that `trainer-cli review-link` prints")

    serve(here, open_catalogue(here.catalogue_url), tell)
