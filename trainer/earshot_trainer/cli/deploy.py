"""`trainer-cli deploy`."""

from pathlib import Path

import click

from earshot_trainer.cli.duration import Duration, check_watch
from earshot_trainer.cli.home_option import HELP_NAMES, home_option

EXAMPLE = """\b
Examples:
  trainer-cli deploy                                   the newest release to every node
  trainer-cli deploy 2026.12.3 --to hall --to attic
  trainer-cli deploy siren.earshot --canary hall --watch 30m
  trainer-cli deploy --shadow                          only listens beside the active model

\b
Exit codes:
  0  every node has it, or was offered it with --offer or --no-wait
  1  no node has it, or the canary stopped it
  3  some have it; the others refused it, are away (they get it when they are back), or have not answered
"""


@click.command("deploy", epilog=EXAMPLE, context_settings=HELP_NAMES)
@home_option
@click.argument("release", required=False, default="", metavar="[VERSION|FILE]")
@click.option("--to", "nodes", multiple=True, metavar="NODE", help="Only to this node; repeatable; default: all.")
@click.option("--canary", default="", metavar="NODE", help="This node first; the others when it does well.")
@click.option("--watch", "watch_s", type=Duration(), default="30m", show_default=True, help="How long to watch it.")
@click.option("--shadow", is_flag=True, help="Let it hear beside the active model and report where they disagree.")
@click.option("--offer", is_flag=True, help="Wait for somebody to press Install in Home Assistant.")
@click.option("--trial", "trial_s", type=Duration(), default="30m", show_default=True, help="Each node's own trial.")
@click.option("--wait/--no-wait", default=True, help="Follow the nodes until each has told what became of it.")
@click.option("--timeout", "wait_s", type=Duration(), default="15m", show_default=True, help="How long to follow them.")
@click.option("--force", is_flag=True, help="Against the gate; this is noted.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON when it is over.")
def command(
    home: Path | None,
    release: str,
    nodes: tuple[str, ...],
    canary: str,
    watch_s: float,
    shadow: bool,
    offer: bool,
    trial_s: float,
    wait: bool,
    wait_s: float,
    force: bool,
    as_json: bool,
) -> int:
    """Give nodes a model: VERSION of `trainer-cli releases`, a signed bundle's FILE, or the newest release.

    Nodes fetch the bundle from `trainer-cli serve`, or from this command while it runs. Each checks and tests it, hears
    with both models for a minute, switches without a gap, and goes back by itself if the new one does badly.
    """
    if shadow and offer:
        raise click.UsageError("--shadow and --offer do not go together")
    if canary and (offer or not wait):
        raise click.UsageError("--canary needs to wait for the node; leave --offer and --no-wait out")
    check_watch(canary)
    from earshot_trainer.catalogue.opening import open_catalogue
    from earshot_trainer.deploying.command import chosen_nodes, chosen_release, run_deploy
    from earshot_trainer.deploying.deployment import DeployRequest
    from earshot_trainer.home.folder import open_home

    here = open_home(home)
    engine = open_catalogue(here.catalogue_url)
    request = DeployRequest(
        release=chosen_release(here, engine, release),
        nodes=chosen_nodes(engine, nodes, canary),
        mode="shadow" if shadow else "offer" if offer else "install",
        canary=canary,
        watch_s=watch_s,
        trial_s=trial_s,
        wait_s=wait_s if wait else 0.0,
        is_forced=force,
    )
    return run_deploy(here, engine, request, as_json=as_json)
