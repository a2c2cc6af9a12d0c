"""Label noise: wrong labels in a support set."""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from metabench.episodes import TaskBatch
from metabench.metrics.shots import rank_in_class
from metabench.runtime.counter_rng import below, make_key, random_bits, shuffle_order


def flip_labels(batch: TaskBatch, indices: Tensor, share: float) -> tuple[TaskBatch, Tensor]:
    """Give a share of each support set the label of another class of its episode.

    Exactly ``round(share * S)`` labels of every episode are flipped, as evenly over its classes as
    possible, each to any other class with the same probability (symmetric noise). Labels flipped
    at a small share are also flipped at a larger one.

    Args:
        batch: The episodes.
        indices: Their indices, int64 ``[T]``, which seed the choice.
        share: Share of the support examples, between 0 and 1.

    Returns:
        The episodes with the new labels, and which labels were flipped, bool ``[T, S]``.
    """
    labels, ways = batch.support_y, batch.ways
    size = labels.shape[1]
    bits = random_bits(make_key("label noise"), indices, 2 * size + ways)
    order, shift, class_order = bits.split([size, size, ways], dim=1)
    layer = rank_in_class(labels, ways, order)
    # One example of every class, in a random order of the classes, before a second one of any.
    position = layer * ways + shuffle_order(class_order).argsort(1).gather(1, labels)
    flipped = position.argsort(1).argsort(1) < round(share * size)
    # An offset of 1 to ways - 1 reaches every other class with the same probability.
    other = (labels + 1 + below(shift, ways - 1)) % ways
    noisy = torch.where(flipped, other, labels)
    return dataclasses.replace(batch, support_y=noisy), flipped
