"""Instruments of music.py: a line of notes becomes tracks of pitch, level and age, and those become sound.

One line sounds one note at a time. Overtones come from closed forms (`shine`), so a line costs a cosine and a
logarithm a sample whatever its brightness.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from earshot_node.synth.filters import Samples, Track, low_pass_gain, resonance_gain, shape_spectrum, slow_noise
from earshot_node.synth.harmonics import Timbre, oscillate
from earshot_node.synth.score import Note

GAP_HZ = 220.0  # pitch before the first note, where nothing sounds


@dataclass(frozen=True)
class Touch:
    """How notes are played.

    `decay_s` to 1/e (0: held), `glide_s` the time constant of portamento, `vibrato_depth` relative, coming in after
    `vibrato_delay_s`; a share `bends` of the notes starts up to `bend_semitones` away and slides in over `bend_s`;
    `swell` lets long notes grow towards their middle.
    """

    attack_s: float = 0.01
    decay_s: float = 0.0
    release_s: float = 0.03
    glide_s: float = 0.0
    vibrato_hz: float = 5.5
    vibrato_depth: float = 0.0
    vibrato_delay_s: float = 0.2
    bends: float = 0.0
    bend_semitones: float = 2.0
    bend_s: float = 0.12
    swell: float = 0.0


@dataclass(frozen=True)
class Line:
    """A line of notes, one value a sample: frequency, phase in cycles, level, and seconds since the note began."""

    frequency_hz: Track
    cycles: Track
    level: Track
    age_s: Track
    sample_rate_hz: int


Instrument = Callable[[Line, np.random.Generator], Track]


def hertz(pitch: float) -> float:
    """Frequency of a MIDI pitch."""
    return float(440.0 * 2.0 ** ((pitch - 69.0) / 12.0))


def play(notes: Sequence[Note], touch: Touch, rng: np.random.Generator, samples: int, sample_rate_hz: int) -> Line:
    """The line's tracks; what lies outside `samples` is lost."""
    pitch = np.full(samples, 69.0)
    level, age_s = np.zeros(samples), np.zeros(samples)
    before = notes[0].pitch if notes else 69.0
    for note in notes:
        first, last = (
            max(0, round(note.start_s * sample_rate_hz)),
            round((note.start_s + note.length_s) * sample_rate_hz),
        )
        last = min(last, samples)
        if last > first:
            age = np.arange(first, last) / sample_rate_hz - note.start_s
            pitch[first:last] = _bent(note, before, touch, age, rng)
            level[first:last] = note.strength * _envelope(age, note.length_s, touch)
            age_s[first:last] = age
        before = note.pitch
    if touch.vibrato_depth > 0.0:
        coming = np.clip((age_s - touch.vibrato_delay_s) / 0.25, 0.0, 1.0)
        rate = 1.0 + 0.05 * slow_noise(rng, samples, sample_rate_hz, 2.0)
        swing = np.sin(2.0 * np.pi * np.cumsum(touch.vibrato_hz * rate) / sample_rate_hz)
        pitch += 17.31 * touch.vibrato_depth * coming * swing  # 12 / ln 2 semitones a relative unit
    frequency_hz = np.exp2((pitch - 69.0) / 12.0) * 440.0
    cycles = np.cumsum(frequency_hz) / sample_rate_hz + float(rng.uniform())
    return Line(frequency_hz, cycles, level, age_s, sample_rate_hz)


def _bent(note: Note, before: float, touch: Touch, age_s: Track, rng: np.random.Generator) -> Track:
    """Pitch of one note from its beginning: portamento from the note before, or a bend into it."""
    if touch.bends > 0.0 and rng.uniform() < touch.bends:
        away = float(rng.choice([-1.0, -1.0, -1.0, 1.0])) * float(rng.uniform(0.5, touch.bend_semitones))
        return note.pitch + away * np.clip(1.0 - age_s / touch.bend_s, 0.0, 1.0)
    if touch.glide_s > 0.0:
        return note.pitch + (before - note.pitch) * np.exp(-age_s / touch.glide_s)
    return np.full(len(age_s), note.pitch)


def _envelope(age_s: Track, length_s: float, touch: Touch) -> Track:
    rise = np.clip(age_s / max(touch.attack_s, 1e-3), 0.0, 1.0)
    fall = np.exp(-age_s / touch.decay_s) if touch.decay_s > 0.0 else 1.0
    release = np.clip((length_s - age_s) / max(min(touch.release_s, 0.5 * length_s), 1e-3), 0.0, 1.0)
    if touch.swell > 0.0:
        fall = fall * (1.0 - touch.swell * (1.0 - np.sin(np.pi * np.clip(age_s / length_s, 0.0, 1.0))))
    return np.asarray(rise * fall * release)


def shine(cycles: Track, brightness: Track | float, odd: bool = False) -> Track:
    """Overtones in closed form: sum of b^k cos(2 pi k x) / k over all k, or over odd k.

    `brightness` b from 0 (a sine) to below 1 (a sawtooth, or a square wave). From the series of -ln(1 - z).
    """
    b = np.maximum(brightness, 1e-3)
    cosine = np.cos((2.0 * np.pi) * (cycles % 1.0))
    below = 1.0 - 2.0 * b * cosine + b * b
    if odd:
        return np.asarray(0.25 * np.log((1.0 + 2.0 * b * cosine + b * b) / below) / b)
    return np.asarray(-0.5 * np.log(below) / b)


