"""Wrong labels in a support set."""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor
from torch.nn import functional as F

from metabench.episodes import TaskBatch
from metabench.runtime.counter_rng import below, make_key, random_bits, shuffle_order


def flip_labels(batch: TaskBatch, indices: Tensor, share: float) -> tuple[TaskBatch, Tensor]:
    """Give a share of each support set the label of another class of its episode.

    Exactly ``round(share * S)`` labels of every episode are flipped, as evenly over its classes as can be,
    each to any of the other classes with the same chance: symmetric noise. What is flipped at a small share
    is flipped at a greater one too.

    Args:
        batch: some episodes.
        indices: int64 ``[T]``, their indices, which seed the choice.
        share: of the support examples, between 0 and 1.

    Returns:
        The episodes with the new labels, and which labels were flipped, bool ``[T, S]``.
    """
    labels, ways = batch.support_y, batch.ways
    size = labels.shape[1]
    bits = random_bits(make_key("label noise"), indices, 2 * size + ways)
    order, target, turn = bits.split([size, size, ways], dim=1)
    layer = rank_in_class(labels, ways, order)
    # One example of every class in turn before a second of any: the classes' turns are shuffled.
    place = layer * ways + shuffle_order(turn).argsort(1).gather(1, labels)
    flipped = place.argsort(1).argsort(1) < round(share * size)
    other = (labels + 1 + below(target, ways - 1)) % ways
    noisy = torch.where(flipped, other, labels)
    return dataclasses.replace(batch, support_y=noisy), flipped


def rank_in_class(labels: Tensor, ways: int, order: Tensor) -> Tensor:
    """The place of each example among those of its class, int64 ``[T, S]``.

    Args:
        labels: int64 ``[T, S]``.
        ways: how many classes there are.
        order: ``[T, S]``: an example with a smaller number comes first.
    """
    by_order = torch.argsort(order, dim=1, stable=True)
    sorted_labels = labels.gather(1, by_order)
    seen = F.one_hot(sorted_labels, ways).cumsum(1)
    ranks = seen.gather(2, sorted_labels.unsqueeze(2)).squeeze(2) - 1
    return torch.empty_like(ranks).scatter_(1, by_order, ranks)


def fewer_shots(batch: TaskBatch, shots: int) -> TaskBatch:
    """The same episodes with the first ``shots`` support examples of each class (in regression, of all)."""
    if not batch.ways:
        return dataclasses.replace(
            batch, support_x=batch.support_x[:, :shots], support_y=batch.support_y[:, :shots]
        )
    tasks, size = batch.support_y.shape
    as_they_come = torch.arange(size, device=batch.support_y.device).expand(tasks, size)
    kept = rank_in_class(batch.support_y, batch.ways, as_they_come) < shots
    x = batch.support_x[kept].view(tasks, -1, *batch.support_x.shape[2:])
    return dataclasses.replace(batch, support_x=x, support_y=batch.support_y[kept].view(tasks, -1))
