"""A scripted street: traffic and wind all the time, traps, and sirens that come, pass and go.

    scene = street_scene()                             # 60 s at 16 kHz
    scene.samples, scene.events                        # float32, what is to be heard when
    scene.write_wav(Path("street.wav"))

One seed gives one scene, on every machine to within rounding.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from earshot_node.synth.acoustics import Passage, Street, echo_response, pass_by, reverberate
from earshot_node.synth.audibility import Audible, audible_interval
from earshot_node.synth.filters import Samples, fade_edges, rms_dbfs, scale, set_level
from earshot_node.synth.sirens import SAMPLE_RATE_HZ, SirenKind, SirenParameters, synthesize
from earshot_node.synth.traps import synthesize_trap
from earshot_node.synth.weather import traffic, wind

DEFAULT_SEED = 3
CYCLE_S = 60.0
BACKGROUND_DBFS = -38.0
WIND_BELOW_TRAFFIC_DB = 5.0
FULL_SCALE = 0.95
STREET = Street(microphone_height_m=4.0, wall_m=-14.0, ground_reflection=0.45, wall_reflection=0.3)
LATER_TRAPS = ("car_horn", "ringtone", "reversing_beeper", "dog_bark", "bird_chirps", "doorbell", "engine", "telephone")
LATER_SIRENS = (SirenKind.WAIL, SirenKind.YELP, SirenKind.HILO)


@dataclass(frozen=True)
class SceneEvent:
    """A siren or a trap, and when it stands out from the background.

    Onset and offset are where its level in the siren band passes the background's (audibility.py). It is
    there, softer, from `present_from_s` to `present_until_s`: a detector with good ears may be early.
    """

    onset_s: float
    offset_s: float
    kind: str
    is_siren: bool
    peak_snr_db: float
    present_from_s: float
    present_until_s: float
    note: str


@dataclass(frozen=True)
class StreetScene:
    """The scene's sound, float32 within full scale, and its events in order of onset."""

    samples: Samples
    sample_rate_hz: int
    events: tuple[SceneEvent, ...]

    @property
    def duration_s(self) -> float:
        """Length of the scene."""
        return len(self.samples) / self.sample_rate_hz

    @property
    def sirens(self) -> tuple[SceneEvent, ...]:
        """The events that should alarm."""
        return tuple(event for event in self.events if event.is_siren)

    @property
    def traps(self) -> tuple[SceneEvent, ...]:
        """The events that should not."""
        return tuple(event for event in self.events if not event.is_siren)

    def write_wav(self, path: Path) -> None:
        """Write 16-bit PCM WAV. Raises OSError or soundfile's error when the place cannot be written."""
        import soundfile

        soundfile.write(path, self.samples, self.sample_rate_hz, subtype="PCM_16")


@dataclass(frozen=True)
class _Item:
    """One entry of the script, at `start_s` for `length_s`; `level_dbfs` is its loudest second."""

    start_s: float
    length_s: float
    kind: str
    level_dbfs: float
    note: str
    speed_m_s: float = 0.0  # above 0: a siren on a vehicle
    lateral_m: float = 12.0


SCRIPT = (
    _Item(2.5, 3.0, "car_horn", -26.0, "a driver sounds the horn"),
    _Item(6.0, 16.5, SirenKind.WAIL, -18.0, "wail, approaches and passes at 50 km/h, 12 m away", 14.0, 12.0),
    _Item(23.5, 4.5, "melody", -30.0, "music from an open window"),
    _Item(28.5, 12.0, SirenKind.YELP, -20.0, "yelp, passes at 60 km/h, 15 m away", 16.7, 15.0),
    _Item(41.0, 4.5, "reversing_beeper", -30.0, "a lorry reverses"),
    _Item(45.5, 13.5, SirenKind.HILO, -20.0, "two-tone, passes at 40 km/h, 10 m away", 11.0, 10.0),
)


def street_scene(
    seed: int = DEFAULT_SEED, duration_s: float = CYCLE_S, sample_rate_hz: int = SAMPLE_RATE_HZ
) -> StreetScene:
    """The scripted minute, repeated with other sirens and traps for longer durations.

    Entries that do not fit before `duration_s` are left out. Raises ValueError for a duration or sample
    rate that is not positive.
    """
    if duration_s <= 0.0 or sample_rate_hz <= 0:
        raise ValueError(f"duration {duration_s} s at {sample_rate_hz} Hz: both must be positive")
    samples = max(1, round(duration_s * sample_rate_hz))
    background = _background(np.random.default_rng([seed, 0]), samples, sample_rate_hz)
    total, events = background.copy(), []
    for number, item in enumerate(_script(seed, duration_s)):
        sound = _render(item, np.random.default_rng([seed, 1, number]), sample_rate_hz)
        first = round(item.start_s * sample_rate_hz)
        sound = sound[: samples - first]
        heard = audible_interval(sound, background[first : first + len(sound)], sample_rate_hz)
        total[first : first + len(sound)] += sound
        if heard is not None:
            events.append(_event(item, heard))
    peak = float(np.max(np.abs(total)))
    if peak > FULL_SCALE:
        total *= np.float32(FULL_SCALE / peak)
    return StreetScene(total, sample_rate_hz, tuple(sorted(events, key=lambda event: event.onset_s)))


