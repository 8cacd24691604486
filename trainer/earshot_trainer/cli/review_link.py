"""`trainer-cli review-link`."""

from pathlib import Path

import click

from earshot_trainer.cli.home_option import HELP_NAMES, home_option

EXAMPLE = """\b
Example:
  trainer-cli review-link     # while trainer-cli serve is on
"""


@click.command("review-link", epilog=EXAMPLE, context_settings=HELP_NAMES)
@home_option
def command(home: Path | None) -> None:
    """Print the address at which recordings are labelled in a browser.

    Whoever has it can hear the recordings and label them. `trainer-cli serve` has to be on.
    """
    from earshot_trainer.home.folder import open_home
    from earshot_trainer.labelling.review_login import review_link

    click.echo(review_link(open_home(home)))
