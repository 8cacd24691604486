"""Parametric emergency sirens: a frequency track, its harmonics, and the horn that radiates them.

parameters = SirenParameters.random(SirenKind.WAIL, rng)
samples = synthesize(parameters, duration_s=4.0)          # float32, peak-normalised
samples, kind = random_siren(rng, duration_s=4.0)         # crews that switch modes, 1..3 vehicles
"""

from dataclasses import dataclass, field, replace
from enum import StrEnum

import numpy as np

from earshot_node.synth.filters import Samples, Track, peak_normalise, slow_noise
from earshot_node.synth.frequency_tracks import alternate, rotor, sweep
from earshot_node.synth.harmonics import Horn, Timbre, oscillate, soft_clip
from earshot_node.synth.two_tone import TWO_TONES

SAMPLE_RATE_HZ = 16000
CONTROL_SAMPLES = 8


class SirenKind(StrEnum):
    """What a siren sounds like, independent of country and service."""

    WAIL = "wail"
    YELP = "yelp"
    HILO = "hilo"
    PHASER = "phaser"
    MECHANICAL = "mechanical"
    CIVIL_DEFENCE = "civil_defence"
    AIR_HORN = "air_horn"  # a wail or yelp with blasts of an air horn over it


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


@dataclass(frozen=True)
class SirenParameters:
    """Everything that decides one siren's sound; the same parameters always give the same samples.

    `period_s` is one whole cycle (up and down, or both tones); `rise_share` the rising part of it (for
    HILO the share of a cycle spent gliding); `partner_ratio` adds a second voice at that ratio, as
    two-rotor sirens do, `beat_hz` one at that distance (0: none); `jitter` is the frequency's relative wander;
    `start_cycles` where in the cycle the sound begins; `noise_db` the hiss against the tone.
    """

    kind: SirenKind
    low_hz: float
    high_hz: float
    period_s: float
    rise_share: float = 0.5
    curve: float = 1.0
    start_cycles: float = 0.0
    jitter: float = 0.001
    partner_ratio: float = 0.0
    beat_hz: float = 0.0
    noise_db: float = -60.0
    timbre: Timbre = field(default_factory=Timbre)
    horn: Horn = field(default_factory=Horn)
    region: str = ""
    seed: int = 0

    @classmethod
    def random(cls, kind: SirenKind, rng: np.random.Generator) -> "SirenParameters":
        """Plausible parameters of one siren of this kind."""
        base = replace(
            _RANDOM_BASE[kind](rng),
            start_cycles=float(rng.uniform()),
            jitter=float(10.0 ** rng.uniform(-4.0, -2.5)),
            horn=Horn.random(rng),
            seed=int(rng.integers(2**31)),
        )
        if kind in (SirenKind.MECHANICAL, SirenKind.CIVIL_DEFENCE):
            low_hz = float(rng.uniform(120.0, 300.0))
            return replace(base, horn=replace(base.horn, low_hz=low_hz, low_order=1))
        return base


def _random_timbre(rng: np.random.Generator) -> Timbre:
    return Timbre(
        duty=float(rng.uniform(0.2, 0.5)),
        tilt_db_per_octave=float(rng.uniform(-6.0, 1.0)),
        drive=float(rng.uniform(0.0, 2.0)),
    )


def _random_brass(rng: np.random.Generator) -> Timbre:
    """Narrow pulses, as a reed in a trumpet and a low two-tone generator give: bright, all harmonics."""
    return Timbre(
        duty=float(rng.uniform(0.08, 0.35)),
        tilt_db_per_octave=float(rng.uniform(-2.0, 2.0)),
        harmonics=24,
        drive=float(rng.uniform(0.0, 1.0)),
    )


