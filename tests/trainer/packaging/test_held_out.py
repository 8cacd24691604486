"""Figures are called held out only if the measured model was not trained on what it was measured on."""

import hashlib
from typing import Any

import pytest

from earshot_node.errors import OperatorError
from earshot_trainer.packaging.held_out import check_held_out
from earshot_trainer.packaging.run_record import RunRecord

MODEL = b"graph"


def report(model: bytes, folds: tuple[str, ...] = ("us8k-fold2",), sources: tuple[str, ...] = ()) -> dict[str, Any]:
    return {
        "held_out": {
            "subject": {"model_sha256": hashlib.sha256(model).hexdigest()},
            "protocol": {"folds": list(folds), "sources": list(sources)},
        }
    }


def run(folds: tuple[str, ...] = ("us8k-fold1",), sources: tuple[str, ...] = ("us8k",)) -> RunRecord:
    return RunRecord.model_validate(
        {
            "recipe": {},
            "seed": 1,
            "code_version": "1",
            "dataset_sha256": "ab" * 32,
            "trained_on": {"recordings": 1, "folds": folds, "sources": sources},
            "audio_licences": {"CC0": 1},
        }
    )


def test_fold_that_this_model_did_not_train_on_is_held_out() -> None:
    assert check_held_out(report(MODEL), MODEL, run(), None) == "this"


def test_model_trained_on_everything_cannot_have_held_out_figures_of_its_own() -> None:
    with pytest.raises(OperatorError, match="was trained on us8k-fold2"):
        check_held_out(report(MODEL), MODEL, run(folds=("us8k-fold1", "us8k-fold2")), None)


def test_figures_of_another_model_are_checked_against_its_own_run() -> None:
    everything = run(folds=("us8k-fold1", "us8k-fold2"))
    assert check_held_out(report(b"other"), MODEL, everything, run()) == "other"
    with pytest.raises(OperatorError, match="was trained on blanket"):
        check_held_out(report(b"other", sources=("blanket",)), MODEL, everything, run(sources=("blanket",)))


def test_figures_of_another_model_without_its_run_are_unchecked() -> None:
    assert check_held_out(report(b"other"), MODEL, run(), None) == "other_unchecked"


def test_evaluation_of_everything_is_not_held_out() -> None:
    with pytest.raises(OperatorError, match="measured on everything"):
        check_held_out(report(MODEL, folds=()), MODEL, run(), None)


def test_no_figures_are_nobodys() -> None:
    assert check_held_out({}, MODEL, run(), None) == "none"
