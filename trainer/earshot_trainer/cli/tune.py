"""`trainer-cli tune`."""

from pathlib import Path

import click

from earshot_trainer.cli.home_option import HELP_NAMES, home_option

EXAMPLE = """\b
Examples:
  trainer-cli tune
  trainer-cli tune --run 20261122T150200-1f0c
"""


@click.command("tune", epilog=EXAMPLE, context_settings=HELP_NAMES)
@home_option
@click.option("--run", "run_name", default="", metavar="RUN", help="Of this retraining; default: the newest.")
def command(home: Path | None, run_name: str) -> int:
    """Fine-tune the shipped model on the household's recordings.

    A stage of `trainer-cli retrain`; goes on from its checkpoint. Writes model.pt and run.json into the run's folder.
    """
    from rich.console import Console

    from earshot_trainer.home.folder import open_home
    from earshot_trainer.retraining.command import run_alone

    return run_alone(open_home(home), "train", run_name, Console())
