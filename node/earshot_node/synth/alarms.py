"""Alarms of buildings: smoke and carbon monoxide alarms, and the evacuation tones of sounders; labels of their own.

    samples, signal = random_alarm(rng, duration_s=6.0)       # float32, peak-normalised
    samples = synthesize_alarm("temporal_3", rng, duration_s=6.0)

Timings and pitches are those of `rule`, as the tone tables of two makers of sounders quote them too.
"""

from dataclasses import dataclass, replace

import numpy as np

from earshot_node.synth.filters import Samples, peak_normalise
from earshot_node.synth.harmonics import Horn, Timbre, oscillate

SAMPLE_RATE_HZ = 16000
EDGE_S = 0.005
SMOKE_ALARM, CO_ALARM, FIRE_ALARM = "smoke_alarm", "co_alarm", "fire_alarm"


@dataclass(frozen=True)
class Tone:
    """A tone that goes from `start_hz` to `end_hz` in `on_s`, and the silence after it."""

    start_hz: float
    end_hz: float
    on_s: float
    off_s: float = 0.0


@dataclass(frozen=True)
class AlarmSignal:
    """Tones that repeat without end; `label` is what a recording of it would be labelled.

    With `free_rhythm` each one's own is drawn, and `tones` are only an example.
    """

    name: str
    label: str
    tones: tuple[Tone, ...]
    rule: str
    free_rhythm: bool = False


def _pulses(pitch_hz: float, count: int, on_s: float, off_s: float, pause_s: float) -> tuple[Tone, ...]:
    short = Tone(pitch_hz, pitch_hz, on_s, off_s)
    return (short,) * (count - 1) + (replace(short, off_s=pause_s),)


PIEZO_HZ = 3100.0
ALARMS = (
    # Three pulses of 0.5 s, 0.5 s apart, then 1.5 s of silence; any pitch. A smoke alarm's disc sings at about 3.1 kHz;
    # where people sleep NFPA 72 (18.4.6) wants a square wave of 520 Hz.
    AlarmSignal(
        "temporal_3", SMOKE_ALARM, _pulses(PIEZO_HZ, 3, 0.5, 0.5, 1.5), "ISO 8201, ANSI/ASA S3.41, NFPA 72 (temporal-3)"
    ),
    AlarmSignal("temporal_3_low", SMOKE_ALARM, _pulses(520.0, 3, 0.5, 0.5, 1.5), "NFPA 72, 520 Hz square wave"),
    # Four pulses of 0.1 s, 0.1 s apart, every 5 s.
    AlarmSignal("temporal_4", CO_ALARM, _pulses(PIEZO_HZ, 4, 0.1, 0.1, 5.0), "NFPA 720 (now NFPA 72), UL 2034"),
    AlarmSignal("temporal_4_low", CO_ALARM, _pulses(520.0, 4, 0.1, 0.1, 5.0), "NFPA 720 (now NFPA 72), 520 Hz"),
    # Alarms for homes in Europe beep as their makers please, mostly evenly: see `_even_pulses`.
    AlarmSignal(
        "pulses",
        SMOKE_ALARM,
        (Tone(PIEZO_HZ, PIEZO_HZ, 0.3, 0.3),),
        "EN 14604, which names no rhythm",
        free_rhythm=True,
    ),
    AlarmSignal("sounder_t3", FIRE_ALARM, _pulses(970.0, 3, 0.5, 0.5, 1.5), "ISO 8201 by a sounder"),
    AlarmSignal("uk_evacuate", FIRE_ALARM, (Tone(970.0, 970.0, 1.0),), "BS 5839-1, continuous"),
    AlarmSignal("uk_alert", FIRE_ALARM, (Tone(950.0, 950.0, 1.0, 1.0),), "BS 5839-1, intermittent"),
    AlarmSignal("germany", FIRE_ALARM, (Tone(1200.0, 500.0, 1.0),), "DIN 33404-3, unified emergency signal"),
    AlarmSignal("netherlands", FIRE_ALARM, (Tone(500.0, 1200.0, 3.5, 0.5),), "NEN 2575, slow whoop"),
    AlarmSignal("france", FIRE_ALARM, (Tone(560.0, 560.0, 0.1), Tone(440.0, 440.0, 0.4)), "NF S 32-001"),
    AlarmSignal("sweden_danger", FIRE_ALARM, (Tone(500.0, 500.0, 0.15, 0.1),), "SS 03 17 11, No. 1"),
    AlarmSignal("sweden_local", FIRE_ALARM, (Tone(500.0, 500.0, 0.15, 0.6),), "SS 03 17 11, No. 6"),
    AlarmSignal("australia_alert", FIRE_ALARM, (Tone(420.0, 420.0, 0.6, 0.65),), "AS 2220"),
    AlarmSignal("australia_action", FIRE_ALARM, (Tone(500.0, 1200.0, 3.75, 0.25),), "AS 2220, slow whoop"),
    AlarmSignal("us_whoop", FIRE_ALARM, (Tone(422.0, 775.0, 0.85, 1.0),), "NFPA whoop"),
)
_BY_NAME = {signal.name: signal for signal in ALARMS}


