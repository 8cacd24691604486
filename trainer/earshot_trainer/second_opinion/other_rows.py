"""The second opinion's outputs for other sounds than sirens, fitted as the siren's is."""

import numpy as np
import numpy.typing as npt

from earshot_trainer.corpus.words import label_words
from earshot_trainer.distillation.tagger import ClassScores
from earshot_trainer.second_opinion.fitting import Floats, fit_output
from earshot_trainer.second_opinion.hearing import HeardWindows
from earshot_trainer.training.finished_run import FinishedRun

FEWEST = 20
"""Windows with a sound, below which the streaming network's own output for it stays."""


def fit_others(run: FinishedRun, heard: HeardWindows, classes: ClassScores) -> dict[str, tuple[Floats, float]]:
    """Weights [C] and bias by label, of those that the run's network has an output for and its recordings teach."""
    rows = {}
    for label in run.record.labels:
        if label not in label_words():
            continue
        log_odds = _of_tagger(run, classes, label, heard.embeddings)
        with_it, without = heard.of_label(run, label, log_odds)
        if len(with_it) >= FEWEST and len(without):
            rows[label] = fit_output([with_it], without)
    return rows


def _of_tagger(
    run: FinishedRun, classes: ClassScores, label: str, embeddings: npt.NDArray[np.floating]
) -> npt.NDArray[np.floating]:
    """The tagger's greatest log-odds [windows] of the classes that are this label."""
    columns = [run.teacher.classes.index(name) for name in label_words()[label].heard_as]
    logits = embeddings.astype(np.float32) @ classes.weight[columns].T + classes.bias[columns]
    return np.asarray(logits.max(axis=1))
