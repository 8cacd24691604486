"""`second-opinion` on a run of its own: what it learns from, and that quantizing joins it."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import soundfile as sf

torch = pytest.importorskip("torch", reason="torch is missing; run scripts/test without --node")

from earshot_node.errors import OperatorError  # noqa: E402
from earshot_node.synth.sirens import SirenKind, SirenParameters, synthesize  # noqa: E402
from earshot_trainer.graph.command import QuantizeRequest, run_quantization  # noqa: E402
from earshot_trainer.network.architecture import ModelConfig  # noqa: E402
from earshot_trainer.second_opinion.command import make_second_opinion  # noqa: E402
from earshot_trainer.second_opinion.ears import Ears  # noqa: E402
from earshot_trainer.second_opinion.joining import second_of  # noqa: E402
from earshot_trainer.training.checkpoint import load_checkpoint  # noqa: E402
from earshot_trainer.training.command import RunRequest, run_training  # noqa: E402
from earshot_trainer.training.finished_run import AdditionRequest  # noqa: E402
from earshot_trainer.training.run_record import load_run  # noqa: E402

pytestmark = pytest.mark.torch
RECIPE = """\
name: tiny
model:
  labels: [siren]
  window_samples: 400
  n_mels: 64
  mel_min_hz: 125.0
  mel_max_hz: 7500.0
  power_floor: 1.0e-9
  magnitudes: true
  level_s: 3.0
  tagger_layers: 7
  channels: [4, 4, 8, 8]
  embedding: 8
  hidden: 8
mixing: {segment_s: 1.0}
synthetic: {sirens: 2, traps: 1, length_s: 1.5}
training: {steps: 2, batch_size: 4, seed: 3}
"""
SECONDS = 4
RNG = np.random.default_rng(5)


def wail() -> np.ndarray:
    return 0.3 * synthesize(SirenParameters.random(SirenKind.WAIL, RNG), float(SECONDS))


def hiss() -> np.ndarray:
    return (0.02 * RNG.standard_normal(16_000 * SECONDS)).astype(np.float32)


@pytest.fixture(scope="module")
def run(tagger_file: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """A trained run's model that has not heard fold1, the manifest with both folds, and the cache."""
    folder = tmp_path_factory.mktemp("run")
    rows = ["path,label,is_siren,kind,source,fsid,fold,dur,licence"]
    for number in range(8):
        is_siren = number < 4
        sf.write(folder / f"{number}.wav", wail() if is_siren else hiss(), 16_000)
        rows.append(f"{number}.wav,x,{int(is_siren)},clip,tiny,{100 + number},fold{number % 2},{SECONDS},CC0")
    (folder / "manifest.csv").write_text("\n".join(rows) + "\n")
    teacher = f"teacher: {{model: {tagger_file}, classes: [Siren], least_siren_score: 0.05}}\n"
    (folder / "recipe.yaml").write_text(RECIPE + teacher)
    manifest, cache = folder / "manifest.csv", folder / "cache"
    model = run_training(
        RunRequest(
            recipe_path=folder / "recipe.yaml", manifests=(str(manifest),), out=folder / "run", device="cpu",
            threads=1, cache=cache, folds=("fold1",),
        )
    )  # fmt: skip
    return model, manifest, cache


def test_output_is_fitted_to_what_the_run_was_trained_on(run: tuple[Path, Path, Path]) -> None:
    model, manifest, cache = run
    second = make_second_opinion(AdditionRequest(model, (str(manifest),), cache))
    windows = (SECONDS * 100 - 96) // 48 + 1
    record = load_run(model.parent).second_opinion
    assert record is not None
    assert record.fitted_to.other_windows == 2 * windows  # of four recordings of hiss two are held out
    assert 0 < record.fitted_to.siren_windows <= 2 * windows
    ears = Ears(ModelConfig.from_dict(load_checkpoint(model)["config"]))
    session = onnxruntime.InferenceSession(second)

    def heard(sound: np.ndarray) -> float:
        frames = ears.frames((sound * 32767).astype(np.int16))[200:296]
        return float(session.run(None, {"windows": frames[None].numpy()})[0][0])

    assert heard(wail()) > 0 > heard(hiss())

    int8 = run_quantization(QuantizeRequest(model, (str(manifest),), model.parent, clips=4, cache=cache))
    joint = second_of(onnx.load(int8))
    assert joint is not None
    assert len(joint.SerializeToString()) < second.stat().st_size / 5
    assert second_of(onnx.load(int8.with_name("model.float.onnx"))) is not None


def test_recordings_that_the_run_has_not_heard_teach_nothing(run: tuple[Path, Path, Path], tmp_path: Path) -> None:
    model, manifest, cache = run
    head, *rows = manifest.read_text().splitlines()
    kept_out = [row.replace(row.split(",")[0], str(manifest.with_name(row.split(",")[0])), 1) for row in rows[1::2]]
    (tmp_path / "others.csv").write_text("\n".join([head, *kept_out]) + "\n")
    with pytest.raises(OperatorError, match="is_siren"):
        make_second_opinion(AdditionRequest(model, (str(tmp_path / "others.csv"),), cache))
