"""Rooms, a street with a wall, a town in between, and a closed window.

A shoebox room is computed by image sources (Allen and Berkley, 1979) with one absorption for all walls and
frequencies; images are moved by a few centimetres so that late echoes do not line up into a sweep. The response begins
with the direct sound, so nothing is delayed.
"""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from earshot_node.audio.block import SAMPLE_RATE_HZ
from earshot_node.synth.acoustics import (
    SPEED_OF_SOUND_M_S,
    Passage,
    Street,
    absorb_air,
    close_window,
    echo_response,
    pass_by,
    reverberate,
)
from earshot_node.synth.filters import Samples, fast_length
from earshot_trainer.evaluate.conditions.background import mix_at
from earshot_trainer.evaluate.conditions.speed import hear_passage
from earshot_trainer.evaluate.conditions.take import REFERENCE_DBFS, Take, record, to_level

Point = tuple[float, float, float]
IMAGE_JITTER_M = 0.05
IMAGE_SEED = 1
BLOCKED_HZ = 100.0


@dataclass(frozen=True)
class Room:
    """A shoebox: size, source and microphone in metres from one corner, and how long sound takes to fall 60 dB."""

    size_m: Point
    source_m: Point
    microphone_m: Point
    reverberation_s: float


SMALL_ROOM = Room((4.0, 3.2, 2.5), (0.4, 1.4, 1.3), (3.1, 2.2, 1.1), 0.4)
LARGE_ROOM = Room((20.0, 12.0, 6.0), (3.0, 4.0, 1.7), (15.0, 8.0, 2.0), 1.6)
STREET = Street(microphone_height_m=4.0, wall_m=-12.0, ground_reflection=0.6, wall_reflection=0.6)
STREET_DISTANCE_M = 25.0
TOWN_DISTANCE_M = 250.0


def in_room(take: Take, rng: np.random.Generator, room: Room) -> Samples:
    """The sound in a room, at the reference level at the microphone."""
    return record(to_level(reverberate(take.sound, room_response(room)), take.active, REFERENCE_DBFS), rng)


def before_wall(take: Take, rng: np.random.Generator) -> Samples:
    """The sound from a standing vehicle: reflections from the ground and a house front, a street's echo, air."""
    standing = Passage(0.0, STREET_DISTANCE_M, 0.0)
    heard = hear_passage(take.sound, standing, lambda sent: pass_by(sent, SAMPLE_RATE_HZ, standing, STREET))
    echo = echo_response(rng, SAMPLE_RATE_HZ, reverberation_s=0.9, reverberant_db=-5.0)
    return record(to_level(reverberate(heard, echo), take.active, REFERENCE_DBFS), rng)


def across_town(take: Take, rng: np.random.Generator) -> Samples:
    """The sound from far off: air, and an echo that rings for 4 s and carries four times the direct sound's energy."""
    heard = absorb_air(take.sound, SAMPLE_RATE_HZ, np.full(len(take.sound), TOWN_DISTANCE_M))
    echo = echo_response(rng, SAMPLE_RATE_HZ, reverberation_s=4.0, reverberant_db=6.0)
    return record(to_level(reverberate(heard, echo), take.active, REFERENCE_DBFS), rng)


def behind_window(take: Take, rng: np.random.Generator) -> Samples:
    """The sound at the reference level outside, through a closed window into a small room; the loss stays."""
    outside = to_level(take.sound, take.active, REFERENCE_DBFS)
    return record(_indoors(outside), rng)


def behind_window_at_snr(take: Take, rng: np.random.Generator, snr_db: float) -> Samples:
    """The sound through a closed window, and inside a real background; the mix at the reference level."""
    inside = Take(_indoors(take.sound), take.active, take.background)
    return record(to_level(mix_at(inside, take.background, snr_db), take.active, REFERENCE_DBFS), rng)


def _indoors(outside: Samples) -> Samples:
    response = room_response(SMALL_ROOM)
    return reverberate(close_window(outside, SAMPLE_RATE_HZ), response / np.sqrt(np.sum(np.square(response))))


