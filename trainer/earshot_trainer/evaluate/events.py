"""Event figures of soundscapes: recall, time to detect, false events, event- and segment-based F1, PSDS, by SNR."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from earshot_node.contract.operating_point import PRESET_SENSITIVITY, OperatingPoint
from earshot_trainer.corpus.recordings import Recording, dataset_hash
from earshot_trainer.evaluate.event_matching import event_based, segment_based
from earshot_trainer.evaluate.event_outcomes import TAIL_S, EventOutcome, ExtraDetection, Outcomes, outcomes_at
from earshot_trainer.evaluate.false_alarms import poisson_interval
from earshot_trainer.evaluate.psds import Psds, measure_psds
from earshot_trainer.evaluate.soundscape_plan import SoundscapeRules, Soundscapes
from earshot_trainer.evaluate.soundscape_scoring import HeardSoundscape, hear_soundscapes
from earshot_trainer.evaluate.soundscapes import plan_soundscapes
from earshot_trainer.evaluate.subject import Subject
from earshot_trainer.evaluate.tagging import Decisions

COLLAR_S = 1.0
LENGTH_SHARE = 0.5
SEGMENT_S = 1.0
BOOTSTRAP_ROUNDS = 1000
BOOTSTRAP_SEED = 1
DEFINITIONS = {
    "snr": "RMS of the event as mixed, onset to offset, over RMS of the background in the same span",
    "recall": "share of events that a detection of the node's detector touches (begins before the event's offset and "
    f"{TAIL_S:g} s, ends after its onset) which was told after the onset; 95 % interval by resampling whole recordings",
    "delay": "from the true onset until the detector tells (certain, or after the minimum length)",
    "extra": "detections that touch no event or were told before it, per hour of soundscapes; exact Poisson 95 % "
    "interval",
    "event_based": f"onset as the detector reports it (backdated) within {COLLAR_S:g} s; offset within {COLLAR_S:g} s "
    f"or {100 * LENGTH_SHARE:g} % of the event's length; largest one-to-one matching",
    "psds": "from the posteriors over all thresholds, not from the presets (sed_scores_eval); one label, so no cross "
    "triggers; PSDS2 with DTC 0.5 for 0.1, at which being always on would score 1",
    "segment_based": f"segments of {SEGMENT_S:g} s, active where any part of an event lies",
}


@dataclass(frozen=True, slots=True)
class Delay:
    """Time to detect, in seconds.

    Attributes:
        median_s, p95_s: over the events that were heard; None without any.
        p95_of_all_s: over all events, those not heard last of all; None when they are more than 5 %.
        within_1_s, within_3_s: share of all events.
    """

    median_s: float | None
    p95_s: float | None
    p95_of_all_s: float | None
    within_1_s: float
    within_3_s: float


@dataclass(frozen=True, slots=True)
class EventsAtPoint:
    """One operating point at one SNR.

    Attributes:
        by_group: original recording -> (heard, events).
        already_on: events that began during a detection told before; they count as not heard.
        repeats: further detections within events.
        outcomes: every event, for whoever wants to listen.
    """

    events: int
    heard: int
    already_on: int
    recall: float
    recall_interval: tuple[float, float]
    by_group: dict[str, tuple[int, int]]
    delay: Delay
    hours: float
    extra: int
    extra_per_hour: float
    extra_interval: tuple[float, float]
    repeats: int
    event_based: Decisions
    segment_based: Decisions
    outcomes: list[EventOutcome]
    extra_detections: list[ExtraDetection]


@dataclass(frozen=True, slots=True)
class EventsAtSnr:
    """All presets at one SNR."""

    snr_db: float
    presets: dict[str, EventsAtPoint]
    psds: dict[str, Psds]


@dataclass(frozen=True, slots=True)
class EventFigures:
    """Event figures of one subject and label with their protocol.

    Attributes:
        heard: the soundscapes with their posteriors, for every later question; not in the report.
    """

    label: str
    protocol: dict[str, Any]
    by_snr: list[EventsAtSnr]
    heard: tuple[HeardSoundscape, ...] = field(repr=False)

    def to_dict(self) -> dict[str, Any]:
        """Return JSON types."""
        return {"label": self.label, "protocol": self.protocol, "by_snr": [asdict(at_snr) for at_snr in self.by_snr]}


def measure_events(
    subject: Subject,
    partitions: Mapping[str, Sequence[Recording]],
    seed: int,
    *,
    rules: SoundscapeRules | None = None,
    label: str = "siren",
    jobs: int = 1,
    advance: Callable[[int, int], None] = lambda *_: None,
) -> EventFigures | None:
    """Plan, render, hear and measure; None when no partition holds both events of the label and long negatives.

    Args:
        subject: what is measured.
        partitions: name -> recordings that may be mixed with each other.
        seed: fixes every choice.
        rules: how soundscapes are made.
        label: whose events.
        jobs: processes.
        advance: called with (done, total) after each soundscape.

    Raises:
        AudioFileError: a recording cannot be read.
    """
    return measure_soundscapes(subject, plan_soundscapes(partitions, seed, rules, label), jobs, advance)


def measure_soundscapes(
    subject: Subject, soundscapes: Soundscapes, jobs: int = 1, advance: Callable[[int, int], None] = lambda *_: None
) -> EventFigures | None:
    """Render, hear and measure; None without a soundscape. As `measure_events`."""
    if not soundscapes.plans:
        return None
    return figures_of_events(subject, soundscapes, hear_soundscapes(subject, soundscapes, jobs, advance))


def figures_of_events(subject: Subject, soundscapes: Soundscapes, heard: Sequence[HeardSoundscape]) -> EventFigures:
    """Measure soundscapes that were heard before, at the subject's presets."""
    used = {recording for plan in soundscapes.plans for recording in plan.recordings}
    protocol = soundscapes.describe() | {"data_sha256": dataset_hash(list(used)), "definitions": DEFINITIONS}
    points = {str(name): getattr(subject.presets, name)[soundscapes.label] for name in PRESET_SENSITIVITY}
    by_snr = []
    for snr_db in soundscapes.rules.snr_db:
        chosen = [one for one in heard if one.plan.snr_db == snr_db]
        presets = {name: measure_at_point(chosen, point) for name, point in points.items()}
        by_snr.append(EventsAtSnr(snr_db, presets, measure_psds(chosen)))
    return EventFigures(soundscapes.label, protocol, by_snr, tuple(heard))


