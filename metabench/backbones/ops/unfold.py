"""The 3x3 patches of a map as rows of a matrix, which turn a convolution into a matrix product."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.autograd import Function

KERNEL = 3
"""The size of a patch; maps are padded by one on each side."""


def out_size(size: int, stride: int) -> int:
    """Returns the height or width of a convolved map."""
    return (size - 1) // stride + 1


def unfold(maps: Tensor, stride: int) -> Tensor:
    """Returns the patch at every position of a convolution; differentiable to any order.

    Args:
        maps: ``[B, H, W, C]``, padded with zeros.
        stride: 1 or 2.

    Returns:
        ``[B, H', W', 9 * C]``, each patch row by row, channels last.
    """
    rows: Tensor = _Unfold.apply(maps, stride)  # type: ignore[no-untyped-call]
    return rows


def fold(rows: Tensor, size: tuple[int, int], stride: int) -> Tensor:
    """Add every patch to the positions from which it was read: the adjoint of :func:`unfold`.

    Differentiable to any order.

    Args:
        rows: ``[B, H', W', 9 * C]``.
        size: ``(H, W)`` of the maps.
        stride: 1 or 2.

    Returns:
        ``[B, H, W, C]``.
    """
    maps: Tensor = _Fold.apply(rows, size, stride)  # type: ignore[no-untyped-call]
    return maps


class _Unfold(Function):
    """A linear map: its backward is its adjoint, whose backward is the map itself."""

    @staticmethod
    def forward(ctx: Any, maps: Tensor, stride: int) -> Tensor:
        ctx.size, ctx.stride = tuple(maps.shape[1:3]), stride
        return _gather(maps, stride)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        return fold(grads[0], ctx.size, ctx.stride), None


class _Fold(Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor, size: tuple[int, int], stride: int) -> Tensor:
        ctx.stride = stride
        return _scatter(rows, size, stride)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        return unfold(grads[0], ctx.stride), None, None


def _gather(maps: Tensor, stride: int) -> Tensor:
    batch, height, width, channels = maps.shape
    out = maps.new_zeros(batch, height + 2, width + 2, channels)
    out[:, 1:-1, 1:-1] = maps
    b, h, w, _ = out.stride()
    # A row of a patch is contiguous: 3 * C numbers are copied at a time.
    size = (batch, out_size(height, stride), out_size(width, stride), KERNEL, KERNEL * channels)
    return out.as_strided(size, (b, stride * h, stride * w, h, 1)).flatten(3)


def _scatter(rows: Tensor, size: tuple[int, int], stride: int) -> Tensor:
    batch, channels = len(rows), rows.shape[3] // KERNEL**2
    rows = rows.unflatten(3, (KERNEL, KERNEL, channels))
    maps = rows.new_empty(batch, *size, channels)
    vertical, horizontal = (_reads(length, stride) for length in size)
    # The taps that together read every position exactly once come first, which saves filling with
    # zeros.
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


def _reads(size: int, stride: int) -> list[tuple[slice, slice]]:
    """Return, for each of the three taps, which outputs read inside the map and what they read."""
    reads = []
    for tap in range(KERNEL):
        low = 1 if tap == 0 else 0
        high = min(out_size(size, stride), (size - tap) // stride + 1)
        reads.append(
            (slice(low, high), slice(stride * low + tap - 1, stride * (high - 1) + tap, stride))
        )
    return reads
