"""`node-cli join`: become one of a trainer's nodes."""

import sys
from pathlib import Path

import click

from earshot_node.cli.lazy_group import EXIT_DONE

EPILOG = """\b
Examples:
  node-cli join --config node.yaml
  node-cli join --config node.yaml < invite.txt
  node-cli join earshot1.eyJzY2hlbWEi --config node.yaml

Without LINE it is asked for, so that it ends up neither in the shell's history nor in the process list.
"""


@click.command(epilog=EPILOG)
@click.argument("line", required=False)
@click.option(
    "--config",
    "path",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="The node's YAML file; written if there is none.",
)
@click.option("--node", "node_id", help="Id of this node; default: the configuration's, or the invite's suggestion.")
def join(line: str | None, path: Path, node_id: str | None) -> int:
    """Join the trainer whose `trainer-cli invite` printed LINE.

    The node gets the broker's address, a token of its own, and the trainer's public key: models signed with it are
    taken from now on. An invite works once.
    """
    from datetime import UTC, datetime

    from earshot_node.configuration.file import load_config, state_folder
    from earshot_node.contract.joining import decode_invite
    from earshot_node.contract.names import SIREN, validate_slug
    from earshot_node.deployment.join import broker_section, keep
    from earshot_node.deployment.join import join as exchange
    from earshot_node.errors import OperatorError
    from earshot_node.http.certificate import certificate_of

    text = line or (click.prompt("Invite", hide_input=True) if sys.stdin.isatty() else sys.stdin.readline())
    invite = decode_invite(text, datetime.now(UTC))
    config = load_config(path) if path.exists() else None
    wanted = node_id or (config.node.id if config is not None else invite.node) or _host_name()
    try:
        validate_slug(wanted)
    except ValueError as error:
        raise OperatorError(f"--node: {error}") from error
    labels = config.labels if config is not None else (SIREN,)
    state_dir = state_folder(config) if config is not None else _default_state()
    certificate = certificate_of(config.http, state_dir) if config is not None else None
    grant = exchange(
        invite,
        wanted,
        labels,
        config.http.port if config is not None else 0,
        certificate.sha256 if certificate is not None else "",
    )
    for written in keep(invite, grant, state_dir, path):
        click.echo(f"wrote {written}")
    click.echo(f"{grant.node} has joined {invite.url}")
    if config is not None:
        import yaml

        section = {"node": {"id": grant.node}, "mqtt": broker_section(invite, grant, state_dir)}
        has_them = config.node.id == grant.node and (config.mqtt.host, config.mqtt.effective_port) == (
            invite.broker.host,
            invite.broker.port,
        )
        if has_them and not grant.mqtt_username and config.mqtt.prefix == invite.broker.prefix:
            click.echo("a running node takes it up by itself; nothing has to be restarted")
            return EXIT_DONE
        click.echo(f"{path} stays as it is; it needs these settings, then a restart of the node:")
        click.echo(yaml.safe_dump(section, sort_keys=False).rstrip())
    else:
        click.echo(f"next: node-cli devices, then choose the microphone in {path}, then node-cli run --config {path}")
    return EXIT_DONE


def _host_name() -> str:
    import socket

    from earshot_node.contract.names import slugify

    return slugify(socket.gethostname().partition(".")[0])


def _default_state() -> Path:
    """Where `node-cli run` keeps its state without `node.state_dir`."""
    import os

    base = os.environ.get("STATE_DIRECTORY", "").split(":")[0]
    if base:
        return Path(base)
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "earshot"
