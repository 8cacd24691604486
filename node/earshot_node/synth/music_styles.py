"""Styles of music.py: who plays the tune and how, who accompanies, in which register and tempo."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from earshot_node.synth.instruments import (
    Instrument,
    Touch,
    blown,
    bowed,
    distorted,
    drawbars,
    frequency_modulated,
    pulse,
    stepped_triangle,
    struck,
    subtractive,
    sung,
)
from earshot_node.synth.score import BUSY, CALM, FLOWING, LONG, Rhythm

VOWELS = (((700.0, 14.0), (1200.0, 10.0)), ((350.0, 14.0), (800.0, 8.0)), ((450.0, 14.0), (1900.0, 8.0)))

Part = tuple[Instrument, Touch]


@dataclass(frozen=True)
class Style:
    """How one kind of music is made; shares are of pieces.

    `lead` draws who plays the tune, `ring` lets that many of its notes sound on together, `backing` who accompanies.
    """

    lead: Callable[[np.random.Generator], Part]
    backing: Callable[[np.random.Generator], Part]
    rhythms: tuple[Rhythm, ...]
    register: tuple[int, int]
    tempo_bpm: tuple[float, float]
    ring: int = 1
    pads: float = 0.5
    arpeggios: float = 0.4
    chip_arpeggios: float = 0.0
    bass: float = 0.6
    drums: float = 0.5
    solo: float = 0.1


def _chip_lead(rng: np.random.Generator) -> Part:
    decay_s = float(rng.choice([0.0, 0.0, rng.uniform(0.15, 0.6)]))
    touch = Touch(
        attack_s=0.002,
        decay_s=decay_s,
        release_s=0.005,
        glide_s=float(rng.choice([0.0, 0.0, rng.uniform(0.01, 0.06)])),
        vibrato_hz=float(rng.uniform(5.0, 9.0)),
        vibrato_depth=float(rng.choice([0.0, rng.uniform(0.004, 0.02)])),
        vibrato_delay_s=float(rng.uniform(0.0, 0.3)),
        bends=float(rng.choice([0.0, 0.0, 0.3, 1.0])),
        bend_semitones=float(rng.choice([1.0, 2.0, 5.0, 12.0])),
        bend_s=float(rng.uniform(0.03, 0.12)),
    )
    return (stepped_triangle if rng.uniform() < 0.15 else pulse(float(rng.choice([0.125, 0.25, 0.5])))), touch


def _chip_backing(rng: np.random.Generator) -> Part:
    return pulse(float(rng.choice([0.125, 0.25, 0.5]))), Touch(0.002, float(rng.uniform(0.1, 0.5)), 0.005)


def _synth_lead(rng: np.random.Generator) -> Part:
    sound = subtractive(
        brightness=float(rng.uniform(0.5, 0.96)),
        sweep_s=float(rng.choice([0.0, rng.uniform(0.1, 1.0)])),
        odd=bool(rng.uniform() < 0.35),
        detune=float(rng.choice([0.0, rng.uniform(0.002, 0.01)])),
    )
    touch = Touch(
        attack_s=float(rng.uniform(0.003, 0.08)),
        release_s=float(rng.uniform(0.01, 0.15)),
        glide_s=float(rng.choice([0.0, rng.uniform(0.015, 0.12)])),
        vibrato_hz=float(rng.uniform(4.0, 7.5)),
        vibrato_depth=float(rng.uniform(0.0, 0.025)),
        bends=float(rng.choice([0.0, 0.0, 0.2])),
        bend_semitones=float(rng.uniform(1.0, 7.0)),
        bend_s=float(rng.uniform(0.05, 0.3)),
    )
    return sound, touch


def _club_lead(rng: np.random.Generator) -> Part:
    """A sequencer's voice: its filter snaps shut on every note; some notes rise or dive over an octave or two."""
    sound = subtractive(
        brightness=float(rng.uniform(0.8, 0.97)),
        sweep_s=float(rng.uniform(0.05, 0.5)),
        odd=bool(rng.uniform() < 0.4),
        detune=float(rng.choice([0.0, rng.uniform(0.003, 0.012)])),
    )
    touch = Touch(
        attack_s=0.003,
        decay_s=float(rng.choice([0.0, rng.uniform(0.1, 0.5)])),
        glide_s=float(rng.choice([0.0, rng.uniform(0.02, 0.08)])),
        bends=float(rng.choice([0.0, 0.1, 0.3])),
        bend_semitones=float(rng.choice([12.0, 24.0])),
        bend_s=float(rng.uniform(0.1, 1.5)),
    )
    return sound, touch


