"""Predictors of one task and of many, and where on an adaptation trajectory they stand."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterator
from typing import TypeVar

from torch import Tensor

from metabench.algorithms.base import Predictor
from metabench.backbones.inner_step import inner_step
from metabench.episodes import Support
from metabench.learning.inner_loop import Params

Item = TypeVar("Item")
Self = TypeVar("Self")


def over_tasks(
    adapt: Callable[[Self, Support], Predictor],
) -> Callable[[Self, Support], Predictor]:
    """Let an ``adapt`` that is written for ``T`` support sets at once take a single one too."""

    @functools.wraps(adapt)
    def adapt_any(self: Self, support: Support) -> Predictor:
        if support.is_batch:
            return adapt(self, support)
        return single(adapt(self, support.as_batch()))

    return adapt_any


def single(predict: Predictor) -> Predictor:
    """Turn a predictor of a batch of one task into a predictor of that task."""

    def predict_one(query: Tensor) -> Tensor:
        return predict(query.unsqueeze(0)).squeeze(0)

    return predict_one


def after(steps: int, trajectory: Iterator[Item]) -> Item:
    """Returns the item of a trajectory after ``steps`` inner steps."""
    return next(itertools.islice(trajectory, steps, None))


def predictors(
    forward: Callable[[Params, Tensor], Tensor], trajectory: Iterator[Params]
) -> Iterator[Predictor]:
    """Turn a trajectory of parameters into a trajectory of predictors.

    Args:
        forward: Maps parameters ``[T, ...]`` and queries ``[T, Q, *input]`` to ``[T, Q, outputs]``.
        trajectory: The parameters after 0, 1, 2, ... steps.
    """
    for steps, params in enumerate(trajectory):
        yield _predictor(forward, params, steps)


def _predictor(
    forward: Callable[[Params, Tensor], Tensor], params: Params, steps: int
) -> Predictor:
    def predict(query: Tensor) -> Tensor:
        with inner_step(steps):
            return forward(params, query)

    return predict
