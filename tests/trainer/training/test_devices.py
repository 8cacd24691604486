"""What CUDA needs, as far as it can be known without one: every tensor on the right side, and the right precision."""

import pytest

torch = pytest.importorskip("torch", reason="torch is missing; run scripts/test without --node")

from support.pretended_device import DEVICE, Pretended, PretendedDevice  # noqa: E402
from support.tiny_corpus import make_corpus, write_recipe  # noqa: E402

from earshot_trainer.corpus.cache import PcmCache  # noqa: E402
from earshot_trainer.corpus.recordings import load_manifest  # noqa: E402
from earshot_trainer.segments import augment  # noqa: E402
from earshot_trainer.segments.mixing import SegmentMixer  # noqa: E402
from earshot_trainer.segments.sounds import Sounds, gather_sounds  # noqa: E402
from earshot_trainer.training.learner import Learner  # noqa: E402
from earshot_trainer.training.recipe import Recipe, load_recipe  # noqa: E402

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> tuple[Recipe, Sounds]:
    folder = tmp_path_factory.mktemp("corpus")
    recordings = load_manifest(make_corpus(folder))
    cache = PcmCache(folder / "cache")
    cache.add(recordings)
    recipe = load_recipe(write_recipe(folder))
    return recipe, gather_sounds(recordings, cache, recipe, folder / "cache")


def test_pretended_device_refuses_tensors_from_both_sides() -> None:
    with PretendedDevice():
        there = torch.ones(3).to(DEVICE)
        assert isinstance(there, Pretended)
        assert (there * 2.0).device == DEVICE
        with pytest.raises(RuntimeError, match="on the CPU"):
            there + torch.ones(3)
        with pytest.raises(RuntimeError, match="would wait"):
            float(there.sum())


def test_mixing_and_colouring_keep_every_tensor_on_the_training_device(material: tuple[Recipe, Sounds]) -> None:
    recipe, sounds = material
    arguments = (sounds, recipe.model, recipe.mixing, recipe.augment, 1)
    expected = SegmentMixer(*arguments, CPU).batch(5, 8, sounds.span_odds)
    with PretendedDevice():
        batch = SegmentMixer(*arguments, DEVICE).batch(5, 8, sounds.span_odds)
        generator = torch.Generator().manual_seed(1)
        coloured = augment.colour(batch.log_mel, recipe.augment, recipe.model, generator)
        coloured = augment.mask_spectrum(coloured, recipe.augment, generator)
    for tensor in (batch.log_mel, batch.targets, batch.weights, coloured):
        assert tensor.device == DEVICE
        assert tensor.dtype == torch.float32
    assert torch.allclose(batch.log_mel.held, expected.log_mel, atol=1e-5)
    assert torch.equal(batch.targets.held, expected.targets)


def test_low_precision_stays_inside_the_network(material: tuple[Recipe, Sounds]) -> None:
    recipe, sounds = material
    learner, rival = Learner(recipe.model_copy(update={"precision": "bfloat16"}), CPU), Learner(recipe, CPU)
    mixer = SegmentMixer(sounds, recipe.model, recipe.mixing, recipe.augment, 1, CPU)
    seen = []
    learner.network.blocks[-1].pointwise.register_forward_hook(lambda module, args, out: seen.append(out.dtype))
    lesson = learner.prepare(mixer.batch(0, 4, sounds.span_odds), 0)
    outcome, exact = learner.step(lesson, 0), rival.step(lesson, 0)
    assert seen == [torch.bfloat16]
    assert outcome.loss.dtype == outcome.peaks.dtype == torch.float32
    assert float(outcome.loss) == pytest.approx(float(exact.loss), rel=0.02)
    assert float(outcome.loss) != float(exact.loss)
    state = learner.state_dict()
    for part in ("network", "average", "left"):
        assert {value.dtype for value in state[part].values()} <= {torch.float32, torch.int64}
    assert all(parameter.grad.dtype == torch.float32 for parameter in learner.network.parameters())
