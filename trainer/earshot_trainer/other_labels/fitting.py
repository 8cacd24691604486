"""Rows of a linear output: logistic regressions on what the network remembers, against how sure the tagger is."""

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

Floats = npt.NDArray[np.float32]
PENALTY = 1e-5
"""On the squared weights, in units of deviation, beside the mean cross entropy."""
ITERATIONS = 100
MOST_WEIGHT = 10.0
"""Rare sounds count as much as all else together, up to so many times: thresholds lie in the middle then."""
LEAST_DEVIATION = 0.01


def fit_rows(states: Floats, targets: Floats) -> tuple[Floats, Floats]:
    """Weights [labels, H] and biases [labels] of log-odds, each label's by the least mean cross entropy.

    Args:
        states: what an output layer is given, [N, H].
        targets: probabilities, [N, labels].
    """
    given = torch.from_numpy(states)
    mean, deviation = given.mean(dim=0), given.std(dim=0) + LEAST_DEVIATION
    given = (given - mean) / deviation
    rows = torch.stack([_fit(given, target) for target in torch.from_numpy(targets).T])
    weight = rows[:, :-1] / deviation
    bias = rows[:, -1] - weight @ mean
    return weight.numpy(), bias.numpy()


def _fit(given: Tensor, target: Tensor) -> Tensor:
    row = torch.zeros(given.shape[1] + 1, requires_grad=True)
    weight = ((1.0 - target.mean()) / target.mean().clamp_min(1e-6)).clamp(1.0, MOST_WEIGHT)
    optimizer = torch.optim.LBFGS([row], max_iter=ITERATIONS, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = binary_cross_entropy_with_logits(given @ row[:-1] + row[-1], target, pos_weight=weight)
        total = loss + PENALTY * row[:-1].square().sum()
        total.backward()  # type: ignore[no-untyped-call]
        return total

    optimizer.step(closure)  # type: ignore[no-untyped-call]
    return row.detach()
