"""The tagger made narrow: begun with its weights, taught by it, exported as one graph."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is missing; run scripts/test without --node")

import onnxruntime  # noqa: E402
from support.toy_tagger import Convolution, hearing_as_the_tagger  # noqa: E402

from earshot_node.errors import OperatorError  # noqa: E402
from earshot_trainer.distillation.store import PIECE, HeardMixtures, encode_frames  # noqa: E402
from earshot_trainer.distillation.tagger import ClassScores  # noqa: E402
from earshot_trainer.network.model import ModelConfig  # noqa: E402
from earshot_trainer.second_opinion.ears import Ears  # noqa: E402
from earshot_trainer.second_opinion.exporting import export_second  # noqa: E402
from earshot_trainer.second_opinion.fitting import fit_output  # noqa: E402
from earshot_trainer.second_opinion.learning import SecondLessons, learn  # noqa: E402
from earshot_trainer.second_opinion.network import STRIDES, TAGGER_WIDTHS, SecondOpinion, widths_of  # noqa: E402
from earshot_trainer.second_opinion.pruning import begin_with  # noqa: E402

pytestmark = pytest.mark.torch
WIDE = (8, 8, 16, 16, 16, 16, 24, 24, 24, 24, 24, 24, 32, 32)
NARROW = (6, 6, 12, 12, 12, 12, 16, 16, 16, 16, 16, 16, 24, 20)
CONFIG = hearing_as_the_tagger()


def tagger() -> list[Convolution]:
    layers = [Convolution(1, WIDE[0], 3, STRIDES[0], depthwise=False)]
    for (inputs, outputs), stride in zip(pairwise(WIDE), STRIDES[1:], strict=True):
        layers += [
            Convolution(inputs, inputs, 3, stride, depthwise=True),
            Convolution(inputs, outputs, 1, 1, depthwise=False),
        ]
    return layers


def embed(layers: list[Convolution], frames: "torch.Tensor") -> "torch.Tensor":
    x = frames[:, None]
    for layer in layers:
        x = layer(x)
    return x.mean(dim=(2, 3))


@pytest.fixture
def frames() -> "torch.Tensor":
    return torch.randn(24, 96, 64, generator=torch.Generator().manual_seed(1)) * 2 - 3


def test_network_as_wide_as_the_tagger_is_the_tagger(frames: "torch.Tensor") -> None:
    network = SecondOpinion(WIDE).eval()
    begin_with(network, tagger(), frames)
    np.testing.assert_allclose(network.embed(frames).detach(), embed(tagger(), frames), rtol=0, atol=1e-5)


def test_narrow_network_begins_near_the_channels_that_it_keeps(frames: "torch.Tensor") -> None:
    """Each kept channel of the first layers has the mean and deviation that it has in the tagger."""
    network = SecondOpinion(NARROW).eval()
    begin_with(network, tagger(), frames)
    theirs = tagger()[0](frames[:, None])
    ours = network.layers[0](frames[:, None]).detach()
    matches = [((theirs - channel[:, None]).abs().amax(dim=(0, 2, 3))).min() for channel in ours.transpose(0, 1)]
    assert max(map(float, matches)) < 0.01
    later = network.embed(frames).detach()
    assert later.shape == (24, 20)
    assert float(later.std()) > 0


def test_tagger_narrower_than_the_network_is_refused(frames: "torch.Tensor") -> None:
    with pytest.raises(ValueError, match="24 channels cannot begin with one of 16"):
        begin_with(SecondOpinion((6, 6, 24, *WIDE[3:])), tagger(), frames)
    with pytest.raises(ValueError, match="27"):
        begin_with(SecondOpinion(WIDE), tagger()[:5], frames)


@pytest.fixture(scope="module")
def heard() -> HeardMixtures:
    """Noise that swells in other bands each time, with what the toy tagger makes of its windows."""
    rng = np.random.default_rng(4)
    slow = rng.normal(0, 2, (PIECE, 5, 8))
    log_mel = np.repeat(np.repeat(slow, 80, axis=1), 8, axis=2) + rng.normal(0, 0.5, (PIECE, 400, 64)) - 4
    stored = encode_frames(log_mel.astype(np.float32))
    bare = HeardMixtures(
        [stored],
        np.zeros((PIECE, 100), np.bool_),
        np.zeros((PIECE, 7, 32), np.float16),
        [(n % 5,) for n in range(PIECE)],
    )
    ears = Ears(CONFIG)
    windows = ears.of_log_mel(torch.from_numpy(np.stack([bare.frames_of(n) for n in range(PIECE)])))
    windows = windows[:, 2:].unfold(1, 96, 48).transpose(2, 3)
    embeddings = embed(tagger(), windows.reshape(-1, 96, 64)).reshape(PIECE, -1, 32)
    return HeardMixtures(bare.frames, bare.active, embeddings.numpy().astype(np.float16), bare.ingredients)


CLASSES = ClassScores(
    np.random.default_rng(1).normal(0, 1, (9, 32)).astype(np.float32), np.zeros(9, np.float32), (2, 4)
)


def test_network_learns_what_the_tagger_makes_of_mixtures(
    heard: HeardMixtures, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same few windows again and again: what it is taught, it knows soon."""
    lessons = SecondLessons(heard, [True] * 4 + [False], CLASSES, Ears(CONFIG), seed=1)
    same = lessons.batch(0, 2)
    monkeypatch.setattr("earshot_trainer.second_opinion.learning.WARM_UP_STEPS", 5)
    monkeypatch.setattr(lessons, "batch", lambda _step, _size: same)
    torch.manual_seed(1)
    network = SecondOpinion(NARROW)
    begin_with(network, tagger(), same[0])
    losses: list[float] = []
    taught = learn(network, lessons, 40, 2, lambda _, loss: losses.append(loss))
    assert len(losses) == 40
    assert losses[-1] < 0.7 * losses[0]
    assert all(torch.isfinite(parameter).all() for parameter in taught.parameters())


