"""Synthesized music: every style sounds, repeats for a seed, is tonal, and keeps to its key."""

import itertools

import numpy as np
import pytest

from earshot_node.synth.instruments import Touch, hertz, play, shine
from earshot_node.synth.music import SAMPLE_RATE_HZ, SHARES, STYLES, random_music, synthesize_music
from earshot_node.synth.score import BUSY, CALM, FLOWING, MODES, Note, Piece, arpeggio, bass, deal, harmony, melody


@pytest.mark.parametrize("style", list(STYLES))
def test_style_is_finite_peak_normalised_repeatable_and_of_the_asked_length(style):
    for seed in range(2):
        samples = synthesize_music(style, np.random.default_rng(seed), 3.0)
        assert samples.dtype == np.float32
        assert samples.shape == (48000,)
        assert np.isfinite(samples).all()
        assert np.max(np.abs(samples)) == pytest.approx(0.99, abs=1e-4)
        np.testing.assert_array_equal(samples, synthesize_music(style, np.random.default_rng(seed), 3.0))


@pytest.mark.parametrize("style", list(STYLES))
def test_style_survives_very_short_and_odd_lengths_and_other_rates(style):
    for duration_s, rate_hz in ((0.01, 16000), (0.3333, 22050)):
        samples = synthesize_music(style, np.random.default_rng(1), duration_s, rate_hz)
        assert len(samples) == round(duration_s * rate_hz)
        assert np.isfinite(samples).all()


def test_random_music_draws_every_style_and_its_shares_are_whole():
    assert set(SHARES) == set(STYLES)
    assert sum(SHARES.values()) == pytest.approx(1.0)
    rng = np.random.default_rng(2)
    drawn = {random_music(rng, 0.05)[1] for _ in range(250)}
    assert drawn == set(STYLES)
    assert len(drawn) == 14


def test_music_is_tonal_a_hundredth_of_the_spectrum_holds_most_of_its_power():
    shares = []
    for seed in range(20):
        samples, _ = random_music(np.random.default_rng([3, seed]), 2.0)
        power = np.sort(np.abs(np.fft.rfft(samples[16000:])) ** 2)[::-1]
        shares.append(power[: len(power) // 100].sum() / power.sum())
    assert np.median(shares) > 0.6


def test_melody_stays_in_key_and_register_and_fills_its_bars():
    for seed in range(30):
        rng = np.random.default_rng(seed)
        piece = Piece.random(rng, beat_s=0.5)
        notes = melody(rng, piece, bars=8, register=(60, 77), rhythms=CALM + FLOWING + BUSY)
        key = {(piece.tonic + step) % 12 for step in piece.mode}
        assert {note.pitch % 12 for note in notes} <= key
        assert all(60 <= note.pitch <= 77 for note in notes)
        assert all(later.start_s >= note.start_s + note.length_s - 1e-9 for note, later in itertools.pairwise(notes))
        assert notes[-1].start_s + notes[-1].length_s == pytest.approx(16.0)


def test_melody_repeats_its_first_motif():
    rng = np.random.default_rng(5)
    piece = Piece.random(rng, beat_s=0.5)
    notes = melody(rng, piece, bars=4, register=(60, 84), rhythms=FLOWING)
    rhythms = [
        tuple(note.length_s for note in notes if bar * 2.0 <= note.start_s < bar * 2.0 + 2.0) for bar in range(4)
    ]
    assert len(set(rhythms)) < 4


def test_accompaniment_uses_the_chords_of_the_bar():
    piece = Piece(0.5, 48, MODES["major"], (0, 3), tuple(range(7)))
    chords = [{0, 4, 7}, {5, 9, 0}]
    lines = harmony(piece, 2, (52, 67), voices=3)
    assert [{line[bar].pitch % 12 for line in lines} for bar in (0, 1)] == chords
    for note in arpeggio(piece, 2, (60, 72), 0.25, (0, 1, 2, 3)):
        assert note.pitch % 12 in chords[int(note.start_s // piece.bar_s)]
    assert {note.pitch % 12 for note in bass(np.random.default_rng(0), piece, 1)} <= {0, 7}


def test_dealt_notes_ring_until_their_line_plays_again():
    notes = [Note(0.5 * number, 0.5, 60.0 + number) for number in range(5)]
    first, second = deal(notes, 2)
    assert [note.pitch for note in first] == [60.0, 62.0, 64.0]
    assert first[0].length_s == pytest.approx(1.0)
    assert [note.pitch for note in second] == [61.0, 63.0]


def test_line_holds_the_pitch_of_its_note_and_is_silent_in_rests():
    notes = [Note(0.1, 0.4, 69.0), Note(0.7, 0.3, 81.0)]
    line = play(notes, Touch(attack_s=0.01), np.random.default_rng(0), SAMPLE_RATE_HZ, SAMPLE_RATE_HZ)
    assert line.frequency_hz[4800] == pytest.approx(440.0)
    assert line.frequency_hz[12800] == pytest.approx(880.0)
    assert line.level[9600] == 0.0
    assert line.level[4800] == pytest.approx(1.0)
    assert hertz(81.0) == pytest.approx(880.0)


def test_glide_carries_the_pitch_over_from_the_note_before():
    notes = [Note(0.0, 0.5, 60.0), Note(0.5, 0.5, 72.0)]
    line = play(notes, Touch(glide_s=0.05), np.random.default_rng(0), SAMPLE_RATE_HZ, SAMPLE_RATE_HZ)
    assert line.frequency_hz[8001] == pytest.approx(hertz(60.0), rel=0.01)
    assert line.frequency_hz[15900] == pytest.approx(hertz(72.0), rel=0.01)


def test_shine_is_the_sum_of_its_overtones():
    cycles = np.linspace(0.0, 2.0, 200)
    numbers = np.arange(1, 200)
    every = sum(0.7 ** (k - 1) * np.cos(2 * np.pi * k * cycles) / k for k in numbers)
    odd = sum(0.7 ** (k - 1) * np.cos(2 * np.pi * k * cycles) / k for k in numbers[::2])
    np.testing.assert_allclose(shine(cycles, 0.7), every, atol=1e-6)
    np.testing.assert_allclose(shine(cycles, 0.7, odd=True), odd, atol=1e-6)


def test_unknown_style_and_wrong_duration_are_refused():
    with pytest.raises(ValueError, match=r"unknown style 'polka'.*chiptune"):
        synthesize_music("polka", np.random.default_rng(0), 1.0)
    with pytest.raises(ValueError, match="must be positive"):
        synthesize_music("flute", np.random.default_rng(0), 0.0)
