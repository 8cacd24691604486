"""`node-cli monitor`: live level and posteriors of one source."""

from pathlib import Path
from typing import TYPE_CHECKING, get_args

import click

from earshot_node.cli.label_option import chosen_labels, label_option
from earshot_node.cli.lazy_group import EXIT_DONE
from earshot_node.contract.operating_point import PRESET_SENSITIVITY, PresetName

if TYPE_CHECKING:
    from earshot_node.contract.config import NodeConfig, Source
    from earshot_node.contract.operating_point import OperatingPoint
    from earshot_node.inference.bundle import Bundle

EPILOG = """\b
Examples:
  node-cli monitor
  node-cli monitor --config node.yaml --source hallway
  node-cli monitor --file street.wav --preset sensitive
"""


@click.command(epilog=EPILOG)
@click.option("--config", "path", type=click.Path(path_type=Path), help="Take source, model and detection from there.")
@click.option("--source", "source_id", help="Which source of the configuration; default: the first.")
@click.option("--file", "audio", type=click.Path(path_type=Path), help="Listen to an audio file.")
@click.option("--device", help="Listen to a microphone by its stable id; without any option: the default one.")
@click.option("--preset", type=click.Choice(get_args(PresetName)), help="Operating points of the thresholds.")
@label_option
@click.option("--seconds", "limit_s", type=click.FloatRange(min=0.1), help="Stop after this long.")
def monitor(
    path: Path | None,
    source_id: str | None,
    audio: Path | None,
    device: str | None,
    preset: PresetName | None,
    labels: tuple[str, ...],
    limit_s: float | None,
) -> int:
    """Show the live level and posteriors of one source, with the thresholds at which an event begins and ends.

    A configuration's labels are shown unless others are asked for.

    Draws on a terminal, prints a line per second elsewhere. A microphone that a running node holds cannot be opened
    twice; use the default device through a sound server, or stop the node.
    """
    if sum(one is not None for one in (path, audio, device)) > 1:
        raise click.UsageError("give one of --config, --file and --device")
    if source_id is not None and path is None:
        raise click.UsageError("--source needs --config")
    import logging

    from rich.console import Console

    from earshot_node.monitor.watch import Watch, Watched

    logging.getLogger("earshot_node.audio").setLevel(logging.ERROR)  # the screen tells the same
    config, source, bundle = _choose(path, source_id, audio, device)
    watched = Watched(source, bundle, _points(config, bundle, preset, labels))
    watch = Watch(watched, Console(highlight=False, soft_wrap=True), limit_s)
    click.echo(f"listening to {source.id}, model {bundle.manifest.version}; Ctrl-C ends", err=True)
    try:
        watch.run()
    except KeyboardInterrupt:
        click.echo(err=True)
    return EXIT_DONE


def _choose(
    path: Path | None, source_id: str | None, audio: Path | None, device: str | None
) -> "tuple[NodeConfig | None, Source, Bundle]":
    from earshot_node.configuration.file import check_labels, load_config
    from earshot_node.contract.config import FileSource, MicrophoneSource
    from earshot_node.deployment.models import active_bundle
    from earshot_node.inference.bundle import load_bundled

    config = load_config(path) if path else None
    bundle = active_bundle(config) if config else load_bundled()
    if config:
        check_labels(config, bundle.manifest.decided_labels(config.detection.operating_points), path)
        source = _source_of(config, source_id)
    elif audio is not None:
        if not audio.is_file():
            raise click.UsageError(f"--file {audio}: no such file")
        source = FileSource(type="file", id="file", path=str(audio))
    else:
        source = MicrophoneSource(type="microphone", id="microphone", device=device or "default")
    return config, source, bundle


def _source_of(config: "NodeConfig", source_id: str | None) -> "Source":
    for source in config.sources:
        if source_id in (None, source.id):
            return source
    raise click.UsageError(f"--source {source_id}: the configuration has {', '.join(one.id for one in config.sources)}")


def _points(
    config: "NodeConfig | None", bundle: "Bundle", preset: PresetName | None, wanted: tuple[str, ...]
) -> "dict[str, OperatingPoint]":
    chosen = preset or (config.detection.preset if config else "balanced")
    labels = config.labels if config and not wanted else chosen_labels(wanted, bundle.manifest.labels)
    presets = bundle.manifest.presets
    points = {label: presets.at(label, PRESET_SENSITIVITY[chosen]) for label in labels if label in presets.balanced}
    own = {} if config is None or preset else config.detection.operating_points
    return {label: own.get(label, point) for label, point in points.items()}
