"""Running means along time that train at the speed of matrix products."""

import torch
from torch import Tensor
from torch.nn.functional import pad

BLOCK_FRAMES = 40


def smooth(x: Tensor, share: Tensor, last: Tensor) -> Tensor:
    """First-order recursive smoothing m[t] = (1 - share) m[t - 1] + share x[t], with m[-1] = `last`.

    x is [B, T, M], `share` [M] in (0, 1), `last` [B, M]; returns m [B, T, M]. Within a block of frames m is a sum over
    earlier ones, all blocks at once; between blocks it is the recursion itself, so time and memory grow with T.
    """
    rows, frames, bands = x.shape
    length = min(frames, BLOCK_FRAMES)
    blocks = pad(x, (0, 0, 0, -frames % length)).reshape(rows, -1, length, bands)
    time = torch.arange(length, device=x.device)
    age = (time[:, None] - time)[:, :, None]
    kept = (1 - share) ** age.clamp_min(0)  # [t, u, M]
    from_within = torch.einsum("tum,bnum->bntm", share * kept * (age >= 0), blocks)
    until_end = (1 - share) ** (time[:, None] + 1)  # [t, M]
    before = [last]
    for ends in from_within[:, :-1, -1].unbind(1):
        before.append(ends + until_end[-1] * before[-1])
    smoothed = from_within + until_end * torch.stack(before, dim=1)[:, :, None]
    return smoothed.reshape(rows, -1, bands)[:, :frames]
