"""What happens to a sound between a street and a microphone.

Doppler by time-varying delay, spreading with distance, air absorption, single reflections, a room's
echo, a closed window. Distances are metres, positions relative to the microphone at the origin.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from earshot_node.synth.filters import Samples, Track, convolve, oversample, shape_spectrum

SPEED_OF_SOUND_M_S = 343.0
REFERENCE_DISTANCE_M = 10.0
NEAREST_M = 1.0
PATH_STEP_S = 0.01
ABSORPTION_FRAME_SAMPLES = 512


@dataclass(frozen=True)
class Passage:
    """A vehicle on a straight street: at `closest_s` it is `lateral_m` aside and `height_m` above the microphone."""

    speed_m_s: float
    lateral_m: float
    closest_s: float
    height_m: float = 0.0

    def distance_m(self, emission_s: Track) -> Track:
        """Distance to the microphone at each moment of emission."""
        along_m = (emission_s - self.closest_s) * self.speed_m_s
        return np.asarray(np.maximum(NEAREST_M, np.hypot(along_m, np.hypot(self.lateral_m, self.height_m))))

    def image_in_ground(self, microphone_height_m: float) -> "Passage":
        """The mirror source under the street, for a microphone `microphone_height_m` above it."""
        return replace(self, height_m=-2.0 * microphone_height_m - self.height_m)

    def image_in_wall(self, wall_m: float) -> "Passage":
        """The mirror source behind a house front that stands `wall_m` from the microphone."""
        return replace(self, lateral_m=2.0 * wall_m - self.lateral_m)


def reception_s(passage: Passage, emission_s: Track) -> Track:
    """When sound sent at `emission_s` arrives: t + distance(t) / c. Raises ValueError at supersonic speed."""
    if abs(passage.speed_m_s) >= SPEED_OF_SOUND_M_S:
        raise ValueError(f"speed {passage.speed_m_s} m/s: must stay below sound ({SPEED_OF_SOUND_M_S} m/s)")
    return np.asarray(emission_s + passage.distance_m(emission_s) / SPEED_OF_SOUND_M_S)


def doppler_ratio(passage: Passage, emission_s: float) -> float:
    """Heard over sent frequency for sound sent at `emission_s`: 1 / (1 + radial speed / c)."""
    along_m = (emission_s - passage.closest_s) * passage.speed_m_s
    distance_m = float(np.hypot(along_m, np.hypot(passage.lateral_m, passage.height_m)))
    radial_m_s = passage.speed_m_s * along_m / distance_m if distance_m > 0.0 else 0.0
    return 1.0 / (1.0 + radial_m_s / SPEED_OF_SOUND_M_S)


def travel(samples: Samples, sample_rate_hz: int, passage: Passage, absorb: bool = True) -> Samples:
    """The sound of a moving source as the microphone hears it; same length, same clock.

    Sample 0 of `samples` is sent at 0 s; nothing is heard before it arrives. Amplitude falls as 1/r and is
    unchanged at REFERENCE_DISTANCE_M; with `absorb` the air takes high frequencies by distance.
    """
    duration_s = len(samples) / sample_rate_hz
    longest_s = float(np.max(passage.distance_m(np.array([0.0, duration_s])))) / SPEED_OF_SOUND_M_S
    sent_s = np.arange(-longest_s - 1.0, duration_s + 1.0, PATH_STEP_S)
    heard_s = np.arange(len(samples)) / sample_rate_hz
    emission_s = np.interp(heard_s, reception_s(passage, sent_s), sent_s)
    distance_m = passage.distance_m(emission_s)
    moved = _read_at(samples, emission_s * sample_rate_hz)
    spread: Samples = np.asarray(moved * (REFERENCE_DISTANCE_M / distance_m), dtype=np.float32)
    return absorb_air(spread, sample_rate_hz, distance_m) if absorb else spread


def _read_at(samples: Samples, positions: Track) -> Track:
    """The signal between its samples: twofold oversampling, then third-order Lagrange; zero outside."""
    fine = np.pad(oversample(samples), 2)
    at = np.clip(positions * 2.0, -1.0, 2.0 * len(samples)) + 2.0
    whole = np.clip(at.astype(np.int64), 1, len(fine) - 3)
    part = at - whole
    before, here, after, last = fine[whole - 1], fine[whole], fine[whole + 1], fine[whole + 2]
    cubic = (last - before) / 6.0 + 0.5 * (here - after)
    square = 0.5 * (before + after) - here
    slope = after - before / 3.0 - 0.5 * here - last / 6.0
    value = ((cubic * part + square) * part + slope) * part + here
    return np.asarray(np.where((positions >= 0.0) & (positions <= len(samples) - 1), value, 0.0))


def air_absorption_db(frequency_hz: Track, distance_m: float) -> Track:
    """Loss in air at 20 degrees and 50 % humidity: a fit to ISO 9613-1, within 0.4 dB per 100 m up to 8 kHz."""
    kilohertz = frequency_hz / 1000.0
    return np.asarray((0.3 * kilohertz + 0.125 * kilohertz**2) * distance_m / 100.0)


def absorb_air(samples: Samples, sample_rate_hz: int, distance_m: Track) -> Samples:
    """Low-pass by distance, one value a sample: overlapping frames, each with the loss at its centre."""
    size, hop = ABSORPTION_FRAME_SAMPLES, ABSORPTION_FRAME_SAMPLES // 2
    frames = len(samples) // hop + 2
    padded = np.pad(samples, (hop, frames * hop + size - len(samples)))
    window = np.sin(np.pi * (np.arange(size) + 0.5) / size).astype(np.float32)
    frequency_hz = np.linspace(0.0, sample_rate_hz / 2.0, size // 2 + 1)
    centres = np.clip(np.arange(frames) * hop, 0, len(samples) - 1)
    loss_db = air_absorption_db(frequency_hz, 1.0)[None, :] * distance_m[centres][:, None]
    starts = np.arange(frames)[:, None] * hop + np.arange(size)[None, :]
    spectra = np.fft.rfft(padded[starts] * window, axis=1) * 10.0 ** (-loss_db / 20.0)
    pieces = np.fft.irfft(spectra, size, axis=1) * window
    result = np.zeros((frames + 1) * hop)
    result[: frames * hop] += pieces[:, :hop].ravel()
    result[hop:] += pieces[:, hop:].ravel()
    return result[hop : hop + len(samples)].astype(np.float32)


@dataclass(frozen=True)
class Street:
    """Surroundings of the microphone: height above the ground, opposite house front, their reflection factors."""

    microphone_height_m: float = 4.0
    wall_m: float = 18.0
    ground_reflection: float = 0.5
    wall_reflection: float = 0.35


def pass_by(samples: Samples, sample_rate_hz: int, passage: Passage, street: Street | None = None) -> Samples:
    """Direct sound plus one reflection each from the ground and the opposite wall (direct only without a street)."""
    heard = travel(samples, sample_rate_hz, passage)
    if street is None:
        return heard
    ground = travel(samples, sample_rate_hz, passage.image_in_ground(street.microphone_height_m))
    wall = travel(samples, sample_rate_hz, passage.image_in_wall(street.wall_m))
    heard += np.float32(street.ground_reflection) * ground
    heard += np.float32(street.wall_reflection) * wall
    return heard


def echo_response(
    rng: np.random.Generator, sample_rate_hz: int, reverberation_s: float, reverberant_db: float
) -> Samples:
    """Impulse response: a direct impulse of 1 and exponentially decaying noise.

    The noise falls 60 dB in `reverberation_s`, loses high frequencies, and carries `reverberant_db` relative
    to the direct sound's energy.
    """
    length = max(1, int(reverberation_s * sample_rate_hz))
    decay = 10.0 ** (-3.0 * np.arange(length) / length)
    tail = (rng.standard_normal(length) * decay).astype(np.float32)
    tail = shape_spectrum(tail, sample_rate_hz, lambda hz: np.asarray(1.0 / np.sqrt(1.0 + (hz / 2500.0) ** 2)))
    tail *= np.float32(10.0 ** (reverberant_db / 20.0) / np.sqrt(np.sum(np.square(tail)) + 1e-20))
    tail[0] += 1.0
    return tail


def reverberate(samples: Samples, response: Samples) -> Samples:
    """Convolution with an impulse response, cut to the input's length."""
    return convolve(samples, response)


