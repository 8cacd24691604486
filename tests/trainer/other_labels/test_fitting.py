"""Rows of an output: they find what the states say, and rare sounds count."""

import numpy as np
import pytest

pytest.importorskip("torch", reason="torch is missing; run scripts/test without --node")

from earshot_trainer.other_labels.fitting import MOST_WEIGHT, fit_rows

RNG = np.random.default_rng(4)


def probability(log_odds: np.ndarray) -> np.ndarray:
    return (1 / (1 + np.exp(-log_odds))).astype(np.float32)


def test_log_odds_that_are_a_row_are_found() -> None:
    states = (RNG.standard_normal((4000, 6)) * [1, 3, 0.1, 1, 2, 1] + [0, 5, 1, 0, 0, 2]).astype(np.float32)
    weight = np.array([[1.0, -0.3, 2.0, 0, 0, 0], [0, 0.2, 0, 1.0, -1.0, 0]], np.float32)
    bias = np.array([0.4, -1.2], np.float32)
    truth = states @ weight.T + bias
    found_weight, found_bias = fit_rows(states, probability(truth))
    found = states @ found_weight.T + found_bias
    for row in range(2):
        share = probability(truth[:, row]).mean()
        assert share < 0.5 or row == 0
        assert np.corrcoef(found[:, row], truth[:, row])[0, 1] > 0.99
        # What is rarer than all else counts as much: log-odds are higher by the logarithm of that weight.
        expected = np.log(max(1.0, (1 - share) / share))
        assert (found[:, row] - truth[:, row]).mean() == pytest.approx(expected, abs=0.15)


def test_what_is_very_rare_is_not_weighed_without_end() -> None:
    states = RNG.standard_normal((20_000, 2)).astype(np.float32)
    log_odds = states[:, 0] - 6.0
    weight, bias = fit_rows(states, probability(log_odds)[:, None])
    raised = (states @ weight.T + bias)[:, 0] - log_odds
    assert raised.mean() == pytest.approx(np.log(MOST_WEIGHT), abs=0.3)


def test_a_label_that_is_never_heard_stays_unheard() -> None:
    states = RNG.standard_normal((500, 3)).astype(np.float32)
    weight, bias = fit_rows(states, np.zeros((500, 1), np.float32))
    assert probability(states @ weight.T + bias).max() < 0.05
