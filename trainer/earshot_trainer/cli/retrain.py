"""`trainer-cli retrain`."""

from datetime import datetime
from pathlib import Path

import click

from earshot_trainer.cli.duration import Duration, check_watch
from earshot_trainer.cli.home_option import HELP_NAMES, home_option
from earshot_trainer.cli.run_options import request_options

EXAMPLE = """\b
Examples:
  trainer-cli retrain --dry-run                what it would do, with what
  trainer-cli retrain                          all of it; an interrupted run is gone on with
  trainer-cli retrain --canary hall            the new model to this node first
  trainer-cli retrain --no-deploy              until there is a signed release
  trainer-cli retrain --run 20261122T150200-1f0c --force      against the gate; this is recorded
  trainer-cli retrain --only evaluate          one stage of the newest run again

\b
Exit codes:
  0  done: promoted, or in the shadow, as the last lines say
  1  failed
  3  done, but not every node was collected from, or not every node has it
  4  the gate stopped it: the table says what got worse
"""


@click.command("retrain", epilog=EXAMPLE, context_settings=HELP_NAMES)
@home_option
@request_options
@click.option("--node", "nodes", multiple=True, metavar="NODE", help="Collect from and deploy to it alone; repeatable.")
@click.option("--canary", default="", metavar="NODE", help="Deploy to this node first.")
@click.option("--watch", "watch_s", type=Duration(), default="30m", show_default=True, help="How long to watch it.")
@click.option("--collect/--no-collect", "collects", default=True, help="Bring the nodes' recordings here first.")
@click.option("--deploy/--no-deploy", "deploys", default=True, help="Give the release to the nodes.")
@click.option("--force", is_flag=True, help="Promote it whatever the gate says; this is recorded.")
@click.option("--run", "run_name", default="", metavar="RUN", help="Go on with this run.")
@click.option("--new", is_flag=True, help="Begin a new run, whatever is unfinished.")
@click.option("--only", "stage", default="", metavar="STAGE", help="Run one stage again.")
@click.option("--dry-run", is_flag=True, help="Say what would be done; change nothing.")
def command(
    home: Path | None,
    manifests: tuple[str, ...],
    split_path: str,
    part: str,
    groups: tuple[str, ...],
    held_out_from: datetime | None,
    active: str,
    base: str,
    overrides: tuple[str, ...],
    nodes: tuple[str, ...],
    canary: str,
    watch_s: float,
    collects: bool,
    deploys: bool,
    force: bool,
    run_name: str,
    new: bool,
    stage: str,
    dry_run: bool,
) -> int:
    """Teach the model the household's own recordings.

    Stages: collect, split, train, quantize, calibrate, evaluate, gate, package, sign, deploy.

    The shipped model is fine-tuned, with replay of synthesized sounds and of the corpora that `trainer-cli corpora`
    knows. The result takes the active model's place only if it is worse in nothing and better on recordings of the
    household that it did not learn from.
    """
    check_watch(canary)
    from rich.console import Console

    from earshot_trainer.cli.run_options import make_request
    from earshot_trainer.home.folder import open_home
    from earshot_trainer.retraining.command import retrain, run_alone, show_plan
    from earshot_trainer.retraining.run_folder import STAGES

    here, console = open_home(home), Console()
    if stage:
        if stage not in STAGES:
            raise click.UsageError(f"--only {stage}: the stages are {', '.join(STAGES)}")
        return run_alone(here, stage, run_name, console)
    request = make_request(
        manifests=manifests, split_path=split_path, part=part, groups=groups, held_out_from=held_out_from,
        active=active, base=base, overrides=overrides,
    ).model_copy(
        update={
            "nodes": nodes, "canary": canary, "watch_s": watch_s,
            "collect": collects, "deploy": deploys, "force": force,
        }
    )  # fmt: skip
    if dry_run:
        show_plan(here, request, console)
        return 0
    return retrain(here, request, console, new=new, run_name=run_name)
