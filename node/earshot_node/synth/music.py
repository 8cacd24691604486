"""Random music, so that no tune passes for a siren: chiptunes, leads that glide, strings, flutes, guitars, bells.

    samples, style = random_music(rng, duration_s=6.0)        # float32, peak-normalised
    samples = synthesize_music("chiptune", rng, duration_s=6.0)

Keys, chords, phrases that return (score.py), a style's ensemble (music_styles.py), drums (drums.py), and a production:
echo, room, compression, loudspeaker. The excerpt begins anywhere in the piece. About 100 times faster than real time
on one core.
"""

import numpy as np

from earshot_node.synth.acoustics import echo_response, reverberate
from earshot_node.synth.drums import drum_loop, riser
from earshot_node.synth.filters import (
    Samples,
    Track,
    fade_edges,
    high_pass_gain,
    low_pass_gain,
    peak_normalise,
    set_level,
    shape_spectrum,
)
from earshot_node.synth.instruments import Touch, play, pulse, stepped_triangle, subtractive
from earshot_node.synth.music_styles import SHARES, STYLES, Part, Style
from earshot_node.synth.notes import place
from earshot_node.synth.score import Note, Piece, arpeggio, bass, deal, harmony, later, melody

__all__ = ["SAMPLE_RATE_HZ", "SHARES", "STYLES", "random_music", "synthesize_music"]

SAMPLE_RATE_HZ = 16000
ARPEGGIOS = ((0, 1, 2), (0, 1, 2, 3), (0, 1, 2, 1), (2, 1, 0), (0, 2, 1, 3), (0, 3, 2, 1, 4))


