"""`trainer-cli evaluate`."""

from pathlib import Path

import click

PARTS = ("folds", "nested", "events", "home_alarms", "robustness", "kinds", "speed", "equal_alarms")
"""Keys of `earshot_trainer.evaluate.command.SECTIONS`, and the comparison; here so that help needs no import."""

EXAMPLE = """\b
Examples:
  # the shipped model on everything
  trainer-cli evaluate --data '$EARSHOT_DATA/urban/manifest.csv' --data '$EARSHOT_DATA/negatives/manifest.csv'
  # a bundle on what its training never saw
  trainer-cli evaluate siren.earshot --fold us8k-fold2 --data '$EARSHOT_DATA/urban/manifest.csv'
  # INT8 against float and against a TFLite tagger, before there is a bundle
  trainer-cli evaluate --onnx int8.onnx --against float.onnx --against yamnet.tflite --data FILE
  # out of fold: each recording is heard by the run that was not trained on it
  trainer-cli evaluate --run runs/fold1 --run runs/fold2 --run runs/fold3 --data FILE
  # INT8 against float out of fold
  trainer-cli evaluate --run runs/fold1 --run runs/fold2 --data FILE \\
      --against-run runs/fold1/model.float.onnx --against-run runs/fold2/model.float.onnx
  # choose operating points from held-out recordings
  trainer-cli evaluate --onnx int8.onnx --fold us8k-fold2 --source blanket --data FILE --choose-presets presets.json
"""


@click.command("evaluate", epilog=EXAMPLE, context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("bundle", type=click.Path(path_type=Path, dir_okay=False), required=False)
@click.option("--onnx", type=click.Path(path_type=Path, dir_okay=False), help="A bare graph instead of a bundle.")
@click.option(
    "--run",
    "runs",
    multiple=True,
    type=click.Path(path_type=Path),
    help="A run's folder, or a graph in it, measured on what its training left out; repeatable.",
)
@click.option("--label", "labels", multiple=True, help="A bare graph's columns; default: those of the run beside it.")
@click.option("--presets", type=click.Path(path_type=Path, dir_okay=False), help="Decide by these presets (JSON).")
@click.option("--data", "manifests", multiple=True, required=True, metavar="MANIFEST", help="Manifest CSV; repeatable.")
@click.option("--fold", "folds", multiple=True, metavar="FOLD", help="Measure this fold; repeatable.")
@click.option("--source", "sources", multiple=True, metavar="SOURCE", help="Measure this source; repeatable.")
@click.option("--exclude-group", "groups", multiple=True, metavar="GROUP", help="Leave this recording out; repeatable.")
@click.option(
    "--against",
    multiple=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="Another bundle, graph or TFLite tagger on the same audio; repeatable.",
)
@click.option(
    "--against-run",
    "against_runs",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Other runs or graphs of the same folds, pooled like --run; repeatable.",
)
@click.option(
    "--choose-presets",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Choose operating points, write them here.",
)
@click.option("--jobs", type=click.IntRange(min=1), help="Processes; one a core if not given.")
@click.option("--skip", "skipped", multiple=True, type=click.Choice(PARTS), help="Leave this part out; repeatable.")
@click.option("--seed", type=int, default=1, show_default=True, help="Of everything random.")
@click.option("--json", "json_path", type=click.Path(path_type=Path, dir_okay=False), help="Write all figures here.")
@click.option(
    "--report",
    type=click.Path(path_type=Path, file_okay=False),
    help="Write a page with plots and sounds into this folder.",
)
def command(
    bundle: Path | None,
    onnx: Path | None,
    runs: tuple[Path, ...],
    labels: tuple[str, ...],
    presets: Path | None,
    manifests: tuple[str, ...],
    folds: tuple[str, ...],
    sources: tuple[str, ...],
    groups: tuple[str, ...],
    against: tuple[Path, ...],
    against_runs: tuple[Path, ...],
    choose_presets: Path | None,
    jobs: int | None,
    skipped: tuple[str, ...],
    seed: int,
    json_path: Path | None,
    report: Path | None,
) -> int:
    """Measure a model through the node's own pipeline and detector; without BUNDLE, the shipped one.

    Prints clip tagging, which sounds fool it, false alarms per hour, events in soundscapes, recall under changed
    conditions and by kind of siren, and speed, each with its protocol. Name folds or sources that training never saw,
    or runs; without them everything in the manifests is measured. Exit 3 if a file could not be read.
    """
    if sum((bundle is not None, onnx is not None, bool(runs))) > 1:
        raise click.UsageError("name a BUNDLE, --onnx or --run, not two of them")
    from earshot_trainer.evaluate.command import run_evaluation
    from earshot_trainer.evaluate.evaluation import Selection
    from earshot_trainer.evaluate.request import EvaluateRequest

    return run_evaluation(
        EvaluateRequest(
            model=bundle or onnx,
            runs=runs,
            labels=labels,
            presets=presets,
            selection=Selection(manifests, folds, sources, groups),
            against=against,
            against_runs=against_runs,
            choose_presets=choose_presets,
            jobs=jobs,
            skipped=frozenset(skipped),
            seed=seed,
            json_path=json_path,
            report=report,
        )
    )
