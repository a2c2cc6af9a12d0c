"""Perturbations of episodes: what they change, and random numbers that belong to an episode."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from metabench.algorithms.problem import Problem
from metabench.episodes import TaskBatch
from metabench.errors import NotApplicable
from metabench.runtime.counter_rng import make_key, random_bits, uniform

PerturbedSet = Literal["query", "support", "both"]
"""Which set of an episode is perturbed."""

Perturbation = Callable[[TaskBatch, Tensor], TaskBatch]
"""Maps episodes and their indices, int64 ``[T]``, to perturbed copies."""

ImageTransform = Callable[[Tensor, Tensor, str], Tensor]
"""Maps images ``[T, N, C, H, W]``, episode indices ``[T]`` and ``"query"`` or ``"support"`` to
transformed images."""


def require_images(problem: Problem) -> None:
    """Check that inputs are images ``[1 or 3, height, width]``.

    Raises:
        NotApplicable: If they are not.
    """
    shape = problem.input_shape
    if len(shape) != 3 or shape[0] not in (1, 3):
        raise NotApplicable(
            f"it needs images [1 or 3, height, width], and the inputs are {list(shape)}."
        )


def transform_images(
    batch: TaskBatch, indices: Tensor, transform: ImageTransform, perturbed: PerturbedSet
) -> TaskBatch:
    """Returns the episodes with the images of the query, the support or both sets transformed."""
    support, query = batch.support_x, batch.query_x
    if perturbed != "query":
        support = transform(support, indices, "support")
    if perturbed != "support":
        query = transform(query, indices, "query")
    return dataclasses.replace(batch, support_x=support, query_x=query)


def uniform_numbers(indices: Tensor, count: int, *key: str | int) -> Tensor:
    """Returns uniform float64 numbers in ``[0, 1)``, a pure function of the key and each episode.

    Args:
        indices: Indices of the episodes, int64 ``[T]``.
        count: Numbers per episode.
        key: What the numbers are for.

    Returns:
        ``[T, count]``.
    """
    # "change" is part of the key: another word would change the numbers of all records.
    return uniform(random_bits(make_key("change", *key), indices, count))


def normal_numbers(numbers: Tensor) -> Tensor:
    """Map uniform numbers to standard normal ones by the inverse cumulative distribution."""
    # ndtri is infinite at 0 and 1.
    inside = numbers.clamp(2.0**-53, 1 - 2.0**-53)
    normal: Tensor = torch.special.ndtri(inside)
    return normal
