"""The network with everything that changes while it learns."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from earshot_trainer.distillation.lessons import HeardBatch, HeardLessons
from earshot_trainer.network.architecture import ModelConfig
from earshot_trainer.network.model import StreamingCrnn
from earshot_trainer.network.state import State
from earshot_trainer.network.tagger_layers import TaggerLayers
from earshot_trainer.segments import augment
from earshot_trainer.segments.mixing import Batch
from earshot_trainer.training.losses import segment_loss, teacher_loss
from earshot_trainer.training.processes import ALONE, Processes
from earshot_trainer.training.recipe import Recipe
from earshot_trainer.training.speed import StepClock


@dataclass(frozen=True)
class Lesson:
    """A batch made ready for one step: coloured and masked, and which rows begin with carried state.

    The rows are those of `batch`, then those of `heard`, if mixtures are learnt from too.
    """

    batch: Batch
    carried: Tensor
    heard: HeardBatch | None = None

    def tensors(self) -> Iterator[Tensor]:
        """All tensors on the training device."""
        yield from (self.batch.log_mel, self.batch.targets, self.batch.weights, self.carried)
        if self.batch.teacher is not None:
            yield self.batch.teacher
        if self.heard is not None:
            yield from (self.heard.log_mel, self.heard.siren, self.heard.weights, self.heard.components)


@dataclass(frozen=True)
class Outcome:
    """What a step showed, still on the training device.

    `loss` is this process' own; `peaks` [B] is the greatest posterior of each segment, `negative` [B] which have no
    siren.
    """

    loss: Tensor
    peaks: Tensor
    negative: Tensor


class Learner:
    """One optimizer step at a time over a StreamingCrnn, with an exponential moving average of its weights.

    `build` makes the network, and its average, of a configuration.
    The network alone runs in the recipe's precision, under autocast; features, losses, weights and carried state are
    float32 always. With several processes each normalizes by the batch statistics of its own segments; gradients and
    running statistics are averaged, so that all hold the same network.
    """

    def __init__(
        self,
        recipe: Recipe,
        device: torch.device,
        processes: Processes = ALONE,
        lessons: HeardLessons | None = None,
        build: Callable[[ModelConfig], StreamingCrnn] = StreamingCrnn,
    ) -> None:
        torch.manual_seed(recipe.training.seed)
        self._lessons = lessons
        self.recipe = recipe
        self.device = device
        self.processes = processes
        self.outputs = with_teacher_outputs(recipe)
        self.network = build(self.outputs).to(device)
        self.average = build(self.outputs).to(device).eval()
        self.average.load_state_dict(self.network.state_dict())
        self._left: State = {}
        settings = recipe.training
        groups = parameter_groups(
            list(self.network.parameters()),
            self.network.tagger,
            settings.learning_rate,
            settings.weight_decay,
            settings.tagger_rate,
        )
        self._optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.98), fused=True)
        self._scheduler = torch.optim.lr_scheduler.LambdaLR(self._optimizer, self._schedule)
        self._low_precision = low_precision(recipe, device)
        needs_scaler = self._low_precision is torch.float16
        self._scaler = torch.amp.grad_scaler.GradScaler(device.type, enabled=needs_scaler)

    def normalize(self, batches: list[Batch]) -> None:
        """Fix the mean and deviation of log-mel frames from some batches."""
        frames = torch.cat([batch.log_mel.flatten(0, 1) for batch in batches])
        for network in (self.network, self.average):
            network.set_normalization(frames.mean(dim=0), frames.std(dim=0).clamp_min(0.1))

    def begin_with(self, weights: dict[str, Tensor]) -> None:
        """Take an earlier model's weights and normalization; the outputs that only the teacher needs stay random."""
        for network in (self.network, self.average):
            own = network.state_dict()
            for name, value in weights.items():
                if value.ndim:  # the norms' counts of batches begin anew
                    own[name][: len(value)].copy_(value)

    def prepare(self, batch: Batch, step: int) -> Lesson:
        """Colour and mask a batch for a step; knows nothing of other steps, so it may run in another thread.

        Mixtures that were heard are masked alone: the tagger heard their colour.
        """
        generator = torch.Generator().manual_seed(self._seed(step))
        heard = self._heard(step)
        with torch.no_grad():
            log_mel = augment.colour(batch.log_mel, self.recipe.augment, self.recipe.model, generator)
            log_mel = augment.mask_spectrum(log_mel, self.recipe.augment, generator)
            if heard is not None:
                heard = replace(heard, log_mel=augment.mask_spectrum(heard.log_mel, self.recipe.augment, generator))
        rows = len(log_mel) + (len(heard.log_mel) if heard is not None else 0)
        carried = augment.chosen(rows, self.recipe.training.carry_share, generator)
        return Lesson(replace(batch, log_mel=log_mel), carried.to(self.device), heard)

    def step(self, lesson: Lesson, step: int, clock: StepClock | None = None) -> Outcome:
        """Learn from a batch. With several processes all call it together."""
        clock = clock or StepClock(self.device)
        torch.manual_seed(self._seed(step))  # dropout
        with clock.part("forward"):
            loss, logits = self._loss(lesson)
        with clock.part("backward"):
            self._optimizer.zero_grad(set_to_none=True)
            self._scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        if self.processes.count > 1:
            with clock.part("exchange"):
                self.processes.average(self._shared())
        with clock.part("optimizer"):
            self._scaler.unscale_(self._optimizer)
            nn.utils.clip_grad_norm_(self.network.parameters(), self.recipe.training.clip_gradient)
            self._scaler.step(self._optimizer)
            self._scaler.update()
            self._scheduler.step()
            self._update_average(step)
        negative = lesson.batch.targets.amax(dim=1) == 0
        return Outcome(loss.detach(), torch.sigmoid(logits.detach()).amax(dim=1), negative)

    def result(self) -> dict[str, Tensor]:
        """The averaged network's state_dict without the outputs that only the teacher needed."""
        labels = len(self.recipe.model.labels)
        values = self.average.state_dict()
        return {name: value[:labels] if name.startswith("output.") else value for name, value in values.items()}

    def state_dict(self) -> dict[str, Any]:
        """All that resuming needs, carried state of every process included; all processes call it together."""
        return {
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "scheduler": self._scheduler.state_dict(),
            "scaler": self._scaler.state_dict(),
            "left": {name: self.processes.gather(value).flatten(0, 1) for name, value in self._left.items()},
        }

    def load_state_dict(self, values: dict[str, Any]) -> None:
        """Continue where `state_dict` was taken; with another number of processes each takes its part of the rows."""
        self.network.load_state_dict(values["network"])
        self.average.load_state_dict(values["average"])
        self._optimizer.load_state_dict(values["optimizer"])
        self._scheduler.load_state_dict(values["scheduler"])
        self._scaler.load_state_dict(values["scaler"])
        mine = self.processes.rows(len(next(iter(values["left"].values()), ())))
        self._left = {name: value[mine].to(self.device) for name, value in values["left"].items()}

    def _heard(self, step: int) -> HeardBatch | None:
        if self._lessons is None or self.recipe.distillation is None:
            return None
        share = self.processes.share(self.recipe.distillation.batch_size, "distillation.batch_size")
        return self._lessons.batch(step, share, self.processes.rank)

    def _seed(self, step: int) -> int:
        """Of what is random in this process' step besides mixing."""
        return self.recipe.training.seed * 1_000_003 + step + self.processes.rank * 1_000_000_007

    def _loss(self, lesson: Lesson) -> tuple[Tensor, Tensor]:
        """The batch's loss and the siren label's logits [B, F / 4], both float32."""
        batch, labels = lesson.batch, len(self.recipe.model.labels)
        rows = len(batch.log_mel)
        self.network.train()
        state = self._opening_state(lesson.carried)
        log_mel = batch.log_mel if lesson.heard is None else torch.cat([batch.log_mel, lesson.heard.log_mel])
        with torch.autocast(self.device.type, self._low_precision, enabled=self._low_precision is not None):
            outputs, left = self.network(log_mel, state)
        # Copies: a slice would keep the activations of the whole batch alive, and in checkpoints.
        self._left = {name: value.detach().float().clone() for name, value in left.items()}
        outputs = outputs.float()
        logits = outputs[:rows, :, 0]
        loss = segment_loss(logits, batch.targets, batch.weights, self.recipe.training)
        teacher = self.recipe.teacher
        if teacher is not None and teacher.classes and batch.teacher is not None:
            extra = outputs[:rows, :, labels : labels + len(teacher.classes)]
            loss = loss + teacher.weight * teacher_loss(extra, batch.teacher)
        if lesson.heard is not None and self._lessons is not None and self.recipe.distillation is not None:
            components = self.recipe.distillation.components
            heard = torch.cat([outputs[rows:, :, :1], outputs[rows:, :, -components:]], dim=2)
            loss = loss + self._lessons.loss(heard, lesson.heard, self.recipe.distillation)
        return loss, logits

    def _shared(self) -> list[Tensor]:
        """What is averaged over processes in each step: gradients and the norms' running statistics."""
        gradients = [p.grad for p in self.network.parameters() if p.grad is not None]
        return gradients + [b for name, b in self.network.named_buffers() if "running_" in name]

    def _opening_state(self, carried: Tensor) -> State:
        """The state that the carried rows inherit from the batch before; silence for the others."""
        rows = len(carried)
        state = self.network.initial_state(rows)
        if not self._left or len(next(iter(self._left.values()))) != rows:
            return state
        return {
            name: torch.where(carried.reshape(-1, *(1 for _ in zeros.shape[1:])), self._left[name], zeros)
            for name, zeros in state.items()
        }

    def _schedule(self, step: int) -> float:
        """Linear warm-up, then half a cosine down to one per cent."""
        total = self.recipe.training.steps
        warm = max(1, round(total * self.recipe.training.warmup_share))
        if step < warm:
            return (step + 1) / warm
        return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(1.0, (step - warm) / max(1, total - warm))))

    @torch.no_grad()
    def _update_average(self, step: int) -> None:
        decay = min(self.recipe.training.average_decay, (step + 1) / (step + 10))
        pairs = list(zip(self.average.state_dict().values(), self.network.state_dict().values(), strict=True))
        floats = [pair for pair in pairs if pair[0].is_floating_point()]
        torch._foreach_lerp_([kept for kept, _ in floats], [new for _, new in floats], 1 - decay)
        for kept, new in pairs:
            if not kept.is_floating_point():
                kept.copy_(new)


