"""What training minimises."""

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from earshot_trainer.training.recipe import TrainingRecipe


def segment_loss(logits: Tensor, targets: Tensor, weights: Tensor, recipe: TrainingRecipe) -> Tensor:
    """Frame-wise cross entropy plus the cross entropy of each segment's loudest opinion.

    `logits`, `targets`, `weights` are [B, F]. The second part is what a clip score and a false alarm depend on: the
    soft maximum over the scored frames should be high where a siren sounds and low everywhere else.
    """
    smooth = targets * (1 - 2 * recipe.label_smoothing) + recipe.label_smoothing
    balance = torch.where(targets > 0, 1.0, recipe.negative_weight) * weights
    frame = binary_cross_entropy_with_logits(logits, smooth, weight=balance, reduction="sum")
    frame = frame / balance.sum().clamp_min(1.0)
    has_siren = (targets * weights).amax(dim=1) > 0
    is_scored = torch.where(has_siren[:, None], targets * weights, weights) > 0
    hidden = logits.masked_fill(~is_scored, -1e4)
    count = is_scored.sum(dim=1).clamp_min(1)
    peak = torch.logsumexp(hidden * 2.0, dim=1) / 2.0 - torch.log(count.float()) / 8.0
    goal = has_siren.float() * (1 - 2 * recipe.label_smoothing) + recipe.label_smoothing
    usable = is_scored.any(dim=1).float()
    clip = binary_cross_entropy_with_logits(peak, goal, weight=usable, reduction="sum") / usable.sum().clamp_min(1.0)
    return frame + recipe.clip_loss_weight * clip


def teacher_loss(logits: Tensor, scores: Tensor) -> Tensor:
    """Cross entropy against the teacher's scores [B, F, classes], summed over classes; NaN rows do not count."""
    known = ~scores.isnan()
    loss = binary_cross_entropy_with_logits(logits, scores.nan_to_num(), reduction="none")
    rows = known[:, :, 0].sum().clamp_min(1)
    return (loss * known).sum() / rows
