"""Alarms of homes as a node hears them, in a room or behind a door: synthesized, for nearly nobody records them."""

import numpy as np

from earshot_node.synth.acoustics import echo_response, reverberate
from earshot_node.synth.alarms import ALARMS, synthesize_alarm
from earshot_node.synth.filters import Samples, low_pass_gain, peak_normalise, shape_spectrum
from earshot_trainer.corpus.words import label_words
from earshot_trainer.network.architecture import SAMPLE_RATE_HZ

LONGEST_PAUSE_S = 6.0
"""Of any signal, with its tempo: so much more is rendered, so that a tone is in it to begin with."""
TONE = 0.05
"""Of the peak: louder is a tone and no pause."""
DOOR_SHARE = 0.4
DOOR_HZ = (800.0, 4000.0)
"""Above this a door, or a floor, takes more."""
REVERBERATION_S = (0.2, 1.2)
REVERBERANT_DB = (-10.0, 6.0)


def signals_of(label: str) -> tuple[str, ...]:
    """Names of the synthesized signals that are taught and measured as this label; none where recordings do."""
    words = label_words().get(label)
    return tuple(signal.name for signal in ALARMS if words is not None and signal.label in words.synthesized)


def alarm_indoors(name: str, rng: np.random.Generator, duration_s: float) -> Samples:
    """An alarm that begins with a tone: float32[duration_s * 16000], largest magnitude 0.99.

    Raises:
        ValueError: an unknown name, or no duration.
    """
    samples = synthesize_alarm(name, rng, duration_s + LONGEST_PAUSE_S, SAMPLE_RATE_HZ)
    begin = int(np.argmax(np.abs(samples) > TONE))
    samples = samples[begin : begin + round(duration_s * SAMPLE_RATE_HZ)]
    if rng.random() < DOOR_SHARE:
        cutoff_hz = float(np.exp(rng.uniform(*np.log(DOOR_HZ))))
        samples = shape_spectrum(samples, SAMPLE_RATE_HZ, lambda hz: low_pass_gain(hz, cutoff_hz))
    response = echo_response(
        rng, SAMPLE_RATE_HZ, float(rng.uniform(*REVERBERATION_S)), float(rng.uniform(*REVERBERANT_DB))
    )
    return peak_normalise(reverberate(samples, response))
