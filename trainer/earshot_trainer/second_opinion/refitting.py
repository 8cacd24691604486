"""What a household teaches the second opinion: its output fitted anew, held to what it said before.

The tagger's layers stay as they are. Of the output's weights, in units of what they move on the sounds at hand:

    mean cross entropy of the household's windows, both kinds alike
      + how far the log-odds of known windows are from what they were
      + a penalty on all that moves, the one of the first fit
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import huber_loss, softplus

from earshot_trainer.second_opinion.fitting import LEAST_DEVIATION, STRENGTH, Floats

ITERATIONS = 200
SURE = 2.0
"""Log-odds that a taught siren shall exceed, or what is on the right side already would teach nothing.

With 4, where the points of `balanced` lie, thresholds rise with it and other sirens are missed (trainer/EXPERIMENTS.md,
2026-11-30).
"""


@dataclass(frozen=True)
class Windows:
    """Embeddings [windows, C].

    Attributes:
        sirens: of the household's sirens (or other sounds that the output tells of), where they are to be heard.
        others: of its recordings without one.
        known: of sounds on which the opinion is to stay what it is.
    """

    sirens: Floats
    others: Floats
    known: Floats


def refit_output(
    weight: Floats, bias: float, windows: Windows, own_weight: float, keep_weight: float
) -> tuple[Floats, float]:
    """Return weights [C] and bias that also tell the household's windows apart.

    Args:
        weight: of the output as it is.
        bias: of it, too.
        windows: what to learn from; a kind may have none.
        own_weight: of the household's windows.
        keep_weight: of the known ones.
    """
    every = np.concatenate([windows.sirens, windows.others, windows.known])
    deviation = torch.from_numpy((every.std(axis=0) + LEAST_DEVIATION).astype(np.float64))
    centre = every.mean(axis=0)
    kinds = [
        torch.from_numpy((kind - centre).astype(np.float64)) / deviation
        for kind in (windows.sirens, windows.others, windows.known)
    ]
    before = [
        torch.from_numpy(kind.astype(np.float64) @ weight.astype(np.float64) + bias)
        for kind in (windows.sirens, windows.others, windows.known)
    ]
    moved = torch.zeros(len(weight) + 1, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([moved], max_iter=ITERATIONS, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        sirens, others, known = (kind @ moved[:-1] + moved[-1] for kind in kinds)
        total = moved[:-1].square().sum() / (2 * STRENGTH)
        if len(sirens):
            total = total + own_weight * softplus(SURE - (before[0] + sirens)).mean() / 2
        if len(others):
            total = total + own_weight * softplus(before[1] + others).mean() / 2
        if len(known):
            total = total + keep_weight * huber_loss(known, torch.zeros_like(known))
        return total

    def closure() -> Tensor:
        optimizer.zero_grad()
        total = loss()
        total.backward()  # type: ignore[no-untyped-call]
        return total

    optimizer.step(closure)  # type: ignore[no-untyped-call]
    found = moved.detach()
    step = (found[:-1] / deviation).numpy()
    return (weight + step).astype(np.float32), float(bias + found[-1] - centre @ step)