def synthesize_alarm(
    name: str, rng: np.random.Generator, duration_s: float, sample_rate_hz: int = SAMPLE_RATE_HZ
) -> Samples:
    """The signal from a random moment on: float32[duration_s * sample_rate_hz], largest magnitude 0.99.

    Pitch and tempo stray by a few percent, as those of devices do (smoke alarms by more). Raises ValueError for an
    unknown name, or a duration or sample rate that is not positive.
    """
    if name not in _BY_NAME:
        raise ValueError(f"unknown alarm {name!r}: one of {', '.join(_BY_NAME)}")
    if duration_s <= 0.0 or sample_rate_hz <= 0:
        raise ValueError(f"duration {duration_s} s at {sample_rate_hz} Hz: both must be positive")
    signal, samples = _BY_NAME[name], max(1, round(duration_s * sample_rate_hz))
    if signal.free_rhythm:
        signal = _even_pulses(signal, rng)
    piezo = signal.tones[0].start_hz == PIEZO_HZ
    tuning = float(rng.uniform(0.88, 1.12)) if piezo else float(rng.uniform(0.97, 1.03))
    tempo = float(rng.uniform(0.95, 1.05))
    times_s, pitches_hz, levels = _corners(signal, float(rng.uniform()), tempo, duration_s)
    at_s = np.arange(samples) / sample_rate_hz
    pitch_hz = tuning * np.interp(at_s, times_s, pitches_hz)
    tone = oscillate(pitch_hz, sample_rate_hz, _timbre(signal, piezo, rng)) * np.interp(at_s, times_s, levels)
    resonance_hz = PIEZO_HZ * tuning if piezo else float(rng.uniform(1500.0, 3200.0))
    horn = Horn(400.0 if not piezo else 1500.0, 7000.0, 1, ((resonance_hz, float(rng.uniform(2.0, 8.0))),))
    return peak_normalise(horn.radiate(np.asarray(tone, dtype=np.float32), sample_rate_hz))


def random_alarm(
    rng: np.random.Generator, duration_s: float, sample_rate_hz: int = SAMPLE_RATE_HZ
) -> tuple[Samples, AlarmSignal]:
    """A random alarm: half of them smoke and carbon monoxide alarms, half sounders."""
    home = rng.uniform() < 0.5
    choices = [signal for signal in ALARMS if (signal.label != FIRE_ALARM) == home]
    signal = choices[int(rng.integers(len(choices)))]
    return synthesize_alarm(signal.name, rng, duration_s, sample_rate_hz), signal


def home_alarm(rng: np.random.Generator, samples: int, sample_rate_hz: int) -> Samples:
    """A smoke or carbon monoxide alarm, as a trap: no siren."""
    choices = [signal.name for signal in ALARMS if signal.label != FIRE_ALARM]
    name = choices[int(rng.integers(len(choices)))]
    return synthesize_alarm(name, rng, samples / sample_rate_hz, sample_rate_hz)


def _even_pulses(signal: AlarmSignal, rng: np.random.Generator) -> AlarmSignal:
    """Its rhythm drawn: pulses of .08 to .7 s, pauses of .06 to .7 s, three in ten with a falling pitch."""
    on_s, off_s = (float(np.exp(rng.uniform(*np.log(bounds)))) for bounds in ((0.08, 0.7), (0.06, 0.7)))
    end_hz = PIEZO_HZ * (float(rng.uniform(0.85, 1.0)) if rng.uniform() < 0.3 else 1.0)
    return replace(signal, tones=(Tone(PIEZO_HZ, end_hz, on_s, off_s),))


def _timbre(signal: AlarmSignal, piezo: bool, rng: np.random.Generator) -> Timbre:
    if piezo:
        return Timbre(duty=0.5, tilt_db_per_octave=float(rng.uniform(-18.0, -6.0)), harmonics=3)
    if signal.label != FIRE_ALARM:
        return Timbre(duty=0.5, tilt_db_per_octave=float(rng.uniform(-2.0, 0.0)), harmonics=15)
    return Timbre(duty=float(rng.uniform(0.3, 0.5)), tilt_db_per_octave=float(rng.uniform(-6.0, 1.0)), harmonics=12)


def _corners(
    signal: AlarmSignal, start_share: float, tempo: float, duration_s: float
) -> tuple[list[float], list[float], list[float]]:
    """Times, pitches and levels between which lines are straight; the signal begins `start_share` into a cycle."""
    cycle_s = tempo * sum(tone.on_s + tone.off_s for tone in signal.tones)
    at_s = -start_share * cycle_s
    times_s: list[float] = []
    pitches_hz: list[float] = []
    levels: list[float] = []
    while at_s < duration_s:
        for tone in signal.tones:
            on_s, edge_s = tempo * tone.on_s, min(EDGE_S, 0.1 * tone.on_s)
            held = 1.0 if tone.off_s == 0.0 else 0.0
            times_s += [at_s, at_s + edge_s, at_s + on_s - edge_s, at_s + on_s - 1e-6]
            pitches_hz += [tone.start_hz, tone.start_hz, tone.end_hz, tone.end_hz]
            levels += [held, 1.0, 1.0, held]
            at_s += tempo * (tone.on_s + tone.off_s)
    return times_s, pitches_hz, levels
