"""The float graph: what torch computes, in any cut and any company."""

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is missing; run scripts/test without --node")

from hypothesis import HealthCheck, given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from numpy.typing import NDArray  # noqa: E402

from earshot_trainer.graph import export  # noqa: E402
from earshot_trainer.graph.export_layers import MatrixLogMel, OnnxEmbedding  # noqa: E402
from earshot_trainer.graph.operator_table import stored_bytes  # noqa: E402
from earshot_trainer.graph.session import GraphSession  # noqa: E402
from earshot_trainer.network.model import LogMel, ModelConfig, SignalPath, StreamingCrnn  # noqa: E402
from earshot_trainer.packaging.graph import read_interface  # noqa: E402

pytestmark = pytest.mark.torch

TOLERANCE = 1e-4


def stream(session: GraphSession, samples: NDArray[np.float32], cuts: list[int]) -> NDArray[np.float32]:
    """Return posteriors of samples [B, T] given in calls of `cuts` hops."""
    state, outputs, position = session.initial_state(len(samples)), [], 0
    for hops in cuts:
        output = session.run(samples[:, position : position + 640 * hops], state)
        state = output.state
        outputs.append(output.posteriors)
        position += 640 * hops
    return np.concatenate(outputs, axis=1)


@pytest.fixture(scope="module", params=["float", "int8"])
def session(request: pytest.FixtureRequest, float_graph: Path, int8_graph: Path) -> GraphSession:
    """Each graph in turn."""
    return GraphSession({"float": float_graph, "int8": int8_graph}[request.param])


def test_graph_equals_torch(network: StreamingCrnn, float_graph: Path, noise_clips: NDArray[np.float32]) -> None:
    path = SignalPath(network).eval()
    with torch.no_grad():
        posteriors, log_mel, state = path(torch.from_numpy(noise_clips), path.initial_state(8))
    output = GraphSession(float_graph).run(noise_clips)
    assert posteriors.std(dim=1).min() > 0.01
    np.testing.assert_allclose(output.posteriors, posteriors, rtol=0, atol=TOLERANCE)
    np.testing.assert_allclose(output.log_mel, log_mel, rtol=0, atol=1e-3)
    assert set(output.state) == set(state) == {"samples", "stem", "conv1", "conv2", "conv3", "gru"}
    for name, value in state.items():
        np.testing.assert_allclose(output.state[name], value, rtol=0, atol=1e-3)


def test_hop_by_hop_equals_the_whole_clip(session: GraphSession, noise_clips: NDArray[np.float32]) -> None:
    whole = session.run(noise_clips).posteriors
    np.testing.assert_allclose(stream(session, noise_clips, [1] * 50), whole, rtol=0, atol=TOLERANCE)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(1, 10), min_size=1, max_size=5), st.integers(0, 7))
def test_any_cut_equals_the_whole_clip(
    session: GraphSession, noise_clips: NDArray[np.float32], cuts: list[int], row: int
) -> None:
    samples = noise_clips[row : row + 1, : 640 * sum(cuts)]
    whole = session.run(samples).posteriors
    np.testing.assert_allclose(stream(session, samples, cuts), whole, rtol=0, atol=TOLERANCE)


def test_loud_neighbour_changes_nothing(session: GraphSession, noise_clips: NDArray[np.float32]) -> None:
    quiet = noise_clips[:1]
    loud = np.where(np.random.default_rng(0).random(quiet.shape) < 0.5, -1, 1).astype(np.float32)
    alone = session.run(quiet).posteriors[0]
    np.testing.assert_allclose(session.run(np.concatenate([loud, quiet])).posteriors[1], alone, rtol=0, atol=TOLERANCE)
    beside = stream(session, np.concatenate([quiet, loud, loud]), [1] * 50)[0]
    np.testing.assert_allclose(beside, alone, rtol=0, atol=TOLERANCE)


