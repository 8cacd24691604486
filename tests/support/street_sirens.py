"""Sirens of known kinds in a street, and what the bundled model makes frames of."""

from dataclasses import replace
from functools import cache

import numpy as np

from earshot_node.contract.manifest import MelRange
from earshot_node.inference.bundle import load_bundled
from earshot_node.inference.model import StreamingModel
from earshot_node.inference.siren_ridge import Frames
from earshot_node.synth.acoustics import random_street
from earshot_node.synth.filters import Samples, set_level
from earshot_node.synth.sirens import SAMPLE_RATE_HZ, SirenKind, SirenParameters, synthesize
from earshot_node.synth.weather import traffic

HOP_S = 0.01
KINDS = {SirenKind.WAIL: "wail", SirenKind.YELP: "yelp", SirenKind.HILO: "hi_lo", SirenKind.CIVIL_DEFENCE: "steady"}


@cache
def model() -> StreamingModel:
    """The bundled one."""
    bundle = load_bundled()
    return StreamingModel(bundle.manifest, bundle.model)


def bands_hz() -> MelRange:
    """Of the model's frames."""
    return model().manifest.mel_range_hz


def log_mel(samples: Samples) -> Frames:
    """Frames [F, mels] of whole hops of a sound."""
    whole = len(samples) // 640 * 640
    return model().run(samples[None, :whole].astype(np.float32), [model().initial_state()]).log_mel[0]


@cache
def street(kind: SirenKind, series: int, seed: int) -> tuple[Samples, Samples]:
    """A siren of this kind in a street for 6 s, and traffic; a civil-defence tone holds its pitch and stands still."""
    rng = np.random.default_rng([series, seed])
    parameters = SirenParameters.random(kind, rng)
    if kind is SirenKind.CIVIL_DEFENCE:
        parameters = replace(parameters, low_hz=parameters.high_hz)
    siren = synthesize(parameters, 6.0)
    heard = siren if kind is SirenKind.CIVIL_DEFENCE else random_street(rng, siren, SAMPLE_RATE_HZ)
    return set_level(heard, -22.0), set_level(traffic(rng, len(siren), SAMPLE_RATE_HZ), -22.0)
