"""What a run learns from heard mixtures: the tagger's view of a siren and the gist of its opinions.

The tagger's own siren scores are low and its embeddings know more: a logistic regression on their principal components,
fitted on the run's own mixtures, says how audible a siren is. Where no siren was laid there is none, whatever the
regression thinks, but what it takes for one keeps some of its doubt. Where one was laid and the regression agrees, it
is one. Where it does not, a recorded siren may be too faint or none; of a synthesized one, which may be of a country
that the tagger hardly knows, nothing is learnt then.

The gist: the regression's log-odds, the siren classes' logits and principal components of all classes' logits. They
say what the tagger thinks a sound is; the embeddings vary with much that it does not care about.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, smooth_l1_loss

from earshot_node.errors import OperatorError
from earshot_trainer.distillation.store import HeardMixtures, window_decisions
from earshot_trainer.distillation.tagger import WINDOW_FRAMES, ClassScores
from earshot_trainer.network.architecture import FRAMES_PER_HOP, HOP_SAMPLES
from earshot_trainer.training.recipe import DistillationRecipe

REGRESSION_COMPONENTS = 256
REGRESSION_STRENGTH = 100.0
"""scikit-learn's C times the number of windows: how much is learnt does not hang on how many there are."""
FITTED_ON = 20_000
"""Windows that the principal components are taken from."""
SIREN_SHARE, SILENT_SHARE = 0.6, 0.05
"""Windows with a siren over more than the one, or at most the other, part of their time teach the regression."""
LEAST, MOST = 0.005, 0.995
AGREED, SURE = 0.6, 0.97
"""Where the regression reaches the one for a siren that was laid, the other is learnt."""
EMPHASIS = 2.0
"""Of the regression's log-odds against the other parts of the gist that weigh most."""
FEWEST_MIXTURES = 100
PARTS = 64
"""Parts in which what is kept in float16 becomes float32."""
FloatArray = npt.NDArray[np.float32]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class TrainingSide:
    """Of each recording that mixtures may hold: is it trained on, and is it a siren."""

    allowed: Sequence[bool]
    sirens: Sequence[bool]


@dataclass(frozen=True)
class HeardBatch:
    """Mixtures of one step on the training device.

    `log_mel` [B, F, mels]; `siren` [B, windows] the probability of a siren and `weights` how much it counts;
    `components` [B, windows, C].
    """

    log_mel: Tensor
    siren: Tensor
    weights: Tensor
    components: Tensor


class HeardLessons:
    """Draws mixtures of one training side with what there is to learn of them."""

    def __init__(
        self,
        heard: HeardMixtures,
        side: TrainingSide,
        classes: ClassScores,
        recipe: DistillationRecipe,
        seed: int,
        device: torch.device,
    ) -> None:
        """Fit the regression and the gist to the mixtures that are learnt from.

        Raises:
            OperatorError: too few mixtures hold nothing else.
        """
        self._heard = replace(heard, embeddings=heard.embeddings[:0])  # they are many, and not needed any more
        self._device = device
        self._seed = seed
        self._numbers = heard.made_of(side.allowed)
        if len(self._numbers) < FEWEST_MIXTURES:
            raise OperatorError(
                f"only {len(self._numbers)} mixtures hold nothing that is kept out of training; raise "
                "distillation.mixtures"
            )
        active = heard.active[self._numbers]
        self.decisions = torch.from_numpy(window_decisions(active.shape[1] * HOP_SAMPLES)).to(device)
        share = share_of_windows(active, self.decisions.cpu().numpy())
        embeddings = heard.embeddings[self._numbers]
        log_odds = _regress(Gist.of(embeddings).whitened(embeddings, REGRESSION_COMPONENTS), share)
        recorded = np.array([any(side.sirens[row] for row in heard.ingredients[one]) for one in self._numbers])
        siren, weights = _view(log_odds, share, np.asarray(active.any(axis=1)), recorded, recipe.doubt)
        self._siren, self._weights = torch.from_numpy(siren).to(device), torch.from_numpy(weights).to(device)
        opinions, spread = _opinions(embeddings, log_odds, classes, recipe.components)
        self._components = torch.from_numpy(opinions).to(device)
        self.component_weights = torch.from_numpy(spread / spread.mean()).to(device)

    def __len__(self) -> int:
        """Mixtures that there are to learn from."""
        return len(self._numbers)

    def batch(self, step: int, size: int, rank: int = 0) -> HeardBatch:
        """The mixtures of one step of one process: the same ones each time it is asked."""
        rows = np.random.default_rng([self._seed, 9, step, rank]).integers(0, len(self._numbers), size)
        frames = np.stack([self._heard.frames_of(int(self._numbers[row])) for row in rows])
        place = torch.from_numpy(rows).to(self._device)
        log_mel = torch.from_numpy(frames).to(self._device)
        return HeardBatch(log_mel, self._siren[place], self._weights[place], self._components[place])

    def loss(self, logits: Tensor, batch: HeardBatch, recipe: DistillationRecipe) -> Tensor:
        """Cross entropy against the tagger's view of a siren, and Huber's loss of the gist's components.

        `logits` [B, F / 4, 1 + components] at every decision; those that end a window count. A principal component
        weighs by the root of its deviation: the first ones say most.
        """
        at_windows = logits[:, self.decisions]
        siren = binary_cross_entropy_with_logits(at_windows[..., 0], batch.siren, batch.weights)
        distance = smooth_l1_loss(at_windows[..., 1:], batch.components, reduction="none")
        return recipe.siren_weight * siren + recipe.components_weight * (distance * self.component_weights).mean()


