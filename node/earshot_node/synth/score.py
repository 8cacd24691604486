"""Composition: keys, chords that repeat, and phrases with a form, as notes for music.py's instruments.

    piece = Piece.random(rng, beat_s=0.4)
    notes = melody(rng, piece, bars=4, register=(60, 84), rhythms=BUSY)

Pitches are MIDI numbers (69 is a' at 440 Hz) and may lie between the keys; times are seconds from the piece's
beginning.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

MODES = {
    "major": (0, 2, 4, 5, 7, 9, 11),
    "minor": (0, 2, 3, 5, 7, 8, 10),
    "harmonic_minor": (0, 2, 3, 5, 7, 8, 11),
    "dorian": (0, 2, 3, 5, 7, 9, 10),
    "mixolydian": (0, 2, 4, 5, 7, 9, 10),
    "phrygian": (0, 1, 3, 5, 7, 8, 10),
}
PENTATONIC = (0, 1, 2, 4, 5)
PROGRESSIONS = (
    (0, 3, 4, 0),
    (0, 4, 5, 3),
    (5, 3, 0, 4),
    (0, 5, 3, 4),
    (0, 6, 5, 4),
    (0, 0, 3, 4),
    (0, 3, 0, 4),
    (1, 4, 0, 0),
    (0, 2, 3, 4),
    (0, 0, 5, 6),
)
FORMS = ("AABA", "ABAB", "AAAB", "ABAC", "AABC")

Rhythm = tuple[float, ...]
CALM: tuple[Rhythm, ...] = ((4.0,), (2.0, 2.0), (3.0, 1.0), (1.0, 3.0), (2.0, 1.0, 1.0), (-1.0, 3.0))
LONG: tuple[Rhythm, ...] = ((4.0,), (3.0, -1.0), (2.0, -2.0), (-1.0, 3.0), (4.0,))
FLOWING: tuple[Rhythm, ...] = (
    (1.0, 1.0, 1.0, 1.0),
    (1.5, 0.5, 1.0, 1.0),
    (2.0, 0.5, 0.5, 1.0),
    (1.0, 0.5, 0.5, 2.0),
    (0.5, 0.5, 1.0, 0.5, 0.5, 1.0),
    (1.0, 1.0, 2.0),
    (-1.0, 1.0, 1.0, 1.0),
)
BUSY: tuple[Rhythm, ...] = (
    (0.5,) * 8,
    (0.5, 0.25, 0.25) * 4,
    (0.25,) * 8 + (0.5,) * 4,
    (0.75, 0.75, 0.5, 0.5, 0.5, 1.0),
    (0.5, -0.5, 0.5, 0.5, 0.5, -0.5, 0.5, 0.5),
    (0.25, 0.25, 0.5) * 4,
    (1.0 / 3.0,) * 12,
)


@dataclass(frozen=True)
class Note:
    """One note: when, how long, which pitch, how strong (0 to 1)."""

    start_s: float
    length_s: float
    pitch: float
    strength: float = 1.0


@dataclass(frozen=True)
class Piece:
    """Tempo, key and a loop of chords, one a bar of four beats.

    `gamut` are the degrees of the mode that melodies use.
    """

    beat_s: float
    tonic: int
    mode: tuple[int, ...]
    chords: tuple[int, ...]
    gamut: tuple[int, ...]

    @classmethod
    def random(cls, rng: np.random.Generator, beat_s: float) -> "Piece":
        """A piece in a random key."""
        mode = list(MODES.values())[int(rng.choice(len(MODES), p=(0.32, 0.26, 0.12, 0.12, 0.1, 0.08)))]
        gamut = PENTATONIC if rng.uniform() < 0.35 else tuple(range(len(mode)))
        chords = PROGRESSIONS[int(rng.integers(len(PROGRESSIONS)))]
        return cls(beat_s, int(rng.integers(48, 60)), mode, chords, gamut)

    @property
    def bar_s(self) -> float:
        """Length of a bar."""
        return 4.0 * self.beat_s

    def pitch(self, degree: int) -> float:
        """MIDI pitch of a degree of the mode, counted from the tonic through all octaves."""
        octave, step = divmod(degree, len(self.mode))
        return float(self.tonic + 12 * octave + self.mode[step])

    def chord(self, bar: int, voices: int = 3) -> list[int]:
        """Degrees of the bar's chord, thirds piled on its root."""
        root = self.chords[bar % len(self.chords)]
        return [root + 2 * voice for voice in range(voices)]


def fold(pitch: float, register: tuple[int, int]) -> float:
    """The pitch moved by octaves into the register (at least an octave wide)."""
    low, high = register
    while pitch < low:
        pitch += 12.0
    while pitch > high:
        pitch -= 12.0
    return pitch


