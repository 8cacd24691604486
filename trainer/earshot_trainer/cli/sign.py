"""`trainer-cli sign`."""

from pathlib import Path

import click

from earshot_trainer.cli.home_option import HELP_NAMES, home_option

EXAMPLE = """\b
Examples:
  trainer-cli sign
  trainer-cli sign --run 20261122T150200-1f0c
"""


@click.command("sign", epilog=EXAMPLE, context_settings=HELP_NAMES)
@home_option
@click.option("--run", "run_name", default="", metavar="RUN", help="Of this retraining; default: the newest.")
def command(home: Path | None, run_name: str) -> int:
    """Sign a candidate with the home's key and make it a release.

    A stage of `trainer-cli retrain`, after `package`.
    """
    from rich.console import Console

    from earshot_trainer.home.folder import open_home
    from earshot_trainer.retraining.command import run_alone

    return run_alone(open_home(home), "sign", run_name, Console())