def _event(item: _Item, heard: Audible) -> SceneEvent:
    return SceneEvent(
        onset_s=round(item.start_s + heard.onset_s, 3),
        offset_s=round(item.start_s + heard.offset_s, 3),
        kind=str(item.kind),
        is_siren=item.speed_m_s > 0.0,
        peak_snr_db=round(heard.peak_snr_db, 1),
        present_from_s=item.start_s,
        present_until_s=item.start_s + item.length_s,
        note=item.note,
    )


def _script(seed: int, duration_s: float) -> list[_Item]:
    """SCRIPT for the first minute; then the same times with kinds and speeds drawn anew."""
    items = []
    for cycle in range(int(np.ceil(duration_s / CYCLE_S))):
        rng = np.random.default_rng([seed, 2, cycle])
        for item in SCRIPT:
            moved = replace(item, start_s=item.start_s + cycle * CYCLE_S)
            if moved.start_s + moved.length_s <= duration_s:
                items.append(_redraw(moved, rng) if cycle > 0 else moved)
    return items


def _redraw(item: _Item, rng: np.random.Generator) -> _Item:
    if item.speed_m_s > 0.0:
        kind = LATER_SIRENS[int(rng.integers(len(LATER_SIRENS)))]
        speed_m_s, lateral_m = float(rng.uniform(10.0, 17.0)), float(rng.uniform(8.0, 25.0))
        note = f"{kind}, passes at {3.6 * speed_m_s:.0f} km/h, {lateral_m:.0f} m away"
        return replace(item, kind=kind, speed_m_s=speed_m_s, lateral_m=lateral_m, note=note)
    kind_of_trap = LATER_TRAPS[int(rng.integers(len(LATER_TRAPS)))]
    return replace(item, kind=kind_of_trap, note=kind_of_trap.replace("_", " "))


def _background(rng: np.random.Generator, samples: int, sample_rate_hz: int) -> Samples:
    road = set_level(traffic(rng, samples, sample_rate_hz), BACKGROUND_DBFS)
    air = set_level(wind(rng, samples, sample_rate_hz), BACKGROUND_DBFS - WIND_BELOW_TRAFFIC_DB)
    return set_level(road + air, BACKGROUND_DBFS)


def _render(item: _Item, rng: np.random.Generator, sample_rate_hz: int) -> Samples:
    if item.speed_m_s > 0.0:
        heard = _drive_past(item, rng, sample_rate_hz)
    else:
        heard = synthesize_trap(item.kind, rng, item.length_s, sample_rate_hz)
    echo = echo_response(rng, sample_rate_hz, reverberation_s=0.8, reverberant_db=-7.0)
    heard = fade_edges(reverberate(heard, echo), sample_rate_hz, 0.3)
    return scale(heard, item.level_dbfs - _loudest_second_dbfs(heard, sample_rate_hz))


def _drive_past(item: _Item, rng: np.random.Generator, sample_rate_hz: int) -> Samples:
    """A siren that turns into the street, passes in the middle, and turns off again."""
    parameters = SirenParameters.random(SirenKind(item.kind), rng)
    if parameters.kind is SirenKind.HILO:
        parameters = replace(parameters, low_hz=440.0, high_hz=586.7, period_s=1.1, beat_hz=0.0, region="germany")
    siren = synthesize(parameters, item.length_s, sample_rate_hz)
    passage = Passage(item.speed_m_s, item.lateral_m, closest_s=0.5 * item.length_s)
    heard = pass_by(siren, sample_rate_hz, passage, STREET)
    time_s = np.arange(len(heard)) / sample_rate_hz
    screening = np.sqrt(item.lateral_m / passage.distance_m(time_s))  # houses hide a far vehicle
    return fade_edges(np.asarray(heard * screening, dtype=np.float32), sample_rate_hz, 2.0)


def _loudest_second_dbfs(samples: Samples, sample_rate_hz: int) -> float:
    return max(rms_dbfs(samples[at : at + sample_rate_hz]) for at in range(0, len(samples), sample_rate_hz // 2))
