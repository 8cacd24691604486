"""The second opinion's outputs for other sounds than sirens: fitted as the siren's is, or the tagger's own."""

from collections.abc import Mapping

import numpy as np

from earshot_trainer.corpus.words import label_words
from earshot_trainer.distillation.tagger import ClassScores
from earshot_trainer.second_opinion.fitting import Floats, fit_output
from earshot_trainer.second_opinion.hearing import HeardWindows
from earshot_trainer.training.finished_run import FinishedRun

FEWEST = 20
"""Windows with a sound, below which the streaming network's own output for it stays."""


def fit_others(
    run: FinishedRun, heard: HeardWindows, classes: ClassScores, synthesized: Mapping[str, Floats]
) -> dict[str, tuple[Floats, float]]:
    """Weights [C] and bias by label, of those that the run's network has an output for and its recordings teach.

    `synthesized` are embeddings [windows, C] by label that teach it as well: each of them counts as one of a recording.
    """
    rows = {}
    for label in run.record.labels:
        words = label_words().get(label)
        if words is None:
            continue
        columns = [run.teacher.classes.index(name) for name in words.heard_as]
        if words.as_heard:
            rows[label] = classes.weight[columns[0]], float(classes.bias[columns[0]])
            continue
        log_odds = (heard.embeddings.astype(np.float32) @ classes.weight[columns].T + classes.bias[columns]).max(axis=1)
        recorded, without = heard.of_label(run, label, log_odds)
        with_it = np.concatenate([recorded, synthesized[label]]) if label in synthesized else recorded
        if len(with_it) >= FEWEST and len(without):
            rows[label] = fit_output([with_it], without)
    return rows
