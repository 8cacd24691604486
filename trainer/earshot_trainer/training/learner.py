"""The network with everything that changes while it learns."""

import math
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from earshot_trainer.network.architecture import ModelConfig
from earshot_trainer.network.model import StreamingCrnn
from earshot_trainer.segments import augment
from earshot_trainer.segments.mixing import Batch
from earshot_trainer.training.losses import segment_loss, teacher_loss
from earshot_trainer.training.recipe import Recipe


class Learner:
    """One optimizer step at a time over a StreamingCrnn, with an exponential moving average of its weights.

    On CUDA the network runs under autocast with a gradient scaler unless the recipe asks for float32.
    """

    def __init__(self, recipe: Recipe, device: torch.device) -> None:
        torch.manual_seed(recipe.training.seed)
        self.recipe = recipe
        self.device = device
        self.outputs = with_teacher_outputs(recipe)
        self.network = StreamingCrnn(self.outputs).to(device)
        self.average = StreamingCrnn(self.outputs).to(device).eval()
        self.average.load_state_dict(self.network.state_dict())
        self._left: dict[str, Tensor] = {}
        settings = recipe.training
        self._optimizer = torch.optim.AdamW(
            _decay_groups(self.network, settings.weight_decay), lr=settings.learning_rate, betas=(0.9, 0.98)
        )
        self._scheduler = torch.optim.lr_scheduler.LambdaLR(self._optimizer, self._schedule)
        self.uses_amp = device.type == "cuda" and recipe.precision == "auto"
        self._scaler = torch.amp.grad_scaler.GradScaler(device.type, enabled=self.uses_amp)

    def normalize(self, batches: list[Batch]) -> None:
        """Fix the mean and deviation of log-mel frames from some batches."""
        frames = torch.cat([batch.log_mel.flatten(0, 1) for batch in batches])
        for network in (self.network, self.average):
            network.set_normalization(frames.mean(dim=0), frames.std(dim=0).clamp_min(0.1))

    def step(self, batch: Batch, step: int) -> tuple[float, Tensor]:
        """Learn from a batch; returns the loss and the greatest posterior of each segment [B]."""
        generator = torch.Generator().manual_seed(self.recipe.training.seed * 1_000_003 + step)
        torch.manual_seed(self.recipe.training.seed * 1_000_003 + step)  # dropout
        with torch.no_grad():
            log_mel = augment.colour(batch.log_mel, self.recipe.augment, self.recipe.model, generator)
            log_mel = augment.mask_spectrum(log_mel, self.recipe.augment, generator)
        self.network.train()
        state = self._opening_state(len(log_mel), generator)
        with torch.autocast(self.device.type, enabled=self.uses_amp):
            logits, left = self.network(log_mel, state)
        self._left = {name: value.detach().float() for name, value in left.items()}
        logits, extra = logits.float()[:, :, 0], logits.float()[:, :, len(self.recipe.model.labels) :]
        loss = segment_loss(logits, batch.targets, batch.weights, self.recipe.training)
        if self.recipe.teacher is not None and batch.teacher is not None:
            loss = loss + self.recipe.teacher.weight * teacher_loss(extra, batch.teacher)
        self._optimizer.zero_grad(set_to_none=True)
        self._scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        self._scaler.unscale_(self._optimizer)
        nn.utils.clip_grad_norm_(self.network.parameters(), self.recipe.training.clip_gradient)
        self._scaler.step(self._optimizer)
        self._scaler.update()
        self._scheduler.step()
        self._update_average(step)
        return float(loss.detach()), torch.sigmoid(logits.detach()).amax(dim=1).cpu()

    def result(self) -> dict[str, Tensor]:
        """The averaged network's state_dict without the outputs that only the teacher needed."""
        labels = len(self.recipe.model.labels)
        values = self.average.state_dict()
        return {name: value[:labels] if name.startswith("output.") else value for name, value in values.items()}

    def state_dict(self) -> dict[str, Any]:
        """All that resuming needs."""
        return {
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "scheduler": self._scheduler.state_dict(),
            "scaler": self._scaler.state_dict(),
            "left": self._left,
        }

    def load_state_dict(self, values: dict[str, Any]) -> None:
        """Continue where `state_dict` was taken."""
        self.network.load_state_dict(values["network"])
        self.average.load_state_dict(values["average"])
        self._optimizer.load_state_dict(values["optimizer"])
        self._scheduler.load_state_dict(values["scheduler"])
        self._scaler.load_state_dict(values["scaler"])
        self._left = {name: value.to(self.device) for name, value in values["left"].items()}

    def _opening_state(self, rows: int, generator: torch.Generator) -> dict[str, Tensor]:
        """The state that a share of the rows inherit from the batch before; silence for the others."""
        state = self.network.initial_state(rows)
        carried = augment.chosen(rows, self.recipe.training.carry_share, generator)
        if not self._left or len(self._left["gru"]) != rows:
            return state
        keep = carried.to(self.device)
        return {
            name: torch.where(keep.reshape(-1, *(1 for _ in zeros.shape[1:])), self._left[name], zeros)
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
        for kept, new in zip(self.average.state_dict().values(), self.network.state_dict().values(), strict=True):
            if kept.dtype.is_floating_point:
                kept.lerp_(new, 1 - decay)
            else:
                kept.copy_(new)


def with_teacher_outputs(recipe: Recipe) -> ModelConfig:
    """The recipe's model with one more output per class of the teacher."""
    if recipe.teacher is None:
        return recipe.model
    extra = tuple(f"teacher {name}" for name in recipe.teacher.classes)
    return replace(recipe.model, labels=recipe.model.labels + extra)


def _decay_groups(network: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Matrices and kernels decay; biases and norms do not."""
    matrices = [p for p in network.parameters() if p.ndim >= 2]
    others = [p for p in network.parameters() if p.ndim < 2]
    return [{"params": matrices, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]
