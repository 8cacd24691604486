"""What became of every event of the soundscapes at one operating point: heard, when, and what was reported besides."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from earshot_node.contract.operating_point import OperatingPoint
from earshot_node.inference.detector import Detector
from earshot_trainer.evaluate.event_matching import Span
from earshot_trainer.evaluate.soundscape_scoring import HeardSoundscape, Posteriors

TAIL_S = 1.0
"""A detection that begins within a second after an event's offset is the event's: a model with a window hears on."""

Outcome = Literal["heard", "already_on", "missed"]


@dataclass(frozen=True, slots=True)
class Detection:
    """A reported event of the node's detector; `decided_s` is when its onset was told: certain or long enough."""

    onset_s: float
    offset_s: float
    decided_s: float
    peak: float


@dataclass(frozen=True, slots=True)
class EventOutcome:
    """One event at one operating point.

    Attributes:
        background: name of the recording that it was laid into.
        outcome: `heard` = a detection touches the event (begins before its offset and a second, ends after its onset)
            and was told after its onset; `already_on` = only one that had been told before touches it; `missed` = none
            does.
        delay_s: from the true onset until the detector told; None unless heard.
        peak: highest posterior between onset and offset.
        repeats: further detections that touch it and were told after its onset.
    """

    soundscape: str
    partition: str
    group: str
    background: str
    snr_db: float
    onset_s: float
    offset_s: float
    outcome: Outcome
    delay_s: float | None
    peak: float
    repeats: int


@dataclass(frozen=True, slots=True)
class ExtraDetection:
    """A detection that touches no event, or was told before the event: a false one, and where to listen for it."""

    soundscape: str
    background: str
    onset_s: float
    offset_s: float
    peak: float


@dataclass(frozen=True, slots=True)
class Outcomes:
    """Everything that happened in the soundscapes at one operating point.

    Attributes:
        spans: (reference, estimated, duration_s) of each soundscape, for F1.
        hours: of all soundscapes.
    """

    events: list[EventOutcome]
    extra: list[ExtraDetection]
    spans: list[tuple[list[Span], list[Span], float]]
    hours: float


def outcomes_at(heard: Sequence[HeardSoundscape], point: OperatingPoint) -> Outcomes:
    """Decide every soundscape by the node's detector at `point`."""
    events: list[EventOutcome] = []
    extra: list[ExtraDetection] = []
    spans = []
    for one in heard:
        detections = detect_with_decision(one.posteriors, one.plan.label, point, one.hop_s)
        events.extend(_outcome(one, number, detections) for number in range(len(one.plan.events)))
        background = one.plan.background.recording.name
        extra.extend(
            ExtraDetection(one.plan.name, background, round(d.onset_s, 2), round(d.offset_s, 2), round(d.peak, 4))
            for d in detections
            if not any(_touches(d, span) and d.decided_s > span[0] for span in one.plan.truth)
        )
        spans.append((one.plan.truth, [(d.onset_s, d.offset_s) for d in detections], one.plan.duration_s))
    return Outcomes(events, extra, spans, sum(one.plan.duration_s for one in heard) / 3600)


def detect_with_decision(posteriors: Posteriors, label: str, point: OperatingPoint, hop_s: float) -> list[Detection]:
    """Return the finished events of float32[frames] with the time at which each onset was told."""
    detector = Detector([label], {label: point}, hop_s)
    detections: list[Detection] = []
    told_s = 0.0
    for decision in [*detector.push(posteriors[:, None]), *detector.flush()]:
        if decision.phase == "onset":
            told_s = decision.decided_s
        elif (offset_s := decision.event.offset_s) is not None:
            detections.append(Detection(decision.event.onset_s, offset_s, told_s, decision.event.peak))
    return detections


def _outcome(one: HeardSoundscape, number: int, detections: Sequence[Detection]) -> EventOutcome:
    event = one.plan.events[number]
    touching = [d for d in detections if _touches(d, (event.onset_s, event.offset_s))]
    told_s = [d.decided_s for d in touching if d.decided_s > event.onset_s]
    frames = slice(int(event.onset_s / one.hop_s), int(event.offset_s / one.hop_s) + 1)
    return EventOutcome(
        soundscape=one.plan.name,
        partition=one.plan.partition,
        group=event.group,
        background=one.plan.background.recording.name,
        snr_db=one.plan.snr_db,
        onset_s=round(event.onset_s, 3),
        offset_s=round(event.offset_s, 3),
        outcome="heard" if told_s else "already_on" if touching else "missed",
        delay_s=round(told_s[0] - event.onset_s, 3) if told_s else None,
        peak=round(float(one.posteriors[frames].max(initial=0.0)), 4),
        repeats=max(0, len(told_s) - 1),
    )


def _touches(detection: Detection, span: Span) -> bool:
    return detection.onset_s < span[1] + TAIL_S and detection.offset_s > span[0]
