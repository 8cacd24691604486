from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is missing; run scripts/test without --node")

from earshot_trainer.network.architecture import ModelConfig  # noqa: E402
from earshot_trainer.network.features import LogMel  # noqa: E402
from earshot_trainer.segments import bank as bank_module  # noqa: E402
from earshot_trainer.segments.bank import build_bank  # noqa: E402

CONFIG = ModelConfig(n_mels=32)


def noises(*lengths: int) -> list[np.ndarray]:
    rng = np.random.default_rng(3)
    return [rng.integers(-8000, 8000, length).astype(np.int16) for length in lengths]


def test_frames_are_those_of_the_graph_s_front_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bank_module, "BLOCK_SAMPLES", 1600)
    sounds = noises(5000, 3300)
    bank = build_bank(sounds, CONFIG, tmp_path)
    log_mel = LogMel(CONFIG)
    for number, samples in enumerate(sounds):
        whole = torch.from_numpy(samples[: len(samples) // 160 * 160] / 32768.0).float()[None]
        frames, _ = log_mel(whole, log_mel.initial_cache(1))
        assert bank.of(number).shape == (len(samples) // 160, 32)
        assert np.allclose(bank.of(number), frames[0].numpy(), atol=0.01)


def test_same_sounds_are_computed_once_and_others_anew(tmp_path: Path) -> None:
    build_bank(noises(4000), CONFIG, tmp_path)
    (file,) = tmp_path.glob("mels-*.f16")
    before = file.stat().st_mtime_ns
    build_bank(noises(4000), CONFIG, tmp_path)
    assert file.stat().st_mtime_ns == before
    build_bank(noises(4001), CONFIG, tmp_path)
    build_bank(noises(4000), ModelConfig(n_mels=48), tmp_path)
    assert len(list(tmp_path.glob("mels-*.f16"))) == 3


def test_cut_file_is_computed_anew(tmp_path: Path) -> None:
    whole = np.array(build_bank(noises(4000), CONFIG, tmp_path).frames)
    (file,) = tmp_path.glob("mels-*.f16")
    file.write_bytes(file.read_bytes()[:100])
    assert np.array_equal(build_bank(noises(4000), CONFIG, tmp_path).frames, whole)
