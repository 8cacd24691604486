"""The second opinion's output: a logistic regression on its embeddings of what the run was trained on."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from earshot_node.errors import OperatorError

STRENGTH = 30.0
"""scikit-learn's C, for windows whose weights add up to one."""
LEAST_DEVIATION = 0.01
SLOPE = 0.7
"""Of the regression's log-odds, which are too sure of themselves: out of fold .8 of them come true where a question was
asked, and operating points are chosen among log-odds up to 7 (trainer/EXPERIMENTS.md, 2026-11-30)."""
Floats = npt.NDArray[np.float32]


def fit_output(sirens: Sequence[Floats], others: Floats) -> tuple[Floats, float]:
    """Weights [C] and bias of the log-odds of a siren.

    Args:
        sirens: windows [windows, C] with a siren, from different places; each place counts alike in the fit, and all of
            them together as much as the others.
        others: windows [windows, C] without.

    Raises:
        OperatorError: there is nothing of one kind.
    """
    from sklearn.linear_model import LogisticRegression

    sirens = [windows for windows in sirens if len(windows)]
    if not sirens or not len(others):
        raise OperatorError(
            "the second opinion needs recordings with a siren that the tagger hears and some without; check is_siren "
            "in the manifests"
        )
    parts = [*sirens, others]
    windows = np.concatenate(parts)
    shares = [0.5 / len(sirens)] * len(sirens) + [0.5]
    weights = np.concatenate([np.full(len(p), share / len(p)) for p, share in zip(parts, shares, strict=True)])
    is_siren = np.arange(len(windows)) < len(windows) - len(others)
    mean, deviation = windows.mean(axis=0), windows.std(axis=0) + LEAST_DEVIATION
    regression = LogisticRegression(C=STRENGTH, max_iter=300)
    regression.fit((windows - mean) / deviation, is_siren, sample_weight=weights)
    weight = regression.coef_[0] / deviation
    bias = float(regression.intercept_[0] - mean @ weight)
    return (SLOPE * weight).astype(np.float32), SLOPE * bias
