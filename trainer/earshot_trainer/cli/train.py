"""`trainer-cli train`."""

from pathlib import Path

import click

EXAMPLE = """\b
Examples:
  trainer-cli train --recipe config/recipes/siren.yaml --out runs/siren \\
      --data '$EARSHOT_DATA/urban/manifest.csv' --data '$EARSHOT_DATA/negatives/manifest.csv'
  # hold out a fold and a source, and one recordist's other recordings; measure on fold and source
  trainer-cli train --recipe config/recipes/siren.yaml --out runs/fold2 --exclude-fold us8k-fold2 \\
      --exclude-source blanket --exclude-group 159738 --exclude-group 159742 --exclude-group 159743 \\
      --exclude-group 159747 --exclude-group 159750 \\
      --data '$EARSHOT_DATA/urban/manifest.csv' --data '$EARSHOT_DATA/negatives/manifest.csv'
  # one part of a three-part cross-validation
  trainer-cli train --recipe config/recipes/siren.yaml --out runs/a --split config/splits/three.yaml --hold-out a \\
      --data '$EARSHOT_DATA/urban/manifest.csv' --data '$EARSHOT_DATA/negatives/manifest.csv'
  # on two processes of this machine, one per GPU where there are GPUs
  torchrun --standalone --nproc-per-node 2 -m earshot_trainer train --recipe config/recipes/siren.yaml \\
      --data '$EARSHOT_DATA/urban/manifest.csv' --data '$EARSHOT_DATA/negatives/manifest.csv' --out runs/siren
  # a quick look
  trainer-cli train --recipe config/recipes/siren.yaml --set training.steps=200 --data FILE --out runs/look
"""


@click.command("train", epilog=EXAMPLE, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--recipe", "recipe_path", type=click.Path(path_type=Path), required=True, help="Recipe YAML.")
@click.option("--data", "manifests", multiple=True, required=True, metavar="MANIFEST", help="Manifest CSV; repeatable.")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), required=True, help="Folder of this run.")
@click.option(
    "--start",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    metavar="RUN",
    help="Begin with the weights of this finished run.",
)
@click.option("--exclude-fold", "folds", multiple=True, metavar="FOLD", help="Test on this fold; repeatable.")
@click.option("--exclude-source", "sources", multiple=True, metavar="SOURCE", help="Test on this source; repeatable.")
@click.option("--exclude-group", "groups", multiple=True, metavar="GROUP", help="Never train on it; repeatable.")
@click.option(
    "--split", "split_path", type=click.Path(path_type=Path, dir_okay=False), help="YAML with parts of the corpus."
)
@click.option("--hold-out", "part", metavar="PART", help="Test on this part of --split.")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Replace a recipe value; repeatable.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
@click.option("--threads", type=click.IntRange(min=1), help="CPU threads; all cores if not given.")
@click.option("--workers", type=click.IntRange(min=1), help="Threads that mix segments; 1 on a CPU, 2 on CUDA.")
@click.option("--cache", type=click.Path(path_type=Path), help="Decoded audio; $EARSHOT_CACHE or ~/.cache/earshot.")
def command(
    recipe_path: Path,
    manifests: tuple[str, ...],
    out: Path,
    start: Path | None,
    folds: tuple[str, ...],
    sources: tuple[str, ...],
    groups: tuple[str, ...],
    split_path: Path | None,
    part: str | None,
    overrides: tuple[str, ...],
    device: str,
    threads: int | None,
    workers: int | None,
    cache: Path | None,
) -> None:
    """Train a model by a recipe; resumes if OUT holds an unfinished run of the same recipe and data.

    Writes OUT/model.pt (the network), OUT/run.json (data, licences, seed, figures on what was held out, speed),
    OUT/checkpoint.pt and OUT/tensorboard. Under `torchrun` the processes share each batch: `training.batch_size` is
    the total, so a recipe means the same on any number of them. With --start a finished run of the same network is
    trained on, by a recipe that may differ in all else; nothing that it heard may be held out now, and what it heard
    counts as heard.
    """
    if (split_path is None) != (part is None):
        raise click.UsageError("--split and --hold-out go together")
    from earshot_trainer.corpus.splits import HeldOut, load_parts
    from earshot_trainer.training.command import RunRequest, run_training

    held_out = HeldOut()
    if split_path is not None and part is not None:
        parts = load_parts(split_path)
        if part not in parts:
            raise click.UsageError(f"--hold-out {part}: {split_path} has the parts {', '.join(parts)}")
        held_out = parts[part]
    run_training(
        RunRequest(
            recipe_path=recipe_path,
            manifests=manifests,
            out=out,
            start=start,
            folds=folds + held_out.folds,
            sources=sources + held_out.sources,
            groups=groups + held_out.groups,
            overrides=overrides,
            device=device,
            threads=threads,
            workers=workers,
            cache=cache,
        )
    )
