"""`node-cli demo`: see it work."""

import signal
from pathlib import Path
from types import FrameType

import click

from earshot_node.cli.lazy_group import EXIT_DONE

EPILOG = """\b
Examples:
  node-cli demo
  node-cli demo recording.wav
  node-cli demo --duration 120

Exit code 1 when no siren of the scene was heard.
"""


@click.command(epilog=EPILOG)
@click.argument("file", required=False, type=click.Path(path_type=Path))
@click.option(
    "--duration",
    "duration_s",
    type=click.FloatRange(10, 3600),
    default=60.0,
    show_default=True,
    help="Seconds of the synthesized scene.",
)
def demo(file: Path | None, duration_s: float) -> int:
    """Start a broker, a node with the bundled model and a subscriber, and play a street scene to them, or FILE.

    Everything runs on this machine, in real time, and is gone afterwards. Needs the extra `demo`, no microphone.
    """
    from earshot_node.demo.show import run_demo

    signal.signal(signal.SIGTERM, _interrupt)
    run_demo(file, duration_s=duration_s)
    return EXIT_DONE


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
