"""Count gradient computations, and detect a gradient that flows through another."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(eq=False)
class GradientLog:
    """The gradient computations in a stretch of code.

    Attributes:
        computed: Number of calls that computed gradients, by any function of PyTorch.
        flowed_through: Whether a later gradient flowed through an earlier one: a second
            derivative.
    """

    computed: int = 0
    flowed_through: bool = False


@contextmanager
def watch_gradients() -> Iterator[GradientLog]:
    """Log gradients computed inside by ``backward``, ``torch.autograd.grad`` or ``torch.func``."""
    # All three run the engine through this function of the module, also for a library that has
    # imported `grad` by name.
    module: Any = torch.autograd
    run = module._engine_run_backward
    log = GradientLog()

    def run_logged(outputs: Any, *arguments: Any, **options: Any) -> Any:
        log.computed += 1
        gradients = run(outputs, *arguments, **options)
        # Without a graph nothing can flow through these gradients later.
        _, _, create_graph, inputs, *_ = arguments
        if not create_graph:
            return gradients
        # backward(create_graph=True) returns nothing and leaves its gradients in the leaves.
        if options.get("accumulate_grad"):
            for leaf in inputs:
                if isinstance(leaf, Tensor) and leaf.grad is not None:
                    leaf.grad = _mark(leaf.grad, log)
            return gradients
        return tuple(None if g is None else _mark(g, log) for g in gradients)

    module._engine_run_backward = run_logged
    try:
        yield log
    finally:
        module._engine_run_backward = run


def _mark(gradient: Tensor, log: GradientLog) -> Tensor:
    marked: Tensor = _Mark.apply(gradient, log)  # type: ignore[no-untyped-call]
    return marked


class _Mark(torch.autograd.Function):
    """The identity, which logs that a gradient flowed through it."""

    generate_vmap_rule = True  # to work below the transforms of torch.func

    @staticmethod
    def forward(gradient: Tensor, log: GradientLog) -> Tensor:
        del log
        return gradient.view_as(gradient)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, GradientLog], output: Tensor) -> None:
        del output
        ctx.log = inputs[1]

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        ctx.log.flowed_through = True
        return grads[0], None
