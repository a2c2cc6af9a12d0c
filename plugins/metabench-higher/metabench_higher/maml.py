"""MAML and first-order MAML by higher."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import higher
import torch
from torch import Tensor, nn

from metabench import FOMAML, MAML, Support, TaskByTask
from metabench_higher import LIBRARY


class HigherMAML(TaskByTask, MAML):
    """MAML by ``higher.innerloop_ctx`` with ``copy_initial_weights=False``, around PyTorch's SGD.

    Hyper-parameters, recipes, learner and outer loop are those of ``maml``; from one seed the two
    differ by rounding only. As there, the shift of batch norm is meta-learned and not adapted: the
    optimiser does not get it. higher works on a copy of the buffers.

    Reference: Finn, Abbeel and Levine 2017, arXiv:1703.03400; Grefenstette et al. 2019,
    arXiv:1910.01727.
    """

    name: ClassVar[str] = "higher-maml"
    library: ClassVar[str] = LIBRARY

    def optimizer(self, adapted: list[nn.Parameter]) -> torch.optim.Optimizer:
        """Return the inner optimiser of these parameters, which higher makes differentiable."""
        return torch.optim.SGD(adapted, lr=self.inner_lr)

    def override(self) -> dict[str, list[Any]] | None:
        """Return settings of the optimiser to differentiate through, one a parameter group."""
        return None

    def adapted(self, learner: nn.Module) -> list[nn.Parameter]:
        """Return the parameters that the inner loop adapts."""
        return [p for name, p in learner.named_parameters() if self.adapts(name)]

    def inner_loop(self, support: Support) -> Iterator[nn.Module]:
        """See :class:`TaskByTask`."""
        with torch.enable_grad():
            context = higher.innerloop_ctx(
                self.learner,
                self.optimizer(self.adapted(self.learner)),
                copy_initial_weights=False,
                override=self.override(),
                track_higher_grads=self.training or support.keep_graph,
            )
            task, optimizer = context.__enter__()  # leaving the context does nothing
        callback = None if self.gradient_order == 2 or not self.training else _detach
        while True:
            yield task
            with torch.enable_grad():
                loss = self.problem.loss(task(support.x), support.y)
                optimizer.step(loss, grad_callback=callback)


class HigherFOMAML(HigherMAML, FOMAML):  # FOMAML last: its recipes, and nothing else
    """First-order MAML by higher: its ``grad_callback`` makes the inner gradients constants.

    Everything else is that of :class:`HigherMAML`. higher has no cheaper way to keep the graph from
    the adapted to the initial parameters: the graph of the inner gradients is made and discarded.

    Reference: Finn, Abbeel and Levine 2017, arXiv:1703.03400, section 5.2; Grefenstette et al.
    2019, arXiv:1910.01727.
    """

    name: ClassVar[str] = "higher-fomaml"
    second_order: ClassVar[bool] = False


def _detach(gradients: list[Tensor | None]) -> list[Tensor | None]:
    return [None if g is None else g.detach() for g in gradients]
