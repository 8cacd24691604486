"""Event figures as tables for a terminal."""

from collections.abc import Mapping

from rich.console import Console
from rich.table import Table

from earshot_trainer.evaluate.console import say
from earshot_trainer.evaluate.events import Delay, EventFigures, EventsAtPoint, EventsAtSnr

MOST_GROUPS_SHOWN = 8
COLUMNS = (
    "model",
    "SNR",
    "preset",
    "recall (95 %)",
    "median",
    "p95",
    "p95 of all",
    "false per hour (95 %)",
    "event F1",
    "segment F1",
)


def print_events(console: Console, figures: Mapping[str, EventFigures]) -> None:
    """Print protocol, figures by SNR, preset and model, PSDS, and the recordings that are heard worst.

    Args:
        console: where to.
        figures: by the model's title, all of the same soundscapes.
    """
    first = next(iter(figures.values()))
    _print_protocol(console, first)
    table = Table(title=f"{first.label}: events in soundscapes", title_justify="left")
    for column in COLUMNS:
        table.add_column(column)
    for at_snrs in zip(*(one.by_snr for one in figures.values()), strict=True):
        for title, at_snr in zip(figures, at_snrs, strict=True):
            for preset, found in at_snr.presets.items():
                table.add_row(title, f"{at_snr.snr_db:+g} dB", preset, *_cells(found))
    console.print(table)
    for title, one in figures.items():
        for at_snr in one.by_snr:
            _print_psds(console, title, at_snr)
        for at_snr in one.by_snr:
            _print_worst(console, title, at_snr)


def _print_protocol(console: Console, figures: EventFigures) -> None:
    protocol, label = figures.protocol, figures.label
    shortest, longest = protocol["rules"]["length_s"]
    say(
        console,
        f"\n{label}: {protocol['soundscapes']} soundscapes of {shortest:g} to {longest:g} s, "
        f"{protocol['hours']:.2f} h, from {protocol['events_of']} of {label} and "
        f"{protocol['backgrounds']} backgrounds; "
        f"seed {protocol['seed']}, plan sha256 {protocol['plan_sha256'][:12]}",
    )
    for name, meaning in protocol["definitions"].items():
        say(console, f"          {name}: {meaning}")
    if protocol["left_out"]:
        say(console, f"          {len(protocol['left_out'])} recordings of {label} left out; reasons are in --json")


def _cells(found: EventsAtPoint) -> tuple[str, ...]:
    recall_low, recall_high = found.recall_interval
    extra_low, extra_high = found.extra_interval
    return (
        f"{found.recall:.3f} of {found.events} ({recall_low:.2f} to {recall_high:.2f})",
        *_delay_cells(found.delay),
        f"{found.extra_per_hour:.1f} ({extra_low:.1f} to {extra_high:.1f})",
        f"{found.event_based.f1:.3f}",
        f"{found.segment_based.f1:.3f}",
    )


def _delay_cells(delay: Delay) -> tuple[str, ...]:
    figures = (delay.median_s, delay.p95_s, delay.p95_of_all_s)
    return tuple("never" if figure is None else f"{figure:.2f} s" for figure in figures)


def _print_psds(console: Console, title: str, at_snr: EventsAtSnr) -> None:
    for name, psds in at_snr.psds.items():
        settings = psds.settings
        say(
            console,
            f"{title}, {at_snr.snr_db:+g} dB: {name.upper()} {psds.value:.3f} (DTC {settings.detection_tolerance:g}, "
            f"GTC {settings.truth_intersection:g}, up to {settings.most_false_per_hour:g} false per hour, median "
            f"filter {settings.median_filter_s:g} s; bare posteriors {psds.unfiltered:.3f})",
        )


def _print_worst(console: Console, title: str, at_snr: EventsAtSnr) -> None:
    found = at_snr.presets["balanced"]
    where = f"{title}, balanced, {at_snr.snr_db:+g} dB"
    worst = sorted(
        (heard / events, group, heard, events) for group, (heard, events) in found.by_group.items() if heard < events
    )
    if worst:
        shown = ", ".join(f"{group} {heard} of {events}" for _, group, heard, events in worst[:MOST_GROUPS_SHOWN])
        rest = len(worst) - MOST_GROUPS_SHOWN
        say(console, f"{where}: heard worst {shown}" + (f" and {rest} more in --json" if rest > 0 else ""))
    if found.already_on or found.repeats:
        say(
            console,
            f"{where}: {found.already_on} events began while a false one lasted, {found.repeats} more detections "
            "within events",
        )
