"""`node-cli`: the program. Commands are imported when they are called, so help is instant."""

import sys
from collections.abc import Sequence
from typing import Final

import click

from earshot_node import __version__
from earshot_node.cli.lazy_group import LazyCommand, LazyGroup, run_program

PROGRAM: Final = "node-cli"

COMMANDS: Final = {
    "run": LazyCommand("earshot_node.cli.run:run", "Listen, and tell Home Assistant; the service."),
    "analyze": LazyCommand("earshot_node.cli.analyze:analyze", "List the events of audio files."),
    "demo": LazyCommand("earshot_node.cli.demo:demo", "Broker, node and a street scene, to see it work."),
    "devices": LazyCommand("earshot_node.cli.devices:devices", "List microphones with their stable ids."),
    "monitor": LazyCommand("earshot_node.cli.monitor:monitor", "Show live level and posteriors."),
    "record": LazyCommand("earshot_node.cli.record:record", "Record audio for training."),
    "doctor": LazyCommand("earshot_node.cli.doctor:doctor", "Say what is wrong, and the fix."),
    "drill": LazyCommand("earshot_node.cli.drill:drill", "Play a running node a siren; was it told?"),
    "join": LazyCommand("earshot_node.cli.join:join", "Join a trainer with its invite."),
    "model": LazyCommand("earshot_node.cli.model:model", "Show, install and take back the model."),
    "house": LazyCommand("earshot_node.cli.house:house", "Make one alarm of all nodes, without a node."),
    "config": LazyCommand("earshot_node.cli.config:config", "Check a configuration, print its schema."),
    "unpublish": LazyCommand("earshot_node.cli.unpublish:unpublish", "Remove a node from broker and Home Assistant."),
}

EPILOG: Final = """\b
Examples:
  node-cli demo
  node-cli devices
  node-cli run --config node.yaml
"""


@click.group(cls=LazyGroup, lazy=COMMANDS, epilog=EPILOG)
@click.version_option(__version__, prog_name="earshot", message="%(prog)s %(version)s")
@click.option("--debug", is_flag=True, expose_value=False, help="Show a traceback when something fails.")
def cli() -> None:
    """Earshot hears sirens in live audio and tells Home Assistant over MQTT."""


def main(args: Sequence[str] | None = None) -> None:
    """Entry point; ends the process with the command's exit code."""
    sys.exit(run_program(cli, PROGRAM, args))