def _random_sweep(kind: SirenKind, rng: np.random.Generator, period_s: float) -> SirenParameters:
    return SirenParameters(
        kind=kind,
        low_hz=float(rng.uniform(450.0, 750.0)),
        high_hz=float(rng.uniform(1150.0, 1800.0)),
        period_s=period_s,
        rise_share=float(rng.uniform(0.25, 0.75)),
        curve=float(rng.uniform(0.0, 2.5)),
        timbre=_random_timbre(rng),
    )


def _random_wail(rng: np.random.Generator) -> SirenParameters:
    return _random_sweep(SirenKind.WAIL, rng, float(rng.uniform(2.0, 8.0)))


def _random_yelp(rng: np.random.Generator) -> SirenParameters:
    return _random_sweep(SirenKind.YELP, rng, 1.0 / float(rng.uniform(2.5, 5.5)))


def _random_phaser(rng: np.random.Generator) -> SirenParameters:
    return _random_sweep(SirenKind.PHASER, rng, 1.0 / (8.0 * float(2.5 ** (rng.uniform() ** 2))))


def _random_hilo(rng: np.random.Generator) -> SirenParameters:
    standard = TWO_TONES[int(rng.integers(len(TWO_TONES)))]
    tuning = float(rng.uniform(0.97, 1.03))
    return SirenParameters(
        kind=SirenKind.HILO,
        low_hz=standard.low_hz * tuning,
        high_hz=standard.high_hz * tuning,
        period_s=2.0 * standard.tone_s * float(rng.uniform(0.85, 1.15)),
        rise_share=float(rng.uniform(0.002, 0.03)),
        beat_hz=standard.beat_hz * float(rng.uniform(0.5, 1.5)),
        timbre=_random_brass(rng),
        region=standard.name,
    )


def _random_mechanical(rng: np.random.Generator) -> SirenParameters:
    return SirenParameters(
        kind=SirenKind.MECHANICAL,
        low_hz=float(rng.uniform(200.0, 450.0)),
        high_hz=float(rng.uniform(800.0, 1300.0)),
        period_s=float(rng.uniform(5.0, 12.0)),
        rise_share=float(rng.uniform(0.25, 0.5)),
        partner_ratio=0.0,
        noise_db=float(rng.uniform(-35.0, -20.0)),
        timbre=Timbre(duty=float(rng.uniform(0.2, 0.45)), tilt_db_per_octave=float(rng.uniform(-4.0, 0.0)), drive=0.0),
    )


def _random_civil_defence(rng: np.random.Generator) -> SirenParameters:
    steady = bool(rng.uniform() < 0.25)
    high_hz = float(rng.uniform(400.0, 750.0))
    return SirenParameters(
        kind=SirenKind.CIVIL_DEFENCE,
        low_hz=high_hz if steady else high_hz * float(rng.uniform(0.45, 0.75)),
        high_hz=high_hz,
        period_s=float(rng.uniform(4.0, 12.0)),
        rise_share=float(rng.uniform(0.3, 0.6)),
        partner_ratio=float(rng.choice([0.0, 4.0 / 5.0, 5.0 / 6.0])),
        noise_db=float(rng.uniform(-40.0, -25.0)),
        timbre=Timbre(duty=float(rng.uniform(0.2, 0.45)), tilt_db_per_octave=float(rng.uniform(-3.0, 0.0)), drive=0.0),
    )


def _random_air_horn(rng: np.random.Generator) -> SirenParameters:
    siren = _random_wail(rng) if rng.uniform() < 0.5 else _random_yelp(rng)
    return replace(siren, kind=SirenKind.AIR_HORN)


_RANDOM_BASE = {
    SirenKind.WAIL: _random_wail,
    SirenKind.YELP: _random_yelp,
    SirenKind.HILO: _random_hilo,
    SirenKind.PHASER: _random_phaser,
    SirenKind.MECHANICAL: _random_mechanical,
    SirenKind.CIVIL_DEFENCE: _random_civil_defence,
    SirenKind.AIR_HORN: _random_air_horn,
}


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
