"""Pieces drawn at random: one to four instruments that hold notes, sing, slide or play chords, and drums.

Held notes, slow lines and slides over an octave are common on purpose: they are what a network takes for a siren. Two
notes that alternate steadily, or slides that rise and fall in turn, are not drawn, because those may be one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

PROGRAMS = 128
DRUM_KEYS = (35, 36, 38, 39, 40, 42, 45, 46, 49, 51)
SCALES = ((0, 2, 4, 5, 7, 9, 11), (0, 2, 3, 5, 7, 8, 10), (0, 2, 4, 7, 9), (0, 3, 5, 7, 10), tuple(range(12)))
ROLES: tuple["Role", ...] = ("held", "slow", "melody", "arpeggio", "chords", "slides")
INSTRUMENTS, INSTRUMENT_ODDS = (1, 2, 3, 4), (0.4, 0.2, 0.2, 0.2)
BEATS_PER_MINUTE = (60.0, 180.0)
LOWEST_OCTAVE, HIGHEST_OCTAVE = 3, 7
KEYS = range(1, 120)
HELD_S = (2.0, 8.0)
LEGATO = 0.99
WHEEL_TURN, WHEEL_SEMITONES = 8191, 2
"""The pitch wheel turned as far as it goes, and what it changes the pitch by unless a part says otherwise."""
GLIDE_SHARE, GLIDE_TURN = 0.2, 4000
"""Parts whose long notes glide up or down."""
SLIDE_S, SLIDE_SEMITONES, SHORTEST_SLIDE = (0.15, 4.0), (7, 12, 24), 0.3
"""Slides: how long one lasts (drawn evenly by its logarithm), how far the wheel reaches, the least of that used."""
SLIDES_REST_SHARE = 0.4
VIBRATO_SHARE = 0.3
REST_SHARE, REST_BEATS = 0.08, 2.0
DRUM_SHARE, DRUM_VOICES, DRUM_S = 0.35, 4, 0.1
DRUM_BEATS = (0.125, 0.25, 0.5, 1.0, 2.0)
Role = Literal["held", "slow", "melody", "arpeggio", "chords", "slides"]


@dataclass(frozen=True)
class Note:
    """A key pressed and released, in seconds from the start of the piece.

    The pitch wheel turns from the middle to `glide` (8191 is all the way up) until `glide_end_s`, and stays there.
    """

    start_s: float
    end_s: float
    key: int
    velocity: int
    glide: int = 0
    glide_end_s: float = 0.0


@dataclass(frozen=True)
class Part:
    """What one instrument plays.

    `program` is General MIDI's, None for the drums; `wheel_semitones` is how far the pitch wheel reaches. The rest are
    MIDI controllers.
    """

    program: int | None
    role: str
    notes: tuple[Note, ...]
    volume: int = 100
    reverb: int = 0
    vibrato: int = 0
    wheel_semitones: int = WHEEL_SEMITONES


@dataclass(frozen=True)
class Piece:
    """Parts that sound together for `seconds`."""

    parts: tuple[Part, ...]
    seconds: float

    def __str__(self) -> str:
        names = ("drums" if part.program is None else f"{part.role} {part.program}" for part in self.parts)
        return ", ".join(names)


def compose(rng: np.random.Generator, seconds: float) -> Piece:
    """A piece of this length."""
    scale = SCALES[rng.integers(len(SCALES))]
    root = int(rng.integers(12))
    beat_s = 60.0 / rng.uniform(*BEATS_PER_MINUTE)
    count = int(rng.choice(INSTRUMENTS, p=INSTRUMENT_ODDS))
    parts = [_instrument(rng, [root + step for step in scale], beat_s, seconds) for _ in range(count)]
    if count > 1 and rng.random() < DRUM_SHARE:
        parts.append(_drums(rng, beat_s, seconds))
    return Piece(tuple(parts), seconds)


def _instrument(rng: np.random.Generator, scale: Sequence[int], beat_s: float, seconds: float) -> Part:
    role = ROLES[rng.integers(len(ROLES))]
    octave = int(rng.integers(LOWEST_OCTAVE, HIGHEST_OCTAVE + 1))
    keys = [12 * octave + step for step in scale]
    glides = rng.random() < GLIDE_SHARE
    notes: list[Note] = []
    time_s = float(rng.uniform(0.0, 0.5))
    while time_s < seconds:
        length_s = _length_s(rng, role, beat_s)
        sounding_s = length_s * float(rng.choice((1.0, 1.0, 0.9, 0.6))) * LEGATO
        glide, gliding_s = _glide(rng, role, sounding_s) if glides or role == "slides" else (0, 0.0)
        if role != "slides" and length_s <= beat_s:
            glide = 0
        velocity = int(rng.integers(50, 127))
        notes += [
            Note(time_s, time_s + sounding_s, key, velocity, glide, time_s + gliding_s)
            for key in _chosen(rng, role, keys, len(notes))
            if key in KEYS
        ]
        time_s += length_s
        if rng.random() < (SLIDES_REST_SHARE if role == "slides" else REST_SHARE):
            time_s += REST_BEATS * beat_s * float(rng.random() if role == "slides" else 1.0)
    return Part(
        program=int(rng.integers(PROGRAMS)),
        role=role,
        notes=tuple(notes),
        volume=int(rng.integers(60, 127)),
        reverb=int(rng.integers(100)),
        vibrato=int(rng.integers(128)) if rng.random() < VIBRATO_SHARE else 0,
        wheel_semitones=int(rng.choice(SLIDE_SEMITONES)) if role == "slides" else WHEEL_SEMITONES,
    )


def _glide(rng: np.random.Generator, role: Role, sounding_s: float) -> tuple[int, float]:
    """How far the wheel turns in a note, and how long that takes in seconds."""
    direction = int(rng.choice((-1, 1)))
    if role != "slides":
        return direction * GLIDE_TURN, sounding_s
    turn = rng.uniform(SHORTEST_SLIDE, 1.0) * WHEEL_TURN
    return direction * int(turn), sounding_s * float(rng.uniform(0.3, 1.0))


def _length_s(rng: np.random.Generator, role: Role, beat_s: float) -> float:
    match role:
        case "held":
            return float(rng.uniform(*HELD_S))
        case "slow":
            return beat_s * float(rng.choice((2.0, 4.0)))
        case "melody":
            return beat_s * float(rng.choice((0.25, 0.5, 0.5, 1.0, 1.0, 2.0)))
        case "arpeggio":
            return beat_s * 0.25
        case "chords":
            return beat_s * float(rng.choice((1.0, 2.0, 4.0)))
        case "slides":
            return float(np.exp(rng.uniform(*np.log(SLIDE_S))))


def _chosen(rng: np.random.Generator, role: Role, keys: Sequence[int], played: int) -> list[int]:
    """Keys of the next notes: one, or the first, third and fifth of the scale from somewhere in it."""
    if role == "arpeggio":
        return [keys[2 * (played % 3) % len(keys)]]
    first = int(rng.integers(len(keys)))
    if role == "chords":
        return [keys[(first + step) % len(keys)] + 12 * ((first + step) // len(keys)) for step in (0, 2, 4)]
    return [keys[first] + (12 if role == "melody" and rng.random() < 0.2 else 0)]


def _drums(rng: np.random.Generator, beat_s: float, seconds: float) -> Part:
    notes: list[Note] = []
    for _ in range(DRUM_VOICES):
        key = int(rng.choice(DRUM_KEYS))
        step_s = beat_s * float(rng.choice(DRUM_BEATS))
        times_s = np.arange(rng.uniform(0.0, beat_s), seconds, step_s).tolist()
        notes += [Note(time_s, time_s + DRUM_S, key, int(rng.integers(60, 120))) for time_s in times_s]
    return Part(None, "drums", tuple(notes))
