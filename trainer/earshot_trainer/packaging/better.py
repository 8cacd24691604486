"""Is a new model better than the shipped one? Both out of fold, on the same recordings; nothing else is compared.

The shipped model's card says what it was measured on. Where the new model has no report on the same recordings (by the
hash over them), its runs are asked there, each about what its training left out.
"""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from earshot_node.contract.operating_point import Presets
from earshot_trainer.corpus.recordings import expand_path, load_manifests
from earshot_trainer.evaluate.console import counting
from earshot_trainer.evaluate.evaluation import Selection, evaluate
from earshot_trainer.evaluate.pooled_subject import PooledSubject
from earshot_trainer.packaging.card_figures import title_of
from earshot_trainer.packaging.figures import held_out_reports

SNR_DB = 10.0
"""Of the events that are compared."""


@dataclass(frozen=True, slots=True)
class Figure:
    """What is compared.

    Attributes:
        noise: differences up to this are none.
        digits: as it is printed.
    """

    name: str
    more_is_better: bool
    noise: float
    digits: str


AP = Figure("average precision", more_is_better=True, noise=1e-4, digits=".4f")
"""Kept to six places, and processors round differently."""
ALARMS = Figure("false alarms at balanced", more_is_better=False, noise=0, digits=".0f")
EVENTS = Figure(f"events at {SNR_DB:+g} dB found at balanced", more_is_better=True, noise=1e-4, digits=".3f")
DELAY = Figure(f"median delay at {SNR_DB:+g} dB, balanced, s", more_is_better=False, noise=0.04, digits=".2f")
"""Told within the same frame is as soon."""


@dataclass(frozen=True, slots=True)
class Pair:
    """One figure of both models on the same recordings.

    Attributes:
        where: which recordings.
    """

    what: Figure
    label: str
    where: str
    new: float
    shipped: float

    @property
    def gain(self) -> float:
        """How much better the new model is; negative where it is worse."""
        gain = self.new - self.shipped if self.what.more_is_better else self.shipped - self.new
        return 0.0 if abs(gain) <= self.what.noise + 1e-9 else gain


def is_better(pairs: Sequence[Pair]) -> bool:
    """Tell whether the new model is worse in nothing and better in something; False with nothing to compare."""
    return any(pair.gain > 0 for pair in pairs) and all(pair.gain >= 0 for pair in pairs)


def pairs_of(new: Mapping[str, Any], shipped: Mapping[str, Any], where: str) -> Iterator[Pair]:
    """Yield the figures that two reports on the same recordings have in common."""
    for label, figures in new["labels"].items():
        theirs = shipped["labels"].get(label)
        if theirs is None:
            continue
        if figures["tagging"] and theirs["tagging"]:
            precisions = (one["tagging"]["average_precision"] for one in (figures, theirs))
            yield Pair(AP, label, where, *precisions)
        if figures["false_alarms"] and theirs["false_alarms"]:
            alarms = (float(one["false_alarms"]["balanced"]["count"]) for one in (figures, theirs))
            yield Pair(ALARMS, label, where, *alarms)
    yield from _pairs_of_events(new.get("events"), shipped.get("events"), where)


def _pairs_of_events(new: Mapping[str, Any] | None, shipped: Mapping[str, Any] | None, where: str) -> Iterator[Pair]:
    """Yield the figures of events in the same soundscapes."""
    if not new or not shipped or new["protocol"]["plan_sha256"] != shipped["protocol"]["plan_sha256"]:
        return
    events = [
        one["presets"]["balanced"] for report in (new, shipped) for one in report["by_snr"] if one["snr_db"] == SNR_DB
    ]
    if len(events) == 2:
        yield Pair(EVENTS, new["label"], where, *(one["recall"] for one in events))
        medians_s = [one["delay"]["median_s"] for one in events]
        if None not in medians_s:
            yield Pair(DELAY, new["label"], where, *medians_s)


def compare_with_shipped(
    metrics: dict[str, Any],
    shipped: dict[str, Any],
    runs: Sequence[Path],
    presets: Presets,
    console: Console,
) -> list[Pair]:
    """Return what the new model's reports, or its runs, say on the recordings of the shipped model's reports.

    Args:
        metrics: the new model's reports by name.
        shipped: the metrics of the shipped manifest.
        runs: of the new recipe, for recordings that its reports do not cover; nothing is asked without them.
        presets: the new model's operating points.
        console: where it is said what cannot be compared.

    Raises:
        OperatorError: recordings or runs cannot be used.
    """
    found: list[Pair] = []
    by_data = {report["protocol"]["data_sha256"]: report for report in held_out_reports(metrics).values()}
    for report in held_out_reports(shipped).values():
        data_sha256 = report["protocol"]["data_sha256"]
        new = by_data.get(data_sha256) or (_measure(report, runs, presets) if runs else None)
        if new is None or new["protocol"]["data_sha256"] != data_sha256:
            console.print(f"not compared: {title_of(report)}; these recordings are no longer the same", soft_wrap=True)
            continue
        found += pairs_of(new, report, title_of(report).partition(" on ")[2] or title_of(report))
    return found


def print_pairs(console: Console, pairs: Sequence[Pair], shipped_version: str) -> None:
    """Print the comparison and its outcome."""
    table = Table(title="out of fold, on the same recordings", title_justify="left")
    for column in ("figure", "on", "new", f"shipped, {shipped_version}", ""):
        table.add_column(column)
    for pair in pairs:
        verdict = "better" if pair.gain > 0 else "worse" if pair.gain < 0 else "as good"
        new, old = (f"{figure:{pair.what.digits}}" for figure in (pair.new, pair.shipped))
        table.add_row(f"{pair.label}: {pair.what.name}", pair.where, new, old, verdict)
    console.print(table)
    rule = "worse in nothing and better in something"
    console.print(f"the new model is {'' if is_better(pairs) else 'not '}better ({rule})", soft_wrap=True)


def _measure(report: Mapping[str, Any], runs: Sequence[Path], presets: Presets) -> dict[str, Any] | None:
    """Ask the runs about the recordings of a report; None where these cannot be named again."""
    words = shlex.split(report.get("command", ""))
    manifests = tuple(after for word, after in pairwise(words) if word == "--data")
    if not manifests:
        return None
    protocol = report["protocol"]
    selection = Selection(
        manifests, tuple(protocol["folds"]), tuple(protocol["sources"]), tuple(protocol["excluded_groups"])
    )
    recordings = selection.apply(load_manifests([expand_path(name) for name in manifests]))
    subject = PooledSubject.open(runs, recordings).with_presets(presets, "the new model's")
    recordings = [recording for recording in recordings if recording.path in subject.member_of]
    with counting(f"listening, {title_of(dict(report))}", len(recordings)) as advance:
        evaluation, _ = evaluate(subject, recordings, selection, 1, advance)
    return evaluation.to_dict()
