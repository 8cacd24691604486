"""A regression on embeddings says how audible a siren is; mixtures of what is kept out are not learnt from."""

from functools import cache

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is missing; run scripts/test without --node")
pytest.importorskip("sklearn", reason="scikit-learn is missing; run scripts/test without --node")

from support.heard_mixtures import class_scores, heard_mixtures  # noqa: E402

from earshot_node.errors import OperatorError  # noqa: E402
from earshot_trainer.distillation.lessons import SURE, HeardLessons, TrainingSide  # noqa: E402
from earshot_trainer.distillation.store import (  # noqa: E402
    PIECE,
    decode_frames,
    encode_frames,
    window_decisions,
)
from earshot_trainer.training.recipe import DistillationRecipe  # noqa: E402

RECIPE = DistillationRecipe(mixtures=PIECE, batch_size=4, components=3, doubt=0.5)
LENGTH = 64_000
WINDOWS = 7


@cache
def lessons(
    allowed: tuple[bool, ...] = (True, True, True), doubt: float = 0.5, faint_every: int = PIECE, recorded: bool = True
) -> HeardLessons:
    recipe = RECIPE.model_copy(update={"doubt": doubt})
    side = TrainingSide(allowed, (recorded, False, False))
    heard = heard_mixtures(LENGTH, faint_every=faint_every)
    return HeardLessons(heard, side, class_scores(), recipe, seed=1, device=torch.device("cpu"))


def test_frames_come_back_within_half_a_step() -> None:
    frames = np.linspace(-20.8, 10.8, 4001, dtype=np.float32)
    assert np.abs(decode_frames(encode_frames(frames)) - frames).max() < 0.0626


def test_decision_of_a_window_is_the_first_that_has_heard_all_of_it() -> None:
    ends_s = (window_decisions(LENGTH) + 1) * 0.04
    windows_end_s = np.arange(WINDOWS) * 0.48 + 0.975
    assert ((ends_s >= windows_end_s) & (ends_s < windows_end_s + 0.04)).all()


def test_mixture_of_what_is_kept_out_is_not_learnt_from() -> None:
    assert len(lessons()) == PIECE
    assert len(lessons(allowed=(True, True, False))) == PIECE * 4 // 5


def test_too_few_mixtures_are_an_error_that_says_what_to_raise() -> None:
    with pytest.raises(OperatorError, match=r"only 0 mixtures .* raise distillation\.mixtures"):
        lessons(allowed=(False, False, True))


def test_siren_that_the_tagger_hears_is_likely_and_its_absence_is_not() -> None:
    taught = lessons()
    batches = [taught.batch(step, 32) for step in range(8)]
    likely = torch.cat([batch.siren for batch in batches]).mean(dim=1)
    assert (likely > 0.8).sum() > 80
    assert (likely < 0.1).sum() > 80


def test_doubt_scales_what_is_thought_of_mixtures_without_a_siren() -> None:
    full, none = lessons(doubt=1.0), lessons(doubt=0.0)
    with_siren = full.batch(0, 64).siren.mean(dim=1) > 0.5
    assert torch.equal(full.batch(0, 64).siren[with_siren], none.batch(0, 64).siren[with_siren])
    assert float(none.batch(0, 64).siren[~with_siren].max()) == pytest.approx(0.005)


def test_siren_that_the_tagger_agrees_to_is_one_whatever_it_was_made_of() -> None:
    for recorded in (True, False):
        batch = lessons(faint_every=6, recorded=recorded).batch(0, 128)
        agreed = batch.siren > 0.6
        assert agreed.sum() > 200
        assert float(batch.siren[agreed].min()) >= SURE - 1e-6
        assert batch.weights[agreed].eq(1.0).all()


def test_siren_that_the_tagger_misses_counts_if_it_was_recorded_and_not_if_it_was_synthesized() -> None:
    recorded, made = (lessons(faint_every=6, recorded=one).batch(0, 128) for one in (True, False))
    assert recorded.weights.eq(1.0).all()
    left_out = made.weights.eq(0.0)
    assert 0.1 < left_out.float().mean() < 0.25  # every third siren is faint
    assert float(recorded.siren[left_out].max()) < 0.6
    outputs = torch.zeros(128, 100, 4)
    outputs[:, lessons().decisions, 0] = torch.logit(made.siren)
    outputs[:, lessons().decisions, 1:] = made.components
    wrong = outputs.clone()
    wrong[:, lessons().decisions, 0] += 3.0 * left_out
    assert float(lessons().loss(wrong, made, RECIPE)) == float(lessons().loss(outputs, made, RECIPE))
    assert float(lessons().loss(wrong, recorded, RECIPE)) > float(lessons().loss(outputs, recorded, RECIPE))


def test_batch_follows_from_step_and_process() -> None:
    taught = lessons()
    again = lessons.__wrapped__()
    assert torch.equal(taught.batch(5, 4).log_mel, again.batch(5, 4).log_mel)
    assert not torch.equal(taught.batch(5, 4).log_mel, taught.batch(6, 4).log_mel)
    assert not torch.equal(taught.batch(5, 4).log_mel, taught.batch(5, 4, rank=1).log_mel)


def test_loss_looks_at_the_ends_of_windows_alone_and_is_least_for_what_was_heard() -> None:
    taught = lessons()
    batch = taught.batch(0, 4)
    right = torch.zeros(4, 100, 4)
    right[:, taught.decisions, 0] = torch.logit(batch.siren)
    right[:, taught.decisions, 1:] = batch.components
    wrong = right + 1.0
    elsewhere = torch.ones(100, dtype=torch.bool)
    elsewhere[taught.decisions] = False
    noisy = right + elsewhere[None, :, None]
    assert float(taught.loss(noisy, batch, RECIPE)) == float(taught.loss(right, batch, RECIPE))
    assert float(taught.loss(right, batch, RECIPE)) < float(taught.loss(wrong, batch, RECIPE)) - 0.3


def test_gist_begins_with_the_siren_and_goes_on_with_what_varies_most() -> None:
    side = TrainingSide((True, True, True), (True, False, False))
    recipe = RECIPE.model_copy(update={"components": 6})
    taught = HeardLessons(heard_mixtures(LENGTH), side, class_scores(), recipe, seed=1, device=torch.device("cpu"))
    batches = [taught.batch(step, 64) for step in range(8)]
    gist = torch.cat([batch.components for batch in batches]).flatten(0, 1)
    siren = torch.cat([batch.siren for batch in batches]).flatten()
    assert gist.std(dim=0).tolist() == pytest.approx([1.0] * 6, rel=0.1)
    for column in (0, 1):  # the regression, and the class that looks at the siren's number
        assert float(gist[siren > 0.9, column].mean()) > float(gist[siren < 0.1, column].mean()) + 1.0
    assert taught.component_weights.tolist() == sorted(taught.component_weights.tolist(), reverse=True)
    assert float(taught.component_weights[0] / taught.component_weights[1]) == pytest.approx(2.0)
    assert float(taught.component_weights.mean()) == pytest.approx(1.0)
