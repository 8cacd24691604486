"""Polyphonic sound detection score of soundscapes, over all thresholds at once.

C. Bilen et al., "A Framework for the Robust Evaluation of Sound Event Detection", ICASSP 2020; exact computation from
scores: J. Ebbers, R. Haeb-Umbach, R. Serizel, "Threshold Independent Evaluation of Sound Event Detection Scores",
ICASSP 2022.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from earshot_trainer.evaluate.soundscape_scoring import HeardSoundscape


@dataclass(frozen=True, slots=True)
class PsdsSettings:
    """One scenario. There is one label, so cross triggers and instability across labels (alpha_ct, alpha_st) are 0.

    Attributes:
        detection_tolerance: share of a detection that must lie in events (DTC).
        truth_intersection: share of an event that valid detections must cover (GTC).
        most_false_per_hour: the score is the mean true positive rate up to this rate of false detections.
        median_filter_s: length of the filter over the posteriors before.
    """

    detection_tolerance: float
    truth_intersection: float
    most_false_per_hour: float = 100.0
    median_filter_s: float = 1.0


PSDS1 = PsdsSettings(0.7, 0.7)
PSDS2 = PsdsSettings(0.5, 0.1)
SCENARIOS = {"psds1": PSDS1, "psds2": PSDS2}
"""The two scenarios of DCASE task 4: timing counts; being noticed at all counts.

The second one's detection tolerance is 0.1 there. Events fill more than a tenth of a soundscape, so a detector that is
always on would score 1; hence 0.5.
"""


@dataclass(frozen=True, slots=True)
class Psds:
    """A score, 0 to 1, with its settings; `unfiltered` is the one of the bare posteriors."""

    value: float
    unfiltered: float
    settings: PsdsSettings


def measure_psds(heard: Sequence[HeardSoundscape]) -> dict[str, Psds]:
    """Return the score of each scenario."""
    from sed_scores_eval.base_modules.postprocessing import medfilt

    scores = score_tables(heard)
    found = {}
    for name, settings in SCENARIOS.items():
        smooth = medfilt(scores, settings.median_filter_s)
        found[name] = Psds(_psds(smooth, heard, settings), _psds(scores, heard, settings), settings)
    return found


def score_tables(heard: Sequence[HeardSoundscape]) -> dict[str, Any]:
    """Return the posteriors as score tables by the soundscape's name."""
    from sed_scores_eval.base_modules.scores import create_score_dataframe

    tables = {}
    for one in heard:
        times_s = np.arange(len(one.posteriors) + 1) * one.hop_s
        tables[one.plan.name] = create_score_dataframe(
            one.posteriors[:, None].astype(np.float64), np.round(times_s, 6), [one.plan.label]
        )
    return tables


def _psds(scores: dict[str, Any], heard: Sequence[HeardSoundscape], settings: PsdsSettings) -> float:
    from sed_scores_eval.intersection_based import psds

    truth = {one.plan.name: [(*span, one.plan.label) for span in one.plan.truth] for one in heard}
    durations_s = {one.plan.name: one.plan.duration_s for one in heard}
    # In float32, since the library writes to a float64 column in place, which pandas 3 no longer lets it.
    tables = {name: table.astype({heard[0].plan.label: np.float32}) for name, table in scores.items()}
    value, *_ = psds(
        tables,
        truth,
        durations_s,
        dtc_threshold=settings.detection_tolerance,
        gtc_threshold=settings.truth_intersection,
        max_efpr=settings.most_false_per_hour,
    )
    return float(value)