def random_street(rng: np.random.Generator, samples: Samples, sample_rate_hz: int) -> Samples:
    """The sound from a vehicle somewhere in a street: moving, reflected, with the street's echo; same length.

    The vehicle is under way when the sound begins: it has already been heard at sample 0.
    """
    lead = min(len(samples), sample_rate_hz)
    passage = Passage(
        speed_m_s=float(rng.uniform(2.0, 22.0)),
        lateral_m=float(rng.uniform(4.0, 40.0)),
        closest_s=lead / sample_rate_hz * float(rng.uniform(-2.0, 9.0)),
    )
    street = Street(
        microphone_height_m=float(rng.uniform(1.5, 12.0)),
        wall_m=-float(rng.uniform(2.0, 25.0)),
        ground_reflection=float(rng.uniform(0.3, 0.8)),
        wall_reflection=float(rng.uniform(0.2, 0.7)),
    )
    heard = pass_by(np.concatenate([samples[:lead], samples]), sample_rate_hz, passage, street)[lead:]
    echo = echo_response(rng, sample_rate_hz, float(rng.uniform(0.4, 1.5)), float(rng.uniform(-9.0, 2.0)))
    return reverberate(heard, echo)


def random_town(rng: np.random.Generator, samples: Samples, sample_rate_hz: int) -> Samples:
    """The sound from far off across a town: what its fronts and slopes send back outlasts and may bury it; same length.

    The echo rings for 1.5 to 6 s at up to 12 dB above what comes straight, over 80 to 500 m of air; nothing moves. Each
    tone still sounds under the next one, so that a two-tone siren becomes rows of steady lines. The sound has been
    going on: its last four seconds are heard before sample 0.
    """
    lead = min(len(samples), 4 * sample_rate_hz)
    sent = np.concatenate([samples[-lead:], samples])
    heard = absorb_air(sent, sample_rate_hz, np.full(len(sent), rng.uniform(80.0, 500.0)))
    echo = echo_response(rng, sample_rate_hz, float(rng.uniform(1.5, 6.0)), float(rng.uniform(0.0, 12.0)))
    return reverberate(heard, echo)[lead:]


def close_window(samples: Samples, sample_rate_hz: int, loss_db: float = 12.0) -> Samples:
    """Through a closed window: `loss_db` at 250 Hz and about 5 dB more with each octave above."""

    def gain(frequency_hz: Track) -> Track:
        octaves = np.log2(np.maximum(frequency_hz, 62.5) / 250.0)
        return np.asarray(10.0 ** (-(loss_db + 5.0 * np.maximum(octaves, -1.0)) / 20.0))

    return shape_spectrum(samples, sample_rate_hz, gain)


def mix(parts: Sequence[Samples]) -> Samples:
    """The sum of equally long signals, float32. Raises ValueError for none or different lengths."""
    if not parts:
        raise ValueError("nothing to mix")
    if len({len(part) for part in parts}) != 1:
        raise ValueError(f"signals to mix differ in length: {sorted({len(part) for part in parts})}")
    return np.asarray(np.sum(np.stack(parts), axis=0), dtype=np.float32)
