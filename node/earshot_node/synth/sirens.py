"""Parametric emergency sirens: a frequency track, its harmonics, and the horn that radiates them.

    parameters = SirenParameters.random(SirenKind.WAIL, rng)
    samples = synthesize(parameters, duration_s=4.0)          # float32, peak-normalised
    samples, kind = random_siren(rng, duration_s=4.0)         # crews that switch modes, 1..3 vehicles

The sound is the horn's own, without a street: acoustics.random_street adds one.
"""

import numpy as np

from earshot_node.synth.filters import Samples, Track, peak_normalise, slow_noise
from earshot_node.synth.frequency_tracks import alternate, rotor, sweep
from earshot_node.synth.harmonics import Timbre, oscillate, soft_clip
from earshot_node.synth.siren_parameters import SirenKind, SirenParameters

__all__ = [
    "KIND_SHARES",
    "SAMPLE_RATE_HZ",
    "SirenKind",
    "SirenParameters",
    "frequency_track",
    "random_kind",
    "random_siren",
    "synthesize",
    "synthesize_crew",
]

SAMPLE_RATE_HZ = 16000
CONTROL_SAMPLES = 8

KIND_SHARES = {
    SirenKind.WAIL: 0.32,
    SirenKind.YELP: 0.22,
    SirenKind.HILO: 0.24,
    SirenKind.PHASER: 0.07,
    SirenKind.MECHANICAL: 0.05,
    SirenKind.CIVIL_DEFENCE: 0.04,
    SirenKind.AIR_HORN: 0.06,
}

SWITCHABLE = (SirenKind.WAIL, SirenKind.YELP, SirenKind.HILO, SirenKind.PHASER)


def frequency_track(parameters: SirenParameters, samples: int, sample_rate_hz: int = SAMPLE_RATE_HZ) -> Track:
    """Fundamental frequency in Hz at each sample, jitter included.

    Computed every CONTROL_SAMPLES samples, straight between.
    """
    points = samples // CONTROL_SAMPLES + 2
    control_rate_hz = sample_rate_hz / CONTROL_SAMPLES
    cycles = np.arange(points) / (control_rate_hz * parameters.period_s) + parameters.start_cycles
    low_hz, high_hz = parameters.low_hz, parameters.high_hz
    if parameters.kind is SirenKind.HILO:
        track = alternate(cycles, low_hz, high_hz, parameters.rise_share)
    elif parameters.kind in (SirenKind.MECHANICAL, SirenKind.CIVIL_DEFENCE):
        track = rotor(cycles, low_hz, high_hz, parameters.rise_share)
    else:
        track = sweep(cycles, low_hz, high_hz, parameters.rise_share, parameters.curve)
    if parameters.jitter > 0.0:
        rng = np.random.default_rng(parameters.seed)
        track = track * (1.0 + parameters.jitter * slow_noise(rng, points, control_rate_hz, 25.0))
    between = np.arange(CONTROL_SAMPLES) / CONTROL_SAMPLES
    fine = track[:-1, None] + np.diff(track)[:, None] * between
    return np.asarray(fine.ravel()[:samples])


def synthesize(parameters: SirenParameters, duration_s: float, sample_rate_hz: int = SAMPLE_RATE_HZ) -> Samples:
    """The siren at its horn: float32[duration_s * sample_rate_hz], largest magnitude 0.99.

    Raises ValueError for a duration or sample rate that is not positive.
    """
    samples = _sample_count(duration_s, sample_rate_hz)
    return _voice(parameters, frequency_track(parameters, samples, sample_rate_hz), sample_rate_hz)


def _sample_count(duration_s: float, sample_rate_hz: int) -> int:
    if duration_s <= 0.0 or sample_rate_hz <= 0:
        raise ValueError(f"duration {duration_s} s at {sample_rate_hz} Hz: both must be positive")
    return max(1, round(duration_s * sample_rate_hz))


def _voice(parameters: SirenParameters, track: Track, sample_rate_hz: int) -> Samples:
    rng = np.random.default_rng([parameters.seed, 1])
    tone = oscillate(track, sample_rate_hz, parameters.timbre)
    if parameters.partner_ratio > 0.0:
        tone = tone + oscillate(track * parameters.partner_ratio, sample_rate_hz, parameters.timbre, 0.3)
    if parameters.beat_hz > 0.0:
        tone = tone + oscillate(track + parameters.beat_hz, sample_rate_hz, parameters.timbre, 0.1)
    tone = soft_clip(tone, parameters.timbre.drive)
    if parameters.noise_db > -50.0:
        hiss = rng.standard_normal(len(tone)).astype(np.float32)
        tone = tone + hiss * np.float32(10.0 ** (parameters.noise_db / 20.0))
    if parameters.kind is SirenKind.AIR_HORN:
        tone = tone / np.float32(np.max(np.abs(tone))) + _air_horn_blasts(rng, len(tone), sample_rate_hz)
    return peak_normalise(parameters.horn.radiate(tone, sample_rate_hz))


