"""Synthesized material with the household's recordings beside it: what to mix from, calibrate on and compare on.

Everything follows from a seed and lies as audio with a manifest in the cache, so that it is rendered once and every
command of the trainer can read it.
"""

import contextlib
import csv
import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, Literal

import numpy as np
import soundfile as sf

from earshot_node.synth.acoustics import echo_response, reverberate
from earshot_node.synth.filters import Samples, set_level
from earshot_node.synth.sirens import random_siren
from earshot_node.synth.traps import random_trap
from earshot_node.synth.weather import traffic, wind
from earshot_trainer.corpus.cache import to_int16
from earshot_trainer.corpus.recordings import Recording, load_manifest
from earshot_trainer.network.architecture import SAMPLE_RATE_HZ
from earshot_trainer.retraining.settings import MaterialSettings
from earshot_trainer.segments.synthetic import synthesizer_code

Purpose = Literal["replay", "calibration", "test"]
SOURCE: Final = "synthetic"
LICENCE: Final = "synthesized by the project"
CLIP_S: Final = 5.0
BACKGROUND_S: Final = 20.0
STREET_S: Final = 60.0
TRAP_EVERY_S: Final = 9.0
_SEEDS: Final[dict[Purpose, int]] = {"replay": 21, "calibration": 22, "test": 23}

Row = tuple[str, str, bool, Literal["clip", "long"], Samples, str]
"""Name, label, whether it is a siren, kind, samples, what else sounds."""


def synthetic_set(
    purpose: Purpose,
    settings: MaterialSettings,
    seed: int,
    cache: Path,
    advance: Callable[[int], None] = lambda _: None,
) -> list[Recording]:
    """Return the recordings of a set, rendered first if they are not in the cache.

    `replay` are backgrounds to mix over; `calibration` and `test` are clips, half of them with a siren, and long
    streets without one. The three share no sound.
    """
    folder = cache / f"synthetic-{purpose}-{_key(purpose, settings, seed)}"
    if not (folder / "manifest.csv").exists():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as temporary:
            _write(Path(temporary) / "set", purpose, _rows(purpose, settings, seed), advance)
            with contextlib.suppress(OSError):  # another process was faster
                os.replace(Path(temporary) / "set", folder)  # noqa: PTH105
    return load_manifest(folder / "manifest.csv")


def count_of(purpose: Purpose, settings: MaterialSettings) -> int:
    """Return how many recordings a set has."""
    if purpose == "replay":
        return settings.pool_backgrounds
    return settings.scenes + max(1, round(settings.scene_minutes * 60 / STREET_S))


def is_synthetic(recording: Recording) -> bool:
    """Tell whether a recording is of one of these sets."""
    return recording.licence == LICENCE


def _rows(purpose: Purpose, settings: MaterialSettings, seed: int) -> Iterator[Row]:
    number = _SEEDS[purpose]
    if purpose == "replay":
        for index in range(settings.pool_backgrounds):
            rng = np.random.default_rng([seed, number, index])
            yield f"background{index}", "street", False, "long", _background(rng, BACKGROUND_S), ""
        return
    for index in range(settings.scenes):
        rng = np.random.default_rng([seed, number, 1, index])
        is_siren = index % 2 == 0
        samples, name = _siren_scene(rng) if is_siren else _trap_scene(rng)
        yield f"scene{index}", name, is_siren, "clip", samples, ""
    for index in range(max(1, round(settings.scene_minutes * 60 / STREET_S))):
        rng = np.random.default_rng([seed, number, 2, index])
        samples, traps = _street(rng)
        yield f"street{index}", "street with traps", False, "long", samples, " ".join(traps)


def _siren_scene(rng: np.random.Generator) -> tuple[Samples, str]:
    siren, kind = random_siren(rng, CLIP_S)
    return _over_background(rng, siren, float(rng.uniform(-2.0, 15.0))), f"{kind}"


def _trap_scene(rng: np.random.Generator) -> tuple[Samples, str]:
    trap, name = random_trap(rng, CLIP_S)
    return _over_background(rng, trap, float(rng.uniform(0.0, 18.0))), name


def _over_background(rng: np.random.Generator, front: Samples, snr_db: float) -> Samples:
    level_dbfs = float(rng.uniform(-45.0, -25.0))
    back = set_level(_background(rng, CLIP_S), level_dbfs)
    response = echo_response(
        rng, SAMPLE_RATE_HZ, reverberation_s=float(rng.uniform(0.2, 1.2)), reverberant_db=float(rng.uniform(-10, 0))
    )
    heard = reverberate(front, response)
    return set_level(heard, min(-6.0, level_dbfs + snr_db)) + back if np.any(heard) else back


def _background(rng: np.random.Generator, length_s: float) -> Samples:
    count = int(length_s * SAMPLE_RATE_HZ)
    road = set_level(traffic(rng, count, SAMPLE_RATE_HZ), float(rng.uniform(-45.0, -30.0)))
    return road + set_level(wind(rng, count, SAMPLE_RATE_HZ), float(rng.uniform(-60.0, -35.0)))


def _street(rng: np.random.Generator) -> tuple[Samples, list[str]]:
    """A minute of road and wind with a trap now and then; with the traps' names."""
    samples = _background(rng, STREET_S)
    names: list[str] = []
    at_s = float(rng.uniform(1.0, TRAP_EVERY_S))
    while at_s + CLIP_S < STREET_S:
        trap, name = random_trap(rng, CLIP_S)
        start = int(at_s * SAMPLE_RATE_HZ)
        if np.any(trap):
            samples[start : start + len(trap)] += set_level(trap, float(rng.uniform(-42.0, -18.0)))
            names.append(name)
        at_s += CLIP_S + float(rng.exponential(TRAP_EVERY_S - CLIP_S))
    return samples, names


def _write(folder: Path, purpose: Purpose, rows: Iterator[Row], advance: Callable[[int], None]) -> None:
    folder.mkdir()
    with (folder / "manifest.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(("path", "label", "is_siren", "kind", "source", "fsid", "licence", "dur", "note"))
        for name, label, is_siren, kind, samples, note in rows:
            sf.write(folder / f"{name}.flac", to_int16(samples), SAMPLE_RATE_HZ, subtype="PCM_16")
            group = f"{SOURCE}-{purpose}-{name}"
            seconds = len(samples) / SAMPLE_RATE_HZ
            writer.writerow((f"{name}.flac", label, int(is_siren), kind, SOURCE, group, LICENCE, seconds, note))
            advance(1)


def _key(purpose: Purpose, settings: MaterialSettings, seed: int) -> str:
    counts = (settings.pool_backgrounds,) if purpose == "replay" else (settings.scenes, settings.scene_minutes)
    return hashlib.sha256(f"{purpose} {counts} {seed} 3".encode() + synthesizer_code()).hexdigest()[:16]
