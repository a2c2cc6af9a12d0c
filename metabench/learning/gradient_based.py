"""The base of methods that adapt in inner steps."""

from __future__ import annotations

import itertools
from abc import abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

from torch import Tensor

from metabench.algorithms.base import Algorithm, Predictor
from metabench.episodes import Support, TaskBatch
from metabench.learning.outer_gradient import OuterGradient
from metabench.learning.predictors import after, single


class GradientBased(Algorithm):
    """A method with an adaptation trajectory: the predictors after 0, 1, 2, ... inner steps.

    A subclass defines :meth:`trajectory` and :meth:`adapt`, which takes ``T`` support sets as well
    as one (:func:`~metabench.learning.predictors.over_tasks`).

    Attributes:
        inner_steps: Inner steps in meta-training; read where the outer loop differentiates through
            the inner loop (:func:`~metabench.learning.outer_loop.descend_query_loss`).
        zero_head: Whether episodes start from a head of zeros, which is not learned
            (:class:`~metabench.learning.zero_head.ZeroHead`).
        train_ways: Classes in a training episode; 0 means as many as at meta-test.
    """

    inner_steps = 0
    zero_head = False
    train_ways = 0

    @abstractmethod
    def trajectory(self, support: Support) -> Iterator[Predictor]:
        """Yield the predictors of ``T`` tasks after 0, 1, 2, ... inner steps, without end.

        In training mode predictors are differentiable in the parameters of the method, through all
        steps; in evaluation mode no graph is kept from one step to the next.

        Args:
            support: ``x`` ``[T, S, *input]`` and ``y`` ``[T, S]``.
        """

    def adapt_batch(self, support: Support) -> Predictor:
        """See :meth:`Algorithm.adapt_batch`."""
        return self.adapt(support)

    def adapt_path(self, support: Support, steps: int) -> Iterator[Predictor]:
        """See :meth:`Algorithm.adapt_path`."""
        return map(single, itertools.islice(self.trajectory(support.as_batch()), steps + 1))

    def query_losses(self, batch: TaskBatch) -> Tensor:
        """Returns the query loss of each task after the inner loop, ``[T]``."""
        predict = after(self.inner_steps, self.trajectory(batch.support))
        return self.problem.loss(predict(batch.query_x), batch.query_y)

    def query_losses_by_step(self, batch: TaskBatch) -> Iterator[Tensor]:
        """Yield the query losses after 0, 1, ..., ``inner_steps`` inner steps, ``[T]`` each."""
        for predict in itertools.islice(self.trajectory(batch.support), self.inner_steps + 1):
            yield self.problem.loss(predict(batch.query_x), batch.query_y).detach()

    def outer_gradient(self) -> AbstractContextManager[Callable[[TaskBatch], Tensor]]:
        """Returns what puts the gradient of the mean query loss into ``.grad``, given a batch."""
        return OuterGradient(self, self.query_losses)
