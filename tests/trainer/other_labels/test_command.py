"""`other-labels` on a run of its own: what it learns, from what, and that sirens are heard as before."""

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is missing; run scripts/test without --node")

from support.half_heard import HalfHeard, melody, train_on_half  # noqa: E402
from support.tiny_corpus import TINY_RECIPE  # noqa: E402

from earshot_node.errors import OperatorError  # noqa: E402
from earshot_node.synth.sirens import SirenKind, SirenParameters, synthesize  # noqa: E402
from earshot_trainer.corpus.words import label_words  # noqa: E402
from earshot_trainer.graph.command import QuantizeRequest, run_quantization  # noqa: E402
from earshot_trainer.graph.session import GraphSession  # noqa: E402
from earshot_trainer.network.model import SignalPath  # noqa: E402
from earshot_trainer.other_labels.command import learn_other_labels  # noqa: E402
from earshot_trainer.retraining.growing import with_labels  # noqa: E402
from earshot_trainer.training.checkpoint import load_checkpoint, save_atomically  # noqa: E402
from earshot_trainer.training.command import load_network  # noqa: E402
from earshot_trainer.training.run_record import load_run, record_other_labels  # noqa: E402

pytestmark = [pytest.mark.torch, pytest.mark.slow]
SECONDS = 4
OTHERS = tuple(label_words())
RNG = np.random.default_rng(5)


def hiss() -> np.ndarray:
    return (0.02 * RNG.standard_normal(16_000 * SECONDS)).astype(np.float32)


@pytest.fixture(scope="module")
def run(tagger_file: Path, tmp_path_factory: pytest.TempPathFactory) -> HalfHeard:
    wail = 0.3 * synthesize(SirenParameters.random(SirenKind.WAIL, RNG), float(SECONDS))
    sounds = (
        [(wail, True)] * 2 + [(melody(RNG, SECONDS), False) for _ in range(4)] + [(hiss(), False) for _ in range(4)]
    )
    text = TINY_RECIPE.replace("hidden: 8", "hidden: 24").replace("segment_s: 1.0", "segment_s: 3.0")
    text += f"teacher: {{model: {tagger_file}, classes: []}}\ndistillation: {{mixtures: 1000, components: 8}}\n"
    return train_on_half(tmp_path_factory.mktemp("run"), sounds, text)


def heard(model: Path, sound: np.ndarray) -> np.ndarray:
    path = SignalPath(load_network(model)).eval()
    with torch.inference_mode():
        posteriors, _, _ = path(torch.from_numpy(sound)[None], path.initial_state(1))
    result: np.ndarray = posteriors[0].numpy()
    return result


def test_other_sounds_are_learnt_and_sirens_heard_as_before(run: HalfHeard) -> None:
    model = run.model
    tune = melody(RNG, SECONDS)
    before, was = heard(model, tune), load_checkpoint(model)
    learn_other_labels(run.request)
    after, values = heard(model, tune), load_checkpoint(model)
    assert values["config"]["labels"] == ["siren", *OTHERS]
    assert after.shape == (len(before), 1 + len(OTHERS))
    same = [name for name in was["network"] if not name.startswith("output.")]
    assert all(torch.equal(was["network"][name], values["network"][name]) for name in same)
    np.testing.assert_allclose(after[:, 0], before[:, 0], atol=1e-6)
    music = 1 + OTHERS.index("music")
    assert np.median(after[25:, music]) > np.median(heard(model, hiss())[25:, music]) + 0.2

    record = load_run(model.parent)
    assert record.labels == ("siren", *OTHERS)
    assert record.other_labels is not None
    assert record.other_labels.labels == OTHERS
    # Of a siren and four backgrounds of either fold, one in two to four mixtures holds nothing of the other one.
    assert 200 < record.other_labels.mixtures < 700

    learn_other_labels(run.request)
    again = load_checkpoint(model)["network"]
    assert all(torch.equal(values["network"][name], again[name]) for name in again)

    # Labels that are no longer learnt go.
    cow = again | {"output.weight": again["output.weight"][:2], "output.bias": again["output.bias"][:2]}
    save_atomically({"network": cow} | with_labels(was, ("cow",)), model)
    record_other_labels(model.parent, ("siren",), ("cow",), 5)
    learn_other_labels(run.request)
    assert load_checkpoint(model)["config"]["labels"] == ["siren", *OTHERS]
    assert load_run(model.parent).labels == ("siren", *OTHERS)

    int8 = run_quantization(QuantizeRequest(model, run.request.manifests, model.parent, clips=4, cache=run.cache))
    assert GraphSession(int8).run_clips(hiss()[None]).shape[2] == 1 + len(OTHERS)


def test_nothing_that_the_run_has_not_heard_teaches(run: HalfHeard, tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match="only 0 mixtures"):
        learn_other_labels(run.from_what_it_has_not_heard(tmp_path))
