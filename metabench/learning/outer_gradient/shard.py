"""Some tasks of an outer step, and their share in its gradient."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from metabench.episodes import TaskBatch

Losses = Callable[[TaskBatch], Tensor]
"""Tasks to the outer loss of each, ``[T]``; a function of them and of the parameters alone."""

Gradients = tuple[Tensor, Sequence[Tensor | None]]
"""A loss, and its gradients; none where it does not depend on a parameter."""


class Part:
    """Some tasks of an outer step, in tensors that every step's tasks are written to.

    Args:
        parameters: what is differentiated by.
        losses: see :data:`Losses`.
        batch: the tasks.
        total: how many tasks all parts have together.
    """

    def __init__(
        self, parameters: Sequence[nn.Parameter], losses: Losses, batch: TaskBatch, total: int
    ) -> None:
        self.parameters = parameters
        self._losses = losses
        self._batch = batch
        self._total = total

    def gradients(self) -> Gradients:
        """This part's share in the mean loss of all tasks, and in its gradients."""
        loss = self._losses(self._batch).sum() / self._total
        found = torch.autograd.grad(loss, list(self.parameters), allow_unused=True)
        return loss.detach(), found
