"""Alarms of buildings keep the pulses and pitches of their standards."""

import numpy as np
import pytest

from earshot_node.synth.alarms import (
    ALARMS,
    CO_ALARM,
    FIRE_ALARM,
    SAMPLE_RATE_HZ,
    SMOKE_ALARM,
    random_alarm,
    synthesize_alarm,
)
from earshot_node.synth.filters import Samples


def pulses_s(samples: Samples) -> list[float]:
    """Lengths of the pulses that begin and end inside."""
    level = np.abs(samples).reshape(-1, 160).max(axis=1)
    edges = np.flatnonzero(np.diff((level > 0.1).astype(int)))
    if level[0] > 0.1:
        edges = edges[1:]
    return [float(last - first) * 0.01 for first, last in zip(edges[::2], edges[1::2], strict=False)]


def pauses_s(samples: Samples) -> list[float]:
    level = np.abs(samples).reshape(-1, 160).max(axis=1)
    edges = np.flatnonzero(np.diff((level > 0.1).astype(int)))
    first = 1 if level[0] <= 0.1 else 0
    return [float(last - begin) * 0.01 for begin, last in zip(edges[first::2], edges[first + 1 :: 2], strict=False)]


@pytest.mark.parametrize("signal", ALARMS, ids=lambda signal: signal.name)
def test_alarm_is_finite_peak_normalised_repeatable_and_of_the_asked_length(signal):
    for duration_s, rate_hz in ((3.0, SAMPLE_RATE_HZ), (0.3333, 22050)):
        samples = synthesize_alarm(signal.name, np.random.default_rng(3), duration_s, rate_hz)
        again = synthesize_alarm(signal.name, np.random.default_rng(3), duration_s, rate_hz)
        assert samples.dtype == np.float32
        assert len(samples) == round(duration_s * rate_hz)
        assert np.isfinite(samples).all()
        np.testing.assert_array_equal(samples, again)
    assert signal.rule


@pytest.mark.parametrize(
    ("name", "pulse_s", "pauses"), [("temporal_3", 0.5, (0.5, 1.5)), ("temporal_4", 0.1, (0.1, 5.0))]
)
def test_temporal_patterns_are_those_of_the_standards(name, pulse_s, pauses):
    samples = synthesize_alarm(name, np.random.default_rng(4), 16.0)
    assert pulses_s(samples) == pytest.approx([pulse_s] * len(pulses_s(samples)), rel=0.12, abs=0.02)
    short, long = pauses
    silences = pauses_s(samples)
    assert all(min(abs(silence - short), abs(silence - long)) < 0.1 * silence + 0.02 for silence in silences)
    longs = [index for index, silence in enumerate(silences) if silence > 0.5 * (short + long)]
    assert len(longs) >= 2
    assert set(np.diff(longs)) == {3 if name == "temporal_3" else 4}


def test_slow_whoop_rises_and_the_german_signal_falls():
    for name, direction in (("netherlands", 1.0), ("germany", -1.0)):
        samples = synthesize_alarm(name, np.random.default_rng(5), 8.0)
        window = np.hanning(1600)
        frames = samples[: len(samples) // 800 * 800 - 1600]
        spectra = [np.abs(np.fft.rfft(frames[at : at + 1600] * window)) for at in range(0, len(frames) - 1600, 800)]
        peaks_hz = [10.0 * float(np.argmax(spectrum[40:140]) + 40) for spectrum in spectra if spectrum.max() > 5.0]
        moves = np.sign(np.diff(peaks_hz))
        assert np.mean(moves == direction) > 0.6


def test_random_alarm_draws_every_signal_and_every_label():
    rng = np.random.default_rng(6)
    drawn = {random_alarm(rng, 0.05)[1] for _ in range(300)}
    assert drawn == set(ALARMS)
    assert {signal.label for signal in drawn} == {SMOKE_ALARM, CO_ALARM, FIRE_ALARM}


def test_unknown_alarm_and_wrong_duration_are_refused():
    with pytest.raises(ValueError, match=r"unknown alarm 'gong'.*temporal_3"):
        synthesize_alarm("gong", np.random.default_rng(0), 1.0)
    with pytest.raises(ValueError, match="must be positive"):
        synthesize_alarm("germany", np.random.default_rng(0), 0.0)


def test_even_pulses_keep_one_rhythm_and_each_alarm_has_its_own():
    rhythms = []
    for seed in range(12):
        samples = synthesize_alarm("pulses", np.random.default_rng(seed), 8.0)
        pulses, pauses = pulses_s(samples), pauses_s(samples)
        assert len(pulses) > 3
        assert np.ptp(pulses) <= 0.03
        assert np.ptp(pauses) <= 0.03
        rhythms.append((round(float(np.median(pulses)), 1), round(float(np.median(pauses)), 1)))
    assert len(set(rhythms)) > 6