def low_precision(recipe: Recipe, device: torch.device) -> torch.dtype | None:
    """What the network computes in where the recipe allows less than float32; None for float32."""
    if recipe.precision == "float32" or (recipe.precision == "auto" and device.type != "cuda"):
        return None
    if recipe.precision == "bfloat16" or torch.cuda.is_bf16_supported(including_emulation=False):
        return torch.bfloat16
    return torch.float16


def with_teacher_outputs(recipe: Recipe) -> ModelConfig:
    """The recipe's model with one more output per class of the teacher and per component of what it heard."""
    classes = recipe.teacher.classes if recipe.teacher is not None else ()
    components = range(recipe.distillation.components) if recipe.distillation is not None else ()
    extra = (*(f"teacher {name}" for name in classes), *(f"component {number}" for number in components))
    return replace(recipe.model, labels=recipe.model.labels + extra)


def parameter_groups(
    parameters: Sequence[nn.Parameter],
    tagger: TaggerLayers | None,
    learning_rate: float,
    weight_decay: float,
    tagger_rate: float,
) -> list[dict[str, Any]]:
    """What an optimizer takes: matrices and kernels decay, biases and norms do not.

    The tagger's own layers learn at `tagger_rate` times the rate of the others, its frozen ones not at all.
    """
    of_tagger = {id(parameter) for parameter in tagger.tuned()} if tagger is not None else set()
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for parameter in parameters:
        if parameter.requires_grad:
            groups.setdefault((id(parameter) in of_tagger, parameter.ndim >= 2), []).append(parameter)
    return [
        {
            "params": chosen,
            "weight_decay": weight_decay if decays else 0.0,
            "lr": learning_rate * (tagger_rate if is_taggers else 1.0),
        }
        for (is_taggers, decays), chosen in sorted(groups.items(), key=lambda group: (group[0][0], not group[0][1]))
    ]
