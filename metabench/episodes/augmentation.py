"""Augmentation of training episodes: random translation, and mirrored classes."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator

import torch
from torch import Tensor
from torch.nn import functional as F

from metabench.episodes import TaskBatch


def translated(x: Tensor, pixels: int) -> Tensor:
    """Translate each image by a random number of pixels along each axis, padding with 0.

    Args:
        x: Images ``[..., channels, height, width]``.
        pixels: Largest shift; 0 returns ``x`` itself and draws no random numbers.

    Returns:
        The same shape.
    """
    if pixels == 0:
        return x
    height, width = x.shape[-2:]
    images = F.pad(x.flatten(0, -4), [pixels] * 4)
    # One call for both axes: recorded training runs depend on the order of random numbers.
    offsets = torch.randint(0, 2 * pixels + 1, (2, len(images), 1), device=x.device)
    rows = offsets[0] + torch.arange(height, device=x.device)
    columns = offsets[1] + torch.arange(width, device=x.device)
    index = torch.arange(len(images), device=x.device)[:, None, None]
    # Advanced indices on both sides of the channels put the channels last.
    shifted = images[index, :, rows[:, :, None], columns[:, None, :]]
    return shifted.movedim(-1, 1).reshape(x.shape)


def mirrored(x: Tensor, y: Tensor, ways: int) -> Tensor:
    """Mirror all images of a random half of the classes, which makes new classes of them.

    Args:
        x: Images ``[T, B, channels, height, width]``.
        y: Labels ``[T, B]``.
        ways: Classes in each episode.

    Returns:
        The same shape.
    """
    chosen = torch.rand(len(x), ways, device=x.device) < 0.5
    return torch.where(chosen.gather(1, y)[:, :, None, None, None], x.flip(-1), x)


def augmented(x: Tensor, y: Tensor, ways: int, *, shift: int, mirror: bool) -> Tensor:
    """Translate images, then mirrors half of the classes.

    Args:
        x: Images ``[T, B, channels, height, width]``; any ``[T, B, ...]`` if both are turned off.
        y: Labels ``[T, B]``.
        ways: Classes in each episode.
        shift: Largest translation in pixels; see :func:`translated`.
        mirror: Whether to mirror classes; see :func:`mirrored`.

    Returns:
        The same shape.
    """
    x = translated(x, shift)
    return mirrored(x, y, ways) if mirror else x


def with_mirrored_classes(batch: TaskBatch) -> TaskBatch:
    """Returns episodes with half of the classes mirrored; see :func:`mirrored`."""
    shots = batch.support_x.shape[1]
    # Support and query together: a class is mirrored in both or in neither.
    x = torch.cat([batch.support_x, batch.query_x], 1)
    y = torch.cat([batch.support_y, batch.query_y], 1)
    x = mirrored(x, y, batch.ways)
    return dataclasses.replace(batch, support_x=x[:, :shots], query_x=x[:, shots:])


def mirror_half(batches: Iterable[TaskBatch]) -> Iterator[TaskBatch]:
    """Mirror half of the classes of each episode."""
    return map(with_mirrored_classes, batches)
