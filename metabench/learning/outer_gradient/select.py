"""The gradient of an outer loss, by the engine that suits the machine; the algorithms do not know which."""

from __future__ import annotations

from types import TracebackType
from typing import Protocol, Self

from torch import Tensor, nn

from metabench.backbones.base import keeps_statistics
from metabench.episodes import TaskBatch
from metabench.learning.outer_gradient.cuda_graph import Captured
from metabench.learning.outer_gradient.shard import Losses
from metabench.learning.outer_gradient.shared import Shared, processes_for


class Engine(Protocol):
    """One way to the gradient of the mean outer loss."""

    def __call__(self, batch: TaskBatch) -> Tensor:
        """Put the gradients into ``.grad``, and give the mean loss."""

    def close(self) -> None:
        """Give back what it holds."""


class OuterGradient:
    r"""The gradient of the mean outer loss of ``T`` tasks, in every parameter's ``.grad``.

    .. math:: \nabla_\theta \tfrac1T \textstyle\sum_t L_t(\theta)

    ::

        with OuterGradient(self, losses) as gradient:
            for batch in tasks.batches(4):
                loss = gradient(batch)
                optimizer.step()

    The engine is chosen where the shape of the batches is known, and again where it changes: on a GPU the
    whole outer step as one CUDA graph, on a CPU some processes that share the tasks where a run lends them
    (:func:`~metabench.learning.outer_gradient.shared.lent_processes`), else one backward pass. All of them
    give the same gradient up to rounding.

    Args:
        module: the parameters are its own. Inside the ``with`` nobody else may give them new ``.data``.
        losses: see :data:`metabench.learning.outer_gradient.shard.Losses`.

    Attributes:
        engine: the engine in use; none before the first batch.
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
        """Put the gradients into ``.grad``, in place of what was there.

        Returns:
            The mean loss, without a graph.
        """
        shape = _shape(batch)
        if self.engine is None or shape != self._shape:
            self.close()
            self.engine, self._shape = self._choose(batch), shape
        return self.engine(batch)

    def _choose(self, batch: TaskBatch) -> Engine:
        # Not where the warm-up of a capture would count in running statistics.
        if batch.support_x.is_cuda and not keeps_statistics(self._module):
            return Captured(self._module, self._losses, batch)
        processes = processes_for(self._module, batch)
        if processes > 1:
            return Shared(self._module, self._losses, batch, processes)
        return Whole(self._module, self._losses)

    def close(self) -> None:
        """Give back what the engine holds; the next batch has a new one."""
        if self.engine is not None:
            self.engine.close()
        self.engine = None


class Whole:
    """One backward pass over all tasks.

    Args:
        module: the parameters are its own.
        losses: see :data:`metabench.learning.outer_gradient.shard.Losses`.
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


def _shape(batch: TaskBatch) -> tuple[object, ...]:
    tensors = (batch.support_x, batch.support_y, batch.query_x, batch.query_y)
    return (batch.ways, *((t.shape, t.dtype, t.device) for t in tensors))
