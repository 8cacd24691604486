"""`trainer-cli init`."""

from pathlib import Path
from typing import Any

import click

from earshot_trainer.cli.home_option import HELP_NAMES, home_option

EXAMPLE = """\b
Examples:
  trainer-cli init --url http://trainer.lan:8770 --broker broker.lan
  trainer-cli init --home /srv/earshot --url https://trainer.lan:8770 --broker broker.lan --broker-port 8883
"""


@click.command("init", epilog=EXAMPLE, context_settings=HELP_NAMES)
@home_option
@click.option("--url", help="Where nodes reach this trainer; default: this host's name, port 8770.")
@click.option("--broker", help="Host of the MQTT broker, as nodes reach it; default: this host.")
@click.option("--broker-port", type=click.IntRange(1, 65_535), help="Its port; default: 1883.")
def command(home: Path | None, url: str | None, broker: str | None, broker_port: int | None) -> None:
    """Make the trainer's home: configuration, catalogue, folders for recordings and models, and the signing key.

    A home that is there is completed and never changed.
    """
    import socket

    from earshot_trainer.catalogue.opening import open_catalogue
    from earshot_trainer.home.config import DEFAULT_PORT
    from earshot_trainer.home.folder import CONFIG_NAME, create_home, home_folder

    folder = home_folder(home)
    settings: dict[str, Any] = {"url": url.rstrip("/")} if url else {}
    mqtt: dict[str, Any] = {"host": broker} if broker else {}
    if broker_port:
        mqtt["port"] = broker_port
    if not (folder / CONFIG_NAME).exists():
        host = socket.gethostname()
        settings.setdefault("url", f"http://{host}:{DEFAULT_PORT}")
        mqtt.setdefault("host", host)
    if mqtt:
        settings["mqtt"] = mqtt
    made, written = create_home(folder, settings)
    open_catalogue(made.catalogue_url).dispose()
    for path in written:
        click.echo(f"wrote {path}")
    if not written:
        click.echo(f"{folder} is complete; nothing was changed")
    click.echo(f"nodes reach the trainer at {made.config.url} and the broker at {made.config.mqtt.host}")
    click.echo("next: trainer-cli serve, then trainer-cli invite --node NAME for each node")
