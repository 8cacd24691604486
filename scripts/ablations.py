"""Trains variants of the network, each with one part exchanged, and prints what they give beside the base."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from earshot_node.errors import EarshotError
from earshot_trainer.ablations.results import RESULTS_NAME
from earshot_trainer.ablations.running import Plan, Run, run_missing
from earshot_trainer.ablations.table import markdown
from earshot_trainer.ablations.variants import VARIANTS

CONFIG = Path(__file__).resolve().parent.parent / "config"
MANIFESTS = ("$EARSHOT_DATA/urban/manifest.csv", "$EARSHOT_DATA/negatives/manifest.csv")


def parse(words: Sequence[str]) -> argparse.Namespace:
    """Return the arguments of a command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--variant", action="append", choices=list(VARIANTS), help="only this one; all if not given")
    parser.add_argument("--part", action="append", help="of the split, held out; b if not given")
    parser.add_argument("--seed", action="append", type=int, help="1 if not given")
    parser.add_argument("--steps", type=int, default=1875)
    parser.add_argument("--jobs", type=int, default=2, help="trainings at a time")
    parser.add_argument("--set", dest="settings", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--recipe", type=Path, default=CONFIG / "recipes/siren-own.yaml")
    parser.add_argument("--split", type=Path, default=CONFIG / "splits/three.yaml")
    parser.add_argument("--data", action="append", metavar="MANIFEST", help="the two below EARSHOT_DATA if not given")
    parser.add_argument("--out", type=Path, required=True, help="folder for results and runs")
    return parser.parse_args(words)


def main(words: Sequence[str]) -> int:
    """Make the runs that are missing and print the table; 1 if nothing was done, 3 if some runs failed."""
    arguments = parse(words)
    plan = Plan(
        recipe=arguments.recipe,
        split=arguments.split,
        manifests=tuple(arguments.data or MANIFESTS),
        steps=arguments.steps,
        out=arguments.out,
        settings=tuple(arguments.settings),
    )
    runs = [
        Run(variant, part, seed)
        for seed in arguments.seed or [1]
        for part in arguments.part or ["b"]
        for variant in arguments.variant or VARIANTS
    ]
    console = Console(stderr=True)
    try:
        failed = run_missing(plan, runs, arguments.jobs, console)
        print(markdown(plan.done()))
    except EarshotError as error:
        console.print(f"error: {error}", highlight=False, markup=False, soft_wrap=True)
        return 1
    console.print(f"results: {plan.out / RESULTS_NAME}", highlight=False, soft_wrap=True)
    if failed:
        return 1 if len(failed) == len(runs) else 3
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
