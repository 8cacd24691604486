"""`trainer-cli`: the program. Commands are imported when they are called, so help is instant."""

import logging
import sys
from collections.abc import Sequence
from typing import Any, Final

import click

from earshot_node.cli.lazy_group import LazyCommand, LazyGroup, run_program
from earshot_node.errors import OperatorError

PROGRAM: Final = "trainer-cli"

EXTRA_MODULES: Final = frozenset(
    {
        "fsspec",
        "jinja2",
        "matplotlib",
        "onnx",
        "onnxscript",
        "sed_scores_eval",
        "sklearn",
        "sqlalchemy",
        "tensorboard",
        "torch",
        "torchaudio",
    }
)
"""What the extra `trainer` installs, as it is imported."""

SUMMARIES: Final = {
    "train": "Train a model from manifests by a recipe.",
    "other-labels": "Give a trained model outputs for other sounds than sirens.",
    "second-opinion": "Give a trained model a deeper network to ask when it suspects a siren.",
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
    "retrain": "Teach the model the household's recordings: collect, the next five, deploy.",
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

COMMANDS: Final = {
    name: LazyCommand(f"earshot_trainer.cli.{name.replace('-', '_')}:command", summary)
    for name, summary in SUMMARIES.items()
}

EPILOG: Final = """\b
Examples:
  trainer-cli init --url http://trainer.lan:8770 --broker broker.lan
  trainer-cli retrain --dry-run
  trainer-cli explain bundled street.flac
"""


class TrainerGroup(LazyGroup):
    """Names the extra to install where a command finds a module of it missing."""

    def invoke(self, ctx: click.Context) -> Any:
        """Import and run the command.

        Raises:
            OperatorError: this environment was made without the extra `trainer`.
        """
        try:
            return super().invoke(ctx)
        except ModuleNotFoundError as error:
            module = (error.name or "").partition(".")[0]
            if module not in EXTRA_MODULES:
                raise
            raise OperatorError(
                f"{module} is missing, the extra `trainer` is not installed here; in the checkout use scripts/trainer, "
                "or `pip install '.[trainer]'`"
            ) from error


@click.group(cls=TrainerGroup, lazy=COMMANDS, epilog=EPILOG)
@click.option("--debug", is_flag=True, help="Show a traceback with an error, and log more.")
@click.version_option(package_name="earshot", prog_name=PROGRAM)
def cli(debug: bool) -> None:
    """Collect what nodes recorded, make better models of it, and give them back."""
    logging.basicConfig(level=logging.DEBUG if debug else logging.WARNING, format="%(levelname)s %(name)s: %(message)s")


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point; ends the process with the command's exit code."""
    sys.exit(run_program(cli, PROGRAM, arguments))
