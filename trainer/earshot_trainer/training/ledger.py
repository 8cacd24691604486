"""What the steps showed, read from the device now and then: losses to report, negatives that fooled the network."""

import numpy as np
import numpy.typing as npt
import torch

from earshot_trainer.segments.mining import SpanMiner
from earshot_trainer.training.learner import Outcome
from earshot_trainer.training.processes import Processes


class Ledger:
    """Keeps the steps' outcomes and passes those of all processes to the miner, in the order of steps and ranks."""

    def __init__(self, miner: SpanMiner, processes: Processes) -> None:
        self._miner = miner
        self._processes = processes
        self._spans: list[npt.NDArray[np.int64]] = []
        self._outcomes: list[Outcome] = []

    def note(self, spans: npt.NDArray[np.int64], outcome: Outcome) -> None:
        """Keep one step's outcome; `spans` [B] are its segments' backgrounds."""
        self._spans.append(spans)
        self._outcomes.append(outcome)

    def settle(self) -> list[float]:
        """Tell the miner what was kept; returns the steps' losses, means over all processes. All call it together."""
        if not self._outcomes:
            return []
        device = self._outcomes[0].peaks.device
        rows = torch.stack(
            [
                torch.from_numpy(np.stack(self._spans)).to(device, torch.float64),
                torch.stack([outcome.negative for outcome in self._outcomes]).double(),
                torch.stack([outcome.peaks for outcome in self._outcomes]).double(),
            ],
            dim=2,
        )
        losses = torch.stack([outcome.loss for outcome in self._outcomes]).double()
        table = self._processes.gather(rows).transpose(0, 1).flatten(0, 2).cpu().numpy()
        negatives = table[table[:, 1] > 0]
        self._miner.note(negatives[:, 0].astype(np.int64), negatives[:, 2].astype(np.float32))
        self._spans, self._outcomes = [], []
        return [float(loss) for loss in self._processes.gather(losses).mean(dim=0).cpu()]
