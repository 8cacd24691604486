"""Negatives that fool the network are drawn more often."""

import numpy as np
import numpy.typing as npt

from earshot_trainer.training.recipe import MiningRecipe

MEMORY = 0.5


class SpanMiner:
    """How siren-like the network last found each negative span, and the draw odds that follow."""

    def __init__(self, base_odds: npt.NDArray[np.float64], recipe: MiningRecipe) -> None:
        self._base = base_odds
        self._recipe = recipe
        self.hardness = np.zeros(len(base_odds), dtype=np.float64)
        self.odds = base_odds

    def note(self, spans: npt.NDArray[np.int64], posteriors: npt.NDArray[np.floating]) -> None:
        """Remember the greatest posterior heard on each of these spans."""
        for span, posterior in zip(spans, posteriors, strict=True):
            self.hardness[span] = MEMORY * self.hardness[span] + (1 - MEMORY) * float(posterior)

    def renew(self) -> None:
        """Let what was noted change the odds."""
        odds = self._base * (1.0 + self._recipe.strength * self.hardness)
        self.odds = odds / odds.sum()
