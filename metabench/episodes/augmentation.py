"""Changes to training images that leave the episode a good one."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator

import torch
from torch import Tensor
from torch.nn import functional as F

from metabench.episodes import TaskBatch


def moved(x: Tensor, pixels: int) -> Tensor:
    """Images moved at random, each by up to some pixels along each axis; what comes in at the border is 0.

    Args:
        x: images ``[..., channels, height, width]``.
        pixels: how far at most; 0 leaves them as they are.

    Returns:
        The same shape.
    """
    if pixels == 0:
        return x
    height, width = x.shape[-2:]
    images = F.pad(x.flatten(0, -4), [pixels] * 4)
    offsets = torch.randint(0, 2 * pixels + 1, (2, len(images), 1), device=x.device)
    rows = offsets[0] + torch.arange(height, device=x.device)
    columns = offsets[1] + torch.arange(width, device=x.device)
    # Advanced indices on both sides of the channels put the channels last.
    which = torch.arange(len(images), device=x.device)[:, None, None]
    found = images[which, :, rows[:, :, None], columns[:, None, :]]
    return found.movedim(-1, 1).reshape(x.shape)


def mirrored(x: Tensor, y: Tensor, ways: int) -> Tensor:
    """Episodes in which half of the classes, chosen at random, are mirrored: classes that were not there.

    Args:
        x: images ``[T, B, channels, height, width]``.
        y: their labels, ``[T, B]``.
        ways: classes in each episode.

    Returns:
        The same shape; all images of a class are mirrored, or none.
    """
    chosen = torch.rand(len(x), ways, device=x.device) < 0.5
    turned = chosen.gather(1, y)[:, :, None, None, None]
    return torch.where(turned, x.flip(-1), x)


def augmented(x: Tensor, y: Tensor, ways: int, *, shift: int, mirror: bool) -> Tensor:
    """Episodes of images that are moved, and then half of whose classes are mirrored.

    Args:
        x: images ``[T, B, channels, height, width]``; anything ``[T, B, ...]`` where nothing is asked for.
        y: their labels, ``[T, B]``.
        ways: classes in each episode.
        shift: how many pixels they are moved at most, see :func:`moved`.
        mirror: whether there are mirrored classes, see :func:`mirrored`.

    Returns:
        The same shape.
    """
    x = moved(x, shift)
    return mirrored(x, y, ways) if mirror else x


def with_mirrored_classes(batch: TaskBatch) -> TaskBatch:
    """Episodes of images in which half of the classes are mirrored, as :func:`mirrored` has it."""
    shots = batch.support_x.shape[1]
    x, y = (
        torch.cat([batch.support_x, batch.query_x], 1),
        torch.cat([batch.support_y, batch.query_y], 1),
    )
    x = mirrored(x, y, batch.ways)
    return dataclasses.replace(batch, support_x=x[:, :shots], query_x=x[:, shots:])


def mirror_half(batches: Iterable[TaskBatch]) -> Iterator[TaskBatch]:
    """Mirror half of the classes of each episode."""
    return map(with_mirrored_classes, batches)
