"""Sirens: frequencies where they should be, no clicks, repeatable, within limits."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from earshot_node.synth.harmonics import Horn, Timbre, oscillate
from earshot_node.synth.sirens import (
    KIND_SHARES,
    SAMPLE_RATE_HZ,
    SirenKind,
    SirenParameters,
    frequency_track,
    random_siren,
    synthesize,
    synthesize_crew,
)
from earshot_node.synth.two_tone import TWO_TONES

PURE = Timbre(harmonics=1, drive=0.0)
OPEN = Horn(low_hz=20.0, high_hz=8000.0, low_order=1)


def spectral_peak_hz(samples: np.ndarray) -> float:
    """Frequency of the strongest component, to a quarter of a bin of a padded transform."""
    length = 8 * len(samples)
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples)), length))
    return float(np.argmax(spectrum)) * SAMPLE_RATE_HZ / length


def pure(kind: SirenKind, low_hz: float, high_hz: float, period_s: float, **more: float) -> SirenParameters:
    return SirenParameters(kind, low_hz, high_hz, period_s, jitter=0.0, timbre=PURE, horn=OPEN, **more)


@pytest.mark.parametrize("kind", list(SirenKind))
def test_random_siren_of_every_kind_is_finite_peak_normalised_and_of_the_asked_length(kind):
    for seed in range(8):
        parameters = SirenParameters.random(kind, np.random.default_rng(seed))
        samples = synthesize(parameters, 2.5)
        assert samples.dtype == np.float32
        assert samples.shape == (40000,)
        assert np.isfinite(samples).all()
        assert np.max(np.abs(samples)) == pytest.approx(0.99, abs=1e-4)
        assert np.sqrt(np.mean(samples**2)) > 0.03


@pytest.mark.parametrize("kind", [SirenKind.WAIL, SirenKind.YELP, SirenKind.PHASER])
def test_sweep_reaches_both_ends_of_its_range_and_repeats_with_its_period(kind):
    parameters = pure(kind, 600.0, 1400.0, period_s=0.5, rise_share=0.4, curve=1.0)
    track = frequency_track(parameters, 16000)
    assert np.min(track) == pytest.approx(600.0, rel=0.01)
    assert np.max(track) == pytest.approx(1400.0, rel=0.01)
    np.testing.assert_allclose(track[:8000], track[8000:], rtol=1e-6)
    assert np.argmax(track[:8000]) / 8000 == pytest.approx(0.4, abs=0.01)


def test_spectral_peak_of_a_slow_wail_follows_the_frequency_track():
    parameters = pure(SirenKind.WAIL, 600.0, 1400.0, period_s=8.0, rise_share=0.5, curve=0.0)
    samples, track = synthesize(parameters, 4.0), frequency_track(parameters, 64000)
    for first in range(0, 64000 - 1600, 8000):
        part = slice(first, first + 1600)
        assert spectral_peak_hz(samples[part]) == pytest.approx(float(np.mean(track[part])), rel=0.01)


@pytest.mark.parametrize("standard", TWO_TONES, ids=lambda standard: standard.name)
def test_two_tone_siren_sounds_first_the_high_then_the_low_pitch_of_its_standard(standard):
    parameters = pure(SirenKind.HILO, standard.low_hz, standard.high_hz, 2.0 * standard.tone_s, rise_share=0.01)
    samples = synthesize(parameters, 2.0 * standard.tone_s)
    tone = round(standard.tone_s * SAMPLE_RATE_HZ)
    assert spectral_peak_hz(samples[: int(0.9 * tone)]) == pytest.approx(standard.high_hz, rel=0.005)
    assert spectral_peak_hz(samples[int(1.1 * tone) : int(1.9 * tone)]) == pytest.approx(standard.low_hz, rel=0.005)


def test_german_two_tone_sirens_keep_to_din_14610():
    german = [standard for standard in TWO_TONES if standard.rule == "DIN 14610"]
    assert len(german) == 2
    for standard in german:
        assert 360.0 <= standard.low_hz < standard.high_hz <= 630.0
        assert standard.high_hz / standard.low_hz == pytest.approx(4.0 / 3.0, rel=0.005)


def test_mechanical_siren_rises_faster_than_it_falls():
    parameters = pure(SirenKind.MECHANICAL, 300.0, 1000.0, period_s=10.0, rise_share=0.3)
    track = frequency_track(parameters, 160000)
    assert np.argmax(track) / 160000 == pytest.approx(0.3, abs=0.01)
    assert track[0] == pytest.approx(300.0, rel=0.01)
    assert np.all(np.diff(track[:47000]) >= 0.0)


def test_jump_of_frequency_makes_no_click():
    track = np.where(np.arange(16000) < 8000, 440.0, 1100.0)
    samples = oscillate(track, SAMPLE_RATE_HZ, PURE)
    largest_step = np.max(np.abs(np.diff(samples)))
    assert largest_step <= 2.0 * np.pi * 1100.0 / SAMPLE_RATE_HZ * PURE.amplitude(1) * 1.001


def test_crew_that_switches_modes_keeps_the_phase():
    parameters = pure(SirenKind.HILO, 435.0, 580.0, period_s=1.1, rise_share=0.01)
    samples = synthesize_crew(parameters, np.random.default_rng(3), 12.0)
    assert len(samples) == 12 * SAMPLE_RATE_HZ
    assert np.max(np.abs(np.diff(samples))) <= 2.0 * np.pi * 2000.0 / SAMPLE_RATE_HZ * 0.99


def test_harmonics_beyond_half_the_sample_rate_are_left_out():
    track = np.full(16000, 3000.0)
    samples = oscillate(track, SAMPLE_RATE_HZ, Timbre(duty=0.3, harmonics=16))
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    spectrum_hz = np.fft.rfftfreq(len(samples), 1.0 / SAMPLE_RATE_HZ)
    aliases = (np.abs(spectrum_hz - 3000.0) > 50.0) & (np.abs(spectrum_hz - 6000.0) > 50.0)
    assert np.max(spectrum[aliases]) < 1e-4 * np.max(spectrum)


def test_same_parameters_give_the_same_samples_and_another_seed_does_not():
    parameters = SirenParameters.random(SirenKind.WAIL, np.random.default_rng(5))
    np.testing.assert_array_equal(synthesize(parameters, 1.0), synthesize(parameters, 1.0))
    other = synthesize(replace(parameters, seed=parameters.seed + 1), 1.0)
    assert not np.array_equal(synthesize(parameters, 1.0), other)


def test_random_siren_is_repeatable_and_draws_every_kind():
    first, kind = random_siren(np.random.default_rng(9), 1.0)
    again, kind_again = random_siren(np.random.default_rng(9), 1.0)
    np.testing.assert_array_equal(first, again)
    assert kind == kind_again
    rng = np.random.default_rng(0)
    drawn = {random_siren(rng, 0.1)[1] for _ in range(200)}
    assert drawn == set(KIND_SHARES) == set(SirenKind)


def test_another_sample_rate_gives_the_same_pitch():
    parameters = pure(SirenKind.HILO, 435.0, 580.0, period_s=4.0, rise_share=0.01)
    samples = synthesize(parameters, 1.0, sample_rate_hz=48000)
    assert len(samples) == 48000
    spectrum = np.abs(np.fft.rfft(samples))
    assert float(np.argmax(spectrum)) == pytest.approx(580.0, abs=1.0)


@pytest.mark.parametrize(("duration_s", "sample_rate_hz"), [(0.0, 16000), (-1.0, 16000), (1.0, 0)])
def test_duration_or_rate_that_is_not_positive_is_refused(duration_s, sample_rate_hz):
    parameters = SirenParameters.random(SirenKind.YELP, np.random.default_rng(0))
    with pytest.raises(ValueError, match="must be positive"):
        synthesize(parameters, duration_s, sample_rate_hz)


def test_synthesis_imports_numpy_and_nothing_heavier():
    code = (
        "import sys; import earshot_node.synth.scene, earshot_node.synth.reference;"
        "print([m for m in ('torch', 'scipy', 'soundfile', 'onnxruntime', 'aiohttp') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
