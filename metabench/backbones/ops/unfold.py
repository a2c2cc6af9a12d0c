"""The 3x3 neighbourhoods of a map as rows of a matrix, so that a convolution is a matrix product."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.autograd import Function

KERNEL = 3
"""The side of a neighbourhood; the maps are padded by one on each side."""


def out_side(side: int, stride: int) -> int:
    """The length of the side of a convolved map."""
    return (side - 1) // stride + 1


def unfold(maps: Tensor, stride: int) -> Tensor:
    """The neighbourhood of every place that the convolution reads, zero beyond the border.

    Args:
        maps: ``[B, H, W, C]``.
        stride: 1 or 2.

    Returns:
        ``[B, H', W', 9 * C]``, row by row of the neighbourhood, channels last. Differentiable to any order.
    """
    rows: Tensor = _Unfold.apply(maps, stride)  # type: ignore[no-untyped-call]
    return rows


def fold(rows: Tensor, side: tuple[int, int], stride: int) -> Tensor:
    """The adjoint of :func:`unfold`: every neighbourhood added where it was read.

    Args:
        rows: ``[B, H', W', 9 * C]``.
        side: ``(H, W)`` of the maps.
        stride: 1 or 2.

    Returns:
        ``[B, H, W, C]``. Differentiable to any order.
    """
    maps: Tensor = _Fold.apply(rows, side, stride)  # type: ignore[no-untyped-call]
    return maps


class _Unfold(Function):
    """Linear, so its backward is its adjoint and the backward of that is itself."""

    @staticmethod
    def forward(ctx: Any, maps: Tensor, stride: int) -> Tensor:
        ctx.side, ctx.stride = tuple(maps.shape[1:3]), stride
        return _gather(maps, stride)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        return fold(grads[0], ctx.side, ctx.stride), None


class _Fold(Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor, side: tuple[int, int], stride: int) -> Tensor:
        ctx.stride = stride
        return _scatter(rows, side, stride)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        return unfold(grads[0], ctx.stride), None, None


def _gather(maps: Tensor, stride: int) -> Tensor:
    batch, height, width, channels = maps.shape
    out = maps.new_zeros(batch, height + 2, width + 2, channels)
    out[:, 1:-1, 1:-1] = maps
    b, h, w, _ = out.stride()
    # A row of a neighbourhood lies in one piece: 3 * C numbers are copied at a time.
    size = (batch, out_side(height, stride), out_side(width, stride), KERNEL, KERNEL * channels)
    return out.as_strided(size, (b, stride * h, stride * w, h, 1)).flatten(3)


def _scatter(rows: Tensor, side: tuple[int, int], stride: int) -> Tensor:
    batch, channels = len(rows), rows.shape[3] // KERNEL**2
    rows = rows.unflatten(3, (KERNEL, KERNEL, channels))
    maps = rows.new_empty(batch, *side, channels)
    vertical, horizontal = (_reads(length, stride) for length in side)
    # The taps that together read every place exactly once go first and save filling with zeros.
    first = range(1, 1 + stride)
    taps = [(i, j) for i in range(KERNEL) for j in range(KERNEL)]
    for i, j in sorted(taps, key=lambda tap: tap[0] not in first or tap[1] not in first):
        (from_v, to_v), (from_h, to_h) = vertical[i], horizontal[j]
        source, target = rows[:, from_v, from_h, i, j], maps[:, to_v, to_h]
        if i in first and j in first:
            target.copy_(source)
        else:
            target.add_(source)
    return maps


def _reads(side: int, stride: int) -> list[tuple[slice, slice]]:
    """For each of the three taps: which outputs read within the border, and which places they read."""
    reads = []
    for tap in range(KERNEL):
        low = 1 if tap == 0 else 0
        high = min(out_side(side, stride), (side - tap) // stride + 1)
        reads.append(
            (slice(low, high), slice(stride * low + tap - 1, stride * (high - 1) + tap, stride))
        )
    return reads