def _air_horn_blasts(rng: np.random.Generator, samples: int, sample_rate_hz: int) -> Samples:
    """Two trumpets a third apart, blown for 0.3 to 1.5 s with pauses."""
    pitch_hz = float(rng.uniform(250.0, 420.0))
    timbre = Timbre(duty=float(rng.uniform(0.12, 0.3)), tilt_db_per_octave=-2.0, harmonics=20, drive=0.0)
    wobble = 1.0 + 0.003 * slow_noise(rng, samples, sample_rate_hz, 12.0)
    trumpets = oscillate(pitch_hz * wobble, sample_rate_hz, timbre)
    trumpets += oscillate(pitch_hz * float(rng.uniform(1.18, 1.27)) * wobble, sample_rate_hz, timbre, 0.4)
    times_s, opening = [0.0], [0.0]
    at_s, duration_s = float(rng.uniform(0.0, 1.0)), samples / sample_rate_hz
    while at_s < duration_s:
        blast_s = float(rng.uniform(0.3, 1.5))
        times_s += [at_s, at_s + 0.03, at_s + blast_s, at_s + blast_s + 0.06]
        opening += [0.0, 1.0, 1.0, 0.0]
        at_s += blast_s + float(rng.uniform(0.2, 2.0))
    gate = np.interp(np.arange(samples) / sample_rate_hz, times_s, opening)
    return np.asarray(trumpets * gate * rng.uniform(0.4, 1.2), dtype=np.float32)


def random_kind(rng: np.random.Generator) -> SirenKind:
    """A kind drawn by KIND_SHARES."""
    kinds = list(KIND_SHARES)
    return kinds[int(rng.choice(len(kinds), p=list(KIND_SHARES.values())))]


def synthesize_crew(
    parameters: SirenParameters,
    rng: np.random.Generator,
    duration_s: float,
    sample_rate_hz: int = SAMPLE_RATE_HZ,
) -> Samples:
    """One electronic siren whose crew changes its mode every 1.5 to 8 s, starting as `parameters` says.

    Phase runs on across changes; amplifier and horn stay the same. Kinds with a rotor or an air horn
    are not switched.
    """
    samples = _sample_count(duration_s, sample_rate_hz)
    track = frequency_track(parameters, samples, sample_rate_hz)
    at = int(rng.uniform(1.5, 8.0) * sample_rate_hz)
    while parameters.kind in SWITCHABLE and at < samples:
        kind = SWITCHABLE[int(rng.integers(len(SWITCHABLE)))]
        mode = SirenParameters.random(kind, rng)
        track[at:] = frequency_track(mode, samples - at, sample_rate_hz)
        at += int(rng.uniform(1.5, 8.0) * sample_rate_hz)
    return _voice(parameters, track, sample_rate_hz)


def random_siren(
    rng: np.random.Generator, duration_s: float, sample_rate_hz: int = SAMPLE_RATE_HZ
) -> tuple[Samples, SirenKind]:
    """A random siren and its kind: peak-normalised float32, present for the whole duration.

    Three in ten change modes on the way; about one in seven is joined by one or two more vehicles,
    and the kind is the first vehicle's.
    """
    kind = random_kind(rng)
    vehicles = int(rng.choice([1, 2, 3], p=[0.86, 0.11, 0.03]))
    mixture = np.zeros(_sample_count(duration_s, sample_rate_hz), dtype=np.float32)
    for vehicle in range(vehicles):
        parameters = SirenParameters.random(kind if vehicle == 0 else random_kind(rng), rng)
        gain = np.float32(1.0 if vehicle == 0 else rng.uniform(0.2, 0.9))
        if rng.uniform() < 0.3:
            mixture += gain * synthesize_crew(parameters, rng, duration_s, sample_rate_hz)
        else:
            mixture += gain * synthesize(parameters, duration_s, sample_rate_hz)
    return peak_normalise(mixture), kind
