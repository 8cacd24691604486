"""`trainer-cli split`."""

from datetime import datetime
from pathlib import Path

import click

from earshot_trainer.cli.home_option import HELP_NAMES, home_option
from earshot_trainer.cli.run_options import request_options

EXAMPLE = """\b
Examples:
  trainer-cli split                             begin a retraining with the recordings that are here
  trainer-cli split --run 20261122T150200-1f0c  part an existing one's again
  trainer-cli split --held-out-from 2026-11-20
"""


@click.command("split", epilog=EXAMPLE, context_settings=HELP_NAMES)
@home_option
@request_options
@click.option("--run", "run_name", default="", metavar="RUN", help="Of this run; default: begin a new one.")
def command(
    home: Path | None,
    manifests: tuple[str, ...],
    split_path: str,
    part: str,
    groups: tuple[str, ...],
    held_out_from: datetime | None,
    active: str,
    base: str,
    overrides: tuple[str, ...],
    run_name: str,
) -> int:
    """Begin a retraining by hand: keep some of the household's sessions to compare on, the rest to learn from.

    A session or an event is never on both sides. Writes own_train.csv and own_held_out.csv into the run's folder.
    """
    from rich.console import Console

    from earshot_trainer.cli.run_options import make_request
    from earshot_trainer.home.folder import open_home
    from earshot_trainer.retraining.command import prepare_split, run_alone

    if run_name:
        return run_alone(open_home(home), "split", run_name, Console())
    request = make_request(
        manifests=manifests, split_path=split_path, part=part, groups=groups, held_out_from=held_out_from,
        active=active, base=base, overrides=overrides,
    )  # fmt: skip
    return prepare_split(open_home(home), request, Console())
