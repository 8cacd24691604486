"""Voices: dogs, babies, birds."""

import numpy as np

from earshot_node.synth.filters import Samples, Track, resonance_gain, shape_spectrum, slow_noise
from earshot_node.synth.harmonics import Timbre, oscillate
from earshot_node.synth.notes import envelope, held_envelope, place


def dog_bark(rng: np.random.Generator, samples: int, sample_rate_hz: int) -> Samples:
    """Short harsh barks, pitch jumping up and falling from 250 to 700 Hz, in bouts."""
    top_hz, throat_hz = float(rng.uniform(300.0, 700.0)), float(rng.uniform(700.0, 1500.0))
    timbre = Timbre(duty=float(rng.uniform(0.1, 0.3)), tilt_db_per_octave=-2.0, harmonics=20)
    total = np.zeros(samples, dtype=np.float32)
    at = int(rng.uniform(0.0, 0.6) * sample_rate_hz)
    while at < samples:
        length = int(rng.uniform(0.12, 0.3) * sample_rate_hz)
        position = np.arange(length) / length
        pitch_hz = top_hz * (0.6 + 0.8 * np.sin(np.pi * np.minimum(1.0, 0.25 + position)))
        pitch_hz = pitch_hz * (1.0 + 0.04 * slow_noise(rng, length, sample_rate_hz, 120.0))
        voice = oscillate(pitch_hz, sample_rate_hz, timbre) + 0.3 * rng.standard_normal(length)
        place(total, (voice * envelope(length, sample_rate_hz, 0.015, 0.08)).astype(np.float32), at)
        at += length + int(rng.choice([rng.uniform(0.15, 0.5), rng.uniform(0.6, 1.8)]) * sample_rate_hz)
    return _formants(total, sample_rate_hz, ((throat_hz, 12.0), (2.4 * throat_hz, 6.0)))


def baby_cry(rng: np.random.Generator, samples: int, sample_rate_hz: int) -> Samples:
    """Cries of half a second to two and a half, pitch arching or falling between 250 and 900 Hz with a tremble.

    Some break into a shriek up to two octaves higher, or into a hoarse noise. Breaths between.
    """
    pitch_hz = float(np.exp(rng.uniform(np.log(280.0), np.log(620.0))))
    timbre = Timbre(duty=float(rng.uniform(0.1, 0.4)), tilt_db_per_octave=float(rng.uniform(-8.0, 0.0)), harmonics=20)
    throat_hz, hoarse = float(rng.uniform(800.0, 1600.0)), float(rng.uniform(0.02, 0.25))
    shriek_share = float(rng.choice((0.0, 0.15, 0.5)))
    total = np.zeros(samples, dtype=np.float32)
    at = int(rng.uniform(0.0, 0.5) * sample_rate_hz)
    while at < samples:
        length = int(np.exp(rng.uniform(np.log(0.5), np.log(2.5))) * sample_rate_hz)
        track_hz = pitch_hz * _cry(rng, length, sample_rate_hz)
        if rng.random() < shriek_share:
            begin, end = sorted(rng.uniform(0.0, 1.0, 2) * length)
            track_hz[int(begin) : int(end)] *= float(rng.uniform(1.5, 4.0))
        cry = oscillate(track_hz, sample_rate_hz, timbre) + hoarse * rng.standard_normal(length)
        loudness = float(rng.uniform(0.5, 1.0))
        place(total, (cry * held_envelope(length, sample_rate_hz, 0.12)).astype(np.float32), at, loudness)
        gap = int(rng.uniform(0.15, 0.9) * sample_rate_hz)
        breath = rng.standard_normal(gap) * held_envelope(gap, sample_rate_hz, 0.05) * 0.08
        place(total, breath.astype(np.float32), at + length)
        at += length + gap
    return _formants(total, sample_rate_hz, ((throat_hz, 8.0), (float(rng.uniform(2.2, 3.0)) * throat_hz, 10.0)))


