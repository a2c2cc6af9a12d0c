"""The outer loop of the methods whose inner loop is differentiated: descent on the loss after adapting."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import torch
from torch import Tensor, nn

from metabench.episodes import TaskBatch, TaskStream
from metabench.episodes.augmentation import with_mirrored_classes
from metabench.learning.divergence import naming_the_inner_step
from metabench.learning.inner_loop import after, cosine
from metabench.learning.outer_gradient.select import OuterGradient
from metabench.learning.zero_head import ZeroHead


class MetaGradient(ZeroHead):
    r"""A method that descends the gradient of the query loss through its own inner loop.

    .. math::
        \theta \leftarrow \theta - \beta \nabla_\theta \tfrac1T \textstyle\sum_t L^\text{query}_t(\theta'_t)

    with the adapted parameters :math:`\theta'_t` of the method's ``path``, and Adam for the step.

    Reference: Finn, Abbeel and Levine 2017, arXiv:1703.03400, algorithm 2, lines 10 and 11.

    Attributes:
        inner_steps: inner steps in meta-training.
        tasks: tasks in an outer step.
        train_shots: support examples for each class in meta-training; 0 means as at test.
        train_queries: queries for each class in meta-training.
        outer_lr: Adam's learning rate.
        anneal: let the learning rate fall to 0 along half a cosine.
        mirror: whether half of the classes of a training episode are mirrored.
        clip: the norm that the outer gradient is cut down to; 0 for no clipping.
    """

    inner_steps: int
    tasks: int
    train_shots: int = 0
    train_queries: int
    outer_lr: float
    anneal: bool
    mirror: bool = False
    clip: float = 0.0

    def meta_train(self, tasks: TaskStream) -> None:
        """See :class:`Algorithm`."""
        optimizer = tasks.keep(torch.optim.Adam(self.learned(), lr=self.outer_lr))
        ways, shots, queries = self.train_ways or None, self.train_shots or None, self.train_queries
        with self.outer_gradient() as gradient:
            for batch in tasks.batches(self.tasks, ways=ways, shots=shots, queries=queries):
                seen = with_mirrored_classes(batch) if self.mirror else batch
                loss = gradient(seen)
                # Before the outer step, which would leave nothing finite to look for the inner step with.
                with naming_the_inner_step(self.losses_on_the_way(seen), steps=self.inner_steps):
                    tasks.log(loss)
                lr = self.outer_lr * (cosine(tasks.progress) if self.anneal else 1)
                take_step(optimizer, lr=lr, clip=self.clip)

    def outer_gradient(self) -> AbstractContextManager[Callable[[TaskBatch], Tensor]]:
        """What puts the gradient for a batch into ``.grad``, and gives the mean loss."""
        return OuterGradient(self, self.outer_losses)

    def outer_losses(self, batch: TaskBatch) -> Tensor:
        """The query loss of each task after the inner loop, ``[T]``: no task's depends on another."""
        adapted = after(self.inner_steps, self.path(batch.support))
        return self.problem.loss(adapted(batch.query_x), batch.query_y)

    def losses_on_the_way(self, batch: TaskBatch) -> Iterator[Tensor]:
        """The query losses after 0, 1, ..., ``inner_steps`` inner steps, ``[T]`` each."""
        for adapted in itertools.islice(self.path(batch.support), self.inner_steps + 1):
            yield self.problem.loss(adapted(batch.query_x), batch.query_y).detach()


def take_step(optimizer: torch.optim.Optimizer, *, lr: float, clip: float = 0.0) -> None:
    """One outer step down the gradients that the parameters have.

    Args:
        optimizer: the outer loop's.
        lr: the learning rate of this step.
        clip: the norm that the gradient is cut down to; 0 for no clipping.
    """
    for group in optimizer.param_groups:
        group["lr"] = lr
        if clip:
            nn.utils.clip_grad_norm_(group["params"], clip)
    optimizer.step()
