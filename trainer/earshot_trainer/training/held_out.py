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
PROTOCOL = (
    "state reset per recording; clip score = maximum posterior over 40 ms frames of clips of the held-out folds; "
    "alarms = 0.5 s mean posterior at the threshold or above, at most one in 10 s, on held-out sources without sirens"
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
        figures["false_alarms"] = _false_alarms(track_posteriors(network, ambience, cache, device))
    return figures


def _share(tracks: Sequence[FloatArray], truth: Sequence[bool], threshold: float) -> float:
    hits = [moving_average(track).max() >= threshold for track, siren in zip(tracks, truth, strict=True) if siren]
    return round(float(np.mean(hits)), 4)


def _false_alarms(tracks: Sequence[FloatArray]) -> dict[str, Any]:
    hours = sum(len(track) for track in tracks) * HOP_SAMPLES / SAMPLE_RATE_HZ / 3600
    return {
        "hours": round(hours, 3),
        "alarms": {str(threshold): sum(count_alarms(track, threshold) for track in tracks) for threshold in THRESHOLDS},
    }
