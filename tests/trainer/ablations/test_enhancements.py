"""Spectral subtraction takes away what stays and leaves what comes and goes."""

import math

import pytest

torch = pytest.importorskip("torch", reason="torch is missing; run scripts/test without --node")

from earshot_trainer.ablations.enhancements import SpectralSubtraction  # noqa: E402
from earshot_trainer.ablations.variants import VARIANTS  # noqa: E402
from earshot_trainer.network.architecture import FRAMES_PER_HOP, ModelConfig  # noqa: E402
from earshot_trainer.network.features import LogMel  # noqa: E402

pytestmark = pytest.mark.torch
FLOOR = math.log(ModelConfig().power_floor)
SETTLED = 64 * FRAMES_PER_HOP
"""Frames after which the noise counts in full."""


def white_noise(seconds: float) -> "torch.Tensor":
    """Log-mel frames [1, T, 80] of white noise at -26 dBFS."""
    samples = 0.05 * torch.randn(1, int(16_000 * seconds), generator=torch.Generator().manual_seed(3))
    log_mel = LogMel(ModelConfig())
    return log_mel(samples, log_mel.initial_cache(1))[0]


@torch.no_grad()
def clean(frames: "torch.Tensor") -> "torch.Tensor":
    stage = SpectralSubtraction(ModelConfig())
    return stage(frames, stage.initial_state(len(frames)))[0]


def test_stationary_noise_becomes_10_db_quieter_and_varies_less() -> None:
    frames = white_noise(8.0)[:, SETTLED:]
    cleaned = clean(white_noise(8.0))[:, SETTLED:]
    assert 10 * torch.log10(cleaned.exp().mean() / frames.exp().mean()) < -10
    assert cleaned.std(dim=1).mean() < 0.6 * frames.std(dim=1).mean()


def test_tone_over_the_noise_stays_as_it_was() -> None:
    frames = white_noise(8.0)
    frames[:, 400:500, 30] += 5.0
    change = clean(frames)[:, 400:500] - frames[:, 400:500]
    assert change[:, :, 30].median() > -0.1
    assert change[:, :, 31].median() < -2


def test_first_frame_is_nearly_what_came_and_a_steady_sound_fades_from_there() -> None:
    steady = torch.full((1, 400, 80), 2.0)
    change = clean(steady)[0, :, 0] - 2.0
    assert float(change[0]) == pytest.approx(math.log(1 - 4 / 64), abs=1e-4)
    assert (change[FRAMES_PER_HOP:] <= change[:-FRAMES_PER_HOP] + 1e-4)[:60].all()
    assert float(change[SETTLED]) == pytest.approx(math.log(0.1), abs=1e-3)


def test_nothing_grows_louder() -> None:
    frames = white_noise(4.0)
    frames[:, 300:] -= 5
    assert (clean(frames) <= frames + 1e-4).all()


def test_silence_stays_silence() -> None:
    silence = torch.full((1, 400, 80), FLOOR)
    torch.testing.assert_close(clean(silence), silence, rtol=0, atol=1e-4)
    fallen = torch.cat([white_noise(4.0), silence], dim=1)
    torch.testing.assert_close(clean(fallen)[:, 400:], silence, rtol=0, atol=1e-4)


def test_noise_is_the_least_smoothed_power_of_64_hops_by_the_share_that_was_heard() -> None:
    stage = SpectralSubtraction(ModelConfig())
    power = torch.rand(2, 150, 80, generator=torch.Generator().manual_seed(6))
    noise, _ = stage.track(power, stage.initial_state(2))
    smoothed = [power[:, 0]]
    for hop in power[:, 1:].unbind(1):
        smoothed.append(0.7 * smoothed[-1] + 0.3 * hop)
    for hop in (0, 1, 30, 63, 64, 149):
        least = torch.stack(smoothed[max(0, hop - 63) : hop + 1]).amin(dim=0)
        torch.testing.assert_close(noise[:, hop], least * min(1, (hop + 1) / 64))


def test_noise_falls_with_the_sound_and_rises_a_window_after_it() -> None:
    stage = SpectralSubtraction(ModelConfig())
    power = torch.ones(1, 300, 80)
    power[:, 100:200] = 0.01
    noise = stage.track(power, stage.initial_state(1))[0][0, :, 0]
    assert float(noise[99]) == pytest.approx(1)
    assert float(noise[120]) == pytest.approx(0.01, rel=0.1)
    assert float(noise[262]) == pytest.approx(0.01, rel=0.01)
    assert float(noise[275]) > 0.9


def test_normalization_is_that_of_the_frames_as_they_came() -> None:
    network = VARIANTS["denoising"].build(ModelConfig())
    network.set_normalization(torch.full((80,), -5.0), torch.full((80,), 2.0))
    frames = white_noise(4.0)
    with torch.no_grad():
        seen = network._see(frames, network.initial_state(1))[0]
    torch.testing.assert_close(seen[:, 0], (clean(frames) + 5) / 2)
