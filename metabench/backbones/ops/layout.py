"""The memory layout in which convolutions and batch norm are fastest."""

from __future__ import annotations

from torch import Tensor


def channels_last(maps: Tensor) -> Tensor:
    """Returns maps with strides that say channels last, even if there is only one channel.

    Args:
        maps: ``[B, C, H, W]``.
    """
    # contiguous(memory_format=torch.channels_last) leaves maps of one channel as they are, since
    # both layouts are equal; their strides then say channels first, and PyTorch goes on with that.
    batch, channels, height, width = maps.shape
    flat = maps.permute(0, 2, 3, 1).reshape(-1)
    return flat.view(batch, height, width, channels).permute(0, 3, 1, 2)