@dataclass(frozen=True)
class Gist:
    """Principal components of vectors: their mean, axes and deviations, the greatest first."""

    mean: FloatArray
    axes: FloatArray
    deviations: FloatArray

    @classmethod
    def of(cls, vectors: npt.NDArray[np.floating]) -> "Gist":
        """Those of some of the vectors [..., C]."""
        windows = vectors.reshape(-1, vectors.shape[-1])
        rows = np.random.default_rng(0).permutation(len(windows))[:FITTED_ON]
        some = windows[np.sort(rows)].astype(np.float32)
        mean = some.mean(axis=0)
        variances, axes = np.linalg.eigh(np.cov((some - mean).T).astype(np.float64))
        order = np.argsort(variances)[::-1]
        deviations = np.sqrt(np.maximum(variances[order], 0.0)) + 1e-3
        return cls(mean, axes[:, order].astype(np.float32), deviations.astype(np.float32))

    def whitened(self, vectors: npt.NDArray[np.floating], count: int) -> FloatArray:
        """The first components [..., count] in units of their deviation."""
        axes = self.axes[:, :count] / self.deviations[:count]
        rows = [(part.astype(np.float32) - self.mean) @ axes for part in np.array_split(vectors, PARTS) if len(part)]
        return np.concatenate(rows)


def share_of_windows(active: npt.NDArray[np.bool_], decisions: npt.NDArray[np.int64]) -> FloatArray:
    """How much of each window a siren sounds in, [mixtures, windows].

    Args:
        active: in which 40 ms frames of each mixture one sounds, [mixtures, frames].
        decisions: the frames that windows end with.
    """
    length = WINDOW_FRAMES // FRAMES_PER_HOP
    shares = [active[:, max(0, end - length) : end + 1].mean(axis=1) for end in decisions]
    return np.stack(shares, axis=1).astype(np.float32)


def _regress(whitened: FloatArray, share: FloatArray) -> FloatArray:
    """The log-odds of a siren in each window."""
    from sklearn.linear_model import LogisticRegression

    windows, shares = whitened.reshape(-1, whitened.shape[-1]), share.reshape(-1)
    clear = (shares > SIREN_SHARE) | (shares <= SILENT_SHARE)
    truth = shares[clear] > SIREN_SHARE
    if truth.all() or not truth.any():
        raise OperatorError("the mixtures hold sirens only, or none; check is_siren in the manifests")
    regression = LogisticRegression(C=REGRESSION_STRENGTH / len(truth), max_iter=200).fit(windows[clear], truth)
    return np.asarray(regression.decision_function(windows).reshape(share.shape), dtype=np.float32)


def _view(
    log_odds: FloatArray, share: FloatArray, laid: Flags, recorded: Flags, doubt: float
) -> tuple[FloatArray, FloatArray]:
    """What is learnt of a siren in each window, and how much it counts.

    `laid` [mixtures] says where a siren is in the mixture, `recorded` where it is a recording.
    """
    siren = 1.0 / (1.0 + np.exp(-log_odds))
    sounding, agreed = share > SIREN_SHARE, siren >= AGREED
    weights = np.where(sounding & ~agreed & ~recorded[:, None], 0.0, 1.0)
    siren = np.where(sounding & agreed, np.maximum(siren, SURE), siren)
    siren[~laid] *= doubt
    return np.clip(siren, LEAST, MOST).astype(np.float32), weights.astype(np.float32)


def _opinions(
    embeddings: npt.NDArray[np.floating], log_odds: FloatArray, classes: ClassScores, count: int
) -> tuple[FloatArray, FloatArray]:
    """The gist [mixtures, windows, count] in units of deviation, and how much each of its parts weighs."""
    sirens = list(classes.sirens)[: count - 1]
    logits = np.concatenate([classes.logits(part) for part in np.array_split(embeddings, PARTS) if len(part)])
    own = np.concatenate([log_odds[..., None], logits[..., sirens]], axis=-1)
    own = (own - own.mean(axis=(0, 1))) / (own.std(axis=(0, 1)) + 1e-6)
    gist = Gist.of(logits)
    rest = gist.whitened(logits, count - own.shape[-1])
    spread = np.sqrt(gist.deviations[: rest.shape[-1]])
    most = spread.max(initial=1e-6)
    weights = np.concatenate([[EMPHASIS * most], np.full(len(sirens), most), spread])
    return np.concatenate([own, rest], axis=-1), weights.astype(np.float32)
