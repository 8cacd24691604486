"""Acoustics against their formulas."""

import numpy as np
import pytest

from earshot_node.synth.acoustics import (
    REFERENCE_DISTANCE_M,
    SPEED_OF_SOUND_M_S,
    Passage,
    Street,
    absorb_air,
    air_absorption_db,
    close_window,
    doppler_ratio,
    echo_response,
    mix,
    pass_by,
    random_street,
    random_town,
    reverberate,
    travel,
)
from earshot_node.synth.filters import SILENCE_DBFS, rms_dbfs, set_level

RATE_HZ = 16000


def sine(pitch_hz: float, duration_s: float) -> np.ndarray:
    return np.sin(2.0 * np.pi * pitch_hz * np.arange(int(duration_s * RATE_HZ)) / RATE_HZ).astype(np.float32)


def pitch_hz(samples: np.ndarray) -> float:
    length = 16 * len(samples)
    return float(np.argmax(np.abs(np.fft.rfft(samples * np.hanning(len(samples)), length)))) * RATE_HZ / length


@pytest.mark.parametrize("speed_m_s", [10.0, 25.0, 40.0])
def test_doppler_shift_before_and_after_the_passage_follows_the_formula(speed_m_s):
    passage = Passage(speed_m_s, lateral_m=2.0, closest_s=4.0)
    heard = travel(sine(1000.0, 8.0), RATE_HZ, passage, absorb=False)
    approaching = pitch_hz(heard[2 * RATE_HZ : 3 * RATE_HZ])
    leaving = pitch_hz(heard[6 * RATE_HZ : 7 * RATE_HZ])
    assert approaching == pytest.approx(1000.0 / (1.0 - speed_m_s / SPEED_OF_SOUND_M_S), rel=0.002)
    assert leaving == pytest.approx(1000.0 / (1.0 + speed_m_s / SPEED_OF_SOUND_M_S), rel=0.002)


def test_doppler_ratio_is_one_at_the_closest_point():
    passage = Passage(20.0, lateral_m=10.0, closest_s=3.0)
    assert doppler_ratio(passage, 3.0) == 1.0
    assert doppler_ratio(passage, -100.0) == pytest.approx(1.0 / (1.0 - 20.0 / SPEED_OF_SOUND_M_S), rel=1e-4)
    assert doppler_ratio(passage, 100.0) == pytest.approx(1.0 / (1.0 + 20.0 / SPEED_OF_SOUND_M_S), rel=1e-4)


def test_standing_source_keeps_its_pitch_arrives_late_and_falls_with_distance():
    far = Passage(0.0, lateral_m=100.0, closest_s=0.0)
    heard = travel(sine(1000.0, 2.0), RATE_HZ, far, absorb=False)
    arrival = round(100.0 / SPEED_OF_SOUND_M_S * RATE_HZ)
    assert np.max(np.abs(heard[: arrival - 1])) == 0.0
    expected_dbfs = -3.01 + 20.0 * np.log10(REFERENCE_DISTANCE_M / 100.0)
    assert rms_dbfs(heard[arrival + 100 :]) == pytest.approx(expected_dbfs, abs=0.1)
    assert pitch_hz(heard[arrival + 100 :]) == pytest.approx(1000.0, rel=0.001)


@pytest.mark.parametrize("tone_hz", [500.0, 2000.0, 6000.0])
def test_fractional_delay_keeps_the_amplitude_up_to_six_kilohertz(tone_hz):
    delayed = travel(sine(tone_hz, 1.0), RATE_HZ, Passage(0.0, REFERENCE_DISTANCE_M + 0.0037, 0.0), absorb=False)
    assert rms_dbfs(delayed[2000:-2000]) == pytest.approx(-3.01, abs=0.3)


def test_doppler_shifted_tone_has_no_clicks_or_strong_side_tones():
    heard = travel(sine(1000.0, 4.0), RATE_HZ, Passage(15.0, 1000.0, 0.0), absorb=False)
    part = heard[-8192:] * np.hanning(8192)
    spectrum = np.abs(np.fft.rfft(part))
    hz = np.fft.rfftfreq(8192, 1.0 / RATE_HZ)
    assert np.max(spectrum[np.abs(hz - 1000.0) > 40.0]) < 1e-3 * np.max(spectrum)


def test_supersonic_source_is_refused():
    with pytest.raises(ValueError, match="below sound"):
        travel(sine(500.0, 0.5), RATE_HZ, Passage(400.0, 5.0, 0.0))


@pytest.mark.parametrize(("frequency_hz", "db_per_100_m"), [(1000.0, 0.47), (2000.0, 0.99), (4000.0, 2.97)])
def test_air_absorption_is_near_iso_9613(frequency_hz, db_per_100_m):
    assert air_absorption_db(np.array([frequency_hz]), 100.0)[0] == pytest.approx(db_per_100_m, abs=0.4)


