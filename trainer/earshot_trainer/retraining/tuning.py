"""Fine-tuning of the base: read top to bottom.

Every step has segments of the household's recordings and replayed ones (synthesized sounds and corpora). The first
teach what is new, over backgrounds of both; on the second the network is held to the log-odds that the base gives them.
Batch norms keep the base's statistics, and its normalization stays: a household is too little to estimate them from.

Another label than siren of which the household has enough recordings gets segments of its own: these recordings over
backgrounds without it; and a row of the output layer if the base has none. On these, too, all other labels are held to
what the base says.
"""

import json
import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, huber_loss

from earshot_node.errors import OperatorError
from earshot_trainer.corpus.recordings import Recording
from earshot_trainer.network.architecture import FRAMES_PER_HOP
from earshot_trainer.network.model import ModelConfig, StreamingCrnn
from earshot_trainer.network.state import State
from earshot_trainer.retraining.growing import grow, joined, with_labels
from earshot_trainer.retraining.settings import TuningSettings
from earshot_trainer.segments import augment
from earshot_trainer.segments.mixing import OPENING_DECISIONS, Batch, SegmentMixer
from earshot_trainer.segments.prefetch import Prefetcher
from earshot_trainer.segments.sounds import Sounds
from earshot_trainer.training.checkpoint import CHECKPOINT_NAME, MODEL_NAME, load_checkpoint, save_atomically
from earshot_trainer.training.learner import parameter_groups
from earshot_trainer.training.losses import segment_loss
from earshot_trainer.training.memory import keep_freed_memory
from earshot_trainer.training.recipe import Recipe
from earshot_trainer.training.train import StepReport

DEVICE = torch.device("cpu")
ADDED_ROWS = "output.added."
KEPT_LOG_ODDS = (-4.0, 8.0)
"""Within these the base's opinion is kept; how sure it is beyond them is nothing to hold on to."""


@dataclass(frozen=True)
class TuningSounds:
    """What a tuning makes its segments of.

    `own` is the household's, over backgrounds that may be replayed ones; `others` those of other labels than siren, its
    recordings with the label in the place of sirens.
    """

    own: Sounds
    replay: Sounds
    others: Mapping[str, Sounds] = field(default_factory=dict)


@dataclass(frozen=True)
class Lesson:
    """Segments of one step: the household's, the replayed ones, then those of each other label.

    `heard` is what the base hears, `log_mel` the same with masks, both [B, F, M]; `targets` and `weights` [B, F / 4]
    are of the siren label, and in another label's segments of that. `own` and `replay` count the first segments.
    """

    heard: Tensor
    log_mel: Tensor
    targets: Tensor
    weights: Tensor
    own: int
    replay: int

    def tensors(self) -> Iterator[Tensor]:
        """All tensors."""
        yield from (self.heard, self.log_mel, self.targets, self.weights)


def tune(
    values: dict[str, Any],
    settings: TuningSettings,
    seed: int,
    sounds: TuningSounds,
    out: Path,
    origin: str,
    report: Callable[[StepReport], None] = lambda _: None,
) -> Path:
    """Fine-tune into `out`, going on from a checkpoint that lies there; returns the path of the model.

    Args:
        values: of the base's checkpoint.
        settings: how.
        seed: of every draw.
        sounds: what the segments are made of.
        out: an existing folder.
        origin: names base, settings and recordings; a checkpoint of another origin is not gone on from.
        report: told after each step.

    Raises:
        OperatorError: the training diverged.
    """
    keep_freed_memory()
    recipe = Recipe.model_validate(json.loads(values["recipe"]))
    tuner = Tuner(values, settings, seed, tuple(sounds.others))
    first = tuner.resume(out / CHECKPOINT_NAME, origin)
    make = LessonMaker(recipe, settings, seed, sounds)
    mean_loss = 0.0
    with Prefetcher(make, DEVICE) as lessons:
        for step in range(first, settings.steps):
            loss = tuner.step(lessons.take(step, end=settings.steps), step)
            if not math.isfinite(loss):
                raise OperatorError(f"fine-tuning diverged at step {step}; try --set tuning.learning_rate=0.0001")
            mean_loss = loss if step == first else 0.95 * mean_loss + 0.05 * loss
            report(StepReport(step + 1, settings.steps, mean_loss, 0.0))
            if (step + 1) % settings.checkpoint_every_steps == 0 and step + 1 < settings.steps:
                save_atomically(tuner.state_dict() | {"origin": origin, "done": step + 1}, out / CHECKPOINT_NAME)
    save_atomically({"network": tuner.result()} | with_labels(values, tuner.added), out / MODEL_NAME)
    (out / CHECKPOINT_NAME).unlink(missing_ok=True)
    return out / MODEL_NAME


