"""The `trainer-cli` group. A command's module is imported when it is asked for, so help stays instant."""

import importlib
import logging
import sys
from collections.abc import Sequence

import click

from earshot_node.errors import EarshotError

COMMANDS = {
    "train": "Train a model from manifests by a recipe.",
    "quantize": "Export a trained model to ONNX and make it INT8.",
    "evaluate": "Measure a bundle or model on manifests.",
    "explain": "Draw what a model listened to in a recording.",
    "package": "Make a bundle that nodes can run.",
    "key": "Make and show the key that bundles are signed with.",
    "init": "Make the trainer's home: catalogue, recordings, models, keys.",
    "serve": "Answer nodes that join or fetch a model.",
    "invite": "Print one line that lets one node join.",
    "nodes": "Show the fleet, and take a node out of it.",
    "collect": "Bring the recordings of all nodes here.",
    "retrain": "Teach the model the household's recordings: all of the next six, and deploy.",
    "split": "Begin a retraining: keep some own sessions to compare on.",
    "tune": "Fine-tune the shipped model on the others.",
    "calibrate": "Make a candidate's operating points comparable.",
    "gate": "Compare a candidate with the active model.",
    "sign": "Sign a candidate and make it a release.",
    "releases": "List the models that can be deployed, and where they run.",
    "deploy": "Give nodes a model.",
    "rollback": "Let nodes go back to the model before.",
    "label": "Say what is in the recordings that wait; find wrong labels.",
    "review-link": "Print the address at which recordings are labelled in a browser.",
    "import": "Bring a folder of audio here.",
    "export": "Write recordings into a folder.",
    "corpora": "Name folders of audio that retraining learns from too.",
}
"""Each is the command `command` of earshot_trainer.cli.<name>; the text is its line in the group's help."""

EXAMPLE = """\b
Examples:
  export EARSHOT_DATA=FOLDER
  trainer-cli train --recipe config/recipes/siren.yaml --data '$EARSHOT_DATA/urban/manifest.csv' --out runs/siren
  trainer-cli train --help
"""


class LazyGroup(click.Group):
    """A group that knows its commands' names and help without importing them."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """Names in the order of a model's life."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import the command's module; None for an unknown name, which click reports."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"earshot_trainer.cli.{cmd_name.replace('-', '_')}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write names and texts from COMMANDS."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=LazyGroup, epilog=EXAMPLE, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--debug", is_flag=True, help="Show a traceback with an error, and log more.")
@click.version_option(package_name="earshot", prog_name="trainer-cli")
def cli(debug: bool) -> None:
    """Train, measure and package the models that Earshot's nodes run."""
    logging.basicConfig(level=logging.DEBUG if debug else logging.WARNING, format="%(levelname)s %(name)s: %(message)s")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the program. Exit codes: 0 done, 1 failed, 2 usage, 3 partly done, 130 interrupted."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        result = cli.main(args=words, prog_name="trainer-cli", standalone_mode=False)
    except click.exceptions.Abort:
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except EarshotError as error:
        if "--debug" in words:
            raise
        click.echo(f"error: {error}", err=True)
        sys.exit(1)
    sys.exit(result if isinstance(result, int) else 0)
