"""`node-cli run`: the service."""

import logging
import os
import sys
from pathlib import Path

import click

from earshot_node.configuration.file import load_config, parse_assignments

EPILOG = """\b
Examples:
  node-cli run --config node.yaml
  node-cli run --config node.yaml --set mqtt.host=broker.lan --set log_level=debug
"""


@click.command(epilog=EPILOG)
@click.option(
    "--config",
    "config_path",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="The node's YAML file.",
)
@click.option("--set", "assignments", multiple=True, metavar="KEY=VALUE", help="Replace a value of the file.")
def run(config_path: Path, assignments: tuple[str, ...]) -> int:
    """Listen to the configured sources and tell Home Assistant over MQTT, until stopped.

    Needs no broker to start or to detect: events wait on disk. Ends by itself only when every source is a file that has
    played to its end.
    """
    config = load_config(config_path, overrides=parse_assignments(assignments))
    begin_logging(config.log_level)
    from earshot_node.app import run_node

    return run_node(config)


def begin_logging(level: str) -> None:
    """Log to standard error, for the journal or a terminal."""
    # The journal stamps its lines itself.
    stamp = "" if "JOURNAL_STREAM" in os.environ else "%(asctime)s "
    logging.basicConfig(
        stream=sys.stderr, level=level.upper(), format=f"{stamp}%(levelname)s %(message)s", datefmt="%Y-%m-%d %H:%M:%S"
    )