@lru_cache(maxsize=8)
def room_response(room: Room) -> Samples:
    """Impulse response at 16 kHz, float32, direct sound about 1 at sample 0, `reverberation_s` long."""
    distance_m, bounces = _images(room, room.reverberation_s * SPEED_OF_SOUND_M_S)
    direct_m = math.dist(room.source_m, room.microphone_m)
    jitter_m = np.random.default_rng(IMAGE_SEED).uniform(0.0, IMAGE_JITTER_M, len(distance_m))
    distance_m = np.where(bounces > 0, distance_m + jitter_m, direct_m)
    at = np.rint((distance_m - direct_m) / SPEED_OF_SOUND_M_S * SAMPLE_RATE_HZ).astype(np.int64)
    count = int(room.reverberation_s * SAMPLE_RATE_HZ)
    kept = (at >= 0) & (at < count)
    at, bounces, spread = at[kept], bounces[kept], (direct_m / distance_m)[kept]
    reflection = _find_reflection(room.reverberation_s, at, bounces, spread)
    response: NDArray[np.float64] = np.zeros(count)
    np.add.at(response, at, reflection**bounces * spread)
    return _block_dc(response)


def decay_time_s(power: NDArray[np.float64]) -> float:
    """Time to fall 60 dB, float[n] power at 16 kHz: three times that from -5 to -25 dB of what is still to come."""
    left = np.cumsum(power[::-1])[::-1]
    first, last = (int(np.argmax(left < left[0] * 10.0**exponent)) for exponent in (-0.5, -2.5))
    return 3.0 * (last - first) / SAMPLE_RATE_HZ


def _find_reflection(
    reverberation_s: float, at: NDArray[np.int64], bounces: NDArray[np.int64], spread: NDArray[np.float64]
) -> float:
    """Return the pressure reflection of the walls with which power falls 60 dB in `reverberation_s`, by bisection.

    Formulas for diffuse fields do not hold in a bare box: Eyring's gives nearly twice the time in the large room.
    """
    low, high = 0.05, 0.999
    for _ in range(16):
        middle = (low + high) / 2.0
        power: NDArray[np.float64] = np.zeros(at.max() + 1)
        np.add.at(power, at, np.square(middle**bounces * spread))
        low, high = (middle, high) if decay_time_s(power) < reverberation_s else (low, middle)
    return (low + high) / 2.0


def _block_dc(response: NDArray[np.float64]) -> Samples:
    """Causal first-order high-pass at `BLOCKED_HZ`: walls that never turn the sign pile up towards 0 Hz."""
    length = fast_length(2 * len(response))
    turn = np.exp(-2j * np.pi * np.fft.rfftfreq(length))
    pole = math.exp(-2.0 * math.pi * BLOCKED_HZ / SAMPLE_RATE_HZ)
    spectrum = np.fft.rfft(response, length) * (1.0 - turn) / (1.0 - pole * turn)
    return np.fft.irfft(spectrum, length)[: len(response)].astype(np.float32)


def _images(room: Room, reach_m: float) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Distance and number of reflections of every image source within `reach_m`."""
    squares, bounces = [], []
    for size, source, microphone in zip(room.size_m, room.source_m, room.microphone_m, strict=True):
        order = np.arange(-math.ceil(reach_m / size) - 1, math.ceil(reach_m / size) + 2)
        mirrored = order % 2 != 0
        position = np.where(mirrored, (order + 1) * size - source, order * size + source)
        squares.append((position - microphone) ** 2)
        bounces.append(np.abs(order))
    flat = squares[0][:, None] + squares[1][None, :]
    flat_bounces = bounces[0][:, None] + bounces[1][None, :]
    distances, counts = [], []
    for square, bounce in zip(squares[2], bounces[2], strict=True):
        near = flat + square <= reach_m**2
        distances.append(np.sqrt(flat[near] + square))
        counts.append(flat_bounces[near] + bounce)
    return np.concatenate(distances), np.concatenate(counts)
