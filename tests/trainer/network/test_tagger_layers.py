"""The tagger's convolutions: what they give for a stream is what the tagger gives for a window, a decision apart."""

import math

import pytest

torch = pytest.importorskip("torch", reason="torch is missing; run scripts/test without --node")

from support.toy_tagger import Convolution  # noqa: E402

from earshot_trainer.network.architecture import (  # noqa: E402
    FRAMES_PER_HOP,
    TAGGER_FROZEN_LAYERS,
    TAGGER_LAYERS,
    ModelConfig,
)
from earshot_trainer.network.features import LogMel  # noqa: E402
from earshot_trainer.network.model import StreamingCrnn, beginning_with  # noqa: E402
from earshot_trainer.network.tagger_layers import BLOCKS, STEM_WIDTH, TaggerLayers, layer_shapes  # noqa: E402

pytestmark = pytest.mark.torch
HOPS = 40


def config(layers: int) -> ModelConfig:
    return ModelConfig(n_mels=64, channels=(16, 32, 64, 64), tagger_layers=layers, level_s=3.0)


def tagger() -> list[Convolution]:
    layers, width = [Convolution(1, STEM_WIDTH, 3, 2, depthwise=False)], STEM_WIDTH
    for outputs, stride in BLOCKS:
        layers += [
            Convolution(width, width, 3, stride, depthwise=True),
            Convolution(width, outputs, 1, 1, depthwise=False),
        ]
        width = outputs
    return layers


@pytest.mark.parametrize("count", TAGGER_LAYERS)
def test_stream_gives_what_the_tagger_gives_for_a_window(count: int) -> None:
    layers = TaggerLayers(config(count)).eval()
    layers.take(tagger())
    frames = torch.randn(1, 1, FRAMES_PER_HOP * HOPS, 64, generator=torch.Generator().manual_seed(1))
    x, state = frames, {key: torch.zeros(1, *shape) for key, shape in layers.state_shapes().items()}
    with torch.no_grad():
        for number, layer in enumerate(layers.layers):
            x, _ = layer(x, state.get(f"tagger{number}"))
    whole = frames[:, :, 3:]  # a window that begins between decisions: the first stride looks a frame ahead
    for convolution in tagger()[:count]:
        whole = convolution(whole)
    steps = HOPS // whole.shape[2]  # of 40 ms to one of the tagger's
    middle = whole.shape[2] // 2
    lags = [lag for lag in range(16) if torch.allclose(x[:, :, middle * steps + lag], whole[:, :, middle], atol=1e-4)]
    assert len(lags) == 1
    for step in range(3, whole.shape[2] - 3):
        torch.testing.assert_close(x[:, :, step * steps + lags[0]], whole[:, :, step], rtol=1e-4, atol=1e-4)


def test_receptive_field_is_what_the_shapes_say() -> None:
    shapes = layer_shapes(9, 64)
    assert [shape.kernel for shape in shapes] == [3, 3, 1, 3, 1, 3, 1, 3, 1]
    assert [shape.past for shape in shapes] == [1, 2, 0, 1, 0, 2, 0, 2, 0]
    assert [shape.mels for shape in shapes] == [64, 32, 32, 32, 16, 16, 16, 16, 8]
    assert [shape.dilation for shape in layer_shapes(15, 64)[9:]] == [2, 1, 2, 1, 4, 1]


def test_training_computes_what_inference_does() -> None:
    layers = TaggerLayers(config(13))
    layers.take(tagger())
    frames = torch.randn(2, 1, FRAMES_PER_HOP * HOPS, 64, generator=torch.Generator().manual_seed(2))
    outputs = {}
    for training in (False, True):
        for module in layers.layers:
            module.train(training)
        x = frames
        for number, layer in enumerate(layers.layers):
            shape = layers.state_shapes().get(f"tagger{number}")
            x, _ = layer(x, torch.zeros(2, *shape) if shape else None)
        outputs[training] = x
    torch.testing.assert_close(outputs[True], outputs[False], rtol=1e-4, atol=1e-4)


