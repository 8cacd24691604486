"""Traps: every one sounds, repeats for a seed, and is what its name says."""

import numpy as np
import pytest

from earshot_node.synth.traps import SAMPLE_RATE_HZ, TRAPS, random_trap, synthesize_trap


@pytest.mark.parametrize("name", list(TRAPS))
def test_trap_is_finite_peak_normalised_repeatable_and_of_the_asked_length(name):
    for seed in range(4):
        samples = synthesize_trap(name, np.random.default_rng(seed), 3.0)
        assert samples.dtype == np.float32
        assert samples.shape == (48000,)
        assert np.isfinite(samples).all()
        assert np.max(np.abs(samples)) == pytest.approx(0.99, abs=1e-4)
        assert abs(samples[0]) < 0.05
        assert abs(samples[-1]) < 0.05
        np.testing.assert_array_equal(samples, synthesize_trap(name, np.random.default_rng(seed), 3.0))


@pytest.mark.parametrize("name", list(TRAPS))
def test_trap_survives_very_short_and_odd_lengths(name):
    for duration_s in (0.01, 0.3333):
        samples = synthesize_trap(name, np.random.default_rng(1), duration_s)
        assert len(samples) == round(duration_s * SAMPLE_RATE_HZ)
        assert np.isfinite(samples).all()


def test_random_trap_draws_every_trap():
    rng = np.random.default_rng(2)
    drawn = {random_trap(rng, 0.2)[1] for _ in range(300)}
    assert drawn == set(TRAPS)
    assert len(drawn) == 23


def test_reversing_beeper_is_a_pulsed_tone_near_one_kilohertz():
    samples = synthesize_trap("reversing_beeper", np.random.default_rng(3), 4.0)
    peak_hz = float(np.argmax(np.abs(np.fft.rfft(samples)))) / 4.0
    assert 900.0 < peak_hz < 1500.0
    loud = np.abs(samples).reshape(-1, 800).max(axis=1) > 0.1
    assert 0.25 < np.mean(loud) < 0.8


def test_traffic_is_mostly_rumble_a_sixteenth_of_the_band_holds_over_two_fifths_of_its_power():
    samples = synthesize_trap("traffic", np.random.default_rng(4), 8.0)
    power = np.abs(np.fft.rfft(samples)) ** 2
    hz = np.fft.rfftfreq(len(samples), 1.0 / SAMPLE_RATE_HZ)
    assert power[hz < 500.0].sum() > 0.4 * power.sum()


def test_swept_noise_ends_in_another_colour_than_it_began_with():
    """In most of many draws its power has moved by a third of an octave; that of plain noise stays."""
    moved = []
    for seed in range(20):
        samples = synthesize_trap("swept_noise", np.random.default_rng(seed), 8.0)
        moved.append(abs(_centroid_octaves(samples[-16000:]) - _centroid_octaves(samples[:16000])))
    noise = np.random.default_rng(1).standard_normal(128000)
    assert abs(_centroid_octaves(noise[-16000:]) - _centroid_octaves(noise[:16000])) < 0.1
    assert np.median(moved) > 0.3


def _centroid_octaves(samples):
    """Where the power lies, on average, in octaves."""
    power = np.abs(np.fft.rfft(samples)[50:]) ** 2
    hz = np.fft.rfftfreq(len(samples), 1.0 / SAMPLE_RATE_HZ)[50:]
    return float(np.sum(np.log2(hz) * power) / power.sum())


def test_unknown_trap_is_refused_with_the_names_that_exist():
    with pytest.raises(ValueError, match=r"unknown trap 'tuba'.*car_horn"):
        synthesize_trap("tuba", np.random.default_rng(0), 1.0)


def test_duration_that_is_not_positive_is_refused():
    with pytest.raises(ValueError, match="must be positive"):
        synthesize_trap("wind", np.random.default_rng(0), 0.0)
