"""torch's GRU for training on a CPU, with its gradient written out.

The equations and the weights are those of `torch.nn.GRU` (one layer, time first). There autograd keeps a graph of
twenty small operators per time step; here a step is five calls forward and three backward, and all that does not depend
on the recursion, the gradients of the weights among it, is computed for all time steps at once.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import linear


def run_gru(gru: nn.GRU, x: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
    """Output [T, B, H] and last hidden state [B, H] of a layer for x [T, B, features] from `hidden` [B, H]."""
    of_input, of_hidden, input_bias, hidden_bias = gru.parameters()
    gates = linear(x, of_input, input_bias)
    output, last = _Recurrence.apply(gates, hidden, of_hidden, hidden_bias)  # type: ignore[no-untyped-call]
    return output, last


class _Recurrence(torch.autograd.Function):
    """From the inputs' part of the gates [T, B, 3H] in torch's order: reset, update, new."""

    @staticmethod
    def forward(ctx: Any, gates: Tensor, hidden: Tensor, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
        steps, rows, size = gates.shape[0], gates.shape[1], weight.shape[1]
        states = gates.new_empty(steps + 1, rows, size)
        states[0] = hidden
        opened = gates.new_empty(steps, rows, 2 * size)  # reset and update gates
        new, candidate = (gates.new_empty(steps, rows, size) for _ in range(2))
        of_opened, of_new = weight[: 2 * size].t().contiguous(), weight[2 * size :].t().contiguous()
        views = (
            states[:-1],
            states[1:],
            gates[..., : 2 * size] + bias[: 2 * size],
            gates[..., 2 * size :],
            opened,
            opened[..., :size],
            opened[..., size:],
            new,
            candidate,
        )
        for before, after, to_open, to_new, open_, reset, update, new_, candidate_ in zip(
            *(view.unbind(0) for view in views), strict=True
        ):
            torch.addmm(to_open, before, of_opened, out=open_).sigmoid_()
            torch.addmm(bias[2 * size :], before, of_new, out=candidate_)
            torch.addcmul(to_new, reset, candidate_, out=new_).tanh_()
            torch.lerp(new_, before, update, out=after)
        ctx.save_for_backward(states, opened, new, candidate, weight)
        return states[1:], states[steps].clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        of_output, of_hidden = gradients
        states, opened, new, candidate, weight = ctx.saved_tensors
        steps, rows, size = new.shape
        reset, update = opened[..., :size], opened[..., size:]
        of_new = (1 - update) * (1 - new * new)
        factors = torch.stack(
            [
                of_new * candidate * reset * (1 - reset),
                (states[:-1] - new) * update * (1 - update),
                of_new * reset,
                update,
            ],
            dim=2,
        )
        products = torch.empty_like(factors)
        flat = products.view(steps, rows, 4 * size)
        of_states = torch.empty_like(new)
        views = (of_output[:, :, None], factors, products, products[:, :, 3], flat[..., : 3 * size])
        for given, factor, product, kept, of_gates, of_state in zip(
            *(reversed(view.unbind(0)) for view in (*views, of_states[:, :, None])), strict=True
        ):
            torch.add(of_hidden[:, None], given, out=of_state)
            torch.mul(factor, of_state, out=product)
            of_hidden = torch.addmm(kept, of_gates, weight)
        of_gates = flat[..., : 3 * size].reshape(steps * rows, 3 * size)
        of_weight = of_gates.t() @ states[:-1].reshape(steps * rows, size)
        of_bias = of_gates.sum(dim=0)
        of_inputs = of_gates.view(steps, rows, 3 * size).clone()
        of_inputs[..., 2 * size :] = of_states * of_new
        return of_inputs, of_hidden, of_weight, of_bias
