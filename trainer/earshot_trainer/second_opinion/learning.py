"""A narrow network learns what the tagger makes of heard mixtures: its embeddings, and what it thinks of sirens.

mixtures that hold nothing kept out -> frames -> windows of .96 s -> network -> embedding -> projection
  -> principal components of the tagger's embedding and its siren classes' logits, in units of their deviation
"""

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import smooth_l1_loss

from earshot_node.errors import OperatorError
from earshot_trainer.distillation.lessons import FEWEST_MIXTURES, Gist
from earshot_trainer.distillation.store import WINDOW_HOP_FRAMES, HeardMixtures
from earshot_trainer.distillation.tagger import WINDOW_FRAMES, ClassScores
from earshot_trainer.second_opinion.ears import Ears
from earshot_trainer.second_opinion.network import SecondOpinion

COMPONENTS = 160
LATER_FRAMES = 2
"""A frame of ours ends where its hop ends: the tagger's window of the same samples begins so many frames later."""
RATE, WARM_UP_STEPS, DECAY = 2e-3, 100, 1e-4
LEAST_RATE_SHARE = 0.01
AVERAGE = 0.998
GREATEST_GRADIENT = 1.0
TILT, GAIN = 0.4, 0.3
"""Greatest change of frames (natural logarithms of magnitudes) at a band and of all: another microphone, as far as the
opinion stays the same."""
TILT_POINTS = 4


class SecondLessons:
    """Draws windows of heard mixtures with what the tagger makes of them."""

    def __init__(
        self, heard: HeardMixtures, allowed: Sequence[bool], classes: ClassScores, ears: Ears, seed: int
    ) -> None:
        """Take the mixtures that hold only recordings that are `allowed`.

        Raises:
            OperatorError: too few of them.
        """
        self._numbers = heard.made_of(allowed)
        if len(self._numbers) < FEWEST_MIXTURES:
            raise OperatorError(
                f"only {len(self._numbers)} mixtures hold nothing that is kept out of training; raise "
                "distillation.mixtures"
            )
        embeddings = heard.embeddings[self._numbers]
        gist = Gist.of(embeddings)
        components = gist.whitened(embeddings, COMPONENTS)
        sirens = classes.logits(embeddings)[..., list(classes.sirens)]
        sirens = (sirens - sirens.mean(axis=(0, 1))) / sirens.std(axis=(0, 1))
        self._targets = torch.from_numpy(np.concatenate([components, sirens], axis=-1).astype(np.float32))
        weights = np.sqrt(gist.deviations[: components.shape[-1]])
        self.weights = torch.from_numpy(weights / weights.mean())
        self._heard = replace(heard, embeddings=heard.embeddings[:0])
        self._ears = ears
        self._seed = seed

    @property
    def target_count(self) -> int:
        """Numbers that are learnt of each window."""
        return int(self._targets.shape[-1])

    def batch(self, step: int, size: int) -> tuple[Tensor, Tensor]:
        """All windows [K, 96, 64] of `size` mixtures and targets [K, C]: the same ones each time a step asks."""
        rng = np.random.default_rng([self._seed, 11, step])
        rows = rng.integers(0, len(self._numbers), size)
        log_mel = np.stack([self._heard.frames_of(int(self._numbers[row])) for row in rows])
        frames = self._ears.of_log_mel(torch.from_numpy(log_mel))
        tilts = rng.uniform(-TILT, TILT, (size, TILT_POINTS)) + rng.uniform(-GAIN, GAIN, (size, 1))
        places = np.linspace(0, TILT_POINTS - 1, frames.shape[2])
        tilt = np.stack([np.interp(places, np.arange(TILT_POINTS), one) for one in tilts]).astype(np.float32)
        frames = frames + torch.from_numpy(tilt)[:, None]
        windows = frames[:, LATER_FRAMES:].unfold(1, WINDOW_FRAMES, WINDOW_HOP_FRAMES).transpose(2, 3)
        targets = self._targets[rows][:, : windows.shape[1]]
        return windows[:, : targets.shape[1]].reshape(-1, *windows.shape[2:]), targets.flatten(0, 1)

    def loss(self, found: Tensor, targets: Tensor) -> Tensor:
        """Huber's loss; a component weighs by the root of its deviation, and all siren classes as much as they all."""
        distance = smooth_l1_loss(found, targets, reduction="none")
        count = len(self.weights)
        return (distance[:, :count] * self.weights).mean() + distance[:, count:].mean()


def learn(
    network: SecondOpinion,
    lessons: SecondLessons,
    steps: int,
    mixtures_a_step: int,
    report: Callable[[int, float], None] = lambda _step, _loss: None,
) -> SecondOpinion:
    """Teach `network`; returns the average of its weights over the last steps."""
    projection = nn.Linear(network.widths[-1], lessons.target_count)
    parameters = [*network.layers.parameters(), *projection.parameters()]
    optimizer = torch.optim.AdamW(parameters, RATE, weight_decay=DECAY)
    average = copy.deepcopy(network)
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = RATE * _share(step, steps)
        windows, targets = lessons.batch(step, mixtures_a_step)
        loss = lessons.loss(projection(network.embed(windows)), targets)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(parameters, GREATEST_GRADIENT)
        optimizer.step()
        with torch.no_grad():
            keep = min(AVERAGE, step / (step + 20))
            for kept, current in zip(average.parameters(), network.parameters(), strict=True):
                kept.lerp_(current, 1 - keep)
        report(step + 1, float(loss.detach()))
    return average.eval()


def _share(step: int, steps: int) -> float:
    """Of the learning rate: it rises, then falls like a cosine."""
    falling = 0.5 * (1 + math.cos(math.pi * step / steps)) * (1 - LEAST_RATE_SHARE) + LEAST_RATE_SHARE
    return min(1.0, (step + 1) / WARM_UP_STEPS) * falling