def test_graph_has_the_agreed_inputs_and_outputs(float_graph: Path) -> None:
    import onnx

    graph = onnx.load(float_graph).graph
    shapes = {
        tensor.name: [dim.dim_param or dim.dim_value for dim in tensor.type.tensor_type.shape.dim]
        for tensor in (*graph.input, *graph.output)
    }
    assert shapes["posteriors"] == ["batch", "n", 2]
    assert shapes["log_mel"] == ["batch", "4*n", 80]
    assert shapes["samples"] == ["batch", "640*n"]
    states = [name for name in shapes if name.startswith("state_")]
    assert len(states) == 6
    for name in states:
        assert shapes[name] == shapes[f"next_{name}"]
        assert shapes[name][0] == "batch"


@pytest.mark.filterwarnings("ignore:At least one mel filterbank")
@pytest.mark.parametrize(
    "config",
    [
        ModelConfig(),
        ModelConfig(window_samples=320, n_mels=32, mel_min_hz=0),
        ModelConfig(window_samples=640, n_mels=48, mel_min_hz=300, mel_max_hz=3400),
        ModelConfig(n_mels=16, mel_min_hz=1000, mel_max_hz=1050),
        ModelConfig(window_samples=400, n_mels=64, mel_min_hz=125, mel_max_hz=7500, magnitudes=True),
    ],
    ids=["default", "short window", "long window", "one bin", "magnitudes"],
)
def test_split_dft_is_the_dft(config: ModelConfig, noise_clips: NDArray[np.float32]) -> None:
    """The same filters over float64's FFT of every bin: splitting it and leaving bins out costs no digit."""
    exported, exact = MatrixLogMel(config), LogMel(config).double()
    exact.window = torch.hann_window(config.window_samples, dtype=torch.float64)
    exact.mel_filters = exported._filters(torch.arange(config.window_samples // 2 + 1)).double()
    samples = torch.from_numpy(noise_clips)
    cache = exported.initial_cache(len(samples))
    frames, _ = exported(samples, cache)
    expected, _ = exact(samples.double(), cache.double())
    torch.testing.assert_close(frames.double(), expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("floor", [1e-6, 1e-9, 1e-10])
def test_silence_is_the_floor_and_what_is_hardly_more_is_as_in_training(floor: float, tmp_path: Path) -> None:
    """The exporter takes an addition of less than 1e-8 for none."""
    config = ModelConfig(power_floor=floor)
    export.export_float(StreamingCrnn(config).eval(), tmp_path / "model.onnx")
    session = GraphSession(tmp_path / "model.onnx")
    silence = np.zeros((1, 6400), np.float32)
    np.testing.assert_allclose(session.run(silence).log_mel, np.log(floor), rtol=0, atol=1e-4)
    hiss = (np.sqrt(floor) / 10 * np.random.default_rng(1).standard_normal((1, 6400))).astype(np.float32)
    log_mel = LogMel(config)
    expected, _ = log_mel(torch.from_numpy(hiss), log_mel.initial_cache(1))
    assert float(expected.std()) > 0.1
    np.testing.assert_allclose(session.run(hiss).log_mel, expected, rtol=0, atol=1e-3)


def test_graph_says_where_its_bands_lie(float_graph: Path, tmp_path: Path) -> None:
    assert read_interface(float_graph.read_bytes(), "graph").mel_range_hz == (50.0, 8_000.0)
    narrow = ModelConfig(mel_min_hz=125.0, mel_max_hz=7_500.0)
    export.export_float(StreamingCrnn(narrow).eval(), tmp_path / "model.onnx")
    assert read_interface((tmp_path / "model.onnx").read_bytes(), "graph").mel_range_hz == (125.0, 7_500.0)


def test_file_holds_no_matrix_that_load_time_can_compute(network: StreamingCrnn, float_graph: Path) -> None:
    weights = sum(parameter.numel() for parameter in network.parameters())
    assert stored_bytes(float_graph) < 4 * weights + 20_000


def test_embedding_as_a_convolution_is_the_embedding(network: StreamingCrnn) -> None:
    x = torch.randn(3, 96, 7, 5, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = network.embedding(x)
        assert expected.shape == (7, 3, 96)
        torch.testing.assert_close(OnnxEmbedding(network.embedding, mels=5)(x), expected, rtol=0, atol=1e-5)


def test_graph_that_differs_from_the_network_is_not_written(
    network: StreamingCrnn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "EXPORT_TOLERANCE", -1.0)
    with pytest.raises(RuntimeError, match="differs from the network"):
        export.export_float(network, tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())
