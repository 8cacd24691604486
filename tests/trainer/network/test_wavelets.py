"""The branch that sees slow changes: Haar's details of each band, streamed and exported."""

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is missing; run scripts/test without --node")

from earshot_trainer.graph.export import export_float  # noqa: E402
from earshot_trainer.graph.export_layers import ConvolvedHaarDetails  # noqa: E402
from earshot_trainer.graph.quantize import quantize_model  # noqa: E402
from earshot_trainer.graph.session import GraphSession  # noqa: E402
from earshot_trainer.network.architecture import HOP_SAMPLES  # noqa: E402
from earshot_trainer.network.model import LogMel, ModelConfig, StreamingCrnn  # noqa: E402
from earshot_trainer.network.state import State  # noqa: E402
from earshot_trainer.network.wavelets import SCALES, HaarDetails  # noqa: E402

pytestmark = pytest.mark.torch

CONFIG = ModelConfig(n_mels=16, wavelet_channels=8)


def nothing(details: HaarDetails, batch: int) -> State:
    return {name: torch.zeros(batch, *shape) for name, shape in details.state_shapes().items()}


def some_levels(hops: int, bands: int = CONFIG.n_mels) -> "torch.Tensor":
    return torch.randn(2, hops, bands, generator=torch.Generator().manual_seed(5)) * 2 - 3


def some_frames(hops: int) -> "torch.Tensor":
    return some_levels(4 * hops, 80)[:1]


def expected(levels: "torch.Tensor") -> "torch.Tensor":
    """Each detail by its definition: mean of the newer half less mean of the older one, of all hops so far."""
    hops = levels.double()
    heard = torch.cat([hops[:, :1].repeat(1, 64, 1), hops], dim=1)
    rows = []
    for scale in range(SCALES):
        half = 2**scale
        rows.append(
            torch.stack(
                [
                    heard[:, end - half : end].mean(dim=1) - heard[:, end - 2 * half : end - half].mean(dim=1)
                    for end in range(65, 65 + hops.shape[1])
                ],
                dim=1,
            )
        )
    return torch.stack(rows, dim=1)


@pytest.mark.parametrize("form", [HaarDetails, ConvolvedHaarDetails])
def test_details_are_newer_half_less_older_half(form: type[HaarDetails]) -> None:
    levels, details = some_levels(150), form(CONFIG)
    with torch.no_grad():
        found, _ = details(levels, nothing(details, 2))
    assert found.shape == (2, 6, 150, 16)
    torch.testing.assert_close(found.double(), expected(levels), rtol=0, atol=1e-5)


@pytest.mark.parametrize("form", [HaarDetails, ConvolvedHaarDetails])
@pytest.mark.parametrize("cuts", [[1] * 90, [3, 80, 7], [64, 26]])
def test_details_do_not_depend_on_how_the_stream_is_cut(form: type[HaarDetails], cuts: list[int]) -> None:
    levels, details = some_levels(90), form(CONFIG)
    state, parts, position = nothing(details, 2), [], 0
    with torch.no_grad():
        whole, _ = details(levels, state)
        for hops in cuts:
            part, state = details(levels[:, position : position + hops], state)
            parts.append(part)
            position += hops
    torch.testing.assert_close(torch.cat(parts, dim=2), whole, rtol=0, atol=1e-5)


def test_steady_sound_has_no_details_from_its_first_hop() -> None:
    details = HaarDetails(CONFIG)
    found, _ = details(torch.linspace(-9, 3, 16).repeat(1, 70, 1), nothing(details, 1))
    assert found.abs().max() < 1e-5


def grown(level_s: float) -> StreamingCrnn:
    """A network with the branch, its norms from noise, whose posteriors move."""
    torch.manual_seed(4)
    network = StreamingCrnn(ModelConfig(wavelet_channels=8, level_s=level_s))
    log_mel = LogMel(network.config)
    with torch.no_grad():
        frames, _ = log_mel(swelling(), log_mel.initial_cache(4))
        network.set_normalization(frames.mean(dim=(0, 1)), frames.std(dim=(0, 1)))
        for _ in range(30):
            network(frames)
        network.output.weight *= 30
    return network.eval()


def swelling() -> "torch.Tensor":
    """Four clips of four seconds: noise under a tone that comes and goes."""
    time_s = torch.arange(100 * HOP_SAMPLES) / 16_000
    noise = torch.randn(4, len(time_s), generator=torch.Generator().manual_seed(6)) * 0.02
    pitches = torch.tensor([[500.0], [800.0], [1300.0], [2100.0]])
    return noise + 0.1 * torch.sin(2 * torch.pi * pitches * time_s) * (torch.sin(4 * time_s) > 0)


@pytest.mark.parametrize("level_s", [0.0, 3.0])
def test_exported_graph_streams_what_torch_computes(tmp_path: Path, level_s: float) -> None:
    network, samples = grown(level_s), swelling()
    export_float(network, tmp_path / "float.onnx")
    session = GraphSession(tmp_path / "float.onnx")
    log_mel = LogMel(network.config)
    with torch.no_grad():
        logits, _ = network(log_mel(samples, log_mel.initial_cache(4))[0])
    whole = session.run(samples.numpy()).posteriors
    assert whole.std(axis=1).min() > 0.01
    np.testing.assert_allclose(whole, torch.sigmoid(logits), rtol=0, atol=1e-4)
    state, parts = session.initial_state(4), []
    for start in range(0, samples.shape[1], HOP_SAMPLES):
        output = session.run(samples[:, start : start + HOP_SAMPLES].numpy(), state)
        state = output.state
        parts.append(output.posteriors)
    np.testing.assert_allclose(np.concatenate(parts, axis=1), whole, rtol=0, atol=1e-4)


def test_posterior_feels_the_branch() -> None:
    network, frames = grown(0.0), some_frames(80)
    assert network.wavelets is not None
    with torch.no_grad():
        before, _ = network(frames)
        network.wavelets.stem.weight.zero_()
        after, _ = network(frames)
    assert (after - before).abs().max() > 0.01


def test_branch_takes_frames_as_they_came() -> None:
    """The level of the last seconds goes into the frames, not into how they change."""
    network, seen = grown(3.0), []
    assert network.wavelets is not None
    network.wavelets.details.register_forward_hook(lambda module, given, found: seen.append(found[0]))
    frames = some_frames(80)
    with torch.no_grad():
        network(frames)
        network(frames + 2.0)
    torch.testing.assert_close(seen[0], seen[1], rtol=0, atol=1e-4)
    hops = frames.reshape(1, 80, 4, 80).mean(dim=2)
    torch.testing.assert_close(seen[0].double(), expected(hops / network.std), rtol=0, atol=1e-4)


def test_int8_graph_stores_the_branch_s_weights(tmp_path: Path) -> None:
    export_float(grown(3.0), tmp_path / "float.onnx")
    report = quantize_model(
        tmp_path / "float.onnx", swelling().numpy(), tmp_path / "int8.onnx", groups=(), timed_calls=10
    )
    weights = {operator.layer: operator.weights for operator in report.operators}
    assert weights["wavelets.stem"] == weights["wavelets.pointwise"] == "int8"
    assert weights["wavelets.details"] == weights["wavelets.details.2"] == "float32"  # 32 numbers


def test_negative_width_is_refused() -> None:
    with pytest.raises(ValueError, match=r"model\.wavelet_channels: -1"):
        ModelConfig(wavelet_channels=-1)
