"""The gradient of the mean outer loss, by an engine that is chosen for the shape of the batches."""

from __future__ import annotations

import os
from types import TracebackType
from typing import Protocol, Self

from torch import Tensor, nn

from metabench.backbones.base import updates_buffers
from metabench.episodes import TaskBatch
from metabench.learning.outer_gradient.cuda_graph import CudaGraph
from metabench.learning.outer_gradient.shard import Losses
from metabench.learning.outer_gradient.shared import SharedTasks, processes_for

CUDA_GRAPHS = "METABENCH_CUDA_GRAPHS"
"""The environment variable that switches CUDA graphs on. Experimental: no GPU has measured them."""


class Engine(Protocol):
    """An implementation of the gradient of the mean outer loss."""

    def __call__(self, batch: TaskBatch) -> Tensor:
        """Put the gradients into ``.grad`` and return the mean loss."""

    def close(self) -> None:
        """Release processes and memory."""


class OuterGradient:
    r"""The gradient of the mean outer loss of ``T`` tasks, in ``.grad`` of every parameter.

    .. math:: \nabla_\theta \tfrac1T \textstyle\sum_t L_t(\theta)

    ::

        with OuterGradient(self, self.query_losses) as outer_gradient:
            for batch in tasks.batches(4):
                loss = outer_gradient(batch)
                optimizer.step()

    The engine is chosen when the shape of the batches is known or changes: with several threads on
    a CPU, processes that share the tasks (:mod:`.shared`); on a GPU, if asked for, one CUDA graph
    (:mod:`.cuda_graph`); else one backward pass. All give the same gradient up to rounding.

    Args:
        module: The module whose parameters are differentiated by. Inside the ``with`` their
            ``.data`` must not be replaced.
        losses: The outer loss of each task.

    Attributes:
        engine: The engine in use; ``None`` before the first batch.
    """

    def __init__(self, module: nn.Module, losses: Losses) -> None:
        self._module = module
        self._losses = losses
        self._shape: tuple[object, ...] = ()
        self.engine: Engine | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __call__(self, batch: TaskBatch) -> Tensor:
        """Replace the gradients in ``.grad`` and return the mean loss, without a graph."""
        shape = _shape(batch)
        if self.engine is None or shape != self._shape:
            self.close()
            self.engine, self._shape = self._choose(batch), shape
        return self.engine(batch)

    def _choose(self, batch: TaskBatch) -> Engine:
        # Running statistics would count the warm-up of a capture.
        if batch.support_x.is_cuda and _cuda_graphs() and not updates_buffers(self._module):
            return CudaGraph(self._module, self._losses, batch)
        processes = processes_for(self._module, batch)
        if processes > 1:
            return SharedTasks(self._module, self._losses, batch, processes)
        return BackwardPass(self._module, self._losses)

    def close(self) -> None:
        """Release what the engine holds; the next batch gets a new one."""
        if self.engine is not None:
            self.engine.close()
        self.engine = None


class BackwardPass:
    """One backward pass over all tasks.

    Args:
        module: The module whose parameters are differentiated by.
        losses: The outer loss of each task.
    """

    def __init__(self, module: nn.Module, losses: Losses) -> None:
        self._module = module
        self._losses = losses

    def __call__(self, batch: TaskBatch) -> Tensor:
        """See :class:`Engine`."""
        self._module.zero_grad()
        loss = self._losses(batch).mean()
        loss.backward()
        return loss.detach()

    def close(self) -> None:
        """See :class:`Engine`."""


def _cuda_graphs() -> bool:
    return os.environ.get(CUDA_GRAPHS, "") not in ("", "0")


def _shape(batch: TaskBatch) -> tuple[object, ...]:
    tensors = (batch.support_x, batch.support_y, batch.query_x, batch.query_y)
    return (batch.ways, *((t.shape, t.dtype, t.device) for t in tensors))
