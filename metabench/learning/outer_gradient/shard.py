"""A shard of an outer step's tasks and its contribution to the gradient."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from metabench.episodes import TaskBatch

Losses = Callable[[TaskBatch], Tensor]
"""Tasks to the outer loss of each, ``[T]``: a function of the tasks and the parameters only."""

Gradients = tuple[Tensor, Sequence[Tensor | None]]
"""A loss and its gradients; ``None`` for parameters that it does not depend on."""


class TaskShard:
    """A shard of an outer step's tasks, in tensors that every step's tasks are copied to.

    Args:
        parameters: The parameters to differentiate by.
        losses: The outer loss of each task.
        batch: The tasks of this shard.
        total: The number of tasks in all shards.
    """

    def __init__(
        self, parameters: Sequence[nn.Parameter], losses: Losses, batch: TaskBatch, total: int
    ) -> None:
        self.parameters = parameters
        self._losses = losses
        self._batch = batch
        self._total = total

    def gradients(self) -> Gradients:
        """Returns the contribution to the mean loss of all tasks and to its gradients."""
        loss = self._losses(self._batch).sum() / self._total
        gradients = torch.autograd.grad(loss, list(self.parameters), allow_unused=True)
        return loss.detach(), gradients
