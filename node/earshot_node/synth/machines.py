"""Horns, beepers, bells and engines."""

import numpy as np

from earshot_node.synth.filters import Samples, Track, low_pass_gain, peak_normalise, shape_spectrum, slow_noise
from earshot_node.synth.harmonics import Horn, Timbre, oscillate
from earshot_node.synth.notes import envelope, held_envelope, place, tone

SINE = Timbre(harmonics=1, drive=0.0)


def car_horn(rng: np.random.Generator, samples: int, sample_rate_hz: int) -> Samples:
    """Two reeds about a third apart, 350 to 520 Hz: one long blast or several short ones."""
    low_hz = float(rng.uniform(340.0, 430.0))
    ratio = float(rng.choice([1.0, 1.19, 1.26, 1.335], p=[0.15, 0.25, 0.4, 0.2]))
    timbre = Timbre(duty=float(rng.uniform(0.1, 0.3)), tilt_db_per_octave=float(rng.uniform(-1.0, 3.0)), harmonics=20)
    total = np.zeros(samples, dtype=np.float32)
    at = int(rng.uniform(0.0, 0.5) * sample_rate_hz)
    while at < samples:
        length = int(rng.choice([rng.uniform(0.1, 0.4), rng.uniform(0.6, 2.5)]) * sample_rate_hz)
        shape = held_envelope(length, sample_rate_hz, 0.015)
        sag = 1.0 - 0.02 * np.exp(-np.arange(length) / (0.03 * sample_rate_hz))
        blast = oscillate(low_hz * sag, sample_rate_hz, timbre)
        if ratio > 1.0:
            blast = blast + oscillate(low_hz * ratio * sag, sample_rate_hz, timbre, 0.37)
        place(total, (blast * shape).astype(np.float32), at)
        at += length + int(rng.uniform(0.1, 1.5) * sample_rate_hz)
    return Horn(low_hz=500.0, high_hz=4500.0, low_order=1, resonances=((2200.0, 6.0),)).radiate(total, sample_rate_hz)


HORN_CHORDS_HZ = (
    (311.1, 370.0, 415.3, 493.9, 622.3),  # Nathan K5LA, North American locomotives: B major sixth
    (311.1, 370.0, 440.0),  # three-chime locomotive horn, a diminished chord
    (370.0, 311.1),  # British two-tone locomotive horn, one after the other
    (250.0, 310.0),  # lorry, two trumpets
    (130.0, 165.0),  # ferry
)


def horn_chord(rng: np.random.Generator, samples: int, sample_rate_hz: int) -> Samples:
    """Air horns of lorries, locomotives and ships: trumpets tuned to a chord, blown for 0.5 to 3 s."""
    pitches_hz = HORN_CHORDS_HZ[int(rng.integers(len(HORN_CHORDS_HZ)))]
    in_turn = len(pitches_hz) == 2 and pitches_hz[0] > pitches_hz[1]
    tuning = float(rng.uniform(0.9, 1.12))
    timbre = Timbre(duty=float(rng.uniform(0.12, 0.3)), tilt_db_per_octave=float(rng.uniform(-3.0, 1.0)), harmonics=24)
    total = np.zeros(samples, dtype=np.float32)
    at = int(rng.uniform(0.0, 0.6) * sample_rate_hz)
    while at < samples:
        length = int(rng.choice([rng.uniform(0.4, 1.0), rng.uniform(1.0, 3.0)]) * sample_rate_hz)
        shape = held_envelope(length, sample_rate_hz, 0.06)
        sag = 1.0 - 0.04 * np.exp(-np.arange(length) / (0.08 * sample_rate_hz))
        for number, pitch_hz in enumerate(pitches_hz):
            wobble = 1.0 + 0.002 * slow_noise(rng, length, sample_rate_hz, 10.0)
            note = oscillate(pitch_hz * tuning * sag * wobble, sample_rate_hz, timbre, float(rng.uniform()))
            place(total, (note * shape).astype(np.float32), at + number * length if in_turn else at)
        at += length * (2 if in_turn else 1) + int(rng.uniform(0.2, 2.5) * sample_rate_hz)
    return Horn(low_hz=250.0, high_hz=5000.0, low_order=1, resonances=((1800.0, 5.0),)).radiate(total, sample_rate_hz)


