"""Matrix products whose gradients have the layout of the tensors they belong to.

``torch.bmm`` returns some of its gradients transposed, and each update of a parameter by such a
gradient pays for copying it back. The three products below are each other's gradients, so that
every tensor keeps its layout through any number of differentiations.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from metabench.runtime.precision import lowered


def outputs(x: Tensor, weight: Tensor) -> Tensor:
    """Apply a linear layer for every task: ``[T, N, K]`` and ``[T, O, K]`` to ``[T, N, O]``."""
    x, weight = lowered(x, weight)
    y: Tensor = _Outputs.apply(x, weight)  # type: ignore[no-untyped-call]
    return y


def _inputs(y: Tensor, weight: Tensor) -> Tensor:
    """Returns the gradient of :func:`outputs` in ``x``, ``[T, N, K]``."""
    x: Tensor = _Inputs.apply(y, weight)  # type: ignore[no-untyped-call]
    return x


def _weights(x: Tensor, y: Tensor) -> Tensor:
    """Returns the gradient of :func:`outputs` in ``weight``, ``[T, O, K]``."""
    weight: Tensor = _Weights.apply(x, y)  # type: ignore[no-untyped-call]
    return weight


class _Outputs(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return torch.bmm(x, weight.transpose(1, 2))

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor | None]:
        (y,), (x, weight), (first, second) = grads, ctx.saved_tensors, ctx.needs_input_grad
        return _inputs(y, weight) if first else None, _weights(x, y) if second else None


class _Inputs(Function):
    @staticmethod
    def forward(ctx: Any, y: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(y, weight)
        return torch.bmm(y, weight)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor | None]:
        (x,), (y, weight), (first, second) = grads, ctx.saved_tensors, ctx.needs_input_grad
        return outputs(x, weight) if first else None, _weights(x, y) if second else None


class _Weights(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, y: Tensor) -> Tensor:
        ctx.save_for_backward(x, y)
        if x.shape[2] < y.shape[2]:  # MKL is slow if the second matrix is narrow
            return torch.bmm(x.transpose(1, 2), y).transpose(1, 2).contiguous()
        return torch.bmm(y.transpose(1, 2), x)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor | None]:
        (weight,), (x, y), (first, second) = grads, ctx.saved_tensors, ctx.needs_input_grad
        return _inputs(y, weight) if first else None, outputs(x, weight) if second else None
