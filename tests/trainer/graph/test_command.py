import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is missing; run scripts/test without --node")

from support.tiny_corpus import make_corpus  # noqa: E402

from earshot_node.errors import OperatorError  # noqa: E402
from earshot_trainer.corpus.recordings import dataset_hash, load_manifest  # noqa: E402
from earshot_trainer.graph.command import (  # noqa: E402
    QuantizeRequest,
    calibration_clips,
    pick_calibration,
    run_quantization,
)
from earshot_trainer.graph.session import GraphSession  # noqa: E402
from earshot_trainer.network.model import ModelConfig, SignalPath, StreamingCrnn  # noqa: E402
from earshot_trainer.training.checkpoint import save_atomically  # noqa: E402
from earshot_trainer.training.run_record import load_run  # noqa: E402

RUN = {
    "recipe": {"name": "tiny", "model": {"labels": ["siren"]}},
    "seed": 1,
    "code_version": "test",
    "dataset_sha256": "ab" * 32,
    "trained_on": {},
    "audio_licences": {"CC0": 1},
}


def save_untrained(folder: Path, training_groups: list[str]) -> tuple[Path, StreamingCrnn]:
    torch.manual_seed(2)
    config = ModelConfig(n_mels=32, channels=(4, 4, 8, 8), embedding=8, hidden=8)
    network = StreamingCrnn(config).eval()
    folder.mkdir(parents=True, exist_ok=True)
    save_atomically({"network": network.state_dict(), "config": config.to_dict(), "recipe": "{}"}, folder / "model.pt")
    (folder / "run.json").write_text(json.dumps(RUN | {"training_groups": training_groups}))
    return folder / "model.pt", network


def test_calibration_is_half_sirens_and_repeatable(tmp_path: Path) -> None:
    recordings = load_manifest(make_corpus(tmp_path / "corpus", sirens=3, negatives=9))
    picked = pick_calibration(recordings, 6, seed=1)
    clips = calibration_clips(picked, seed=1, cache_folder=tmp_path / "cache")
    assert clips.shape == (6, 64_000)
    assert clips.dtype == np.float32
    pitched = [int((np.abs(clip[:32_000]) > 0.25).sum()) > 1000 for clip in clips]
    assert sum(pitched) == 3
    assert picked == pick_calibration(recordings, 6, seed=1)
    assert np.array_equal(clips, calibration_clips(picked, seed=1, cache_folder=tmp_path / "cache"))


def test_too_small_a_corpus_cannot_calibrate(tmp_path: Path) -> None:
    recordings = load_manifest(make_corpus(tmp_path / "corpus", sirens=1, negatives=1))
    with pytest.raises(OperatorError, match="at least 4 recordings"):
        pick_calibration(recordings, 48, seed=1)


@pytest.mark.slow
def test_quantizing_writes_graphs_that_agree_with_the_network(tmp_path: Path) -> None:
    manifest = make_corpus(tmp_path / "corpus", sirens=4, negatives=4)
    heard = [recording for recording in load_manifest(manifest) if recording.group not in ("103", "203")]
    model, network = save_untrained(tmp_path / "run", [recording.group for recording in heard])
    request = QuantizeRequest(
        model=model, manifests=(str(manifest),), out=tmp_path / "run", clips=6, cache=tmp_path / "cache"
    )
    int8_path = run_quantization(request)
    report = json.loads((tmp_path / "run" / "quantization.json").read_text())
    assert report["int8_weight_bytes"] < report["float_weight_bytes"]
    assert report["calibration"] == {"dataset_sha256": dataset_hash(heard), "clips": 6, "seed": 1}
    graphs = load_run(tmp_path / "run").graphs
    assert graphs[hashlib.sha256(int8_path.read_bytes()).hexdigest()] == "model.int8.onnx"
    assert sorted(graphs.values()) == ["model.float.onnx", "model.int8.onnx"]
    clips = calibration_clips(pick_calibration(heard, 6, 1), 1, tmp_path / "cache")
    path = SignalPath(network)
    with torch.no_grad():
        expected = path(torch.from_numpy(clips), path.initial_state(len(clips)))[0].numpy()
    assert GraphSession(tmp_path / "run" / "model.float.onnx").run_clips(clips) == pytest.approx(expected, abs=1e-4)
    assert np.abs(GraphSession(int8_path).run_clips(clips) - expected).mean() < 0.02


def test_model_without_its_run_is_not_quantized(tmp_path: Path) -> None:
    model, _ = save_untrained(tmp_path / "run", [])
    (tmp_path / "run" / "run.json").unlink()
    manifest = make_corpus(tmp_path / "corpus")
    with pytest.raises(OperatorError, match=r"cannot read .*run\.json"):
        run_quantization(QuantizeRequest(model=model, manifests=(str(manifest),), out=tmp_path / "run"))