def _cry(rng: np.random.Generator, length: int, sample_rate_hz: int) -> Track:
    """A cry's pitch over the voice's own: it climbs, holds and falls, trembling."""
    position = np.arange(length) / length
    peak = float(rng.uniform(0.1, 0.6))
    arch = np.interp(
        position, (0.0, peak, 1.0), (rng.uniform(0.8, 1.0), rng.uniform(1.1, 1.5), rng.uniform(0.75, 1.05))
    )
    tremble = np.sin(2.0 * np.pi * float(rng.uniform(4.0, 10.0)) * np.arange(length) / sample_rate_hz)
    roughness = slow_noise(rng, length, sample_rate_hz, 60.0)
    return np.asarray(arch * (1.0 + float(rng.uniform(0.0, 0.03)) * tremble) * (1.0 + 0.012 * roughness))


def bird_chirps(rng: np.random.Generator, samples: int, sample_rate_hz: int) -> Samples:
    """Songbirds: phrases of quick sweeps between 2 and 7 kHz."""
    timbre = Timbre(duty=0.5, tilt_db_per_octave=-18.0, harmonics=2)
    total = np.zeros(samples, dtype=np.float32)
    at = 0
    while at < samples:
        low_hz, high_hz = sorted(rng.uniform(2000.0, 6800.0, 2))
        length = int(rng.uniform(0.04, 0.18) * sample_rate_hz)
        sweep = np.sin(np.pi * np.arange(length) / length) if rng.uniform() < 0.5 else np.arange(length) / length
        note = oscillate(low_hz + (high_hz - low_hz) * sweep, sample_rate_hz, timbre)
        note = (note * held_envelope(length, sample_rate_hz, 0.015)).astype(np.float32)
        gain = float(rng.uniform(0.2, 1.0))
        for _ in range(int(rng.integers(1, 9))):
            place(total, note, at, gain)
            at += length + int(rng.uniform(0.02, 0.08) * sample_rate_hz)
        at += int(rng.uniform(0.1, 1.0) * sample_rate_hz)
    return total


def howl(rng: np.random.Generator, samples: int, sample_rate_hz: int) -> Samples:
    """Wolves, howling dogs or a loon: one to three voices that rise, hold a wavering pitch for seconds, and fall."""
    loon = bool(rng.uniform() < 0.3)
    total = np.zeros(samples, dtype=np.float32)
    for _ in range(int(rng.integers(1, 4))):
        timbre = Timbre(duty=0.3, tilt_db_per_octave=float(rng.uniform(-14.0, -5.0)), harmonics=8)
        top_hz = float(rng.uniform(700.0, 1300.0) if loon else rng.uniform(350.0, 800.0))
        at = int(rng.uniform(0.0, 2.0) * sample_rate_hz)
        while at < samples:
            length_s = float(rng.uniform(0.8, 2.0) if loon else rng.uniform(1.5, 5.0))
            length = int(length_s * sample_rate_hz)
            times = np.array([0.0, 0.12, float(rng.uniform(0.3, 0.6)), 0.85, 1.0])
            steps = np.array([0.6, 0.97, 1.0, float(rng.uniform(0.85, 1.0)), 0.6])
            if loon:  # the voice breaks upwards
                times, steps = np.array([0.0, 0.3, 0.35, 0.8, 1.0]), np.array([0.68, 0.7, 1.0, 1.0, 0.75])
            pitch_hz = top_hz * np.interp(np.arange(length) / length, times, steps)
            pitch_hz = pitch_hz * (1.0 + 0.015 * slow_noise(rng, length, sample_rate_hz, 5.0))
            breath = 0.05 * rng.standard_normal(length)
            flutter = 1.0 + 0.2 * slow_noise(rng, length, sample_rate_hz, 12.0)
            voice = oscillate(pitch_hz, sample_rate_hz, timbre) * flutter + breath
            voice = voice * held_envelope(length, sample_rate_hz, 0.2)
            place(total, voice.astype(np.float32), at, float(rng.uniform(0.4, 1.0)))
            at += length + int(rng.uniform(0.3, 3.0) * sample_rate_hz)
    return total


def _formants(samples: Samples, sample_rate_hz: int, peaks: tuple[tuple[float, float], ...]) -> Samples:
    """Boost around each (centre_hz, gain_db)."""
    grid_hz = np.linspace(0.0, sample_rate_hz / 2.0, 1024)
    gain = np.ones_like(grid_hz)
    for centre_hz, gain_db in peaks:
        gain = gain * resonance_gain(grid_hz, centre_hz, gain_db, 0.4)
    return shape_spectrum(samples, sample_rate_hz, lambda hz: np.asarray(np.interp(hz, grid_hz, gain)))
