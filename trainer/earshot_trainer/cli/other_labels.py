"""`trainer-cli other-labels`."""

from pathlib import Path

import click

from earshot_trainer.cli.addition_options import addition_options, example_of


@click.command(
    "other-labels", epilog=example_of("other-labels"), context_settings={"help_option_names": ["-h", "--help"]}
)
@addition_options
def command(model: Path, manifests: tuple[str, ...], cache: Path | None) -> None:
    """Give MODEL (a model.pt of `train`, with run.json beside it) outputs for other sounds than sirens.

    It learns them from what the published tagger heard in the mixtures that MODEL was trained on. What MODEL says of
    sirens stays as it is.

    Writes MODEL and run.json anew; then `trainer-cli quantize`. Needs the extra `teacher` and the tagger's file.
    """
    from earshot_trainer.other_labels.command import learn_other_labels
    from earshot_trainer.training.finished_run import AdditionRequest

    learn_other_labels(AdditionRequest(model=model, manifests=manifests, cache=cache))
