"""Episodes with more or fewer shots than the benchmark has."""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor
from torch.nn import functional as F

from metabench.episodes import ClassSampler, FamilySampler, Sampler, TaskBatch
from metabench.errors import NotApplicable
from metabench.utils.text import counted

MIN_QUERIES = 5
"""Queries per class that :func:`with_shots` leaves at least, if the benchmark has as many."""


def with_shots(sampler: Sampler, shots: tuple[int, ...]) -> tuple[Sampler, tuple[int, ...]]:
    """Returns the same stream of episodes with the largest of some numbers of shots.

    If a class has too few examples, the episodes have fewer queries.

    Args:
        sampler: The episodes.
        shots: Numbers of shots; those that the pool is too small for are dropped.

    Returns:
        The sampler, and the numbers of shots that are possible.

    Raises:
        NotApplicable: If no number of shots is possible, or the kind of sampler is unknown.
    """
    protocol = sampler.protocol
    if isinstance(sampler, FamilySampler):
        most = protocol.with_(shots=max(shots))
        return FamilySampler(sampler.family, most, sampler.key, sampler.device), shots
    if not isinstance(sampler, ClassSampler):
        raise NotApplicable("these episodes cannot be drawn with a different number of shots.")
    possible = tuple(
        k for k in shots if k + min(MIN_QUERIES, protocol.queries) <= sampler.pool.examples
    )
    if not possible:
        raise NotApplicable(
            f"a class has {counted(sampler.pool.examples, 'example')}, too few for "
            f"{counted(min(shots), 'shot')}."
        )
    queries = min(protocol.queries, sampler.pool.examples - max(possible))
    # The same key draws the same classes, and the examples of each in the same order.
    most = protocol.with_(shots=max(possible), queries=queries)
    return ClassSampler(sampler.pool, most, sampler.key, sampler.device), possible


def with_fewer_shots(batch: TaskBatch, shots: int) -> TaskBatch:
    """Returns the episodes with the first ``shots`` support examples of each class.

    In regression, with the first ``shots`` support examples.
    """
    if not batch.ways:
        return dataclasses.replace(
            batch, support_x=batch.support_x[:, :shots], support_y=batch.support_y[:, :shots]
        )
    tasks, size = batch.support_y.shape
    position = torch.arange(size, device=batch.support_y.device).expand(tasks, size)
    kept = rank_in_class(batch.support_y, batch.ways, position) < shots
    x = batch.support_x[kept].view(tasks, -1, *batch.support_x.shape[2:])
    return dataclasses.replace(batch, support_x=x, support_y=batch.support_y[kept].view(tasks, -1))


def rank_in_class(labels: Tensor, ways: int, order: Tensor) -> Tensor:
    """Returns the rank of each example among those of its class, int64 ``[T, S]``.

    Args:
        labels: int64 ``[T, S]``.
        ways: Number of classes.
        order: ``[T, S]``; examples are ranked by ascending values.
    """
    # Stable, so that equal values keep their order on every device.
    by_order = torch.argsort(order, dim=1, stable=True)
    sorted_labels = labels.gather(1, by_order)
    counts = F.one_hot(sorted_labels, ways).cumsum(1)
    ranks = counts.gather(2, sorted_labels.unsqueeze(2)).squeeze(2) - 1
    return torch.empty_like(ranks).scatter_(1, by_order, ranks)
