"""Frames at one level: near or far, loud or soft microphone, the network sees the same."""

import math
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is missing; run scripts/test without --node")

from earshot_trainer.graph.export import export_float  # noqa: E402
from earshot_trainer.graph.session import GraphSession  # noqa: E402
from earshot_trainer.network.architecture import HOP_SAMPLES  # noqa: E402
from earshot_trainer.network.level import RunningLevel, full_scale_log_power  # noqa: E402
from earshot_trainer.network.model import LogMel, ModelConfig, StreamingCrnn  # noqa: E402

CONFIG = ModelConfig(level_s=3.0)


MAGNITUDES = ModelConfig(
    window_samples=400, n_mels=64, mel_min_hz=125.0, mel_max_hz=7500.0, magnitudes=True, level_s=3.0
)


def log_mel(samples: "torch.Tensor", config: ModelConfig = CONFIG) -> "torch.Tensor":
    front = LogMel(config)
    return front(samples, front.initial_cache(len(samples)))[0]


def levelled(samples: "torch.Tensor") -> "torch.Tensor":
    return RunningLevel(CONFIG)(log_mel(samples), torch.zeros(len(samples), 2))[0]


def noise(seconds: float, dbfs: float) -> "torch.Tensor":
    count = round(seconds * 25) * HOP_SAMPLES
    return torch.randn(1, count, generator=torch.Generator().manual_seed(1)) * 10 ** (dbfs / 20)


def dbfs_of(frames: "torch.Tensor", config: ModelConfig = CONFIG) -> "torch.Tensor":
    return 10 / math.log(10) * (frames.exp().sum(dim=2).log() - full_scale_log_power(config))


def test_loud_and_soft_become_the_same() -> None:
    loud, soft = levelled(noise(4, -20)), levelled(noise(4, -50))
    # But for the few numbers of a noise's spectrum that reach the floor of the logarithm.
    assert (loud - soft)[:, 4:].abs().quantile(0.999) < 0.05
    assert dbfs_of(loud)[:, 200:].mean() == pytest.approx(-23.0, abs=0.5)


@pytest.mark.parametrize("config", [CONFIG, MAGNITUDES], ids=["powers", "magnitudes"])
def test_level_is_the_sound_s(config: ModelConfig) -> None:
    tone = 0.1 * 2**0.5 * torch.sin(torch.arange(64_000) * (2 * math.pi * 1_000 / 16_000))[None]
    assert dbfs_of(log_mel(noise(4, -20), config), config)[:, 4:].mean() == pytest.approx(-20.0, abs=0.5)
    assert dbfs_of(log_mel(tone, config), config)[:, 4:].mean() == pytest.approx(-20.0, abs=1.5)


def test_first_hop_is_at_the_level_already() -> None:
    assert dbfs_of(levelled(noise(0.04, -40))[:, 2:]).mean() == pytest.approx(-23.0, abs=2.5)


def test_what_is_quieter_than_a_microphone_s_noise_is_not_made_as_loud() -> None:
    assert dbfs_of(levelled(noise(4, -75)))[:, 200:].mean() == pytest.approx(-38.0, abs=0.5)


def test_level_forgets_with_its_time_constant() -> None:
    sound = torch.cat([noise(12, -20), noise(12, -40)], dim=1)
    after = dbfs_of(levelled(sound))[0, 1200:]
    fallen = after.reshape(-1, 25).mean(dim=1)
    assert fallen[0] == pytest.approx(-42.0, abs=1.5)
    # After two time constants the average is (1 - e^-2) * soft + e^-2 * loud power.
    average_db = 10 * math.log10((1 - math.exp(-2)) * 1e-4 + math.exp(-2) * 1e-2)
    assert fallen[24] == pytest.approx(-40 - average_db - 23, abs=1.0)


def test_cut_does_not_matter() -> None:
    frames = log_mel(torch.cat([noise(2, -20), noise(2, -45)], dim=1))
    level = RunningLevel(CONFIG)
    whole, last = level(frames, torch.zeros(1, 2))
    state, parts = torch.zeros(1, 2), []
    for piece in frames.split(12, dim=1):
        part, state = level(piece, state)
        parts.append(part)
    assert torch.allclose(torch.cat(parts, dim=1), whole, atol=1e-4)
    assert torch.allclose(state, last, rtol=1e-4)


def test_exported_graph_keeps_the_level_and_its_state(tmp_path: Path) -> None:
    torch.manual_seed(2)
    network = StreamingCrnn(CONFIG).eval()
    network.output.weight.data *= 30
    export_float(network, tmp_path / "float.onnx")
    session = GraphSession(tmp_path / "float.onnx")
    samples = torch.cat([noise(2, -15), noise(2, -35)], dim=1).numpy()
    whole = session.run(samples).posteriors
    state, parts = session.initial_state(1), []
    for start in range(0, samples.shape[1], HOP_SAMPLES):
        output = session.run(samples[:, start : start + HOP_SAMPLES], state)
        state = output.state
        parts.append(output.posteriors)
    assert whole.std() > 1e-3
    assert np.abs(np.concatenate(parts, axis=1) - whole).max() < 1e-5
    assert np.abs(session.run(samples * 0.1).posteriors - whole).max() < 0.05 * np.ptp(whole)


def test_negative_time_constant_is_refused() -> None:
    with pytest.raises(ValueError, match=r"model\.level_s: -1"):
        ModelConfig(level_s=-1.0)