class _Band:
    """Renders parts of one piece into one excerpt that begins `offset_s` into the piece."""

    def __init__(self, rng: np.random.Generator, style: Style, samples: int, sample_rate_hz: int) -> None:
        self.rng, self.style = rng, style
        self.samples, self.rate_hz = samples, sample_rate_hz
        self.piece = Piece.random(rng, 60.0 / float(rng.uniform(*style.tempo_bpm)))
        self.offset_s = -float(rng.uniform(0.0, 4.0)) * self.piece.bar_s
        self.bars = int(np.ceil((samples / sample_rate_hz - self.offset_s) / self.piece.bar_s)) + 1
        self.total = np.zeros(samples, dtype=np.float32)

    def add(self, notes: list[Note], part: Part, gain: float) -> None:
        """Play one line into the mix."""
        instrument, touch = part
        duration_s = self.samples / self.rate_hz
        moved = later(notes, self.offset_s)
        heard = [note for note in moved if note.start_s < duration_s and note.start_s + note.length_s > 0.0]
        if heard:
            line = play(heard, touch, self.rng, self.samples, self.rate_hz)
            self.total += np.float32(gain) * np.asarray(instrument(line, self.rng), dtype=np.float32)

    def perform(self) -> Samples:
        """Everybody who is in this piece, then what a studio adds."""
        rng, style = self.rng, self.style
        self._tune()
        if rng.uniform() >= style.solo:
            self._accompaniment()
            self._rhythm()
        return self._produce()

    def _tune(self) -> None:
        low = int(self.rng.integers(self.style.register[0], self.style.register[1] - 14))
        notes = melody(self.rng, self.piece, self.bars, (low, low + 17), self.style.rhythms)
        part = self.style.lead(self.rng)
        lines = deal(notes, self.style.ring) if self.style.ring > 1 else [notes]
        for line in lines:
            self.add(line, part, 0.5)
        if self.rng.uniform() < 0.2:  # a second voice a third or an octave away
            away = float(self.rng.choice([-12.0, -5.0, 3.0, 4.0, 12.0]))
            second = [Note(note.start_s, note.length_s, note.pitch + away, note.strength) for note in notes]
            self.add(second, part, 0.3)

    def _accompaniment(self) -> None:
        rng, style = self.rng, self.style
        if rng.uniform() < style.pads:
            part, gain = style.backing(rng), float(rng.uniform(0.08, 0.25))
            for line in harmony(self.piece, self.bars, (52, 67), int(rng.integers(3, 5)), int(rng.choice([1, 1, 2]))):
                self.add(line, part, gain)
        if rng.uniform() < style.arpeggios:
            pattern = ARPEGGIOS[int(rng.integers(len(ARPEGGIOS)))]
            low = int(rng.integers(52, 72))
            notes = arpeggio(self.piece, self.bars, (low, low + 12), float(rng.choice([0.25, 0.5, 1 / 3])), pattern)
            self.add(notes, style.backing(rng), float(rng.uniform(0.12, 0.35)))
        if rng.uniform() < style.chip_arpeggios:
            beats = float(rng.choice([1, 2, 3])) / 60.0 / self.piece.beat_s  # one to three video frames a tone
            notes = arpeggio(self.piece, self.bars, (58, 76), beats, (0, 1, 2))
            self.add(notes, (pulse(0.25), Touch(0.001, 0.0, 0.001)), float(rng.uniform(0.1, 0.3)))

    def _rhythm(self) -> None:
        rng, style = self.rng, self.style
        if rng.uniform() < style.bass:
            chip = style.chip_arpeggios > 0.0
            sound = stepped_triangle if chip else subtractive(float(rng.uniform(0.5, 0.8)), 0.3, False, 0.0)
            decay_s = float(rng.uniform(0.3, 1.5))
            self.add(bass(rng, self.piece, self.bars), (sound, Touch(0.005, decay_s)), float(rng.uniform(0.3, 0.7)))
        if rng.uniform() < style.drums:
            gain = np.float32(rng.uniform(0.25, 0.9))
            self.total += gain * drum_loop(rng, self.piece, self.bars, self.offset_s, self.samples, self.rate_hz)
        if rng.uniform() < 0.04:
            noise = riser(rng, float(rng.uniform(1.0, 4.0)), self.rate_hz)
            place(self.total, noise, int(rng.integers(-len(noise) // 2, self.samples)), 0.5)

    def _produce(self) -> Samples:
        """Echo, room, compression and the loudspeaker that it is heard from."""
        rng, mixed = self.rng, self.total
        if rng.uniform() < 0.3:
            delay = max(1, round(self.piece.beat_s * float(rng.choice([0.5, 0.75, 1.0])) * self.rate_hz))
            wet = mixed.copy()
            for repeat in (1, 2, 3):
                place(wet, mixed, repeat * delay, 0.45**repeat)
            mixed = wet
        if rng.uniform() < 0.5:
            room = echo_response(rng, self.rate_hz, float(rng.uniform(0.2, 2.5)), float(rng.uniform(-15.0, 0.0)))
            mixed = reverberate(mixed, room)
        if rng.uniform() < 0.5:
            mixed = np.tanh(set_level(mixed, float(rng.uniform(-14.0, -4.0)))).astype(np.float32)
        low_hz, high_hz = float(rng.uniform(40.0, 400.0)), float(rng.uniform(2500.0, 12000.0))

        def speaker(frequency_hz: Track) -> Track:
            return high_pass_gain(frequency_hz, low_hz, 1) * low_pass_gain(frequency_hz, high_hz, 2)

        return shape_spectrum(mixed, self.rate_hz, speaker)


def synthesize_music(
    style: str, rng: np.random.Generator, duration_s: float, sample_rate_hz: int = SAMPLE_RATE_HZ
) -> Samples:
    """An excerpt in one of STYLES: float32[duration_s * sample_rate_hz], largest magnitude 0.99.

    Raises ValueError for an unknown style, or a duration or sample rate that is not positive.
    """
    if style not in STYLES:
        raise ValueError(f"unknown style {style!r}: one of {', '.join(STYLES)}")
    if duration_s <= 0.0 or sample_rate_hz <= 0:
        raise ValueError(f"duration {duration_s} s at {sample_rate_hz} Hz: both must be positive")
    band = _Band(rng, STYLES[style], max(1, round(duration_s * sample_rate_hz)), sample_rate_hz)
    return peak_normalise(fade_edges(band.perform(), sample_rate_hz, 0.005))


def random_music(
    rng: np.random.Generator, duration_s: float, sample_rate_hz: int = SAMPLE_RATE_HZ
) -> tuple[Samples, str]:
    """An excerpt of a random style (by SHARES) and the style's name."""
    style = list(SHARES)[int(rng.choice(len(SHARES), p=list(SHARES.values())))]
    return synthesize_music(style, rng, duration_s, sample_rate_hz), style
