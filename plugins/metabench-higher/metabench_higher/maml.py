"""MAML and first-order MAML by higher."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import higher
import torch
from torch import Tensor, nn

from metabench import MAML, Support, TaskByTask
from metabench_higher import LIBRARY


class HigherMAML(TaskByTask, MAML):
    """MAML by ``higher.innerloop_ctx`` with ``copy_initial_weights=False``, around PyTorch's SGD.

    Hyper-parameters, recipe, learner and outer loop are those of ``maml``; from one seed the two differ by
    rounding alone. As there, the shift of batch norm is meta-learned and not adapted: the optimiser is not
    told of it. higher works on a copy of the buffers.

    Reference: Finn, Abbeel and Levine 2017, arXiv:1703.03400; Grefenstette et al. 2019, arXiv:1910.01727.
    """

    name: ClassVar[str] = "higher-maml"
    library: ClassVar[str] = LIBRARY

    def optimizer(self, adapted: list[nn.Parameter], factor: float) -> torch.optim.Optimizer:
        """The inner optimiser, which higher makes differentiable; it is never asked to make a step itself.

        Args:
            adapted: what the inner loop adapts.
            factor: what a rate is multiplied by, where the loss is a mean over other classes than at test.
        """
        return torch.optim.SGD(adapted, lr=self.inner_lr * factor)

    def override(self, factor: float) -> dict[str, list[Any]] | None:
        """Settings of the inner optimiser that are differentiated through, one for each parameter group."""
        return None

    def adapted(self, learner: nn.Module) -> list[nn.Parameter]:
        """The parameters that the inner loop adapts."""
        return [p for name, p in learner.named_parameters() if self.adapts(name)]

    def inner_loop(self, support: Support) -> Iterator[nn.Module]:
        """See :class:`TaskByTask`."""
        tracked = self.training or support.x.requires_grad
        learner, factor = self.learner_for(support), self.rate_for(support)
        with torch.enable_grad():
            context = higher.innerloop_ctx(
                learner,
                self.optimizer(self.adapted(learner), factor),
                copy_initial_weights=False,
                override=self.override(factor),
                track_higher_grads=tracked,
            )
            task, optimizer = context.__enter__()  # higher does nothing on leaving it
        callback = None if self.gradient_order == 2 or not self.training else _as_constants
        while True:
            yield task
            with torch.enable_grad():
                loss = self.problem.loss(task(support.x), support.y)
                optimizer.step(loss, grad_callback=callback)


class HigherFOMAML(HigherMAML):
    """First-order MAML by higher: its ``grad_callback`` makes constants of the inner gradients.

    Everything else, its hyper-parameters and recipe among it, is :class:`HigherMAML`'s. higher has no cheaper
    way that keeps the graph from the adapted to the initial parameters: the inner gradients' own graph is
    made and thrown away.

    Reference: Finn, Abbeel and Levine 2017, arXiv:1703.03400, section 5.2; Grefenstette et al. 2019,
    arXiv:1910.01727.
    """

    name: ClassVar[str] = "higher-fomaml"
    second_order: ClassVar[bool] = False


def _as_constants(gradients: list[Tensor | None]) -> list[Tensor | None]:
    return [None if g is None else g.detach() for g in gradients]
