"""Active model and candidate on the same recordings, both heard by the node's own pipeline."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from sklearn.metrics import average_precision_score

from earshot_trainer.corpus.recordings import Recording
from earshot_trainer.evaluate.subject import Subject
from earshot_trainer.evaluate.tagging import alarmed_clips
from earshot_trainer.evaluate.tracks import Track, detect, score_recordings
from earshot_trainer.retraining.gate import Figure, Had, Part
from earshot_trainer.retraining.settings import GateSettings

PRESET: Final = "balanced"


@dataclass(frozen=True)
class Heard:
    """What one model says of both sets, by label."""

    subject: Subject
    test: dict[str, list[Track]]
    own: dict[str, list[Track]]


def hear(
    subject: Subject, test: Sequence[Recording], own: Sequence[Recording], jobs: int, advance: Callable[[], None]
) -> Heard:
    """Let a model hear the base test set and the household's held-out recordings."""
    return Heard(
        subject,
        score_recordings(subject, test, jobs, advance).by_label,
        score_recordings(subject, own, jobs, advance).by_label,
    )


def figures_of(active: Heard, candidate: Heard, settings: GateSettings) -> list[Figure]:
    """Return every figure that both sets can give, for every label of the active model."""
    figures: list[Figure] = []
    for label in active.subject.presets.balanced:
        pairs = list(zip(active.test[label], candidate.test[label], strict=True))
        figures += _base_figures(label, active, candidate, _side(pairs, "clip"), settings)
        figures += _long_figures(label, active, candidate, _side(pairs, "long"), settings)
        figures += _own_figures(label, active, candidate, settings)
    return figures


def had(active: Heard, label: str, corpora: int) -> Had:
    """Return what there was to compare on."""
    own, test = active.own[label], active.test[label]
    long = [track for track in test if track.recording.kind == "long" and not track.is_positive(label)]
    return Had(
        test_clips=sum(track.recording.kind == "clip" for track in test),
        corpora=corpora,
        long_hours=round(sum(track.duration_s for track in long) / 3600, 3),
        own_sirens=sum(track.is_positive(label) for track in own),
        own_others=sum(not track.is_positive(label) for track in own),
        own_sessions=len({track.recording.group for track in own}),
    )


Pairs = list[tuple[Track, Track]]


def _side(pairs: Pairs, kind: str) -> Pairs:
    return [pair for pair in pairs if pair[0].recording.kind == kind]


def _base_figures(label: str, active: Heard, candidate: Heard, pairs: Pairs, settings: GateSettings) -> list[Figure]:
    holding = [pair for pair in pairs if pair[0].is_positive(label)]
    others = [pair for pair in pairs if not pair[0].is_positive(label)]
    figures = []
    if holding:
        recalls = _alarmed_shares(label, active, candidate, holding)
        margin = max(settings.recall_margin, 1 / len(holding))
        figures.append(_figure("base", label, f"recall at {PRESET}", recalls, True, margin))
    if others:
        shares = _alarmed_shares(label, active, candidate, others)
        margin = max(settings.clip_alarm_margin, 1 / len(others))
        figures.append(_figure("base", label, f"clips alarmed at {PRESET}", shares, False, margin))
    if holding and others:
        precisions = _average_precisions(pairs, label)
        figures.append(_figure("base", label, "average precision", precisions, True, settings.precision_margin))
    return figures


def _long_figures(label: str, active: Heard, candidate: Heard, pairs: Pairs, settings: GateSettings) -> list[Figure]:
    quiet = [pair for pair in pairs if not pair[0].is_positive(label)]
    figures = []
    for preset in (PRESET, "sensitive") if quiet else ():
        counts = []
        for column, heard in enumerate((active, candidate)):
            point = getattr(heard.subject.presets, preset)[label]
            counts.append(sum(len(detect(pair[column].posteriors, label, point, pair[column].hop_s)) for pair in quiet))
        margin = max(1.0, settings.alarms_margin * counts[0], math.sqrt(counts[0]))
        figures.append(_figure("long", label, f"false alarms at {preset}", (counts[0], counts[1]), False, margin))
    return figures


def _own_figures(label: str, active: Heard, candidate: Heard, settings: GateSettings) -> list[Figure]:
    pairs = list(zip(active.own[label], candidate.own[label], strict=True))
    holding = [pair for pair in pairs if pair[0].is_positive(label)]
    others = [pair for pair in pairs if not pair[0].is_positive(label)]
    if not holding or not others:
        return []
    found = _alarmed_shares(label, active, candidate, holding)
    alarmed = _alarmed_shares(label, active, candidate, others)
    right = ((found[0] + 1 - alarmed[0]) / 2, (found[1] + 1 - alarmed[1]) / 2)
    return [
        # Either may give a little where the other gains more; their mean decides.
        _figure("own", label, f"found at {PRESET}", found, True, 1.0),
        _figure("own", label, f"alarmed without one at {PRESET}", alarmed, False, 1.0),
        Figure(
            part="own",
            label=label,
            what=f"right decisions at {PRESET}",
            active=right[0],
            candidate=right[1],
            more_is_better=True,
            gain=settings.own_gain,
            decides=True,
        ),
    ]


def _figure(
    part: Part, label: str, what: str, values: tuple[float, float], more_is_better: bool, margin: float
) -> Figure:
    return Figure(
        part=part,
        label=label,
        what=what,
        active=values[0],
        candidate=values[1],
        more_is_better=more_is_better,
        margin=margin,
    )


def _alarmed_shares(label: str, active: Heard, candidate: Heard, pairs: Pairs) -> tuple[float, float]:
    shares = [
        float(alarmed_clips([pair[column] for pair in pairs], label, heard.subject.presets.balanced[label]).mean())
        for column, heard in enumerate((active, candidate))
    ]
    return shares[0], shares[1]


def _average_precisions(pairs: Pairs, label: str) -> tuple[float, float]:
    truth = [pair[0].is_positive(label) for pair in pairs]
    first, second = (float(average_precision_score(truth, [pair[column].score for pair in pairs])) for column in (0, 1))
    return first, second
