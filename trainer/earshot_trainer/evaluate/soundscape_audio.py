"""A planned soundscape as samples."""

import numpy as np
from numpy.typing import NDArray

from earshot_trainer.evaluate.soundscape_plan import PlannedEvent, SoundscapePlan

LOUDEST_PEAK = 0.99
QUIETEST_BACKGROUND_RMS = 10 ** (-70 / 20)
"""A background quieter than -70 dBFS under an event counts as -70 dBFS: digital silence has no SNR."""

Samples = NDArray[np.float32]


def render(plan: SoundscapePlan) -> Samples:
    """Return float32[samples] at 16 kHz.

    Each event is scaled to the plan's SNR against the background of its own span, then the whole to the planned level.

    Raises:
        AudioFileError: a recording cannot be read.
    """
    mix = plan.background.read()
    for event in plan.events:
        span = slice(event.onset_sample, event.offset_sample)
        sound = render_event(event, plan.crossfade_samples, plan.fade_samples)
        wanted = max(rms(mix[span]), QUIETEST_BACKGROUND_RMS) * 10 ** (plan.snr_db / 20)
        mix[span] += sound * np.float32(wanted / rms(sound))
    return _scale(mix, plan.level_dbfs)


def render_event(event: PlannedEvent, crossfade_samples: int, fade_samples: int) -> Samples:
    """Return an event's samples as recorded: pieces joined by equal-power crossfades, faded in and out."""
    sound = np.zeros(event.offset_sample - event.onset_sample, np.float32)
    rise = np.sin(np.linspace(0.0, np.pi / 2, crossfade_samples, dtype=np.float32))
    position = 0
    for number, piece in enumerate(event.pieces):
        samples = piece.read()
        if number:
            samples[:crossfade_samples] *= rise
        if number < len(event.pieces) - 1:
            samples[-crossfade_samples:] *= rise[::-1]
        sound[position : position + len(samples)] += samples
        position += len(samples) - crossfade_samples
    fade = np.sin(np.linspace(0.0, np.pi / 2, fade_samples, dtype=np.float32)) ** 2
    sound[:fade_samples] *= fade
    sound[-fade_samples:] *= fade[::-1]
    return sound


def rms(samples: Samples) -> float:
    """Root mean square of float32[n], summed in double precision."""
    return float(np.sqrt(np.mean(np.square(samples, dtype=np.float64))))


def _scale(mix: Samples, level_dbfs: float) -> Samples:
    level = rms(mix)
    if level == 0:
        return mix
    gain = min(10 ** (level_dbfs / 20) / level, LOUDEST_PEAK / float(np.abs(mix).max()))
    return mix * np.float32(gain)