def measure_at_point(heard: Sequence[HeardSoundscape], point: OperatingPoint) -> EventsAtPoint:
    """Measure soundscapes at one operating point."""
    found = outcomes_at(heard, point)
    total = len(found.events)
    heard_events = sum(event.outcome == "heard" for event in found.events)
    by_group = _count_groups(found.events)
    low, high = poisson_interval(len(found.extra))
    return EventsAtPoint(
        events=total,
        heard=heard_events,
        already_on=sum(event.outcome == "already_on" for event in found.events),
        recall=heard_events / total if total else 0.0,
        recall_interval=recall_interval(list(by_group.values())),
        by_group=by_group,
        delay=delay_of([event.delay_s for event in found.events]),
        hours=found.hours,
        extra=len(found.extra),
        extra_per_hour=len(found.extra) / found.hours,
        extra_interval=(low / found.hours, high / found.hours),
        repeats=sum(event.repeats for event in found.events),
        event_based=_event_based(found),
        segment_based=segment_based(found.spans, SEGMENT_S),
        outcomes=found.events,
        extra_detections=found.extra,
    )


def delay_of(delays_s: Sequence[float | None]) -> Delay:
    """Summarize the delays of all events; None is an event that was not heard."""
    heard = np.array([delay for delay in delays_s if delay is not None])
    everything = np.array([np.inf if delay is None else delay for delay in delays_s])
    if not len(heard):
        return Delay(None, None, None, 0.0, 0.0)
    p95_of_all = float(np.quantile(everything, 0.95, method="higher"))
    return Delay(
        median_s=float(np.median(heard)),
        p95_s=float(np.quantile(heard, 0.95)),
        p95_of_all_s=p95_of_all if np.isfinite(p95_of_all) else None,
        within_1_s=float((everything <= 1.0).mean()),
        within_3_s=float((everything <= 3.0).mean()),
    )


def recall_interval(groups: Sequence[tuple[int, int]]) -> tuple[float, float]:
    """Return the 95 % bootstrap interval of (heard, events) over whole groups; 0 to 1 with fewer than two."""
    if len(groups) < 2:
        return (0.0, 1.0)
    counts = np.array(groups)
    drawn = np.random.default_rng(BOOTSTRAP_SEED).integers(len(counts), size=(BOOTSTRAP_ROUNDS, len(counts)))
    heard, events = counts[drawn].sum(axis=1).T
    low, high = np.quantile(heard / events, [0.025, 0.975])
    return float(low), float(high)


def _count_groups(events: Sequence[EventOutcome]) -> dict[str, tuple[int, int]]:
    counts: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for event in events:
        counts[event.group][0] += event.outcome == "heard"
        counts[event.group][1] += 1
    return {group: (counts[group][0], counts[group][1]) for group in sorted(counts)}


def _event_based(found: Outcomes) -> Decisions:
    return event_based(((reference, estimated) for reference, estimated, _ in found.spans), COLLAR_S, LENGTH_SHARE)