def melody(
    rng: np.random.Generator, piece: Piece, bars: int, register: tuple[int, int], rhythms: Sequence[Rhythm]
) -> list[Note]:
    """A tune of motifs that return: one to three shapes, ordered by a form, each moved to its bar's chord."""
    motifs = {letter: _motif(rng, rhythms) for letter in "ABC"}
    form = FORMS[int(rng.integers(len(FORMS)))]
    notes: list[Note] = []
    for bar in range(bars):
        root = piece.chord(bar)[int(rng.choice(3, p=(0.5, 0.3, 0.2)))] if bar % 4 == 3 else piece.chord(bar)[0]
        at_s = bar * piece.bar_s
        for beats, step in motifs[form[bar % len(form)]]:
            length_s = abs(beats) * piece.beat_s
            if beats > 0:
                pitch = fold(piece.pitch(_in_gamut(piece, root + step)), register)
                notes.append(Note(at_s, length_s, pitch, float(rng.uniform(0.7, 1.0))))
            at_s += length_s
    return notes


def _motif(rng: np.random.Generator, rhythms: Sequence[Rhythm]) -> list[tuple[float, int]]:
    """One bar: lengths in beats (negative: a rest) and steps from the chord's root, mostly small ones."""
    rhythm = rhythms[int(rng.integers(len(rhythms)))]
    step, motif = int(rng.choice([0, 2, 4, 7])), []
    for beats in rhythm:
        motif.append((beats, step))
        step += int(rng.choice([-4, -2, -1, 0, 1, 2, 3, 5], p=(0.05, 0.15, 0.25, 0.08, 0.27, 0.12, 0.05, 0.03)))
        step = int(np.clip(step, -5, 11))
    return motif


def _in_gamut(piece: Piece, degree: int) -> int:
    while degree % len(piece.mode) not in piece.gamut:
        degree -= 1
    return degree


def arpeggio(piece: Piece, bars: int, register: tuple[int, int], beats: float, pattern: Sequence[int]) -> list[Note]:
    """Broken chords: every `beats` the next of `pattern`, counting up the chord's tones (3 is the root's octave)."""
    notes = []
    count = max(1, round(4.0 / beats))
    for bar in range(bars):
        chord = piece.chord(bar)
        base = fold(piece.pitch(chord[0]), register)
        for number in range(count):
            octave, tone = divmod(pattern[number % len(pattern)], 3)
            pitch = base + piece.pitch(chord[tone]) - piece.pitch(chord[0]) + 12.0 * octave
            notes.append(Note(bar * piece.bar_s + number * beats * piece.beat_s, beats * piece.beat_s, pitch, 0.9))
    return notes


def harmony(piece: Piece, bars: int, register: tuple[int, int], voices: int, bars_each: int = 1) -> list[list[Note]]:
    """Held chords as `voices` lines, a change every `bars_each` bars."""
    lines: list[list[Note]] = [[] for _ in range(voices)]
    for bar in range(0, bars, bars_each):
        for line, degree in zip(lines, piece.chord(bar, voices), strict=True):
            pitch = fold(piece.pitch(degree), register)
            line.append(Note(bar * piece.bar_s, bars_each * piece.bar_s, pitch, 0.9))
    return lines


def bass(rng: np.random.Generator, piece: Piece, bars: int) -> list[Note]:
    """Roots below c', held, in quarters, or in eighths that leap by octaves."""
    beats = float(rng.choice([0.5, 1.0, 2.0, 4.0], p=(0.4, 0.3, 0.15, 0.15)))
    leap = int(rng.choice([0, 7, 12]))
    notes = []
    for bar in range(bars):
        root = fold(piece.pitch(piece.chord(bar)[0]), (34, 46))
        for number in range(round(4.0 / beats)):
            pitch = root + (leap if number % 2 else 0)
            notes.append(Note(bar * piece.bar_s + number * beats * piece.beat_s, beats * piece.beat_s, pitch, 0.95))
    return notes


def later(notes: Sequence[Note], offset_s: float) -> list[Note]:
    """The notes moved by `offset_s`."""
    return [replace(note, start_s=note.start_s + offset_s) for note in notes]


def deal(notes: Sequence[Note], lines: int) -> list[list[Note]]:
    """The notes dealt in turn to `lines` lines, each ringing on until its line's next note."""
    dealt: list[list[Note]] = []
    for line in range(lines):
        own = list(notes[line::lines])
        ends_s = [following.start_s for following in own[1:]] + ([own[-1].start_s + 3.0] if own else [])
        dealt.append([replace(note, length_s=end_s - note.start_s) for note, end_s in zip(own, ends_s, strict=True)])
    return dealt
