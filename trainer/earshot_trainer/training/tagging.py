"""Whole recordings through a network, and how well the scores rank sirens. For training; `evaluate` drives the node."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from earshot_trainer.corpus.cache import PcmCache
from earshot_trainer.corpus.recordings import Recording
from earshot_trainer.network.architecture import HOP_SAMPLES, SAMPLE_RATE_HZ
from earshot_trainer.network.model import SignalPath, StreamingCrnn

BLOCK_SAMPLES = 30 * SAMPLE_RATE_HZ
BATCH_SAMPLES = 150 * SAMPLE_RATE_HZ
AVERAGE_FRAMES = 13
REFRACTORY_S = 10.0
FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True)
class ClipFigures:
    """Ranking of siren recordings against the rest by the maximum posterior over frames."""

    auc: float
    average_precision: float
    auc_half_second_mean: float
    average_precision_half_second_mean: float
    sirens: int
    others: int


@torch.inference_mode()
def track_posteriors(
    network: StreamingCrnn, recordings: Sequence[Recording], cache: PcmCache, device: torch.device, label: int = 0
) -> list[FloatArray]:
    """Posteriors of one label per 40 ms frame for each recording; state starts at zero for each.

    Recordings of like length share a batch; long ones run in blocks of 30 s with carried state, so memory is bounded.
    """
    path = SignalPath(network).to(device).eval()
    lengths = [len(cache.samples(recording)) for recording in recordings]
    results: list[FloatArray] = [np.zeros(0, dtype=np.float32)] * len(recordings)
    for rows in _batches_by_length(lengths):
        state = path.initial_state(len(rows))
        pieces: list[Tensor] = []
        longest = _whole_hops(max(lengths[row] for row in rows))
        for start in range(0, longest, BLOCK_SAMPLES):
            padded = np.zeros((len(rows), min(BLOCK_SAMPLES, longest - start)), dtype=np.int16)
            for place, row in enumerate(rows):
                piece = cache.samples(recordings[row])[start : start + BLOCK_SAMPLES]
                padded[place, : len(piece)] = piece
            block = torch.from_numpy(padded).to(device).float() / 32768.0
            posteriors, _, state = path(block, state)
            pieces.append(posteriors[:, :, label].cpu())
        track = torch.cat(pieces, dim=1).numpy()
        for place, row in enumerate(rows):
            results[row] = track[place, : max(1, lengths[row] // HOP_SAMPLES)].copy()
    return results


def clip_figures(tracks: Sequence[FloatArray], is_siren: Sequence[bool]) -> ClipFigures:
    """AUC and average precision of clip scores: the maximum over frames, and that of a 0.5 s moving average."""
    from sklearn.metrics import average_precision_score, roc_auc_score

    truth = np.asarray(is_siren, dtype=bool)
    peak = np.array([track.max() for track in tracks])
    mean = np.array([moving_average(track).max() for track in tracks])
    return ClipFigures(
        auc=float(roc_auc_score(truth, peak)),
        average_precision=float(average_precision_score(truth, peak)),
        auc_half_second_mean=float(roc_auc_score(truth, mean)),
        average_precision_half_second_mean=float(average_precision_score(truth, mean)),
        sirens=int(truth.sum()),
        others=int((~truth).sum()),
    )


def moving_average(track: FloatArray, frames: int = AVERAGE_FRAMES) -> FloatArray:
    """Causal mean over `frames`; a shorter track is averaged whole."""
    frames = min(frames, len(track))
    return np.convolve(track, np.ones(frames, dtype=np.float32) / frames, mode="valid").astype(np.float32)


def count_alarms(track: FloatArray, threshold: float, frames: int = AVERAGE_FRAMES) -> int:
    """Times the half-second mean reaches the threshold, at most once in ten seconds."""
    above = np.flatnonzero(moving_average(track, frames) >= threshold)
    alarms, quiet_until = 0, -1.0
    for frame in above:
        time_s = float(frame) * HOP_SAMPLES / SAMPLE_RATE_HZ
        if time_s >= quiet_until:
            alarms += 1
            quiet_until = time_s + REFRACTORY_S
    return alarms


def _whole_hops(samples: int) -> int:
    return max(HOP_SAMPLES, -(-samples // HOP_SAMPLES) * HOP_SAMPLES)


def _batches_by_length(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Indices in batches of similar length, at most BATCH_SAMPLES of the longest times the batch's size."""
    order = sorted(range(len(lengths)), key=lambda index: lengths[index])
    batch: list[int] = []
    for index in order:
        if batch and min(lengths[index], BLOCK_SAMPLES) * (len(batch) + 1) > BATCH_SAMPLES:
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch
