"""Watching which gradients are computed, and whether one flows through another."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(eq=False)
class Watch:
    """What was seen.

    Attributes:
        computed: how often gradients were asked for, by whatever function of PyTorch.
        flowed_through: whether a later gradient flowed through an earlier one: a second derivative.
    """

    computed: int = 0
    flowed_through: bool = False


@contextmanager
def watch_gradients() -> Iterator[Watch]:
    """Note which gradients are computed inside, by ``backward``, ``torch.autograd.grad`` or ``torch.func``.

    All of them run PyTorch's engine through one function of the module ``torch.autograd``; a library that has
    imported ``grad`` by its name is seen as well. Gradients that are computed with a graph are marked, and
    the mark tells when another gradient passes it.
    """
    module: Any = torch.autograd
    run = module._engine_run_backward
    watch = Watch()

    def run_watched(outputs: Any, *arguments: Any, **options: Any) -> Any:
        watch.computed += 1
        gradients = run(outputs, *arguments, **options)
        _, _, create_graph, inputs, *_ = arguments
        if not create_graph:
            return gradients
        if options.get(
            "accumulate_grad"
        ):  # backward(create_graph=True), which leaves them in the leaves
            for leaf in inputs:
                if isinstance(leaf, Tensor) and leaf.grad is not None:
                    leaf.grad = _mark(leaf.grad, watch)
            return gradients
        return tuple(None if g is None else _mark(g, watch) for g in gradients)

    module._engine_run_backward = run_watched
    try:
        yield watch
    finally:
        module._engine_run_backward = run


def _mark(gradient: Tensor, watch: Watch) -> Tensor:
    marked: Tensor = _Mark.apply(gradient, watch)  # type: ignore[no-untyped-call]
    return marked


class _Mark(torch.autograd.Function):
    """The identity, which notes that a gradient has passed; works below ``torch.func`` transforms too."""

    generate_vmap_rule = True

    @staticmethod
    def forward(gradient: Tensor, watch: Watch) -> Tensor:
        del watch
        return gradient.view_as(gradient)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Watch], output: Tensor) -> None:
        del output
        ctx.watch = inputs[1]

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        ctx.watch.flowed_through = True
        return grads[0], None