def pulse(duty: float) -> Instrument:
    """A sound chip's pulse wave."""
    timbre = Timbre(duty=duty, harmonics=20)

    def sound(line: Line, _rng: np.random.Generator) -> Track:
        return oscillate(line.frequency_hz, line.sample_rate_hz, timbre) * line.level

    return sound


def stepped_triangle(line: Line, _rng: np.random.Generator) -> Track:
    """A sound chip's triangle of sixteen steps."""
    triangle = 2.0 * np.abs(2.0 * (line.cycles % 1.0) - 1.0) - 1.0
    return np.asarray(np.rint(7.5 * triangle) / 7.5 * (line.level > 0.05))


def subtractive(brightness: float, sweep_s: float, odd: bool, detune: float) -> Instrument:
    """A synthesizer: its filter opens with each note and closes over `sweep_s` (0: stays); `detune` adds two voices."""

    def sound(line: Line, _rng: np.random.Generator) -> Track:
        opening = brightness * np.exp(-line.age_s / sweep_s) if sweep_s > 0.0 else brightness
        tone = shine(line.cycles, np.maximum(opening, 0.25), odd)
        if detune > 0.0:
            tone = tone + shine(line.cycles * (1.0 + detune) + 0.3, opening, odd)
            tone = tone + shine(line.cycles * (1.0 - detune) + 0.7, opening, odd)
        return np.asarray(tone * line.level)

    return sound


def frequency_modulated(ratio: float, index: float, decay_s: float) -> Instrument:
    """Two-operator FM, as of electric pianos, bells and brass: `index` falls to 1/e in `decay_s`."""

    def sound(line: Line, _rng: np.random.Generator) -> Track:
        depth = index * np.exp(-line.age_s / decay_s)
        angle = 2.0 * np.pi * line.cycles
        return np.asarray(np.sin(angle + depth * np.sin(ratio * angle)) * line.level)

    return sound


def struck(brightness: float, dulling_s: float) -> Instrument:
    """A string: its overtones die in proportion to their number, the hundredth first."""

    def sound(line: Line, _rng: np.random.Generator) -> Track:
        return shine(line.cycles, brightness * np.exp(-line.age_s / dulling_s)) * line.level

    return sound


def blown(breath: float) -> Instrument:
    """A flute or a whistle: nearly a sine, with breath around the pitch."""

    def sound(line: Line, rng: np.random.Generator) -> Track:
        air = slow_noise(rng, len(line.level), line.sample_rate_hz, 600.0) * np.cos(2.0 * np.pi * line.cycles)
        return np.asarray((shine(line.cycles, 0.12 + 0.2 * line.level) + breath * air) * line.level)

    return sound


def bowed(voices: int, brightness: float) -> Instrument:
    """A section of strings: voices that drift apart by a few cents."""

    def sound(line: Line, rng: np.random.Generator) -> Track:
        total = np.zeros(len(line.level))
        for _ in range(voices):
            drift = 0.15 * slow_noise(rng, len(total), line.sample_rate_hz, 1.5)
            detune = 1.0 + float(rng.normal(0.0, 0.002))
            total += shine(line.cycles * detune + drift + float(rng.uniform()), brightness)
        return np.asarray(total * line.level / np.sqrt(voices))

    return sound


def drawbars(levels: tuple[float, ...], tremulant_hz: float, depth: float) -> Instrument:
    """An organ: sines at 1/2, 3/2, 1, 2, 3, 4, 5, 6 and 8 times the pitch, all swaying with the tremulant."""

    def sound(line: Line, _rng: np.random.Generator) -> Track:
        swing = np.sin((2.0 * np.pi * tremulant_hz / line.sample_rate_hz) * np.arange(len(line.level)))
        angle = 2.0 * np.pi * line.cycles + 2.0 * depth * swing
        total = np.zeros(len(angle))
        for ratio, level in zip((0.5, 1.5, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0), levels, strict=True):
            if level > 0.0:
                total += level * np.cos(ratio * angle)
        return np.asarray(total * line.level * (1.0 + depth * swing) / max(1.0, sum(levels)) * 2.0)

    return sound


def sung(formants: tuple[tuple[float, float], ...]) -> Instrument:
    """A voice that holds a vowel, given by formants (frequency in Hz, gain in dB)."""

    def gain(frequency_hz: Track) -> Track:
        shape = low_pass_gain(frequency_hz, 900.0, 1)
        for centre_hz, gain_db in formants:
            shape = shape * resonance_gain(frequency_hz, centre_hz, gain_db, 0.18)
        return shape

    def sound(line: Line, _rng: np.random.Generator) -> Track:
        source = (shine(line.cycles, 0.9) * line.level).astype(np.float32)
        return np.asarray(shape_spectrum(source, line.sample_rate_hz, gain), dtype=np.float64)

    return sound


def distorted(instrument: Instrument, drive: float, cabinet_hz: float) -> Instrument:
    """Another instrument through an overdriven amplifier and its loudspeaker."""

    def sound(line: Line, rng: np.random.Generator) -> Track:
        clean = instrument(line, rng)
        loud: Samples = np.tanh(drive * clean).astype(np.float32)
        return shape_spectrum(loud, line.sample_rate_hz, lambda hz: low_pass_gain(hz, cabinet_hz, 3)).astype(np.float64)

    return sound
