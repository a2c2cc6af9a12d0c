"""Grouped 3x3 convolution whose derivatives of any order are grouped convolutions too.

PyTorch's double backward of a grouped convolution loops over the groups. The three functions below
are each other's gradients, so that every derivative is one call for all groups.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from metabench.runtime.precision import lowered

Shape = tuple[int, ...]


def convolve(maps: Tensor, kernels: Tensor, stride: int, groups: int) -> Tensor:
    """Convolve maps that are padded by one, without a bias; differentiable to any order.

    Args:
        maps: ``[B, groups * C, H, W]``, channels last.
        kernels: ``[groups * O, C, 3, 3]``, channels last.
        stride: 1 or 2.
        groups: The number of groups.

    Returns:
        ``[B, groups * O, H', W']``.
    """
    maps, kernels = lowered(maps, kernels)
    out: Tensor = _Outputs.apply(maps, kernels, stride, groups)  # type: ignore[no-untyped-call]
    return out


def _inputs(out: Tensor, kernels: Tensor, shape: Shape, stride: int, groups: int) -> Tensor:
    """Returns the gradient of :func:`convolve` in the maps, which have this shape."""
    maps: Tensor = _Inputs.apply(out, kernels, shape, stride, groups)  # type: ignore[no-untyped-call]
    return maps


def _kernels(maps: Tensor, out: Tensor, stride: int, groups: int) -> Tensor:
    """Returns the gradient of :func:`convolve` in the kernels."""
    kernels: Tensor = _Kernels.apply(maps, out, stride, groups)  # type: ignore[no-untyped-call]
    return kernels


class _Outputs(Function):
    @staticmethod
    def forward(ctx: Any, maps: Tensor, kernels: Tensor, stride: int, groups: int) -> Tensor:
        ctx.save_for_backward(maps, kernels)
        ctx.arguments = stride, groups
        return torch.conv2d(maps, kernels, None, stride, 1, 1, groups)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (out,), (maps, kernels), (first, second, *_) = (
            grads,
            ctx.saved_tensors,
            ctx.needs_input_grad,
        )
        return (
            _inputs(out, kernels, tuple(maps.shape), *ctx.arguments) if first else None,
            _kernels(maps, out, *ctx.arguments) if second else None,
            None,
            None,
        )


class _Inputs(Function):
    @staticmethod
    def forward(
        ctx: Any, out: Tensor, kernels: Tensor, shape: Shape, stride: int, groups: int
    ) -> Tensor:
        ctx.save_for_backward(out, kernels)
        ctx.arguments = stride, groups
        maps = _uninitialised(shape, out)
        return _gradient(out, maps, kernels, stride, groups, 0)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (maps,), (out, kernels), (first, second, *_) = (
            grads,
            ctx.saved_tensors,
            ctx.needs_input_grad,
        )
        return (
            convolve(maps, kernels, *ctx.arguments) if first else None,
            _kernels(maps, out, *ctx.arguments) if second else None,
            None,
            None,
            None,
        )


class _Kernels(Function):
    @staticmethod
    def forward(ctx: Any, maps: Tensor, out: Tensor, stride: int, groups: int) -> Tensor:
        ctx.save_for_backward(maps, out)
        ctx.arguments = stride, groups
        kernels = _uninitialised((out.shape[1], maps.shape[1] // groups, 3, 3), out)
        return _gradient(out, maps, kernels, stride, groups, 1)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (kernels,), (maps, out), (first, second, *_) = (
            grads,
            ctx.saved_tensors,
            ctx.needs_input_grad,
        )
        return (
            _inputs(out, kernels, tuple(maps.shape), *ctx.arguments) if first else None,
            convolve(maps, kernels, *ctx.arguments) if second else None,
            None,
            None,
        )


def _uninitialised(shape: Shape, like: Tensor) -> Tensor:
    """Returns an uninitialised channels-last tensor, of which only the shape is used."""
    last = torch.channels_last
    return torch.empty(shape, dtype=like.dtype, device=like.device, memory_format=last)


def _gradient(
    out: Tensor, maps: Tensor, kernels: Tensor, stride: int, groups: int, which: int
) -> Tensor:
    """Returns PyTorch's gradient in the maps (0) or in the kernels (1), given by their shape."""
    steps, ones = [stride, stride], [1, 1]
    wanted = [which == 0, which == 1, False]
    found = torch.ops.aten.convolution_backward(
        out, maps, kernels, None, steps, ones, ones, False, [0, 0], groups, wanted
    )
    gradient = found[which]
    assert isinstance(gradient, Tensor)
    return gradient