def only_audible(sounds: Sounds, values: dict[str, Any], range_log_odds: float) -> Sounds:
    """Return the sounds with their sirens active only where the base hears one best.

    A label is for a whole recording; where in it the siren sounds, and not only the street, is nowhere said. Learning
    the street as a siren costs false alarms everywhere. So a frame counts if the base's opinion, however low, is
    within `range_log_odds` of its highest in the recording; the other frames are not scored.
    """
    network = _network(values)
    sirens = []
    for siren in sounds.sirens:
        frames = torch.from_numpy(sounds.bank.of(siren.sound).astype("float32"))
        whole = len(frames) - len(frames) % FRAMES_PER_HOP
        if whole == 0:
            sirens.append(siren)
            continue
        with torch.no_grad():
            opinion = network(frames[None, :whole])[0][0, :, 0].numpy()
        count = min(len(opinion), len(siren.active))
        active = siren.active.copy()
        active[:count] &= opinion[:count] >= opinion[:count][siren.active[:count]].max(initial=-99) - range_log_odds
        sirens.append(replace(siren, active=active))
    return replace(sounds, sirens=tuple(sirens))


def drawn_from(sounds: Sounds, recordings: Collection[Recording], share: float) -> Sounds:
    """Return the sounds with `share` of the backgrounds drawn from `recordings`, where there are some and others."""
    mine = np.array([span.recording in recordings for span in sounds.spans])
    if not mine.any() or mine.all():
        return sounds
    odds = np.where(
        mine,
        sounds.span_odds * share / sounds.span_odds[mine].sum(),
        sounds.span_odds * (1 - share) / sounds.span_odds[~mine].sum(),
    )
    return replace(sounds, span_odds=odds)


class LessonMaker:
    """Makes the segments of a step; knows nothing of other steps."""

    def __init__(self, recipe: Recipe, settings: TuningSettings, seed: int, sounds: TuningSounds) -> None:
        self._recipe = recipe
        self._seed = seed
        self._own_count = max(1, round(settings.own_share * settings.batch_size))
        self._replay_count = settings.batch_size - self._own_count
        own_mixing = recipe.mixing.model_copy(
            update={
                "synthetic_share": settings.own_synthetic_share,
                "clean_share": settings.own_clean_share,
                "trap_share": 0.0,
            }
        )
        self._own, self._replay = sounds.own, sounds.replay
        self._own_mixer = SegmentMixer(sounds.own, recipe.model, own_mixing, recipe.augment, seed * 2 + 1, DEVICE)
        self._replay_mixer = SegmentMixer(
            sounds.replay, recipe.model, recipe.mixing, recipe.augment, seed * 2 + 2, DEVICE
        )
        label_mixing = recipe.mixing.model_copy(
            update={"synthetic_share": 0.0, "clean_share": settings.own_clean_share}
        )
        self._label_count = settings.label_segments
        self._others = [
            (one, SegmentMixer(one, recipe.model, label_mixing, recipe.augment, seed * 2 + 1, DEVICE))
            for one in sounds.others.values()
        ]

    def __call__(self, step: int) -> Lesson:
        """Mix, colour and mask."""
        parts = [self._own_mixer.batch(step, self._own_count, self._own.span_odds)]
        if self._replay_count:
            parts.append(self._replay_mixer.batch(step, self._replay_count, self._replay.span_odds))
        for number, (sounds, mixer) in enumerate(self._others, start=1):
            parts.append(mixer.batch(step, self._label_count, sounds.span_odds, rank=number))
        generator = torch.Generator().manual_seed(self._seed * 1_000_003 + step)
        with torch.no_grad():
            heard = augment.colour(_joined(parts, "log_mel"), self._recipe.augment, self._recipe.model, generator)
            masked = augment.mask_spectrum(heard, self._recipe.augment, generator)
        targets, weights = _joined(parts, "targets"), _joined(parts, "weights")
        return Lesson(heard, masked, targets, weights, self._own_count, self._replay_count)


