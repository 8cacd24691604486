"""`trainer-cli second-opinion`."""

from pathlib import Path

import click

EXAMPLE = """\b
Examples:
  trainer-cli second-opinion runs/siren/model.pt --data '$EARSHOT_DATA/urban/manifest.csv' \\
      --data '$EARSHOT_DATA/negatives/manifest.csv'
"""


@click.command("second-opinion", epilog=EXAMPLE, context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--data", "manifests", multiple=True, required=True, metavar="MANIFEST", help="Manifest CSV; repeatable.")
@click.option("--cache", type=click.Path(path_type=Path), help="Decoded audio; $EARSHOT_CACHE or ~/.cache/earshot.")
def command(model: Path, manifests: tuple[str, ...], cache: Path | None) -> None:
    """Give MODEL (a model.pt of `train`, with run.json beside it) a deeper network to ask when it suspects a siren.

    It is the published tagger, of which MODEL has the first layers, with an output of its own, fitted to those
    recordings of the manifests that MODEL was trained on.

    Writes second.onnx beside MODEL; `trainer-cli quantize` puts both into one graph. Needs the extra `teacher` and the
    tagger's file.
    """
    from earshot_trainer.second_opinion.command import SecondOpinionRequest, make_second_opinion

    make_second_opinion(SecondOpinionRequest(model=model, manifests=manifests, cache=cache))
