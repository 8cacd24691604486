"""`trainer-cli key`."""

from pathlib import Path

import click

EXAMPLE = """\b
Example:
  trainer-cli key create trainer.key
"""


@click.group("key", epilog=EXAMPLE, context_settings={"help_option_names": ["-h", "--help"]})
def command() -> None:
    """Keys that sign bundles."""


@command.command("create", epilog=EXAMPLE)
@click.argument("path", type=click.Path(path_type=Path))
def create(path: Path) -> None:
    """Make a private key at PATH (readable by you alone) and print its public key.

    Keep the file secret: whoever has it can give your nodes a model. The public key goes into the nodes'
    configuration. An existing file is never overwritten.
    """
    from earshot_trainer.packaging.keys import create_key

    public = create_key(path)
    click.echo(f"wrote {path}")
    click.echo("add to every node's configuration:")
    click.echo(f'model:\n  trusted_keys: ["{public}"]')


@command.command("show", epilog="\b\nExample:\n  trainer-cli key show trainer.key\n")
@click.argument("path", type=click.Path(path_type=Path))
def show(path: Path) -> None:
    """Print the public key of a private key."""
    from earshot_trainer.packaging.keys import load_key, public_key_text

    click.echo(public_key_text(load_key(path)))
