"""Events in soundscapes on the page: recall, time to detect, F1 and PSDS by SNR."""

from collections.abc import Mapping

from earshot_node.contract.operating_point import PRESET_SENSITIVITY
from earshot_trainer.evaluate.events import COLLAR_S, SEGMENT_S, EventFigures, EventsAtSnr
from earshot_trainer.evaluate.html.panels import Figure, Panel, Part
from earshot_trainer.evaluate.html.plots import Line, plot_delays, plot_lines
from earshot_trainer.evaluate.html.tables import Table

PRESET = "balanced"


def show_events(found: Mapping[str, EventFigures], label: str) -> Part | None:
    """Return the part for the label that was mixed in; None for another one."""
    found = {title: figures for title, figures in found.items() if figures.label == label}
    if not found:
        return None
    first = next(iter(found.values()))
    protocol = first.protocol
    note = (
        f"{protocol['soundscapes']} soundscapes, {protocol['hours']:.2f} h: events of {protocol['events_of']} "
        f"laid into {protocol['backgrounds']} long recordings without {label}. Seed {protocol['seed']}. "
        f"SNR: {protocol['definitions']['snr']}. Heard: {protocol['definitions']['recall']}."
    )
    panels = [*_curves(found), *_delays(found)]
    panels += [
        Panel(f"Events, {title}", table=_table(figures), wide=True, folded=True) for title, figures in found.items()
    ]
    return Part("events in soundscapes", note, panels, _headline(found))


def _curves(found: Mapping[str, EventFigures]) -> list[Panel]:
    if len(next(iter(found.values())).by_snr) < 2:
        return []
    lines = []
    for title, figures in found.items():
        rows = sorted(figures.by_snr, key=lambda row: row.snr_db)
        points = [row.presets[PRESET] for row in rows]
        lines.append(
            Line(
                title,
                [row.snr_db for row in rows],
                [point.recall for point in points],
                [point.recall_interval[0] for point in points],
                [point.recall_interval[1] for point in points],
            )
        )
    note = f"At {PRESET}; band: 95 % over whole recordings."
    return [Panel("Events heard by SNR", note, plot_lines(lines, "SNR, dB", "share of events heard"))]


def _delays(found: Mapping[str, EventFigures]) -> list[Panel]:
    panels = []
    for number, at_snr in enumerate(next(iter(found.values())).by_snr):
        delays_s = {}
        for title, figures in found.items():
            outcomes = figures.by_snr[number].presets[PRESET].outcomes
            delays_s[title] = [None if one.outcome != "heard" else one.delay_s for one in outcomes]
        if any(delay is not None for row in delays_s.values() for delay in row):
            note = f"At {PRESET}, {at_snr.snr_db:+g} dB SNR: share of all events that were told within a time of onset."
            panels.append(Panel(f"Time to detect, {at_snr.snr_db:+g} dB", note, plot_delays(delays_s)))
    return panels


def _headline(found: Mapping[str, EventFigures]) -> list[Figure]:
    rows = []
    for number, at_snr in enumerate(next(iter(found.values())).by_snr):
        places = {title: figures.by_snr[number] for title, figures in found.items()}
        points = {title: place.presets[PRESET] for title, place in places.items()}
        snr = f"{at_snr.snr_db:+g} dB"
        where = f"soundscapes, {snr} SNR, {PRESET}"
        medians = {title: point.delay.median_s for title, point in points.items()}
        p95 = {title: point.delay.p95_s for title, point in points.items()}
        rows += [
            Figure(f"events heard, {snr}", where, {t: point.recall for t, point in points.items()}, "{:.3f}".format),
            Figure(f"time to detect, median, {snr}", where, medians, "{:.2f} s".format, higher_is_better=False),
            Figure(f"time to detect, p95, {snr}", where, p95, "{:.2f} s".format, higher_is_better=False),
            Figure(f"event-based F1, {snr}", where, {t: p.event_based.f1 for t, p in points.items()}, "{:.3f}".format),
            Figure(
                f"segment-based F1, {snr}", where, {t: p.segment_based.f1 for t, p in points.items()}, "{:.3f}".format
            ),
        ]
        for scenario in at_snr.psds:
            values = {title: place.psds[scenario].value for title, place in places.items()}
            rows.append(Figure(f"{scenario.upper()}, {snr}", "soundscapes, all thresholds", values, "{:.3f}".format))
    return rows


def _table(figures: EventFigures) -> Table:
    columns = [
        "SNR", "preset", "heard", "95 %", "median", "p95", f"event F1, {COLLAR_S:g} s collar",
        f"segment F1, {SEGMENT_S:g} s", "false per hour", "PSDS",
    ]  # fmt: skip
    rows = [_table_row(at_snr, str(preset)) for at_snr in figures.by_snr for preset in PRESET_SENSITIVITY]
    return Table(columns, rows)


def _table_row(at_snr: EventsAtSnr, preset: str) -> list[str]:
    point = at_snr.presets[preset]
    low, high = point.recall_interval
    psds = " / ".join(f"{score.value:.3f}" for score in at_snr.psds.values())
    return [
        f"{at_snr.snr_db:+g} dB", preset, f"{point.heard} of {point.events}", f"{low:.2f} to {high:.2f}",
        _seconds(point.delay.median_s), _seconds(point.delay.p95_s), f"{point.event_based.f1:.3f}",
        f"{point.segment_based.f1:.3f}", f"{point.extra_per_hour:.2f}", psds,
    ]  # fmt: skip


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f} s"
