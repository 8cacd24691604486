"""What the tagger's rounded layers make of every window of a corpus, kept on disk: heard once, fitted to by every run.

All recordings of the manifests are heard, and a run takes those that it was trained on.
"""

import hashlib
import inspect
import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt
import torch
from rich.console import Console

from earshot_trainer.distillation.tagger import EmbeddingTagger
from earshot_trainer.second_opinion import ears as ears_module
from earshot_trainer.second_opinion import four_bits
from earshot_trainer.second_opinion import network as network_module
from earshot_trainer.second_opinion import windows as windows_module
from earshot_trainer.second_opinion.ears import Ears
from earshot_trainer.second_opinion.fitting import Floats
from earshot_trainer.second_opinion.network import SecondOpinion
from earshot_trainer.second_opinion.windows import hear_windows
from earshot_trainer.segments.bank import FEATURE_KEYS
from earshot_trainer.training.finished_run import FinishedRun
from earshot_trainer.training.progress import counting

MOST_WITHOUT = 40_000
"""More windows without a sound tell no more of it."""
HEARD_LOG_ODDS = -3.0
"""Of the tagger, that a sound is in a window of a recording that holds it somewhere."""


@dataclass(frozen=True)
class HeardWindows:
    """Windows of recordings, one recording after the other.

    Attributes:
        embeddings: float16 [windows, C].
        recordings: int64 [windows], the number of each one's recording.
        is_siren: bool [windows], of recordings with a siren: does the tagger hear one in this window? Where it does
            not, the siren may be away.
    """

    embeddings: npt.NDArray[np.float16]
    recordings: npt.NDArray[np.int64]
    is_siren: npt.NDArray[np.bool_]

    def of(self, run: FinishedRun) -> tuple[Floats, Floats]:
        """Embeddings [windows, C] with a siren, and without any, of what the run was trained on."""
        with_siren = np.array([one.is_siren for one in run.recordings])[self.recordings]
        is_learnt = np.array(run.is_learnt)[self.recordings]
        chosen = (is_learnt & with_siren & self.is_siren, is_learnt & ~with_siren)
        sirens, others = (self.embeddings[rows].astype(np.float32) for rows in chosen)
        return sirens, others

    def of_label(self, run: FinishedRun, label: str, log_odds: npt.NDArray[np.floating]) -> tuple[Floats, Floats]:
        """Embeddings [windows, C] with another sound than a siren, and without it, of what the run was trained on.

        In recordings with it those windows count in which the tagger hears it a little, `log_odds` [windows] of it;
        of the others there are at most `MOST_WITHOUT`.
        """
        learnt = np.array(run.is_learnt)
        holds = learnt & np.array([label in one.labels for one in run.recordings])
        lacks = learnt & np.array([label not in one.labels | one.doubtful for one in run.recordings])
        with_it = np.flatnonzero(holds[self.recordings] & (log_odds > HEARD_LOG_ODDS))
        without = np.flatnonzero(lacks[self.recordings])
        without = np.sort(np.random.default_rng(0).permutation(without)[:MOST_WITHOUT])
        found = (self.embeddings[rows].astype(np.float32) for rows in (with_it, without))
        return next(found), next(found)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what `save` wrote."""
        with np.load(path) as values:
            return cls(values["embeddings"], values["recordings"], values["is_siren"])

    def save(self, path: Path) -> None:
        """Write them; the file appears whole or not at all."""
        with tempfile.TemporaryDirectory(dir=path.parent) as temporary:
            part = Path(temporary) / path.name
            np.savez(part, embeddings=self.embeddings, recordings=self.recordings, is_siren=self.is_siren)
            part.replace(path)


def hear_recordings(
    run: FinishedRun, ears: Ears, network: SecondOpinion, tagger: EmbeddingTagger, console: Console
) -> HeardWindows:
    """The windows of the run's recordings, from its cache if they were heard by the same layers before."""
    path = run.folder / f"windows-{_digest(run, network)}.npz"
    with run.cache.alone(lambda: console.print("another run hears the same; waiting for it")):
        if not path.exists():
            _hear(run, ears, network, tagger, console).save(path)
    return HeardWindows.load(path)


def _hear(
    run: FinishedRun, ears: Ears, network: SecondOpinion, tagger: EmbeddingTagger, console: Console
) -> HeardWindows:
    layers, least = torch.nn.Sequential(*tagger.convolutions), run.teacher_recipe.least_siren_score

    def hears_siren(windows: torch.Tensor) -> torch.Tensor:
        embeddings = layers(windows[:, None].contiguous(memory_format=torch.channels_last)).mean(dim=(2, 3))
        logits = tagger.classes.logits(embeddings.numpy())[:, list(tagger.classes.sirens)].max(axis=1)
        return torch.from_numpy(logits >= np.log(least / (1 - least)))

    def hears_none(windows: torch.Tensor) -> torch.Tensor:
        return torch.zeros(len(windows), dtype=torch.bool)

    def embed(windows: torch.Tensor) -> torch.Tensor:
        return network.embed(windows).half()

    embeddings, is_siren, counts = [], [], []
    console.print(
        f"the tagger's rounded layers hear {len(run.recordings)} recordings, once for all runs on this corpus"
    )
    with counting(console, "hearing recordings", len(run.recordings)) as count:
        for one in run.recordings:
            listeners = [embed, hears_siren if one.is_siren else hears_none]
            ((embedded, heard),) = hear_windows([run.cache.samples(one)], ears, listeners, lambda: count(1))
            embeddings.append(embedded)
            is_siren.append(heard)
            counts.append(len(heard))
    return HeardWindows(
        np.concatenate(embeddings), np.repeat(np.arange(len(counts)), counts), np.concatenate(is_siren).astype(np.bool_)
    )


def _digest(run: FinishedRun, layers: SecondOpinion) -> str:
    """Of all that windows and what is heard in them follow from."""
    model = run.recipe.model.to_dict()
    settings = [{key: model[key] for key in FEATURE_KEYS}, model["level_s"], run.teacher_recipe.least_siren_score]
    digest = hashlib.sha256(json.dumps([*settings, run.teacher.digest]).encode())
    for module in (ears_module, four_bits, network_module, windows_module):
        digest.update(inspect.getsource(module).encode())
    for name, values in layers.state_dict().items():
        if not name.startswith("output."):
            digest.update(values.contiguous().numpy().tobytes())
    for recording in run.recordings:
        digest.update(f"{run.cache.key(recording)} {recording.is_siren}\n".encode())
    return digest.hexdigest()[:24]
