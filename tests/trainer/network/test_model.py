"""The torch model: causal, streaming, and the features that the field knows."""

import pytest

torch = pytest.importorskip("torch", reason="torch is missing; run scripts/test without --node")

import torchaudio  # noqa: E402
from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from earshot_trainer.network.model import LogMel, ModelConfig, SignalPath, StreamingCrnn  # noqa: E402

pytestmark = pytest.mark.torch


def stream(path: SignalPath, samples: "torch.Tensor", cuts: list[int]) -> "torch.Tensor":
    """Return posteriors of samples [B, T] given in calls of `cuts` hops."""
    state, outputs, position = path.initial_state(len(samples)), [], 0
    with torch.no_grad():
        for hops in cuts:
            posteriors, _, state = path(samples[:, position : position + 640 * hops], state)
            outputs.append(posteriors)
            position += 640 * hops
    return torch.cat(outputs, dim=1)


@pytest.mark.parametrize("window_samples", [320, 400, 480, 640])
def test_log_mel_equals_torchaudio(window_samples: int) -> None:
    log_mel = LogMel(ModelConfig(window_samples=window_samples))
    samples = torch.randn(2, 16_000, generator=torch.Generator().manual_seed(0)) * 0.1
    frames, _ = log_mel(samples, log_mel.initial_cache(2))
    reference = torchaudio.transforms.MelSpectrogram(
        16_000, window_samples, window_samples, 160, 50.0, 8_000.0, n_mels=80, power=2.0, center=False
    )
    history = torch.zeros(2, window_samples - 160)
    expected = torch.log(reference(torch.cat([history, samples], dim=1)) + 1e-6).transpose(1, 2)
    assert frames.shape == (2, 100, 80)
    torch.testing.assert_close(frames, expected, rtol=0, atol=1e-4)


def test_silence_gives_the_floor_from_the_first_frame() -> None:
    log_mel = LogMel(ModelConfig())
    frames, cache = log_mel(torch.zeros(1, 640), log_mel.initial_cache(1))
    torch.testing.assert_close(frames, torch.full((1, 4, 80), 1e-6).log())
    assert not cache.any()


@settings(max_examples=10, deadline=None)
@given(st.lists(st.integers(1, 9), min_size=1, max_size=6))
def test_posteriors_do_not_depend_on_how_the_audio_is_cut(network: StreamingCrnn, cuts: list[int]) -> None:
    path = SignalPath(network).eval()
    samples = torch.randn(2, 640 * sum(cuts), generator=torch.Generator().manual_seed(1)) * 0.1
    whole = stream(path, samples, [sum(cuts)])
    torch.testing.assert_close(stream(path, samples, cuts), whole, rtol=0, atol=1e-5)


def test_posterior_of_a_frame_depends_on_its_past_only(network: StreamingCrnn) -> None:
    path = SignalPath(network).eval()
    samples = torch.randn(1, 640 * 20, generator=torch.Generator().manual_seed(2)) * 0.1
    louder = samples.clone()
    louder[:, 640 * 10 :] *= 100
    before, after = stream(path, samples, [20]), stream(path, louder, [20])
    torch.testing.assert_close(after[:, :10], before[:, :10], rtol=0, atol=0)
    assert (after[:, 10] - before[:, 10]).abs().max() > 1e-4


def test_training_without_state_equals_the_initial_state(network: StreamingCrnn) -> None:
    frames = torch.randn(2, 40, 80, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        without, _ = network(frames)
        with_zeros, _ = network(frames, network.initial_state(2))
    assert without.shape == (2, 10, 2)
    torch.testing.assert_close(without, with_zeros, rtol=0, atol=0)


def test_default_network_has_the_size_that_nodes_can_afford() -> None:
    weights = sum(parameter.numel() for parameter in StreamingCrnn(ModelConfig()).parameters())
    assert 100_000 <= weights <= 300_000


def test_normalization_travels_in_the_state_dict(network: StreamingCrnn) -> None:
    other = StreamingCrnn(network.config).eval()
    other.load_state_dict(network.state_dict())
    frames = torch.randn(1, 8, 80, generator=torch.Generator().manual_seed(4))
    with torch.no_grad():
        torch.testing.assert_close(other(frames)[0], network(frames)[0], rtol=0, atol=0)
    assert network.std.ne(1).all()


def test_config_survives_a_round_trip_through_plain_values() -> None:
    config = ModelConfig(labels=("siren", "glass"), channels=(8, 16, 32, 48), hidden=64)
    values = config.to_dict()
    assert isinstance(values["channels"], list)
    assert ModelConfig.from_dict(values) == config


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"labels": ()}, "labels"),
        ({"labels": ("siren", "siren")}, "labels"),
        ({"window_samples": 402}, "window_samples"),
        ({"n_mels": 50}, "n_mels"),
        ({"channels": (8, 16)}, "channels"),
        ({"mel_max_hz": 9_000.0}, "mel_max_hz"),
        ({"hiden": 64}, "hiden"),
    ],
)
def test_impossible_config_is_refused_by_name(values: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ModelConfig.from_dict(values)
