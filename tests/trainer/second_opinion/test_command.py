"""`second-opinion` on a run of its own: what it learns from, and that quantizing joins it."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

torch = pytest.importorskip("torch", reason="torch is missing; run scripts/test without --node")

from support.half_heard import HalfHeard, melody, train_on_half  # noqa: E402

from earshot_node.contract.manifest import WANTED_STATE  # noqa: E402
from earshot_node.errors import OperatorError  # noqa: E402
from earshot_node.synth.sirens import SirenKind, SirenParameters, synthesize  # noqa: E402
from earshot_trainer.corpus.words import label_words  # noqa: E402
from earshot_trainer.graph.command import QuantizeRequest, run_quantization  # noqa: E402
from earshot_trainer.graph.session import GraphSession  # noqa: E402
from earshot_trainer.network.architecture import ModelConfig  # noqa: E402
from earshot_trainer.other_labels.command import learn_other_labels  # noqa: E402
from earshot_trainer.packaging.graph import read_interface  # noqa: E402
from earshot_trainer.second_opinion import hearing  # noqa: E402
from earshot_trainer.second_opinion.command import make_second_opinion  # noqa: E402
from earshot_trainer.second_opinion.ears import Ears  # noqa: E402
from earshot_trainer.second_opinion.joining import labels_of, second_of  # noqa: E402
from earshot_trainer.segments.alarms import alarm_indoors  # noqa: E402
from earshot_trainer.training.checkpoint import load_checkpoint  # noqa: E402
from earshot_trainer.training.run_record import load_run  # noqa: E402

pytestmark = [pytest.mark.torch, pytest.mark.timeout(300)]
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
mixing: {segment_s: 1.6}
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
def run(tagger_file: Path, tmp_path_factory: pytest.TempPathFactory) -> HalfHeard:
    sounds = [(wail(), True) for _ in range(4)] + [(hiss(), False) for _ in range(4)]
    teacher = f"teacher: {{model: {tagger_file}, classes: [Siren], least_siren_score: 0.05}}\n"
    heard = "distillation: {mixtures: 500, components: 8}\n"
    return train_on_half(tmp_path_factory.mktemp("run"), sounds, RECIPE + teacher + heard)


def test_output_is_fitted_to_what_the_run_was_trained_on(run: HalfHeard) -> None:
    model = run.model
    second = make_second_opinion(run.request)
    windows = (SECONDS * 100 - 96) // 48 + 1
    record = load_run(model.parent).second_opinion
    assert record is not None
    assert record.fitted_to.other_windows == 2 * windows  # of four recordings of hiss two are held out
    assert 0 < record.fitted_to.siren_windows <= 2 * windows
    # Of mixtures of 1.6 s, two windows each, half hold a siren and a quarter of those nothing of what is held out.
    assert 25 < record.fitted_to.mixed_siren_windows < 150
    ears = Ears(ModelConfig.from_dict(load_checkpoint(model)["config"]))
    session = onnxruntime.InferenceSession(second)

    def heard(sound: np.ndarray) -> float:
        frames = ears.frames((sound * 32767).astype(np.int16))[200:296]
        return float(session.run(None, {"windows": frames[None].numpy()})[0][0, 0])

    assert heard(wail()) > 0 > heard(hiss())

    int8 = run_quantization(QuantizeRequest(model, run.request.manifests, model.parent, clips=4, cache=run.cache))
    joint = second_of(onnx.load(int8))
    assert joint is not None
    assert len(joint.SerializeToString()) < second.stat().st_size / 5
    assert second_of(onnx.load(int8.with_name("model.float.onnx"))) is not None


def test_other_labels_of_the_run_are_told_where_its_recordings_teach_them(tagger_file: Path, tmp_path: Path) -> None:
    sounds = [(wail(), True)] * 4 + [(melody(RNG, SECONDS), False) for _ in range(10)]
    sounds += [(hiss(), False) for _ in range(6)]
    names = ["siren"] * 4 + ["music"] * 10 + ["rain"] * 6
    recipe = RECIPE + f"teacher: {{model: {tagger_file}, classes: [Siren], least_siren_score: 0.05}}\n"
    run = train_on_half(tmp_path, sounds, recipe + "distillation: {mixtures: 500, components: 8}\n", names)
    learn_other_labels(run.request)
    make_second_opinion(run.request)
    record = load_run(run.model.parent)
    assert record.labels == ("siren", *label_words())
    assert record.second_opinion is not None
    # No baby, dog or horn is among the recordings; smoke alarms are synthesized.
    assert record.second_opinion.labels == ("siren", "speech", "music", "smoke_alarm")
    # Of 50 mixtures of 1.6 s, two windows each, half hold an alarm, or one of its pauses.
    assert 15 < record.second_opinion.fitted_to.synthesized_windows["smoke_alarm"] < 60

    int8 = run_quantization(
        QuantizeRequest(run.model, run.request.manifests, tmp_path / "run", clips=4, cache=run.cache)
    )
    states = read_interface(int8.read_bytes(), "graph").state_tensors
    assert [one.name for one in states if one.name.startswith(WANTED_STATE)] == [
        "wanted_speech",
        "wanted_music",
        "wanted_smoke_alarm",
    ]
    session, column = GraphSession(int8), record.labels.index("music")
    beeps = alarm_indoors("temporal_3", RNG, 4.0)
    alarm, no_alarm = (
        session.run(one[None]).posteriors[0, 30:, record.labels.index("smoke_alarm")] for one in (beeps, hiss())
    )
    assert np.quantile(alarm, 0.75) > 0.5 > np.quantile(no_alarm, 0.9)
    tune, noise = (session.run(one[None]).posteriors[0, 30:, column] for one in (melody(RNG, SECONDS), hiss()))
    assert np.median(tune) > 0.5 > np.median(noise)
    second = second_of(onnx.load(int8))
    assert second is not None
    assert labels_of(second) == ("siren", "speech", "music", "smoke_alarm")


def test_windows_are_heard_once_for_all_runs(run: HalfHeard, monkeypatch: pytest.MonkeyPatch) -> None:
    first = make_second_opinion(run.request).read_bytes()
    (kept,) = run.cache.glob("windows-*.npz")

    def again_heard(*arguments: object) -> None:
        raise AssertionError("heard again")

    monkeypatch.setattr(hearing, "hear_windows", again_heard)
    assert make_second_opinion(run.request).read_bytes() == first
    kept.unlink()
    with pytest.raises(AssertionError, match="again"):
        make_second_opinion(run.request)
    assert [*run.cache.glob("windows-*")] == []


def test_recordings_that_the_run_has_not_heard_teach_nothing(run: HalfHeard, tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match="is_siren"):
        make_second_opinion(run.from_what_it_has_not_heard(tmp_path))