def electric_motor(rng: np.random.Generator, samples: int, sample_rate_hz: int) -> Samples:
    """A drill, grinder, vacuum cleaner or tram: a whine that spins up within a second or three, holds and runs down."""
    top_hz, start_up_s = float(rng.uniform(200.0, 900.0)), float(rng.uniform(0.2, 2.0))
    times_s, speeds, at_s = [0.0], [0.05], float(rng.uniform(0.0, 0.5))
    while at_s < samples / sample_rate_hz:
        held_s = float(rng.uniform(0.3, 4.0))
        for step_s, reached in ((0.0, 0.05), (start_up_s, 1.0), (held_s, 0.97), (2.0 * start_up_s, 0.05)):
            at_s += step_s
            times_s.append(at_s)
            speeds.append(reached)
        at_s += float(rng.uniform(0.2, 1.5))
    speed = np.interp(np.arange(samples) / sample_rate_hz, times_s, speeds)
    speed = speed * (1.0 + 0.01 * slow_noise(rng, samples, sample_rate_hz, 8.0))
    whine = np.zeros(samples)
    for ratio, gain in (
        (0.25, 0.5),
        (1.0, 1.0),
        (float(rng.uniform(1.5, 3.5)), 0.7),
        (float(rng.uniform(4.0, 7.0)), 0.4),
    ):
        whine += gain * oscillate(top_hz * ratio * speed, sample_rate_hz, SINE, float(rng.uniform()))
    roughness = 1.0 + 0.4 * slow_noise(rng, samples, sample_rate_hz, 120.0)
    brushes = shape_spectrum(rng.standard_normal(samples), sample_rate_hz, lambda hz: low_pass_gain(hz, 4000.0, 1))
    return peak_normalise(speed**2 * (roughness * whine + float(rng.uniform(1.0, 3.0)) * brushes))


def reversing_beeper(rng: np.random.Generator, samples: int, sample_rate_hz: int) -> Samples:
    """A lorry's reversing alarm: about 1 to 1.4 kHz, on and off for half a second each."""
    pitch_hz = float(rng.uniform(950.0, 1450.0))
    beep_s, pause_s = float(rng.uniform(0.25, 0.6)), float(rng.uniform(0.3, 0.6))
    timbre = Timbre(duty=0.5, tilt_db_per_octave=float(rng.uniform(-9.0, -2.0)), harmonics=7)
    length = int(beep_s * sample_rate_hz)
    beep = tone(pitch_hz, length, sample_rate_hz, timbre, held_envelope(length, sample_rate_hz, 0.008))
    total = np.zeros(samples, dtype=np.float32)
    for at in range(int(rng.uniform(0.0, 0.5) * sample_rate_hz), samples, int((beep_s + pause_s) * sample_rate_hz)):
        place(total, beep, at)
    return total


