"""Clips of any length, rate and channel count, and memory that does not grow with the corpus."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

torch = pytest.importorskip("torch", reason="torch is missing; run scripts/test without --node")

from support.tiny_corpus import make_corpus, write_recipe  # noqa: E402

from earshot_trainer.corpus.cache import PcmCache  # noqa: E402
from earshot_trainer.corpus.recordings import load_manifest  # noqa: E402
from earshot_trainer.segments.mixing import SegmentMixer  # noqa: E402
from earshot_trainer.segments.sounds import gather_sounds  # noqa: E402
from earshot_trainer.training.recipe import load_recipe  # noqa: E402

CHILD = """
import json, resource, sys, threading
from pathlib import Path
import torch
from earshot_trainer.corpus.cache import PcmCache
from earshot_trainer.corpus.recordings import load_manifest
from earshot_trainer.network.model import StreamingCrnn
from earshot_trainer.segments.mixing import SegmentMixer
from earshot_trainer.segments.sounds import gather_sounds
from earshot_trainer.training.recipe import load_recipe
from earshot_trainer.training.tagging import track_posteriors

torch.set_num_threads(1)
folder, done, peak = Path(sys.argv[1]), threading.Event(), [0]

def anonymous_kib():
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("RssAnon")).split()[1])

def watch():
    while not done.wait(0.002):
        peak[0] = max(peak[0], anonymous_kib())

threading.Thread(target=watch).start()
try:
    recordings = load_manifest(folder / "manifest.csv")
    recipe = load_recipe(folder / "tiny.yaml")
    cache = PcmCache(folder / "cache")
    cache.add(recordings)
    sounds = gather_sounds(recordings, cache, recipe, folder / "cache")
    mixer = SegmentMixer(sounds, recipe.model, recipe.mixing, recipe.augment, 1, torch.device("cpu"))
    for step in range(5):
        mixer.batch(step, 4, sounds.span_odds)
    track_posteriors(StreamingCrnn(recipe.model), recordings, cache, torch.device("cpu"))
finally:
    done.set()
whole_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps({"anonymous_mib": peak[0] / 1024, "with_file_pages_mib": whole_kib / 1024}))
"""


def add_long_recording(folder: Path, minutes: int) -> None:
    """One more negative: stereo noise at 8 kHz."""
    rng = np.random.default_rng(1)
    minute = rng.integers(-3000, 3000, (60 * 8000, 2)).astype(np.int16)
    with sf.SoundFile(folder / "long.wav", "w", 8000, 2, "PCM_16") as file:
        for _ in range(minutes):
            file.write(minute)
    with (folder / "manifest.csv").open("a") as manifest:
        manifest.write(f"long.wav,noise,0,long,tiny,300,,{60 * minutes},CC0\n")


def peak_memory(folder: Path, minutes: int) -> dict[str, float]:
    """Peaks of a child that decodes, prepares, mixes and scores a corpus with `minutes` of noise, in MiB."""
    make_corpus(folder)
    write_recipe(folder)
    add_long_recording(folder, minutes)
    environment = os.environ | {"OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "1"}
    result = subprocess.run([sys.executable, "-c", CHILD, str(folder)], env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    values: dict[str, float] = json.loads(result.stdout)
    print(minutes, "minutes:", values)
    return values


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_memory_does_not_grow_with_the_corpus(tmp_path: Path) -> None:
    """File pages count apart: they are the system's to take back.

    A block of 60 s takes 70 MiB for a moment that a look every 2 ms may miss, so the small corpus has many, too.
    """
    small = peak_memory(tmp_path / "small", minutes=18)["anonymous_mib"]
    large = peak_memory(tmp_path / "large", minutes=60)["anonymous_mib"]
    assert small > 50
    # 42 minutes more are 77 MiB of samples (307 as float32) and 16 MiB of frames.
    assert large - small < 35


def test_clips_of_any_length_rate_and_channel_count_are_mixed(tmp_path: Path) -> None:
    manifest = make_corpus(tmp_path)
    rng = np.random.default_rng(2)
    shapes = [
        (8000, 1, 40),
        (8000, 1, 100),
        (16_000, 2, 161),
        (44_100, 2, 2000),
        (96_000, 8, 50_000),
        (11_025, 3, 9000),
    ]
    rows = []
    for index, (rate_hz, channels, frames) in enumerate(shapes):
        for label, is_siren in (("noise", 0), ("siren", 1)):
            name = f"odd{index}{label}.wav"
            sf.write(tmp_path / name, 0.3 * rng.standard_normal((frames, channels)).clip(-1, 1), rate_hz)
            rows.append(f"{name},{label},{is_siren},clip,tiny,{400 + 2 * index + is_siren},,0,CC0\n")
    with manifest.open("a") as stream:
        stream.writelines(rows)
    recordings = load_manifest(manifest)
    recipe = load_recipe(write_recipe(tmp_path), ("mixing.synthetic_share=0", "mixing.towns=2"))
    cache = PcmCache(tmp_path / "cache")
    cache.add(recordings)
    sounds = gather_sounds(recordings, cache, recipe, tmp_path / "cache")
    too_short = 1  # 5 ms are no frame
    assert len(sounds.spans) == 4 + len(shapes) - too_short
    assert len(sounds.sirens) == (3 + len(shapes) - too_short) * (1 + recipe.mixing.streets + 2)
    mixer = SegmentMixer(sounds, recipe.model, recipe.mixing, recipe.augment, 1, torch.device("cpu"))
    for step in range(12):
        batch = mixer.batch(step, 16, sounds.span_odds)
        assert bool(batch.log_mel.isfinite().all())
        assert batch.targets.shape == (16, 25)


def test_second_start_renders_no_street_and_reads_no_recording(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from earshot_trainer.segments import bank as bank_module
    from earshot_trainer.segments import sounds as sounds_module

    recordings = load_manifest(make_corpus(tmp_path))
    recipe = load_recipe(write_recipe(tmp_path), ("mixing.towns=1",))
    cache = PcmCache(tmp_path / "cache")
    cache.add(recordings)
    first = gather_sounds(recordings, cache, recipe, tmp_path / "cache")

    def again_rendered(*arguments: object) -> None:
        raise AssertionError("rendered or read again")

    monkeypatch.setattr(sounds_module, "_heard_in", again_rendered)
    monkeypatch.setattr(bank_module, "_blocks", again_rendered)
    again = PcmCache(tmp_path / "cache")
    assert again.add(recordings) == 0
    second = gather_sounds(recordings, again, recipe, tmp_path / "cache")
    assert np.array_equal(first.bank.frames, second.bank.frames)
    with pytest.raises(AssertionError, match="again"):
        gather_sounds(recordings, again, load_recipe(tmp_path / "tiny.yaml", ("training.seed=9",)), tmp_path / "cache")


def test_siren_sounds_the_same_in_a_street_whatever_else_is_learnt_from(tmp_path: Path) -> None:
    recordings = load_manifest(make_corpus(tmp_path))
    recipe = load_recipe(write_recipe(tmp_path))
    cache = PcmCache(tmp_path / "cache")
    cache.add(recordings)
    whole = gather_sounds(recordings, cache, recipe, tmp_path / "cache")
    part = gather_sounds(recordings[1:], cache, recipe, tmp_path / "cache")
    last = [sounds.bank.of(sounds.sirens[-1].sound) for sounds in (whole, part)]
    assert np.array_equal(*last)
    assert not np.array_equal(last[0], whole.bank.of(whole.sirens[-2].sound))
