"""The layout of maps that convolutions and batch norm are fastest in."""

from __future__ import annotations

from torch import Tensor


def channels_last(maps: Tensor) -> Tensor:
    """Maps with their channels laid out last, in a way that PyTorch sees even where there is but one.

    ``contiguous(memory_format=torch.channels_last)`` leaves maps of one channel as they are, since both
    layouts are the same; but their strides then say channels first, and what follows is computed so.

    Args:
        maps: ``[B, C, H, W]``.
    """
    batch, channels, height, width = maps.shape
    flat = maps.permute(0, 2, 3, 1).reshape(-1)
    return flat.view(batch, height, width, channels).permute(0, 3, 1, 2)
