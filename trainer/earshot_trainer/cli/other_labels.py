"""`trainer-cli other-labels`."""

from pathlib import Path

import click

EXAMPLE = """\b
Examples:
  trainer-cli other-labels runs/siren/model.pt --data '$EARSHOT_DATA/urban/manifest.csv' \\
      --data '$EARSHOT_DATA/negatives/manifest.csv'
"""


@click.command("other-labels", epilog=EXAMPLE, context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--data", "manifests", multiple=True, required=True, metavar="MANIFEST", help="Manifest CSV; repeatable.")
@click.option("--cache", type=click.Path(path_type=Path), help="Decoded audio; $EARSHOT_CACHE or ~/.cache/earshot.")
def command(model: Path, manifests: tuple[str, ...], cache: Path | None) -> None:
    """Give MODEL (a model.pt of `train`, with run.json beside it) outputs for other sounds than sirens.

    It learns them from what the published tagger heard in the mixtures that MODEL was trained on. What MODEL says of
    sirens stays as it is.

    Writes MODEL and run.json anew; then `trainer-cli quantize`. Needs the extra `teacher` and the tagger's file.
    """
    from earshot_trainer.other_labels.command import OtherLabelsRequest, learn_other_labels

    learn_other_labels(OtherLabelsRequest(model=model, manifests=manifests, cache=cache))