class Tuner:
    """The network under tuning, its average, and the base that it is held to.

    `others` are the labels besides siren that it learns; `added` those of them that the base has no output for.
    """

    def __init__(self, values: dict[str, Any], settings: TuningSettings, seed: int, others: Sequence[str] = ()) -> None:
        torch.manual_seed(seed)
        known = tuple(values["config"]["labels"])
        self.added = tuple(label for label in others if label not in known)
        self._columns = [(*known, *self.added).index(label) for label in others]
        self._recipe = Recipe.model_validate(json.loads(values["recipe"]))
        self._settings = settings
        self._seed = seed
        self.base = _network(values)
        self.network, self.average = (grow(_network(values), len(self.added)) for _ in range(2))
        named = list(self.network.named_parameters())
        added_ones = {id(p) for name, p in named if name.startswith(ADDED_ROWS)}
        groups = parameter_groups(
            [p for _, p in named if id(p) not in added_ones],
            self.network.tagger,
            settings.learning_rate,
            settings.weight_decay,
            self._recipe.training.tagger_rate,
        )
        if rows := [p for _, p in named if id(p) in added_ones]:
            groups.append({"params": rows, "weight_decay": 0.0, "lr": settings.label_learning_rate})
        self._optimizer = torch.optim.AdamW(groups, lr=settings.learning_rate, betas=(0.9, 0.98))
        self._scheduler = torch.optim.lr_scheduler.LambdaLR(self._optimizer, self._schedule)
        self._left: State = {}
        self._base_left: State = {}

    def step(self, lesson: Lesson, step: int) -> float:
        """Learn from a lesson; returns its loss."""
        torch.manual_seed(self._seed * 1_000_003 + step)  # dropout
        carried = torch.rand(len(lesson.log_mel)) < self._recipe.training.carry_share
        with torch.no_grad():
            said, base_left = self.base(lesson.heard, _opening(self.base, self._base_left, carried))
        self.network.train()
        for module in self.network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
        logits, left = self.network(lesson.log_mel, _opening(self.network, self._left, carried))
        # Copies: a slice would keep the activations of the whole batch alive, and in checkpoints.
        self._left = {name: value.detach().clone() for name, value in left.items()}
        self._base_left = {name: value.clone() for name, value in base_left.items()}
        loss = self._loss(logits[:, :, 0], said, logits, lesson)
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.network.parameters(), self._settings.clip_gradient)
        self._optimizer.step()
        self._scheduler.step()
        self._update_average(step)
        return float(loss.detach())

    def state_dict(self) -> dict[str, Any]:
        """All that resuming needs."""
        return {
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "scheduler": self._scheduler.state_dict(),
            "left": self._left,
            "base_left": self._base_left,
        }

    def result(self) -> dict[str, Tensor]:
        """The averaged weights, on the straight line from the base's to them as far as the settings say.

        Between a model and its fine-tuned self most of what is new is kept and most of what was known comes back
        (Wortsman et al. 2022, Robust fine-tuning of zero-shot models). Added rows have no base: they stay as tuned.
        """
        tuned, base = joined(self.average.state_dict()), self.base.state_dict()
        return {name: self._blended(base[name], value) for name, value in tuned.items()}

    def resume(self, path: Path, origin: str) -> int:
        """Continue from a checkpoint of the same origin, if there is one; returns the steps done."""
        if not path.exists():
            return 0
        values = load_checkpoint(path)
        if values.get("origin") != origin:
            return 0
        self.network.load_state_dict(values["network"])
        self.average.load_state_dict(values["average"])
        self._optimizer.load_state_dict(values["optimizer"])
        self._scheduler.load_state_dict(values["scheduler"])
        self._left, self._base_left = values["left"], values["base_left"]
        return int(values["done"])

    def _loss(self, siren: Tensor, said: Tensor, logits: Tensor, lesson: Lesson) -> Tensor:
        own, settings = lesson.own, self._settings
        loss = settings.own_weight * _frame_loss(siren[:own], lesson.targets[:own], lesson.weights[:own])
        without = lesson.targets[:own] == 0
        quiet = without & ((said[:own, :, 0] < 0) | (lesson.weights[:own] == 0))
        quiet[:, :OPENING_DECISIONS] = False
        loss = loss + settings.own_keep_weight * _distance(siren[:own][quiet], said[:own, :, 0][quiet])
        kept = torch.ones_like(said, dtype=torch.bool)
        kept[:own] = kept[:, :OPENING_DECISIONS] = False
        for number, column in enumerate(self._columns):
            is_known = column < said.shape[2]
            if is_known:
                kept[self._segments_of(lesson, number), :, column] = False
            loss = loss + self._label_loss(logits[:, :, column], lesson, number, is_known)
        return loss + settings.keep_weight * _distance(logits[:, :, : said.shape[2]][kept], said[kept])

    def _segments_of(self, lesson: Lesson, number: int) -> slice:
        first = lesson.own + lesson.replay + number * self._settings.label_segments
        return slice(first, first + self._settings.label_segments)

    def _label_loss(self, logits: Tensor, lesson: Lesson, number: int, is_known: bool) -> Tensor:
        """Of another label on its own segments; of a new one also on the replay, which is taken to be without it."""
        settings, training = self._settings, self._recipe.training
        mine, replayed = self._segments_of(lesson, number), slice(lesson.own, lesson.own + lesson.replay)
        loss = settings.own_weight * segment_loss(logits[mine], lesson.targets[mine], lesson.weights[mine], training)
        if lesson.replay and not is_known:
            without = torch.zeros_like(logits[replayed])
            scored = torch.ones_like(without)
            scored[:, :OPENING_DECISIONS] = 0.0
            loss = loss + settings.unlabelled_weight * segment_loss(logits[replayed], without, scored, training)
        return loss

    def _blended(self, base: Tensor, tuned: Tensor) -> Tensor:
        if not tuned.is_floating_point():
            return tuned
        known, added = tuned[: len(base)], tuned[len(base) :]
        return torch.cat([torch.lerp(base, known, self._settings.blend), added])

    def _schedule(self, step: int) -> float:
        total = self._settings.steps
        warm = max(1, round(total * self._settings.warmup_share))
        if step < warm:
            return (step + 1) / warm
        return 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(1.0, (step - warm) / max(1, total - warm))))

    @torch.no_grad()
    def _update_average(self, step: int) -> None:
        decay = min(self._settings.average_decay, (step + 1) / (step + 10))
        for kept, new in zip(self.average.parameters(), self.network.parameters(), strict=True):
            kept.lerp_(new, 1 - decay)


