"""The option `--home` that the trainer's household commands share."""

from pathlib import Path

import click

HELP_NAMES = {"help_option_names": ["-h", "--help"]}

home_option = click.option(
    "--home",
    "home",
    type=click.Path(path_type=Path, file_okay=False),
    help="The trainer's home; default: EARSHOT_HOME, or earshot-trainer in ~/.local/share.",
)
