"""One `trainer-cli other-labels`: give a finished network outputs for other sounds, by what the tagger heard.

run.json and manifests -> mixtures that hold nothing but what the run was trained on, with the tagger's embeddings
  -> what the network remembers at the end of each window, and how sure the tagger is of each label
  -> a row of the output for each label (`fit_rows`) -> model.pt

The network stays as it is, and with it what it says of sirens.
"""

from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from rich.console import Console

from earshot_node.errors import OperatorError
from earshot_trainer.corpus.words import label_words
from earshot_trainer.distillation.store import HeardMixtures, window_decisions
from earshot_trainer.distillation.tagger import ClassScores, EmbeddingTagger
from earshot_trainer.network.architecture import HOP_SAMPLES
from earshot_trainer.network.model import StreamingCrnn
from earshot_trainer.other_labels.fitting import Floats, fit_rows
from earshot_trainer.training.checkpoint import labelled, load_checkpoint, save_atomically
from earshot_trainer.training.command import load_network
from earshot_trainer.training.finished_run import AdditionRequest, mixtures_of, open_finished_run
from earshot_trainer.training.progress import counting
from earshot_trainer.training.run_record import record_other_labels
from earshot_trainer.training.teacher import Teacher, greatest_of

MOST_MIXTURES = 12_000
"""More teach a hundred numbers no better."""
AT_ONCE = 32
BEGINNINGS = 4
"""Decisions in the first window of a mixture, which begins with a network that has heard nothing."""
FEWEST_MIXTURES = 100


def learn_other_labels(request: AdditionRequest, console: Console | None = None) -> Path:
    """Give the model an output for each label of `words.yaml` and say so in its `run.json`; returns its path.

    Outputs that it was given before are learnt anew. It learns from nothing but recordings that the model was trained
    on.

    Raises:
        OperatorError: the model's recipe distils nothing, the teacher does not know a class, or the manifests hold too
            little of what the model was trained on.
    """
    console = console or Console(stderr=True)
    run = open_finished_run(request, "other labels are learnt from")
    heard, distillation = mixtures_of(run, console), run.recipe.distillation
    if heard is None or distillation is None:
        raise OperatorError(f"{request.model}: other labels are learnt by `distillation`, which its recipe has none of")
    numbers = _some(heard.made_of(run.is_learnt), distillation.seed)
    labels = tuple(label_words())
    with counting(console, "the network listens", len(numbers)) as count:
        states = remembered(load_network(request.model), heard, numbers, count)
    weight, bias = fit_rows(states, _opinions(run.teacher, EmbeddingTagger.open(run.teacher).classes, heard, numbers))
    given = run.record.other_labels.labels if run.record.other_labels is not None else ()
    values = _with_outputs(load_checkpoint(request.model), weight, bias, labels, given)
    save_atomically(values, request.model)
    record_other_labels(request.model.parent, values["config"]["labels"][: -len(labels)], labels, len(numbers))
    console.print(f"learnt {', '.join(labels)} from {len(numbers)} mixtures; wrote {request.model}")
    console.print("next: trainer-cli quantize --help")
    return request.model


@torch.inference_mode()
def remembered(
    network: StreamingCrnn, heard: HeardMixtures, numbers: npt.NDArray[np.int64], progress: Callable[[int], None]
) -> Floats:
    """What the network's output is given in each mixture, [mixtures * (BEGINNINGS + windows), hidden].

    At the end of each window, and before in the first one: there, too, something has to be said.
    """
    ends = torch.from_numpy(window_decisions(heard.active.shape[1] * HOP_SAMPLES))
    decisions = torch.cat([torch.linspace(0, int(ends[0]) - 1, BEGINNINGS).long(), ends])
    parts = []
    for start in range(0, len(numbers), AT_ONCE):
        some = numbers[start : start + AT_ONCE]
        frames = torch.from_numpy(np.stack([heard.frames_of(int(number)) for number in some]))
        states, _ = network.read(frames)
        parts.append(states[decisions].transpose(0, 1).reshape(-1, states.shape[-1]).numpy())
        progress(len(some))
    return np.concatenate(parts)


def _some(numbers: npt.NDArray[np.int64], seed: int) -> npt.NDArray[np.int64]:
    if len(numbers) < FEWEST_MIXTURES:
        raise OperatorError(
            f"only {len(numbers)} mixtures hold nothing but what the model was trained on; name the manifests that it "
            "was trained on"
        )
    return np.sort(np.random.default_rng(seed).permutation(numbers)[:MOST_MIXTURES])


def _opinions(teacher: Teacher, classes: ClassScores, heard: HeardMixtures, numbers: npt.NDArray[np.int64]) -> Floats:
    """How sure the tagger is of each label at the times of `remembered`; before its first opinion of the first one."""
    embeddings = heard.embeddings[numbers]
    logits = classes.logits(np.concatenate([*[embeddings[:, :1]] * BEGINNINGS, embeddings], axis=1))
    scores = np.asarray(1.0 / (1.0 + np.exp(-logits.reshape(-1, logits.shape[-1]))), dtype=np.float32)
    return np.stack([greatest_of(teacher, scores, words.heard_as) for words in label_words().values()], axis=1)


def _with_outputs(
    values: dict[str, Any], weight: Floats, bias: Floats, labels: Sequence[str], given: Collection[str]
) -> dict[str, Any]:
    """A checkpoint's values with these rows behind those of its own labels, in place of what it was `given` before."""
    first = [label for label in values["config"]["labels"] if label not in (*labels, *given)]
    network = values["network"] | {
        f"output.{name}": torch.cat([values["network"][f"output.{name}"][: len(first)], torch.from_numpy(rows)])
        for name, rows in (("weight", weight), ("bias", bias))
    }
    return values | {"network": network} | labelled(values, [*first, *labels])
