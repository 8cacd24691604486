"""A small untrained model and its graphs, made once for the session; the published tagger, if it is there."""

import importlib.util
import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from numpy.typing import NDArray

if TYPE_CHECKING:
    from earshot_trainer.network.model import StreamingCrnn


@pytest.fixture(scope="session")
def tagger_file() -> Path:
    """The published tagger's file, its class map beside it, where the interpreter is there too."""
    if importlib.util.find_spec("ai_edge_litert") is None:
        pytest.skip("ai-edge-litert is missing; `pip install -e '.[teacher]'`")
    data = os.environ.get("EARSHOT_DATA")
    model = Path(data).resolve().parent / "models" / "yamnet.tflite" if data else None
    if model is None or not model.is_file():
        pytest.skip("yamnet.tflite is missing; put it with its class map into models beside the folder of EARSHOT_DATA")
    return model


@pytest.fixture(scope="session")
def noise_clips() -> NDArray[np.float32]:
    """Eight clips of two seconds, noise and sweeps between -60 and 0 dBFS: float32[8, 32000]."""
    generator = np.random.default_rng(7)
    time_s = np.arange(32_000) / 16_000
    sweeps = [np.sin(2 * np.pi * (700 * time_s + 200 * np.sin(rate * time_s))) for rate in range(1, 9)]
    levels = np.geomspace(1e-3, 1, 8)[:, None]
    return ((np.stack(sweeps) + generator.normal(0, 0.3, (8, 32_000))) * levels * 0.5).astype(np.float32)


@pytest.fixture(scope="session")
def network(noise_clips: NDArray[np.float32]) -> "StreamingCrnn":
    """A network with random weights, batch norms and normalization from noise, and posteriors that move."""
    import torch

    from earshot_trainer.network.model import LogMel, ModelConfig, StreamingCrnn

    torch.manual_seed(3)
    config = ModelConfig(labels=("siren", "glass"))
    network, log_mel = StreamingCrnn(config), LogMel(config)
    with torch.no_grad():
        frames, _ = log_mel(torch.from_numpy(noise_clips), log_mel.initial_cache(len(noise_clips)))
        network.set_normalization(frames.mean(dim=(0, 1)), frames.std(dim=(0, 1)))
        for _ in range(30):
            network(frames)
        network.output.weight *= 20
    return network.eval()


@pytest.fixture(scope="session")
def float_graph(network: "StreamingCrnn", tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The network's float32 graph."""
    from earshot_trainer.graph.export import export_float

    path = tmp_path_factory.mktemp("graphs") / "float.onnx"
    export_float(network, path)
    return path


@pytest.fixture(scope="session")
def int8_graph(float_graph: Path) -> Path:
    """The float graph with its weights stored in INT8."""
    import onnx_ir

    from earshot_trainer.graph.weights import store_weights_as_int8

    model = onnx_ir.load(float_graph)
    store_weights_as_int8(model)
    path = float_graph.with_name("int8.onnx")
    onnx_ir.save(model, path)
    return path
