"""Labels that are perhaps wrong: what the other recordings say about each one that they were not told of.

Every recording becomes a vector: what the model's recurrent layer holds while it hears it (mean and maximum over
time), and how its posteriors are spread. A logistic regression is fitted to the labels of all sessions but some, and
gives the chance of the label in those; sessions are never on both sides, and several divisions are averaged. A
label is suspect when the others think the opposite more likely; the more they do, the sooner it is asked about.
With 8 of 80 labels of real clips turned round that the model had never heard, 7.3 were found on average among 14
named, and of the first 8 named 5.6 were wrong; the stricter rule of confident learning named 6.4 and found 5.7.
"""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from earshot_node.audio.block import Samples
from earshot_node.contract.recordings import RecordingInfo
from earshot_node.errors import EarshotError
from earshot_trainer.collecting.audio_store import AudioStore
from earshot_trainer.labelling.sessions import sessions_of
from earshot_trainer.labelling.view import Ear, samples_of
from earshot_trainer.labelling.waiting import Waiting

FEWEST: Final = 5
"""Recordings with a label, and as many without, in at least two sessions each; with fewer nothing can be compared."""
MOST_FOLDS: Final = 5
DIVISIONS: Final = 3
SEED: Final = 1
STRENGTH: Final = 0.005
"""Inverse regularization: a few dozen recordings must not be learnt by heart."""
CHUNK_HOPS: Final = 10


@dataclass(frozen=True, slots=True)
class Suspect:
    """A label that the others speak against.

    Attributes:
        index: which recording.
        label: which label.
        is_given: whether the recording has it.
        chance: of the label, by the others, 0 to 1.
    """

    index: int
    label: str
    is_given: bool
    chance: float


NOT_HEARD = ("samples", "level")
"""States that hold what comes in and how loud it is, not what it is."""


@dataclass(frozen=True, slots=True)
class FoundSuspects:
    """What was found, the most suspicious first, and what people should know about how."""

    waiting: list[Waiting]
    told: list[str]


def suspects_here(
    recordings: Sequence[RecordingInfo], audio: AudioStore, ear: Ear, on_progress: Callable[[], None]
) -> FoundSuspects:
    """Return labelled recordings whose label is suspect; audio that cannot be read is told and passed over."""
    sessions = sessions_of(recordings)
    infos, vectors, told = [], [], []
    for info in recordings:
        if info.labelling is not None:
            try:
                vectors.append(embedding(ear, samples_of(audio.read(info.sha256), info.id)))
                infos.append(info)
            except EarshotError as error:
                told.append(str(error))
        on_progress()
    waiting: dict[str, tuple[float, Waiting]] = {}
    for label in sorted({label for info in infos for label in _named(info)}):
        says = [_says(info, label) for info in infos]
        about = [index for index, word in enumerate(says) if word is not None]
        given = np.array([says[index] for index in about], bool)
        groups = [sessions[infos[index].sha256] for index in about]
        few = too_few(given, groups)
        if few:
            told.append(f"{label}: {few}")
            continue
        told.append(f"{label}: {len(about)} recordings of {len(set(groups))} sessions compared with each other")
        for one in find_suspects(np.stack([vectors[index] for index in about]), given, groups, label):
            info = infos[about[one.index]]
            note = f"labelled {'' if one.is_given else 'without '}{label}; the others give it {one.chance:.0%}"
            doubt = 1 - one.chance if one.is_given else one.chance
            if doubt > waiting.get(info.sha256, (0.0, None))[0]:
                waiting[info.sha256] = doubt, Waiting(info, "suspect", note)
    ranked = sorted(waiting.values(), key=lambda pair: -pair[0])
    return FoundSuspects([one for _, one in ranked], told)