def test_lessons_hold_nothing_that_is_kept_out_and_are_the_same_each_time(heard: HeardMixtures) -> None:
    lessons = SecondLessons(heard, [True] * 4 + [False], CLASSES, Ears(CONFIG), seed=1)
    windows, targets = lessons.batch(3, 5)
    again, _ = lessons.batch(3, 5)
    assert windows.shape == (35, 96, 64)
    assert targets.shape == (35, lessons.target_count) == (35, 32 + 2)
    assert torch.equal(windows, again)
    assert not torch.equal(windows, lessons.batch(4, 5)[0])
    with pytest.raises(OperatorError, match="only 50 mixtures"):
        SecondLessons(heard, [False] * 4 + [True], CLASSES, Ears(CONFIG), seed=1)


def test_output_tells_two_kinds_of_windows_apart() -> None:
    rng = np.random.default_rng(3)
    others = rng.normal(0, 1, (4000, 20)).astype(np.float32)
    sirens = rng.normal(0, 1, (100, 20)).astype(np.float32)
    sirens[:, 3] += 4
    weight, bias = fit_output(sirens, others)
    assert (sirens @ weight + bias > 0).mean() > 0.9
    assert (others @ weight + bias > 0).mean() < 0.1
    with pytest.raises(OperatorError, match="is_siren"):
        fit_output(sirens[:0], others)


def test_exported_graph_is_the_network(tmp_path: Path, frames: "torch.Tensor") -> None:
    network = SecondOpinion(NARROW)
    begin_with(network, tagger(), frames)
    network.set_output(np.linspace(-1, 1, 20).astype(np.float32), 0.25)
    export_second(network, tmp_path / "second.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "second.onnx")
    for count in (1, 5):
        (logits,) = session.run(None, {"windows": frames[:count].numpy()})
        np.testing.assert_allclose(logits, network(frames[:count]).detach(), rtol=0, atol=1e-3)
    assert b"/trainer/" not in (tmp_path / "second.onnx").read_bytes()


def test_share_of_the_tagger_keeps_its_first_layer_and_whole_blocks() -> None:
    assert widths_of(1.0) == TAGGER_WIDTHS
    assert widths_of(0.4) == (32, 64, 64, 64, 128, 128, *[192] * 6, 384, 384)
    assert SecondOpinion(widths_of(0.4)).widths == widths_of(0.4)


def test_network_that_hears_other_frames_has_no_ears_for_it() -> None:
    with pytest.raises(OperatorError, match=r"model\.magnitudes"):
        Ears(ModelConfig(n_mels=64))
