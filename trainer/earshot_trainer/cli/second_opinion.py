"""`trainer-cli second-opinion`."""

from pathlib import Path

import click

from earshot_trainer.cli.addition_options import addition_options, example_of


@click.command(
    "second-opinion", epilog=example_of("second-opinion"), context_settings={"help_option_names": ["-h", "--help"]}
)
@addition_options
def command(model: Path, manifests: tuple[str, ...], cache: Path | None) -> None:
    """Give MODEL (a model.pt of `train`, with run.json beside it) a deeper network to ask when it suspects a siren.

    It is the published tagger, of which MODEL has the first layers, with an output of its own, fitted to those
    recordings of the manifests that MODEL was trained on, and to sirens in mixtures of them.

    Writes second.onnx beside MODEL; `trainer-cli quantize` puts both into one graph. Needs the extra `teacher` and the
    tagger's file.
    """
    from earshot_trainer.second_opinion.command import make_second_opinion
    from earshot_trainer.training.finished_run import AdditionRequest

    make_second_opinion(AdditionRequest(model=model, manifests=manifests, cache=cache))
