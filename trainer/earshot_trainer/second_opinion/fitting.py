"""The second opinion's output: a logistic regression on its embeddings of what the run was trained on."""

import numpy as np
import numpy.typing as npt

from earshot_node.errors import OperatorError

STRENGTH = 30.0
"""scikit-learn's C times the number of windows."""
LEAST_DEVIATION = 0.01
SLOPE = 0.7
"""Of the regression's log-odds, which are too sure of themselves: out of fold .8 of them come true where a question was
asked, and operating points are chosen among log-odds up to 7 (trainer/EXPERIMENTS.md, 2026-11-30)."""
Floats = npt.NDArray[np.float32]


def fit_output(sirens: Floats, others: Floats) -> tuple[Floats, float]:
    """Weights [C] and bias of the log-odds of a siren; both kinds of windows [windows, C] count alike in the fit.

    Raises:
        OperatorError: there is nothing of one kind.
    """
    from sklearn.linear_model import LogisticRegression

    if not len(sirens) or not len(others):
        raise OperatorError(
            "the second opinion needs recordings with a siren that the tagger hears and some without; check is_siren "
            "in the manifests"
        )
    windows = np.concatenate([sirens, others])
    is_siren = np.arange(len(windows)) < len(sirens)
    mean, deviation = windows.mean(axis=0), windows.std(axis=0) + LEAST_DEVIATION
    regression = LogisticRegression(C=STRENGTH / len(windows), max_iter=300, class_weight="balanced")
    regression.fit((windows - mean) / deviation, is_siren)
    weight = regression.coef_[0] / deviation
    bias = float(regression.intercept_[0] - mean @ weight)
    return (SLOPE * weight).astype(np.float32), SLOPE * bias
