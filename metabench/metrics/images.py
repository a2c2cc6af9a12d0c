"""What changes of pictures share: random numbers by episode, and which inputs are pictures."""

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

Where = Literal["query", "support", "both"]
"""Which part of an episode is changed."""

ChangePictures = Callable[[Tensor, Tensor, str], Tensor]
"""Pictures ``[T, N, C, H, W]``, indices ``[T]`` and ``"query"`` or ``"support"`` to changed pictures."""


def check_pictures(problem: Problem) -> None:
    """Raise NotApplicable unless the inputs are pictures ``[1 or 3, H, W]``."""
    shape = problem.input_shape
    if len(shape) != 3 or shape[0] not in (1, 3):
        raise NotApplicable(
            f"it changes pictures [1 or 3, height, width], and the inputs are {list(shape)}."
        )


def change_pictures(
    batch: TaskBatch, indices: Tensor, change: ChangePictures, where: Where
) -> TaskBatch:
    """The same episodes with the pictures of the query, the support, or both changed."""
    support, query = batch.support_x, batch.query_x
    if where != "query":
        support = change(support, indices, "support")
    if where != "support":
        query = change(query, indices, "query")
    return dataclasses.replace(batch, support_x=support, query_x=query)


def uniform_numbers(indices: Tensor, count: int, *key: str | int) -> Tensor:
    """Uniform float64 numbers in ``[0, 1)``, ``[T, count]``: a pure function of the key and each episode."""
    return uniform(random_bits(make_key("change", *key), indices, count))


def normal_numbers(numbers: Tensor) -> Tensor:
    """Standard normal numbers from uniform ones, by the inverse of the normal distribution."""
    inside = numbers.clamp(2.0**-53, 1 - 2.0**-53)
    normal: Tensor = torch.special.ndtri(inside)
    return normal
