"""Active model and candidate on the same recordings, both heard by the node's own pipeline."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score

from earshot_trainer.corpus.recordings import Recording
from earshot_trainer.evaluate.subject import Subject
from earshot_trainer.evaluate.tagging import alarmed_clips
from earshot_trainer.evaluate.tracks import Track, detect, score_recordings
from earshot_trainer.retraining.gate import Figure, Had, Part
from earshot_trainer.retraining.own_conditions import AS_RECORDED, Conditions
from earshot_trainer.retraining.settings import GateSettings

PRESET: Final = "balanced"
DECIDING: Final = (PRESET, "sensitive")
"""Presets at which the household's own recordings are judged. What it was told in vain ("that was no siren") alarmed at
one of them, most often at the more sensitive one."""
ANY_AMOUNT: Final = 1e6
_EDGE: Final = 1e-4


@dataclass(frozen=True)
class Heard:
    """What one model says of both sets, by label; `own` are tracks of `conditions.recordings`."""

    subject: Subject
    test: dict[str, list[Track]]
    own: dict[str, list[Track]]
    conditions: Conditions

    def as_recorded(self, label: str) -> list[Track]:
        """Return the household's held-out recordings as they are, if it is known whether a label is in them."""
        named = zip(self.own[label], self.conditions.names, self.conditions.tell_of(label), strict=True)
        return [track for track, name, known in named if known and name == AS_RECORDED]


def hear(subject: Subject, test: Sequence[Recording], own: Conditions, jobs: int, advance: Callable[[], None]) -> Heard:
    """Let a model hear the base test set and the household's held-out recordings."""
    return Heard(
        subject,
        score_recordings(subject, test, jobs, advance).by_label,
        score_recordings(subject, own.recordings, jobs, advance).by_label,
        own,
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
    own, test = active.as_recorded(label), active.test[label]
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
    for preset in DECIDING if quiet else ():
        counts = []
        for column, heard in enumerate((active, candidate)):
            point = getattr(heard.subject.presets, preset)[label]
            counts.append(sum(len(detect(pair[column].posteriors, label, point, pair[column].hop_s)) for pair in quiet))
        margin = max(1.0, settings.alarms_margin * counts[0], math.sqrt(counts[0]))
        figures.append(_figure("long", label, f"false alarms at {preset}", (counts[0], counts[1]), False, margin))
    return figures


def _own_figures(label: str, active: Heard, candidate: Heard, settings: GateSettings) -> list[Figure]:
    pairs = list(zip(active.as_recorded(label), candidate.as_recorded(label), strict=True))
    holding = [pair for pair in pairs if pair[0].is_positive(label)]
    others = [pair for pair in pairs if not pair[0].is_positive(label)]
    if not holding or not others:
        return []
    found = _alarmed_shares(label, active, candidate, holding)
    alarmed = {preset: _alarmed_shares(label, active, candidate, others, preset) for preset in DECIDING}
    above = (_above_threshold(label, active, holding, 0), _above_threshold(label, candidate, holding, 1))
    return [
        # Either may give a little where the other gains more; what decides is all of them under all conditions.
        _figure("own", label, f"found at {PRESET}", found, True, 1.0),
        *(
            _figure("own", label, f"alarmed without one at {preset}", alarmed[preset], False, 1.0)
            for preset in DECIDING
        ),
        _figure("own", label, f"log-odds of sirens above {PRESET}'s threshold", above, True, ANY_AMOUNT),
        _right_decisions(label, active, candidate, settings),
    ]


def _right_decisions(label: str, active: Heard, candidate: Heard, settings: GateSettings) -> Figure:
    """Return the mean of sirens found and of others left quiet, each recording's share over its conditions.

    What a recording gains under one condition, it gains under others: the error of the difference is over recordings.
    """
    shares = [_right_by_recording(label, heard) for heard in (active, candidate)]
    is_siren = np.array([track.is_positive(label) for track in active.as_recorded(label)])
    values = [float((one[is_siren].mean() + one[~is_siren].mean()) / 2) for one in shares]
    gained = shares[1] - shares[0]
    errors = [_standard_error(gained[side]) for side in (is_siren, ~is_siren)]
    return Figure(
        part="own",
        label=label,
        what=f"right decisions at {' and '.join(DECIDING)}, {len(set(active.conditions.names))} conditions",
        active=values[0],
        candidate=values[1],
        more_is_better=True,
        gain=settings.own_gain,
        chance=math.hypot(*errors) / 2,
        decides=True,
    )


def _right_by_recording(label: str, heard: Heard) -> NDArray[np.float64]:
    """Return each held-out recording's share of right decisions over conditions and presets, in order of index.

    Conditions count under which it is known whether the label is to be heard.
    """
    known = heard.conditions.tell_of(label)
    tracks = [track for track, tells in zip(heard.own[label], known, strict=True) if tells]
    origin = np.array(heard.conditions.origin)[known]
    is_siren = np.array([track.is_positive(label) for track in tracks])
    points = [getattr(heard.subject.presets, preset)[label] for preset in DECIDING]
    right = np.mean([alarmed_clips(tracks, label, point) == is_siren for point in points], axis=0)
    return np.array([right[origin == one].mean() for one in np.unique(origin)])


def _standard_error(values: NDArray[np.float64]) -> float:
    """Return the standard error of the mean; of a single value nothing is known, and so it counts as its error."""
    return float(values.std(ddof=1) / math.sqrt(len(values))) if len(values) > 1 else float(abs(values).sum())


def _above_threshold(label: str, heard: Heard, pairs: Pairs, column: int) -> float:
    enter = heard.subject.presets.balanced[label].enter
    scores = np.clip([pair[column].score for pair in pairs], _EDGE, 1 - _EDGE)
    return float(np.mean(np.log(scores / (1 - scores))) - math.log(enter / (1 - enter)))


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


def _alarmed_shares(
    label: str, active: Heard, candidate: Heard, pairs: Pairs, preset: str = PRESET
) -> tuple[float, float]:
    shares = [
        float(
            alarmed_clips([pair[column] for pair in pairs], label, getattr(heard.subject.presets, preset)[label]).mean()
        )
        for column, heard in enumerate((active, candidate))
    ]
    return shares[0], shares[1]


def _average_precisions(pairs: Pairs, label: str) -> tuple[float, float]:
    truth = [pair[0].is_positive(label) for pair in pairs]
    first, second = (float(average_precision_score(truth, [pair[column].score for pair in pairs])) for column in (0, 1))
    return first, second
