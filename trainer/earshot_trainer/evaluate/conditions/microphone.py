"""What a node's own microphone does: other sample rates, DC offset, clipping, noise."""

import numpy as np
import soxr

from earshot_node.audio.block import SAMPLE_RATE_HZ
from earshot_node.audio.pcm import PcmConverter, PcmFormat
from earshot_node.synth.filters import Samples, peak_normalise, scale
from earshot_trainer.evaluate.conditions.take import REFERENCE_DBFS, Take, fit, quantize, record, to_level


def captured_at(take: Take, rng: np.random.Generator, rate_hz: int) -> Samples:
    """The plain take captured at another rate and resampled by the node."""
    heard = soxr.resample(to_level(take.sound, take.active, REFERENCE_DBFS), SAMPLE_RATE_HZ, rate_hz)
    pcm = np.rint(record(heard, rng) * 32768.0).astype("<i2").tobytes()
    converter = PcmConverter(PcmFormat(rate_hz, channels=1))
    return fit(np.concatenate([converter.push(pcm), converter.flush()]))


def with_dc(take: Take, rng: np.random.Generator, offset: float) -> Samples:
    """The plain take of a sound card that adds a constant, `offset` of full scale."""
    plain = record(to_level(take.sound, take.active, REFERENCE_DBFS), rng)
    return quantize(plain + np.float32(offset))


def overdriven(take: Take, rng: np.random.Generator, by_db: float) -> Samples:
    """The sound `by_db` above what fits below full scale, cut there."""
    return record(scale(peak_normalise(take.sound, 1.0), by_db), rng)


def with_noise(take: Take, rng: np.random.Generator, noise_dbfs: float) -> Samples:
    """The plain take of a microphone with more self-noise."""
    return record(to_level(take.sound, take.active, REFERENCE_DBFS), rng, noise_dbfs)