def _frame_loss(logits: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
    """Mean cross entropy of the scored frames, all [B, F].

    A segment's loudest opinion counts no more than the others: what is hardly heard would be learnt at any price.
    """
    total = binary_cross_entropy_with_logits(logits, targets, weight=weights, reduction="sum")
    return total / weights.sum().clamp_min(1.0)


def _distance(logits: Tensor, said: Tensor) -> Tensor:
    """Mean Huber loss between two opinions in log-odds, of any one shape; nothing is no distance.

    A step of log-odds counts the same everywhere: near a threshold, where a cross entropy hardly feels it, as well.
    """
    if logits.numel() == 0:
        return logits.sum()
    return huber_loss(logits.clamp(*KEPT_LOG_ODDS), said.clamp(*KEPT_LOG_ODDS))


def _network(values: dict[str, Any]) -> StreamingCrnn:
    network = StreamingCrnn(ModelConfig.from_dict(values["config"]))
    network.load_state_dict(values["network"])
    return network.eval()


def _opening(network: StreamingCrnn, left: State, carried: Tensor) -> State:
    """The state that the carried rows inherit from the step before; silence for the others."""
    state = network.initial_state(len(carried))
    if not left or len(left["gru"]) != len(carried):
        return state
    return {
        name: torch.where(carried.reshape(-1, *(1 for _ in zeros.shape[1:])), left[name], zeros)
        for name, zeros in state.items()
    }


def _joined(parts: list[Batch], name: str) -> Tensor:
    return torch.cat([getattr(part, name) for part in parts])