def embedding(ear: Ear, samples: Samples) -> NDArray[np.float32]:
    """Return how float32[n] at 16 kHz sounds to a model, as a vector of a length that the model decides."""
    manifest = ear.manifest
    hop = manifest.hop_samples
    padded = np.pad(samples, (0, -len(samples) % (hop * CHUNK_HOPS)))
    recurrent = [
        number
        for number, state in enumerate(manifest.state_tensors)
        if len(state.shape) == 1 and state.name not in NOT_HEARD
    ]
    state = ear.model.initial_state()
    held, posteriors = [], []
    for begin in range(0, len(padded), hop * CHUNK_HOPS):
        output = ear.model.run(padded[None, begin : begin + hop * CHUNK_HOPS], [state])
        state = output.states[0]
        held.append(np.concatenate([state[number].ravel() for number in recurrent]) if recurrent else np.zeros(1))
        posteriors.append(output.posteriors[0])
    inside = np.stack(held)
    logits = _logit(np.concatenate(posteriors))
    spread = [np.quantile(logits, share, axis=0) for share in (0.5, 0.8, 0.95, 1.0)]
    return np.concatenate([inside.mean(axis=0), inside.max(axis=0), *spread]).astype(np.float32)


def too_few(given: NDArray[np.bool_], groups: Sequence[str]) -> str:
    """Say why nothing can be compared; '' if it can."""
    for has, name in ((True, "with"), (False, "without")):
        count = int((given == has).sum())
        sessions = len({group for group, one in zip(groups, given, strict=True) if one == has})
        if count < FEWEST or sessions < 2:
            return f"too few to compare: {count} {name} it, of {sessions} sessions; needed are {FEWEST} of 2 or more"
    return ""


def find_suspects(
    vectors: NDArray[np.float32], given: NDArray[np.bool_], groups: Sequence[str], label: str
) -> list[Suspect]:
    """Return the suspects among recordings, the most suspicious first.

    Args:
        vectors: float32[recordings, n].
        given: bool[recordings], whether each has the label.
        groups: the session of each; there must not be `too_few`.
        label: its name.
    """
    chances = out_of_fold(vectors, given, groups)
    found = [
        Suspect(index, label, bool(has), float(chance))
        for index, (has, chance) in enumerate(zip(given, chances, strict=True))
        if (chance < 0.5 if has else chance > 0.5)
    ]
    return sorted(found, key=lambda one: one.chance if one.is_given else 1 - one.chance)


def out_of_fold(vectors: NDArray[np.float32], given: NDArray[np.bool_], groups: Sequence[str]) -> NDArray[np.float64]:
    """Return the label's chance float64[recordings], each by models that knew nothing of its session."""
    numbers = np.unique(np.array(groups), return_inverse=True)[1]
    smallest = min(len(np.unique(numbers[given])), len(np.unique(numbers[~given])))
    summed, counts = np.zeros(len(given)), np.zeros(len(given))
    for division in range(DIVISIONS):
        folds = StratifiedGroupKFold(min(MOST_FOLDS, smallest), shuffle=True, random_state=SEED + division)
        for learnt, asked in folds.split(vectors, given, numbers):
            if len(np.unique(given[learnt])) < 2:
                continue
            model = make_pipeline(
                StandardScaler(), LogisticRegression(C=STRENGTH, class_weight="balanced", max_iter=500)
            )
            with warnings.catch_warnings(), threadpool_limits(1):  # small sums; threads would only wait for each other
                warnings.simplefilter("ignore", ConvergenceWarning)
                model.fit(vectors[learnt], given[learnt])
            summed[asked] += model.predict_proba(vectors[asked])[:, 1]
            counts[asked] += 1
    unknown = np.where(given, 1.0, 0.0)  # nobody could be asked: the label stands
    return np.where(counts > 0, summed / np.maximum(counts, 1), unknown)


def _named(info: RecordingInfo) -> tuple[str, ...]:
    return (*info.labelling.labels, *info.labelling.absent) if info.labelling else ()


def _says(info: RecordingInfo, label: str) -> bool | None:
    """Whether a label sounds, by what somebody said; None if that says nothing about it."""
    said = info.labelling
    if said is None:
        return None
    if label in said.labels:
        return True
    return None if said.absent and label not in said.absent else False


def _logit(posteriors: NDArray[np.float32]) -> NDArray[np.float32]:
    clipped = np.clip(posteriors, 1e-4, 1 - 1e-4)
    return np.asarray(np.log(clipped / (1 - clipped)), np.float32)