def _organ(rng: np.random.Generator) -> Part:
    levels = tuple(float(rng.uniform(0.0, 1.0) * (rng.uniform() < 0.6)) for _ in range(9))
    levels = (*levels[:2], 1.0, *levels[3:])
    tremulant = drawbars(levels, float(rng.uniform(5.5, 7.0)), float(rng.choice([0.0, rng.uniform(0.02, 0.2)])))
    return tremulant, Touch(attack_s=0.01, release_s=0.03)


def _theremin(rng: np.random.Generator) -> Part:
    sound = subtractive(float(rng.uniform(0.05, 0.4)), 0.0, odd=False, detune=0.0)
    touch = Touch(
        attack_s=float(rng.uniform(0.05, 0.25)),
        release_s=0.1,
        glide_s=float(rng.uniform(0.08, 0.25)),
        vibrato_hz=float(rng.uniform(4.5, 7.0)),
        vibrato_depth=float(rng.uniform(0.01, 0.035)),
        vibrato_delay_s=0.1,
        swell=0.4,
    )
    return sound, touch


def _pad(rng: np.random.Generator) -> Part:
    sound = subtractive(float(rng.uniform(0.4, 0.8)), 0.0, odd=False, detune=float(rng.uniform(0.002, 0.006)))
    return sound, Touch(attack_s=float(rng.uniform(0.1, 0.8)), release_s=0.4, swell=float(rng.uniform(0.0, 0.6)))


def _strings(rng: np.random.Generator) -> Part:
    touch = Touch(
        attack_s=float(rng.uniform(0.05, 0.5)),
        release_s=float(rng.uniform(0.05, 0.3)),
        glide_s=float(rng.choice([0.0, rng.uniform(0.02, 0.08)])),
        vibrato_hz=float(rng.uniform(4.5, 6.5)),
        vibrato_depth=float(rng.uniform(0.002, 0.012)),
        swell=float(rng.uniform(0.0, 0.8)),
    )
    return bowed(int(rng.integers(1, 5)), float(rng.uniform(0.6, 0.9))), touch


def _flute(rng: np.random.Generator) -> Part:
    touch = Touch(
        attack_s=float(rng.uniform(0.02, 0.1)),
        release_s=0.05,
        glide_s=float(rng.choice([0.0, 0.02, 0.06])),
        vibrato_hz=float(rng.uniform(4.0, 6.5)),
        vibrato_depth=float(rng.uniform(0.0, 0.015)),
        bends=float(rng.choice([0.0, 0.2])),
        bend_semitones=2.0,
        swell=0.2,
    )
    return blown(float(rng.uniform(0.05, 0.4))), touch


def _guitar(rng: np.random.Generator) -> Part:
    sound = distorted(struck(0.9, float(rng.uniform(0.8, 3.0))), float(rng.uniform(2.0, 25.0)), 4000.0)
    touch = Touch(
        attack_s=0.003,
        decay_s=float(rng.uniform(1.0, 4.0)),
        vibrato_hz=float(rng.uniform(4.5, 6.5)),
        vibrato_depth=float(rng.uniform(0.0, 0.02)),
        vibrato_delay_s=0.3,
        bends=float(rng.uniform(0.1, 0.6)),
        bend_semitones=3.0,
        bend_s=float(rng.uniform(0.1, 0.4)),
    )
    return sound, touch


def _plucked(rng: np.random.Generator) -> Part:
    sound = struck(float(rng.uniform(0.6, 0.95)), float(rng.uniform(0.2, 1.5)))
    return sound, Touch(attack_s=0.002, decay_s=float(rng.uniform(0.3, 1.5)), bends=float(rng.choice([0.0, 0.1])))


def _bell(rng: np.random.Generator) -> Part:
    ratio = float(rng.choice([1.41, 2.0, 2.76, 3.5, 4.0, 7.0]))
    sound = frequency_modulated(ratio, float(rng.uniform(0.5, 3.0)), float(rng.uniform(0.1, 0.8)))
    return sound, Touch(attack_s=0.002, decay_s=float(rng.uniform(0.3, 2.0)))