def test_air_takes_the_predicted_level_from_a_tone_and_nothing_at_no_distance():
    tone = sine(4000.0, 1.0)
    at_zero = absorb_air(tone, RATE_HZ, np.zeros(len(tone)))
    np.testing.assert_allclose(at_zero, tone, atol=1e-5)
    far = absorb_air(tone, RATE_HZ, np.full(len(tone), 300.0))
    loss_db = rms_dbfs(tone) - rms_dbfs(far[1000:-1000])
    assert loss_db == pytest.approx(float(air_absorption_db(np.array([4000.0]), 300.0)[0]), abs=0.2)


def test_reflections_arrive_after_the_direct_sound():
    click = np.zeros(RATE_HZ, dtype=np.float32)
    click[100] = 1.0
    passage, street = Passage(0.0, 10.0, 0.0), Street(4.0, wall_m=-20.0, ground_reflection=0.5, wall_reflection=0.4)
    direct = travel(click, RATE_HZ, passage)
    echoes = pass_by(click, RATE_HZ, passage, street) - direct
    ground_at = 100 + np.hypot(10.0, 8.0) / SPEED_OF_SOUND_M_S * RATE_HZ
    wall_at = 100 + 50.0 / SPEED_OF_SOUND_M_S * RATE_HZ
    for expected_at in (ground_at, wall_at):
        near = np.abs(echoes[int(expected_at) - 8 : int(expected_at) + 9])
        assert np.argmax(near) - 8 == pytest.approx(0, abs=2)
        assert np.max(near) > 0.02


def test_echo_decays_sixty_decibel_in_its_reverberation_time_and_has_the_asked_energy():
    response = echo_response(np.random.default_rng(0), RATE_HZ, reverberation_s=1.0, reverberant_db=-6.0)
    tail = response.astype(np.float64).copy()
    tail[0] -= 1.0
    assert 10.0 * np.log10(np.sum(tail**2)) == pytest.approx(-6.0, abs=0.2)
    early, late = np.sum(tail[1600:3200] ** 2), np.sum(tail[9600:11200] ** 2)
    assert 10.0 * np.log10(early / late) == pytest.approx(30.0, abs=3.0)
    click = np.zeros(2000, dtype=np.float32)
    click[0] = 1.0
    np.testing.assert_allclose(reverberate(click, response), response[:2000], atol=1e-5)


def test_closed_window_takes_more_of_the_high_tones():
    losses_db = []
    for frequency_hz in (250.0, 1000.0, 4000.0):
        tone = sine(frequency_hz, 1.0)
        losses_db.append(rms_dbfs(tone[2000:-2000]) - rms_dbfs(close_window(tone, RATE_HZ)[2000:-2000]))
    assert losses_db == pytest.approx([12.0, 22.0, 32.0], abs=0.3)


def test_level_is_set_to_the_decibel_and_silence_stays_silent():
    assert rms_dbfs(set_level(sine(700.0, 1.0), -26.0)) == pytest.approx(-26.0, abs=0.01)
    silence = np.zeros(1000, dtype=np.float32)
    assert rms_dbfs(silence) == SILENCE_DBFS
    assert not np.any(set_level(silence, -20.0))


@pytest.mark.parametrize("place", [random_street, random_town])
def test_random_place_keeps_length_is_repeatable_and_sounds_from_the_first_moment(place):
    tone = sine(800.0, 3.0)
    for seed in range(5):
        heard = place(np.random.default_rng(seed), tone, RATE_HZ)
        assert heard.shape == tone.shape
        assert heard.dtype == np.float32
        assert np.isfinite(heard).all()
        np.testing.assert_array_equal(heard, place(np.random.default_rng(seed), tone, RATE_HZ))
        assert rms_dbfs(heard[:4000]) > rms_dbfs(heard) - 20.0


def test_in_a_town_one_tone_still_sounds_under_the_next():
    low, high = sine(500.0, 0.5), sine(700.0, 0.5)
    siren = np.concatenate([low, high] * 4)

    def low_under_high_db(heard):
        """Level of the low tone while the high one is sent, against its own turn; the middle half of each."""
        turns = heard.reshape(8, -1)[2:, 2000:6000] * np.hanning(4000)
        spectra = np.abs(np.fft.rfft(turns, 16000, axis=1))[:, 500]
        return 20.0 * np.log10(spectra[1::2].mean() / spectra[::2].mean())

    town = [low_under_high_db(random_town(np.random.default_rng(seed), siren, RATE_HZ)) for seed in range(8)]
    assert low_under_high_db(siren) < -50.0
    assert np.median(town) > -10.0, town


def test_mix_adds_and_refuses_different_lengths():
    one, two = np.ones(4, dtype=np.float32), np.full(4, 2.0, dtype=np.float32)
    np.testing.assert_array_equal(mix([one, two]), np.full(4, 3.0, dtype=np.float32))
    with pytest.raises(ValueError, match="differ in length"):
        mix([one, two[:3]])
    with pytest.raises(ValueError, match="nothing to mix"):
        mix([])
