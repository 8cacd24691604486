"""What makes one siren: its kind, its parameters, and plausible random ones."""

from dataclasses import dataclass, field, replace
from enum import StrEnum

import numpy as np

from earshot_node.synth.harmonics import Horn, Timbre
from earshot_node.synth.two_tone import TWO_TONES


class SirenKind(StrEnum):
    """What a siren sounds like, independent of country and service."""

    WAIL = "wail"
    YELP = "yelp"
    HILO = "hilo"
    PHASER = "phaser"
    MECHANICAL = "mechanical"
    CIVIL_DEFENCE = "civil_defence"
    AIR_HORN = "air_horn"  # a wail or yelp with blasts of an air horn over it


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
    """Up and down in 2 to 8 s; 13 CCR 1028 (California) and SAE J1849 ask for 10 to 30 a minute, others are slower."""
    return _random_sweep(SirenKind.WAIL, rng, float(rng.uniform(2.0, 8.0)))


def _random_yelp(rng: np.random.Generator) -> SirenParameters:
    """150 to 330 times a minute; 13 CCR 1028 and SAE J1849 ask for 150 to 250."""
    return _random_sweep(SirenKind.YELP, rng, 1.0 / float(rng.uniform(2.5, 5.5)))


def _random_phaser(rng: np.random.Generator) -> SirenParameters:
    """8 to 20 times a second; makers' own (phaser, piercer, priority), in no rule."""
    return _random_sweep(SirenKind.PHASER, rng, 1.0 / (8.0 * float(2.5 ** (rng.uniform() ** 2))))


def _random_hilo(rng: np.random.Generator) -> SirenParameters:
    """One of TWO_TONES, whose rules two_tone.py names."""
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
    """A fire engine's motor siren that is run up and left to coast; from recordings."""
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
    """A town's siren: steady (alert, all-clear) or rising and falling (attack), as FEMA CPG 1-17 and others say.

    Two rotors sound a minor or major third (5:6, 4:5); pitches and periods from recordings.
    """
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
