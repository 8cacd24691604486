"""Which sounds are heard under changed conditions, and in which backgrounds.

Everything is drawn by seed and name: the same recordings give the same takes, in whatever order they are listed.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

import numpy as np
import soundfile

from earshot_node.audio.block import SAMPLE_RATE_HZ
from earshot_node.audio.pcm import Resampler
from earshot_node.errors import OperatorError
from earshot_node.synth.filters import Samples, fade_edges, rms_dbfs
from earshot_trainer.corpus.activity import active_frames
from earshot_trainer.corpus.recordings import Recording
from earshot_trainer.evaluate.conditions.take import LEAD_SAMPLES, SOUND_S, TAKE_SAMPLES, Mask, Take, fit
from earshot_trainer.network.architecture import HOP_SAMPLES

ACTIVE_RANGE_DB = 18.0
"""A recording sounds where it is within this range of its loudest part."""

LEAST_ACTIVE_S = 0.5
LEAST_BACKGROUND_DBFS = -60.0
BACKGROUND_TRIES = 12
FADE_S = 0.02
SOUND_FRAMES = round(SOUND_S * SAMPLE_RATE_HZ) // HOP_SAMPLES


@dataclass(frozen=True)
class PlannedTake:
    """A sound, where it will be heard, and the seed of all that is random about it."""

    recording: Recording
    background: Recording
    is_positive: bool
    seed: tuple[int, ...]

    def rng(self, purpose: str) -> np.random.Generator:
        """Return a generator of this take's own for one purpose."""
        return np.random.default_rng([*self.seed, crc32(purpose.encode())])


def what_is_missing(partition: Sequence[Recording], label: str) -> str:
    """Return what a partition lacks for takes with `label`; empty where it has everything."""
    without = [recording for recording in partition if label not in recording.labels]
    if len(without) == len(partition):
        return f"no recording with {label}"
    if not any(recording.kind == "clip" for recording in without):
        return f"no clip without {label}"
    if not any(recording.kind == "long" for recording in without):
        return f"no long recording without {label} as background"
    return ""


def plan_takes(partition: Sequence[Recording], label: str, seed: int, per_group: int) -> list[PlannedTake]:
    """Choose what is heard: recordings with `label`, at most `per_group` of a group, and as many clips without.

    Negative clips are drawn group by group. Every take gets one passage of a long recording without the label, each of
    these used once before one is used again.

    Raises:
        ValueError: the partition lacks something, see `what_is_missing`.
    """
    if missing := what_is_missing(partition, label):
        raise ValueError(missing)
    negatives = [recording for recording in partition if label not in recording.labels]
    kept = _at_most([recording for recording in partition if label in recording.labels], per_group, seed)
    opposed = _spread([recording for recording in negatives if recording.kind == "clip"], len(kept), seed)
    long = [recording for recording in negatives if recording.kind == "long"]
    backgrounds = _spread(long, len(kept) + len(opposed), seed)
    return [
        PlannedTake(recording, background, label in recording.labels, (seed, _number(recording)))
        for recording, background in zip([*kept, *opposed], backgrounds, strict=True)
    ]


def load_take(planned: PlannedTake) -> Take:
    """Read and cut what was planned.

    Raises:
        OperatorError: a file cannot be read, or no sound of `LEAST_ACTIVE_S` is in it.
    """
    sound, active = _cut_sound(planned)
    whole = np.zeros(TAKE_SAMPLES, dtype=np.float32)
    whole[LEAD_SAMPLES : LEAD_SAMPLES + len(sound)] = fade_edges(sound, SAMPLE_RATE_HZ, FADE_S)
    mask = np.zeros(TAKE_SAMPLES, dtype=np.bool_)
    mask[LEAD_SAMPLES : LEAD_SAMPLES + len(sound)] = active
    return Take(whole, mask, _cut_background(planned))


def read_passage(path: Path, start_s: float, duration_s: float) -> Samples:
    """Read part of a file as float32[n] at 16 kHz, mono; shorter where the file ends.

    Raises:
        OperatorError: the file cannot be read.
    """
    try:
        with soundfile.SoundFile(path) as file:
            file.seek(min(int(start_s * file.samplerate), max(0, file.frames - 1)))
            block = file.read(int(duration_s * file.samplerate), dtype="float32", always_2d=True)
            resampler = Resampler(file.samplerate)
    except (soundfile.LibsndfileError, OSError) as error:
        raise OperatorError(f"cannot read {path}: {error}; repair it or take it out of the manifest") from error
    mono = np.ascontiguousarray(block.mean(axis=1, dtype=np.float32))
    return np.concatenate([resampler.push(mono), resampler.flush()])


