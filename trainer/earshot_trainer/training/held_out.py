"""Figures on recordings that were not trained on, with their protocol."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import torch

from earshot_trainer.corpus.cache import PcmCache
from earshot_trainer.corpus.recordings import Recording
from earshot_trainer.network.architecture import HOP_SAMPLES, SAMPLE_RATE_HZ
from earshot_trainer.network.model import StreamingCrnn
from earshot_trainer.training.tagging import FloatArray, clip_figures, count_alarms, moving_average, track_posteriors

THRESHOLDS = (0.3, 0.5, 0.7, 0.8, 0.9)
ALARMS_PER_HOUR = (1, 4, 12)
PROTOCOL = (
    "state reset per recording; clip score = maximum posterior over 40 ms frames of clips of the held-out folds; "
    "alarms = 0.5 s mean posterior at the threshold or above, at most one in 10 s, on held-out sources without sirens; "
    "clip recall at a number of alarms an hour = by the 0.5 s mean, at the lowest threshold that gives no more"
)


def measure(
    network: StreamingCrnn, recordings: Sequence[Recording], cache: PcmCache, device: torch.device
) -> dict[str, Any]:
    """Clip tagging on held-out folds and false alarms per hour on the other held-out recordings."""
    clips = [r for r in recordings if r.fold and r.kind == "clip"]
    ambience = [r for r in recordings if not r.is_siren and r not in clips]
    figures: dict[str, Any] = {"protocol": PROTOCOL}
    tracks = track_posteriors(network, clips, cache, device)
    truth = [recording.is_siren for recording in clips]
    if any(truth) and not all(truth):
        figures["clips"] = asdict(clip_figures(tracks, truth))
        figures["clip_recall_half_second_mean"] = {
            str(threshold): _share(tracks, truth, threshold) for threshold in THRESHOLDS
        }
    if ambience:
        quiet = track_posteriors(network, ambience, cache, device)
        figures["false_alarms"] = _false_alarms(quiet)
        if any(truth):
            sirens = [track for track, siren in zip(tracks, truth, strict=True) if siren]
            figures["clip_recall_at_alarms_per_hour"] = {
                str(limit): recall for limit, recall in recall_at_alarms(sirens, quiet, ALARMS_PER_HOUR).items()
            }
    return figures


def recall_at_alarms(
    sirens: Sequence[FloatArray], quiet: Sequence[FloatArray], limits: Sequence[float]
) -> dict[float, float]:
    """Share of the siren tracks found at the lowest threshold that gives no more than each number of alarms an hour.

    Both are decided by the half-second mean; `quiet` are the tracks on which alarms are counted. The thresholds tried
    are the sirens' own scores: between two of them nothing else is found.
    """
    scores = np.array([moving_average(track).max() for track in sirens])
    peaks = [moving_average(track).max() for track in quiet]
    hours = _hours(quiet)
    recalls = dict.fromkeys(limits, 0.0)
    for threshold in np.unique(scores)[::-1]:
        alarms = sum(
            count_alarms(track, threshold) for track, peak in zip(quiet, peaks, strict=True) if peak >= threshold
        )
        if alarms > max(limits) * hours:
            break  # a lower threshold gives no fewer
        recall = round(float(np.mean(scores >= threshold)), 4)
        recalls |= {limit: recall for limit in limits if alarms <= limit * hours}
    return recalls


def _share(tracks: Sequence[FloatArray], truth: Sequence[bool], threshold: float) -> float:
    hits = [moving_average(track).max() >= threshold for track, siren in zip(tracks, truth, strict=True) if siren]
    return round(float(np.mean(hits)), 4)


def _false_alarms(tracks: Sequence[FloatArray]) -> dict[str, Any]:
    return {
        "hours": round(_hours(tracks), 3),
        "alarms": {str(threshold): sum(count_alarms(track, threshold) for track in tracks) for threshold in THRESHOLDS},
    }


def _hours(tracks: Sequence[FloatArray]) -> float:
    return sum(len(track) for track in tracks) * HOP_SAMPLES / SAMPLE_RATE_HZ / 3600
