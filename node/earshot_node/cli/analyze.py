"""`node-cli analyze`: the events of audio files."""

import csv
import json
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, TextIO, get_args

import click

from earshot_node.cli.label_option import chosen_labels, label_option
from earshot_node.cli.lazy_group import EXIT_DONE, EXIT_PARTLY
from earshot_node.contract.operating_point import PresetName
from earshot_node.errors import OperatorError

if TYPE_CHECKING:
    from earshot_node.analysis import FileAnalysis
    from earshot_node.inference.bundle import Bundle
    from earshot_node.inference.facts import SoundEvent

EPILOG = """\b
Examples:
  node-cli analyze street.wav
  node-cli analyze recordings/ --json --jobs 2
  node-cli analyze street.wav --posteriors street.csv --preset sensitive
  node-cli analyze hallway.wav --label speech --label siren

Exit code 3 when some file could not be read.
"""


@click.command(epilog=EPILOG)
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per event.")
@click.option(
    "--posteriors", type=click.Path(path_type=Path, dir_okay=False), help="Write a CSV with one row per frame."
)
@click.option(
    "--bundle", "bundle_path", type=click.Path(path_type=Path), help="Use this model; default: the bundled one."
)
@click.option("--preset", type=click.Choice(get_args(PresetName)), default="balanced", show_default=True)
@label_option
@click.option("--jobs", type=click.IntRange(1, 64), default=1, show_default=True, help="Files analyzed at a time.")
def analyze(
    paths: tuple[Path, ...],
    *,
    as_json: bool,
    posteriors: Path | None,
    bundle_path: Path | None,
    preset: PresetName,
    labels: tuple[str, ...],
    jobs: int,
) -> int:
    """List the events of audio files, at full speed.

    PATHS are files and folders (searched for audio). Every file begins with a fresh state. Times are seconds from the
    file's beginning.
    """
    from earshot_node.analysis import analyze_files, find_audio_files

    files = find_audio_files(paths)
    bundle = _open_bundle(bundle_path)
    chosen = chosen_labels(labels, bundle.manifest.labels)
    unreadable = 0
    with ExitStack() as stack:
        rows = None
        if posteriors is not None:
            rows = csv.writer(stack.enter_context(_open_to_write(posteriors)))
            rows.writerow(["file", "time_s", *bundle.manifest.labels])
        events = 0
        for analysis in analyze_files(files, bundle, preset, jobs, chosen):
            events += len(analysis.events)
            _print_events(analysis, as_json=as_json)
            if rows is not None:
                hop_s = bundle.manifest.hop_s
                rows.writerows(
                    [str(analysis.path), f"{(frame + 1) * hop_s:.2f}", *(f"{p:.4f}" for p in row)]
                    for frame, row in enumerate(analysis.posteriors.tolist())
                )
            if analysis.problem:
                unreadable += 1
                click.echo(f"error: {analysis.problem}", err=True)
    if not as_json:
        click.echo(
            f"{events} events in {len(files) - unreadable} files, {', '.join(chosen)}, preset {preset}, "
            f"model {bundle.manifest.version}"
        )
    return EXIT_PARTLY if unreadable else EXIT_DONE


def _open_to_write(path: Path) -> TextIO:
    try:
        return path.open("w", newline="", encoding="utf-8")
    except OSError as error:
        raise OperatorError(f"--posteriors {path}: cannot write there: {error.strerror}; name another file") from error


def _open_bundle(path: Path | None) -> "Bundle":
    from earshot_node.inference.bundle import load_bundle_unsigned, load_bundled

    if path is None:
        return load_bundled()
    bundle = load_bundle_unsigned(path)
    click.echo(f"warning: {path}: whoever made this model, its signature is not checked here", err=True)
    return bundle


def _spelled(event: "SoundEvent") -> str:
    return f", {event.kind}" if event.kind not in (None, "unknown") else ""


def _print_events(analysis: "FileAnalysis", *, as_json: bool) -> None:
    for event in analysis.events:
        assert event.offset_s is not None
        if as_json:
            fact = {
                "file": str(analysis.path),
                "label": event.label,
                "onset_s": round(event.onset_s, 3),
                "offset_s": round(event.offset_s, 3),
                "peak": round(event.peak, 4),
                "kind": event.kind,
            }
            sys.stdout.write(json.dumps(fact) + "\n")
        else:
            click.echo(
                f"{analysis.path}: {event.label} {event.onset_s:8.2f} s to {event.offset_s:8.2f} s, "
                f"confidence {event.peak:.0%}{_spelled(event)}"
            )
    if not as_json and not analysis.events and not analysis.problem:
        click.echo(f"{analysis.path}: nothing in {analysis.duration_s:.1f} s")
