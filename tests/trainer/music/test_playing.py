"""A real SoundFont by FluidSynth: pitch, time and order are what a piece says."""

from pathlib import Path

import numpy as np
import pytest
from support.soundfonts import SOUNDFONT

from earshot_node.errors import OperatorError
from earshot_trainer.music.composing import GLIDE_TURN, WHEEL_SEMITONES, WHEEL_TURN, Note, Part, Piece
from earshot_trainer.music.playing import Samples, SoundFontPlayer

pytestmark = pytest.mark.soundfont
RATE_HZ = 16000
ORGAN = 19


@pytest.fixture
def player():
    with SoundFontPlayer(SOUNDFONT) as one:
        yield one


def _organ(*notes: Note) -> Piece:
    return Piece((Part(ORGAN, "held", notes),), 3.0)


def _loudest_hz(samples: Samples, near_hz: float) -> float:
    """The loudest frequency within half an octave."""
    power = np.abs(np.fft.rfft(samples * np.hanning(len(samples)), 8 * len(samples)))
    hz = np.fft.rfftfreq(8 * len(samples), 1 / RATE_HZ)
    inside = (hz > near_hz / 1.4) & (hz < near_hz * 1.4)
    return float(hz[inside][np.argmax(power[inside])])


def test_a_key_sounds_at_its_pitch_and_for_its_time(player: SoundFontPlayer) -> None:
    samples = player.play(_organ(Note(0.5, 1.5, 69, 100)))
    assert samples.dtype == np.float32
    assert len(samples) == 3 * RATE_HZ
    assert np.abs(samples[: int(0.49 * RATE_HZ)]).max() < 1e-3
    sounding = samples[int(0.8 * RATE_HZ) : int(1.4 * RATE_HZ)]
    assert _loudest_hz(sounding, 440.0) == pytest.approx(440.0, rel=0.01)
    assert np.sqrt(np.mean(samples[int(2.7 * RATE_HZ) :] ** 2)) < 0.1 * np.sqrt(np.mean(sounding**2))


def test_a_glide_ends_higher_and_the_next_note_begins_in_tune(player: SoundFontPlayer) -> None:
    samples = player.play(_organ(Note(0.0, 1.5, 69, 100, GLIDE_TURN, 1.2), Note(1.7, 2.9, 69, 100)))
    highest = 440.0 * 2 ** (GLIDE_TURN / 8192 * 2 / 12)
    assert _loudest_hz(samples[int(1.25 * RATE_HZ) : int(1.5 * RATE_HZ)], 440.0) == pytest.approx(highest, rel=0.01)
    assert _loudest_hz(samples[int(2.0 * RATE_HZ) : int(2.8 * RATE_HZ)], 440.0) == pytest.approx(440.0, rel=0.01)


def test_a_slide_goes_as_far_as_the_part_says_and_the_next_piece_has_the_usual_wheel(player: SoundFontPlayer) -> None:
    slide = Part(ORGAN, "slides", (Note(0.0, 2.5, 69, 100, WHEEL_TURN, 1.0),), wheel_semitones=12)
    samples = player.play(Piece((slide,), 3.0))
    assert _loudest_hz(samples[int(1.2 * RATE_HZ) : int(2.4 * RATE_HZ)], 880.0) == pytest.approx(880.0, rel=0.01)
    half_way = _loudest_hz(samples[int(0.46 * RATE_HZ) : int(0.54 * RATE_HZ)], 622.0)
    assert half_way == pytest.approx(440.0 * 2**0.5, rel=0.04)
    usual = player.play(_organ(Note(0.0, 2.5, 69, 100, WHEEL_TURN, 1.0)))
    highest = 440.0 * 2 ** (WHEEL_SEMITONES / 12)
    assert _loudest_hz(usual[int(1.2 * RATE_HZ) : int(2.4 * RATE_HZ)], 480.0) == pytest.approx(highest, rel=0.01)


def test_a_repeated_key_is_pressed_again_at_the_moment_it_is_released(player: SoundFontPlayer) -> None:
    samples = player.play(_organ(Note(0.0, 1.0, 69, 100), Note(1.0, 2.0, 69, 100)))
    again = samples[int(1.3 * RATE_HZ) : int(1.9 * RATE_HZ)]
    assert np.sqrt(np.mean(again**2)) > 0.01


def test_nothing_of_the_piece_before_is_heard(player: SoundFontPlayer) -> None:
    loud = Part(ORGAN, "held", (Note(0.0, 4.0, 60, 127), Note(0.0, 4.0, 64, 127)), volume=127, reverb=127)
    player.play(Piece((loud,), 3.0))
    assert np.abs(player.play(_organ(Note(1.0, 2.0, 69, 100)))[: int(0.9 * RATE_HZ)]).max() < 1e-3


def test_drums_are_drums(player: SoundFontPlayer) -> None:
    snare = player.play(Piece((Part(None, "drums", (Note(0.0, 0.1, 38, 120),)),), 1.0))
    flatness = np.exp(np.mean(np.log(np.abs(np.fft.rfft(snare[:4000])) + 1e-9))) / np.mean(
        np.abs(np.fft.rfft(snare[:4000]))
    )
    organ = player.play(_organ(Note(0.0, 1.0, 69, 100)))
    tonal = np.exp(np.mean(np.log(np.abs(np.fft.rfft(organ[:4000])) + 1e-9))) / np.mean(
        np.abs(np.fft.rfft(organ[:4000]))
    )
    assert flatness > 2 * tonal


def test_a_file_that_is_missing_or_no_soundfont_is_named(tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match=r"there is no SoundFont .*missing\.sf2"):
        SoundFontPlayer(tmp_path / "missing.sf2")
    wrong = tmp_path / "wrong.sf2"
    wrong.write_bytes(b"RIFF nothing")
    with pytest.raises(OperatorError, match=r"wrong\.sf2 is no SoundFont"):
        SoundFontPlayer(wrong)
