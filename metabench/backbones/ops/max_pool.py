"""Max pooling of channels-last maps whose second derivative is fast.

PyTorch's double backward of max pooling copies the maps to the channels-first layout and back.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

_WINDOW = [2, 2]


def max_pool(maps: Tensor) -> Tensor:
    """Pool 2x2 windows; differentiable to any order.

    An odd border is dropped. Of equal values the first one gets the gradient.

    Args:
        maps: ``[B, H, W, C]``.

    Returns:
        ``[B, H // 2, W // 2, C]``.
    """
    pooled, _ = _Pool.apply(maps)  # type: ignore[no-untyped-call]
    return _tensor(pooled)


class _Pool(Function):
    """The values and their indices, given which all derivatives are linear."""

    @staticmethod
    def forward(ctx: Any, maps: Tensor) -> tuple[Tensor, Tensor]:
        values, indices = torch.ops.aten.max_pool2d_with_indices(maps.movedim(3, 1), _WINDOW)
        values, indices = values.movedim(1, 3), indices.movedim(1, 3)
        ctx.size = tuple(maps.shape[1:3])
        ctx.save_for_backward(indices)
        ctx.mark_non_differentiable(indices)
        return values, indices

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        (indices,) = ctx.saved_tensors
        return _tensor(_Scatter.apply(grads[0], indices, ctx.size))  # type: ignore[no-untyped-call]


class _Scatter(Function):
    """Scatter values to their indices, zero elsewhere; the adjoint of :class:`_Gather`."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, indices: Tensor, size: tuple[int, int]) -> Tensor:
        ctx.save_for_backward(indices)
        ctx.size = size
        maps = values.new_empty(len(values), *size, values.shape[3]).movedim(3, 1)
        scattered = torch.ops.aten.max_pool2d_with_indices_backward(
            values.contiguous().movedim(3, 1),
            maps,
            _WINDOW,
            [],
            [0, 0],
            [1, 1],
            False,
            indices.movedim(3, 1),
        )
        return _tensor(scattered).movedim(1, 3)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        (indices,) = ctx.saved_tensors
        return _tensor(_Gather.apply(grads[0], indices)), None, None  # type: ignore[no-untyped-call]


class _Gather(Function):
    """Gather the values at the indices."""

    @staticmethod
    def forward(ctx: Any, maps: Tensor, indices: Tensor) -> Tensor:
        ctx.save_for_backward(indices)
        ctx.size = tuple(maps.shape[1:3])
        return torch.gather(maps.flatten(1, 2), 1, indices.flatten(1, 2)).view(indices.shape)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        (indices,) = ctx.saved_tensors
        return _tensor(_Scatter.apply(grads[0], indices, ctx.size)), None  # type: ignore[no-untyped-call]


def _tensor(value: Any) -> Tensor:
    assert isinstance(value, Tensor)
    return value
