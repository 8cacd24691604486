"""`trainer-cli calibrate`."""

from pathlib import Path

import click

from earshot_trainer.cli.home_option import HELP_NAMES, home_option

EXAMPLE = """\b
Examples:
  trainer-cli calibrate
  trainer-cli calibrate --run 20261122T150200-1f0c
"""


@click.command("calibrate", epilog=EXAMPLE, context_settings=HELP_NAMES)
@home_option
@click.option("--run", "run_name", default="", metavar="RUN", help="Of this retraining; default: the newest.")
def command(home: Path | None, run_name: str) -> int:
    """Give a candidate operating points that mean the same as the active model's.

    A stage of `trainer-cli retrain`: thresholds move by how much louder the candidate hears the same negatives, and
    rise until it gives no more false alarms there than the active model.
    """
    from rich.console import Console

    from earshot_trainer.home.folder import open_home
    from earshot_trainer.retraining.command import run_alone

    return run_alone(open_home(home), "calibrate", run_name, Console())