def test_network_begins_with_the_tagger_and_tunes_all_but_its_first_layers() -> None:
    network = beginning_with(tagger(), StreamingCrnn)(config(9))
    assert network.tagger is not None
    for layer, theirs in zip(network.tagger.layers, tagger(), strict=False):
        torch.testing.assert_close(layer.conv.weight, theirs.weight, rtol=0, atol=0)
    tuned = {id(parameter) for parameter in network.tagger.tuned()}
    for number, layer in enumerate(network.tagger.layers):
        assert all((id(p) in tuned) == (number >= TAGGER_FROZEN_LAYERS) for p in layer.parameters())


def tagger_frames(samples: "torch.Tensor") -> "torch.Tensor":
    """Log magnitudes [F, 64] as YAMNet's published code makes them: TensorFlow's mel matrix over a padded window."""
    low, high = (1127.0 * math.log1p(edge / 700.0) for edge in (125.0, 7500.0))
    edges = torch.linspace(low, high, 66, dtype=torch.float64)
    bins = 1127.0 * torch.log1p(torch.arange(257, dtype=torch.float64)[:, None] * 31.25 / 700.0)
    rising = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
    windows = samples.unfold(0, 400, 160) * torch.hann_window(400)
    magnitudes = torch.fft.rfft(windows, n=512).abs().double() @ torch.minimum(rising, falling).relu()
    return torch.log(magnitudes + 1e-3).float()


@pytest.mark.parametrize(
    ("features", "of_noise", "of_siren"),
    [
        ({"window_samples": 400, "mel_min_hz": 125.0, "mel_max_hz": 7500.0, "magnitudes": True}, 0.1, 0.2),
        ({"mel_min_hz": 125.0, "mel_max_hz": 7500.0}, 0.25, 0.3),
    ],
    ids=["magnitudes", "powers"],
)
def test_frames_are_the_tagger_s(features: dict[str, float], of_noise: float, of_siren: float) -> None:
    network = StreamingCrnn(ModelConfig(n_mels=64, tagger_layers=7, level_s=3.0, **features))  # type: ignore[arg-type]
    log_mel = LogMel(network.config)
    noise = torch.randn(80_000, generator=torch.Generator().manual_seed(4))
    pitch_hz = 900.0 + 500.0 * torch.sin(torch.arange(80_000) * (2 * math.pi / 32_000))
    siren = torch.sin(torch.cumsum(pitch_hz * (2 * math.pi / 16_000), dim=0))
    for samples, allowed in ((0.1 * noise, of_noise), (0.3 * siren + 0.01 * noise, of_siren)):
        frames, _ = log_mel(samples[None], log_mel.initial_cache(1))
        ours = ((frames - network.mean) / network.std)[0, 3:]
        theirs = tagger_frames(samples[240:])  # windows that end where ours do
        difference = ours[: len(theirs)] - theirs[: len(ours)]
        assert difference.square().mean().sqrt() < allowed
        assert abs(float(difference.mean())) < 0.1


@pytest.mark.parametrize("wrong", [{"tagger_layers": 8}, {"tagger_layers": 9, "n_mels": 80}])
def test_what_cannot_be_cut_there_is_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="tagger_layers"):
        ModelConfig(**({"n_mels": 64} | wrong))


def test_branch_and_tagger_exclude_each_other() -> None:
    with pytest.raises(ValueError, match="wavelet_channels"):
        ModelConfig(n_mels=64, tagger_layers=9, wavelet_channels=16)


def test_frames_have_a_gradient_outside_of_training() -> None:
    network = beginning_with(tagger(), StreamingCrnn)(config(9)).eval()
    frames = torch.randn(1, 80, 64, generator=torch.Generator().manual_seed(3)).sub_(6).requires_grad_()
    network(frames)[0].sum().backward()
    assert frames.grad is not None
    assert frames.grad.any()