def _cut_sound(planned: PlannedTake) -> tuple[Samples, Mask]:
    """Return up to `SOUND_S` from where the recording sounds, and where it does."""
    recording = planned.recording
    samples = read_passage(recording.path, 0.0, max(recording.duration_s, SOUND_S) + 1.0)
    heard = active_frames(np.rint(np.clip(samples, -1.0, 1.0) * 32767.0).astype(np.int16), ACTIVE_RANGE_DB)
    if heard.sum() * HOP_SAMPLES < LEAST_ACTIVE_S * SAMPLE_RATE_HZ or not np.any(samples):
        raise OperatorError(f"{recording.path} sounds for less than {LEAST_ACTIVE_S} s; left out of robustness")
    first = _choose_start(heard, planned.rng("cut"))
    chosen = heard[first : first + SOUND_FRAMES]
    last = int(np.flatnonzero(chosen)[-1]) + 1
    sound = samples[first * HOP_SAMPLES : (first + last) * HOP_SAMPLES]
    return sound, np.repeat(chosen[:last], HOP_SAMPLES)[: len(sound)]


def _choose_start(heard: Mask, rng: np.random.Generator) -> int:
    """Return an active frame after which nearly as many active ones follow within `SOUND_S` as after any other."""
    summed = np.concatenate([[0], np.cumsum(heard), np.full(SOUND_FRAMES, heard.sum())])
    following = summed[SOUND_FRAMES : SOUND_FRAMES + len(heard)] - summed[: len(heard)]
    candidates = np.flatnonzero(heard & (following >= 0.95 * following[heard].max()))
    return int(candidates[0] if len(heard) <= 1.1 * SOUND_FRAMES else rng.choice(candidates))


def _cut_background(planned: PlannedTake) -> Samples:
    """Return `TAKE_SAMPLES` from anywhere in the background that is not next to silent; the loudest of some tries."""
    length_s = TAKE_SAMPLES / SAMPLE_RATE_HZ
    rng = planned.rng("background")
    loudest, loudest_dbfs = np.zeros(TAKE_SAMPLES, dtype=np.float32), -np.inf
    for _ in range(BACKGROUND_TRIES):
        start_s = float(rng.uniform(0.0, max(0.0, planned.background.duration_s - length_s)))
        passage = read_passage(planned.background.path, start_s, length_s)
        if not len(passage):
            continue
        passage = fit(np.tile(passage, -(-TAKE_SAMPLES // len(passage))))
        level_dbfs = rms_dbfs(passage[LEAD_SAMPLES:])
        if level_dbfs > loudest_dbfs:
            loudest, loudest_dbfs = passage, level_dbfs
        if level_dbfs >= LEAST_BACKGROUND_DBFS:
            return passage
    if not np.any(loudest[LEAD_SAMPLES:]):
        raise OperatorError(f"{planned.background.path}: silent wherever it was tried; take it out of the manifest")
    return loudest


def _at_most(recordings: Sequence[Recording], per_group: int, seed: int) -> list[Recording]:
    """Return at most `per_group` recordings of every group."""
    return [recording for members in _grouped(recordings, seed) for recording in members[:per_group]]


def _spread(recordings: Sequence[Recording], count: int, seed: int) -> list[Recording]:
    """Return `count` recordings, from every group one before any gives a second; again from the start if too few."""
    groups = _grouped(recordings, seed)
    rounds = max(len(members) for members in groups)
    in_turn = [members[turn] for turn in range(rounds) for members in groups if turn < len(members)]
    return [in_turn[number % len(in_turn)] for number in range(count)]


def _grouped(recordings: Sequence[Recording], seed: int) -> list[list[Recording]]:
    """Groups in an order drawn by seed and name, their recordings too."""
    groups: dict[str, list[Recording]] = defaultdict(list)
    for recording in recordings:
        groups[recording.group].append(recording)
    for members in groups.values():
        members.sort(key=lambda recording: _draw(seed, recording.name))
    return [groups[name] for name in sorted(groups, key=lambda name: _draw(seed, name))]


def _draw(seed: int, name: str) -> tuple[float, str]:
    return float(np.random.default_rng([seed, crc32(name.encode())]).random()), name


def _number(recording: Recording) -> int:
    return crc32(f"{recording.source}/{recording.name}".encode())
