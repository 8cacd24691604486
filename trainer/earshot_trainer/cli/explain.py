"""`trainer-cli explain`."""

from pathlib import Path

import click

EXAMPLE = """\b
Examples:
  # the ten seconds around the highest posterior
  trainer-cli explain siren.earshot street.flac
  # a moment of your choice
  trainer-cli explain siren.earshot street.flac --at 62 --seconds 6 --out street.png
"""
FILE = click.Path(path_type=Path, dir_okay=False)


@click.command("explain", epilog=EXAMPLE, context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("bundle", type=FILE)
@click.argument("file", type=FILE)
@click.option("--label", metavar="LABEL", help="Which label; the bundle's first if not given.")
@click.option("--at", "at_s", type=click.FloatRange(min=0), metavar="SECONDS", help="Where the stretch begins.")
@click.option("--seconds", type=click.FloatRange(min=1, max=20), default=10.0, show_default=True, help="Its length.")
@click.option("--out", type=FILE, metavar="PNG", help="The picture; FILE's name with the label if not given.")
def command(bundle: Path, file: Path, label: str | None, at_s: float | None, seconds: float, out: Path | None) -> None:
    """Draw what BUNDLE's model listened to in the recording FILE, and say which band and time mattered most.

    Patches of time and frequency are taken out of the audio one by one; where the posterior falls, it rested on them.
    `bundled` as BUNDLE is the shipped model.
    """
    from earshot_trainer.explain.command import ExplainRequest, run_explanation

    shipped = str(bundle) == "bundled"
    run_explanation(ExplainRequest(None if shipped else bundle, file, label, out, at_s, seconds))
