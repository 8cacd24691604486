"""`trainer-cli package`."""

from pathlib import Path

import click

EXAMPLE = """\b
Examples:
  # trained on everything; figures and operating points out of fold, by three runs of the same recipe
  trainer-cli package --model runs/siren/model.int8.onnx --run runs/siren --presets runs/presets.json \\
      --metrics held_out=runs/out_of_fold.json --held-out-run runs/a --held-out-run runs/b --held-out-run runs/c \\
      --metrics quantization=runs/siren/quantization.json \\
      --version 2026.11.0 --out siren-2026.11.0.earshot
  # signed, for nodes that trust the key (make one with `trainer-cli key create trainer.key`)
  trainer-cli package ... --key trainer.key
  # replace the model that ships inside the node package, if this one is better
  trainer-cli package ... --install --if-better
"""
FILE = click.Path(path_type=Path, dir_okay=False)


@click.command("package", epilog=EXAMPLE, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--model", type=FILE, required=True, help="The graph to ship, from `trainer-cli quantize`.")
@click.option("--run", type=click.Path(path_type=Path), required=True, help="Folder of the training run (run.json).")
@click.option("--presets", type=FILE, required=True, help="Operating points from `evaluate --choose-presets`.")
@click.option("--metrics", multiple=True, metavar="NAME=FILE", help="held_out..., shipped or quantization; repeatable.")
@click.option(
    "--held-out-run",
    "held_out_runs",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Run of a model behind held_out..., when it is another; checked; repeatable.",
)
@click.option("--name", default="siren", show_default=True, help="The bundle's name.")
@click.option("--version", required=True, metavar="YYYY.M.N", help="The bundle's version.")
@click.option("--out", type=FILE, required=True, help="The .earshot file to write.")
@click.option("--key", type=FILE, help="Sign with this private key.")
@click.option("--parent", metavar="YYYY.M.N", help="Version of the model that this one continues.")
@click.option("--install", is_flag=True, help="Also make it the model inside the node package.")
@click.option("--if-better", is_flag=True, help="With --install: only if it is better than the one that is there.")
def command(
    model: Path,
    run: Path,
    presets: Path,
    metrics: tuple[str, ...],
    held_out_runs: tuple[Path, ...],
    name: str,
    version: str,
    out: Path,
    key: Path | None,
    parent: str | None,
    install: bool,
    if_better: bool,
) -> None:
    """Make a bundle that nodes verify and run: model, manifest, reference clips, model card, signature.

    The same inputs give the same bytes. What is written was opened and self-tested as a node does it. Better means,
    out of fold and on the recordings that the shipped model's card was measured on: neither a lower average precision
    nor more false alarms at `balanced`, and one of the two improved.
    """
    if if_better and not install:
        raise click.UsageError("--if-better goes with --install")
    from earshot_trainer.packaging.command import PackageRequest, run_packaging

    run_packaging(
        PackageRequest(
            model=model,
            run=run,
            presets=presets,
            metrics=metrics,
            name=name,
            version=version,
            out=out,
            key=key,
            parent=parent,
            install=install,
            held_out_runs=held_out_runs,
            if_better=if_better,
        )
    )
