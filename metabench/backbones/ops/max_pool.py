"""Max pooling of channels-last maps that is cheap to differentiate twice.

PyTorch's double backward of max pooling copies the maps to the channels-first layout and back.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

_WINDOW = [2, 2]


def max_pool(maps: Tensor) -> Tensor:
    """2x2 max pooling, the border left over; of equal values the first one has the gradient.

    Args:
        maps: ``[B, H, W, C]``.

    Returns:
        ``[B, H // 2, W // 2, C]``. Differentiable to any order.
    """
    pooled, _ = _Pool.apply(maps)  # type: ignore[no-untyped-call]
    return _tensor(pooled)


class _Pool(Function):
    """Values and where they stood; for those places, all derivatives are linear."""

    @staticmethod
    def forward(ctx: Any, maps: Tensor) -> tuple[Tensor, Tensor]:
        values, places = torch.ops.aten.max_pool2d_with_indices(maps.movedim(3, 1), _WINDOW)
        values, places = values.movedim(1, 3), places.movedim(1, 3)
        ctx.side = tuple(maps.shape[1:3])
        ctx.save_for_backward(places)
        ctx.mark_non_differentiable(places)
        return values, places

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        (places,) = ctx.saved_tensors
        return _tensor(_Spread.apply(grads[0], places, ctx.side))  # type: ignore[no-untyped-call]


class _Spread(Function):
    """Values back to their places, zero elsewhere; the adjoint of :class:`_Pick`."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, places: Tensor, side: tuple[int, int]) -> Tensor:
        ctx.save_for_backward(places)
        ctx.side = side
        maps = values.new_empty(len(values), *side, values.shape[3]).movedim(3, 1)
        spread = torch.ops.aten.max_pool2d_with_indices_backward(
            values.contiguous().movedim(3, 1),
            maps,
            _WINDOW,
            [],
            [0, 0],
            [1, 1],
            False,
            places.movedim(3, 1),
        )
        return _tensor(spread).movedim(1, 3)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        (places,) = ctx.saved_tensors
        return _tensor(_Pick.apply(grads[0], places)), None, None  # type: ignore[no-untyped-call]


class _Pick(Function):
    """The values that stand at the places."""

    @staticmethod
    def forward(ctx: Any, maps: Tensor, places: Tensor) -> Tensor:
        ctx.save_for_backward(places)
        ctx.side = tuple(maps.shape[1:3])
        return torch.gather(maps.flatten(1, 2), 1, places.flatten(1, 2)).view(places.shape)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        (places,) = ctx.saved_tensors
        return _tensor(_Spread.apply(grads[0], places, ctx.side)), None  # type: ignore[no-untyped-call]


def _tensor(value: Any) -> Tensor:
    assert isinstance(value, Tensor)
    return value
