"""`node-cli config`: what a configuration amounts to, and its JSON Schema."""

import json
from pathlib import Path

import click

from earshot_node.cli.lazy_group import EXIT_DONE, EXIT_FAILED, HELP_SETTINGS

CHECK_EPILOG = """\b
Examples:
  node-cli config check config/node.yaml
  EARSHOT_MQTT_HOST=broker.lan node-cli config check config/node.yaml
"""
SCHEMA_EPILOG = """\b
Example:
  node-cli config schema
"""


@click.group(epilog=CHECK_EPILOG + SCHEMA_EPILOG.replace("\b\nExample:\n", ""))
def config() -> None:
    """Check a configuration, print its schema."""


@config.command(epilog=CHECK_EPILOG, context_settings=HELP_SETTINGS)
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--set", "assignments", multiple=True, metavar="KEY=VALUE", help="Override a value, as `run` does.")
def check(file: Path, assignments: tuple[str, ...]) -> int:
    """Print the effective configuration of FILE: defaults, file, environment and flags together, secrets masked.

    Every mistake is one line with file, line, key and what was expected; the exit code is then 1. Labels are compared
    with the model's.
    """
    from earshot_node.configuration.file import check_labels, load_config, masked_yaml, parse_assignments
    from earshot_node.configuration.problems import ConfigProblemsError
    from earshot_node.deployment.models import active_bundle

    try:
        loaded = load_config(file, overrides=parse_assignments(assignments))
    except ConfigProblemsError as error:
        for problem in error.problems:
            click.echo(f"error: {problem}", err=True)
        return EXIT_FAILED
    check_labels(loaded, active_bundle(loaded).manifest.decided_labels(loaded.detection.operating_points), file)
    click.echo(masked_yaml(loaded), nl=False)
    return EXIT_DONE


@config.command(epilog=SCHEMA_EPILOG, context_settings=HELP_SETTINGS)
def schema() -> None:
    """Print the JSON Schema of a node's configuration; editors complete and check with it."""
    from earshot_node.configuration.schema import config_schema

    click.echo(json.dumps(config_schema(), indent=2))
