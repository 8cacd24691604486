"""Synthesized sirens by kind on the page."""

from collections.abc import Mapping

from earshot_trainer.evaluate.html.panels import Figure, Panel, Part
from earshot_trainer.evaluate.html.plots import MOST_BARS, plot_bars
from earshot_trainer.evaluate.html.tables import Table
from earshot_trainer.evaluate.siren_kinds import LABEL, SirenKindFigures
from earshot_trainer.evaluate.siren_kinds_table import PRESET, heard_text


def show_kinds(found: Mapping[str, SirenKindFigures], label: str) -> Part | None:
    """Return the part for sirens; None for another label."""
    if label != LABEL:
        return None
    first = next(iter(found.values()))
    protocol = first.protocol
    note = (
        f"Recall at {PRESET}. Sirens: {protocol['sirens']}. Background: {protocol['background']}. "
        f"{protocol['takes']} takes of each. Seed {protocol['seed']}. A floor, no proof for real sirens."
    )
    panels = [_bars(found, snr_db) for snr_db in dict.fromkeys(one.snr_db for one in first.kinds)]
    panels += [Panel(title, table=_table(figures), wide=True, folded=True) for title, figures in found.items()]
    snr_db = first.kinds[0].snr_db
    worst: dict[str, float | None] = {
        title: min(one.heard[PRESET] / one.takes for one in figures.kinds if one.snr_db == snr_db)
        for title, figures in found.items()
    }
    name = f"recall of the worst kind, {snr_db:+g} dB"
    return Part("kinds of siren", note, panels, [Figure(name, f"synthesized, {PRESET}", worst, "{:.2f}".format)])


def _bars(found: Mapping[str, SirenKindFigures], snr_db: float) -> Panel:
    """Show the kinds that the first model hears least."""
    recalls = {
        title: {one.kind: one.heard[PRESET] / one.takes for one in figures.kinds if one.snr_db == snr_db}
        for title, figures in found.items()
    }
    first = next(iter(recalls.values()))
    names = sorted(first, key=lambda kind: first[kind])[:MOST_BARS]
    values = {title: [by_kind[name] for name in names] for title, by_kind in recalls.items()}
    note = f"The {len(names)} of {len(first)} kinds that are heard least."
    return Panel(f"Kinds at {snr_db:+g} dB SNR", note, plot_bars(names, values, "recall", longest=1.0))


def _table(figures: SirenKindFigures) -> Table:
    rows = [
        [one.kind, f"{one.snr_db:+g} dB", *(heard_text(one, preset) for preset in one.heard)] for one in figures.kinds
    ]
    return Table(["kind", "SNR", *figures.kinds[0].heard], rows)