def ringtone(rng: np.random.Generator, samples: int, sample_rate_hz: int) -> Samples:
    """A phone's tune: a short motif of plucked notes that repeats."""
    scale = 2.0 ** (np.array([0, 2, 4, 7, 9, 12, 14]) / 12.0)
    base_hz = float(rng.uniform(500.0, 1000.0))
    motif_hz = base_hz * rng.choice(scale, int(rng.integers(4, 10)))
    step = int(rng.uniform(0.08, 0.2) * sample_rate_hz)
    timbre = Timbre(duty=float(rng.uniform(0.2, 0.5)), tilt_db_per_octave=-6.0, harmonics=6)
    length = int(0.35 * sample_rate_hz)
    shape = envelope(length, sample_rate_hz, 0.004, float(rng.uniform(0.06, 0.2)))
    notes = [tone(float(pitch_hz), length, sample_rate_hz, timbre, shape) for pitch_hz in motif_hz]
    total = np.zeros(samples, dtype=np.float32)
    rest = step * int(rng.integers(0, 6))
    for number, at in enumerate(range(0, samples, step)):
        place(total, notes[number % len(notes)], at + rest * (number // len(notes)))
    return total


def telephone(rng: np.random.Generator, samples: int, sample_rate_hz: int) -> Samples:
    """An electronic warble or a bell: two tones that alternate 15 to 25 times a second, 1 to 2 s at a time."""
    low_hz, warble_hz = float(rng.uniform(600.0, 1600.0)), float(rng.uniform(15.0, 25.0))
    ratio = float(rng.uniform(1.15, 1.4))
    ring_s, pause_s = float(rng.uniform(0.8, 2.0)), float(rng.uniform(0.6, 2.5))
    time_s = np.arange(int(ring_s * sample_rate_hz)) / sample_rate_hz
    pitch_hz = np.where((time_s * warble_hz) % 1.0 < 0.5, low_hz, low_hz * ratio)
    timbre = Timbre(duty=0.5, tilt_db_per_octave=float(rng.uniform(-10.0, -3.0)), harmonics=7)
    ring = oscillate(pitch_hz, sample_rate_hz, timbre) * held_envelope(len(time_s), sample_rate_hz, 0.01)
    total = np.zeros(samples, dtype=np.float32)
    for at in range(int(rng.uniform(0.0, 0.5) * sample_rate_hz), samples, int((ring_s + pause_s) * sample_rate_hz)):
        place(total, ring.astype(np.float32), at)
    return total


def doorbell(rng: np.random.Generator, samples: int, sample_rate_hz: int) -> Samples:
    """Ding-dong: two struck bars a third apart, falling."""
    high_hz = float(rng.uniform(550.0, 900.0))
    gap = int(rng.uniform(0.35, 0.8) * sample_rate_hz)
    length = int(2.0 * sample_rate_hz)
    shape = envelope(length, sample_rate_hz, 0.003, float(rng.uniform(0.3, 0.7)))
    total = np.zeros(samples, dtype=np.float32)
    at = int(rng.uniform(0.0, 0.8) * sample_rate_hz)
    while at < samples:
        for start, pitch_hz in ((at, high_hz), (at + gap, high_hz * 0.794)):
            for partial, gain in ((1.0, 1.0), (2.76, 0.25), (5.4, 0.08)):
                place(total, tone(pitch_hz * partial, length, sample_rate_hz, SINE, shape), start, gain)
        at += int(rng.uniform(2.0, 4.0) * sample_rate_hz)
    return total


def engine(rng: np.random.Generator, samples: int, sample_rate_hz: int) -> Samples:
    """A motor that idles and revs: a low pulse train with wobbling rate, and noise."""
    idle_hz = float(rng.uniform(25.0, 70.0))
    revving = np.exp(0.35 * np.abs(slow_noise(rng, samples, sample_rate_hz, float(rng.uniform(0.3, 1.0)))))
    rate_hz = idle_hz * revving * (1.0 + 0.03 * slow_noise(rng, samples, sample_rate_hz, 12.0))
    return _firing(rng, rate_hz, sample_rate_hz, noise=0.15)


def chainsaw(rng: np.random.Generator, samples: int, sample_rate_hz: int) -> Samples:
    """A two-stroke motor, 90 to 220 Hz, that howls up under throttle and sags in the wood."""
    throttle = np.clip(0.5 + 0.6 * slow_noise(rng, samples, sample_rate_hz, float(rng.uniform(0.4, 1.5))), 0.0, 1.0)
    rate_hz = float(rng.uniform(90.0, 130.0)) * (1.0 + 0.8 * throttle)
    rate_hz = rate_hz * (1.0 + 0.02 * slow_noise(rng, samples, sample_rate_hz, 30.0))
    return _firing(rng, rate_hz, sample_rate_hz, noise=0.3)


def _firing(rng: np.random.Generator, rate_hz: Track, sample_rate_hz: int, noise: float) -> Samples:
    """A pulse train at the firing rate whose pulses differ in strength, over noise that follows it."""
    timbre = Timbre(duty=float(rng.uniform(0.05, 0.2)), tilt_db_per_octave=float(rng.uniform(-3.0, 0.0)), harmonics=32)
    pulses = oscillate(rate_hz, sample_rate_hz, timbre)
    pulses = pulses + 0.5 * oscillate(0.5 * rate_hz, sample_rate_hz, timbre, 0.2)
    unevenness = 1.0 + 0.25 * slow_noise(rng, len(rate_hz), sample_rate_hz, 40.0)
    breath = noise * np.abs(pulses) * rng.standard_normal(len(rate_hz))
    exhaust_hz = float(rng.uniform(900.0, 2500.0))
    muffled = shape_spectrum(pulses * unevenness + breath, sample_rate_hz, lambda hz: low_pass_gain(hz, exhaust_hz, 1))
    return peak_normalise(muffled)