def _brass(rng: np.random.Generator) -> Part:
    touch = Touch(
        attack_s=float(rng.uniform(0.03, 0.12)),
        release_s=0.06,
        vibrato_depth=float(rng.uniform(0.0, 0.008)),
        bends=float(rng.choice([0.0, 0.3])),
        bend_semitones=2.0,
        swell=float(rng.uniform(0.0, 0.5)),
    )
    return subtractive(float(rng.uniform(0.7, 0.92)), 0.0, odd=False, detune=float(rng.choice([0.0, 0.003]))), touch


def _voice(rng: np.random.Generator) -> Part:
    touch = Touch(
        attack_s=float(rng.uniform(0.05, 0.2)),
        release_s=0.1,
        glide_s=float(rng.uniform(0.02, 0.08)),
        vibrato_hz=float(rng.uniform(4.8, 6.5)),
        vibrato_depth=float(rng.uniform(0.004, 0.025)),
        swell=0.3,
    )
    return sung(VOWELS[int(rng.integers(len(VOWELS)))]), touch


def _any_that_holds(rng: np.random.Generator) -> Part:
    """One of the instruments that hold a note."""
    leads = (_organ, _strings, _flute, _brass, _voice, _synth_lead, _pad)
    return leads[int(rng.integers(len(leads)))](rng)


STYLES: dict[str, Style] = {
    "chiptune": Style(_chip_lead, _chip_backing, FLOWING + BUSY, (60, 92), (90, 180), 1, 0.1, 0.5, 0.4, 0.85, 0.7),
    "synth_lead": Style(_synth_lead, _pad, CALM + FLOWING + BUSY, (60, 90), (70, 150), bass=0.7, drums=0.6, solo=0.15),
    "club": Style(_club_lead, _synth_lead, FLOWING + BUSY, (55, 90), (115, 150), bass=0.8, drums=0.85, solo=0.05),
    "organ": Style(_organ, _organ, CALM + FLOWING + BUSY, (57, 88), (60, 130), pads=0.8, bass=0.5, drums=0.3),
    "theremin": Style(_theremin, _pad, CALM + FLOWING, (60, 88), (50, 100), pads=0.8, bass=0.3, drums=0.15, solo=0.2),
    "pads": Style(_pad, _pad, CALM, (55, 84), (50, 90), pads=1.0, arpeggios=0.3, bass=0.4, drums=0.2),
    "strings": Style(_strings, _strings, CALM + FLOWING, (60, 91), (50, 110), pads=0.8, bass=0.4, drums=0.15),
    "flute": Style(_flute, _plucked, FLOWING + BUSY, (67, 96), (60, 130), bass=0.3, drums=0.2, solo=0.35),
    "electric_guitar": Style(_guitar, _guitar, CALM + FLOWING + BUSY, (55, 86), (70, 160), bass=0.8, drums=0.8),
    "plucks": Style(_plucked, _plucked, FLOWING + BUSY, (55, 88), (70, 150), 3, bass=0.4, drums=0.25, solo=0.3),
    "music_box": Style(_bell, _bell, FLOWING + BUSY, (67, 96), (60, 130), 3, bass=0.15, drums=0.1, solo=0.4),
    "brass": Style(_brass, _brass, FLOWING, (55, 82), (70, 140), pads=0.6, bass=0.6, drums=0.4),
    "voice": Style(_voice, _pad, CALM + FLOWING, (57, 84), (60, 110), bass=0.4, drums=0.3, solo=0.25),
    "long_tones": Style(_any_that_holds, _pad, LONG, (50, 90), (45, 110), solo=1.0),
}
SHARES = {
    "chiptune": 0.17,
    "synth_lead": 0.12,
    "club": 0.05,
    "organ": 0.05,
    "theremin": 0.03,
    "pads": 0.06,
    "strings": 0.08,
    "flute": 0.07,
    "electric_guitar": 0.07,
    "plucks": 0.04,
    "music_box": 0.04,
    "brass": 0.05,
    "voice": 0.04,
    "long_tones": 0.13,
}
