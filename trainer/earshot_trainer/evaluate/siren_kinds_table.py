"""The kinds of siren a model hears, on the terminal."""

from collections.abc import Mapping

from rich.console import Console
from rich.table import Table

from earshot_trainer.evaluate.console import say
from earshot_trainer.evaluate.siren_kinds import KindFigures, SirenKindFigures

PRESET = "balanced"


def show_siren_kinds(console: Console, found: Mapping[str, SirenKindFigures]) -> None:
    """Print a row a kind, a column a model and SNR: takes heard at PRESET and the median delay."""
    first = next(iter(found.values()))
    levels = list(dict.fromkeys(one.snr_db for one in first.kinds))
    table = Table(title=f"synthesized sirens heard at {PRESET}", title_justify="left")
    table.add_column("kind")
    for title in found:
        for snr_db in levels:
            table.add_column(f"{title}, {snr_db:+g} dB")
    for kind in dict.fromkeys(one.kind for one in first.kinds):
        rows = [one for figures in found.values() for one in figures.kinds if one.kind == kind]
        table.add_row(kind, *(heard_text(one, PRESET) for one in rows))
    console.print(table)
    say(console, f"{first.protocol['sirens']}; {first.protocol['background']}; seed {first.protocol['seed']}")


def heard_text(figures: KindFigures, preset: str) -> str:
    """Return `11 of 12, 1.8 s`."""
    delay_s = figures.median_delay_s[preset]
    told = f"{figures.heard[preset]} of {figures.takes}"
    return told if delay_s is None else f"{told}, {delay_s:.1f} s"
