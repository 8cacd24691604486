"""`trainer-cli quantize`."""

from pathlib import Path

import click

EXAMPLE = """\b
Examples:
  trainer-cli quantize runs/siren/model.pt --data '$EARSHOT_DATA/urban/manifest.csv' \\
      --data '$EARSHOT_DATA/negatives/manifest.csv' --out runs/siren
"""


@click.command("quantize", epilog=EXAMPLE, context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--data", "manifests", multiple=True, required=True, metavar="MANIFEST", help="Manifest CSV; repeatable.")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), required=True, help="Folder for the graphs.")
@click.option("--clips", type=click.IntRange(min=4), default=48, show_default=True, help="Calibration clips.")
@click.option("--seed", type=int, default=1, show_default=True, help="Chooses the calibration clips.")
@click.option("--cache", type=click.Path(path_type=Path), help="Decoded audio; $EARSHOT_CACHE or ~/.cache/earshot.")
def command(model: Path, manifests: tuple[str, ...], out: Path, clips: int, seed: int, cache: Path | None) -> None:
    """Export MODEL (a model.pt of `train`, with run.json beside it) to ONNX and make it INT8.

    Calibrates on recordings of the manifests that MODEL was trained on, never on what its training left out.

    Writes OUT/model.float.onnx, OUT/model.int8.onnx and OUT/quantization.json, and prints which operator is what.
    """
    from earshot_trainer.graph.command import QuantizeRequest, run_quantization

    run_quantization(QuantizeRequest(model=model, manifests=manifests, out=out, clips=clips, seed=seed, cache=cache))
